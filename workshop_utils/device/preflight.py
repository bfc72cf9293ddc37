"""Does a model suit a board? Said on the desktop, before anything is compiled, all of it at once.

The engine checks the model too, when the board starts, and stops at the first thing that it cannot
do. What is looked at here are the same things, in the terms of who made the model.
"""

import math
import re

from workshop_utils.device import limits, tflite
from workshop_utils.device.boards import Board
from workshop_utils.device.elf import Elf
from workshop_utils.device.tflite import Model, Operator, Tensor
from workshop_utils.errors import WorkshopError

_OPERATOR = "FULLY_CONNECTED"
# Versions 13 and 14 stand for weights of 4 and 2 bits; the types say which of the lower ones is
# meant. Source: GetBuiltinOperatorVersion in TensorFlow's op_version.cc.
_NEWEST_VERSION = 12
_TYPES = ("INT8", "FLOAT32")
_ALIGNMENT = 16  # of g_model

# The least that the firmware takes besides the model, in bytes: a bound that no build is below, so
# that nothing is refused here that would fit. What a build really takes is checked at its end.
FLASH_AROUND = {"compact": 3_500, "tflm": 20_000}
_RAM_AROUND = 256  # variables and stack


def check(content: bytes, board: Board, engine: str = "compact", source: str | None = None) -> None:
    """Raise WorkshopError if the model cannot run on the board: a sentence for each reason.

    content: flatbuffer. engine: 'compact' or 'tflm'. source: the text of the model.cc that is to be
    compiled, if there is one.
    """
    found = problems(content, board, engine, source)
    if len(found) == 1:
        raise WorkshopError(found[0])
    if found:
        listed = "\n".join(f"- {sentence}" for sentence in found)
        raise WorkshopError(f"The model cannot run on the {board.title}:\n{listed}")


def problems(
    content: bytes, board: Board, engine: str = "compact", source: str | None = None
) -> list[str]:
    """The reasons why a model cannot run on a board: a list of sentences, empty if there is none.

    Arguments as for `check`. The emulated board and the host get the size checked and no more: it
    is there that one can see how the engine itself refuses a model.
    """
    found = _problems_of_flash(content, board, engine)
    if not board.suffix:
        return found
    if source is not None:
        found += _problems_of_source(source)
    try:
        model = tflite.parse(content)
    except WorkshopError as damage:
        return [*found, str(damage)]
    return [*found, *_problems_of_model(model, engine), *_problems_of_ram(model, board, engine)]


def _problems_of_flash(content: bytes, board: Board, engine: str) -> list[str]:
    if board.flash is None:
        return []
    room = board.flash.size
    if len(content) > room:
        return [
            f"The model does not fit: it has {len(content):,} bytes, and the board's flash has "
            f"{room:,}."
        ]
    needed = len(content) + FLASH_AROUND[engine]
    if board.suffix and needed > room:
        return [
            f"The model does not fit: it has {len(content):,} bytes, the firmware around it at "
            f"least {FLASH_AROUND[engine]:,}, and the board's flash has {room:,}."
        ]
    return []


def _problems_of_source(source: str) -> list[str]:
    """model.cc must ask for alignment: Cortex-M0 cannot read a word at an odd address."""
    found = re.search(r"alignas\((\d+)\)[^;{]*\bg_model\[\]", source)
    if found and int(found[1]) % _ALIGNMENT == 0:
        return []
    says = f"to {found[1]} bytes" if found else "to nothing"
    return [
        f"In model.cc g_model is aligned {says} and must be to {_ALIGNMENT}; run notebook "
        "06_microcontroller.ipynb to make the file anew."
    ]


# ---- What is asked of the whole model


def _problems_of_model(model: Model, engine: str) -> list[str]:
    found = []
    if model.version != tflite.SCHEMA_VERSION:
        found.append(
            f"The model is of schema version {model.version}, and the engine reads version "
            f"{tflite.SCHEMA_VERSION}."
        )
    if model.subgraphs > 1:
        found.append(f"The model has {model.subgraphs} subgraphs instead of one.")
    found += _problems_of_ends(model)
    found += _problems_of_operators(model)
    layers = [operator for operator in model.operators if operator.name == _OPERATOR]
    for number, operator in enumerate(layers, 1):
        found += _problems_of_layer(model, number, operator, engine)
    if not model.operators:
        found.append("The model has no operator: there is nothing to compute.")
    return found


def _problems_of_ends(model: Model) -> list[str]:
    found, types = [], []
    for name, ends in (("input", model.inputs), ("output", model.outputs)):
        if len(ends) != 1:
            found.append(f"The model has {len(ends)} {name} tensors instead of one.")
            continue
        tensor = model.tensors[ends[0]]
        types.append(_type(tensor))
        if tensor.size != 1:
            found.append(
                f"The model's {name} has {tensor.size:,} values, and the application gives and "
                "takes one."
            )
    if types and types[0] not in _TYPES:
        found.append(
            f"The model's input is {types[0]}; the engine takes INT8 and FLOAT32, so convert with "
            "inference_input_type and inference_output_type set to tf.int8."
        )
    elif len(set(types)) > 1:
        found.append(
            f"The model's input is {types[0]} and its output {types[1]}; both must be of one type, "
            "so set inference_input_type and inference_output_type."
        )
    return found


def _problems_of_operators(model: Model) -> list[str]:
    found = []
    for operator in model.operators:
        if operator.name != _OPERATOR:
            found.append(
                f"The operator {operator.name} (version {operator.version}) is not built in; the "
                f"engine runs {_OPERATOR}, what Keras calls Dense."
            )
        elif not 1 <= operator.version <= _NEWEST_VERSION:
            found.append(
                f"The operator {operator.name} is of version {operator.version}, newer than "
                f"version {_NEWEST_VERSION}, which the engine knows."
            )
    return list(dict.fromkeys(found))


# ---- What is asked of a layer


def _problems_of_layer(model: Model, number: int, layer: Operator, engine: str) -> list[str]:
    inputs, outputs = layer.inputs, layer.outputs
    if len(inputs) not in (2, 3) or -1 in inputs[:2] or len(outputs) != 1 or -1 in outputs:
        return [f"Layer {number} has no input, weights and output of its own."]
    wanted = model.tensors[model.inputs[0]].type if model.inputs else "INT8"
    wanted = wanted if wanted in _TYPES else "INT8"
    named = {"input": inputs[0], "weights": inputs[1], "output": outputs[0]}
    if inputs[2:] not in ((), (-1,)):
        named["bias"] = inputs[2]
    parts = {part: model.tensors[index] for part, index in named.items()}
    found = []
    for part, tensor in parts.items():
        kind = "INT32" if part == "bias" and wanted == "INT8" else wanted
        if tensor.type != kind:
            why = "" if part == "bias" else "; the engine computes in one type throughout"
            found.append(f"{_subject(number, part)} {_type(tensor)} and should be {kind}{why}.")
    found += _problems_of_shape(number, parts)
    if wanted == "INT8":
        found += _problems_of_quantization(number, parts)
    activations = [tflite.activation_name(code) for code in sorted(limits.activations())]
    if layer.activation not in activations:
        found.append(
            f"Layer {number}'s activation is {layer.activation}; the engine has "
            f"{', '.join(activations)}."
        )
    if layer.options.get("weightsFormat"):
        found.append(f"Layer {number}'s weights are shuffled.")
    if engine == "tflm":
        found += _problems_of_alignment(number, parts)
    return found


def _problems_of_shape(number: int, parts: dict[str, Tensor]) -> list[str]:
    found = []
    for part, tensor in parts.items():
        shape = tensor.shape
        if tensor.is_sparse:
            found.append(f"{_subject(number, part)} sparse.")
        if part == "weights":
            continue
        if math.prod(shape[:-1]) != 1:
            found.append(f"Layer {number}'s {part} is a batch, of shape {_format_shape(shape)}.")
        elif not shape or not 1 <= shape[-1] <= limits.most_values():
            found.append(
                f"Layer {number}'s {part} has the shape {_format_shape(shape)}; the engine takes 1 "
                f"to {limits.most_values():,} values."
            )
    width, height = parts["input"].size, parts["output"].size
    if parts["weights"].shape != (height, width):
        found.append(
            f"Layer {number}'s weights have the shape {_format_shape(parts['weights'].shape)}, "
            f"which does not fit {width:,} inputs and {height:,} outputs."
        )
    for part in ("weights", "bias"):
        if part in parts and not parts[part].has_all_data:
            found.append(f"Layer {number}'s {part} are not in the model, or not all of them.")
    return found


def _problems_of_quantization(number: int, parts: dict[str, Tensor]) -> list[str]:
    """At most one sentence for each of input, weights and output."""
    rows = parts["output"].size
    found = []
    for part in ("input", "weights", "output"):
        has = f"Layer {number}'s {part} {'have' if part == 'weights' else 'has'}"
        tensor = parts[part]
        scales, zero_points = tensor.scales, tensor.zero_points
        if not scales or not zero_points:
            found.append(f"{has} no scale or no zero point: it is not quantized.")
        elif not all(math.isfinite(scale) and scale > 0 for scale in scales):
            found.append(f"{has} a scale that is no positive number.")
        elif part != "weights" and len(scales) > 1:
            found.append(f"{has} {len(scales):,} scales instead of one.")
        elif part == "weights" and len(scales) not in (1, rows):
            found.append(f"{has} {len(scales):,} scales, neither 1 nor {rows:,}.")
        elif part == "weights" and any(zero_points):
            found.append(f"{has} a zero point other than 0.")
        elif not all(-128 <= zero_point <= 127 for zero_point in zero_points):
            found.append(f"{has} a zero point outside of int8.")
        elif len(scales) > 1 and tensor.quantized_dimension:
            found.append(f"{_subject(number, part)} quantized along inputs, not outputs.")
    return found


def _problems_of_alignment(number: int, parts: dict[str, Tensor]) -> list[str]:
    """TFLM reads 32-bit numbers in place."""
    return [
        f"Layer {number}'s {part} lies at byte {tensor.offset:,} of the model, which is no "
        "multiple of 4."
        for part, tensor in parts.items()
        if tensor.type != "INT8" and tensor.has_all_data and (tensor.offset or 0) % 4
    ]


def _subject(number: int, part: str) -> str:
    """How a sentence on a part of a layer begins."""
    return f"Layer {number}'s {part} {'are' if part == 'weights' else 'is'}"


def _type(tensor: Tensor) -> str:
    return f"of the unknown type {tensor.type}" if tensor.type.isdigit() else tensor.type


def _format_shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


# ---- Memory


def arena_bytes(content: bytes) -> int:
    """What the compact engine takes of its arena for this model, in bytes: prepared layers, their
    multipliers, zeros where a bias is missing, and two buffers for what flows between layers.

    content: flatbuffer, of a kind that the engine runs. Raises WorkshopError if it is damaged.
    """
    return _arena_bytes(tflite.parse(content))


def _arena_bytes(model: Model) -> int:
    int8 = is_int8(model)
    used = widest = 0
    for operator in model.operators:
        used += limits.layer_bytes(int8)
        if operator.outputs:
            widest = max(widest, model.tensors[operator.outputs[0]].size)
        if int8 and len(operator.inputs) > 1:
            used += limits.multiplier_bytes() * len(model.tensors[operator.inputs[1]].scales)
        if operator.outputs and (*operator.inputs, -1, -1)[2] == -1:  # no bias, so zeros instead
            used += 4 * model.tensors[operator.outputs[0]].size
    return used + (2 * widest * (1 if int8 else 4) + 3) // 4 * 4


def is_int8(model: Model) -> bool:
    """Whether the compact engine runs the model with its kernel for int8: it asks the input."""
    return bool(model.inputs) and model.tensors[model.inputs[0]].type == "INT8"


def _problems_of_ram(model: Model, board: Board, engine: str) -> list[str]:
    if engine != "compact" or board.ram is None:
        return []  # TFLM says itself what it needs, when the board starts
    needed = _arena_bytes(model) + _RAM_AROUND
    if needed <= board.ram.size:
        return []
    return [
        f"The engine needs {needed:,} bytes of RAM for this model, and the {board.title} has "
        f"{board.ram.size:,}."
    ]


def check_arena(content: bytes, image: Elf, board: Board, engine: str = "compact") -> None:
    """Raise WorkshopError if a finished image leaves too little RAM for the model.

    content: flatbuffer. image: says in `arena_start` and `arena_end` what is left. Only the compact
    engine's need is known; TFLM says itself, when the board starts, if it lacks memory.
    """
    start, end = (image.symbols.get(name) for name in ("arena_start", "arena_end"))
    if engine != "compact" or start is None or end is None or board.ram is None:
        return
    needed, left = arena_bytes(content), end - start
    if needed > left:
        raise WorkshopError(
            f"The model does not fit: the engine needs {needed:,} bytes of RAM for it, and of the "
            f"{board.ram.size:,} of the {board.title} {left:,} are left; take narrower layers."
        )
