"""Every way to answer that the checks know: what is right, and what hint a mistake gets."""

import numpy as np
import pandas as pd
import pytest

from workshop_utils import data, exercises
from workshop_utils.exercises import NOT_YET, RIGHT, YOUR_TURN

DATASET = data.split(*data.make(1000, 0.1, seed=1))
X, Y = DATASET.x_test, DATASET.y_test
LOSS = [1.0, 0.5, 0.3, 0.2, 0.105, 0.102, 0.1, 0.15, 0.104]  # 5 is right
SCALE = 0.0244


class Stubborn:
    """Something that NumPy cannot make an array of."""

    def __array__(self, *arguments, **named):
        raise RuntimeError("no")


NONSENSE = [
    *("many", b"x", [], [1, 2, 3], np.nan, object(), {}, [[1], [2, 3]], True, Stubborn()),
    *([10**400], 10**400, pd.DataFrame({"a": ["x"]}), np.zeros((3, 2, 2)), 1j, lambda: 1),
]


def errors(cut, x=X):
    q = np.clip(cut(x / SCALE) - 128, -128, 127)
    return ((q + 128) * SCALE - x) / SCALE


TABLE = pd.DataFrame({"LAYERS": [2, 1, 2], "NEURONS": [4, 8, 16], "instructions": [500, 600, 1200],
                      "sine_error": [0.01, 0.001, 0.0004]}, index=[11, 12, 13])  # fmt: skip
ERRORS = Y - np.sin(X)
FLOOR = float(np.mean(ERRORS**2))
SHAPES = [(16, 1), (16, 16), (1, 16)]
CASES = [
    (exercises.good_enough, (TABLE,), [
        (None, YOUR_TURN, "None"),
        (TABLE[TABLE["sine_error"] <= 0.001], RIGHT, "of 2 that are good enough, 1 × 8 neurons"),
        (TABLE.loc[[12]], RIGHT, ""),
        (TABLE.loc[12], RIGHT, ""),
        (12, RIGHT, ""),
        ((1, 8), RIGHT, ""),
        ([1.0, 8.0], RIGHT, ""),
        (np.array([1, 8]), RIGHT, ""),
        (TABLE.loc[12, ["LAYERS", "NEURONS"]], RIGHT, ""),
        (TABLE, NOT_YET, "too large"),
        (TABLE.loc[11], NOT_YET, "too large"),
        ((2, 16), NOT_YET, "quicker"),
        (TABLE.loc[[13]], NOT_YET, "quicker"),
        ((3, 16), NOT_YET, "a row of at_course_noise"),
        (TABLE["sine_error"], NOT_YET, "a row of at_course_noise"),
        (TABLE.set_axis([7, 8, 9]), NOT_YET, "a row of at_course_noise"),
        (8, NOT_YET, "a row of at_course_noise"),
        (TABLE.iloc[:0], NOT_YET, "a row of at_course_noise"),
    ]),
    (exercises.noise_floor, (X, Y), [
        (None, YOUR_TURN, "None"),
        (FLOOR, RIGHT, "floor"),
        (round(FLOOR, 4), RIGHT, "floor"),
        (np.float32(FLOOR), RIGHT, ""),
        ([FLOOR], RIGHT, ""),
        (pd.Series([FLOOR]), RIGHT, ""),
        (pd.DataFrame([[FLOOR]]), RIGHT, ""),
        (np.sin(X), NOT_YET, "How far"),
        (np.sin(X).tolist(), NOT_YET, "How far"),
        (ERRORS, NOT_YET, "Square them"),
        (ERRORS**2, NOT_YET, "their mean"),
        (np.sin(DATASET.x_train), NOT_YET, "one number"),
        (np.sqrt(FLOOR), NOT_YET, "root"),
        (np.sum(ERRORS**2), NOT_YET, "sum"),
        (np.mean(np.abs(ERRORS)), NOT_YET, "absolute"),
        (ERRORS.mean(), NOT_YET, "cancel"),
        (0, NOT_YET, "noise of each sample"),
        (0.01, NOT_YET, "near"),
        (np.mean((Y - np.sin(np.radians(X))) ** 2), NOT_YET, "radians"),
        (0.5, NOT_YET, "section 1"),
        ("0.0087", NOT_YET, "one number"),
    ]),
    (exercises.places_of_kinks, (DATASET.x_train,), [
        (np.zeros(8), YOUR_TURN, "zeros"),
        (2 * np.pi * (np.arange(8) + 0.5) / 8, RIGHT, "no neuron is dead"),
        (np.linspace(0.1, 6.1, 8), RIGHT, ""),
        ([0.5, 1, 2, 3, 4, 5, 5.5, 6], RIGHT, ""),
        (pd.DataFrame({"k": [0.5, 1, 2, 3, 4, 5, 5.5, 6]}), RIGHT, ""),
        ([1.4, 2.8, 4.2, 5.0, 5.2, 5.4, 5.6, 5.8], RIGHT, ""),  # gaps of less than a quarter
        ([1.7, 2.8, 4.2, 5.0, 5.2, 5.4, 5.6, 5.8], NOT_YET, "quarter of the range"),
        (np.linspace(0, 6, 8), NOT_YET, "1 of your places"),
        (np.linspace(DATASET.x_train.min(), 6, 8), NOT_YET, "1 of your places"),
        (np.linspace(1, DATASET.x_train.max(), 8), NOT_YET, "1 of your places"),
        (np.linspace(0, 360, 8), NOT_YET, "beyond an edge"),
        (np.full(8, 3.0), NOT_YET, "quarter of the range"),
        (np.linspace(0.1, 3, 8), NOT_YET, "quarter of the range"),
        (np.linspace(1, 6, 7), NOT_YET, "eight"),
    ]),
    (exercises.first_good_epoch, (LOSS,), [
        (None, YOUR_TURN, "None"),
        (5, RIGHT, "epoch 5 of 9 is the first"),
        (np.int64(5), RIGHT, ""),
        (5.0, RIGHT, "epoch 5 of 9"),
        (np.float32(5), RIGHT, "epoch 5 of 9"),
        (np.array(5), RIGHT, "epoch 5 of 9"),
        (np.array(5.0), RIGHT, "epoch 5 of 9"),
        (2.0, NOT_YET, "at epoch 2 the loss"),
        (5.5, NOT_YET, "no whole number"),
        (True, NOT_YET, "one number"),
        ("5", NOT_YET, "one number"),
        ([5], RIGHT, ""),
        (np.array([[5]]), RIGHT, ""),
        ([5, 6], NOT_YET, "one number"),
        (5 + 0j, NOT_YET, "one number"),
        (np.inf, NOT_YET, "one number"),
        (10**400, NOT_YET, "one number"),
        (4, NOT_YET, "counts from 0"),
        (7, NOT_YET, "the best epoch"),
        (6, NOT_YET, "an earlier one"),
        (2, NOT_YET, "400% above"),
        (8, NOT_YET, "50% above"),
        (0.105, NOT_YET, "a loss"),
        (0, NOT_YET, "epochs 1 to 9"),
        (9, NOT_YET, "an earlier one is"),
        (10, NOT_YET, "epochs 1 to 9"),
    ]),
    (exercises.cut_off, (X, SCALE), [
        (errors(np.round), YOUR_TURN, "still rounds"),
        (errors(np.floor), RIGHT, "too small"),
        (errors(np.trunc), RIGHT, ""),
        (errors(np.ceil), NOT_YET, "rounds up"),
        (errors(lambda q: q), NOT_YET, "something else"),
        (errors(np.floor, X[:5]), NOT_YET, "one error"),
    ]),
    (exercises.multiplications, (SHAPES,), [
        (None, YOUR_TURN, "None"),
        (288, RIGHT, "once"),
        (np.array([288.0]), RIGHT, "once"),
        (33, NOT_YET, "neurons"),
        (321, NOT_YET, "biases"),
        (288 * 256, NOT_YET, "256 inputs"),
        (256, NOT_YET, "largest layer"),
        (100, NOT_YET, "few"),
        (300, NOT_YET, "many"),
    ]),
    (exercises.network_bytes, (SHAPES,), [
        (None, YOUR_TURN, "None"),
        (420, RIGHT, "describes"),
        (420.0, RIGHT, "describes"),
        (np.array(420), RIGHT, "describes"),
        (288.0, NOT_YET, "biases are missing"),
        (419, NOT_YET, "too few"),
        (421, NOT_YET, "too many"),
        (288, NOT_YET, "biases are missing"),
        (132, NOT_YET, "weights are missing"),
        (33, NOT_YET, "counted"),
        (321, NOT_YET, "How many bytes does a bias"),
        (1284, NOT_YET, "float model"),
        (1185, NOT_YET, "other way round"),
        (100, NOT_YET, "too few"),
        (2736, NOT_YET, "too many"),
    ]),
    (exercises.factor_of_mistake, (0.0244, 0.0081), [
        (None, YOUR_TURN, "None"),
        (0.0244 / 0.0081, RIGHT, "scale of the input"),
        (0.0081 / 0.0244, NOT_YET, "round"),
        (np.float32(0.0244 / 0.0081), RIGHT, "scale of the input"),
        (np.array(0.0244 / 0.0081), RIGHT, "scale of the input"),
        (3, NOT_YET, "exactly"),
        (3.2, NOT_YET, "exactly"),
        (3.5, NOT_YET, "largest y"),
        (7, NOT_YET, "largest y"),
    ]),
    (exercises.codes_between, (3.0, 4.2), [
        (None, YOUR_TURN, "None"),
        (74, RIGHT, "never come"),
        (np.float64(72.86), RIGHT, "never come"),
        (73.0, RIGHT, "never come"),
        (182, NOT_YET, "wasted"),
        (256, NOT_YET, "Which of them"),
        (255, NOT_YET, "Which of them"),
        (40, NOT_YET, "few"),
        (100, NOT_YET, "many"),
    ]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("check", "arguments", "answer", "verdict", "words"),
    [(check, given, *case) for check, given, cases in CASES for case in cases],
)
def test_a_check(check, arguments, answer, verdict, words):
    said = check(answer, *arguments)
    assert said.startswith(verdict) and words in said


# What each quiz can measure, from one end to the other.
MEASURED = {
    "noise": (0, 0.32, 0.9),
    "small model": (0.001, 0.15, 0.5),
    "larger model": (-0.02, 0.001, 0.02),
    "examples": (0, 0.4),
    "size": (0.3, 0.84, 1.2),
    "instructions": (1.5, 4, 12),
    "rounded once": (0, 18, 200),
    "wider": (0, 4),
    "askew": (False, True),
    "says one thing": (0,),
    "looks right": (0,),
    "two boards": (0,),
    "by mail": (0,),
    "hardly moves": (0,),
    "nearest curve": (0, 1, 2),
}


def test_every_quiz_has_one_right_choice_whatever_was_measured():
    assert exercises.QUIZZES.keys() == MEASURED.keys()
    for name, values in MEASURED.items():
        for measured in values:
            said = [exercises.quiz(one, name, measured) for one in exercises.QUIZZES[name].choices]
            assert sum(one.startswith(RIGHT) for one in said) == 1, (name, measured)
            assert len(set(said)) == len(said), "Each wrong choice has an answer of its own."
            assert all(len(one) > 20 for one in said), "Each has one."


@pytest.mark.parametrize("answer", ["b", "B", " b) ", "(b)", "b."])
def test_a_letter_in_any_form(answer):
    assert exercises.quiz(answer, "rounded once", 18).startswith(RIGHT)


@pytest.mark.parametrize(
    ("answer", "verdict", "words"),
    [(None, YOUR_TURN, "a, b, c"), ("d", NOT_YET, "a, b, c"), ("", NOT_YET, "one letter")]
    + [(nonsense, NOT_YET, "one letter") for nonsense in [*NONSENSE, 10**400, pd.DataFrame()]],
)
def test_what_is_no_letter(answer, verdict, words):
    said = exercises.quiz(answer, "noise", 0.3)
    assert said.startswith(verdict) and words in said


def test_a_first_good_epoch_near_the_end_says_to_train_longer():
    falling = list(np.linspace(1, 0.1, 30))
    first = next(e for e in range(1, 31) if falling[e - 1] <= 0.11)
    assert "train longer" in exercises.first_good_epoch(first, falling)
    assert "gained little" in exercises.first_good_epoch(5, LOSS)


def test_inputs_that_are_clipped_say_nothing_about_rounding():
    x = np.linspace(0, 6.28, 500)
    assert (x / SCALE > 255).sum() > 3
    assert exercises.cut_off(errors(np.floor, x), x, SCALE).startswith(RIGHT)
    assert exercises.cut_off(errors(np.round, x), x, SCALE).startswith(YOUR_TURN)
    assert "rounds up" in exercises.cut_off(errors(np.ceil, x), x, SCALE)


@pytest.mark.parametrize(
    ("losses", "first"),
    [
        ([3.0, 1.3, 1.15, 1.05, 1.0], 4),  # ten percent and not twenty
        ([3.0, 1.11, 1.1, 1.0], 3),  # ten percent are near enough
        ([3.0, 1.02, 1.0], 2),
        ([1.0, 2.0], 1),
    ],
)
def test_ten_percent_above_the_best_loss(losses, first):
    for epoch in range(1, len(losses) + 1):
        said = exercises.first_good_epoch(epoch, losses)
        assert said.startswith(RIGHT) == (epoch == first), (epoch, said)


@pytest.mark.parametrize(("check", "arguments"), [case[:2] for case in CASES])
@pytest.mark.parametrize("answer", NONSENSE, ids=range(len(NONSENSE)))
def test_nonsense_gets_a_hint_and_not_a_traceback(check, arguments, answer):
    assert check(answer, *arguments).startswith(NOT_YET)


@pytest.mark.parametrize(("check", "arguments", "cases"), CASES)
def test_no_hint_gives_the_answer_away(check, arguments, cases):
    """The right number stands in no sentence about a wrong one."""
    numbers = {exercises.first_good_epoch: "epoch 5 ", exercises.network_bytes: "420"}
    for answer, verdict, _ in cases:
        if verdict != RIGHT and check in numbers:
            assert numbers[check] not in check(answer, *arguments)


def test_every_seed_and_noise_gets_the_same_verdicts():
    for seed in range(20):
        dataset = data.split(*data.make(200, 0.3, seed))
        x, y = dataset.x_test, dataset.y_test
        assert exercises.noise_floor(np.mean((y - np.sin(x)) ** 2), x, y).startswith(RIGHT)
        places = 2 * np.pi * (np.arange(8) + 0.5) / 8
        assert exercises.places_of_kinks(places, dataset.x_train).startswith(RIGHT)
        assert exercises.cut_off(errors(np.floor, x), x, SCALE).startswith(RIGHT)
        assert exercises.cut_off(errors(np.round, x), x, SCALE).startswith(YOUR_TURN)
