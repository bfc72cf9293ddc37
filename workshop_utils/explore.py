"""The sine model with knobs: noise, neurons and seed. Introduced in notebook 05.

Training takes seconds, and a knob should answer at once. So this network has one hidden layer that
stays as notebook 04 starts it, and only the last neuron is fitted, by least squares: one equation
instead of 500 epochs. Its int8 form is computed in NumPy, with the rounding that TensorFlow Lite's
scheme does. Neither Keras nor the converter has a part in it.
"""

import base64
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from workshop_utils import alt_text, data, plots
from workshop_utils.errors import require_int

if TYPE_CHECKING:
    from ipywidgets import VBox
    from matplotlib.axes import Axes

MAX_NEURONS = 64
_SAMPLES = 1000
_RIDGE = 1e-3  # keeps weights small where neurons are nearly alike


class Network:
    """One hidden layer of ReLUs with evenly spread kinks, and a last neuron that is fitted.

    x, y: training samples, shape (n,). neurons: 2 to MAX_NEURONS. seed: of the hidden weights.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, neurons: int, seed: int) -> None:
        require_int("neurons", neurons, 2, MAX_NEURONS)
        rng = np.random.default_rng(seed)
        limit = np.sqrt(6 / (1 + neurons))  # Glorot and Bengio's, as Keras draws them
        self.weights = rng.uniform(-limit, limit, neurons)
        self.biases = -self.weights * 2 * np.pi * (np.arange(neurons) + 0.5) / neurons
        hidden = self._hidden(x)
        terms = np.column_stack([hidden, np.ones(x.size)])
        square = terms.T @ terms + _RIDGE * np.eye(neurons + 1)
        solution: np.ndarray = np.linalg.solve(square, terms.T @ y)
        self.last_weights, self.last_bias = solution[:-1], solution[-1]
        self._ranges = [(values.min(), values.max()) for values in (x, hidden, self.predict(x))]

    def _hidden(self, x: ArrayLike) -> np.ndarray:
        return np.maximum(0, np.asarray(x, np.float64)[:, None] * self.weights + self.biases)

    def predict(self, x: ArrayLike) -> np.ndarray:
        """Predictions in floating point, shape (n,)."""
        return np.asarray(self._hidden(x) @ self.last_weights + self.last_bias)

    def predict_int8(self, x: np.ndarray) -> np.ndarray:
        """The same with 8 bits for inputs, weights and what flows between; biases keep 32.

        Source: TensorFlow Lite 8-bit quantization specification, one scale per tensor.
        """
        x = _rounded(x, *self._ranges[0])
        hidden = np.maximum(0, x[:, None] * _rounded_weights(self.weights) + self.biases)
        hidden = _rounded(hidden, *self._ranges[1])
        y = hidden @ _rounded_weights(self.last_weights) + self.last_bias
        return _rounded(y, *self._ranges[2])


def _rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """To the nearest of 256 steps from low to high (0 among them) and back."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = (high - low) / 255 or 1.0
    zero_point = round(-128 - low / scale)
    codes = np.clip(np.rint(values / scale) + zero_point, -128, 127)
    return np.asarray((codes - zero_point) * scale)


def _rounded_weights(weights: np.ndarray) -> np.ndarray:
    """To the nearest of 255 steps, zero in the middle, and back."""
    scale = np.abs(weights).max() / 127
    return np.asarray(np.rint(weights / scale) * scale)


def picture(noise: float = 0.1, neurons: int = 16, seed: int = 1) -> "Axes":
    """A picture of one network's answers, with its errors on the test set on top. Returns Axes."""
    dataset = data.split(*data.make(_SAMPLES, noise, seed))
    network = Network(dataset.x_train, dataset.y_train, neurons, seed)
    wave = np.linspace(0, 2 * np.pi, 400)
    errors = [
        float(np.mean((predict(dataset.x_test) - dataset.y_test) ** 2))
        for predict in (np.sin, network.predict, network.predict_int8)
    ]
    axes = plots.plot_predictions(
        dataset.x_test,
        dataset.y_test,
        {},
        "test error: perfect {:.4f}, float {:.4f}, int8 {:.4f}".format(*errors),
    )
    axes.plot(wave, network.predict(wave), color=plots.VERMILION, lw=2.5, label="Float")
    axes.plot(wave, network.predict_int8(wave), color=plots.BLACK, lw=1, label="int8")
    axes.set_ylim(-1.7, 1.7)
    axes.legend(loc="upper right", fontsize=12)
    return axes


def _shown(**choices: Any) -> tuple[bytes, str]:
    """The picture as a PNG file, and in words."""
    import matplotlib.pyplot as plt

    figure = picture(**choices).get_figure(root=True)
    assert figure is not None, "Axes of ours have a figure."
    content = plots.png(figure), alt_text.describe(figure)
    plt.close(figure)
    return content


class Knobs:
    """Shown by a notebook: three sliders and the picture that follows them.

    noise: standard deviation. neurons: of the hidden layer. seed: of samples and weights. The
    values to begin with. Where ipywidgets is not installed, or a notebook is read and not run,
    the picture stands alone.
    """

    def __init__(self, noise: float = 0.1, neurons: int = 16, seed: int = 1) -> None:
        self.values: dict[str, Any] = {"noise": noise, "neurons": neurons, "seed": seed}
        self.png, self.alt = _shown(**self.values)
        self.widget = _widget(self.values, self.png, self.alt)

    def _repr_mimebundle_(
        self, include: Any = None, exclude: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        shown = self.widget._repr_mimebundle_() if self.widget is not None else {}
        data = {
            **shown,
            "image/png": base64.b64encode(self.png).decode(),
            "text/plain": "Three knobs: noise, neurons, seed",
        }
        return data, {"image/png": {"alt": self.alt}}


def _element(png: bytes, alt: str) -> str:
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def _widget(values: dict[str, Any], png: bytes, alt: str) -> "VBox | None":
    """Sliders above a picture that follows them; None without ipywidgets."""
    try:
        import ipywidgets
    except ImportError:
        return None
    look = {"continuous_update": False, "layout": ipywidgets.Layout(width="420px")}
    sliders = {
        "noise": ipywidgets.FloatSlider(
            values["noise"], min=0, max=0.5, step=0.05, description="Noise", **look
        ),
        "neurons": ipywidgets.IntSlider(
            values["neurons"], min=2, max=MAX_NEURONS, description="Neurons", **look
        ),
        "seed": ipywidgets.IntSlider(values["seed"], min=0, max=50, description="Seed", **look),
    }
    # Of HTML, since the widget for images has no alternative text.
    image = ipywidgets.HTML(_element(png, alt))

    def redraw(change: Any) -> None:
        image.value = _element(*_shown(**{name: one.value for name, one in sliders.items()}))

    for slider in sliders.values():
        slider.observe(redraw, "value")
    return ipywidgets.VBox([*sliders.values(), image])
