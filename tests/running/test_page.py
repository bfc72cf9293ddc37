"""The page of a run, made of its executed notebooks and its record."""

import base64
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import nbformat
import pytest
from click.testing import CliRunner
from record_factory import (
    HOSTILE,
    MARKUP,
    elements,
    harmful,
    hostile_run,
    moves_the_cursor,
    record,
    write_notebook,
    write_run,
)

from workshop_utils import paths
from workshop_utils.cli import main
from workshop_utils.errors import WorkshopError
from workshop_utils.running import page


def test_the_page_is_made_again(tmp_path):
    folder = write_run(tmp_path / "a run")
    result = CliRunner().invoke(main, ["report", str(folder)])
    assert result.exit_code == 0 and str(folder / "report.html") in result.stdout
    text = (folder / "report.html").read_text()
    assert text.index("has learned the sine") < text.index("text of 03_small_model")
    assert "&lt;div" not in text and '<p class="verdict">' in text, "The summary is not HTML."
    assert not re.findall(r'<(?:script|img|link)[^>]*(?:src|href)="(?!data:)[^"]+"', text)


def test_without_a_record_there_is_no_summary(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "run.json").unlink()
    again = page.rebuild(folder).read_text()
    assert "text of 04_larger_model" in again and "verdict" not in again


def test_nothing_to_make_a_page_of(tmp_path):
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 1 and "There are no executed notebooks in" in result.stderr


def test_a_file_that_is_no_notebook_is_named(tmp_path):
    folder = write_run(tmp_path / "run")
    for content in ("", "[]", "{}", '{"cells": 1, "metadata": {}, "nbformat": 4}'):
        (folder / "03_small_model.ipynb").write_text(content)
        with pytest.raises(WorkshopError, match=r"03_small_model\.ipynb is (damaged|empty|not a)"):
            page.rebuild(folder)


def test_a_name_that_no_file_can_have(tmp_path):
    folder = write_run(tmp_path / "run")
    content = record()
    content["notebooks"].append({"name": "9" * 5000, "status": "ok", "seconds": 1.0})
    (folder / "run.json").write_text(json.dumps(content))
    result = CliRunner().invoke(main, ["report", str(folder)])
    assert result.exit_code == 0, result.output
    assert "text of 04_larger_model" in (folder / "report.html").read_text()


def test_a_file_of_brackets_is_no_notebook(tmp_path):
    (tmp_path / "04_bad.ipynb").write_text("[" * 100_000)
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 1 and "04_bad.ipynb is damaged: it is no notebook" in result.stderr


def test_ids_of_cells_that_are_there_twice_or_not_at_all(tmp_path, recwarn):
    """The ids are those of the page, whatever the notebooks have."""
    content = {"cell_type": "markdown", "metadata": {}, "source": "a text"}
    for name, ids in {"01_a": ["x", "x"], "02_b": ["x"], "03_c": [None]}.items():
        cells = [content | ({"id": one} if one else {}) for one in ids]
        notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook))
    result = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert result.exit_code == 0 and not result.stderr and not recwarn.list
    text = (tmp_path / "report.html").read_text()
    ids = re.findall(r' id="(cell-id=[^"]*)"', text)
    assert text.count("a text") == 4 and len(ids) == len(set(ids))


def test_the_page_knows_what_it_shows(tmp_path):
    folder = write_run(tmp_path / "run")
    made = page.rebuild(folder)
    first, second = sorted(folder.glob("*.ipynb"))
    assert page.shows(made, [first, second])
    assert not page.shows(made, [first]) and not page.shows(made, [second, first])
    assert not page.shows(folder / "other.html", [first, second])


def test_links_between_files_become_links_within_the_page(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    text = "[a](02_b.ipynb) [b](09_no.ipynb) [c](glossary.md#flat-buffer) [d](../README.md)"
    text += " [e](../firmware/engine/engine.cc)"
    write_notebook(folder / "01_a.ipynb", [nbformat.v4.new_markdown_cell(text)])
    write_notebook(folder / "02_b.ipynb")
    made = page.rebuild(folder).read_text()
    for link in ('"#02_b">a<', '"#glossary-flat-buffer">c<', '"#contents">d<'):
        assert link in made
    assert "09_no" not in made and "engine.cc" not in made


def test_solutions_are_folded_and_nothing_else(tmp_path):
    text = "<details>\n<summary>Solution</summary>\n\n```python\nx = 'one'\n```\n\n</details>"
    cells = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell("x = 'other'")]
    write_notebook(tmp_path / "01_a.ipynb", cells)
    made = page.rebuild(tmp_path).read_text(encoding="utf-8")
    (folded,) = re.findall(r"(?s)<details>(.*?)</details>", made)
    assert "one" in folded and "<pre>" in folded and "other" not in folded


# ---- What comes from other computers


def test_no_text_of_a_record_is_markup_in_its_page(tmp_path):
    pages = []
    for text in (HOSTILE, "harmless"):
        folder = write_run(tmp_path / text[-8:], hostile_run(text))
        result = CliRunner().invoke(main, ["report", str(folder)])
        assert result.exit_code == 0 and not moves_the_cursor(result.output)
        pages.append((folder / "report.html").read_text(encoding="utf-8"))
    hostile, harmless = pages
    assert elements(hostile) == elements(harmless)
    assert not harmful(hostile)
    summary = hostile[hostile.index('<div class="run">') : hostile.index("Contents</h2>")]
    assert not moves_the_cursor(summary)
    assert summary.count("&lt;script&gt;") > 10 and "<h1" not in summary


def test_the_name_of_a_notebook_is_no_markup(tmp_path):
    name = f"03_{MARKUP}".replace("/", "|")
    made = write_run(tmp_path / "run", hostile_run("x"))
    write_notebook(made / f"{name}.ipynb", [nbformat.v4.new_markdown_cell("text")])
    (made / "run.json").unlink()
    text = page.rebuild(made).read_text(encoding="utf-8")
    assert not harmful(text) and "&lt;script&gt;alert(1)" in text


def test_no_metadata_of_an_executed_notebook_is_markup(tmp_path):
    picture = nbformat.v4.new_output(
        "display_data",
        {"image/png": "iVBORw0KGgo=", "text/plain": HOSTILE},
        metadata={"image/png": {"width": HOSTILE, "height": HOSTILE}, HOSTILE: HOSTILE},
    )
    cell = nbformat.v4.new_code_cell(
        HOSTILE,
        execution_count=1,
        outputs=[picture, nbformat.v4.new_output("stream", name="stdout", text=HOSTILE)],
        metadata={"tags": ["exercise", HOSTILE], "name": MARKUP, HOSTILE: HOSTILE},
    )
    write_notebook(
        tmp_path / "01_a.ipynb",
        [cell],
        title=HOSTILE,
        authors=[{"name": HOSTILE}],
        language_info={"name": HOSTILE, "pygments_lexer": HOSTILE, "mimetype": HOSTILE},
        widgets={"application/vnd.jupyter.widget-state+json": {"state": {HOSTILE: HOSTILE}}},
    )
    text = page.rebuild(tmp_path).read_text(encoding="utf-8")
    assert not harmful(text) and "<title>Workshop</title>" in text
    assert not moves_the_cursor(text) - {"\t", "\xa0"}


WORDS = 'A wave: "high" at x < 2 & low'
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>An LED</title></svg>'


def pictures(path):
    """A notebook with a picture of each kind that has words, and one that has none."""
    outputs = [
        nbformat.v4.new_output(
            "display_data", {kind: content, "text/plain": "plain"}, metadata=about
        )
        for kind, content, about in (
            ("image/png", "iVBORw0KGgo=", {"image/png": {"alt": WORDS}}),
            ("image/svg+xml", SVG, {"image/svg+xml": {"alt": "An LED"}}),
            ("image/png", "iVBORw0KGgo=", {"image/png": {"alt": ["no", "text"]}}),
        )
    ]
    write_notebook(path, [nbformat.v4.new_code_cell("1", execution_count=1, outputs=outputs)])
    return path


def alternatives(text):
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            if tag == "img":
                found.append(dict(attributes)["alt"])

    Parser().feed(text)
    return found


def test_pictures_have_their_alternative_text_in_the_page(tmp_path):
    pictures(tmp_path / "01_a.ipynb")
    text = page.rebuild(tmp_path).read_text(encoding="utf-8")
    assert alternatives(text) == [
        WORDS,
        "An LED",
        "No description has been provided for this image",
    ]
    assert base64.b64encode(SVG.encode()).decode() in text


def test_nbconvert_shows_it_with_the_settings_of_the_project(tmp_path):
    settings = paths.PROJECT / "jupyter" / "etc" / "jupyter" / "jupyter_nbconvert_config.json"
    # Both in one process: to import it takes longer than to convert a notebook.
    code = (
        "import sys; from workshop_utils import upstream; upstream.import_nbformat()\n"
        "from nbconvert.nbconvertapp import NbConvertApp\n"
        "for kind in ('html', 'slides'):\n"
        "    NbConvertApp.launch_instance(['--to', kind, *sys.argv[1:]])\n"
        "    NbConvertApp.clear_instance()"
    )
    options = [f"--config={settings}", "--log-level=ERROR", pictures(tmp_path / "01_a.ipynb")]
    subprocess.run([sys.executable, "-c", code, *options], check=True)
    results = sorted(tmp_path.glob("*.html"))
    assert [path.name for path in results] == ["01_a.html", "01_a.slides.html"]
    for result in results:
        assert alternatives(result.read_text(encoding="utf-8"))[:2] == [WORDS, "An LED"]


def test_no_alternative_text_of_a_notebook_is_markup(tmp_path):
    output = nbformat.v4.new_output(
        "display_data", {"image/png": HOSTILE}, metadata={"image/png": {"alt": HOSTILE}}
    )
    cell = nbformat.v4.new_code_cell("1", execution_count=1, outputs=[output])
    write_notebook(tmp_path / "01_a.ipynb", [cell])
    text = page.rebuild(tmp_path).read_text(encoding="utf-8")
    assert [one for one in elements(text) if one[0] == "img"] == [("img", "alt", "src")]
    assert all((one[0], one[1]) in {("img", "alt"), ("img", "src")} for one in harmful(text))
