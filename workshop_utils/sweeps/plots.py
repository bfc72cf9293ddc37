"""Pictures of a sweep's table: what size buys, and what luck and noise do. From notebook 09.

Each takes a table of `report.table` and returns Axes. A configuration is a choice of all
parameters but the seed; its error is the median over the seeds.
"""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from workshop_utils import plots

if TYPE_CHECKING:
    import pandas as pd

SINE_ERROR = "Error to the sine (MSE)"
COLORS = (plots.VERMILION, plots.BLUE, plots.GREEN, plots.BLACK)  # of a few curves
COSTS = {
    "flash": ("What flash buys", "Flash (bytes)"),
    "instructions": ("What instructions buy", "Instructions per inference"),
}
SHAPES = {
    "NEURONS": ("Error by width", "Neurons in each hidden layer"),
    "LAYERS": ("Error by depth", "Hidden layers"),
}
MOST_NAMES = 24  # more numbers beside points than that cannot be read


def pareto_front(cost: ArrayLike, error: ArrayLike) -> np.ndarray:
    """Which points no other point beats: cheaper or as cheap, and better. A mask, shape (n,).

    cost, error: shape (n,), less is better. Of equal points the first is on the front.
    """
    cost, error = np.asarray(cost, float), np.asarray(error, float)
    front, best = np.zeros(cost.size, bool), np.inf
    for index in np.lexsort((error, cost)):
        if error[index] < best:
            front[index], best = True, error[index]
    return front


def plot_front(table: "pd.DataFrame", groups: "pd.DataFrame", cost: str) -> Axes:
    """Error against a cost: all runs small, configurations large, their Pareto front as a line.

    groups: of `report.configurations`. cost: 'flash' or 'instructions'. Returns the Axes.
    """
    axes = plots.new_axes(*COSTS[cost], SINE_ERROR)
    axes.plot(table[cost], table["sine_error"], ".", color=plots.GREY, label="A run", zorder=1)
    axes.plot(groups[cost], groups["sine_error"], "o", color=plots.BLUE, fillstyle="none",
              markersize=8, label="A configuration, median over seeds")  # fmt: skip
    front = groups[pareto_front(groups[cost], groups["sine_error"])].sort_values(cost)
    axes.plot(front[cost], front["sine_error"], "D-", color=plots.VERMILION, drawstyle="steps-post",
              markersize=6, label="Pareto front")  # fmt: skip
    for _, row in (groups if len(groups) <= MOST_NAMES else front).iterrows():
        at = (row[cost], row["sine_error"])
        axes.annotate(shape(row, groups), at, (5, 5), textcoords="offset points", fontsize=12)
    axes.set_yscale("log")
    return plots.add_legend(axes)


def shape(row: "pd.Series", table: "pd.DataFrame") -> str:
    """A configuration in short: '16', its neurons; '2×16' where the number of layers differs,
    '16 generated' where the engine does."""
    depth = f"{row['LAYERS']}×" if table["LAYERS"].nunique() > 1 else ""
    engine = f" {row['engine']}" if table["engine"].nunique() > 1 else ""
    return f"{depth}{row['NEURONS']}{engine}"


def plot_by_shape(table: "pd.DataFrame", name: str) -> Axes:
    """Error to the sine over a part of the model's shape, good runs and others apart.

    name: 'NEURONS' or 'LAYERS'. Returns the Axes.
    """
    axes = plots.new_axes(*SHAPES[name], SINE_ERROR)
    rng = np.random.default_rng(0)
    for good, mark, color, label in (
        (True, "o", plots.GREEN, "Draws a sine"),
        (False, "x", plots.VERMILION, "Does not"),
    ):
        rows = table[table["good"] == good]
        beside = 2 ** rng.uniform(-0.06, 0.06, len(rows))  # so that equal ones do not overlap
        axes.plot(rows[name] * beside, rows["sine_error"], mark, color=color, label=label)
    medians = table.groupby(name)["sine_error"].median()
    axes.plot(medians.index, medians, "-", color=plots.BLACK, label="Median")
    axes.set_xscale("log", base=2)
    values = sorted(table[name].unique())
    axes.set_xticks(values[:: -(-len(values) // 12)], minor=False)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_yscale("log")
    return plots.add_legend(axes)


def plot_by_noise(table: "pd.DataFrame") -> Axes:
    """Test error over the noise of the samples, and what noise alone makes. Returns the Axes."""
    axes = plots.new_axes("Error by noise", "Standard deviation of the noise", "Test error (MSE)")
    axes.plot(table["NOISE"], table["test_error"], ".", color=plots.BLUE, label="A run")
    noise = np.linspace(0, table["NOISE"].max(), 100)
    axes.plot(noise, noise**2, color=plots.BLACK, label="Square of the noise: the floor")
    if table["NOISE"].nunique() <= 20:
        medians = table.groupby("NOISE")["test_error"].median()
        axes.plot(medians.index, medians, "D", color=plots.VERMILION, label="Median")
    axes.set_ylim(bottom=0)
    return plots.add_legend(axes)


def plot_by_seed(table: "pd.DataFrame") -> Axes:
    """How far the error of one configuration scatters with the seed. Returns the Axes.

    Each column is a seed, each mark a run: its error to the sine, divided by the median of its
    configuration over all seeds.
    """
    from workshop_utils.sweeps import report

    medians = table.groupby(report.configuration_parameters())["sine_error"].transform("median")
    axes = plots.new_axes("Error by seed", "Seed", "Error, times the median")
    ratio = table["sine_error"] / medians
    good = table["good"].to_numpy(bool)
    seeds = sorted(table["SEED"].unique())
    place = table["SEED"].map({seed: number for number, seed in enumerate(seeds)})
    place = place + np.random.default_rng(0).uniform(-0.15, 0.15, len(table))
    axes.plot(place[good], ratio[good], "o", color=plots.GREEN, label="Draws a sine")
    axes.plot(place[~good], ratio[~good], "x", color=plots.VERMILION, label="Does not")
    axes.axhline(1, color=plots.BLACK, lw=1)
    some = range(0, len(seeds), -(-len(seeds) // 16))
    axes.set_xticks(list(some), [f"{seeds[number]}" for number in some])
    axes.set_yscale("log")
    return plots.add_legend(axes)
