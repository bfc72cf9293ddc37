"""The pictures of a sweep's table."""

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from workshop_utils import paths
from workshop_utils.sweeps import plots, report


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def table():
    return report.table(paths.NOTEBOOKS_DIR / "data" / "how_small.csv")


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_the_front_against_every_pair():
    rng = np.random.default_rng(1)
    cost, error = rng.integers(0, 9, 60), rng.integers(0, 9, 60)
    front = plots.pareto_front(cost, error)
    for index in range(60):
        beaten = (cost <= cost[index]) & (error <= error[index])
        beaten &= (cost < cost[index]) | (error < error[index])
        twin = (cost == cost[index]) & (error == error[index])
        assert front[twin].sum() == (not beaten.any())


def test_of_equal_points_the_first_is_on_the_front():
    assert plots.pareto_front([1, 1, 2], [3, 3, 3]).tolist() == [True, False, False]


@pytest.mark.parametrize("cost", ["flash", "instructions"])
def test_the_picture_of_the_front(table, cost):
    groups = report.configurations(table)
    axes = plots.plot_front(table, groups, cost)
    found = lines(axes)
    assert len(found["A run"].get_xdata()) == len(table)
    assert len(found["A configuration, median over seeds"].get_xdata()) == len(groups)
    front = found["Pareto front"]
    assert (np.diff(front.get_xdata()) > 0).all() and (np.diff(front.get_ydata()) < 0).all()
    assert axes.get_yscale() == "log" and axes.get_legend() is not None
    few = len(groups) <= plots.MOST_NAMES
    assert len(axes.texts) == (len(groups) if few else len(front.get_xdata()))


def test_as_many_names_as_can_be_read_and_then_only_those_of_the_front(table):
    groups = report.configurations(table)
    few, many = groups.head(plots.MOST_NAMES), groups.head(plots.MOST_NAMES + 1)
    assert len(many) > len(few)
    assert len(plots.plot_front(table, few, "flash").texts) == len(few)
    axes = plots.plot_front(table, many, "flash")
    assert len(axes.texts) == len(lines(axes)["Pareto front"].get_xdata()) < len(many)


def test_a_shape_in_short(table):
    row = {"LAYERS": 2, "NEURONS": 16, "engine": "generated"}
    assert plots.shape(row, table) == "2×16"
    assert plots.shape(row, table[table["LAYERS"] == 2]) == "16"
    half = range(len(table) // 2)
    both = table.assign(
        engine=["compact" if number in half else "generated" for number in range(len(table))]
    )
    assert plots.shape(row, both) == "2×16 generated"


@pytest.mark.parametrize("name", ["NEURONS", "LAYERS"])
def test_the_picture_by_shape(table, name):
    axes = plots.plot_by_shape(table, name)
    assert axes.get_xscale() == axes.get_yscale() == "log"
    found = lines(axes)
    good = int(table["good"].sum())
    assert len(found["Draws a sine"].get_xdata()) == good
    assert len(found["Does not"].get_xdata()) == len(table) - good
    medians = table.groupby(name)["sine_error"].median()
    assert found["Median"].get_ydata().tolist() == medians.tolist()
    # What lies beside its place is still nearest to it.
    off = np.log2(found["Draws a sine"].get_xdata()) - np.log2(table[table["good"]][name])
    assert np.abs(off).max() < 0.07


def test_the_picture_by_noise(table):
    found = lines(plots.plot_by_noise(table))
    floor = found["Square of the noise: the floor"]
    assert np.allclose(floor.get_ydata(), np.square(floor.get_xdata()))
    assert floor.get_xdata()[-1] == table["NOISE"].max()
    medians = table.groupby("NOISE")["test_error"].median()
    assert found["Median"].get_ydata().tolist() == medians.tolist()
    assert len(found["A run"].get_xdata()) == len(table)


def test_the_picture_by_seed(table):
    axes = plots.plot_by_seed(table)
    assert axes.get_yscale() == "log", "Half and twice the median are as far from it."
    found = lines(axes)
    good = table["good"].to_numpy(bool)
    names = report.configuration_parameters()
    ratio = table["sine_error"] / table.groupby(names)["sine_error"].transform("median")
    assert found["Draws a sine"].get_ydata().tolist() == ratio[good].tolist()
    assert found["Does not"].get_ydata().tolist() == ratio[~good].tolist()
    seeds = sorted(table["SEED"].unique())
    assert [int(label.get_text()) for label in axes.get_xticklabels()] == seeds
    place = found["Draws a sine"].get_xdata()
    assert [seeds[round(x)] for x in place] == table["SEED"][good].tolist()
