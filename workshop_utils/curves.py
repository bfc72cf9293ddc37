"""A sensor's curve without a network: a table, a polynomial, or the formula of its physics.

What people use, and what a network has to be compared with. Each is fitted to samples by least
squares, is called like a function of NumPy arrays, and can be written as C for the chip
(`firmware.build(engine="function", function=curve.c)`). Introduced in notebook 10.
"""

import math
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations_with_replacement, product

import numpy as np
import numpy.typing as npt

from workshop_utils.errors import WorkshopError

Array = npt.NDArray[np.float32]
PLACES = (17, 9, 4)  # of each input of a table: of one, of two, and of more if there is room
_SMOOTH = 1e-3  # how much a bend of the table weighs against a sample's square
_MOST_VALUES = 1000  # of a table that is fitted here
MOST_INPUTS = 9  # of such a table: with 2 places each it has 512 values
ZERO_CELSIUS = 273.15  # kelvin


@dataclass(frozen=True)
class Curve:
    """A fitted function.

    name: what it is, such as 'table'. numbers: how many the chip would have to keep. c: C that
    defines `static float function(float)`, or None for more inputs than one.
    """

    name: str
    numbers: int
    c: str | None
    _of: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]

    def __call__(self, x: npt.ArrayLike) -> Array:
        """Values for x, shape (n,) or (n, inputs); returns float32, (n,)."""
        return self._of(_rows(x)).astype(np.float32)


def table(x: npt.ArrayLike, y: npt.ArrayLike, places: int | None = None) -> Curve:
    """Values at evenly spaced places of each input, and straight lines (or planes) between them.

    x: shape (n,) or (n, inputs). y: (n,). places: of each input, so that a table of k inputs has
    places**k values; None takes 17 for one input, 9 for two, and 4 or 2 for up to MOST_INPUTS.
    Where no sample is, the table goes on straight.
    Raises WorkshopError if that is more than can be fitted here.
    """
    rows, y = _rows(x), np.asarray(y, float)
    inputs = rows.shape[1]
    if places is None:
        places = PLACES[min(inputs, len(PLACES)) - 1]
        places = places if places**inputs <= _MOST_VALUES else 2
    if places < 2 or places**inputs > _MOST_VALUES:
        raise WorkshopError(
            f"A table of {places} places for each of {inputs} inputs has {places**inputs:,} values;"
            f" here 2 places are the fewest, and {_MOST_VALUES:,} values the most."
        )
    low = rows.min(axis=0)
    step = np.where(np.ptp(rows, axis=0) > 0, np.ptp(rows, axis=0), 1) / (places - 1)

    def shares(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """How much each value counts for each row, shape (n, places**inputs)."""
        found = np.ones((len(rows), 1))
        for column, (first, width) in enumerate(zip(low, step, strict=True)):
            at = np.clip((rows[:, column] - first) / width, 0, places - 1)
            tents = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(places)))
            found = (found[:, :, None] * tents[:, None, :]).reshape(len(rows), -1)
        return found

    bends = np.array(list(_bends(places, inputs))).reshape(-1, places**inputs)
    matrix = np.concatenate([shares(rows), math.sqrt(_SMOOTH) * bends])
    values = np.linalg.lstsq(matrix, np.concatenate([y, np.zeros(len(bends))]), rcond=None)[0]
    values = values.astype(np.float32).astype(float)
    c = _table_c(values, float(low[0]), float(step[0])) if inputs == 1 else None
    return Curve("table", values.size, c, lambda rows: shares(rows) @ values)


def _bends(places: int, inputs: int) -> Iterator[npt.NDArray[np.float64]]:
    """The second differences of a table, along each of its inputs: a row per place."""
    shape = (places,) * inputs
    for axis in range(inputs):
        for place in product(*(range(places) for _ in shape)):
            if 0 < place[axis] < places - 1:
                row = np.zeros(shape)
                for offset, weight in ((-1, 1), (0, -2), (1, 1)):
                    row[(*place[:axis], place[axis] + offset, *place[axis + 1 :])] = weight
                yield row.reshape(-1)


def _table_c(values: npt.NDArray[np.float64], low: float, step: float) -> str:
    listed = textwrap.indent(textwrap.fill(", ".join(map(_float, values)), 76), "  ")
    last = len(values) - 1
    return f"""\
static const float values[{len(values)}] = {{
{listed}
}};

static float function(float x) {{
  float at = (x - {_float(low)}) * {_float(1 / step)};
  if (at < 0.0f) at = 0.0f;
  if (at > {last}.0f) at = {last}.0f;
  int i = (int)at;
  if (i > {last - 1}) i = {last - 1};
  return values[i] + (at - (float)i) * (values[i + 1] - values[i]);
}}
"""


def polynomial(x: npt.ArrayLike, y: npt.ArrayLike, degree: int = 3) -> Curve:
    """Sums of products of up to `degree` inputs, each scaled to -1 to 1.

    x: shape (n,) or (n, inputs). y: (n,). degree: it becomes less, down to 1, where there would be
    more products than half of the samples.
    """
    rows, y = _rows(x), np.asarray(y, float)
    while degree > 1 and math.comb(rows.shape[1] + degree, degree) > len(y) / 2:
        degree -= 1
    middle = (rows.max(axis=0) + rows.min(axis=0)) / 2
    reach = np.where(np.ptp(rows, axis=0) > 0, np.ptp(rows, axis=0), 2) / 2
    terms = [
        list(term)
        for order in range(degree + 1)
        for term in combinations_with_replacement(range(rows.shape[1]), order)
    ]

    def powers(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        scaled = (rows - middle) / reach
        return np.stack([scaled[:, term].prod(axis=1) for term in terms], axis=1)

    factors = np.linalg.lstsq(powers(rows), y, rcond=None)[0]
    c = None
    if rows.shape[1] == 1:
        sums = _float(factors[-1])
        for factor in factors[-2::-1]:
            sums = f"({sums} * x + {_float(factor)})"
        c = f"""\
static float function(float x) {{
  x = (x - {_float(middle[0])}) * {_float(1 / reach[0])};
  return {sums.removeprefix("(").removesuffix(")")};
}}
"""
    return Curve("polynomial", factors.size, c, lambda rows: powers(rows) @ factors)


def steinhart_hart(x: npt.ArrayLike, y: npt.ArrayLike, full_scale: float) -> Curve:
    """A thermistor's temperature in a voltage divider with the thermistor on the ground's side.

    x: codes of the analog-to-digital converter, shape (n,), from 0 to full_scale. y: temperature
    in °C, (n,). full_scale: the code of the whole supply, such as 1023. The four coefficients of
    1/T = a + b ln R + c (ln R)^2 + d (ln R)^3 come from the samples. R is in units of the divider's
    resistor; where it is in ohms, the square may be left out, and mostly is. The two codes at the
    ends stand for any resistance beyond, so they are not fitted; they count as half a code inside.
    Source: J. S. Steinhart, S. R. Hart, Calibration curves for thermistors, Deep-Sea Research 15
    (1968). Raises WorkshopError for codes and temperatures that cannot be.
    """
    rows, y = _rows(x), np.asarray(y, float)
    if rows.shape[1] != 1 or not ((rows >= 0) & (rows <= full_scale)).all():
        raise WorkshopError(
            f"Steinhart and Hart's formula takes one input, from 0 to {full_scale:g}."
        )
    if not (y > -ZERO_CELSIUS).all():
        raise WorkshopError(f"No temperature is below -{ZERO_CELSIUS} °C.")

    least, most = 0.5, full_scale - 0.5

    def powers(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        inside = np.clip(rows[:, 0], least, most)
        log = np.log(inside / (full_scale - inside))
        return np.stack([np.ones_like(log), log, log**2, log**3], axis=1)

    # An error in 1/T is one of T by T squared: that is what is to be small.
    says_r = (rows[:, 0] >= least) & (rows[:, 0] <= most)
    kelvin = y[says_r] + ZERO_CELSIUS
    weights = kelvin**2
    a, b, c, d = factors = np.linalg.lstsq(
        powers(rows[says_r]) * weights[:, None], weights / kelvin, rcond=None
    )[0]
    text = f"""\
static float function(float x) {{
  if (x < {_float(least)}) x = {_float(least)};
  if (x > {_float(most)}) x = {_float(most)};
  float r = __builtin_logf(x / ({_float(full_scale)} - x)); // the logarithm of R
  float per_kelvin = {_float(a)} + r * ({_float(b)} + r * ({_float(c)} + r * {_float(d)}));
  return 1.0f / per_kelvin - {_float(ZERO_CELSIUS)};
}}
"""
    return Curve("formula", 4, text, lambda rows: 1 / (powers(rows) @ factors) - ZERO_CELSIUS)


def _rows(x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    rows = np.asarray(x, float)
    return rows[:, None] if rows.ndim == 1 else rows


def _float(value: float) -> str:
    """As C writes a float32."""
    text = str(np.float32(value))
    return f"{text}f" if {".", "e"} & set(text) else f"{text}.0f"
