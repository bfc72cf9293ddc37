"""What the firmware prints on its console: a table, remarks, and how it ended."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workshop_utils.device.ranges import SINE
from workshop_utils.errors import WorkshopError

if TYPE_CHECKING:
    import pandas as pd

END = "# end"
# What follows these is why the program ended before its end.
_STOPPED, _FAULTED = "# stopped: ", "# fault: "
LAST_LINES = (END, _STOPPED, _FAULTED)  # how the last line of a program begins

ROWS_BEGIN = tuple("-0123456789")  # what a line of the table begins with

HEADER = re.compile(r"x,y,led|q_in\d*(,q_in\d+)*,q_out\d*(,q_out\d+)*")


def parse_console(text: str) -> "pd.DataFrame":
    """The table that a program printed, as a pandas DataFrame with the columns of its header.

    text: the header 'x,y,led' or 'q_in,q_out' (with numbers if there are several), then a line
    per inference; lines that begin with '# ' are remarks. x and y become float64, the rest int64.
    Raises WorkshopError, which names the line, for anything else.
    """
    import pandas as pd

    columns, rows = table(text)
    types = {name: "float64" if name in ("x", "y") else "int64" for name in columns}
    return pd.DataFrame(rows, columns=columns).astype(types)


def table(text: str) -> tuple[list[str], list[tuple[float, ...]]]:
    """The same without pandas: the names of the columns, list, and a tuple of numbers per line."""
    columns: list[str] | None = None
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("# "):
            continue
        if columns is None and HEADER.fullmatch(line):
            columns = line.split(",")
            continue
        row = numbers(columns or [], line)
        if row is None:
            excerpt = line if len(line) <= 40 else line[:40] + "..."
            raise WorkshopError(
                f"Line {number} of the firmware's console is not an inference: {excerpt!r}."
            )
        rows.append(row)
    if columns is None:
        raise WorkshopError("The firmware printed no table: a header such as x,y,led is missing.")
    return columns, rows


def numbers(columns: Sequence[str], line: str) -> tuple[float, ...] | None:
    """The numbers in a line of that table, a tuple; None if they do not fit the columns."""
    cells = line.split(",")
    if len(columns) != len(cells):
        return None
    row: list[float] = []
    for name, cell in zip(columns, cells, strict=True):
        if name in ("x", "y"):
            if not re.fullmatch(r"-?[0-9]+\.[0-9]{6}", cell):
                return None
            row.append(float(cell))
        else:
            low, high = (0, 255) if name == "led" else (-128, 127)
            if not re.fullmatch(r"-?[0-9]{1,3}", cell) or not low <= int(cell) <= high:
                return None
            row.append(int(cell))
    return tuple(row)


def answers(header: str) -> int | None:
    """How many lines follow a header of app/sweep.cc; None for one of app/wave.cc."""
    if not header.startswith("q_in"):
        return None
    return 256 if header.startswith("q_in,") else 512


def check_console(text: str) -> None:
    """Raise WorkshopError if the program said that it stopped or faulted, or never said '# end'."""
    for line in text.splitlines():
        if line == END:
            return
        check_line(line)
    raise WorkshopError(f"The firmware's console breaks off: the line {END!r} is missing.")


def check_line(line: str) -> None:
    """Raise WorkshopError if the program says in this line that it stopped or faulted."""
    for mark, verb in ((_STOPPED, "stopped"), (_FAULTED, "faulted")):
        if line.startswith(mark):
            raise WorkshopError(f"The firmware {verb}: {line[len(mark) :].rstrip('.')}.")


def draw(
    values: Sequence[float],
    width: int = 72,
    height: int = 15,
    y: tuple[float, float] = SINE.y,
    x: tuple[float, float] | None = None,
    labels: tuple[str, str] = ("x", "y"),
) -> str:
    """A curve in plain characters, as text of `height` lines: for terminals and logs.

    values: numbers, shape (n,). y: the scale's ends; it is wider if values lie outside. x: where
    the curve begins and ends; then a line above and one below say that, and the axes' labels.
    """
    low, high = min([y[0], *values]), max([y[1], *values])
    if y[0] == -y[1]:
        low, high = min(low, -high), max(high, -low)  # 0 stays in the middle

    def row_of(value: float) -> int:
        return round((high - value) / (high - low) * (height - 1))

    cells = [[" "] * width for _ in range(height)]
    marks = {row_of(value): value for value in (low, high, *([0.0] if low < 0 < high else []))}
    if low < 0 < high:
        cells[row_of(0)] = ["-"] * width
    for number, value in enumerate(values):
        cells[row_of(value)][number * width // len(values)] = "*"
    # Tenths do for the sine.
    texts = {row: f"{value:.1f}" if x is None else f"{value:.4g}" for row, value in marks.items()}
    margin = max(6, *map(len, texts.values()))
    lines = [
        f"{texts.get(number, ''):>{margin}} |{''.join(row)}".rstrip()
        for number, row in enumerate(cells)
    ]
    if x is not None:
        begin, end = (f"{limit:.4g}" for limit in x)
        below = f"{begin} {labels[0]:^{max(0, width - len(begin) - len(end) - 2)}} {end}"
        lines = [f"{'':>{margin}}  {labels[1]}", *lines, f"{'':>{margin}}  {below}"]
    return "\n".join(lines)
