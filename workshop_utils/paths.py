"""Where the course's files live, and how they are asked for.

What the course makes lies under a `Home`: the folder that the environment variable WORKSHOP_HOME
names when it is asked for; or else the project of one's own, made by `workshop new`, that the
working folder lies in; or else this project's folder. Notebooks use the names of the original
hello_world notebook: `paths.MODEL_TF` is `paths.home().model_tf`, and so on.
"""

import os
import re
import shlex
import stat
import sys
import sysconfig
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workshop_utils.errors import MissingArtifact, WorkshopError, with_command

PROJECT = Path(__file__).resolve().parents[1]
NOTEBOOKS_DIR = PROJECT / "notebooks"
GLOSSARY = NOTEBOOKS_DIR / "glossary.md"
SENSOR_NOTEBOOK = NOTEBOOKS_DIR / "10_own_sensor.ipynb"
SENSOR_DATA = NOTEBOOKS_DIR / "data" / "thermistor.csv"
FIRMWARE_DIR = PROJECT / "firmware"
FIRMWARE_REFERENCE_MODEL = FIRMWARE_DIR / "model" / "reference" / "model.cc"
REFERENCE_DIR = PROJECT / "workshop_utils" / "reference"

# What makes a folder a project of one's own, and its notebook.
MARKER = ".workshop-home"
OWN_NOTEBOOK = "own_sensor.ipynb"

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
    def sensor_dir(self) -> Path:
        """What the notebook about one's own sensor writes, apart from the sine's files."""
        return self.models_dir / "own_sensor"

    @property
    def firmware_model(self) -> Path:
        """The same, where the firmware's build looks for it."""
        return self.path / "firmware" / "model" / "model.cc"

    @property
    def own_notebook(self) -> Path | None:
        """The one notebook of this home if it is a project of one's own, or else None."""
        return self.path / OWN_NOTEBOOK if _is_marked(self.path) else None

    @property
    def firmware_build_dir(self) -> Path:
        return self.path / "firmware" / "build"

    @property
    def firmware_images_dir(self) -> Path:
        return self.path / "firmware" / "images"

    @property
    def made_by(self) -> dict[Path, str]:
        """{artifact: stem of the notebook that makes it}, in the course's order."""
        own = self.own_notebook
        names = ("model.keras", "model.tflite", "model.cc", "model.h")
        maker = (own or SENSOR_NOTEBOOK).stem
        of_a_sensor = {self.sensor_dir / name: maker for name in names}
        if own:
            return of_a_sensor
        return {
            self.dataset: "02_dataset",
            self.small_model_tf: "03_small_model",
            self.model_tf: "04_larger_model",
            self.model_no_quant_tflite: "05_tensorflow_lite",
            self.model_tflite: "05_tensorflow_lite",
            self.model_tflite_micro: "06_microcontroller",
            self.firmware_model: "06_microcontroller",
            **of_a_sensor,
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
        if self.own_notebook:
            command = f"{program('workshop')} run"
        elif path.parent == self.sensor_dir:  # which catch-up has nothing for
            command = f".venv/bin/workshop run --only {notebook[:2]}"
        else:
            command = f".venv/bin/workshop catch-up {_notebook_at_work(notebook)}"
        elsewhere = "" if self == home() else f"WORKSHOP_HOME={shlex.quote(str(self.path))} "
        raise MissingArtifact(
            with_command(
                f"{missing}: notebook {notebook}.ipynb makes it. Run that notebook first, or in a "
                "terminal:",
                f"{elsewhere}{command}",
            )
        )


def home() -> Home:
    """The Home of what is done now, as the head of this module says."""
    named = os.environ.get("WORKSHOP_HOME")
    return Home(Path(named).expanduser().resolve() if named else _own_project() or PROJECT)


def _own_project() -> Path | None:
    """The project of one's own that the working folder lies in, and nearer than this project."""
    with suppress(OSError):  # the working folder may have been removed
        here = Path.cwd()
        for folder in (here, *here.parents):
            if folder == PROJECT:
                return None
            if _is_marked(folder):
                return folder
    return None


def _is_marked(folder: Path) -> bool:
    """Whether `workshop new` has made the folder.

    A marker of another user, such as in a folder for temporary files that all share, is none: what
    lies beside it would be run. What root owns is trusted, and so is root.
    """
    with suppress(OSError):
        found = (folder / MARKER).stat()
        if sys.platform != "win32" and os.geteuid() != 0 and found.st_uid not in (0, os.geteuid()):
            return False
        return stat.S_ISREG(found.st_mode)
    return False


def program(name: str) -> str:
    """A program of this environment, as to be typed into a shell in any folder."""
    return shlex.quote(Path(sysconfig.get_path("scripts"), name).as_posix())


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
