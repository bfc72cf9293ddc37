"""Readers of files that mean harm, called in a process of their own in which each is measured."""

import json
import subprocess
import sys
from typing import NamedTuple

from patience import HUNG

MOST_SECONDS = 5
CALL = """
import json, pathlib, sys, time, traceback
from workshop_utils.errors import WorkshopError
{setup}

def megabytes(name):
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024 / 1e6

def forget_the_peak():
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # then the peak is that of all files so far

start = megabytes("VmRSS")
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    print(json.dumps(path.name), flush=True)
    forget_the_peak()
    began = time.process_time()
    try:
        {call}
        said = "It was accepted."
    except WorkshopError as error:
        said = [str(error)]
    except BaseException:
        said = traceback.format_exc()
    seconds = time.process_time() - began
    print(json.dumps([said, megabytes("VmHWM") - start, seconds]), flush=True)
"""


class Refusals(NamedTuple):
    """What a reader made of the files in a folder, in one process: {name: (said, MB, seconds)}."""

    found: dict

    def of(self, name, most_megabytes=500):
        """The sentence with which the file of that name was refused.

        Raises AssertionError where it was not, or not with a WorkshopError, or where the process
        took more memory for it (on Linux), counted from before the first file, or computed for
        longer than MOST_SECONDS, whatever else the machine had to do meanwhile.
        """
        said, megabytes, seconds = self.found[name]
        assert isinstance(said, list), said[-3000:]
        assert seconds < MOST_SECONDS and megabytes < most_megabytes
        return said[0]


def refusals(setup, call, folder):
    """The Refusals of all files in a folder. setup, call: Python; call has the variable `path`.

    Raises TimeoutExpired where one hangs, and AssertionError where one ends the process.
    """
    command = [sys.executable, "-c", CALL.format(setup=setup, call=call), str(folder)]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HUNG)
    lines = [json.loads(line) for line in result.stdout.splitlines() if line[:1] in '["']
    assert result.returncode == 0 and len(lines) % 2 == 0, (lines[-1:], result.stderr[-3000:])
    return Refusals(dict(zip(lines[::2], lines[1::2], strict=True)))
