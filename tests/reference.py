"""TFLM's arithmetic of int8 FULLY_CONNECTED in Python integers and fractions, to compare with.

It reads the flatbuffer with the schema's Python code and shares nothing with the firmware's engine.
Written after tflite-micro's kernels: fully_connected_common.cc, kernel_util.cc,
quantization_util.cc and common.cc. test_engine.py compares it with TFLM itself.
"""

import math
from dataclasses import dataclass

import numpy as np

from workshop_utils.upstream import tflite_schema

schema = tflite_schema()

# Least and greatest value of the activations that the engine has, in the schema's order.
ACTIVATIONS = {"NONE": (-math.inf, math.inf), "RELU": (0, math.inf), "RELU6": (0, 6)}


@dataclass
class Trace:
    """What happened in one layer, for all inputs: to see which paths of a kernel were taken."""

    activation: int
    multipliers: list  # (significand, shift) of each output channel
    accumulators: np.ndarray  # int64, shape (n, outputs)
    unclamped: np.ndarray  # int64, (n, outputs): after scaling, with the zero point
    limits: tuple  # the clamp's least and greatest code
    codes: np.ndarray  # int8, (n, outputs)


def run(tflite, inputs):
    """A Trace for each layer. inputs: int8, shape (n, inputs). The answer is run(...)[-1].codes.

    Raises OverflowError where TFLM's 32-bit arithmetic would overflow: there C++ defines no answer.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(tflite))
    tensors, value, traces = model.subgraphs[0].tensors, np.asarray(inputs, np.int64), []
    for operator in model.subgraphs[0].operators:
        source, weights = (tensors[i] for i in operator.inputs[:2])
        has_bias = len(operator.inputs) > 2 and operator.inputs[2] >= 0
        bias = _data(model, tensors[operator.inputs[2]], "<i4") if has_bias else 0
        target, fused = tensors[operator.outputs[0]], operator.builtinOptions
        kernel = _data(model, weights, "i1").reshape(weights.shape)
        accumulators = (value - _zero_point(source)) @ kernel.T + bias
        _check32(accumulators.min(), accumulators.max())
        multipliers = _multipliers(source, weights, target, len(kernel))
        scaled = [
            [scale(int(a), *m) for a, m in zip(row, multipliers, strict=True)]
            for row in accumulators
        ]
        unclamped = np.array(scaled, np.int64) + _zero_point(target)
        _check32(unclamped.min(), unclamped.max())
        low, high = _limits(fused.fusedActivationFunction, target)
        value = np.minimum(np.maximum(unclamped, low), high)
        activation = fused.fusedActivationFunction
        traces.append(
            Trace(activation, multipliers, accumulators, unclamped, (low, high), value.astype("i1"))
        )
    return traces


def quantize_multiplier(real):
    """A double as (significand, shift): about significand / 2**31 * 2**shift."""
    fraction, shift = math.frexp(real)
    significand = _divide(*(fraction * 2**31).as_integer_ratio())
    if significand == 2**31:
        significand, shift = 2**30, shift + 1
    return (0, 0) if shift < -31 else (significand, shift)


def scale(accumulator, significand, shift):
    """accumulator * significand / 2**31 * 2**shift, rounded twice as TFLM does."""
    shifted = accumulator * 2 ** max(shift, 0)
    _check32(shifted, shifted)
    high = (shifted * significand + 2**30) // 2**31  # to nearest, ties up
    return _divide(high, 2 ** max(-shift, 0))


def _multipliers(source, weights, target, channels):
    s_in, s_out = (float(np.float32(t.quantization.scale[0])) for t in (source, target))
    scales = np.asarray(weights.quantization.scale, np.float32).tolist()
    pairs = [quantize_multiplier(s_in * s / s_out) for s in scales]
    return pairs * channels if len(pairs) == 1 else pairs


def _limits(activation, target):
    numbers = vars(schema.ActivationFunctionType)
    (ends,) = (ends for name, ends in ACTIVATIONS.items() if numbers[name] == activation)
    low, high = (_code(end, target) for end in ends)
    return max(-128, low), min(127, high)


def _code(value, target):
    """The code of a value, not clipped; an infinite one stays what it is."""
    if math.isinf(value):
        return value
    steps = np.float32(value) / np.float32(target.quantization.scale[0])
    return _zero_point(target) + _divide(*float(steps).as_integer_ratio())


def _divide(numerator, denominator):
    """The integer nearest to a fraction, ties away from zero, like C's round()."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def _check32(least, most):
    if least < -(2**31) or most > 2**31 - 1:
        raise OverflowError("The model's numbers leave TFLM's 32 bits.")


def _zero_point(tensor):
    return int(tensor.quantization.zeroPoint[0])


def _data(model, tensor, dtype):
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype).astype(np.int64)
