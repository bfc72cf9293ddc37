"""Checks for the exercises: what is right, and what to look at, but not the answer.

Each function takes what the attendee made of the stub and returns one sentence that begins with
RIGHT, NOT_YET or YOUR_TURN (while the stub is untouched). None of them raises, whatever it gets,
and a right answer is right in any form: as a number, in a list, as an array.
Introduced in notebook 02.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from workshop_utils import data

if TYPE_CHECKING:
    import pandas as pd

RIGHT, NOT_YET, YOUR_TURN = "Right: ", "Not yet: ", "Your turn: "


@dataclass(frozen=True)
class Quiz:
    """A question with choices, asked before a run that answers it.

    choices: {letter: (what to say if it is right, what to say if it is not)}. right: the letter of
    the right choice, or a function of what the run measured.
    """

    choices: dict[str, tuple[str, str]]
    right: Callable[[float], str]


def quiz(answer: Any, name: str, measured: float = 0) -> str:
    """Any notebook: a choice before a run. None is the stub.

    answer: a letter. name: a key of QUIZZES. measured: what the run found, in the unit that the
    quiz says.
    """
    asked = QUIZZES[name]
    letters = ", ".join(asked.choices)
    if answer is None:
        return YOUR_TURN + f"replace None by the letter of your choice: {letters}."
    letter = answer.strip(" .()\t\n").lower() if isinstance(answer, str) else ""
    if letter not in asked.choices:
        return NOT_YET + f"one letter is asked for, in quotation marks: {letters}."
    if_right, if_wrong = asked.choices[letter]
    return RIGHT + if_right if letter == asked.right(measured) else NOT_YET + if_wrong


def answered(cells: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """How many of a notebook's questions are answered right, and how many it asks.

    cells: of the notebook as it was saved. What counts is what stands under the cells that answer.
    """
    said = [_said(cell) for cell in cells if "exercise" in cell["metadata"].get("tags", ())]
    return sum(text.startswith(RIGHT) for text in said), len(said)


def _said(cell: Mapping[str, Any]) -> str:
    """The last line that a cell has printed."""
    texts = [output.get("text", "") for output in cell.get("outputs", ())]
    lines = "".join("".join(text) for text in texts).rstrip().splitlines()
    return lines[-1] if lines else ""


def noise_floor(answer: Any, x_test: np.ndarray, y_test: np.ndarray) -> str:
    """Notebook 02: the mean squared error of a perfect model on the test set. None is the stub."""
    if answer is None:
        return YOUR_TURN + "replace None by the mean squared error of a perfect model."
    errors = y_test - np.sin(x_test)
    wanted = float(np.mean(errors**2))
    number, numbers = _number(answer), _numbers(answer)
    if number is None and numbers is not None and numbers.shape == x_test.shape:
        if np.allclose(numbers, np.sin(x_test), atol=1e-5):
            return NOT_YET + "that is what it predicts for each x. How far is that from y_test?"
        if np.allclose(numbers, errors, atol=1e-5) or np.allclose(numbers, -errors, atol=1e-5):
            return NOT_YET + "these are its errors, one for each x. Square them, then average."
        if np.allclose(numbers, errors**2, atol=1e-5):
            return NOT_YET + "these are the squares of its errors. What is left is their mean."
    if number is None:
        return NOT_YET + "one number is asked for, the mean of the squared errors."
    if np.isclose(number, wanted, rtol=0.01, atol=1e-9):
        return RIGHT + f"the error is {wanted:.4f}, all of it noise: the floor of this course."
    degrees = np.mean((y_test - np.sin(np.radians(x_test))) ** 2)
    for value, hint in (
        (0, "that would need the noise of each sample to be known, and x does not tell."),
        (np.sqrt(wanted), "that is its root. The squares themselves are asked for."),
        (np.sum(errors**2), "that is the sum of the squares. Their mean is asked for."),
        (np.mean(np.abs(errors)), "that is the mean absolute error. Square before you average."),
        (np.mean(errors), "errors of both signs cancel one another. Square them first."),
        (degrees, "x is in radians already, so there is nothing to convert."),
    ):
        if np.isclose(number, value, rtol=0.01, atol=1e-9):
            return NOT_YET + hint
    if 0.5 < number / wanted < 2 if wanted else False:
        return NOT_YET + "that is near. Take the samples of the test set, and no others."
    return NOT_YET + "the wave behind the dots is another one. How was y made in section 1?"


def places_of_kinks(answer: Any, x_train: np.ndarray) -> str:
    """Notebook 03: are these eight places inside the data, and spread? Zeros are the stub."""
    answer = _numbers(answer)
    if answer is None or answer.size != 8:
        return NOT_YET + "eight numbers are needed, one place for each neuron."
    answer = answer.ravel()
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
    return RIGHT + "no neuron is dead before training. The next cell trains it."


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
        late = wanted > 0.9 * val_loss.size
        rest = "so it was still falling: train longer" if late else "the rest gained little"
        return RIGHT + f"epoch {wanted} of {val_loss.size} is the first that is so close; {rest}."
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
    if errors is None or errors.size != x_test.size:
        return NOT_YET + "one error is needed for each test input: call errors_in_steps."
    # Clipping moves the inputs at the upper end of the range, whatever happens to fractions.
    inside = x_test / scale < 254
    fraction = (x_test / scale % 1)[inside]
    errors = errors.ravel()[inside]
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


def network_bytes(answer: Any, shapes: Sequence[tuple[int, int]]) -> str:
    """Notebook 06: the bytes of weights (int8) and biases (int32). None is the stub.

    shapes: of the layers' weights, (neurons, inputs).
    """
    weights, biases = sum(rows * columns for rows, columns in shapes), sum(row for row, _ in shapes)
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


def multiplications(answer: Any, shapes: Sequence[tuple[int, int]]) -> str:
    """Notebook 07: how many products one inference takes. None is the stub.

    shapes: of the layers' weights, (neurons, inputs).
    """
    if answer is None:
        return YOUR_TURN + "replace None by a number."
    answer = _number(answer)
    if answer is None:
        return NOT_YET + "one number is asked for."
    wanted, neurons = sum(rows * columns for rows, columns in shapes), sum(row for row, _ in shapes)
    if answer == wanted:
        return RIGHT + "each weight is used once per inference."
    hints = {
        neurons: "so many neurons there are. With how many weights does each of them multiply?",
        wanted + neurons: "biases are added; nothing is multiplied with them.",
        256 * wanted: "that is for all 256 inputs. One inference is asked for.",
        max(rows * columns for rows, columns in shapes): "that is the largest layer alone.",
    }
    general = f"that is too {'few' if answer < wanted else 'many'}. Go through it layer by layer."
    return NOT_YET + hints.get(answer, general)


def factor_of_mistake(answer: Any, input_scale: float, output_scale: float) -> str:
    """Notebook 08: the factor between the board's wave and ours. None is the stub."""
    if answer is None:
        return YOUR_TURN + "replace None by a formula of two numbers that the model holds."
    answer = _number(answer)
    if answer is None:
        return NOT_YET + "one number is asked for."
    wanted = input_scale / output_scale
    if np.isclose(answer, wanted, rtol=1e-5):
        return RIGHT + "the answer was turned into a real number with the scale of the input."
    if np.isclose(answer, 1 / wanted, rtol=0.02):
        return NOT_YET + "that leads from the board's wave to ours. Turn it round."
    if np.isclose(answer, wanted, rtol=0.1):
        return NOT_YET + (
            "read from the picture, that is right. Which two numbers of the model give it exactly?"
        )
    return NOT_YET + "compare the largest y of the board with the largest y of the healthy chip."


def good_enough(answer: Any, configurations: "pd.DataFrame") -> str:
    """Notebook 09: the quickest of those with a sine_error of at most 0.001. None is the stub.

    answer: its row, its label, the pair of its LAYERS and NEURONS, or all rows that are good
    enough. configurations: DataFrame with the columns LAYERS, NEURONS, sine_error and instructions.
    """
    if answer is None:
        return YOUR_TURN + "replace None by a row of at_course_noise."
    labels = _labels(answer, configurations)
    if not labels:
        return NOT_YET + "a row of at_course_noise is asked for, or its LAYERS and NEURONS."
    wanted = configurations[configurations["sine_error"] <= 0.001]
    if not set(labels) <= set(wanted.index):
        return NOT_YET + "its error is too large. Look at the column sine_error."
    quickest = wanted.sort_values("instructions", kind="stable").iloc[0]
    if set(labels) != set(wanted.index) and quickest.name not in labels:
        return NOT_YET + "that is good enough, but another one is, too, and quicker."
    if len(labels) > 1 and set(labels) != set(wanted.index):
        return NOT_YET + "one row is asked for, the one with the fewest instructions."
    shape = f"{quickest['LAYERS']:.0f} × {quickest['NEURONS']:.0f}"
    return RIGHT + f"of {len(wanted)} that are good enough, {shape} neurons are the quickest."


def _labels(answer: Any, table: "pd.DataFrame") -> list[Any]:
    """Which rows of a table an answer means, by their labels; empty if it is none of its rows."""
    import pandas as pd

    try:
        if isinstance(answer, pd.DataFrame):
            return list(answer.index) if answer.index.isin(table.index).all() else []
        if isinstance(answer, pd.Series):
            return [answer.name] if answer.name in table.index else []
        numbers = _numbers(answer)
        if numbers is not None and numbers.size == 2:
            same = (table[["LAYERS", "NEURONS"]] == numbers.ravel()).all(axis=1)
            return list(table.index[same])
        number = _number(answer)
        return [number] if number is not None and number in table.index else []
    except Exception:  # an odd table or an odd object is no row
        return []


def codes_between(answer: Any, least: float, greatest: float) -> str:
    """Notebook 10: how many of 256 codes inputs from `least` to `greatest` use, both included, if
    the codes cover 0 to `greatest`. None is the stub.
    """
    if answer is None:
        return YOUR_TURN + "replace None by a number of codes."
    answer = _number(answer)
    if answer is None:
        return NOT_YET + "one number is asked for."
    exact = (greatest - least) / (greatest / 255)
    if abs(answer - exact - 1) <= 1:
        return RIGHT + "all others stand for inputs that never come."
    if abs(answer - 255 * least / greatest) <= 2:
        return NOT_YET + "those are the codes below the least input, which are wasted."
    if abs(answer - 256) <= 1:
        return NOT_YET + "the type has that many. Which of them does an input ever get?"
    return NOT_YET + f"that is too {'few' if answer < exact else 'many'}. How large is a step?"


def _number(answer: Any) -> int | float | None:
    """The answer as one finite number; a whole one as an int, however it is given.

    68, 68.0, np.float32(68), np.array(68) and [68] are all 68. None if it is something else.
    """
    try:
        array = np.asarray(answer)
        if array.dtype == object:  # what pandas and decimal numbers come as
            array = np.asarray(answer, dtype=np.float64)
    except Exception:  # an object's own __array__ may raise anything
        return None
    if array.size != 1 or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        return None
    value = float(array.ravel()[0])
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


def _near_the_floor(excess: float) -> bool:
    return excess <= data.TOLERANCE


# What each is measured in stands beside its name.
QUIZZES = {
    # the share of the samples that moved by more than NOISE
    "noise": Quiz(
        {
            "a": (
                "here nothing moves that far.",
                "the standard deviation is a typical size of the noise, not its limit.",
            ),
            "b": (
                "about two thirds of Gaussian noise lie within one standard deviation.",
                "count them: here nothing moves that far.",
            ),
            "c": (
                "here it is most of them.",
                "that is the share that stays within one standard deviation.",
            ),
        },
        lambda share: "a" if share < 0.05 else "b" if share < 0.5 else "c",
    ),
    # how far the validation loss lies above the floor
    "small model": Quiz(
        {
            "a": (
                "this run came close. Section 5 shows what luck has to do with it.",
                "eight bends would be enough for that. Section 5 shows why they are not where they "
                "would have to be.",
            ),
            "b": (
                "it has learned something, and stopped half-way. Section 5 shows why.",
                "look at the last loss of the bar, and at the floor.",
            ),
            "c": (
                "it has learned next to nothing: too few steps, or too many dead neurons.",
                "always answering 0 would end 0.5 above the floor. It did better than that.",
            ),
        },
        lambda excess: "a" if _near_the_floor(excess) else "b" if excess < 0.4 else "c",
    ),
    # the same
    "larger model": Quiz(
        {
            "a": (
                "luck: these few validation samples happen to suit it.",
                "the floor is what a perfect model has; nothing that it learns from says more.",
            ),
            "b": (
                "a perfect model would be hardly better.",
                "look at the last validation loss, and at the floor of notebook 2.",
            ),
            "c": (
                "in this run it stays above. Section 4 says why.",
                "it had enough bends, in the right places.",
            ),
        },
        lambda excess: "a" if excess < -data.TOLERANCE else "b" if _near_the_floor(excess) else "c",
    ),
    # by how much the answers differ beyond the largest example
    "examples": Quiz(
        {
            "a": (
                "",
                "the steps are finer, if anything: 256 of them share a smaller range.",
            ),
            "b": (
                "beyond the largest example every x has the same code.",
                "look at the picture: its answers do change there.",
            ),
            "c": (
                "here the examples reach far enough.",
                "they do, but what reaches them is a code, and x was clipped to make it.",
            ),
        },
        lambda change: "b" if change == 0 else "c",
    ),
    # bytes of the int8 file per byte of the float file
    "size": Quiz(
        {
            "a": (
                "this network is large enough for its weights to be most of the file.",
                "the weights do shrink to a quarter. But what else is in the file?",
            ),
            "b": (
                "only the weights shrink, and they are not the whole file.",
                "compare the two rows of the table once more.",
            ),
            "c": (
                "scales and zero points had to be added, and there were few weights to save on.",
                "scales and zero points are added, but the weights save more than that.",
            ),
        },
        lambda ratio: "a" if ratio < 0.35 else "b" if ratio < 1 else "c",
    ),
    # instructions per multiplication
    "instructions": Quiz(
        {
            "a": (
                "with so many multiplications, everything around them hardly counts.",
                "numbers must be loaded, sums scaled and rounded, loops counted.",
            ),
            "b": (
                "loading, scaling and rounding take their share, but no more than that.",
                "divide the instructions in the table by the multiplications.",
            ),
            "c": (
                "with so few multiplications, everything around them counts more.",
                "that would be floating point without a unit for it. These are integers.",
            ),
        },
        lambda ratio: "a" if ratio < 2 else "b" if ratio <= 10 else "c",
    ),
    # how many of 256 answers differ
    "rounded once": Quiz(
        {
            "a": (
                "for this model it makes no difference.",
                "round 5 / 4 once. Then halve 5 and round, and halve and round again. How often "
                "one rounds matters.",
            ),
            "b": (
                "to the nearest is one thing, how often one rounds is another.",
                "count them in the picture.",
            ),
            "c": (
                "here they have added up.",
                "each layer's results become bytes again, and there a small error mostly vanishes.",
            ),
        },
        lambda differing: "a" if differing == 0 else "b" if differing < 128 else "c",
    ),
    # how often a wider network takes fewer instructions
    "wider": Quiz(
        {
            "a": (
                "in this table it is.",
                "compare neighbours in the column of instructions: 3 neurons with 4, 6 with 8.",
            ),
            "b": (
                "widths that the inner loop likes are quicker than some narrower ones.",
                "in this table each wider one takes more.",
            ),
        },
        lambda exceptions: "b" if exceptions else "a",
    ),
    # Accidents: the cause is what was done.
    "says one thing": Quiz(
        {
            "a": (
                "",
                "a cell below says what its loss was before. What has become of its neurons?",
            ),
            "b": ("the next cell counts them.", ""),
            "c": (
                "",
                "noise makes no neuron answer 0 for every sample. The next cell counts them.",
            ),
        },
        lambda _: "b",
    ),
    "looks right": Quiz(
        {
            "a": ("", "then the differences would be largest on the hill and in the valley."),
            "b": ("each x is a little too small, which shows where the wave is steep.", ""),
            "c": ("", "lost bits would hit anywhere, and by any amount."),
        },
        lambda _: "b",
    ),
    "two boards": Quiz(
        {
            "a": (
                "",
                "its answers still follow one another; damaged bytes would not be that kind.",
            ),
            "b": ("the weights of the other neurons are taken for too large or too small.", ""),
            "c": ("", "then there would be no wave at all, and a reason on the console."),
        },
        lambda _: "b",
    ),
    "by mail": Quiz(
        {
            "a": ("", "its kind is TFL3, that of a TensorFlow Lite model."),
            "b": ("compare its length with that of the model that was sent.", ""),
            "c": ("", "then the console would name the operator."),
        },
        lambda _: "b",
    ),
    # whether all 256 answers are right
    "askew": Quiz(
        {
            "a": (
                "look at what it said.",
                "a real core may; this emulator does not check alignment.",
            ),
            "b": ("look at the answers.", "unaligned bytes are still the same bytes."),
            "c": ("and that is the trap: on a real core it might not.", "look at the answers."),
        },
        lambda equal: "c" if equal else "b",
    ),
    # which of network, table and formula is off by least: 0, 1 or 2
    "nearest curve": Quiz(
        {
            "a": (
                "it puts its bends where the data wants them.",
                "it has to search for its numbers step by step, and the others compute the best.",
            ),
            "b": (
                "a few straight lines are enough for a curve as smooth as this.",
                "between two of its places it can only go straight.",
            ),
            "c": (
                "it has the fewest numbers, and so the noise moves it least.",
                "few numbers cannot follow every bend of what was measured.",
            ),
        },
        lambda nearest: "abc"[int(nearest)],
    ),
    "hardly moves": Quiz(
        {
            "a": (
                "",
                "both firmwares run one network: were it dead, ours would draw a flat line too.",
            ),
            "b": ("to the network the whole turn looks like one and the same place.", ""),
            "c": ("", "then the wave would be upside down, and as large as ever."),
        },
        lambda _: "b",
    ),
}
