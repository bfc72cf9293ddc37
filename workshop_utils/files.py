"""How the course writes and reads files: whole or not at all, and one sentence where it cannot."""

import json
import os
import re
import reprlib
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from workshop_utils import paths
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home, display_path
from workshop_utils.terminal import printable
from workshop_utils.upstream import import_jsonschema


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


def read(path: Path | str, most: int, cure: str = "") -> bytes:
    """The content of a file that may come from anywhere.

    most: bytes that it may have. cure: what to do about more, with its own colon. Raises
    WorkshopError if it cannot be read, has more, or is no file: a pipe, for instance, would keep
    its reader waiting.
    """
    path = Path(path)
    with os_errors_as(f"Cannot read {display_path(path)}"):
        if not stat.S_ISREG(path.stat().st_mode):
            raise WorkshopError(f"{display_path(path)} is not a file.")
        with path.open("rb") as file:
            content = file.read(most + 1)
    if len(content) > most:
        raise WorkshopError(f"{display_path(path)} has more than {most / 1e6:g} MB{cure}.")
    return content


# How files begin that are neither text nor a model: (bytes, what that is).
_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "compressed with gzip"),
    (b"\x7fELF", "a program (ELF)"),
    (b"%PDF", "a PDF document"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x89PNG", "a picture (PNG)"),
    (b"\xff\xd8\xff", "a picture (JPEG)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document, such as .xls"),
)
_IN_ARCHIVES = (
    (rb"config\.json|model\.weights\.h5|metadata\.json", "a Keras file (.keras)"),
    (rb"xl/workbook", "an Excel workbook (.xlsx)"),
    (rb"application/vnd\.oasis\.opendocument", "an OpenDocument file, such as .ods"),
)


def kind(content: bytes) -> str | None:
    """What a file is whose content has a well-known beginning, such as 'a PDF document'.

    None for anything else: text, for instance, or a TensorFlow Lite model.
    """
    head = content[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"PK\x03\x04"):
        found = (kind for inside, kind in _IN_ARCHIVES if re.search(inside, content))
        return next(found, "a ZIP archive")
    if re.match(rb"(?i)<(!doctype|html|head|\?xml)", head):
        return "a web page (HTML)"
    return next((kind for begin, kind in _BEGINNINGS if head.startswith(begin)), None)


def read_json(
    path: Path | str, schema: Path | None = None, most: int = 5_000_000
) -> dict[str, Any]:
    """The JSON object in a file, in UTF-8 or, as Windows' programs write it, in UTF-16.

    schema: a file with the JSON schema of what came from another computer; its texts are then
    `printable` as well. most: bytes that it may have; one in fifty may be a comma, since each value
    takes memory. Raises WorkshopError, a sentence that names the file and, where the content is not
    what the schema says, the place in it, such as notebooks[3].status.
    """
    written = read(path, most)
    if written.count(b",") > most // 50:
        raise WorkshopError(f"{display_path(path)} has more than {most // 50:,} values.")
    try:
        content = json.loads(written)  # which recognizes the encoding
        if schema is not None:
            content = printable(content)
    except (ValueError, RecursionError) as error:
        raise WorkshopError(f"{display_path(path)} is damaged: it is not JSON.") from error
    if not isinstance(content, dict):
        raise WorkshopError(f"{display_path(path)} is not a JSON object.")
    if schema is not None and (problem := _problem(content, schema)):
        raise WorkshopError(f"{display_path(path)} is damaged: {problem}.")
    return content


MOST_OF_A_NOTEBOOK = 50_000_000  # bytes, pictures included


def read_notebook(path: Path | str) -> dict[str, Any]:
    """A notebook as it stands in its file, without nbformat, which takes its time to import.

    Raises WorkshopError, a sentence that names the file and the cure, if it is none: missing,
    empty, cut off, or with the marks that git leaves where two versions differ.
    """
    path = Path(path)
    if not os.path.lexists(path):
        command = ".venv/bin/workshop reset, which keeps a copy of your results and removes them"
        if (path.parents[1] / ".git").exists():
            command = f"git checkout -- {path.parent.name}/{path.name}"
        raise WorkshopError(
            f"{display_path(path)} is missing; in a terminal, put it back with {command}."
        )
    cure = (
        "; in a terminal, .venv/bin/workshop reset puts the course's notebooks back and keeps a "
        "copy of what is there"
    )
    text = read(path, MOST_OF_A_NOTEBOOK).decode("utf-8", errors="replace")
    try:
        content = json.loads(text)
        if (
            all(map(_is_cell, content["cells"]))
            and isinstance(content["metadata"], dict)
            and content["nbformat"] == 4
        ):
            return content  # type: ignore[no-any-return]
        problem = "is not a notebook of this format (nbformat 4)"
    except RecursionError:
        problem = "is not a notebook"
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        problem = f"is damaged or cut off: from line {line} on it is not JSON"
    except (KeyError, TypeError, AttributeError):
        problem = "is not a notebook of this format (nbformat 4)"
    marks = re.finditer(r"^(<{7}|={7}|>{7})( .*)?$", text, re.MULTILINE)
    if not text.strip():
        problem = "is empty"
    elif mark := next(marks, None):
        line = text.count("\n", 0, mark.start()) + 1
        problem = f"holds two versions that git could not merge (line {line})"
    raise WorkshopError(f"{display_path(path)} {problem}{cure}.")


def _is_cell(cell: dict[str, Any]) -> bool:
    """Whether a cell has what is asked of cells here. Raises what Python does of other things."""
    metadata = cell["metadata"]
    return (
        cell["cell_type"] in ("code", "markdown", "raw")
        and isinstance(metadata, dict)
        and isinstance(metadata.get("tags", []), list)
        and isinstance("".join(cell["source"]), str)
    )


_KINDS = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a text",
}


def _problem(content: dict[str, Any], schema: Path) -> str | None:
    """What of the content is not as the schema says, nearest to its top; None if nothing is."""
    validator = import_jsonschema().Draft202012Validator(json.loads(schema.read_text("utf-8")))
    errors = validator.iter_errors(content)
    error = min(errors, key=lambda error: len(error.absolute_path), default=None)
    if error is None:
        return None
    steps = [f"[{s}]" if isinstance(s, int) else f".{s}" for s in error.absolute_path]
    if error.validator == "required":
        missing = next(name for name in error.validator_value if name not in error.instance)
        return "".join([*steps, f".{missing}"]).lstrip(".") + " is missing"
    said = f"{''.join(steps).lstrip('.')} is {reprlib.repr(error.instance)}"
    if error.validator == "type":
        wanted = error.validator_value
        kinds = [wanted] if isinstance(wanted, str) else wanted
        return f"{said}, but should be {' or '.join(_KINDS[kind] for kind in kinds)}"
    return f"{said}, which it cannot be"


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


MOST_BYTES = 64 << 20  # of a model: 16 times the largest flash here


def read_model(path: Path | str) -> bytes:
    """What is in a file that is said to be a model, whatever that is: up to MOST_BYTES.

    Raises WorkshopError, one sentence with its name, for anything else, such as a folder or a pipe.
    """
    name = display_path(path)
    with os_errors_as(f"Cannot read the model {name}"):
        found = Path(path).stat()
        if stat.S_ISREG(found.st_mode) and found.st_size > MOST_BYTES:
            raise WorkshopError(
                f"{name} is too large for a model here: it has {found.st_size:,} bytes, and "
                f"{MOST_BYTES:,} are the most."
            )
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise WorkshopError(
                f"Cannot read the model {name}: it is no file but a device or a pipe."
            )
        return Path(path).read_bytes()
