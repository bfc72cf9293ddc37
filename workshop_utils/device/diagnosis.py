"""What a model is, and what keeps it from running here: one sentence with the cause and the cure.

The engine checks a model too, when the board starts. What passes here it takes; but it speaks of
bytes, and here it is said in the terms of who made the model, and more is refused: what no
converter writes, and what only training gone wrong makes, such as NaN. What a board adds to that,
its flash and RAM, is `preflight`'s.
"""

import math
from collections.abc import Callable, Iterator, Sequence

from workshop_utils.device import limits, ranges, tflite
from workshop_utils.device.tflite import Model, Operator, Tensor
from workshop_utils.errors import WorkshopError
from workshop_utils.terminal import clipped

OPERATOR = "FULLY_CONNECTED"
# Versions 13 and 14 stand for weights of 4 and 2 bits; the types say which of the lower ones is
# meant. Source: GetBuiltinOperatorVersion in TensorFlow's op_version.cc.
_NEWEST_VERSION = 12
_TYPES = ("INT8", "FLOAT32")
_BIAS_TYPES = 9  # the last of the schema's types that TFLM knows as one of a bias: INT8
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
_LEAST_SCALE = 2.0**-126  # float32's least normal number
_SWEEP_VALUES = 64  # kMostValues of app/sweep.cc

Span = tuple[str, float, float]

_INT8_ENDS = "converter.inference_input_type and converter.inference_output_type to tf.int8"
_TO_INT8 = "converter.representative_dataset and the types of input and output to tf.int8"
# What one can do about operators: (their names, the advice).
_ADVICE = (
    (
        {"RELU", "RELU6"},
        "put the activation into the Dense layer itself, activation='relu'",
    ),
    (
        {*("TANH", "LOGISTIC", "GELU", "ELU", "LEAKY_RELU", "PRELU", "HARD_SWISH", "SOFTMAX")}
        | {*("RELU_N1_TO_1", "RELU_0_TO_1", "EXP", "LOG_SOFTMAX")},
        "take relu as activation",
    ),
    (
        {*("RESHAPE", "EXPAND_DIMS", "SQUEEZE", "SHAPE", "STRIDED_SLICE", "PACK", "TRANSPOSE")},
        "keep the shape (batch, values) from input to output, without Flatten or Reshape",
    ),
)


def check(content: bytes, engine: str = "compact", program: str | None = None) -> Model:
    """The Model in a flatbuffer that an engine can run. Arguments as for `problem`.

    Raises WorkshopError, one sentence, if the bytes are no model or the engine cannot run it.
    """
    model = tflite.parse(content)
    if sentence := problem(model, engine, program):
        raise WorkshopError(sentence)
    return model


def problem(model: Model, engine: str = "compact", program: str | None = None) -> str | None:
    """Why an engine cannot run a model: one sentence, the first cause and its cure; None if it can.

    engine: 'compact', 'generated' or 'tflm'. program: 'wave', which gives the model one value and
    takes one; 'sweep', which takes int8 models of up to 64 values; None for what either can run;
    'export' for a program of somebody else, which takes any number.
    """
    layers = [operator for operator in model.operators if operator.name == OPERATOR]
    found = _problem_of_graph(model) or _problem_of_operators(model)
    found = found or _problem_of_types(model, layers) or _problem_of_ends(model)
    current = model.inputs[0] if model.inputs else -1
    for number, layer in enumerate(layers, 1):
        found = found or _problem_of_layer(model, number, layer, current, engine)
        current = layer.outputs[0] if layer.outputs else -1
    if not found and current != model.outputs[0]:
        found = "The model's last layer does not make its output; convert it again."
    return found or _problem_of_use(model, engine, program)


# ---- What a model is


def is_int8(model: Model) -> bool:
    """Whether the compact engine runs the model with its kernel for int8: it asks the input."""
    return bool(model.inputs) and model.tensors[model.inputs[0]].type == "INT8"


def kind(model: Model) -> str:
    """What a model computes in, such as 'int8' or 'float32', and what is special about it."""
    ends = {model.tensors[index].type for index in (*model.inputs, *model.outputs)}
    values, weights = _types(model)
    if _is_float16(model):
        return "float32, with weights in float16"
    if values == {"FLOAT32"} and weights - {"FLOAT32"}:
        return f"hybrid: values in float32, weights in {_listed(weights)}"
    if "INT16" in values and weights == {"INT8"}:
        return f"int16 with weights in int8{_at_ends(ends - values)}"
    return f"{_listed(values or ends)}{_at_ends(ends - (values or ends))}"


def _at_ends(types: set[str]) -> str:
    return f", {_listed(types)} at its ends" if types else ""


def _listed(types: set[str]) -> str:
    return " and ".join(sorted(name.lower() for name in types))


def _types(model: Model) -> tuple[set[str], set[str]]:
    """The types of what the operators compute, QUANTIZE and its like apart, and of weights."""
    values: set[str] = set()
    weights: set[str] = set()
    for operator in model.operators:
        if operator.name in _CONVERSIONS:
            continue
        computed = (*operator.inputs[:1], *operator.outputs)
        values |= {model.tensors[index].type for index in computed if index >= 0}
        if operator.inputs[1:2] > (-1,) and operator.name == OPERATOR:
            weights.add(model.tensors[operator.inputs[1]].type)
    return values, weights


def _is_float16(model: Model) -> bool:
    """Whether weights lie there in float16: as they are, or before a DEQUANTIZE."""
    used = {index for operator in model.operators for index in operator.inputs if index >= 0}
    tensors = (model.tensors[index] for index in used)
    return any(tensor.type == "FLOAT16" and tensor.data is not None for tensor in tensors)


def parts(model: Model) -> dict[str, int]:
    """The bytes of a model by what they are: {'weights', 'biases', 'description'}.

    The last is all but the first two: shapes, names, scales, and what the format itself takes.
    """
    places: dict[int, tuple[str, int]] = {}  # by the byte in the file, which tensors may share
    for operator in model.operators:
        for part, tensor in constants(model, operator):
            places[tensor.offset or 0] = (part, len(tensor.data or b""))
    taken = {part: sum(n for name, n in places.values() if name == part) for part in _PARTS}
    return taken | {"description": max(0, len(model.content) - sum(taken.values()))}


_PARTS = ("weights", "biases")
_WITH_BIAS = (OPERATOR, "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


def constants(model: Model, operator: Operator) -> list[tuple[str, Tensor]]:
    """What an operator learned: [('weights' or 'biases', its tensor)], without shapes and axes."""
    found = []
    for place, index in enumerate(operator.inputs):
        tensor = model.tensors[index] if index >= 0 else None
        if tensor is None or tensor.data is None:
            continue
        if place >= 2 and operator.name in _WITH_BIAS:
            found.append(("biases", tensor))
        elif tensor.type not in ("INT32", "INT64", "BOOL", "STRING"):
            found.append(("weights", tensor))
    return found


def remarks(model: Model, spans: Sequence[Span] | None = None) -> list[str]:
    """What whoever runs a model should know although it runs: sentences, empty if there are none.

    model: one that an engine runs. spans: of the data that it is meant for, a (name, lowest,
    highest) for each input and then for the output, such as ('temperature', -20.0, 100.0); None if
    that is the sine.
    """
    source = model.tensors[model.inputs[0]]
    if source.type == "FLOAT32":
        return ["The model is float32 throughout: nothing in it is quantized, and so it runs."]
    reach = ranges.covered(source)
    if reach is None or (spans is None and source.size != 1):
        return []
    says = f"The model's input covers about {_number(reach[0])} to {_number(reach[1])}, and"
    cure = "take inputs like these for the representative dataset, and convert it again"
    if spans is not None:
        target = model.tensors[model.outputs[0]]
        ends = [("input", source)] * (len(spans) - 1) + [("output", target)]
        found = [_remark(*end, span) for end, span in zip(ends, spans, strict=True)]
        return [sentence for sentence in found if sentence]
    low, high = ranges.SINE.x
    lacks = ranges.shortfall(source, low, high)
    if lacks is None:
        return []
    return [
        f"{says} the course's sine is {low:g} to {high:.2f}, {lacks}: {cure}; or if it is to draw "
        "something else, name measurements of that with --data FILE.csv."
    ]


def _remark(name: str, end: Tensor, span: Span) -> str | None:
    """What is wrong with an end of a model, 'input' or 'output', for data: a sentence, or None."""
    lacks, reach = ranges.shortfall(end, *span[1:]), ranges.covered(end)
    if lacks is None or reach is None:
        return None
    if end.size > 1 and reach[0] <= span[1] and span[2] <= reach[1]:
        cure = f"its {name}s share one scale, so bring them to like ranges before"
    else:
        cure = "take all of the data for the representative dataset, and convert it again"
    return (
        f"The model's {name} covers about {_number(reach[0])} to {_number(reach[1])}, and the "
        f"data's {span[0]} is {span[1]:.4g} to {span[2]:.4g}, {lacks}: {cure}."
    )


def _number(value: float) -> str:
    """Two digits of it, such as 6.3 or 360."""
    return f"{float(f'{value:.2g}'):g}"


# ---- What is asked of the whole


def _problem_of_graph(model: Model) -> str | None:
    if model.version != tflite.SCHEMA_VERSION:
        return (
            f"The model is of schema version {model.version}, and the engine reads version "
            f"{tflite.SCHEMA_VERSION}; convert it again."
        )
    if model.subgraphs > 1:
        return (
            f"The model has {model.subgraphs} subgraphs instead of one, for loops or branches or "
            "several functions; build it of Dense layers in a row."
        )
    if not model.operators:
        return "The model has no operator: there is nothing to compute; convert it again."
    for name, ends in (("input", model.inputs), ("output", model.outputs)):
        if len(ends) != 1:
            return (
                f"The model has {len(ends)} {name} tensors instead of one; make it one tensor of "
                "all the values."
            )
    return None


def _problem_of_operators(model: Model) -> str | None:
    strange = [one for one in model.operators if one.name not in (OPERATOR, *_CONVERSIONS)]
    if strange:
        return _strange(strange)
    for operator in model.operators:
        if operator.name == OPERATOR and not 1 <= operator.version <= _NEWEST_VERSION:
            return (
                f"The operator {OPERATOR} is of version {operator.version}, newer than version "
                f"{_NEWEST_VERSION}, which the engine knows; convert it with an older TensorFlow."
            )
    return None


def _strange(operators: Sequence[Operator]) -> str:
    """The sentence on operators that are not built in, with their names."""
    names = list(dict.fromkeys(map(_title, operators)))
    several = len(names) > 1
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more"]
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if several else names[0]
    # The advice fits only where it cures all of them.
    plain = {operator.name for operator in operators}
    fit = [advice for known, advice in _ADVICE if plain & known]
    known_to_all = set().union(*(known for known, _ in _ADVICE))
    advice = "; ".join(fit) if plain <= known_to_all else "build the network of Dense layers"
    return (
        f"The operator{'s' * several} {listed} {'are' if several else 'is'} not built in; the "
        f"engine runs {OPERATOR}, what Keras calls Dense, so {advice}."
    )


def _title(operator: Operator) -> str:
    name = clipped(operator.name, 40)
    return f"{name} (a custom one)" if operator.is_custom else name


def _problem_of_types(model: Model, layers: Sequence[Operator]) -> str | None:
    """How a whole model was quantized, if it is in a way that the engine does not compute in."""
    values, weights = _types(model)
    ends = [model.tensors[model.inputs[0]].type, model.tensors[model.outputs[0]].type]
    if _is_float16(model):
        return (
            "The model has its weights in float16, and the engine computes in int8 or float32: "
            "leave converter.target_spec.supported_types out for float32, or set "
            f"{_TO_INT8} for int8."
        )
    if "INT16" in values:
        return (
            "The model computes in int16 with weights in int8, and the engine in int8 or float32 "
            "throughout: convert it with tf.lite.OpsSet.TFLITE_BUILTINS_INT8, and set "
            f"{_INT8_ENDS}."
        )
    if "UINT8" in values:
        return (
            "The model computes in uint8, as converters before TensorFlow 2 quantized, and the "
            f"engine in int8 or float32: convert it anew, with {_TO_INT8}."
        )
    if "FLOAT32" in values and weights & {"INT8", "INT4", "UINT8"} and "INT8" not in values:
        return (
            f"The model is hybrid, with weights in {_listed(weights - {'FLOAT32'})} and values in "
            "float32 (dynamic range quantization), and the engine computes in one type throughout: "
            f"set {_TO_INT8}, or leave converter.optimizations out for float32."
        )
    if values == {"INT8"} and set(ends) != {"INT8"}:
        return _problem_of_int8_ends(*ends)
    rest = [one.name for one in model.operators if one.name in _CONVERSIONS]
    if rest:
        return (
            f"The model computes in {_listed(values)}, with {' and '.join(sorted(set(rest)))} "
            "between, and the engine in one type throughout: convert it with "
            f"tf.lite.OpsSet.TFLITE_BUILTINS_INT8, and set {_INT8_ENDS}."
        )
    if ends[0] not in _TYPES:
        return (
            f"The model's input is {_type(ends[0])}, and the engine takes INT8 and FLOAT32: "
            f"set {_INT8_ENDS}, and convert it again."
        )
    if ends[1] != ends[0]:
        return (
            f"The model's input is {_type(ends[0])} and its output {_type(ends[1])}, and both must "
            f"be of one type: set {_INT8_ENDS}, and convert it again."
        )
    return None


def _problem_of_int8_ends(source: str, target: str) -> str:
    """int8 inside and not at the ends: the converter was not told of one type or of both."""
    wrong = [
        (name, option, found.lower())
        for name, option, found in (
            ("input", "converter.inference_input_type", source),
            ("output", "converter.inference_output_type", target),
        )
        if found != "INT8"
    ]
    are = " and ".join(f"its {name} is {found}" for name, _, found in wrong)
    options = " and ".join(option for _, option, _ in wrong)
    return f"The model computes in int8, but {are}: set {options} to tf.int8, and convert it again."


def _problem_of_ends(model: Model) -> str | None:
    for name, index in (("input", model.inputs[0]), ("output", model.outputs[0])):
        tensor = model.tensors[index]
        if problem := _problem_of_values(f"The model's {name}", tensor):
            return problem
    return None


def _problem_of_values(subject: str, tensor: Tensor) -> str | None:
    """What flows between layers must be one row, of whatever rank: (1, n), or (n,)."""
    shape, says = tensor.shape, f"{subject} has the shape {format_shape(tensor.shape)}"
    if not shape:
        return (
            f"{says}, a scalar, and the engine takes a row of values, (1, n): build the model with "
            "keras.Input(shape=(1,)), and convert it again."
        )
    if len(shape) > limits.most_dimensions():
        return f"{says}, and the engine takes {limits.most_dimensions()} dimensions at most."
    if any(rows != 1 for rows in shape[:-1]):
        what = "a fixed batch" if len(shape) == 2 else "more than one row"
        return (
            f"{says}, {what}, and the engine takes one row at a time, (1, n): build the model with "
            "keras.Input(shape=(n,)) and no batch size, and convert it again."
        )
    if not 1 <= shape[-1] <= limits.most_values():
        return (
            f"{says}, and the engine takes 1 to {limits.most_values():,} values: build the model "
            "with fewer of them."
        )
    if tensor.data is not None:
        return f"{subject} has data of its own in the file, but is computed; convert it again."
    return None


# ---- What is asked of a layer


def _problem_of_layer(
    model: Model, number: int, layer: Operator, current: int, engine: str
) -> str | None:
    inputs, outputs = layer.inputs, layer.outputs
    if len(inputs) not in (2, 3) or -1 in inputs[:2] or len(outputs) != 1 or -1 in outputs:
        return f"Layer {number} has no input, weights and output of its own; convert it again."
    if inputs[0] != current or outputs[0] == current:
        return (
            f"Layer {number} does not follow on the one before, and the engine runs layers in a "
            "row: build the network as keras.Sequential does."
        )
    named = {"input": inputs[0], "weights": inputs[1], "output": outputs[0]}
    if inputs[2:] not in ((), (-1,)):
        named["bias"] = inputs[2]
    tensors = {part: model.tensors[index] for part, index in named.items()}
    found = _problem_of_kind(model, number, layer, tensors)
    found = found or _problem_of_shape(number, tensors)
    if not found and is_int8(model):
        found = next(_problems_of_quantization(number, layer.activation, tensors), None)
    if not found and engine == "tflm":
        found = _problem_of_alignment(number, tensors)
    return found


def _problem_of_kind(
    model: Model, number: int, layer: Operator, tensors: dict[str, Tensor]
) -> str | None:
    """Types, activation and format of weights."""
    wanted = "INT8" if is_int8(model) else "FLOAT32"
    for part, tensor in tensors.items():
        if tensor.is_variable:
            return f"{_subject(number, part)} variable, a state to keep; build it of Dense layers."
        kind = "INT32" if part == "bias" and wanted == "INT8" else wanted
        if tensor.type != kind:
            return (
                f"{_subject(number, part)} {_type(tensor.type)} and should be {kind}; the engine "
                "computes in one type throughout."
            )
    activations = [tflite.activation_name(code) for code in sorted(limits.activations())]
    if layer.activation not in activations:
        return (
            f"Layer {number}'s activation is {layer.activation}; the engine has "
            f"{', '.join(activations)}."
        )
    if layer.options.get("weightsFormat"):
        return f"Layer {number}'s weights are shuffled; convert it again."
    if layer.has_extras or not 0 <= layer.options.get("quantizedBiasType", 0) <= _BIAS_TYPES:
        return f"Layer {number} has options that the engine does not know; convert it again."
    return None


def _problem_of_shape(number: int, tensors: dict[str, Tensor]) -> str | None:
    if found := _problem_of_values(f"Layer {number}'s output", tensors["output"]):
        return found
    width, height = tensors["input"].size, tensors["output"].size
    for part, wanted in (("weights", (height, width)), ("bias", (height,))):
        tensor = tensors.get(part)
        if tensor is None:
            continue
        if tensor.is_sparse:
            return f"{_subject(number, part)} sparse; convert it without pruning's sparse format."
        if part == "weights" and tensor.shape != wanted:
            return (
                f"Layer {number}'s weights have the shape {format_shape(tensor.shape)}, which does "
                f"not fit {width:,} inputs and {height:,} outputs."
            )
        is_row = tensor.shape[-1:] == wanted and len(tensor.shape) <= limits.most_dimensions()
        if part == "bias" and (tensor.size != height or not is_row):
            return (
                f"Layer {number}'s bias has the shape {format_shape(tensor.shape)}, which does not "
                f"fit {height:,} outputs."
            )
        if not tensor.has_all_data:
            return f"Layer {number}'s {part} are not in the model, or not all of them."
        if tensor.type == "FLOAT32" and not _is_finite(tensor):
            return (
                f"Layer {number}'s {part} {'have' if part == 'weights' else 'has'} a value that is "
                "no number (NaN) or infinite, so training has failed: train again, with a smaller "
                "learning rate."
            )
    return None


def _is_finite(tensor: Tensor) -> bool:
    import numpy as np

    return bool(np.isfinite(tensor.values()).all())


def _problems_of_quantization(
    number: int, activation: str, tensors: dict[str, Tensor]
) -> Iterator[str]:
    rows = tensors["output"].size
    for part in ("input", "weights", "output"):
        has = f"Layer {number}'s {part} {'have' if part == 'weights' else 'has'}"
        tensor = tensors[part]
        scales, zero_points = tensor.scales, tensor.zero_points
        if not scales or not zero_points:
            yield f"{has} no scale or no zero point: it is not quantized."
        if not all(_LEAST_SCALE <= scale < math.inf for scale in scales):
            yield f"{has} a scale that is no positive number of normal size."
        if part != "weights" and len(scales) > 1:
            yield f"{has} {len(scales):,} scales instead of one."
        if part == "weights" and len(scales) not in (1, rows):
            yield f"{has} {len(scales):,} scales, neither 1 nor {rows:,}."
        if part == "weights" and any(zero_points):
            yield f"{has} a zero point other than 0."
        if not all(-128 <= zero_point <= 127 for zero_point in zero_points):
            yield f"{has} a zero point outside of int8."
        if tensor.quantized_dimension:
            yield f"{_subject(number, part)} quantized along inputs, not outputs."
    source, target = tensors["input"].scales[0], tensors["output"].scales[0]
    scales = tensors["weights"].scales
    try:
        for scale in scales:
            tflite.quantize_multiplier(source * scale / target)
    except WorkshopError:
        yield f"Layer {number}'s scales are too far apart: its multiplier is above 2^30."
    if activation == "RELU6" and 12 / target >= 2**32:
        yield f"Layer {number}'s output has a scale that is too small for RELU6, {target:.3g}."
    # As TFLM asks, of one scale per tensor only, a bit narrower; engine.cc says why. Source:
    # GetQuantizedConvolutionMultipler in tensorflow/lite/kernels/kernel_util.cc.
    bias, product = tensors.get("bias"), source * scales[0]
    if bias is not None and len(scales) == 1:
        scale = bias.scales[0] if bias.scales and bias.zero_points else 0.0
        if not abs(product - scale) + product * 2**-23 <= 0.0199 * target:
            yield (
                f"Layer {number}'s bias has the scale {scale:.3g}, and that of the input times "
                f"that of the weights is {product:.3g}: they must be equal; convert it again."
            )


def _problem_of_alignment(number: int, tensors: dict[str, Tensor]) -> str | None:
    """TFLM reads 32-bit numbers in place."""
    for part, tensor in tensors.items():
        if tensor.type != "INT8" and tensor.has_all_data and (tensor.offset or 0) % 4:
            return (
                f"Layer {number}'s {part} lies at byte {tensor.offset:,} of the model, which is no "
                "multiple of 4."
            )
    return None


# ---- What it is wanted for


def _problem_of_use(model: Model, engine: str, program: str | None) -> str | None:
    sizes = [model.tensors[index].size for index in (*model.inputs, *model.outputs)]
    if engine == "generated" and not is_int8(model):
        return (
            "The model computes in float32, and plain C is made of int8 models: set "
            f"{_TO_INT8}, and convert it again."
        )
    reasons: dict[str, Callable[[], str | None]] = {
        "wave": lambda: _problem_of_wave(*sizes),
        "sweep": lambda: _problem_of_sweep(model, max(sizes)),
    }
    if program == "export":
        return None
    if program is not None:
        return reasons[program]()
    found = [reason() for reason in reasons.values()]
    return found[0] if all(found) else None


def _problem_of_wave(inputs: int, outputs: int) -> str | None:
    for name, count in (("input", inputs), ("output", outputs)):
        if count != 1:
            return (
                f"The model's {name} has {count:,} values, and the application gives and takes "
                "one; the program sweep takes more."
            )
    return None


def _problem_of_sweep(model: Model, most: int) -> str | None:
    if not is_int8(model):
        return (
            "A sweep needs an int8 model, and this one computes in float32: set "
            f"{_TO_INT8}, and convert it again."
        )
    if most > _SWEEP_VALUES:
        return (
            f"The model has {most:,} values at an end, and a sweep takes {_SWEEP_VALUES} at most."
        )
    return None


def _subject(number: int, part: str) -> str:
    """How a sentence on a part of a layer begins."""
    return f"Layer {number}'s {part} {'are' if part == 'weights' else 'is'}"


def _type(name: str) -> str:
    return f"of the unknown type {name}" if name.isdigit() else name


def format_shape(shape: tuple[int, ...]) -> str:
    """A shape as Python writes it, such as (1, 16) or (16,)."""
    return "(" + ", ".join(map(str, shape)) + ("," * (len(shape) == 1)) + ")"
