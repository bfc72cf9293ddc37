"""The notebooks in the hands of other programs than the course's own, as their documents call them.

Notebook 2 stands for all: it makes an artifact, and needs neither one nor TensorFlow.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from notebook_factory import printed
from patience import HUNG

from workshop_utils import data, paths
from workshop_utils.paths import Home
from workshop_utils.running import notebooks

NOTEBOOK = paths.NOTEBOOKS_DIR / "02_dataset.ipynb"


def program(name):
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def call(tmp_path, name, *words):
    """Run a program of the environment in a folder that has nothing to do with the course."""
    for _ in range(5):
        result = subprocess.run(
            [program(name), *map(str, words)],
            cwd=tmp_path,
            env={**os.environ, "WORKSHOP_HOME": str(tmp_path / "home")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HUNG,
        )
        # These programs choose ports for a kernel before it listens there. Somebody may be quicker.
        if "Address already in use" not in result.stderr:
            break
    assert result.returncode == 0, result.stderr[-3000:]
    return result


def samples(tmp_path):
    """How many there are in the dataset that a program's run has left in the home."""
    dataset = data.load(Home(tmp_path / "home").dataset)
    return sum(part.size for part in (dataset.x_train, dataset.x_test, dataset.x_validate))


def test_papermill(tmp_path):
    """With values from a file and from the command, in a folder that it is given."""
    (tmp_path / "values.yml").write_text("SAMPLES: 200\nSEED: 7\n")
    words = "-f values.yml -p NOISE 0.0 --cwd ."
    call(tmp_path, "papermill", NOTEBOOK, "executed.ipynb", *words.split())
    assert samples(tmp_path) == 200 and "120 samples" in printed(tmp_path / "executed.ipynb")
    made, wanted = data.load(Home(tmp_path / "home").dataset), data.split(*data.make(200, 0.0, 7))
    assert all(map(np.array_equal, made, wanted))


FROM_PYTHON = """
import os, papermill, sys
for samples in (2, 200):
    try:
        papermill.execute_notebook(sys.argv[1], f"{samples}.ipynb",
                                   parameters={"SAMPLES": samples}, progress_bar=False)
    except papermill.PapermillExecutionError as error:
        print(error, "made:", os.path.exists(os.environ["WORKSHOP_HOME"]))
"""


def test_papermill_from_python_and_a_parameter_that_cannot_work(tmp_path):
    said = call(tmp_path, "python", "-c", FROM_PYTHON, NOTEBOOK).stdout
    assert "SAMPLES is 2, but must be from 10" in said and said.count("made: False") == 1
    assert samples(tmp_path) == 200 and "120 samples" in printed(tmp_path / "200.ipynb")


def test_jupyter_execute(tmp_path):
    copy = Path(shutil.copy(NOTEBOOK, tmp_path))  # in place is where it stores the results
    call(tmp_path, "jupyter-execute", "--inplace", copy)
    assert samples(tmp_path) == 1000 and "600 samples" in printed(copy)


def test_nbconvert(tmp_path):
    words = ["--execute", "--to", "html", "--output-dir", tmp_path, NOTEBOOK]
    call(tmp_path, "jupyter-nbconvert", *words)
    assert samples(tmp_path) == 1000 and "600 samples" in (tmp_path / "02_dataset.html").read_text()


@pytest.mark.parametrize("path", notebooks.notebooks().values(), ids=lambda path: path.stem[:2])
def test_jupytext_there_and_back(tmp_path, path):
    """Cells and tags survive, so that the script can be edited in place of the notebook."""
    copy = Path(shutil.copy(path, tmp_path))
    call(tmp_path, "jupytext", "--to", "py:percent", copy, "-o", "script.py")
    call(tmp_path, "jupytext", "--to", "ipynb", "script.py", "-o", "again.ipynb")
    there, back = (nbformat.read(one, 4).cells for one in (copy, tmp_path / "again.ipynb"))
    facts = [
        [(c.cell_type, c.source, c.metadata.get("tags")) for c in one] for one in (there, back)
    ]
    assert facts[0] == facts[1]


def test_nbdime_sees_a_change_of_a_cell_and_no_other(tmp_path):
    copy, content = tmp_path / "copy.ipynb", json.loads(NOTEBOOK.read_text())
    assert call(tmp_path, "nbdiff", NOTEBOOK, NOTEBOOK).stdout == ""
    content["cells"][3]["source"] = ["SEED = 2"]
    copy.write_text(json.dumps(content))
    assert "SEED = 2" in call(tmp_path, "nbdiff", NOTEBOOK, copy).stdout
