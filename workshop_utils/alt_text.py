"""A picture in words, for whoever does not see it: the alternative text of a Matplotlib figure.

The words come from what was drawn, so they are true of this run, and a cell that draws into a
picture of `plots` gets them, too.
"""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

LISTED = 12  # Of so many points in a row, or fewer, each is said.
SINE = "Sine"  # the label of a sine to compare with
RADIANS = "x (radians)"
EPOCH = "Epoch"
WAYS = {"rising": 1, "falling": -1}


def describe(figure: Figure) -> str:
    """What a figure shows, in sentences: title, axes, and for each thing drawn where it lies.

    Returns text without line breaks; it is empty only if there are no axes.
    """
    above = [f"{figure.get_suptitle()}."] if figure.get_suptitle() else []
    return " ".join([*above, *(sentence for axes in figure.axes for sentence in _axes(axes))])


def _axes(axes: Axes) -> Iterator[str]:
    title = axes.get_title()
    if title:
        title += " " if title.endswith(("?", "!")) else ". "
    names = [name for name in (axes.get_ylabel(), axes.get_xlabel()) if name]
    yield f"{title}A plot of {' over '.join(names) or 'two axes'}."
    drawn = [one for one in axes.get_lines() if one.get_visible() and np.size(one.get_xdata())]
    for upright, lines in groupby(drawn, _is_upright):
        if upright:
            yield _upright(list(lines))
        else:
            yield from (_line(line, axes) for line in lines)
    for points in axes.collections:
        x, y = np.ma.getdata(points.get_offsets()).T
        yield _range(f"{len(x):,} marks", x, y)
    bars = [one for one in axes.containers if isinstance(one, BarContainer)]
    yield from (_bars(one, axes) for one in bars)
    if axes.patches and not bars:
        yield f"{len(axes.patches)} areas."


def _bars(bars: BarContainer, axes: Axes) -> str:
    """How long the bars of one colour are, by the names on their axis, if it has names."""
    level = bars.orientation == "horizontal"
    axis = axes.yaxis if level else axes.xaxis
    named = isinstance(axis.get_major_locator(), FixedLocator)
    names = [f"{one.get_text()} " for one in axis.get_ticklabels()] if named else [""] * len(bars)
    sizes = (bar.get_width() if level else bar.get_height() for bar in bars)
    said = (f"{name}{_number(size)}" for name, size in zip(names, sizes, strict=False))
    label = str(bars.get_label())
    return f"{'Bars' if label.startswith('_') else label}: {', '.join(said)}."


def _is_upright(line: Line2D) -> bool:
    x = np.asarray(line.get_xdata())
    return x.size == 2 and x[0] == x[1]


def _upright(lines: list[Line2D]) -> str:
    label = str(lines[0].get_label())
    places = ", ".join(_number(float(np.asarray(line.get_xdata())[0])) for line in lines)
    return f"{_name(lines[0]) if label.startswith('_') else label}: upright at {places}."


def _line(line: Line2D, axes: Axes) -> str:
    """One sentence on a line or on dots."""
    name = _name(line)
    x, y = (np.asarray(values, float) for values in line.get_data())
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if y.size == 0:
        return f"{name}: no numbers."
    if line.get_label() == SINE:
        return "Behind it the sine."
    if y.size == 2 and y[0] == y[1]:
        return f"{name}: level at {_number(y[0])}."
    if axes.get_xlabel() == EPOCH:
        lowest = int(np.argmin(y))
        return (
            f"{name}: from {_number(y[0])} in epoch {x[0]:.0f} to {_number(y[-1])} in epoch "
            f"{x[-1]:.0f}, lowest {_number(y[lowest])} in epoch {x[lowest]:.0f}."
        )
    if axes.get_xlabel() == RADIANS and axes.get_ylabel() == "y":
        return _wave(name, x, y)
    if y.size <= LISTED and np.all(np.diff(x) > 0):  # not a handful of scattered marks
        points = ", ".join(f"{_number(a)}: {_number(b)}" for a, b in zip(x, y, strict=True))
        return f"{name}, {points}."
    return _range(name, x, y)


def _wave(name: str, x: np.ndarray, y: np.ndarray) -> str:
    """Where a wave lies, and how far from the sine."""
    off = np.abs(y - np.sin(x))
    high, low, far = int(np.argmax(y)), int(np.argmin(y)), int(np.argmax(off))
    if y[high] - y[low] < 0.01:
        return f"{name}: level at {_number(y[0])}."
    reach = (
        f"{name}: highest {_number(y[high])} at x = {_number(x[high])}, lowest {_number(y[low])} "
        f"at x = {_number(x[low])}; "
    )
    if off[far] < 0.001:
        return f"{reach}all on the sine."
    return (
        f"{reach}off the sine by {_number(off.mean())} on average, and by {_number(off[far])} at "
        f"x = {_number(x[far])}."
    )


def _range(name: str, x: np.ndarray, y: np.ndarray) -> str:
    """Between what values many points lie, and whether they go up or down to the right."""
    slope = 0.0
    if np.ptp(x) > 0 and np.ptp(y) > 0:
        ranks = [np.argsort(np.argsort(values)) for values in (x, y)]
        slope = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    way = next((f", {way} to the right" for way, sign in WAYS.items() if sign * slope > 0.5), "")
    return f"{name}: from {_number(y.min())} to {_number(y.max())}{way}."


def _name(line: Line2D) -> str:
    """The line's label and, if it is many marks, how many."""
    label, count = str(line.get_label()), np.size(line.get_xdata())
    marks = line.get_linestyle() in ("None", "none", "", " ")
    kind = f"{count:,} marks" if marks else "a line"
    if label.startswith("_"):
        return kind[0].upper() + kind[1:]
    return f"{label}, {kind}" if marks else label


def _number(value: float) -> str:
    """Two digits, or a whole number, and no exponent where a person would write none."""
    rounded = float(f"{value:.{2 if abs(value) < 100 else 3}g}")
    if 1000 <= abs(rounded) < 1e7:
        return f"{rounded:,.0f}"
    return f"{0.0 if rounded == 0 else rounded:g}"
