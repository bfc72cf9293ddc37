"""TensorFlow Lite models of fully connected layers with every number chosen, good and bad ones.

The converter only makes what training happened to give. A proof that an engine is bit-exact needs
the rare cases too: every clamp, shifts in both directions, accumulators near 2**31.

Several test files share the models, so each collection of them is made once: change none of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from reference import ACTIVATIONS

from workshop_utils import inference
from workshop_utils.device.tflite import edited
from workshop_utils.upstream import pack_tflite, tflite_schema

schema = tflite_schema()

Activation, Operator, Type = (
    schema.ActivationFunctionType,
    schema.BuiltinOperator,
    schema.TensorType,
)


@dataclass
class Layer:
    """One FULLY_CONNECTED operator. The quantization is ignored in float32 models."""

    weights: np.ndarray  # (outputs, inputs), int8 or float32
    bias: np.ndarray | None = None  # (outputs,), int32 or float32
    activation: str = "NONE"
    weight_scales: float | Sequence = 0.01  # one, or one for each output
    output_scale: float = 0.05
    output_zero_point: int = 0


def fully_connected(layers, dtype="int8", input_scale=0.025, input_zero_point=-128):
    """The flatbuffer, bytes, of layers that feed one another. dtype: 'int8' or 'float32'."""
    model = schema.ModelT(version=3, description="made for tests", buffers=[schema.BufferT()])
    model.operatorCodes = [schema.OperatorCodeT(deprecatedBuiltinCode=9, builtinCode=9, version=5)]
    graph = schema.SubGraphT(name="main", tensors=[], operators=[])
    model.subgraphs = [graph]
    width, scale = np.shape(layers[0].weights)[1], np.float32(input_scale)
    source = _tensor(model, "input", dtype, (1, width), scale, input_zero_point)
    graph.inputs = [source]
    for number, layer in enumerate(layers):
        scales, name = np.atleast_1d(np.float32(layer.weight_scales)), f"layer{number}"
        tensors = [source, _tensor(model, f"{name}/weights", dtype, layer.weights, scales), -1]
        if layer.bias is not None:
            kind = "int32" if dtype == "int8" else dtype
            tensors[2] = _tensor(model, f"{name}/bias", kind, layer.bias, scale * scales)
        scale = np.float32(layer.output_scale)
        shape = (1, len(layer.weights))
        source = _tensor(model, f"{name}/output", dtype, shape, scale, layer.output_zero_point)
        graph.operators.append(_operator(tensors, source, layer.activation))
    graph.outputs = [source]
    return pack_tflite(model)


def input_grid(tflite):
    """What the proofs feed an int8 model, shape (n, inputs): what the firmware's sweep does."""
    graph = schema.Model.GetRootAs(tflite).Subgraphs(0)
    return inference.every_code(int(np.prod(graph.Tensors(graph.Inputs(0)).ShapeAsNumpy())))


def _tensor(model, name, dtype, value, scales, zero_point=0):
    """Adds a tensor and returns its index. value: its data, or for an activation its shape."""
    buffer, shape = 0, value
    if isinstance(value, np.ndarray):
        buffer, shape = len(model.buffers), value.shape
        model.buffers.append(
            schema.BufferT(value.astype(np.dtype(dtype).newbyteorder("<")).tobytes())
        )
    quantization = None
    if dtype != "float32":
        scales = np.atleast_1d(scales).tolist()
        zeros = [zero_point] * len(scales)
        quantization = schema.QuantizationParametersT(scale=scales, zeroPoint=zeros)
    tensors = model.subgraphs[0].tensors
    kind = getattr(Type, dtype.upper())
    tensors.append(schema.TensorT(list(shape), kind, buffer, name, quantization))
    return len(tensors) - 1


def _operator(inputs, output, activation):
    fused = getattr(Activation, activation)
    return schema.OperatorT(
        inputs=inputs,
        outputs=[output],
        builtinOptionsType=schema.BuiltinOptions.FullyConnectedOptions,
        builtinOptions=schema.FullyConnectedOptionsT(fusedActivationFunction=fused),
    )


# ------------------------------------------------------------------ networks like trained ones


def sine_layers(widths, activation="RELU", seed=1, bias=True):
    """A float32 network, its last layer fitted to the sine of its inputs' sum in [0, 2 pi].

    widths: neurons from the input to the output, such as (1, 16, 16, 1).
    """
    rng, layers = np.random.default_rng(seed), []
    x = value = _samples(widths[0])
    for fan_in, fan_out in pairwise(widths[:-1]):
        weights = rng.normal(size=(fan_out, fan_in)) / np.sqrt(fan_in)
        kinks = rng.uniform(0.1, 0.9, fan_out)  # spread over the range of the data
        middle = value @ weights.T
        offset = -(middle.min(0) + kinks * np.ptp(middle, axis=0)) if bias else None
        layers.append(Layer(weights, offset, activation))
        value = _forward(layers[-1], value)
    wave = np.sin(x.sum(1, keepdims=True) + np.arange(widths[-1]))
    columns = np.hstack([value, np.ones((len(x), 1))]) if bias else value
    solution = np.linalg.lstsq(columns, wave, rcond=1e-4)[0].T
    last = (solution[:, :-1], solution[:, -1]) if bias else (solution, None)
    return [_as_float32(layer) for layer in [*layers, Layer(*last)]]


def quantized(layers, per_channel=False):
    """The int8 model of float32 layers, as the converter quantizes: from the range of the data."""
    value = _samples(layers[0].weights.shape[1])
    input_scale, zero_point = scale, _ = _range(value)
    result = []
    for layer in layers:
        value = _forward(layer, value)
        largest = np.abs(layer.weights).max(axis=1 if per_channel else None, keepdims=True)
        scales = np.float32(np.maximum(largest, 1e-6) / 127).reshape(-1)
        weights = np.rint(layer.weights / scales[:, None]).astype(np.int8)
        bias = layer.bias
        if bias is not None:
            bias = np.rint(bias / (np.float64(scale) * scales)).astype(np.int32)
        scale, zero = _range(value)
        result.append(Layer(weights, bias, layer.activation, scales, scale, zero))
    return fully_connected(result, "int8", input_scale, zero_point)


def in_units(content, x, y):
    """The same int8 model in other units: inputs are x times as large, outputs y times.

    Codes stay, and so do answers if x and y are powers of two: they change scales alone.
    """

    def change(model):
        (graph,) = model.subgraphs
        first, last = graph.operators[0], graph.operators[-1]
        changes = [(graph.inputs[0], x), (first.inputs[1], 1 / x), (graph.outputs[0], y)]
        changes += [(index, y) for index in last.inputs[1:]]
        for index, factor in changes:
            quantization = graph.tensors[index].quantization
            quantization.scale = [scale * factor for scale in quantization.scale]

    return edited(content, change)


def _samples(inputs):
    grid = np.random.default_rng(0).uniform(0, 2 * np.pi / inputs, (1000, inputs))
    return np.sort(grid, axis=0) if inputs == 1 else grid


def _forward(layer, value):
    value = value @ layer.weights.T + (0 if layer.bias is None else layer.bias)
    return _activated(layer, value)


def _activated(layer, value):
    return np.clip(value, *ACTIVATIONS[layer.activation])


def _range(value):
    low, high = min(value.min(), 0), max(value.max(), 1e-3)
    scale = np.float32((high - low) / 255)
    return scale, int(np.clip(np.rint(-128 - low / scale), -128, 127))


def _as_float32(layer):
    bias = None if layer.bias is None else layer.bias.astype(np.float32)
    return Layer(layer.weights.astype(np.float32), bias, layer.activation)


# ------------------------------------------------------------------ networks of chosen numbers


def random_int8(
    seed,
    widths,
    *,
    gain=1.0,
    multiplier=None,
    per_channel=False,
    activations=("RELU",),
    bias=True,
    zero_points=(-128,),
    output_scales=(0.05, 0.031),
    largest=128,
):
    """An int8 model of random weights, with biases that put its values in the middle of int8.

    gain: about 1 uses the range of int8, more overdrives it. multiplier: sets what an accumulator
    is scaled by instead. activations (of all layers but the last, which has the first one given),
    zero_points (the first is the input's) and output_scales are repeated over the layers.
    largest: of the weights.
    """
    rng, layers, scale = np.random.default_rng(seed), [], np.float32(0.0247)
    codes = rng.integers(-128, 128, (256, widths[0]))
    for number, (fan_in, fan_out) in enumerate(pairwise(widths)):
        weights = rng.integers(-largest, min(largest, 127) + 1, (fan_out, fan_in)).astype(np.int8)
        sums = (codes - zero_points[number % len(zero_points)]) @ weights.T.astype(int)
        real = (multiplier or gain * 64 / sums.std()) * np.ones(fan_out)
        real *= rng.uniform(0.4, 1.6, fan_out) if per_channel else 1
        offset = rng.uniform(-64, 64, fan_out) / real - np.median(sums, axis=0)
        offset = np.clip(offset, -(2**31) + 2**24, 2**31 - 2**24).astype(np.int32)
        output_scale = np.float32(output_scales[number % len(output_scales)])
        scales = np.float32((real if per_channel else real[:1]) * output_scale / scale)
        last = number == len(widths) - 2
        activation = activations[0 if last else number % len(activations)]
        zero = zero_points[(number + 1) % len(zero_points)]
        offset = offset if bias else np.zeros_like(offset)
        layer = Layer(weights, offset if bias else None, activation, scales, output_scale, zero)
        layers.append(layer)
        value = _activated(layer, (sums + offset) * real * output_scale)
        codes = np.clip(np.rint(value / output_scale) + zero, -128, 127)
        scale = output_scale
    return fully_connected(layers, "int8", 0.0247, zero_points[0])


def razor_int8(seed, outputs, shift, per_channel=False, input_scale=0.03):
    """One layer of random multipliers of which the last bit matters.

    shift: the power of two in the multipliers, 2**(shift - 1) to 2**shift.
    """
    rng, s_out = np.random.default_rng(seed), np.float32(0.05)
    real = rng.uniform(0.55, 0.95, outputs if per_channel else 1) * 2.0**shift
    return _razor(rng, outputs, input_scale, real * s_out / np.float32(input_scale), s_out)


def halfway_int8():
    """Such a layer with a multiplier that only in double is halfway between two of 31 bits.

    The exact quotient of its scales lies 1 / 13325491 of a unit below that.
    """
    rng = np.random.default_rng(1)
    return _razor(rng, 16, 12358003 * 2.0**-28, 12682079 * 2.0**-48, 13325491 * 2.0**-28)


def _razor(rng, outputs, s_in, s_w, s_out):
    """Biases near 2**31 put an edge between two codes amid the 256 inputs, weights of 1 and 2.

    A multiplier that is wrong in its last bits moves those edges.
    """
    scales = np.atleast_1d(s_w).astype(np.float32)
    real = np.broadcast_to(np.float64(scales) * np.float32(s_in) / np.float32(s_out), outputs)
    weights = rng.choice([-2, -1, 1, 2], (outputs, 1)).astype(np.int8)
    edges = rng.uniform(-1, 1, outputs) * np.minimum(120, real * (2**31 - 2**12) - 0.5)
    edges = np.trunc(edges) + np.copysign(0.5, edges)
    bias = np.rint(edges / real - weights[:, 0] * 128.0).astype(np.int32)
    return fully_connected([Layer(weights, bias, "NONE", scales, s_out, 0)], "int8", s_in)


def ties_int8(shift):
    """One layer with a multiplier of exactly 2**-shift: many results lie amid two codes."""
    weights = np.array([[1], [-1], [3], [-3], [127], [-128]], np.int8)
    bias = np.array([0, 0, 2.0**shift // 2, 1, -5000, 5000], np.int32)
    layer = Layer(weights, bias, "NONE", 2.0**-shift, 1.0, 0)
    return fully_connected([layer], "int8", 1.0, 0)


def carry_int8():
    """One layer per channel with multipliers just below a power of two, which round up to it."""
    rng = np.random.default_rng(1)
    s_in, s_w = rng.uniform(0.01, 0.1, (2, 20000)).astype(np.float32)
    s_out = (s_in * s_w.astype(np.float64) * 2**12).astype(np.float32)
    real = np.float64(s_in) * s_w / s_out * 2**12
    (found, *_), *_ = np.nonzero((real < 1) & (real > 1 - 2.0**-33))
    scales = [s_w[found] * 2.0**-i for i in range(8)]
    weights = np.arange(120, 128).astype(np.int8)[:, None]
    layer = Layer(weights, np.full(8, -99), "NONE", scales, s_out[found], 0)
    return fully_connected([layer], "int8", s_in[found])


def left_int8():
    """One layer with multipliers of 60 to 120, and results that only just stay within 32 bits."""
    bias = np.array([2**24 - 600, -(2**24) + 600, 2**23, -1, 0, 1])
    weights = np.array([[1], [2], [-1], [1], [-1], [0]], np.int8)
    scales = np.linspace(60, 120, 6) * 0.05 / 0.025
    return fully_connected([Layer(weights, bias, "NONE", scales, 0.05, 3)])


def large_sums_int8(largest, shift, zero_point):
    """One layer whose sums reach +-`largest`, scaled by 0.7 * 2**shift: short cuts overflow."""
    magnitudes = largest - 2**16 - np.array([0, 1, 999, 2**20, 2**27, largest // 2 + 1])
    bias = np.concatenate([magnitudes, -magnitudes, [0, -1, 77]])  # groups of four, and a rest
    weights = np.random.default_rng(1).integers(-128, 128, (len(bias), 1)).astype(np.int8)
    layer = Layer(weights, bias, "NONE", 0.7 * 2.0**shift, 1.0, zero_point)
    return fully_connected([layer], "int8", 1.0, -128)


@cache
def proof_models():
    """int8 models by name that together take every path of the arithmetic; dict of bytes."""
    models = {}
    for widths in [
        (1, 1),
        (1, 8, 1),
        (1, 16, 16, 1),
        (1, 5, 7, 3, 1),
        (1, 13, 11, 9, 1),
        (1, 32, 32, 1),
        (1, 64, 64, 64, 1),
        (1, 16, 2),
        (2, 16, 16, 1),
        (7, 6, 5, 3),
    ]:
        name, layers = "-".join(map(str, widths)), sine_layers(widths)
        models[f"sine {name}"] = quantized(layers)
        models[f"sine {name} per channel"] = quantized(layers, per_channel=True)
    tutorial = (1, 16, 16, 1)
    others = [name for name in ACTIVATIONS if name != "RELU"]  # which the models above have
    models |= {f"sine {name}": quantized(sine_layers(tutorial, name)) for name in others}
    models["sine without bias"] = quantized(sine_layers(tutorial, bias=False))
    models["sine bias input left out"] = edited(models["sine without bias"], _leave_bias_out)
    models |= _random_models() | _edge_models()
    return models


def _leave_bias_out(model):
    for operator in model.subgraphs[0].operators:
        operator.inputs = operator.inputs[:2]


def _random_models():
    every, zeros = ("NONE", "RELU", "RELU6"), (-128, 0, 17, 127, -77)
    mixed = {"activations": every, "zero_points": (-128, 0, -30, -77, -5)}
    channels = {"per_channel": True, **mixed}
    return {
        "random NONE": random_int8(1, (1, 9, 6, 1), activations=every[:1], zero_points=zeros),
        "random RELU": random_int8(2, (1, 12, 12, 1), gain=2, zero_points=(-128, -20)),
        "random RELU6": random_int8(3, (1, 10, 10, 1), activations=every[2:], zero_points=(0, -90)),
        "random RELU6 steep": random_int8(4, (1, 8, 8, 2), gain=4, activations=every[2:]),
        "random RELU6 between codes": random_int8(
            17, (1, 8, 8, 1), gain=4, activations=every[2:], output_scales=(6 / 100.5, 6 / 70.45)
        ),
        "random overdriven": random_int8(5, (1, 16, 16, 1), gain=30, **mixed),
        "random overdriven per channel": random_int8(6, (1, 16, 16, 3), gain=30, **channels),
        "random 1-130-1": random_int8(7, (1, 130, 1), **mixed),
        "random 3-7-5-2 per channel": random_int8(8, (3, 7, 5, 2), **channels),
        "random 5-1 without bias": random_int8(9, (5, 1), bias=False, zero_points=(17, -9)),
        "random 2-33-2": random_int8(10, (2, 33, 2), activations=every[::-1], zero_points=zeros),
        "random 1-2-3-4-5-6-7-1": random_int8(11, (1, 2, 3, 4, 5, 6, 7, 1), gain=2, **mixed),
        "random steep": random_int8(12, (1, 8, 1), multiplier=3.7, largest=2, **mixed),
        "random steep per channel": random_int8(
            13, (1, 8, 8, 2), multiplier=40, largest=1, **channels
        ),
        "random shift 0": random_int8(14, (1, 6, 6, 1), multiplier=0.8, largest=1, **mixed),
        "random scales apart": random_int8(
            15, (1, 8, 8, 8, 1), output_scales=(2e-7, 3e5), activations=every[:1]
        ),
    }


def _edge_models():
    models = {f"razor per channel {s}": razor_int8(-s, 64, s, True) for s in (-24, -28, -30, -31)}
    for seed, shift in enumerate((-21, -23, -24, -25, -26, -27, -29, -31)):
        scale = 10.0 ** (seed - 5)
        models[f"razor {shift}"] = razor_int8(seed, 16, shift, input_scale=scale)
    models |= {f"ties {shift}": ties_int8(shift) for shift in (-1, 0, 1, 2, 6, 9)}
    for power in (-32.5, -34):
        multiplier, zeros = 2.0**power, (5,)
        name = f"flushed to zero {power}"
        models[name] = random_int8(16, (1, 8, 2), multiplier=multiplier, zero_points=zeros)
    for shift, zero in ((-1, 0), (-9, 127), (-22, -128), (-22, 127), (-23, -128), (-27, 127)):
        for power in (30, 31):
            name = f"sums to 2^{power}, shift {shift}, zero point {zero}"
            models[name] = large_sums_int8(2**power, shift, zero)
    models["rounded up to a power"] = carry_int8()
    models["rounded twice"] = halfway_int8()
    models["left to the brim"] = left_int8()
    return models


@cache
def float_models():
    """float32 models by name, dict of bytes."""
    models = {}
    for widths in [(1, 1), (1, 8, 1), (1, 16, 16, 1), (1, 5, 7, 3, 2), (2, 33, 17, 1), (3, 64, 1)]:
        name = "-".join(map(str, widths))
        for activation in ACTIVATIONS:
            layers = sine_layers(widths, activation, seed=3)
            layers[0].weights *= 5  # so that RELU6 reaches 6
            models[f"{name} {activation}"] = fully_connected(layers, "float32")
    without_bias = sine_layers((1, 16, 16, 1), bias=False)
    models["1-16-16-1 without bias"] = fully_connected(without_bias, "float32")
    return models


# ------------------------------------------------------------------ odd models and bad models


@cache
def odd_models():
    """int8 models written in unusual but legal ways, and the plain model that they all equal."""
    plain = quantized(sine_layers((1, 6, 5, 1)), per_channel=True)
    edits = {
        "operator code of old converters": setter("operatorCodes.0.builtinCode", 0),
        "operator code of new converters": setter("operatorCodes.0.deprecatedBuiltinCode", 0),
        "buffers, tensors and operator codes in other places": _shuffle,
        "no names, no description": _anonymous,
        "a signature, metadata": _annotate,
    }
    return plain, {name: edited(plain, edit) for name, edit in edits.items()}


@cache
def ranked_models():
    """The plain model of `odd_models`, with values of one or three dimensions: name -> bytes."""
    plain, _ = odd_models()
    edits = {
        "values of one dimension": _ranks(lambda width: [width]),
        "values of three dimensions": _ranks(lambda width: [1, 1, width]),
    }
    return {name: edited(plain, edit) for name, edit in edits.items()}


@cache
def bad_models():
    """Models that no engine of fully connected layers can run: name -> (bytes, what to blame)."""
    good = quantized(sine_layers((1, 6, 5, 1)))
    channels = quantized(sine_layers((1, 6, 5, 1)), per_channel=True)
    floats = fully_connected(sine_layers((1, 6, 5, 1)), "float32")
    tensors, operators = "subgraphs.0.tensors", "subgraphs.0.operators"
    # Tensors 0 to 3: the input, the first layer's weights, bias and output.
    edits = {
        "CONV_2D": (_operator_code(Operator.CONV_2D), "operator CONV_2D"),
        "LOGISTIC": (_operator_code(Operator.LOGISTIC), "operator LOGISTIC"),
        "GELU": (_operator_code(Operator.GELU), "operator (GELU|150)"),
        "custom operator": (_operator_code(Operator.CUSTOM), "operator (CUSTOM|32)"),
        "shuffled weights": (
            setter(f"{operators}.0.builtinOptions.weightsFormat", 1),
            "options",
        ),
        "int16": (_types(Type.INT16), "INT16"),
        "uint8": (_types(Type.UINT8), "UINT8"),
        "float16": (_types(Type.FLOAT16), "FLOAT16"),
        "int4 weights": (setter(f"{tensors}.1.type", Type.INT4), "type (INT4|17)"),
        "float32 weights": (setter(f"{tensors}.1.type", Type.FLOAT32), "FLOAT32"),
        "int64 bias": (setter(f"{tensors}.2.type", Type.INT64), "INT64"),
        "float32 output": (setter(f"{tensors}.-1.type", Type.FLOAT32), "FLOAT32"),
        "weights with a zero point": (_zero_points(1, [3]), "quantization"),
        "zero point 128": (_zero_points(0, [128]), "quantization"),
        "zero point missing": (_zero_points(0, None), "quantization"),
        "zero points of weights missing": (_zero_points(1, None), "quantization"),
        "scale 0": (_scales(0, [0.0]), "quantization"),
        "scale -1": (_scales(3, [-1.0]), "quantization"),
        "scale NaN": (_scales(1, [np.nan]), "quantization"),
        "scale infinite": (_scales(0, [np.inf]), "quantization"),
        "scale missing": (setter(f"{tensors}.3.quantization", None), "quantization"),
        "six is 2**31 steps": (_steep_relu6, "quantization"),
        "bias in larger steps": (_scales(2, [0.1]), "quantization"),
        "bias in steps of NaN": (_scales(2, [np.nan]), "quantization"),
        "no scales": (_scales(1, []), "quantization"),
        "two scales for six rows": (_scales(1, [0.1, 0.1]), "quantization"),
        "scales too far apart": (_scales(1, [1e30]), "quantization"),
        "no subgraph": (setter("subgraphs", []), "graph"),
        "two subgraphs": (lambda m: m.subgraphs.append(m.subgraphs[0]), "graph"),
        "no operator": (setter(operators, []), "chain"),
        "no input": (setter("subgraphs.0.inputs", []), "graph"),
        "two input tensors": (setter("subgraphs.0.inputs", [0, 3]), "graph"),
        "two output tensors": (setter("subgraphs.0.outputs", [9, 6]), "graph"),
        "version 2": (setter("version", 2), "TensorFlow Lite 3"),
        "batch of two": (_batch, "shape"),
        "weights of one dimension": (setter(f"{tensors}.1.shape", [6]), "shape"),
        "weights of three dimensions": (setter(f"{tensors}.1.shape", [1, 6, 1]), "shape"),
        "weights too wide": (setter(f"{tensors}.1.shape", [6, 2]), "shape"),
        "weights too high": (setter(f"{tensors}.1.shape", [7, 1]), "shape"),
        "weights of no rows": (setter(f"{tensors}.1.shape", [0, 1]), "shape"),
        "weights of 2**32": (setter(f"{tensors}.1.shape", [2**16, 2**16]), "shape"),
        "input of none": (setter(f"{tensors}.0.shape", [1, 0]), ""),
        "input of less than none": (setter(f"{tensors}.0.shape", [1, -1]), ""),
        "output of another width": (setter(f"{tensors}.3.shape", [1, 5]), "shape"),
        "weights without data": (setter(f"{tensors}.1.buffer", 0), "damaged"),
        "bias without data": (setter(f"{tensors}.2.buffer", 0), "damaged"),
        "bias too short": (_shorten(2), "damaged"),
        "input without a shape": (setter(f"{tensors}.0.shape", None), "shape"),
        "scalar input": (setter(f"{tensors}.0.shape", []), "shape"),
        "scalar output": (setter(f"{tensors}.-1.shape", []), "shape"),
        "values of seven dimensions": (setter(f"{tensors}.3.shape", [1] * 6 + [6]), "shape"),
        "bias of seven dimensions": (setter(f"{tensors}.2.shape", [1] * 6 + [6]), "shape"),
        "batch of three dimensions": (setter(f"{tensors}.3.shape", [2, 1, 6]), "shape"),
        "as many rows as values": (setter(f"{tensors}.3.shape", [6, 1]), "shape"),
        "input with data": (_data(0, bytes(1)), "graph"),
        "values between layers with data": (_data(3, bytes(6)), "graph"),
        "output with data": (_data(-1, bytes(1)), "graph"),
        "weights that are variable": (setter(f"{tensors}.1.isVariable", True), "graph"),
        "layer of four inputs": (setter(f"{operators}.0.inputs", [0, 1, 2, 2]), "graph"),
        "layer of two outputs": (setter(f"{operators}.0.outputs", [3, 6]), "graph"),
        "layer with custom options": (setter(f"{operators}.0.customOptions", [1]), "options"),
        "layer with intermediates": (setter(f"{operators}.0.intermediates", [1]), "options"),
        "unknown type of biases": (
            setter(f"{operators}.0.builtinOptions.quantizedBiasType", 99),
            "options",
        ),
        "input of no rows": (setter(f"{tensors}.0.shape", [0, 1]), "shape"),
        "weights too short": (_shorten(1), "damaged"),
        "buffer that is not there": (setter(f"{tensors}.1.buffer", 99), "damaged"),
        "no buffers": (setter("buffers", None), "damaged"),
        "tensor that is not there": (setter(f"{operators}.0.inputs", [0, 99, 2]), "damaged"),
        "tensor number -5": (setter(f"{operators}.0.inputs", [0, 1, -5]), "damaged"),
        "operator code that is not there": (setter(f"{operators}.1.opcodeIndex", 7), "damaged"),
        "no operator codes": (setter("operatorCodes", None), "damaged"),
        "operator without inputs": (setter(f"{operators}.0.inputs", None), "damaged|chain"),
        "operator without outputs": (setter(f"{operators}.0.outputs", None), "damaged|chain"),
        "layers in the wrong order": (lambda m: m.subgraphs[0].operators.reverse(), "chain"),
        "output in the middle": (setter("subgraphs.0.outputs", [3]), "chain"),
        "layer that reads the input again": (setter(f"{operators}.1.inputs", [0, 4, 5]), "chain"),
    }
    for name, number in vars(Activation).items():
        if name.isupper() and name not in ACTIVATIONS:
            fused = f"{operators}.{number % 2}.builtinOptions.fusedActivationFunction"
            edits[name] = (setter(fused, number), rf"activation ({name}|{number})$")
    models = {name: (edited(good, edit), reason) for name, (edit, reason) in edits.items()}
    by_column = setter(f"{tensors}.1.quantization.quantizedDimension", 1)
    models["scales of columns"] = (edited(channels, by_column), "quantization")
    square = quantized(sine_layers((1, 5, 5, 1)))
    models["layer that writes to its input"] = (edited(square, _in_place), "graph")
    models["float32 with int32 bias"] = (
        edited(floats, setter(f"{tensors}.2.type", Type.INT32)),
        "INT32",
    )
    models["float32 with int8 weights"] = (
        edited(floats, setter(f"{tensors}.1.type", Type.INT8)),
        "INT8",
    )
    models["another identifier"] = (good.replace(b"TFL3", b"TFL2", 1), "TensorFlow Lite")
    models["nothing"] = (b"", "")
    models["text"] = (b"this is no model, but long enough to be one" * 9, "TensorFlow Lite")
    models["zeros"] = (bytes(3000), "TensorFlow Lite")
    return models


def wide_float(width):
    """A float32 layer width -> width, whose weights the shape names and the model does not hold.

    Of 32768 values they would have 2**32 bytes, a number that is 0 in 32 bits.
    """
    model = fully_connected([Layer(np.zeros((0, width), np.float32))], "float32")

    def widen(model):
        for index, rows in ((1, width), (2, 1)):
            model.subgraphs[0].tensors[index].shape = [rows, width]

    return edited(model, widen)


@cache
def overlooked_models():
    """Models that contradict themselves where TFLM does not look: name -> bytes."""
    good, tensors = quantized(sine_layers((1, 6, 5, 1))), "subgraphs.0.tensors"
    edits = {
        "zero point 2**32": _zero_points(3, [2**32]),
        "bias without a scale": setter(f"{tensors}.5.quantization", None),
        "bias of another shape": setter(f"{tensors}.2.shape", [2, 3]),
        "bias of another width": setter(f"{tensors}.2.shape", [5]),
    }
    return {name: edited(good, edit) for name, edit in edits.items()}


def setter(path, value):
    """An edit for `edited` that sets what a path like 'subgraphs.0.inputs' leads to."""
    *steps, last = path.split(".")

    def edit(item):
        for step in steps:
            item = item[int(step)] if isinstance(item, list) else getattr(item, step)
        setattr(item, last, value)

    return edit


def _operator_code(code):
    def edit(model):
        model.operatorCodes[0].builtinCode = code
        model.operatorCodes[0].deprecatedBuiltinCode = min(code, 127)

    return edit


def _types(kind):
    def edit(model):
        for tensor in model.subgraphs[0].tensors:
            tensor.type = kind if tensor.type == Type.INT8 else tensor.type

    return edit


def _scales(index, values):
    return setter(f"subgraphs.0.tensors.{index}.quantization.scale", values)


def _zero_points(index, values):
    return setter(f"subgraphs.0.tensors.{index}.quantization.zeroPoint", values)


def _shorten(index):
    def edit(model):
        buffer = model.buffers[model.subgraphs[0].tensors[index].buffer]
        buffer.data = buffer.data[:-1]

    return edit


def _data(index, content):
    def edit(model):
        model.buffers.append(schema.BufferT(content))
        model.subgraphs[0].tensors[index].buffer = len(model.buffers) - 1

    return edit


def _in_place(model):
    _, middle, last = model.subgraphs[0].operators
    middle.outputs = [middle.inputs[0]]
    last.inputs = [middle.inputs[0], *last.inputs[1:]]


def _steep_relu6(model):
    """In the last layer, whose multiplier is as before; without a bias, which would be off."""
    graph = model.subgraphs[0]
    last = graph.operators[-1]
    last.inputs = last.inputs[:2]
    last.builtinOptions.fusedActivationFunction = Activation.RELU6
    for index in (last.inputs[1], last.outputs[0]):
        quantization = graph.tensors[index].quantization
        quantization.scale = [quantization.scale[0] * 1e-8]


def _ranks(shape):
    def edit(model):
        for tensor in model.subgraphs[0].tensors[0::3]:
            tensor.shape = shape(tensor.shape[-1])

    return edit


def _batch(model):
    for tensor in model.subgraphs[0].tensors[0::3]:
        tensor.shape = [2, tensor.shape[1]]


def _shuffle(model):
    graph, unused = model.subgraphs[0], schema.TensorT([1], Type.BOOL, 0, "unused")
    order = [3, 1, 8, 5, 0, 9, 6, 2, 7, 4]
    graph.tensors = [graph.tensors[i] for i in order] + [unused]
    place = {-1: -1} | {old: new for new, old in enumerate(order)}
    for item in [graph, *graph.operators]:
        item.inputs = [place[i] for i in item.inputs]
        item.outputs = [place[i] for i in item.outputs]
    model.buffers = [model.buffers[0], schema.BufferT(b"unused"), *model.buffers[:0:-1]]
    for tensor in graph.tensors:
        tensor.buffer = len(model.buffers) - tensor.buffer if tensor.buffer else 0
    model.operatorCodes.insert(0, schema.OperatorCodeT(builtinCode=Operator.SVDF))
    for operator in graph.operators:
        operator.opcodeIndex = 1


def _anonymous(model):
    model.description = model.subgraphs[0].name = None
    for tensor in model.subgraphs[0].tensors:
        tensor.name = None


def _annotate(model):
    model.buffers.append(schema.BufferT(b"1.14.0"))
    model.metadata = [schema.MetadataT("min_runtime_version", len(model.buffers) - 1)]
    maps = [[schema.TensorMapT(name, i)] for name, i in (("x", 0), ("y", 9))]
    model.signatureDefs = [schema.SignatureDefT(*maps, signatureKey="serving_default")]
    model.subgraphs[0].tensors[0].shapeSignature = [-1, 1]


def with_ends(content, source, target):
    """An int8 model with a QUANTIZE before it and a QUANTIZE or DEQUANTIZE after it.

    source, target: names of the types that it then takes and gives; "INT8" leaves that end alone.
    It is what the converter makes when it is not told the types of the ends.
    """

    def edit(model):
        graph = model.subgraphs[0]
        if source != "INT8":
            new = end(model, source, graph.tensors[graph.inputs[0]])
            graph.operators.insert(0, step(model, "QUANTIZE", new, graph.inputs[0]))
            graph.inputs = [new]
        if target != "INT8":
            new = end(model, target, graph.tensors[graph.outputs[0]])
            name = "DEQUANTIZE" if target == "FLOAT32" else "QUANTIZE"
            graph.operators.append(step(model, name, graph.outputs[0], new))
            graph.outputs = [new]

    def end(model, kind, inner):
        quantization = None
        if kind != "FLOAT32":
            scale, zero_point = inner.quantization.scale, inner.quantization.zeroPoint[0] + 128
            quantization = schema.QuantizationParametersT(scale=scale, zeroPoint=[zero_point])
        tensors = model.subgraphs[0].tensors
        tensors.append(schema.TensorT(inner.shape, getattr(Type, kind), 0, "end", quantization))
        return len(tensors) - 1

    def step(model, name, before, after):
        return another_operator(model, name, [before], [after])

    return edited(content, edit)


def another_operator(model, name, inputs, outputs):
    """An operator by the schema's name, or a custom one by any other, for a ModelT's subgraph."""
    number = getattr(Operator, name, Operator.CUSTOM)
    custom = None if hasattr(Operator, name) else name
    model.operatorCodes.append(
        schema.OperatorCodeT(min(number, 127), customCode=custom, builtinCode=number)
    )
    return schema.OperatorT(len(model.operatorCodes) - 1, inputs=inputs, outputs=outputs)


def followed_by(content, *names):
    """The model with operators behind it, each of which takes one tensor and gives its like."""

    def edit(model):
        graph = model.subgraphs[0]
        for name in names:
            last = graph.tensors[graph.outputs[0]]
            graph.tensors.append(schema.TensorT(last.shape, last.type, 0, name, last.quantization))
            number = len(graph.tensors) - 1
            graph.operators.append(another_operator(model, name, graph.outputs, [number]))
            graph.outputs = [number]

    return edited(content, edit)
