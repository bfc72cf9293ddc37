"""Pictures in words: each says what is in it, and what is drawn changes the words."""

import inspect
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from workshop_utils import alt_text, data, explore, paths, plots
from workshop_utils.sweeps import plots as sweep_plots
from workshop_utils.sweeps import report

X = np.linspace(0, 6, 25)
HISTORY = {name: [0.8, 0.1, 0.3] for name in ("loss", "val_loss", "mae", "val_mae")}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def table():
    return report.table(paths.NOTEBOOKS_DIR / "data" / "how_small.csv")


# Every function of the course that draws, and how to call it.
DRAWN = {
    "plot_samples": lambda: plots.plot_samples(X, np.sin(X), "Some samples"),
    "plot_split": lambda: plots.plot_split(data.split(*data.make(50, 0.1, 1)), "Three sets"),
    "plot_history": lambda: plots.plot_history(HISTORY, "loss", "The loss"),
    "plot_history_pair": lambda: plots.plot_history_pair(HISTORY, "Both")[0],
    "plot_predictions": lambda: plots.plot_predictions(X, -X, {"Keras": X, "int8": X}, "Answers"),
    "plot_differences": lambda: plots.plot_differences(X, {"int8": X / 100}, "Differences"),
    "plot_parts": lambda: plots.plot_parts(
        pd.DataFrame({"one": {"code": 5, "data": 7}}), "Bytes by part"
    ),
    "picture": explore.picture,
    "plot_front": lambda: sweep_plots.plot_front(
        table(), report.configurations(table()), "instructions"
    ),
    "plot_by_shape": lambda: sweep_plots.plot_by_shape(table(), "LAYERS"),
    "plot_by_noise": lambda: sweep_plots.plot_by_noise(table()),
    "plot_by_seed": lambda: sweep_plots.plot_by_seed(table()),
}


def test_none_is_forgotten():
    modules = (plots, sweep_plots, explore)
    found = {
        name
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and (name.startswith("plot_") or name == "picture")
    }
    assert found == set(DRAWN)


@pytest.mark.parametrize("name", DRAWN)
def test_every_picture_has_words_for_its_title_and_for_all_in_its_legend(name):
    axes = DRAWN[name]()
    text = alt_text.describe(axes.figure)
    assert axes.get_title() in text and axes.get_ylabel() in text and axes.get_xlabel() in text
    labels = [line.get_label() for line in axes.get_lines() if line.get_label()[0] != "_"]
    assert labels or name in ("plot_samples", "plot_parts")
    for label in set(labels) - {alt_text.SINE}:
        assert re.search(rf"{re.escape(label)}(, [\d,]+ marks)?[:,] ", text), label
    assert "\n" not in text and "nan" not in text
    for other in plt.get_fignums():
        assert len(alt_text.describe(plt.figure(other))) > 60


def test_the_words_follow_what_is_drawn():
    axes = plots.plot_predictions(X, None, {"Right": np.sin(X)}, "Title")
    assert "Right, 25 marks: highest 1 at x = 1.5, lowest -1 at x = 4.8; all on the sine." in (
        alt_text.describe(axes.figure)
    )
    assert "Behind it the sine." in alt_text.describe(axes.figure)
    axes.plot(X, np.full(25, 0.25), label="Dead")
    plots.mark_kinks(axes, [1.0, 2.5])
    text = alt_text.describe(axes.figure)
    assert text.endswith("Dead: level at 0.25. Kink of a neuron: upright at 1, 2.5.")


def test_how_far_from_the_sine():
    y = np.sin(X)
    y[10] += 0.5
    text = alt_text.describe(plots.plot_samples(X, y, "Title").figure)
    assert text.endswith(f"off the sine by 0.02 on average, and by 0.5 at x = {X[10]:.2g}.")


def test_a_course_of_training():
    text = alt_text.describe(plots.plot_history(HISTORY, "mae", "Title").figure)
    assert "Validation: from 0.8 in epoch 1 to 0.3 in epoch 3, lowest 0.1 in epoch 2." in text


def test_any_figure_of_matplotlib_has_words():
    figure, axes = plt.subplots()
    axes.scatter(np.arange(30), np.arange(30) ** 2)
    axes.bar([0, 1], [2, 3])
    axes.axhline(5)
    axes.plot([], [])
    axes.plot([1, 2, 3], [np.nan, np.nan, np.nan], "o", label="Nothing")
    figure.suptitle("Above")
    assert alt_text.describe(figure) == (
        "Above. A plot of two axes. A line: level at 5. Nothing, 3 marks: no numbers. 30 marks: "
        "from 0 to 841, rising to the right. Bars: 2, 3."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (-1e-20, "-1e-20"), (0.01234, "0.012"), (1.26, "1.3"), (123.4, "123"),
     (5547.0, "5,550"), (-0.0, "0"), (12345678.0, "1.23e+07")],
)  # fmt: skip
def test_a_number(value, text):
    assert alt_text._number(value) == text


def test_a_title_that_asks_needs_no_full_stop():
    axes = plots.new_axes("What is wrong here?", "x", "y")
    assert alt_text.describe(axes.figure).startswith("What is wrong here? A plot of y over x.")


def test_scattered_marks_are_not_listed_one_by_one():
    """A sweep moves its marks a little aside, and nothing has 2.1 neurons."""
    axes = plots.new_axes("", "Neurons", "Error")
    axes.plot([2.1, 1.9, 3.0], [0.3, 0.1, 0.2], "x", label="Runs")
    assert "Runs, 3 marks: from 0.1 to 0.3" in alt_text.describe(axes.figure)
    axes.plot([2, 3, 4], [0.3, 0.1, 0.2], label="Median")
    assert "Median, 2: 0.3, 3: 0.1, 4: 0.2." in alt_text.describe(axes.figure)
