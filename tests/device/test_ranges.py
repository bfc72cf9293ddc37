"""What the application goes through: by the model, and by measurements."""

import numpy as np
import pytest
import tflite_factory as factory

from workshop_utils import c_source, paths
from workshop_utils.device import ranges, tflite
from workshop_utils.device.ranges import SINE, Ranges
from workshop_utils.errors import WorkshopError

OWN = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
WIDE = factory.fully_connected(factory.sine_layers((1, 4, 1)), "float32")


def test_the_courses_model_and_one_that_says_nothing_go_through_the_sine():
    several = factory.quantized(factory.sine_layers((2, 4, 1)))
    two_outputs = factory.quantized(factory.sine_layers((1, 4, 2)))
    for content in (OWN, WIDE, several, two_outputs):
        assert ranges.of_model(tflite.parse(content)) == SINE
    assert SINE.x == (0, 2 * np.pi) and SINE.y == (-1, 1)


@pytest.mark.parametrize(("x", "y"), [(128, 32), (1 / 8, 1), (1e4, 1e-4), (64, 1e5)])
def test_another_model_goes_through_what_its_ends_cover(x, y):
    parsed = tflite.parse(factory.in_units(OWN, x, y))
    low, high = (ranges.covered(tensor) for tensor in tflite.parse(OWN).ends)
    found = ranges.of_model(parsed)
    assert found.x == pytest.approx(np.multiply(low, x), rel=1e-6)
    assert found.y == pytest.approx(np.multiply(high, y), rel=1e-6)


@pytest.mark.parametrize("y", [1e-34, 1e36])
def test_a_scale_that_no_range_can_be_made_of_leaves_the_sine(y):
    assert ranges.of_model(tflite.parse(factory.in_units(OWN, 128, y))) == SINE


def test_measurements_go_from_the_lowest_to_the_highest():
    x, y = np.float32([3, -1, 7]), np.float32([100000, 100100, 100050])
    assert ranges.of_data(x, y) == Ranges((-1, 7), (100000, 100100))


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        ((1, 1), (0, 1), "The inputs go from 1 to 1, which is no range"),
        ((2, 1), (0, 1), "The inputs go from 2 to 1"),
        ((0, 1), (5, 5), "The outputs go from 5 to 5"),
        ((0, float("nan")), (0, 1), "The inputs go from 0 to nan"),
        ((0, 1), (0, float("inf")), "The outputs go from 0 to inf"),
        ((-1e31, 0), (0, 1), r"The inputs go from -1e\+31 to 0"),
        ((0, 1), (0, 1e-31), "The outputs go from 0 to 1e-31"),
        # float32 cannot tell them apart.
        ((1e9, 1e9 + 1), (0, 1), r"The inputs go from 1e\+09 to 1e\+09"),
    ],
)
def test_what_is_no_range(x, y, sentence):
    with pytest.raises(WorkshopError, match=f"^{sentence}"):
        Ranges(x, y)


@pytest.mark.parametrize(
    ("low", "high", "lacks"),
    [
        (0, 2 * np.pi, None),
        (0, 6.2, None),
        (0.1, 6.34, None),  # one part in fifty
        (0, 6.5, "of which the rest is cut off"),
        (-0.2, 6, "of which the rest is cut off"),
        (1, 2.6, None),
        (1, 2.5, "for which that leaves 62 of 256 codes"),
    ],
)
def test_how_well_a_model_covers_a_range(low, high, lacks):
    source, _ = tflite.parse(OWN).ends
    assert ranges.covered(source) == pytest.approx((0, 6.26), abs=0.03)
    assert ranges.shortfall(source, low, high) == lacks


def test_float32_covers_anything():
    assert ranges.shortfall(tflite.parse(WIDE).ends[0], -1e9, 1e9) is None
