"""What a command leaves behind, whatever ends it: nothing but its results."""

import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where what a killed command has left stays
    fcntl = None  # type: ignore[assignment]

# Ctrl-C is Python's own matter. Those that a system does not have are left out.
_SIGNALS = ("SIGHUP", "SIGTERM", "SIGQUIT", "SIGBREAK", "SIGALRM", "SIGUSR1", "SIGUSR2", "SIGXCPU")


class _Signal(SystemExit):
    """A signal that wants the program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


@contextmanager
def tidy() -> Iterator[None]:
    """Let a signal end the block as an exception; then end what it has started, and remove what it
    has put into the folder for temporary files.

    The folder is the command's own, and that of all programs that it starts: TensorFlow in a kernel
    that is ended, for instance, has no time to remove what it has written there.
    """
    with _signals_as_exceptions() as no_more_signals, _temporary_folder():
        try:
            yield
        except BaseException:
            no_more_signals()
            _end_children()
            raise
        finally:
            no_more_signals()


@contextmanager
def _signals_as_exceptions() -> Iterator[Callable[[], None]]:
    """Raise _Signal for each signal that would end the process, until the function is called."""

    def leave(number: int, frame: FrameType | None) -> None:
        no_more_signals()  # What tidies up is not to be interrupted.
        raise _Signal(number)

    def no_more_signals() -> None:
        # What its tasks were waiting for has ended as well, and nobody asks for that any more.
        logging.getLogger("asyncio").disabled = True
        for number in ours:
            signal.signal(number, signal.SIG_IGN)

    def hook(lost: "sys.UnraisableHookArgs") -> None:
        """Python swallows what is raised while it collects garbage: raise it again a bit later."""
        if isinstance(lost.exc_value, _Signal):
            number = lost.exc_value.number
            signal.signal(number, leave)
            threading.Timer(0.01, os.kill, (os.getpid(), number)).start()
        else:
            former_hook(lost)

    former_hook, sys.unraisablehook = sys.unraisablehook, hook
    known = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    # Whoever ignores one, such as nohup, has reasons.
    ours = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, leave)
    try:
        yield no_more_signals
    finally:
        sys.unraisablehook = former_hook
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


_PREFIX, _LOCK = "workshop-", ".at-work"


@contextmanager
def _temporary_folder() -> Iterator[None]:
    _remove_leftovers()
    try:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = _lock(folder)
    except OSError:  # A full disk is for the command to find, and the doctor to explain.
        yield
        return
    former = dict(os.environ)
    os.environ.update(dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)))
    tempfile.tempdir = None  # It looks again.
    try:
        yield
    finally:
        for name in ("TMPDIR", "TEMP", "TMP"):  # Python may go on, as after a command in a cell.
            os.environ.pop(name, None)
            if name in former:
                os.environ[name] = former[name]
        tempfile.tempdir = None
        lock.close()
        shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path) -> IO[bytes]:
    """A file in the folder that is locked as long as this process lives, or one forked from it.

    It gets its name when it is locked, so that nobody finds it unlocked before.
    """
    draft = folder / f"{_LOCK}.new"
    file = draft.open("wb")
    if fcntl:
        fcntl.flock(file, fcntl.LOCK_EX)
        draft.rename(folder / _LOCK)
    return file


def _remove_leftovers() -> None:
    """Remove the folders of commands that were killed, so that they could not do it themselves."""
    if not fcntl:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Somebody else's, or one without a lock, or whose lock is held
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            with (folder / _LOCK).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
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
