"""The documents' figures: those that are the same on every machine are those that are measured."""

import re

import nbformat
import pytest
import readme

import firmware
from workshop_utils import paths

PAGES = ("*.md", "docs/*.md", "firmware/*.md", "hub/*.md", "notebooks/*.md")

# What has a unit and is no measurement: of hardware, of a format, of a rule.
FACTS = {"2 kB", "14 lines", "256 answers", "256 bytes", "32 bytes"}
UNITS = r"kB|bytes|instructions|clock cycles|answers|models|lines"
COMMAND = re.compile(r"`[^`]*((benchmarks|tests|tools)/\w+|workshop )")


def texts():
    """{path: paragraphs} of all documents, and of what notebooks say."""
    pages = [path for pattern in PAGES for path in paths.PROJECT.glob(pattern)]
    found = {path: path.read_text(encoding="utf-8") for path in pages}
    for path in paths.NOTEBOOKS_DIR.glob("*.ipynb"):
        cells = nbformat.read(path, as_version=4).cells
        found[path] = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    return {path: re.split(r"\n\s*\n", text) for path, text in found.items()}


def nameless(paragraph):
    """The figures of a paragraph that names no command and is no place of readme.FIGURES."""
    found = re.findall(rf"(?<![\w.,-])\d[\d,.]* (?:{UNITS})\b", paragraph)
    kept = COMMAND.search(paragraph) or any(
        re.search(figure.pattern, paragraph, re.DOTALL) for figure in readme.FIGURES
    )
    return [] if kept else [figure for figure in found if figure not in FACTS]


def test_every_figure_has_its_command_beside_it():
    found = {
        (path.name, figure)
        for path, paragraphs in texts().items()
        for paragraph in paragraphs
        for figure in nameless(paragraph)
    }
    assert not found


@pytest.mark.parametrize("text", ["It takes 1,234 bytes.", "In 3.5 kB\nof flash", "a 76 models"])
def test_a_figure_without_a_command_is_noticed(text):
    assert nameless(text) and not nameless(f"{text} (`benchmarks/firmware.py`)")


def test_the_readmes_table_names_a_command_in_each_line():
    text = (paths.PROJECT / "README.md").read_text(encoding="utf-8")
    table = text.partition("| | | measured with |\n")[2].partition("\n\n")[0]
    lines = table.splitlines()[1:]
    assert len(lines) > 6
    assert all(re.search(r"\| (`(benchmarks|tests)/.*`|notebook \d) \|$", line) for line in lines)


def test_the_documents_say_what_was_measured():
    old = [str(path) for path, (before, now) in readme.updated().items() if before != now]
    assert not old, "out of date: .venv/bin/python benchmarks/readme.py writes them"


def test_a_figure_is_changed_where_it_stands():
    figure = readme.Figure("a.md", r"takes (\d+) of ([\d,]+) bytes", lambda: ("8", "9,000"))
    assert figure.updated("It takes 123 of 4 bytes.\n") == "It takes 8 of 9,000 bytes.\n"
    for text in ("nothing", "takes 1 of 2 bytes, takes 3 of 4 bytes"):
        with pytest.raises(ValueError, match=r"^a\.md has .* (0|2) times, not once\.$"):
            figure.updated(text)


def test_a_marked_table_is_replaced_as_a_whole():
    table = readme.markdown(["a", "b"], [["1", "2"]])
    figure = readme.Figure("a.md", readme.marked("x"), lambda: (table,))
    text = figure.updated("<!-- x -->\n\n| old |\n\n<!-- end -->\n<!-- end -->\n")
    assert (
        text == "<!-- x -->\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n<!-- end -->\n<!-- end -->\n"
    )
    assert figure.updated(text) == text


@pytest.mark.parametrize("board", ["emulator", "pico"])
@pytest.mark.parametrize("engine", ["compact", "generated"])
def test_the_stored_table_is_what_the_firmware_takes(board, engine, home):
    """Zig is pinned, so it compiles the same everywhere."""
    model = paths.REFERENCE_DIR / "model.tflite"
    row = firmware.board_row(board, engine, "zig", "-O2", model, home)
    stored = readme.board(engine, board)
    assert dict(zip(firmware.BOARD_COLUMNS, row, strict=True)) == stored, (
        "out of date: .venv/bin/python benchmarks/firmware.py --csv measures it anew"
    )
