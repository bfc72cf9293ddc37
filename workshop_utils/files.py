"""How the course writes and reads files: whole or not at all, and one sentence where it cannot."""

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

from workshop_utils import paths
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import shown


@contextmanager
def replacing(path):
    """A temporary file beside `path` to write to, which takes its name when the block ends well.

    Whoever reads `path` meanwhile sees the old file or the new one, whole. If the block raises,
    the old file stays and the temporary one goes. Creates the folder that `path` lies in.
    Raises WorkshopError when the file cannot be written (full disk, no permission).
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)  # mkstemp makes it private; a course's files are to be read.
        temporary.replace(path)
    except OSError as error:
        if isinstance(error, WorkshopError):
            raise
        reason = error.strerror or str(error)
        raise WorkshopError(f"Cannot write {shown(path)}: {reason}.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write(path, content):
    """Write bytes or text (UTF-8, Unix line ends) to `path`, all of it or nothing.

    Returns the path. Raises WorkshopError when the file cannot be written.
    """
    if isinstance(content, str):
        # Text may name a path, and under LANG=C Python has surrogates in place of its umlauts.
        content = content.encode("utf-8", errors="surrogateescape")
    with replacing(path) as temporary:
        temporary.write_bytes(bytes(content))
    return Path(path)


@contextmanager
def locked(path, busy, timeout=0):
    """Hold the lock file `path` while the block runs; the system drops it when a process dies.

    busy: the sentence of the WorkshopError that is raised when another process holds it, and after
    `timeout` seconds still does.
    Raises WorkshopError, too, when the file cannot be made (full disk, no permission).
    """
    import filelock

    lock = filelock.FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=timeout)
    except filelock.Timeout as error:
        raise WorkshopError(busy) from error
    except OSError as error:
        raise WorkshopError(f"Cannot write {shown(path)}: {error.strerror}.") from error
    try:
        yield
    finally:
        lock.release()


def read_json(path):
    """The JSON object in a file. Raises WorkshopError, a sentence, if there is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkshopError(f"Cannot read {shown(path)}: {error.strerror}.") from error
    except ValueError as error:
        raise WorkshopError(f"{shown(path)} is damaged: it is not JSON.") from error
    if not isinstance(content, dict):
        raise WorkshopError(f"{shown(path)} is not a JSON object.")
    return content


def artifacts_locked():
    """Keep others from running the course or putting it back while the block runs.

    Raises WorkshopError if somebody does so already.
    """
    return locked(
        paths.MODELS_DIR / ".run.lock",
        f"Another run of the course is at work in {paths.HOME}; wait until it has ended, or give "
        "this one a folder of its own with WORKSHOP_HOME.",
    )
