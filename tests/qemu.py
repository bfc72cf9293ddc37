"""Run an image on one of QEMU's boards, the second opinion beside Unicorn. For tests only."""

import queue
import shutil
import subprocess
import threading
import time

import pytest
from patience import HUNG

LAST = ("# end", "# stopped: ", "# fault: ")


def require(*programs):
    """Skip the test, with a reason, if one of the programs is not installed."""
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def run(image, timeout=HUNG, machine="mps2-an386"):
    """What the image prints, text, up to the line with which it ends.

    machine: QEMU's name of the board. timeout: seconds; after that the test fails. Only the
    process started here is ended.
    """
    require("qemu-system-arm")
    command = ["qemu-system-arm", "-M", machine, "-display", "none", "-monitor", "none"]
    return watch([*command, "-serial", "stdio", "-kernel", str(image)], timeout)


def watch(command, timeout, clean=str):
    """What an emulator prints, text, up to the line with which the program in it ends.

    timeout: seconds. clean: makes of a line what the program wrote.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    arrived = queue.Queue()
    reader = threading.Thread(target=lambda: [arrived.put(clean(line)) for line in process.stdout])
    reader.start()
    lines, deadline = [], time.monotonic() + timeout
    try:
        while not (lines and lines[-1].startswith(LAST)):
            lines.append(arrived.get(timeout=max(0.0, deadline - time.monotonic())))
    except queue.Empty:
        pytest.fail(
            f"{command[0]} did not come to an end in {timeout} s; it printed {''.join(lines)!r}"
        )
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
    return "".join(lines)
