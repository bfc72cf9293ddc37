import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from IPython.core.interactiveshell import InteractiveShell

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from workshop_utils import alt_text, plots

X = np.linspace(0, 6, 30)
HISTORY = {name: list(np.linspace(1, 0.1, 40)) for name in ("loss", "val_loss", "mae", "val_mae")}


PARTS = pd.DataFrame({"one": [500, 20, 0], "other": [300, 1000, 0]}, index=["code", "data", "bss"])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def pictures(dataset):
    many = {name: np.sin(X) for name in ("Keras", "TFLite float", "TFLite int8", "TFLM int8")}
    one = plots.plot_predictions(X, np.sin(X), {"Predictions": X}, "one")
    return {
        "samples": plots.plot_samples(X, np.sin(X), "samples"),
        "split": plots.plot_split(dataset, "split"),
        "history": plots.plot_history(HISTORY, "loss", "history", skip=10),
        "pair": plots.plot_history_pair(HISTORY, "pair", skip=10)[1],
        "one": plots.mark_kinks(one, [1.0, 2.0]),
        "many": plots.plot_predictions(X, None, many, "many"),
        "differences": plots.plot_differences(X, many, "differences"),
        "parts": plots.plot_parts(PARTS, "parts"),
        **curves(dataset),
    }


LABELS = ("adc in code", "temperature in °C")


def curves(dataset):
    """The pictures of another curve than the sine."""
    return {
        "curve": plots.plot_samples(X * 170, X**2, "curve", LABELS),
        "sets": plots.plot_split(dataset, "sets", LABELS),
        "fit": plots.plot_predictions(X * 170, X**2, {"Model": X**2}, "fit", LABELS),
        "errors": plots.plot_differences(X * 170, {"Model": X}, "errors", LABELS),
    }


def test_every_picture_has_a_title_labels_and_nothing_cut_off(dataset):
    for name, axes in pictures(dataset).items():
        assert axes.get_title() == name
        assert axes.get_xlabel() and (axes.get_ylabel() or name == "parts"), name
        figure = axes.figure
        figure.savefig(io.BytesIO())  # lays the figure out
        inside = figure.bbox.padded(1)
        boxes = [figure.get_tightbbox().transformed(figure.dpi_scale_trans)]
        assert all(inside.containsx(x) for box in boxes for x in box.intervalx), name
        assert all(inside.containsy(y) for box in boxes for y in box.intervaly), name


def test_pictures_are_small_files(dataset):
    for name, axes in pictures(dataset).items():
        file = io.BytesIO()
        axes.figure.savefig(file, format="png")
        assert file.tell() < 90_000, name


def test_history_leaves_out_the_first_epochs():
    axes = plots.plot_history(HISTORY, "loss", "title", skip=10)
    for line in axes.get_lines():
        assert line.get_xdata()[0] == 11 and line.get_xdata()[-1] == 40


def test_each_prediction_is_shown_at_its_input():
    predictions = {"Keras": np.cos(X), "LiteRT": -X, "TFLM": X}
    axes = plots.plot_predictions(X, np.sin(X), predictions, "title")
    shown = {line.get_label(): line for line in axes.get_lines()}
    for label, values in {**predictions, "Actual values": np.sin(X)}.items():
        assert np.array_equal(shown[label].get_xdata(), X), label
        assert np.array_equal(shown[label].get_ydata(), values), label
        assert shown[label].get_marker() not in ("", "None"), label


def test_the_sine_behind_predictions_is_one_whole_turn():
    axes = plots.plot_predictions(X, None, {"Predictions": X}, "title")
    (sine,) = (line for line in axes.get_lines() if line.get_label() == "Sine")
    x, y = sine.get_data()
    assert x[0] == 0 and x[-1] == pytest.approx(2 * np.pi)
    assert np.diff(x).max() < 0.1, "Too coarse to look round."
    assert np.allclose(y, np.sin(x))


def test_another_curve_has_its_own_axes_and_no_sine(dataset):
    for name, axes in curves(dataset).items():
        assert (axes.get_xlabel(), axes.get_ylabel()) == LABELS, name
        shown = [line.get_label() for line in axes.get_lines()]
        assert "Sine" not in shown and shown, name
        axes.figure.draw_without_rendering()
        ticks = [tick.get_text() for tick in axes.get_xticklabels()]
        assert len(ticks) > 3 and "π" not in "".join(ticks), name
        words = alt_text.describe(axes.figure)
        assert "sine" not in words and "of temperature in °C over adc in code" in words, name


def luminance(colour):
    """Relative luminance of an sRGB colour, as the Web Content Accessibility Guidelines have it."""
    rgb = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_several_predictions_differ_in_shape_not_only_in_colour():
    markers = [look["marker"] for look in plots.PREDICTION_LOOKS]
    assert len(set(markers)) == len(markers)
    for look in plots.PREDICTION_LOOKS:
        contrast = 1.05 / (luminance(look["color"]) + 0.05)
        assert contrast >= 3, "Too pale on white for the last row."


def test_everything_drawn_stands_out_from_white(dataset):
    for name, axes in pictures(dataset).items():
        for line in axes.get_lines():
            contrast = 1.05 / (luminance(line.get_color()) + 0.05)
            assert contrast >= 3, f"{name}: {line.get_label()}"


def test_a_notebook_shows_a_picture_with_its_text(monkeypatch):
    shell = InteractiveShell()
    shell.kernel = True
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    axes = plots.plot_samples(X, np.sin(X), "Samples")
    data, metadata = shell.display_formatter.format(axes.figure)
    assert data["image/png"] == plots.png(axes.figure)
    words = metadata["image/png"]["alt"]
    assert words == alt_text.describe(axes.figure) and data["text/plain"].startswith("<Figure size")
    assert words.startswith("Samples. A plot of y over x (radians). 30 marks: highest")


def test_the_users_own_style_stays(dataset):
    before = dict(matplotlib.rcParams)
    pictures(dataset)
    assert dict(matplotlib.rcParams) == before


def test_a_png_is_small_and_shows_the_same():
    from PIL import Image

    axes = plots.plot_samples(np.linspace(0, 6, 500), np.sin(np.linspace(0, 6, 500)), "Many dots")
    full = io.BytesIO()
    axes.figure.savefig(full, format="png")
    content = plots.png(axes.figure)
    assert len(content) < 0.6 * len(full.getvalue())
    ours, theirs = (
        np.asarray(Image.open(file).convert("RGB"), int) for file in (io.BytesIO(content), full)
    )
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).mean() < 2 and np.abs(ours - theirs).max() < 60


def test_bars_of_parts_say_their_bytes_and_leave_out_what_has_none():
    axes = plots.plot_parts(PARTS, "parts")
    assert [text.get_text() for text in axes.texts] == ["500", "300", "1,000"]
    words = alt_text.describe(axes.figure)
    assert "code: one 500, other 300." in words and "data: one 20, other 1,000." in words
    assert "bss" not in words
