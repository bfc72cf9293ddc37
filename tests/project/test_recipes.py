"""Two recipes of the documents, followed on a copy of the project so that they stay true.

The commands are taken from the documents as they stand there.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from workshop_utils import paths

BIN = Path(sys.executable).parent
PYTEST = ".venv/bin/pytest -q -p no:cacheprovider -p no:nbval"  # as install.sh calls it
NAME = "99_turns.ipynb"


@pytest.fixture
def copy(tmp_path):
    """The project's files in a folder of their own."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    found = [name for name in names if name and (paths.PROJECT / name).is_file()]
    if not found:
        pytest.skip("this is no git clone, so nobody knows which files are the project's")
    for name in found:
        target = tmp_path / "copy" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(paths.PROJECT / name, target)
    return tmp_path / "copy"


def call(line, copy):
    """Run a command as it is written, with this environment's programs, on the copy's package."""
    words = shlex.split(line, comments=True)
    if words[:2] == ["./install.sh", "--test"]:  # which sets up first, and then calls pytest
        words = [*PYTEST.split(), *words[2:]]
    program = shutil.which(words[0].removeprefix(".venv/bin/"), path=str(BIN))
    assert program, f"There is no {words[0]}."
    environment = {**os.environ, "PYTHONPATH": str(copy), "WORKSHOP_HOME": ""}
    environment["UV_PYTHON_DOWNLOADS"] = "never"  # to lock takes no other Python
    return subprocess.run(
        [program, *words[1:]], cwd=copy, env=environment, capture_output=True, text=True
    )


def succeeds(line, copy):
    result = call(line, copy)
    assert result.returncode == 0, (line, result.stdout[-4000:], result.stderr[-2000:])
    return result


def commands(text):
    return re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)


# ---- Add a notebook

# What else looks at all notebooks, and takes no time.
OTHERS = [
    "tests/running/test_notebooks.py",
    "tests/running/test_catchup.py::test_a_notebook_that_does_not_exist",
    "tests/running/test_catchup.py::test_how_much_the_others_need",
    "tests/running/test_catchup.py::test_the_reference_has_all_that_later_notebooks_need",
    "tests/project/test_docs.py::test_its_links_lead_somewhere",
    "tests/project/test_docs.py::test_the_files_that_it_names_are_there",
]

CHECK = "print(exercises.turns(answer, TURNS))"
FUNCTION = '''

def turns(answer: Any, wanted: int) -> str:
    """Notebook 99: how many degrees are so many turns? None is the stub."""
    if answer is None:
        return YOUR_TURN + "replace None by a number of degrees."
    if answer == 360 * wanted:
        return RIGHT + "a turn has 360 degrees."
    return NOT_YET + "how many degrees has one turn?"


QUIZZES["turns"] = Quiz(
    {"a": ("", "that is a quarter."), "b": ("once around.", ""), "c": ("", "that is a half.")},
    lambda _: "b",
)
'''
SOLUTION = f"""\
<details>
<summary>Solution</summary>

A turn has so many degrees.

```python
answer = 360 * TURNS
{CHECK}
```

</details>"""
QUIZ = 'guess = None  # your turn: "a", "b" or "c"\nprint(exercises.quiz(guess, "turns"))'

TOP = """\
# 99 · Turns

You will

- turn once,
- turn again,
- count the turns.

About 5 minutes · needs: notebook 2"""
END = "## Recap\n\nYou\n\n- turned once,\n- turned again,\n- know how many turns these were."
SUBJECT = [
    ("text", "## 1. Degrees\n\nA turn goes all the way round."),
    ("code", "degrees = 360 * TURNS\ndegrees"),
    ("text", "So many degrees, and back at the start."),
]


def notebook():
    """Cells in the order of the recipe's table."""
    cells = [
        ("text", TOP),
        ("text", "## Set up"),
        ("code", "import numpy as np\n\nfrom workshop_utils import data, errors, exercises, paths"),
        ("code", "TURNS = 3", "parameters"),
        ("code", 'errors.require_int("TURNS", TURNS, 1, 100)'),
        *3 * SUBJECT,
        ("code", QUIZ, "exercise"),
        ("text", "## Check\n\nNotebook 2 has left a whole turn."),
        (
            "code",
            "x = data.load(paths.DATASET).x_train\n"
            'assert np.ptp(x) > 6, "The dataset is no turn."\n'
            'print("one turn of", x.size, "samples")',
            "nbval-check-output",
        ),
        ("text", "## Try it\n\nHow many degrees are all the turns?"),
        ("code", "answer = None  # your turn"),
        ("code", CHECK, "exercise"),
        ("text", SOLUTION),
        ("text", END),
    ]
    kernel = {"name": "python3", "display_name": "Python 3"}
    made = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    for kind, source, *tags in cells:
        new = nbformat.v4.new_code_cell if kind == "code" else nbformat.v4.new_markdown_cell
        made.cells.append(new(source, metadata={"tags": tags} if tags else {}))
    return made


def test_a_notebook_made_by_the_recipe_passes_the_tests_of_notebooks(copy):
    nbformat.write(notebook(), copy / "notebooks" / NAME)
    with (copy / "workshop_utils" / "exercises.py").open("a", encoding="utf-8") as file:
        file.write(FUNCTION)
    readme = copy / "README.md"
    before = readme.read_text(encoding="utf-8")
    (last,) = re.findall(r"^\| \[.*\(notebooks/.*\n(?=\n)", before, re.MULTILINE)
    line = f"| [99 · Turns](notebooks/{NAME}) | turn | |\n"
    readme.write_text(before.replace(last, last + line), encoding="utf-8")

    recipe = (copy / "docs" / "architecture.md").read_text(encoding="utf-8")
    recipe = recipe.partition("**Add a notebook.**")[2].partition("\n**")[0]
    *make, test = (one.replace("NN", "99") for one in commands(recipe))
    assert "refresh_notebooks" in make[1] and "link_notebooks" in make[2]
    reference = snapshot(copy / "workshop_utils" / "reference")
    for one in make:
        succeeds(one, copy)
    assert snapshot(copy / "workshop_utils" / "reference") == reference
    assert f"]({NAME}) | 5 minutes | notebook 2 |" in (copy / "notebooks/README.md").read_text()

    # All that looks at the new one, and at all of them without running them.
    passed = succeeds(f"{test} {' '.join(OTHERS)} -k 'not nbval and (99 or not value)'", copy)
    assert re.search(r"\d\d passed", passed.stdout) and "failed" not in passed.stdout
    succeeds(".venv/bin/ruff check --no-cache notebooks", copy)

    succeeds(".venv/bin/workshop catch-up 99", copy)
    succeeds(".venv/bin/workshop run --only 99 -p TURNS 5", copy)
    page = (copy / "output" / "report.html").read_text(encoding="utf-8")
    assert "1800" in page and "A turn has so many degrees." in page


def snapshot(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---- Raise a dependency


def test_locking_as_the_page_says_leaves_the_locks_as_they_are(copy):
    """Also after an entry was lost, or else it would be equal without having been made."""
    page = (copy / "docs" / "maintaining.md").read_text(encoding="utf-8")
    (stretch,) = re.findall(r"<!-- The re-locking.*?<!-- End of the re-locking", page, re.DOTALL)
    lines = commands(stretch)
    locks = {name: (copy / name).read_text() for name in (line.split()[-1] for line in lines)}
    assert set(locks) == {"requirements.lock", "requirements-dev.lock"}
    for name, text in locks.items():
        without = re.sub(r"(?m)^click==.*\n(?: +.*\n)+", "", text)
        assert len(without) < len(text)
        (copy / name).write_text(without)
    for line in lines:
        result = call(line, copy)
        if result.returncode and "error sending request" in result.stderr:
            pytest.skip("no network: uv asks the package index for versions")
        assert result.returncode == 0, (line, result.stderr)
    assert {name: (copy / name).read_text() for name in locks} == locks
    passed = succeeds(f"{PYTEST} tests/project/test_versions.py", copy).stdout
    assert re.search(r"\d\d passed", passed)
