"""The network behind the knobs, against NumPy's own least squares and the course's quantization."""

import base64
import io
import re
import sys

import numpy as np
import pytest

from workshop_utils import data, explore, inference
from workshop_utils.errors import WorkshopError

DATASET = data.split(*data.make(1000, 0.1, seed=1))
X, Y = DATASET.x_train, DATASET.y_train


@pytest.fixture(scope="module")
def network():
    return explore.Network(X, Y, neurons=16, seed=1)


def test_the_kinks_are_where_notebook_04_puts_them(network):
    kinks = -network.biases / network.weights
    assert np.allclose(kinks, 2 * np.pi * (np.arange(16) + 0.5) / 16)


def test_the_last_neuron_is_the_least_squares_solution(network):
    hidden = np.maximum(0, np.outer(X, network.weights) + network.biases)
    terms = np.vstack([np.column_stack([hidden, np.ones(X.size)]), np.sqrt(1e-3) * np.eye(17)])
    expected, *_ = np.linalg.lstsq(terms, np.concatenate([Y, np.zeros(17)]), rcond=None)
    assert np.allclose([*network.last_weights, network.last_bias], expected, atol=1e-6)


def test_it_draws_a_sine(network):
    x = DATASET.x_test
    assert np.mean((network.predict(x) - np.sin(x)) ** 2) < 0.003
    assert np.mean((network.predict_int8(x) - np.sin(x)) ** 2) < 0.01


def test_rounding_is_the_courses_quantization():
    values = np.linspace(-0.7, 2.3, 500)
    scale = 3.0 / 255
    zero_point = round(-128 + 0.7 / scale)
    codes = inference.quantize(values, scale, zero_point)
    expected = inference.dequantize(codes, scale, zero_point)
    # float32 there and float64 here: a value in the middle of two steps may go either way.
    off = np.abs(explore._rounded(values, -0.7, 2.3) - expected)
    assert np.mean(off > 1e-5) < 0.02 and off.max() < 1.01 * scale


def test_what_flows_and_what_weighs_has_8_bits(network):
    def rounded(values, like):
        low, high = min(like.min(), 0), max(like.max(), 0)
        scale = (high - low) / 255
        zero_point = round(-128 - low / scale)
        return inference.dequantize(
            inference.quantize(values, scale, zero_point), scale, zero_point
        ).astype(float)

    def weight(values):
        scale = np.abs(values).max() / 127
        return inference.dequantize(inference.quantize(values, scale, 0), scale, 0).astype(float)

    def hidden(x, weights):
        return np.maximum(0, np.outer(x, weights) + network.biases)

    x = DATASET.x_test
    flow = rounded(hidden(rounded(x, X), weight(network.weights)), hidden(X, network.weights))
    answers = network.predict(X)
    expected = rounded(flow @ weight(network.last_weights) + network.last_bias, answers)
    # Where float32 and float64 part in the middle of two steps, a few answers differ.
    step = (answers.max() - answers.min()) / 255
    assert np.mean(np.abs(network.predict_int8(x) - expected) < step / 2) > 0.95


@pytest.mark.parametrize(("neurons", "noise", "seed"), [(2, 0, 0), (3, 0.5, 7), (64, 0.5, 50)])
def test_int8_has_256_answers_at_most_and_no_nan(neurons, noise, seed):
    dataset = data.split(*data.make(1000, noise, seed))
    network = explore.Network(dataset.x_train, dataset.y_train, neurons, seed)
    answers = network.predict_int8(np.linspace(0, 2 * np.pi, 2000))
    assert np.isfinite(answers).all() and 1 < np.unique(answers).size <= 256


def test_the_picture_shows_both_forms_over_one_whole_turn(network):
    import matplotlib.pyplot as plt

    axes = explore.picture(noise=0.1, neurons=16, seed=1)
    curves = {line.get_label(): line.get_data() for line in axes.get_lines()}
    plt.close(axes.figure)
    for label, predict in (("Float", network.predict), ("int8", network.predict_int8)):
        x, y = curves[label]
        assert x[0] == 0 and x[-1] == pytest.approx(2 * np.pi)
        assert np.array_equal(y, predict(x))


@pytest.mark.parametrize("neurons", [1, 65, 2.5])
def test_bad_numbers_of_neurons(neurons):
    with pytest.raises(WorkshopError, match="neurons is"):
        explore.Network(X, Y, neurons, 1)


def size(content):
    from PIL import Image

    return Image.open(io.BytesIO(content)).size


def shown_in(html):
    """The picture in an element of HTML."""
    return base64.b64decode(re.search('base64,([^"]+)"', html)[1])


def test_moving_a_slider_draws_another_picture():
    pytest.importorskip("ipywidgets")
    knobs = explore.Knobs()
    *sliders, image = knobs.widget.children
    assert [slider.description for slider in sliders] == ["Noise", "Neurons", "Seed"]
    for slider, value in zip(sliders, (0.4, 3, 9), strict=True):
        before = image.value
        slider.value = value
        assert image.value != before and size(shown_in(image.value)) == size(shown_in(before))
    png, alt = explore._shown(noise=0.4, neurons=3, seed=9)
    assert shown_in(image.value) == png and f'alt="{alt}"' in image.value


def test_a_picture_stands_in_where_there_are_no_widgets(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    shown, metadata = explore.Knobs()._repr_mimebundle_()
    assert "int8: highest" in metadata["image/png"]["alt"]
    assert set(shown) == {"image/png", "text/plain"}
    assert size(base64.b64decode(shown["image/png"]))[0] > 600
