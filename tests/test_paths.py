"""Where the course's files live, and what is said where there are none."""

import os
import shutil
import subprocess
import sys

import pytest
from record_factory import write_run

from workshop_utils import files, paths
from workshop_utils.errors import MissingArtifact
from workshop_utils.paths import Home


def test_workshop_home_moves_everything(tmp_path):
    code = "from workshop_utils import paths; print(paths.MODEL_TFLITE, paths.FIRMWARE_MODEL)"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "WORKSHOP_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    home = tmp_path.resolve()
    assert printed.split() == [f"{home}/models/model.tflite", f"{home}/firmware/model/model.cc"]


def test_the_home_is_the_one_that_is_named_when_it_is_asked_for(monkeypatch, tmp_path):
    for name in ("one", "other"):
        monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path / name))
        assert paths.home() == Home((tmp_path / name).resolve())
        assert paths.DATASET == paths.home().dataset == (tmp_path / name / "models/dataset.npz")
    monkeypatch.setenv("WORKSHOP_HOME", "")
    assert paths.home().path == paths.PROJECT
    monkeypatch.delenv("WORKSHOP_HOME")
    assert paths.home().path == paths.PROJECT


def test_the_names_of_the_original_notebook(home):
    names = ["MODELS_DIR", "OUTPUT_DIR", "DATASET", "SMALL_MODEL_TF", "MODEL_TF"]
    names += ["MODEL_NO_QUANT_TFLITE", "MODEL_TFLITE", "MODEL_TFLITE_MICRO", "FIRMWARE_MODEL"]
    for name in [*names, "FIRMWARE_BUILD_DIR", "FIRMWARE_IMAGES_DIR"]:
        assert getattr(paths, name) == getattr(home, name.lower())
        assert home.path in getattr(paths, name).parents
    assert home.made_by == paths.MADE_BY
    with pytest.raises(AttributeError, match="NO_SUCH"):
        paths.NO_SUCH  # noqa: B018


def test_a_path_is_shown_relative_to_the_home_it_is_in(home):
    assert home.display_path(home.model_tf) == "models/model.keras"
    assert paths.display_path(home.model_tf) == "models/model.keras"
    assert home.display_path("/elsewhere/x") == "/elsewhere/x"
    assert Home(home.path / "other").display_path(home.model_tf) == str(home.model_tf)


def test_every_artifact_has_a_notebook_that_makes_it():
    for path, notebook in paths.MADE_BY.items():
        assert (paths.NOTEBOOKS_DIR / f"{notebook}.ipynb").is_file(), path


def test_missing_artifact_names_notebook_and_command(monkeypatch, home):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    with pytest.raises(MissingArtifact) as caught:
        paths.require(home.model_tf)
    assert str(caught.value).startswith("models/model.keras is missing: ")
    assert "04_larger_model.ipynb" in str(caught.value)
    assert str(caught.value).endswith(":\n\n    .venv/bin/workshop catch-up 05")
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("session", "number"),
    [
        ("notebooks/06_microcontroller.ipynb", "06"),
        ("/a/05_course/notebooks/06_microcontroller.ipynb-0d0f3f", "06"),
        ("notebooks/02_dataset.ipynb", "05"),
        ("notebooks/Untitled.ipynb", "05"),
        ("", "05"),
    ],
)
def test_the_command_is_for_the_notebook_at_work(monkeypatch, home, session, number):
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    with pytest.raises(MissingArtifact, match=rf"catch-up {number}$"):
        home.require(home.model_tf)


def test_the_command_names_a_home_that_is_not_the_default_one(home):
    other = Home(home.path / "an other")
    with pytest.raises(MissingArtifact) as caught:
        other.require(other.model_tf)
    command = f"terminal:\n\n    WORKSHOP_HOME='{other.path}' .venv/bin/workshop catch-up 05"
    assert str(caught.value).endswith(command)


def test_a_file_that_no_notebook_makes(home):
    with pytest.raises(MissingArtifact, match=r"^x/y\.txt is missing\.$"):
        home.require(home.path / "x" / "y.txt")


def test_require_returns_the_path_of_a_file_that_is_there(tmp_path):
    there = files.write(tmp_path / "deep" / "file.txt", "text")
    assert paths.require(there) == there
    assert there.read_text() == "text"


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder with the package alone, as a wheel installs it."""
    folder = tmp_path_factory.mktemp("alone")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(paths.PROJECT / "workshop_utils", folder / "workshop_utils", ignore=ignored)
    (folder / "spec.yml").write_text("mode: grid\nparameters:\n  SEED: [1]\n")
    write_run(folder / "a_run")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        *("run --only 02", "catch-up 05", "reset --dry-run", "report a_run", "class ."),
        *("firmware build", "firmware run --board emulator", "firmware flash --board pico"),
        "sweep spec.yml --output results",
    ],
)
def test_a_package_without_the_course_says_where_the_course_is(alone, words):
    result = subprocess.run(
        [sys.executable, "-m", "workshop_utils.cli", *words.split()],
        cwd=alone,
        env={**os.environ, "WORKSHOP_HOME": str(alone), "PYTHONPATH": str(alone)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 3, result.stderr
    assert "notebooks and firmware are not beside its package" in result.stderr
    assert result.stderr.endswith("\n\n    ./install.sh\n")


# ---- A project of one's own


def mark(folder):
    """What makes a folder a home; `workshop new` does it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / paths.MARKER).touch()
    return folder


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A folder to work in, and no WORKSHOP_HOME."""
    monkeypatch.delenv("WORKSHOP_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_marked_folder_is_the_home_of_whoever_works_in_it(monkeypatch, nowhere):
    outer, inner = mark(nowhere / "outer"), mark(nowhere / "outer" / "deep" / "inner")
    assert paths.home() == Home(paths.PROJECT)
    for folder, home in ((outer, outer), (inner.parent, outer), (inner, inner)):
        monkeypatch.chdir(folder)
        assert paths.home() == Home(home)
        assert home / "models" == paths.MODELS_DIR
    (inner / "output").mkdir()
    monkeypatch.chdir(inner / "output")
    assert paths.home() == Home(inner)
    monkeypatch.setenv("WORKSHOP_HOME", str(nowhere))
    assert paths.home() == Home(nowhere) and paths.home().own_notebook is None


def test_a_marked_folder_may_be_moved(monkeypatch, nowhere):
    mark(nowhere / "before").rename(nowhere / "after")
    monkeypatch.chdir(nowhere / "after")
    assert paths.home() == Home(nowhere / "after")


def test_the_course_within_a_marked_folder_stays_its_own_home(monkeypatch, nowhere):
    course = nowhere / "outer" / "course"
    monkeypatch.setattr(paths, "PROJECT", course)
    mark(nowhere / "outer")
    within = mark(course / "mine")
    (course / "notebooks").mkdir()
    for folder, home in (
        (course, course),
        (course / "notebooks", course),
        (within, within),
        (course.parent, course.parent),
    ):
        monkeypatch.chdir(folder)
        assert paths.home() == Home(home), folder


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder that is in use stays")
def test_the_working_folder_may_be_gone(monkeypatch, nowhere):
    gone = mark(nowhere / "gone")
    monkeypatch.chdir(gone)
    shutil.rmtree(gone)
    assert paths.home() == Home(paths.PROJECT)


@pytest.mark.skipif(sys.platform == "win32", reason="there files have no such owner")
def test_a_marker_of_somebody_else_is_none(monkeypatch, nowhere):
    """In a folder that all may write to, it would make others run what lies there."""
    marker = mark(nowhere) / paths.MARKER
    owner = marker.stat().st_uid
    if os.geteuid() == 0:
        owner = 4711
        os.chown(marker, owner, -1)
    for user, home in ((owner, nowhere), (owner + 1, paths.PROJECT), (0, nowhere)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert paths.home() == Home(home), user


def test_a_folder_of_the_markers_name_is_none(nowhere):
    (nowhere / paths.MARKER).mkdir()
    assert paths.home() == Home(paths.PROJECT)


def test_what_is_missing_in_a_project_of_ones_own_names_its_notebook(nowhere):
    own = Home(mark(nowhere / "own"))
    with pytest.raises(MissingArtifact) as caught:
        own.require(own.sensor_dir / "model.cc")
    sentence, command = str(caught.value).split("\n\n    ")
    assert "models/own_sensor/model.cc is missing: notebook own_sensor.ipynb makes it" in sentence
    assert command == f"WORKSHOP_HOME={own.path} {paths.program('workshop')} run"


def test_a_program_can_be_typed_wherever_the_course_lies(monkeypatch, tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    folder = tmp_path / 'it\'s "the" $course'
    folder.mkdir()
    (folder / "workshop").write_text("#!/bin/sh\necho called\n")
    (folder / "workshop").chmod(0o755)
    monkeypatch.setattr(paths.sysconfig, "get_path", lambda which: str(folder))
    printed = subprocess.run(["bash", "-c", paths.program("workshop")], stdout=subprocess.PIPE)
    assert printed.stdout == b"called\n"


def test_what_is_missing_of_a_sensor_is_made_by_its_notebook(home):
    with pytest.raises(MissingArtifact, match=r"notebook 10_own_sensor.ipynb makes it") as caught:
        home.require(home.sensor_dir / "model.cc")
    assert str(caught.value).endswith("\n\n    .venv/bin/workshop run --only 10")
