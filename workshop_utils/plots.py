"""The course's pictures: arrays in, matplotlib Axes out, one look for all.

Colours are Okabe and Ito's palette, which people with any kind of colour vision can tell apart. On
white each has a contrast of 3 or more: its light blue is darker here, and its orange is for the LED
alone. Markers differ as well, for prints in grey. Sizes are chosen to be read from the last row.
Introduced in notebook 02.
"""

import io
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from workshop_utils import alt_text

if TYPE_CHECKING:
    import pandas as pd

    from workshop_utils.data import Dataset

History = Mapping[str, list[float]]
Labels = tuple[str, str]  # of the axes, such as ("adc in code", "temperature in °C")

BLUE, ORANGE, GREEN, VERMILION, SKY, PURPLE, BLACK = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#3296D2",
    "#CC79A7",
    "#000000",
)
GREY = "0.55"
PART_COLORS = (ORANGE, SKY, GREEN, PURPLE, "0.7", VERMILION)
STYLE: Any = {  # Any: matplotlib's stubs ask for a Literal of 300 names
    "font.size": 14,
    "axes.titlesize": 15,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.markersize": 5,
    "legend.framealpha": 0.9,
}
WIDE, DOUBLE, DPI = (9, 4.2), (12, 4.2), 72
PREDICTION_LOOKS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": VERMILION, "markersize": 9, "fillstyle": "none"},
    {"marker": "x", "color": BLUE, "markersize": 8},
    {"marker": "+", "color": GREEN, "markersize": 11},
    {"marker": ".", "color": BLACK, "markersize": 5},
)


def new_axes(title: str, xlabel: str, ylabel: str) -> Axes:
    """Empty Axes in the course's style."""
    return new_row(title, xlabel, ylabel, 1)[0]


def new_row(title: str, xlabel: str, ylabel: str, columns: int) -> list[Axes]:
    """Empty Axes side by side in one figure, which share the title and the labels."""
    # The figure is made outside the style's context: the first one switches the notebook's
    # display of pictures on, and leaving a context would switch that off again.
    size = WIDE if columns == 1 else DOUBLE
    figure = plt.figure(figsize=size, dpi=DPI, layout="constrained")
    describe_pictures()
    with plt.rc_context(STYLE):
        row = list(figure.subplots(1, columns, squeeze=False)[0])
    for axes in row:
        axes.set_title(title, fontsize=STYLE["axes.titlesize"])
        axes.set(xlabel=xlabel, ylabel=ylabel)
    return row


def png(figure: Figure) -> bytes:
    """A figure as a PNG file, bytes, with a palette: a third of the usual size.

    Notebooks keep every picture that they show, and some are mailed around.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    its_own, small = figure.canvas, io.BytesIO()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()  # once, where savefig draws twice
    figure.set_canvas(its_own)
    full = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    full.quantize(128).save(small, format="png", optimize=True)
    return small.getvalue()


def describe_pictures() -> None:
    """Have a notebook's kernel show figures by way of `png`, with their alternative text.

    nbconvert and the course's part of JupyterLab look for it in the metadata of the output. It is
    no output of its own: nbval would compare figures in it that differ between processors.
    """
    from IPython import get_ipython

    shell = get_ipython()
    if getattr(shell, "kernel", None) is not None:
        if "inline" in plt.get_backend():
            # It shows a figure after its cell. pyplot would draw it before that, for nobody.
            plt.uninstall_repl_displayhook()
        formatters = shell.display_formatter.formatters
        formatters["image/png"].for_type(
            Figure, lambda figure: (png(figure), {"alt": alt_text.describe(figure)})
        )


def radians(axes: Axes) -> Axes:
    """Mark the x axis at multiples of π/2, the sine's landmarks. Returns the Axes."""
    axes.set_xticks(np.arange(5) * np.pi / 2, ["0", "π/2", "π", "3π/2", "2π"])
    axes.set_xlabel("x (radians)")
    return axes


def _curve_axes(title: str, labels: Labels | None, ylabel: str = "y") -> Axes:
    """Empty Axes for a curve: for the sine, or, with labels, for another one."""
    return new_axes(title, *labels) if labels else radians(new_axes(title, "", ylabel))


def plot_samples(x: ArrayLike, y: ArrayLike, title: str, labels: Labels | None = None) -> Axes:
    """Samples as dots. x, y: shape (n,). labels: of the axes, if it is not the sine. Returns the
    Axes.
    """
    axes = _curve_axes(title, labels)
    axes.plot(x, y, ".", color=BLUE)
    return axes


def plot_split(dataset: "Dataset", title: str, labels: Labels | None = None) -> Axes:
    """The three sets of a Dataset in three colours. labels: as for `plot_samples`. Returns the
    Axes.
    """
    axes = _curve_axes(title, labels)
    axes.plot(dataset.x_train, dataset.y_train, ".", color=BLUE, label="Training")
    axes.plot(dataset.x_test, dataset.y_test, "^", color=VERMILION, label="Test")
    axes.plot(dataset.x_validate, dataset.y_validate, "x", color=GREEN, label="Validation")
    return add_legend(axes)


def plot_history(
    history: History, metric: str, title: str, skip: int = 0, axes: Axes | None = None
) -> Axes:
    """A metric of the training and of the validation set over the epochs after the first `skip`.

    history: {'loss': [...], 'val_loss': [...], ...}, a value per epoch. axes: where to draw, with
    a title of its own; else new ones. Returns the Axes.
    """
    label = {"loss": "Loss (mean squared error)", "mae": "Mean absolute error"}.get(metric, metric)
    axes = axes if axes is not None else new_axes(title, "Epoch", "")
    epochs = np.arange(1, len(history[metric]) + 1)
    axes.set_ylabel(label)
    axes.plot(epochs[skip:], history[metric][skip:], ".", color=GREEN, label="Training")
    axes.plot(
        epochs[skip:], history[f"val_{metric}"][skip:], color=BLUE, lw=1.2, label="Validation"
    )
    return add_legend(axes)


def plot_history_pair(history: History, title: str, skip: int = 0) -> list[Axes]:
    """Loss and mean absolute error side by side, for the epochs after `skip`. Returns the Axes."""
    pair = new_row(title, "Epoch", "", 2)
    for metric, axes in zip(("loss", "mae"), pair, strict=True):
        plot_history(history, metric, title, skip, axes)
    return pair


def plot_predictions(
    x: ArrayLike,
    y: ArrayLike | None,
    predictions: Mapping[str, ArrayLike],
    title: str,
    labels: Labels | None = None,
) -> Axes:
    """Predictions over actual values, with the sine behind them. Returns the Axes.

    x: shape (n,). y: shape (n,), or None to leave the actual values out. predictions: {label:
    array of shape (n,)}, four at most. labels: of the axes, for another curve; without the sine.
    """
    axes = _curve_axes(title, labels)
    if labels is None:
        wave = np.linspace(0, 2 * np.pi, 200)
        axes.plot(wave, np.sin(wave), color=SKY, lw=2, label="Sine", zorder=1)
    if y is not None:
        axes.plot(x, y, ".", color=GREY, label="Actual values", zorder=1)
    # One prediction is dots; several that lie on one another need marks of different shapes.
    looks = PREDICTION_LOOKS if len(predictions) > 1 else [{"marker": ".", "color": VERMILION}]
    for (label, values), look in zip(predictions.items(), looks, strict=False):
        axes.plot(x, values, linestyle="none", label=label, zorder=2, **look)
    return add_legend(axes)


def mark_kinks(axes: Axes, kinks: Iterable[float]) -> Axes:
    """Dashed vertical lines where first-layer neurons bend. kinks: x values. Returns the Axes."""
    for number, kink in enumerate(kinks):
        label = None if number else "Kink of a neuron"
        axes.axvline(kink, color=PURPLE, linestyle="--", lw=1.5, label=label, zorder=1)
    return add_legend(axes)


def plot_differences(
    x: ArrayLike, differences: Mapping[str, ArrayLike], title: str, labels: Labels | None = None
) -> Axes:
    """Small differences over x, as marks. Returns the Axes.

    x: shape (n,). differences: {label: array (n,)}. labels: as for `plot_samples`.
    """
    axes = _curve_axes(title, labels, "Difference")
    for (label, values), look in zip(differences.items(), PREDICTION_LOOKS[1:], strict=False):
        axes.plot(x, values, linestyle="none", label=label, **look)
    return _legend_below(axes)  # since marks may lie anywhere


def plot_parts(parts: "pd.DataFrame", title: str) -> Axes:
    """Bytes of flash by part, one bar per image. Returns the Axes.

    parts: DataFrame with a row per part and a column per image; parts without bytes are left out.
    """
    axes = new_axes(title, "Flash (bytes)", "")
    axes.grid(axis="y", visible=False)
    shown, left = parts[parts.sum(axis=1) > 0], np.zeros(parts.shape[1])
    longest = parts.sum().max()
    for (part, sizes), color in zip(shown.iterrows(), PART_COLORS, strict=False):
        axes.barh(range(len(sizes)), sizes, left=left, color=color, label=part, height=0.6)
        for row, size in enumerate(sizes):
            if size > longest / 20:  # or else the number has no room
                middle = left[row] + size / 2
                axes.text(middle, row, f"{size:,}", ha="center", va="center", fontsize=12)
        left += sizes.to_numpy()
    axes.set_yticks(range(parts.shape[1]), parts.columns)
    axes.invert_yaxis()
    axes.set_xlim(0, left.max() * 1.02)
    return _legend_below(axes)


def _legend_below(axes: Axes) -> Axes:
    entries = len(axes.get_legend_handles_labels()[1])
    with plt.rc_context(STYLE):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=entries, fontsize=12)
    return axes


def add_legend(axes: Axes) -> Axes:
    """A legend where it hides least, in the course's style. Returns the Axes."""
    with plt.rc_context(STYLE):
        axes.legend(loc="best", fontsize=12)
    return axes
