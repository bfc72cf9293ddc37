"""Tables in notebooks, read back from their HTML as a browser would, and asked of a kernel."""

import json
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from workshop_utils import paths, tables

LONG = "a sentence that goes on for longer than the fifty characters that pandas shows <i>of it</i>"


class Cells(HTMLParser):
    """The rows of a table: a list of (text, whether it is set to the left) each."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.open = [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.open = True
            self.rows[-1].append(["", "left" in dict(attributes).get("style", "")])

    def handle_endtag(self, tag):
        self.open = self.open and tag not in ("th", "td")

    def handle_data(self, data):
        if self.open:
            self.rows[-1][-1][0] += data


def rows(frame):
    return Cells(tables.html(frame)).rows


def left(frame):
    """For each row, which of its cells are set to the left."""
    return [[on_left for _, on_left in row] for row in rows(frame)]


def test_words_are_at_the_left_and_whole_and_figures_at_the_right():
    columns = {"what": ["a", LONG], "n": [1, 2], "bytes": ["6,779 bytes", "-3"]}
    columns["of"] = ["5 of 5", "1 of 5"]
    frame = pd.DataFrame(columns, index=pd.Index(["one\n<td>", "other"], name="which"))
    assert left(frame) == [[True, True, False, False, False]] * 4  # names, index's name, two rows
    assert [row[1][0] for row in rows(frame)] == ["what", "", "a", LONG]


def test_numbers_alone_stay_as_pandas_sets_them():
    frame = pd.DataFrame(np.eye(3))
    assert tables.html(frame) == frame._repr_html_()


@pytest.mark.parametrize(
    "values",
    [[], [None, "a"], [("a",), ("b",)], [1, "a"], [np.nan, np.nan], ["1", "2"]],
)
def test_what_is_not_all_words_is_no_column_of_words(values):
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    assert not any(any(row) for row in left(frame))


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({("a", "b"): ["x"]}),
        pd.DataFrame({"a": ["x"]}, index=pd.MultiIndex.from_tuples([("x", "y")])),
        pd.DataFrame([["x"] * 50]),
    ],
)
def test_other_tables_are_left_to_jupyter(frame):
    with pd.option_context("display.max_columns", 20):  # as in a notebook
        assert tables.html(frame) == frame._repr_html_()


def test_of_a_long_table_the_middle_is_left_out_as_ever():
    frame = pd.DataFrame({"a": ["word"] * 1000, "b": 1})
    assert "1000 rows × 2 columns" in tables.html(frame)
    assert all(row[:2] == [False, True] for row in left(frame))


def test_pandas_may_be_told_to_make_none():
    with pd.option_context("display.notebook_repr_html", False):
        assert tables.html(pd.DataFrame({"a": ["x"]})) is None


def test_a_kernel_shows_them_so_and_starts_without_pandas():
    """In an IPython with the project's settings; a table's class of one's own counts, too."""
    settings = paths.PROJECT / "jupyter" / "etc" / "ipython" / "ipython_kernel_config.json"
    extensions = json.loads(settings.read_text())["InteractiveShellApp"]["extensions"]
    code = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
for name in {extensions!r}: shell.extension_manager.load_extension(name)
print("pandas" in sys.modules)
import pandas as pd
class Own(pd.DataFrame): pass
for kind in (pd.DataFrame, Own):
    print("left" in shell.display_formatter.format(kind({{"a": ["x"]}}))[0]["text/html"])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["False", "True", "True"], result.stderr
