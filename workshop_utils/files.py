"""How the course writes and reads files: whole or not at all, and one sentence where it cannot."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from workshop_utils import paths
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home, display_path


@contextmanager
def os_errors_as(failed: str, then: str = "") -> Iterator[None]:
    """Turn an OSError of the block into one sentence: 'FAILED: the system's reasonTHEN.'

    failed: such as 'Cannot write models/model.cc'. then: what follows from it, with its own comma.
    Raises WorkshopError; one that the block raises goes through.
    """
    try:
        yield
    except WorkshopError:
        raise
    except OSError as error:
        raise WorkshopError(f"{failed}: {error.strerror or error}{then}.") from error


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` to write to, which takes its name when the block ends well.

    Whoever reads `path` meanwhile sees the old file or the new one, whole. If the block raises,
    the old file stays and the temporary one goes. Creates the folder that `path` lies in.
    Raises WorkshopError when the file cannot be written (full disk, no permission).
    """
    path = Path(path)
    temporary = None
    try:
        with os_errors_as(f"Cannot write {display_path(path)}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
            os.close(handle)
            temporary = Path(name)
            yield temporary
            temporary.chmod(0o644)  # mkstemp makes it private; a course's files are to be read.
            temporary.replace(path)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write(path: str | Path, content: str | bytes) -> Path:
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
def locked(path: Path, busy: str, timeout: float = 0) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; the system drops it when a process dies.

    busy: the sentence of the WorkshopError that is raised when another process holds it, and after
    `timeout` seconds still does.
    Raises WorkshopError, too, when the file cannot be made (full disk, no permission).
    """
    import filelock

    lock = filelock.FileLock(path)
    with os_errors_as(f"Cannot write {display_path(path)}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=timeout)
        except filelock.Timeout as error:
            raise WorkshopError(busy) from error
    try:
        yield
    finally:
        lock.release()


def read_json(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file. Raises WorkshopError, a sentence, if there is none."""
    with os_errors_as(f"Cannot read {display_path(path)}"):
        written = Path(path).read_bytes()
    try:
        content = json.loads(written.decode("utf-8"))
    except ValueError as error:
        raise WorkshopError(f"{display_path(path)} is damaged: it is not JSON.") from error
    if not isinstance(content, dict):
        raise WorkshopError(f"{display_path(path)} is not a JSON object.")
    return content


def artifacts_locked(home: Home | None = None) -> AbstractContextManager[None]:
    """Keep others from making or putting back a home's artifacts while the block runs.

    Raises WorkshopError if somebody does so already.
    """
    home = home or paths.home()
    return locked(
        home.models_dir / ".run.lock",
        f"Another run of the course is at work in {home.path}; wait until it has ended, or give "
        "this one a folder of its own with WORKSHOP_HOME.",
    )
