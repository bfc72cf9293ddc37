"""The committed notebooks: executed by nbval, and in the shape that this course gives them."""

import ast
import os
import re
import subprocess
import sys

import link_notebooks
import nbformat
import pytest
from notebook_factory import solutions
from patience import HUNG

from workshop_utils import exercises, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import notebooks

NOTEBOOKS = {path.name: nbformat.read(path, 4) for path in notebooks.notebooks().values()}
each = pytest.mark.parametrize("name", NOTEBOOKS)


def code(name):
    return [cell for cell in NOTEBOOKS[name].cells if cell.cell_type == "code"]


def prose(name):
    return "\n".join(c.source for c in NOTEBOOKS[name].cells if c.cell_type == "markdown")


def tags(cell):
    return cell.metadata.get("tags", [])


def test_nbval_accepts_every_notebook_in_order(tmp_path):
    """A fresh kernel each, all outputs compared but those that differ from machine to machine."""
    command = [sys.executable, "-m", "pytest", "--nbval", f"--nbval-cell-timeout={HUNG}", "-q"]
    result = subprocess.run(
        [
            *command,
            "-p",
            "no:cacheprovider",
            "--rootdir",
            tmp_path,
            *notebooks.notebooks().values(),
        ],
        env={**os.environ, "WORKSHOP_HOME": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-2000:]
    cells = sum(len(code(name)) for name in NOTEBOOKS)
    assert f"{cells} passed" in result.stdout
    assert all(path.exists() for path in Home(tmp_path).made_by)


@each
def test_something_is_compared(name):
    compared = [cell for cell in code(name) if "nbval-check-output" in tags(cell)]
    assert compared
    for cell in compared:
        assert cell.outputs, f"Nothing is stored to compare with: {cell.source}"


@each
def test_what_is_not_compared_says_so_and_is_shown(name):
    """A cell that ends in a semicolon has one output more in nbval's kernel than in JupyterLab's.

    What nbval ignores are times, versions, and what comes of training, whose last digits differ
    from processor to processor. That is a minority, and never an exercise or a check.
    """
    ignored = [cell for cell in code(name) if "nbval-ignore-output" in tags(cell)]
    assert all(cell.outputs for cell in ignored)
    assert not any({"nbval-check-output", "exercise"} & set(tags(cell)) for cell in ignored)
    assert 2 * len(ignored) <= sum(bool(cell.outputs) for cell in code(name))
    assert not [cell.source for cell in code(name) if cell.source.rstrip().endswith(";")]


@each
def test_is_kept_clean(name):
    for cell in code(name):
        counts = {cell.execution_count, *(one.get("execution_count") for one in cell.outputs)}
        assert counts == {None}, "It looks as if the reader had run it."
        assert "execution" not in cell.metadata and "papermill" not in cell.metadata
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr"
            text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            assert "/tmp/" not in text and "Warning" not in text and "\r" not in text
            assert len(text) < 2500, "Too much text for a committed notebook."
            assert not any("widget" in kind for kind in output.get("data", {}))
    assert not {"papermill", "widgets"} & set(NOTEBOOKS[name].metadata)


def test_together_they_are_small():
    assert sum(path.stat().st_size for path in notebooks.notebooks().values()) < 1_000_000


@each
def test_its_heading_says_whose_files_it_reads(name):
    """By that a run decides what may be at work together."""
    every = notebooks.notebooks()
    own = every[name[:2]]
    assert notebooks._needs(own) is not None, "It is not said in the course's way."
    sources = "\n".join(cell.source for cell in code(name))
    named = [getattr(paths, word) for word in re.findall(r"\bpaths\.([A-Z_]+)\b", sources)]
    makers = {maker for path, maker in paths.home().made_by.items() if path in named}
    assert makers <= {one.stem for one in [own, *notebooks.needed(own, every.values())]}


@each
def test_shape(name):
    cells = NOTEBOOKS[name].cells
    assert cells[0].source.startswith(f"# {int(name[:2])} · ")
    assert re.search(r"You will\n\n(- .*\n){3}", cells[0].source + "\n"), "Three goals on top."
    assert re.search(r"About \d+ minutes · needs: ", cells[0].source)
    titles = re.findall(r"^## (.+)$", prose(name), re.M)
    wanted = ["Set up", "Check", "Try it", "Recap"] if name[:2] != "01" else ["Set up", "Recap"]
    assert [title for title in titles if title in wanted] == wanted
    assert 18 <= len(cells) <= 60
    assert cells[-1].cell_type == "markdown" and cells[-1].source.startswith("## Recap")


@each
def test_code_cells_are_short_and_the_parameters_are_literals(name):
    for cell in code(name):
        assert len(cell.source.splitlines()) <= 14, cell.source
    (parameters,) = [cell for cell in code(name) if "parameters" in tags(cell)]
    for node in ast.parse(parameters.source).body:
        assert isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)


@each
def test_from_02_on_there_is_an_exercise_with_a_folded_solution_and_a_quiz(name):
    """Stubs get "Your turn". The solution ends with the check; a run executes it elsewhere."""
    checks = [cell for cell in code(name) if "exercise" in tags(cell)]
    quizzes = [cell for cell in checks if "exercises.quiz(" in cell.source]
    folded = solutions(paths.NOTEBOOKS_DIR / name)
    assert (bool(quizzes), len(folded)) == (name[:2] != "01",) * 2
    assert len(checks) - len(quizzes) == len(folded)
    for check in checks:
        assert output(check).splitlines()[-1].startswith(exercises.YOUR_TURN)
        before = code(name)[: code(name).index(check) + 1]
        assert any("# your turn" in stub.source for stub in before)
    for _, text in folded:
        assert any(text.endswith(check.source.splitlines()[-1]) for check in checks), text


def output(cell):
    return "".join(one.get("text", "") for one in cell.outputs)


@each
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", prose(name)):
        file, _, place = target.partition("#")
        if not target.startswith("http"):
            assert (paths.NOTEBOOKS_DIR / file).exists(), target
            headings = re.findall(r"(?m)^## (.+)$", paths.GLOSSARY.read_text().lower())
            assert not place or place.replace("-", " ") in headings, target
    order = list(NOTEBOOKS)
    here = order.index(name)
    for end in (NOTEBOOKS[name].cells[0].source, NOTEBOOKS[name].cells[-1].source):
        assert "[Contents](README.md)" in end
        if here:
            assert f"previous: [{title(order[here - 1])}]({order[here - 1]})" in end
        if here < len(order) - 1:
            assert f"next: [{title(order[here + 1])}]({order[here + 1]})" in end


def title(name):
    return NOTEBOOKS[name].cells[0].source.splitlines()[0].removeprefix("# ")


def test_the_links_are_what_the_script_makes(monkeypatch):
    monkeypatch.setattr("sys.argv", ["link_notebooks.py", "--check"])
    assert link_notebooks.main() == 0, "Run tools/link_notebooks.py."


def test_the_script_links_a_word_once_and_only_in_prose():
    sources = [
        "# 9 · Title\n\nprevious: [x](x.ipynb) | [Overview](../README.md)\n\ngoals",
        "# A loss\n\n`loss` [a loss](x.ipynb)\n\n    loss\n\n| loss |\n\nflossing **Losses** loss\n"
        "\nTensor arenas TensorFlow tensor",
        "## Recap\n\nloss [zero points](glossary.md#zero-point)\n\nNext: [10](10_x.ipynb)",
    ]
    cells = [{"cell_type": "markdown", "metadata": {}, "source": [text]} for text in sources]
    for _ in range(2):  # and the second time changes nothing
        link_notebooks.linked(cells, "[Contents](README.md)", ["tensor arena", "tensor", "loss"])
        texts = ["".join(cell["source"]) for cell in cells]
        assert texts == [
            "# 9 · Title\n\n[Contents](README.md)\n\ngoals",
            sources[1]
            .replace("Losses", "[Losses](glossary.md#loss)")
            .replace("Tensor arenas", "[Tensor arenas](glossary.md#tensor-arena)")
            .replace(" tensor", " [tensor](glossary.md#tensor)"),
            "## Recap\n\nloss zero points\n\n[Contents](README.md)",
        ]


def test_where_slides_begin():
    """With a heading, with prose after code, and before what answers a question."""
    wanted = {
        "# 9 · Title\n\ngoals": "slide",
        "## A\n\ntext": "slide",
        "text": None,
        "### B": "subslide",
        "x = 1": None,
        "y = 2": None,
        "more text": "subslide",
        'guess = None  # your turn: "a"': None,
        "print(guess)": "fragment",
        "z = 3": None,
        "## Recap\n\nend": "slide",
    }
    cells = [
        {"cell_type": "code" if " = " in text or "(" in text else "markdown", "source": [text],
         "metadata": {"slideshow": {"slide_type": "skip"}, "tags": ["a"]}}
        for text in wanted
    ]  # fmt: skip
    link_notebooks.linked(cells, "[Contents](README.md)", [])
    slides = [cell["metadata"].get("slideshow", {}).get("slide_type") for cell in cells]
    assert slides == list(wanted.values())
    assert all(cell["metadata"]["tags"] == ["a"] for cell in cells)


def test_every_word_of_the_glossary_is_linked():
    text, linked = paths.GLOSSARY.read_text(), "\n".join(map(prose, NOTEBOOKS))
    words = re.findall(r"(?m)^## (.+)$", text)
    assert words == sorted(words, key=str.casefold) and 12 <= len(words) <= 30
    for word in words:
        place = word.lower().replace(" ", "-")
        assert f"(glossary.md#{place})" in linked, word
        assert re.search(rf"## {word}\n\n[A-Z].{{30,}}\n", text), word
        # GitHub makes the place of the heading, in small letters; JupyterLab leaves its capitals.
        assert word.replace(" ", "-") == place or f'<a id="{place}"></a>\n\n## {word}' in text


def test_the_contents_name_every_notebook_and_the_project():
    text = link_notebooks.CONTENTS.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (paths.NOTEBOOKS_DIR / target).exists(), target
    assert all(f"]({name})" in text for name in NOTEBOOKS)
    assert "](../README.md)" in text and "](glossary.md)" in text
    project = (paths.PROJECT / "README.md").read_text(encoding="utf-8")
    assert all(f"](notebooks/{name})" in project for name in NOTEBOOKS)


def test_markdown_needs_no_mathjax():
    for name in NOTEBOOKS:
        assert "$" not in prose(name), name


BAD_VALUES = [-1, "many", 1e9, 10**9, None]
BAD_PARAMETERS = [
    pytest.param(path.name, name, bad, id=f"{path.stem[:2]}-{name}-{bad!r}")
    for path in notebooks.notebooks().values()
    for name in notebooks.parameters(path)
    for bad in BAD_VALUES
    if (name, bad) != ("SEED", 10**9)  # a seed may be that large
    or isinstance(bad, float)
]


@pytest.mark.parametrize(("name", "parameter", "bad"), BAD_PARAMETERS)
def test_a_value_that_cannot_work_is_refused_in_the_first_cell(name, parameter, bad):
    scope, after = {}, None
    with pytest.raises(WorkshopError, match=f"^{parameter} is .*must be") as refused:
        for cell in code(name):
            if after is not None:
                after += 1
            exec(compile(cell.source, name, "exec"), scope)
            if "parameters" in tags(cell):
                scope[parameter], after = bad, 0
    assert after == 1, "Something else ran before the parameters were checked."
    assert "\n" not in str(refused.value)
