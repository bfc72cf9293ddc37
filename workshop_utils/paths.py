"""Where the course's files live, and how they are asked for.

What the course makes lies under a `Home`: this project's folder, or the folder that the environment
variable WORKSHOP_HOME names when it is asked for. Notebooks use the names of the original
hello_world notebook: `paths.MODEL_TF` is `paths.home().model_tf`, and so on.
"""

import os
import re
import shlex
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workshop_utils.errors import MissingArtifact, WorkshopError, with_command

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS_DIR = PROJECT / "notebooks"
GLOSSARY = NOTEBOOKS_DIR / "glossary.md"
FIRMWARE_DIR = PROJECT / "firmware"
FIRMWARE_REFERENCE_MODEL = FIRMWARE_DIR / "model" / "reference" / "model.cc"
REFERENCE_DIR = PROJECT / "workshop_utils" / "reference"

# The names of the original notebook, of the default home.
MODELS_DIR: Path
OUTPUT_DIR: Path
DATASET: Path
SMALL_MODEL_TF: Path
MODEL_TF: Path
MODEL_NO_QUANT_TFLITE: Path
MODEL_TFLITE: Path
MODEL_TFLITE_MICRO: Path
FIRMWARE_MODEL: Path
FIRMWARE_BUILD_DIR: Path
FIRMWARE_IMAGES_DIR: Path
MADE_BY: dict[Path, str]


def __getattr__(name: str) -> Path | dict[Path, str]:
    if name not in __annotations__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: Path | dict[Path, str] = getattr(home(), name.lower())
    return value


@dataclass(frozen=True)
class Home:
    """A folder that the course's artifacts lie in. path: absolute."""

    path: Path

    @property
    def models_dir(self) -> Path:
        return self.path / "models"

    @property
    def output_dir(self) -> Path:
        """Where a run leaves executed notebooks, if nothing else is said."""
        return self.path / "output"

    @property
    def dataset(self) -> Path:
        return self.models_dir / "dataset.npz"

    @property
    def small_model_tf(self) -> Path:
        return self.models_dir / "small_model.keras"

    @property
    def model_tf(self) -> Path:
        return self.models_dir / "model.keras"

    @property
    def model_no_quant_tflite(self) -> Path:
        """The float32 model."""
        return self.models_dir / "model_no_quant.tflite"

    @property
    def model_tflite(self) -> Path:
        """The int8 model."""
        return self.models_dir / "model.tflite"

    @property
    def model_tflite_micro(self) -> Path:
        """The int8 model as C++ source."""
        return self.models_dir / "model.cc"

    @property
    def firmware_model(self) -> Path:
        """The same, where the firmware's build looks for it."""
        return self.path / "firmware" / "model" / "model.cc"

    @property
    def firmware_build_dir(self) -> Path:
        return self.path / "firmware" / "build"

    @property
    def firmware_images_dir(self) -> Path:
        return self.path / "firmware" / "images"

    @property
    def made_by(self) -> dict[Path, str]:
        """{artifact: stem of the notebook that makes it}, in the course's order."""
        return {
            self.dataset: "02_dataset",
            self.small_model_tf: "03_small_model",
            self.model_tf: "04_larger_model",
            self.model_no_quant_tflite: "05_tensorflow_lite",
            self.model_tflite: "05_tensorflow_lite",
            self.model_tflite_micro: "06_microcontroller",
            self.firmware_model: "06_microcontroller",
        }

    def display_path(self, path: str | Path) -> str:
        """The path as a reader should see it: relative to the home where it lies inside it."""
        path = Path(path)
        return (
            path.relative_to(self.path).as_posix() if path.is_relative_to(self.path) else str(path)
        )

    def require(self, path: str | Path) -> Path:
        """Return `path` if the file is there.

        Raises MissingArtifact, which names the notebook that makes the file, and the command that
        fills in all that the notebook at work needs.
        """
        path = Path(path)
        if path.is_file():
            return path
        missing = f"{self.display_path(path)} is missing"
        notebook = self.made_by.get(path)
        if notebook is None:
            raise MissingArtifact(f"{missing}.")
        elsewhere = "" if self == home() else f"WORKSHOP_HOME={shlex.quote(str(self.path))} "
        raise MissingArtifact(
            with_command(
                f"{missing}: notebook {notebook}.ipynb makes it. Run that notebook first, or in a "
                "terminal:",
                f"{elsewhere}.venv/bin/workshop catch-up {_notebook_at_work(notebook)}",
            )
        )


def home() -> Home:
    """The Home that WORKSHOP_HOME names now; without it, the project's folder."""
    return Home(Path(os.environ.get("WORKSHOP_HOME") or PROJECT).expanduser().resolve())


def require_course(folder: Path) -> None:
    """Raise WorkshopError unless NOTEBOOKS_DIR or FIRMWARE_DIR is there; a wheel has neither."""
    if not folder.is_dir():
        raise WorkshopError(
            with_command(
                "The course's notebooks and firmware are not beside its package workshop_utils: "
                "use a clone of the project, and there run this, or pip install --editable .",
                "./install.sh",
            )
        )


def notebooks() -> list[Path]:
    """The course's notebooks in order: those in their folder and those on its page, there or not.

    Of several with one number that on the page counts, such as before somebody's copy of it.
    """
    require_course(NOTEBOOKS_DIR)
    found = {path.name[:2]: path for path in sorted(NOTEBOOKS_DIR.glob("[0-9][0-9]_*.ipynb"))}
    with suppress(OSError):
        page = (NOTEBOOKS_DIR / "README.md").read_text(encoding="utf-8", errors="replace")
        for name in re.findall(r"\]\((\d\d_\w+\.ipynb)\)", page):
            found[name[:2]] = NOTEBOOKS_DIR / name
    return [path for _, path in sorted(found.items())]


def display_path(path: str | Path) -> str:
    """`Home.display_path` of the default home."""
    return home().display_path(path)


def require(path: str | Path) -> Path:
    """`Home.require` of the default home."""
    return home().require(path)


def _notebook_at_work(made_by: str) -> str:
    """The number of the notebook at work, which is at least the one after `made_by`.

    JupyterLab gives its kernels the notebook's path in JPY_SESSION_NAME, and so does
    `course.run`. Outside of both, it is the next notebook.
    """
    named = re.search(r"(\d\d)_\w+\.ipynb", os.environ.get("JPY_SESSION_NAME", ""))
    after = f"{int(made_by[:2]) + 1:02}"
    return max(named[1], after) if named else after
