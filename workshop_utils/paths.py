"""Where the course's files live, and how they are written and asked for.

The names are those of the original hello_world notebook. Everything lies under one root: this
project's folder, or the folder that the environment variable WORKSHOP_HOME names.
"""

import os
import re
from pathlib import Path

from workshop_utils.errors import MissingArtifact

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
