"""From where to where the application goes, and what its LED shows on the way.

Decided on the desktop when the firmware is built: by measurements if there are any; else by what
the model's codes cover; and where that is a turn of the sine, it is the course's.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from workshop_utils.device.tflite import Model, Tensor
from workshop_utils.errors import WorkshopError

if TYPE_CHECKING:
    from numpy.typing import NDArray

TURN = 2 * math.pi  # of the sine, in radians
_LEAST_CODES = 64  # of the 256 that an input has: a range on fewer of them is coarse
_SLACK = 0.02  # the share of a range that an input may miss at each end
# What float32 can go through in any number of steps.
_NARROWEST, _FARTHEST = 1e-30, 1e30


@dataclass(frozen=True)
class Ranges:
    """x: the first input, and where inputs end, which is never reached itself. y: the output for
    which the LED is dark, and the one for which it is brightest. Pairs of float, the lower first.

    Raises WorkshopError if one of them is no range.
    """

    x: tuple[float, float]
    y: tuple[float, float]

    def __post_init__(self) -> None:
        for name, (low, high) in (("inputs", self.x), ("outputs", self.y)):
            near = math.isfinite(low) and math.isfinite(high) and -low <= _FARTHEST >= high
            if not near or high - low < max(_NARROWEST, 1e-6 * max(abs(low), abs(high))):
                raise WorkshopError(
                    f"The {name} go from {low:g} to {high:g}, which is no range that the firmware "
                    "could go through."
                )

    @property
    def settings(self) -> dict[str, float]:
        """The same as definitions for CMake."""
        (input_from, input_to), (output_from, output_to) = self.x, self.y
        return {
            "INPUT_FROM": float(input_from),
            "INPUT_TO": float(input_to),
            "OUTPUT_FROM": float(output_from),
            "OUTPUT_TO": float(output_to),
        }


SINE = Ranges((0.0, TURN), (-1.0, 1.0))


def of_model(model: Model) -> Ranges:
    """What the application goes through if there is nothing but the model to decide it.

    model: one that an engine runs. Returns SINE where it covers a turn of it, or does not say what
    it covers, as in float32, or has several values at an end; else what its ends cover.
    """
    source, target = (model.tensors[ends[0]] for ends in (model.inputs, model.outputs))
    reach, shown = covered(source), covered(target)
    if source.size != 1 or target.size != 1 or reach is None or shown is None:
        return SINE
    if shortfall(source, *SINE.x) is None:
        return SINE
    try:
        return Ranges(reach, shown)
    except WorkshopError:  # a scale that no converter writes
        return SINE


def of_data(x: "NDArray[Any]", y: "NDArray[Any]") -> Ranges:
    """What measurements have. x, y: shape (n,). Raises WorkshopError if one does not vary."""
    return Ranges((float(x.min()), float(x.max())), (float(y.min()), float(y.max())))


def covered(tensor: Tensor) -> tuple[float, float] | None:
    """The least and the greatest real value that the codes of a tensor stand for.

    None for a tensor without codes of 8 or 16 bits, or without one scale.
    """
    scale, zero_point = tensor.quantization
    codes = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}.get(tensor.type)
    if codes is None or not scale:
        return None
    low, high = (scale * (code - zero_point) for code in codes)
    return low, high


def shortfall(tensor: Tensor, low: float, high: float) -> str | None:
    """What is wrong with a tensor's codes for values from low to high: the end of a sentence.

    None if they cover them well, or say nothing of it. tensor: of a model that an engine runs.
    """
    reach = covered(tensor)
    if reach is None:
        return None
    slack = _SLACK * (high - low)
    if reach[0] > low + slack or reach[1] < high - slack:
        return "of which the rest is cut off"
    codes = min(256, round((high - low) / tensor.quantization[0]) + 1)
    if codes < _LEAST_CODES:
        return f"for which that leaves {codes} of 256 codes"
    return None
