"""Where the course's files live, and how they are written and asked for.

The names are those of the original hello_world notebook. Everything lies under one root: this
project's folder, or the folder that the environment variable WORKSHOP_HOME names.
"""

import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path

from workshop_utils.errors import MissingArtifact, WorkshopError

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS_DIR = PROJECT / "notebooks"
GLOSSARY = NOTEBOOKS_DIR / "glossary.md"
FIRMWARE_DIR = PROJECT / "firmware"
FIRMWARE_REFERENCE_MODEL = FIRMWARE_DIR / "model" / "reference" / "model.cc"
REFERENCE_DIR = PROJECT / "workshop_utils" / "reference"

HOME = Path(os.environ.get("WORKSHOP_HOME") or PROJECT).expanduser().resolve()
MODELS_DIR = HOME / "models"
OUTPUT_DIR = HOME / "output"

DATASET = MODELS_DIR / "dataset.npz"
SMALL_MODEL_TF = MODELS_DIR / "small_model.keras"
MODEL_TF = MODELS_DIR / "model.keras"
MODEL_NO_QUANT_TFLITE = MODELS_DIR / "model_no_quant.tflite"
MODEL_TFLITE = MODELS_DIR / "model.tflite"
MODEL_TFLITE_MICRO = MODELS_DIR / "model.cc"
FIRMWARE_MODEL = HOME / "firmware" / "model" / "model.cc"
FIRMWARE_BUILD_DIR = HOME / "firmware" / "build"
FIRMWARE_IMAGES_DIR = HOME / "firmware" / "images"

MADE_BY = {
    DATASET: "02_dataset",
    SMALL_MODEL_TF: "03_small_model",
    MODEL_TF: "04_larger_model",
    MODEL_NO_QUANT_TFLITE: "05_tensorflow_lite",
    MODEL_TFLITE: "05_tensorflow_lite",
    MODEL_TFLITE_MICRO: "06_microcontroller",
    FIRMWARE_MODEL: "06_microcontroller",
}


def shown(path):
    """The path as a reader should see it: relative to the root where it lies inside it."""
    path = Path(path)
    return path.relative_to(HOME).as_posix() if path.is_relative_to(HOME) else str(path)


def under(home, path):
    """Where `path` would lie if `home` were the root. None stands for the root itself."""
    return Path(path) if home is None else Path(home) / Path(path).relative_to(HOME)


def require(path):
    """Return `path` if the file is there.

    Raises MissingArtifact, which names the notebook that makes the file, and the command that
    fills in all that the notebook at work needs.
    """
    path = Path(path)
    if path.is_file():
        return path
    notebook = MADE_BY.get(path)
    if notebook is None:
        raise MissingArtifact(f"{shown(path)} is missing.")
    raise MissingArtifact(
        f"{shown(path)} is missing: notebook {notebook}.ipynb makes it. Run that notebook first, "
        f"or in a terminal: .venv/bin/workshop catch-up {_at_work(notebook)}"
    )


def _at_work(made_by):
    """The number of the notebook at work, which is at least the one after `made_by`.

    JupyterLab gives its kernels the notebook's path in JPY_SESSION_NAME, and so does
    `course.run`. Outside of both, it is the next notebook.
    """
    named = re.search(r"(\d\d)_\w+\.ipynb", os.environ.get("JPY_SESSION_NAME", ""))
    after = f"{int(made_by[:2]) + 1:02}"
    return max(named[1], after) if named else after


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


def artifacts_locked():
    """Keep others from running the course or putting it back while the block runs.

    Raises WorkshopError if somebody does so already.
    """
    return locked(
        MODELS_DIR / ".run.lock",
        f"Another run of the course is at work in {HOME}; wait until it has ended, or give this "
        "one a folder of its own with WORKSHOP_HOME.",
    )
