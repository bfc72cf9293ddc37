"""Run a program that starts others, such as a build, so that nothing of it outlives the call."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

_GRACE = 5  # seconds from the request to end to the end by force


def run(
    command: Sequence[str | Path],
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Run a program to its end: (exit code, what it printed to stdout and stderr together, text).

    timeout: seconds. Whatever ends the wait, be it that time, Ctrl-C or SIGTERM, first ends the
    program and what it has started; only then the exception leaves this function.
    Raises subprocess.TimeoutExpired, and OSError if the program does not start.
    """
    # In a session of its own, a group can be ended without us. Ctrl-C does not reach it there.
    windows = sys.platform == "win32"
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    with (
        _sigterm_as_exception(),
        subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=not windows,
            creationflags=flags,
        ) as process,
    ):
        try:
            said, _ = process.communicate(timeout=timeout)
        except BaseException:
            _end(process)
            raise
    return process.returncode, said.decode("utf-8", errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a program and what it has started, and wait until nobody can print any more."""
    if sys.platform == "win32":
        subprocess.run(
            ["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False
        )
    else:
        # Politely first: Ninja gives each compiler a group of its own, and ends them when asked.
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=_GRACE)
        _signal(process, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=_GRACE)


def _signal(process: "subprocess.Popen[bytes]", number: int) -> None:
    # Its leader may be gone while others of the group go on.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def _sigterm_as_exception() -> Iterator[None]:
    """Let SIGTERM raise SystemExit, unless somebody has other plans for it or this is a thread."""
    here = threading.current_thread() is threading.main_thread()
    if not here or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
