"""Curves without a network: they fit what they are for, and the chip computes the same."""

import numpy as np
import pytest

from workshop_utils import curves, emulator, firmware
from workshop_utils.errors import WorkshopError

X = np.linspace(50, 950, 400)


def temperature(code):
    """Of Vishay's NTCLE100E3 with 10 kΩ, by its data sheet, in a divider with another 10 kΩ."""
    log = np.log(np.asarray(code, float) / (1023 - np.asarray(code, float)))
    per_kelvin = 3.354016e-3 + 2.569850e-4 * log + 2.620131e-6 * log**2 + 6.383091e-8 * log**3
    return 1 / per_kelvin - 273.15


def test_a_table_is_exact_at_its_places_and_straight_between_them():
    curve = curves.table([0, 1, 2, 3, 4] * 9, [0, 1, 4, 9, 16] * 9, places=5)
    assert curve([0, 1, 2, 3, 4]) == pytest.approx([0, 1, 4, 9, 16], abs=0.01)
    assert curve([0.5, 3.25]) == pytest.approx([0.5, 10.75], abs=0.01)
    assert curve([-9, 99]) == pytest.approx([0, 16], abs=0.01), "It does not go on outside."
    assert curve.numbers == 5 and curve([1]).dtype == np.float32


def test_a_table_goes_on_straight_where_no_sample_is():
    x = np.concatenate([np.linspace(0, 3, 50), [10]])
    assert curves.table(x, 2 * x, places=11)([5, 7]) == pytest.approx([10, 14], abs=0.01)


@pytest.mark.parametrize(
    "fit", [lambda x, y: curves.table(x, y, 9), lambda x, y: curves.polynomial(x, y, 2)]
)
def test_two_inputs(fit):
    x = np.random.default_rng(0).uniform([0, 100], [1, 300], (500, 2))
    y = 3 + 2 * x[:, 0] - 0.01 * x[:, 1] + 0.02 * x[:, 0] * x[:, 1]
    curve = fit(x, y)
    assert curve(x) == pytest.approx(y, abs=0.01) and curve.c is None
    assert curve.numbers in (6, 81)


def test_a_polynomial_finds_its_factors():
    x = np.linspace(-3, 5, 40)
    curve = curves.polynomial(x, 1 + x - 2 * x**3)
    assert curve(x) == pytest.approx(1 + x - 2 * x**3, abs=1e-3) and curve.numbers == 4


def test_the_formula_of_a_thermistor_has_four_numbers():
    curve = curves.steinhart_hart(X, temperature(X), 1023)
    assert curve(X) == pytest.approx(temperature(X), abs=0.01) and curve.numbers == 4
    noisy = temperature(X) + np.random.default_rng(0).normal(0, 0.3, X.size)
    assert curves.steinhart_hart(X, noisy, 1023)(X) == pytest.approx(temperature(X), abs=0.3)


def test_codes_at_the_ends_of_the_converter_say_nothing_of_the_resistance():
    codes = np.concatenate([X, [0, 0, 1023]])
    degrees = np.concatenate([temperature(X), [200, 150, -50]])
    curve = curves.steinhart_hart(codes, degrees, 1023)
    assert curve(X) == pytest.approx(temperature(X), abs=0.01)
    assert curve([0, 1023]) == pytest.approx(temperature([0.5, 1022.5]), abs=1)


@pytest.mark.parametrize(("inputs", "numbers"), [(1, 17), (2, 81), (3, 64), (5, 32), (9, 512)])
def test_a_table_has_fewer_places_where_there_are_more_inputs(inputs, numbers):
    x = np.random.default_rng(0).uniform(size=(600, inputs))
    assert curves.table(x, x.sum(axis=1)).numbers == numbers
    assert inputs <= curves.MOST_INPUTS


@pytest.mark.parametrize(
    ("rows", "inputs", "numbers"), [(400, 3, 20), (400, 12, 91), (400, 64, 65), (6, 1, 3)]
)
def test_a_polynomial_has_no_more_numbers_than_samples_can_tell(rows, inputs, numbers):
    x = np.random.default_rng(0).uniform(size=(rows, inputs))
    curve = curves.polynomial(x, x.sum(axis=1))
    assert curve.numbers == numbers
    assert curve(x) == pytest.approx(x.sum(axis=1), abs=1e-3)


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        ([-1, 5, 9], [1, 2, 3], "from 0 to 1023"),
        ([1024, 5, 9], [1, 2, 3], "from 0 to 1023"),
        ([[1, 2]], [1], "takes one input"),
        ([1, 2, 3], [0, -300, 4], "No temperature is below"),
    ],
)
def test_what_no_thermistor_says_is_refused(x, y, sentence):
    with pytest.raises(WorkshopError, match=sentence):
        curves.steinhart_hart(x, y, 1023)


@pytest.mark.parametrize(("inputs", "places"), [(1, 1), (4, 17), (1, 2000)])
def test_a_table_that_cannot_be(inputs, places):
    with pytest.raises(WorkshopError, match="values"):
        curves.table(np.zeros((5, inputs)), np.zeros(5), places)


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("name", ["table", "polynomial", "formula"])
def test_the_chip_computes_the_same(name, shared_home, monkeypatch):
    monkeypatch.setenv("WORKSHOP_HOME", str(shared_home))
    # The application goes from 0 to 2 pi.
    x = np.linspace(0.1, 6.2, 300)
    y = temperature(x * 150)
    curve = {
        "table": lambda: curves.table(x, y),
        "polynomial": lambda: curves.polynomial(x, y),
        "formula": lambda: curves.steinhart_hart(x, y, 1023 / 150),
    }[name]()
    assert curve.name == name
    image = firmware.build(engine="function", function=curve.c)
    seen = emulator.run(image.wave).inferences
    given = seen["x"].to_numpy(np.float32)
    assert seen["y"].to_numpy() == pytest.approx(curve(given), abs=0.01)
