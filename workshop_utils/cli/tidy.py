"""What a command leaves behind, whatever ends it: nothing but its results."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

# Ctrl-C is Python's own matter. Those that a system does not have are left out.
_SIGNALS = ("SIGHUP", "SIGTERM", "SIGQUIT", "SIGBREAK", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGXCPU")


@contextmanager
def tidy() -> Iterator[None]:
    """Let a signal end the block as an exception; then end what it has started, and remove what it
    has put into the folder for temporary files.

    The folder is the command's own, and that of all programs that it starts: TensorFlow in a kernel
    that is ended, for instance, has no time to remove what it has written there.
    """
    _signals_as_exceptions()
    with _temporary_folder():
        try:
            yield
        except BaseException:
            _end_children()
            raise


def _signals_as_exceptions() -> None:
    def leave(number: int, frame: FrameType | None) -> None:
        for other in known:  # What tidies up is not to be interrupted.
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    known = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    for number in known:
        if signal.getsignal(number) is signal.SIG_DFL:  # Others, such as nohup, have their reasons.
            signal.signal(number, leave)


@contextmanager
def _temporary_folder() -> Iterator[None]:
    try:
        folder = Path(tempfile.mkdtemp(prefix="workshop-"))
    except OSError:  # A full disk is for the command to find, and the doctor to explain.
        yield
        return
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)))
    tempfile.tempdir = None  # It looks again.
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _end_children() -> None:
    """End all programs that this process has started, and those that they have started."""
    try:
        import psutil
    except ImportError:  # Whoever lacks it cannot run the course.
        return
    children = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # It may have ended already.
            # Python's own one for semaphores outlives the others to remove theirs, and then ends.
            if not any("resource_tracker" in word for word in child.cmdline()):
                child.kill()
                children.append(child)
    psutil.wait_procs(children, timeout=5)
