"""Tables of pandas in notebooks: words at the left of their column, and none of them cut off.

An extension of IPython, which jupyter/etc/ipython loads when a kernel starts. pandas cuts a text
off after 50 characters, and Jupyter sets every column to the right, as is good for numbers alone.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_LEFT = ' style="text-align: left"'


def load_ipython_extension(shell: Any) -> None:
    """What IPython calls. It imports no pandas: IPython waits until there is a table."""
    shell.display_formatter.formatters["text/html"].for_type_by_name("pandas", "DataFrame", html)


def html(frame: "pd.DataFrame") -> str | None:
    """A table as HTML for a notebook; None where pandas is told to make none.

    Columns of words are set to the left. Of a table with more than one level of names, or with too
    many columns to show, all are left to Jupyter.
    """
    import pandas as pd

    with pd.option_context("display.max_colwidth", None):
        text: str | None = frame._repr_html_()  # type: ignore[operator]
    many = frame.shape[1] > (pd.get_option("display.max_columns") or frame.shape[1])
    if text is None or many or frame.index.nlevels > 1 or frame.columns.nlevels > 1:
        return text
    columns = (frame.iloc[:, number] for number in range(frame.shape[1]))
    left = [_is_words(frame.index), *map(_is_words, columns)]
    lines, column = text.split("\n"), 0
    for number, line in enumerate(lines):  # one per cell; what is in a cell is escaped
        cell = line.lstrip()
        if cell.startswith("<tr"):
            column = 0
        elif cell.startswith(("<th>", "<td>")):
            if left[column]:
                lines[number] = line.replace(cell[:3], cell[:3] + _LEFT, 1)
            column += 1
    return "\n".join(lines)


def _is_words(values: "pd.Series | pd.Index") -> bool:
    """Whether a column is texts that are no figures, such as '6,779 bytes' or '5 of 5'."""
    texts = [one for one in values if isinstance(one, str)]
    figures = sum(one.lstrip("+-")[:1].isdigit() for one in texts)
    return bool(texts) and len(texts) == len(values) and figures < len(texts)
