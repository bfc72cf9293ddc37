"""What tests of a run share: a course that takes a second, and a home that is complete."""

import pytest
from notebook_factory import write_notebook

from workshop_utils import paths
from workshop_utils.running import catchup


@pytest.fixture
def small_course(tmp_path, monkeypatch):
    """Two tiny notebooks in the place of the course's own, and a home in that of the project."""
    monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path / "home"))
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", folder)
    parameters = 'SEED = 1\nRATE = 0.5\nLOUD = False\nNAME = "sine"'
    write_notebook(folder / "01_first.ipynb", (parameters, "parameters"), "print(SEED, RATE)")
    write_notebook(folder / "02_second.ipynb", ("SEED = 2", "parameters"), "print('second', SEED)")
    return folder


@pytest.fixture
def reference_home(home):
    """The reference artifacts in a home of their own."""
    catchup.fill_in("06", home=home)
    return home
