"""Measurements of one's own: a CSV file, the rows of it that are none, and the noise in the rest.

The last column is the output, all before it are inputs. Introduced in notebook 10.
"""

import codecs
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from workshop_utils import files
from workshop_utils.data import MAX_INPUTS, MIN_SAMPLES, Array, check_pair
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import NOTEBOOKS_DIR, display_path
from workshop_utils.terminal import clipped, printable

MAX_ROWS = 100_000
_MOST_BYTES = 20_000_000
_MOST_VALUES = 1_000_000
_LONGEST = 10_000  # letters of a line
_MOST_LETTERS = 60  # of a name or a cell in a sentence
_MOST_OF_A_ROW = 200  # letters of a row in a table
_LARGEST = float(np.finfo(np.float32).max)
_SEPARATORS = ";\t|,"  # of cells; the first that fits, since a comma may be a decimal mark
_TRIED = 100  # rows that decide what separates cells,
_LOOKED_AT = 1000  # and which mark decimals have
# Digits in groups of thousands, {point other than their mark: how they look}.
_GROUPED = {
    point: re.compile(
        rf"[+-]?\d{{1,3}}(?:[{group}'’ \u00a0\u2009\u202f]\d{{3}})+"
        rf"(?P<decimals>[{point}]\d*)?(?:[eE][+-]?\d+)?"
    )
    for point, group in ((".", ","), (",", "."))
}

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measurements:
    """The rows of a CSV file that are numbers, and those that are not.

    names, units: of the columns, the output's last; a unit is "" where the header has none.
    x: float32, shape (n,) for one input, (n, inputs) for several. y: float32, shape (n,).
    rows: where they stand in the file, n rows with the columns line (the file's first is 1) and row
    (its text). left_out: rows without those that are no measurements; one column more, reason.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    x: Array
    y: Array
    rows: pd.DataFrame
    left_out: pd.DataFrame

    def label(self, column: int) -> str:
        """What an axis says of a column, such as 'temperature in °C'. column: -1 is the output."""
        name, unit = self.names[column], self.units[column]
        return f"{name} in {unit}" if unit else name


# ---- Reading


def find(name: str) -> Path:
    """The file that a notebook's CSV names: as it stands, or else one of the course's own.

    name: a path, relative to the folder at work, or the name of a file in notebooks/data.
    Raises WorkshopError if there is no such file.
    """
    if not isinstance(name, str):
        raise WorkshopError(f"CSV is {name!r}, but must be the path of a CSV file, in quotes.")
    path, own = Path(name).expanduser(), NOTEBOOKS_DIR / "data" / name
    for found in (path, own):
        if found.exists():
            return found
    raise WorkshopError(
        f"CSV is {name!r}, but must be the path of a CSV file; there is none of that name in "
        f"{Path.cwd()}, nor among the course's own."
    )


def check_csv(name: str) -> None:
    """Raise WorkshopError, naming CSV, unless `find` finds it and `read` can read it."""
    read(find(name))


def read(path: Path | str) -> Measurements:
    """The measurements in a CSV file: a header, and rows of numbers below it.

    A unit stands in the header in brackets: `adc (code),temperature (°C)`. Cells are separated by
    commas, semicolons, tabs or bars, decimals by a point or a comma, thousands by the other one, a
    space or an apostrophe. The text is UTF-8, UTF-16 or Windows-1252. Lines that are empty or begin
    with # are passed over. Rows with a cell that is no finite number are left out, with a reason.
    Raises WorkshopError, one sentence with line and column, where the file is no such table, more
    than half of its rows are left out, or fewer than data.MIN_SAMPLES remain.
    """
    name = display_path(path)
    try:
        return _read(files.read(path, _MOST_BYTES, f": {MAX_ROWS:,} rows are enough"))
    except _Problem as problem:
        raise WorkshopError(f"{name} {problem}.") from None


class _Problem(Exception):
    """What is wrong with a file: a sentence without its subject, the file, and its full stop."""


Line = tuple[int, str]  # its number in the file, from 1, and its text


def _read(content: bytes) -> Measurements:
    lines = _lines(content)
    separator, header, rows = _layout(lines)
    names, units = _header(header, separator)
    if len(names) * len(rows) > _MOST_VALUES:
        raise _Problem(f"has more than {_MOST_VALUES:,} values: take every tenth of its rows, say")
    cells = [_cells(text, separator, len(names)) for _, text in rows]
    point = _point(cells[:_LOOKED_AT], separator)
    values: list[list[float]] = []
    kept: list[Line] = []
    left_out: list[tuple[int, str, str]] = []
    at_fault: Counter[int] = Counter()  # columns; -1 stands for rows of another length
    for (number, text), row in zip(rows, cells, strict=True):
        found = [_number(cell, point) for cell in row]
        column, reason = _problem(names, row, found)
        text = clipped(printable(text), _MOST_OF_A_ROW)
        if reason:
            left_out.append((number, text, reason))
            at_fault[column] += 1
        else:
            values.append([value for value in found if value is not None])
            kept.append((number, text))
    _require_enough(len(kept), left_out, at_fault, separator)
    table = np.array(values, np.float32)
    _require_variety(table, names)
    return Measurements(
        names,
        units,
        table[:, 0] if len(names) == 2 else table[:, :-1],
        table[:, -1],
        pd.DataFrame(kept, columns=["line", "row"]),
        pd.DataFrame(left_out, columns=["line", "row", "reason"]),
    )


def _lines(content: bytes) -> list[Line]:
    """The lines that are neither empty nor comments."""
    kind = files.kind(content)
    if kind:
        raise _Problem(f"is {kind}, not a CSV file: save the table as CSV (text) instead")
    text = _text(content)
    lines = []
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if len(line) > _LONGEST:
            raise _Problem(f"is no table of numbers: line {number} has {len(line):,} letters")
        if line.strip() and not line.lstrip().startswith("#"):
            lines.append((number, line.rstrip("\n")))
            if len(lines) > MAX_ROWS + 2:
                raise _Problem(f"has more than {MAX_ROWS:,} rows: take every tenth of them, say")
    if not lines:
        raise _Problem("is empty: it needs a header such as adc (code),temperature (°C), and rows")
    if "\0" in lines[0][1]:
        raise _Problem(
            f"is not text: line {lines[0][0]} has a character that is in binary files only"
        )
    return lines


def _text(content: bytes) -> str:
    """Bytes as text, in the encoding that they say or look like."""
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16 does
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(encoding, errors="replace")
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if content[start:2000:2].count(0) > len(content[:2000]) / 3:
            return content.decode(encoding, errors="replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def _layout(lines: Sequence[Line]) -> tuple[str, Line, Sequence[Line]]:
    """What separates cells, the header and the rows.

    A first line such as `sep=;`, as Excel knows it, says the first.
    """
    said = re.fullmatch(r'"?sep=(.)"?', lines[0][1].strip("\ufeff "))
    header, *rows = lines[1:] if said and len(lines) > 1 else lines
    if said:
        return said[1], header, rows
    best, most = "", (-1, -1)
    for separator in _SEPARATORS:
        columns = len(_cells(header[1], separator, 0))
        tried = [_cells(text, separator, columns) for _, text in rows[:_TRIED]]
        fitting = [row for row in tried if 1 < len(row) == columns <= MAX_INPUTS + 1]
        numbers = sum(all(map(_is_number, row)) for row in fitting)
        if columns > 1 and (numbers, len(fitting)) > most:
            best, most = separator, (numbers, len(fitting))
    if not best:
        for number, text in rows[:_TRIED]:
            tables = [_cells(text, separator, 0) for separator in _SEPARATORS]
            if not _is_number(text) and any(
                1 < len(row) <= MAX_INPUTS + 1 and all(map(_is_number, row)) for row in tables
            ):
                raise _Problem(
                    f"has one column in line {header[0]} ({_shown(header[1])}) but several in line "
                    f"{number}: delete what stands above the line with the columns' names"
                )
        raise _Problem(
            f"has one column only (line {header[0]}: {_shown(header[1])}): it needs an input and "
            "the output, separated by a comma, a semicolon or a tab"
        )
    return best, header, rows


def _cells(line: str, separator: str, columns: int) -> list[str]:
    """The cells of a line, without empty ones at its end beyond the `columns` that there are."""
    cells = line.split(separator)
    if '"' in line:
        with suppress(csv.Error):  # NUL, in Python 3.10
            cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), cells)
    while len(cells) > max(columns, 1) and not cells[-1].strip():
        cells.pop()
    return [cell.strip() for cell in cells]


def _header(header: Line, separator: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names and units of the columns."""
    line, text = header
    cells = _cells(text, separator, 0)
    if len(cells) > MAX_INPUTS + 1:
        raise _Problem(
            f"has {len(cells):,} columns (line {line}), but {MAX_INPUTS} inputs and an output are "
            "the most"
        )
    names: list[str] = []
    units: list[str] = []
    for column, cell in enumerate(map(printable, cells), 1):
        if _is_number(cell):
            raise _Problem(
                f"has no header: line {line}, column {column} is the number {_shown(cell)}; put a "
                "line with names on top, such as adc (code),temperature (°C)"
            )
        found = re.fullmatch(r"(.*?)\s*[(\[]([^()\[\]]*)[)\]]", cell)
        name, unit = (found[1], found[2].strip()) if found and found[1] else (cell, "")
        if not name:
            raise _Problem(
                f"has no name for column {column} in its header (line {line}): name it, or delete "
                "the column if it only counts the rows"
            )
        if name in names:
            raise _Problem(
                f"has two columns {_shown(name)} (line {line}, columns {names.index(name) + 1} and "
                f"{column}): rename or delete one"
            )
        names.append(name)
        units.append(unit)
    clip = [tuple(clipped(text, _MOST_LETTERS) for text in texts) for texts in (names, units)]
    return clip[0], clip[1]


def _point(rows: Sequence[Sequence[str]], separator: str) -> str:
    """The mark of decimals, '.' or ',', by the cells that are a number with one of them only.

    Where all are like 1,024, which may be a thousand or one, commas that separate cells settle it.
    """
    marked = [cell for row in rows for cell in row if "." in cell or "," in cell]
    seen = Counter("".join(p for p in ".," if _number(cell, p) is not None) for cell in marked)
    if seen["."] or seen[","]:
        return "," if seen[","] > seen["."] else "."
    return "," if separator != "," and any("," in cell for cell in marked) else "."


def _is_number(cell: str) -> bool:
    return any(_number(cell, point) is not None for point in ".,")


def _number(cell: str, point: str) -> float | None:
    """The number in a cell, or NaN or infinity; None if it is none. point: of its decimals."""
    text = cell.replace("\u2212", "-")
    if _GROUPED[point].fullmatch(text):
        text = re.sub(r"[.'’\s]" if point == "," else r"[,'’\s]", "", text)
    if point == ",":
        text = text.replace(".", "_").replace(",", ".")
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _problem(
    names: Sequence[str], row: Sequence[str], values: Sequence[float | None]
) -> tuple[int, str]:
    """What keeps a row from being measurements: the column, -1 for all, and a reason, or ''."""
    if len(row) != len(names):
        return -1, f"{len(row)} cell(s), but the header has {len(names)}"
    for column, (cell, value) in enumerate(zip(row, values, strict=True)):
        if not cell:
            return column, f"{names[column]} is empty"
        if value is None:
            return column, f"{names[column]} is {_shown(cell)}, which is no number"
        if not math.isfinite(value):
            return column, f"{names[column]} is {_shown(cell)}"
        if abs(value) > _LARGEST:
            return column, f"{names[column]} is {_shown(cell)}, which is too large for float32"
    return 0, ""


def _shown(text: str) -> str:
    return f"'{clipped(printable(text), _MOST_LETTERS)}'"


def _require_enough(
    good: int, left_out: Sequence[tuple[int, str, str]], at_fault: Counter[int], separator: str
) -> None:
    bad = len(left_out)
    if bad <= good and good >= MIN_SAMPLES:
        return
    fewest = f"and {MIN_SAMPLES} are the fewest to learn from"
    if not bad:
        raise _Problem(f"has {good} rows, {fewest}")
    line, _, reason = left_out[0]
    ((column, count),) = at_fault.most_common(1)
    place = "" if column < 0 else f", column {column + 1}"
    cure = ""
    if column >= 0 and good == 0 and count == bad:
        cure = "; delete the column if it holds no measurements"
    elif column < 0 and separator == ",":
        cure = "; if commas are decimals here, let semicolons separate the cells"
    raise _Problem(
        f"has {good:,} rows of numbers among {good + bad:,}"
        f"{'' if good >= MIN_SAMPLES else f', {fewest}'}: line {line}{place}: {reason}{cure}"
    )


def _require_variety(table: Array, names: Sequence[str]) -> None:
    for column, name in enumerate(names):
        if (table[:, column] == table[0, column]).all():
            cure = "delete the column" if len(names) > 2 and column < len(names) - 1 else "vary it"
            raise _Problem(
                f"has the same {name}, {table[0, column]:g}, in every row (column {column + 1}), "
                f"so nothing can be learned from it: {cure}"
            )


# ---- Outliers and noise, by neighbours

_MOST_PAIRS = 1e8  # of rows whose distance is looked at; beyond it neighbours are drawn by lot
_CHUNK = 2e5  # of them at a time: what fits a core's cache
_PASSES = 10  # each may uncover what others hid
_STEPS = 10  # of the robust fit
_MOST_SHARE = 0.1  # of the rows; where more seem to be outliers, the curve has corners instead


def without_outliers(measurements: Measurements) -> Measurements:
    """The measurements without rows whose output is far from that of their neighbours.

    Neighbours are the 5 to 20 rows with the nearest inputs, each input scaled by its range. An
    output is far if it lies beyond those of 70 % of the neighbours, off the plane through them and
    off that of all but one of the nearest five: by 8 times what the neighbours scatter about planes
    (1.48 times the median distance), and 2 % of the outputs' range or a step of their rounding. At
    the border of the data, where the plane is extended, the curve may become up to six times as
    steep.
    Nothing is left out of fewer than 20 rows (10 more for each further input), nor where it would
    be more than 10 % of the rows: there the curve is too coarse for a judgement.
    """
    x, y = _scaled(measurements.x), measurements.y.astype(float)
    there = np.arange(len(y))
    reasons: dict[int, str] = {}
    for _ in range(_PASSES):
        if len(there) < 10 * (x.shape[1] + 1):
            break
        bad, nearest = _outliers(x[there], y[there])
        if len(reasons) + bad.sum() > _MOST_SHARE * len(y):
            return measurements
        for row, value in zip(there[bad], nearest[bad], strict=True):
            reasons[int(row)] = _reason(measurements, float(y[row]), float(value))
        there = there[~bad]
        if not bad.any():
            break
    out = sorted(reasons)
    more = measurements.rows.iloc[out].assign(reason=[reasons[row] for row in out])
    left_out = pd.concat([measurements.left_out, more]) if out else measurements.left_out
    return replace(
        measurements,
        x=measurements.x[there],
        y=measurements.y[there],
        rows=measurements.rows.iloc[there].reset_index(drop=True),
        left_out=left_out.sort_values("line", ignore_index=True),
    )


def _reason(measurements: Measurements, value: float, nearest: float) -> str:
    """Such as: temperature 85 °C is 40 °C from its neighbours' 45."""
    unit = f" {measurements.units[-1]}" if measurements.units[-1] else ""
    return (
        f"{measurements.names[-1]} {value:.4g}{unit} is {abs(value - nearest):.3g}{unit} from its "
        f"neighbours' {nearest:.3g}"
    )


def noise_floor(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """The mean squared error of a perfect model, estimated without one, from neighbours.

    x: shape (n,) or (n, inputs). y: shape (n,). Each output is compared with the plane through the
    outputs of the nearest rows, 4 for one input and 2 more for each further one; the noise of the
    plane itself is accounted for. Rows at the border, where planes are extended, do not count.
    Raises WorkshopError if there are fewer than data.MIN_SAMPLES, or fewer than neighbours.
    Source: Gasser, Sroka and Jennen-Steinmetz (1986), who refine Rice's estimator (1984) in this
    way for one input; Spokoiny (2002) for several.
    """
    x, y = check_pair(x, y)
    points, outputs = _scaled(x), y.astype(float)
    count = 2 * (points.shape[1] + 1)
    if len(y) < max(MIN_SAMPLES, count + 1):
        fewest = max(MIN_SAMPLES, count + 1)
        raise WorkshopError(f"Noise cannot be told from {len(y)} rows: {fewest} are the fewest.")
    most = max(1000, int(_MOST_PAIRS / len(y)))
    asked = np.random.default_rng(0).permutation(len(y))[:most]
    neighbours = _neighbours(points, asked, np.arange(len(y)), count)
    plane, spread, _ = _planes(points, outputs, asked, neighbours, robust=False)
    inside = spread <= max(1.0, float(np.quantile(spread, 0.25)))
    squares = (outputs[asked] - plane) ** 2 / (1 + spread)
    return float(squares[inside].mean())


def _scaled(x: Array) -> Floats:
    """Inputs of shape (n, inputs) that go from 0 to 1, outliers apart."""
    points = x.reshape(len(x), -1).astype(float)
    low, high = np.quantile(points, [0.05, 0.95], axis=0)
    width = np.where(high > low, high - low, np.ptp(points, axis=0))
    scaled: Floats = (points - low) / np.where(width > 0, width, 1)
    return scaled


def _outliers(x: Floats, y: Floats) -> tuple[npt.NDArray[np.bool_], Floats]:
    """Which rows are far from their neighbours, and the neighbours' value that is the nearest."""
    rows = np.arange(len(y))
    count = int(np.clip(len(y) // 20, 5, 20))
    looked_at = max(1000, int(_MOST_PAIRS / len(y)))
    among = np.sort(np.random.default_rng(0).permutation(len(y))[:looked_at])
    neighbours = _neighbours(x, rows, among, count)
    plane, spread, bent = _planes(x, y, rows, neighbours, robust=True)
    theirs = np.sort(y[neighbours], axis=1)
    few = math.ceil(0.3 * count)
    middle = _medians(theirs)
    # How far outside of its neighbours a row lies, in their standard deviations.
    distance = np.sqrt(np.maximum(count * spread - 1, 0))
    steeper = middle + np.minimum(1 + 3 * distance, 6) * (plane - middle)
    allowed = np.stack([theirs[:, few - 1], theirs[:, -few], plane, steeper])
    nearest = np.clip(y, allowed.min(axis=0), allowed.max(axis=0))
    off = np.abs(y - plane)
    others = np.maximum(_medians(off[neighbours]), np.median(off) / 2)
    scatter = 1.4826 * np.maximum(others, bent)
    low, high = np.quantile(y, [0.05, 0.95])
    step = float(np.median(np.diff(np.unique(y)))) if np.ptp(y) > 0 else 0  # of rounded outputs
    most = 8 * scatter + max(0.02 * (high - low), 1.01 * step)
    agree = np.abs(y[neighbours[:, :5]] - y[:, None]) <= most[:, None]
    return (np.abs(y - nearest) > most) & (agree.sum(axis=1) < 2), nearest


def _neighbours(
    x: Floats, rows: npt.NDArray[np.int64], among: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Of each of the `rows` the `count` nearest others `among` all, shape (rows, count)."""
    found = np.empty((len(rows), count), np.int64)
    step = max(1, int(_CHUNK / len(among)))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        away = np.zeros((len(part), len(among)), np.float32)
        for column in x.T:
            away += (column[part, None] - column[None, among]).astype(np.float32) ** 2
        away[part[:, None] == among] = np.inf
        first = np.argpartition(away, count - 1)[:, :count]
        order = np.argsort(np.take_along_axis(away, first, axis=1), axis=1)
        found[start : start + step] = among[np.take_along_axis(first, order, axis=1)]
    return found


def _planes(
    x: Floats,
    y: Floats,
    rows: npt.NDArray[np.int64],
    neighbours: npt.NDArray[np.int64],
    *,
    robust: bool,
) -> tuple[Floats, Floats, Floats]:
    """Where planes through the rows' neighbours pass the rows: their outputs, shape (rows,).

    Least squares; if robust, reweighted with Tukey's biweight. Second, the variance of that output,
    were the neighbours' 1: 1 / count where a row lies in their midst, and more outside. Third, how
    far the neighbours lie from the plane: the median.
    """
    offsets = x[neighbours] - x[rows, None]
    reach = np.abs(offsets).max(axis=(1, 2), keepdims=True)
    design = np.concatenate(
        [np.ones_like(offsets[..., :1]), offsets / np.where(reach, reach, 1)], 2
    )
    outputs = y[neighbours]
    size = design.shape[2]
    ridge = 1e-9 * np.eye(size) * neighbours.shape[1]

    def solve(weights: Floats) -> tuple[Floats, Floats]:
        weighted = (design * weights[..., None]).swapaxes(1, 2)
        squares = weighted @ design + ridge
        return squares, np.linalg.solve(squares, weighted @ outputs[..., None])[..., 0]

    squares, plane = solve(np.ones_like(outputs))
    spread = np.linalg.inv(squares)[:, 0, 0].astype(float)
    off = outputs - _medians(outputs)[:, None]
    if robust:
        least = 0.01 * np.subtract(*np.quantile(y, [0.95, 0.05]))  # rounded outputs often agree
        for _ in range(_STEPS):
            scale = _medians(np.abs(off))[:, None] * 1.4826
            scale = np.maximum(scale, np.maximum(least, 1e-6 * np.abs(off).max(axis=1)[:, None]))
            far = off / np.where(scale > 0, 4.685 * scale, 1)
            _, plane = solve(np.maximum(1 - far**2, 0) ** 2 + 1e-6)
            off = outputs - (design @ plane[..., None])[..., 0]
    return plane[:, 0], spread, _medians(np.abs(off))


def _medians(values: Floats) -> Floats:
    """The median of each row. For rows as short as these np.median takes five times as long."""
    ordered, half = np.sort(values, axis=1), values.shape[1] // 2
    medians: Floats = (ordered[:, half] + ordered[:, -1 - half]) / 2
    return medians
