"""Checks for the exercises: what is right, and what to look at, but not the answer.

Each function takes what the attendee made of the stub and returns one sentence that begins with
RIGHT, NOT_YET or YOUR_TURN (while the stub is untouched). None of them raises, whatever it gets.
Introduced in notebook 02.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import pandas as pd

RIGHT, NOT_YET, YOUR_TURN = "Right: ", "Not yet: ", "Your turn: "


def perfect_prediction(answer: Any, x_test: np.ndarray, y_test: np.ndarray) -> str:
    """Notebook 02: is `answer` what a perfect model predicts for x_test? None is the stub."""
    if answer is None:
        return YOUR_TURN + "replace None by what a perfect model would predict for each x_test."
    answer = _numbers(answer)
    if answer is None:
        return NOT_YET + "a prediction is an array of numbers, one for each x_test."
    if answer.shape != x_test.shape:
        return NOT_YET + (
            f"there are {x_test.size} samples in the test set, but your array has the shape "
            f"{answer.shape}. Which x did you use?"
        )
    if np.allclose(answer, np.sin(x_test), atol=1e-5):
        error = np.mean((y_test - answer) ** 2)
        return RIGHT + f"the error is {error:.4f}, all of it noise: the floor of this course."
    if np.allclose(answer, y_test, atol=1e-5):
        return NOT_YET + "y_test holds the noise as well. Nobody can predict that from x alone."
    if np.allclose(answer, np.sin(np.radians(x_test)), atol=1e-5):
        return NOT_YET + "x is in radians already, so there is nothing to convert."
    return NOT_YET + "the wave behind the dots is another one. How was y made in section 1?"


def places_of_kinks(answer: Any, x_train: np.ndarray) -> str:
    """Notebook 03: are these eight places inside the data, and spread? Zeros are the stub."""
    answer = _numbers(answer)
    if answer is None or answer.shape != (8,):
        return NOT_YET + "eight numbers are needed, one place for each neuron."
    if not answer.any():
        return YOUR_TURN + "replace the zeros by eight places inside the data."
    low, high = float(np.min(x_train)), float(np.max(x_train))
    outside = np.count_nonzero((answer <= low) | (answer >= high))
    if outside:
        return NOT_YET + (
            f"{outside} of your places are not inside the data, which goes from {low:.2f} to "
            f"{high:.2f}. What does a neuron do whose kink lies beyond an edge?"
        )
    ends = np.concatenate([[0], np.sort(answer), [2 * np.pi]])
    if np.max(np.diff(ends)) > np.pi / 2 + 1e-6:
        return NOT_YET + (
            "there is more than a quarter of the range without any kink. What can the network "
            "draw there?"
        )
    return RIGHT + (
        "no neuron is dead before training. Now train, and compare the validation losses."
    )


def first_good_epoch(answer: Any, val_loss: ArrayLike) -> str:
    """Notebook 04: is it the first epoch within ten percent of the best loss? None is the stub."""
    if answer is None:
        return YOUR_TURN + "replace None by the number of an epoch."
    answer = _number(answer)
    if answer is None:
        return NOT_YET + "one number is asked for, the number of an epoch."
    val_loss = np.asarray(val_loss)
    if not isinstance(answer, int):
        return NOT_YET + "that is no whole number. Is it a loss? The question is when, not how low."
    close = val_loss <= 1.1 * val_loss.min()
    wanted = int(np.argmax(close)) + 1
    if answer == wanted:
        return RIGHT + f"from epoch {wanted} of {val_loss.size} on there was little left to gain."
    if answer == wanted - 1:
        return NOT_YET + "very close. NumPy counts from 0; from what number do epochs count?"
    if not 1 <= answer <= val_loss.size:
        return NOT_YET + f"training had the epochs 1 to {val_loss.size}."
    if answer == int(np.argmin(val_loss)) + 1:
        return NOT_YET + "that is the best epoch of all. Ten percent more loss is allowed."
    if not close[answer - 1]:
        above = val_loss[answer - 1] / val_loss.min() - 1
        return NOT_YET + f"at epoch {answer} the loss is still {above:.0%} above the best one."
    return NOT_YET + f"epoch {answer} is good enough, but an earlier one is, too."


def cut_off(errors: Any, x_test: np.ndarray, scale: float) -> str:
    """Notebook 05: are these the errors, in steps, of cutting off? Those of rounding: the stub."""
    errors = _numbers(errors)
    if errors is None or errors.shape != x_test.shape:
        return NOT_YET + "one error is needed for each test input: call errors_in_steps."
    # Clipping moves the inputs at the upper end of the range, whatever happens to fractions.
    inside = x_test / scale < 254
    fraction = (x_test / scale % 1)[inside]
    errors = errors[inside]
    if _close(errors, -fraction):
        return RIGHT + (
            f"every input became {-errors.mean():.2f} steps too small on average, where rounding "
            "errs in both directions alike."
        )
    if _close(errors, np.where(fraction == 0, 0, 1 - fraction)):
        return NOT_YET + "this rounds up, so inputs become too large. Which function goes down?"
    if _close(np.abs(errors), np.minimum(fraction, 1 - fraction)):
        return YOUR_TURN + "this still rounds. Which NumPy function cuts the fraction off?"
    return NOT_YET + "these errors come from something else. Give errors_in_steps one function."


def network_bytes(answer: Any) -> str:
    """Notebook 06: the bytes of weights (int8) and biases (int32). None is the stub."""
    weights, biases = 16 + 16 * 16 + 16, 16 + 16 + 1
    if answer is None:
        return YOUR_TURN + "replace None by a number of bytes."
    answer = _number(answer)
    if answer is None:
        return NOT_YET + "one number is asked for."
    if answer == weights + 4 * biases:
        return RIGHT + "the rest of the file describes the network: tensors, shapes, names, scales."
    hints = {
        weights: "these are the weights; the biases are missing.",
        4 * biases: "these are the biases; the weights are missing.",
        biases: "these are the biases, counted and not yet in bytes; the weights are missing.",
        weights + biases: "you have counted the numbers. How many bytes does a bias take?",
        4 * (weights + biases): "that is the float model. How many bytes does a weight take here?",
        weights * 4 + biases: "it is the other way round: which of the two is one byte?",
    }
    small = answer < weights + 4 * biases
    general = "that is too " + ("few" if small else "many") + ". Go through it layer by layer."
    return NOT_YET + hints.get(answer, general)


def factor_of_mistake(answer: Any, input_scale: float, output_scale: float) -> str:
    """Notebook 07: the factor by which the wave is too large. None is the stub."""
    if answer is None:
        return YOUR_TURN + "replace None by a formula of two numbers that the model holds."
    answer = _number(answer)
    if answer is None:
        return NOT_YET + "one number is asked for."
    wanted = input_scale / output_scale
    if np.isclose(answer, wanted, rtol=1e-5):
        return RIGHT + "the answer was turned into a real number with the scale of the input."
    if np.isclose(answer, 1 / wanted, rtol=0.02):
        return NOT_YET + "the wave is too large, but this would make it smaller. Turn it round."
    if np.isclose(answer, wanted, rtol=0.1):
        return NOT_YET + (
            "read from the picture, that is right. Which two numbers of the model give it exactly?"
        )
    return NOT_YET + "compare the largest y of the board with the largest y of the sine."


def good_enough(answer: Any, configurations: "pd.DataFrame") -> str:
    """Notebook 08: the rows of `configurations` with a sine_error of at most 0.001. None: the stub.

    configurations: DataFrame with the columns LAYERS, NEURONS, sine_error and
    instructions.
    """
    import pandas as pd

    if answer is None:
        return YOUR_TURN + "replace None by the rows whose sine_error is small enough."
    if not isinstance(answer, pd.DataFrame) or not answer.index.isin(configurations.index).all():
        return NOT_YET + "rows of at_course_noise are asked for: at_course_noise[condition]."
    wanted = configurations[configurations["sine_error"] <= 0.001]
    if not answer.index.isin(wanted.index).all():
        return NOT_YET + "some of these rows have a larger error. Look at their column sine_error."
    if not wanted.index.isin(answer.index).all():
        return NOT_YET + "there are other rows of at_course_noise whose error is small enough."
    quickest = wanted.sort_values("instructions", kind="stable").iloc[0]
    shape = f"{quickest['LAYERS']:.0f} × {quickest['NEURONS']:.0f}"
    return RIGHT + f"of {len(wanted)} that are good enough, {shape} neurons are the quickest."


def _number(answer: Any) -> int | float | None:
    """The answer as one finite number; a whole one as an int, however it is given.

    68, 68.0, np.float32(68) and np.array(68) are all 68. None if it is something else.
    """
    try:
        array = np.asarray(answer)
    except Exception:  # an object's own __array__ may raise anything
        return None
    if array.ndim or array.dtype.kind not in "iuf" or not np.isfinite(array):
        return None
    value = float(array)
    return int(value) if value.is_integer() else value


def _numbers(answer: Any) -> np.ndarray | None:
    """The answer as a float array; None if it is no array of finite numbers."""
    try:
        array = np.asarray(answer, dtype=np.float64)
    except Exception:  # an object's own __array__ may raise anything
        return None
    return array if array.size and np.isfinite(array).all() else None


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    # float32 has seven digits, and a step is a few hundredths of a radian.
    return np.allclose(one, other, atol=2e-3)
