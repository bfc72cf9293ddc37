"""What is in a TensorFlow Lite model, as a person wants to see it: `workshop model` prints it."""

import math
from collections.abc import Sequence
from typing import Any

from workshop_utils.device import boards, compiling, diagnosis, preflight, ranges, tflite
from workshop_utils.device.tflite import Operator, Tensor


def model(content: bytes) -> dict[str, Any]:
    """What a model is and what can run it, in values that JSON has.

    content: flatbuffer. Returns 'bytes', 'type' (what it computes in), 'inputs' and 'outputs' (what
    their codes cover, too), 'layers' (a dict per operator), 'parts' ({part: bytes}), 'engines',
    'programs' and 'boards' ({name: None if it runs there, or else the reason}; boards with the
    compact engine), 'remarks' and 'problem' (why no engine runs it, or None).
    Raises WorkshopError if the bytes are no model.
    """
    parsed = tflite.parse(content)
    engines = {
        engine: diagnosis.problem(parsed, engine, "export" if engine == "generated" else None)
        for engine in compiling.ENGINES
    }
    problem = None if None in engines.values() else engines["compact"]
    fits = {
        name: engines["compact"] or preflight.problem(parsed, board)
        for name, board in boards.BOARDS.items()
    }
    return {
        "bytes": len(content),
        "type": diagnosis.kind(parsed),
        "inputs": [_end(parsed.tensors[index]) for index in parsed.inputs],
        "outputs": [_end(parsed.tensors[index]) for index in parsed.outputs],
        "layers": [_layer(parsed, operator) for operator in parsed.operators],
        "parts": diagnosis.parts(parsed),
        "engines": engines,
        "programs": {
            program: problem or diagnosis.problem(parsed, program=program)
            for program in compiling.PROGRAMS
        },
        "boards": fits,
        "remarks": [] if problem else diagnosis.remarks(parsed),
        "problem": problem,
    }


def _end(tensor: Tensor) -> dict[str, Any]:
    covers = ranges.covered(tensor)
    return {
        "name": tensor.name,
        "shape": list(tensor.shape),
        "type": tensor.type.lower(),
        **_quantization(tensor),
        "covers": [_finite(limit) for limit in covers] if covers else None,
    }


def _layer(parsed: tflite.Model, operator: Operator) -> dict[str, Any]:
    """operator: one step of the model, with weights or without."""
    inputs = [parsed.tensors[index] for index in operator.inputs if index >= 0]
    outputs = [parsed.tensors[index] for index in operator.outputs if index >= 0]
    computed = [tensor for tensor in inputs if tensor.data is None]
    learned = diagnosis.constants(parsed, operator)
    weights = next((tensor for part, tensor in learned if part == "weights"), None)
    return {
        "operator": operator.name,
        "is_custom": operator.is_custom,
        "activation": operator.activation,
        "inputs": [list(tensor.shape) for tensor in computed],
        "outputs": [list(tensor.shape) for tensor in outputs],
        "type": outputs[0].type.lower() if outputs else None,
        "weights": list(weights.shape) if weights else None,
        "weights_type": weights.type.lower() if weights else None,
        "weight_scales": [_finite(scale) for scale in weights.scales] if weights else [],
        "parameters": sum(tensor.size for _, tensor in learned),
        **(_quantization(outputs[0]) if outputs else {"scale": None, "zero_point": None}),
    }


def _quantization(tensor: Tensor) -> dict[str, Any]:
    """Those of a tensor with one of each; None for any other."""
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        return {"scale": None, "zero_point": None}
    return {"scale": _finite(tensor.scales[0]), "zero_point": tensor.zero_points[0]}


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


# ---- For the terminal


def text(found: dict[str, Any]) -> str:
    """The same as lines of text. found: what `model` returned."""
    lines = [f"{found['type']}, {found['bytes']:,} bytes", ""]
    ends = [
        (side[:-1], end["name"], _shape(end["shape"]), end["type"], *_codes(end))
        for side in ("inputs", "outputs")
        for end in found[side]
    ]
    head = ("", "name", "shape", "type", "scale", "zero point", "covers")
    lines += [*_table([head, *ends]), ""]
    rows = [
        (
            f"{number}",
            layer["operator"],
            " + ".join(map(_shape, layer["inputs"])) or "-",
            " + ".join(map(_shape, layer["outputs"])) or "-",
            _shape(layer["weights"]) if layer["weights"] is not None else "-",
            _scales(layer["weight_scales"]),
            layer["activation"] if layer["activation"] != "NONE" else "-",
            _number(layer["scale"]),
            "-" if layer["zero_point"] is None else f"{layer['zero_point']}",
            f"{layer['parameters']:,}",
        )
        for number, layer in enumerate(found["layers"], 1)
    ]
    head_of_layers = ("", "layer", "from", "to", "weights", "their scale", "activation", "scale")
    lines += [*_table([(*head_of_layers, "zero point", "parameters"), *rows]), ""]
    sizes = (f"{part} {count:,} bytes" for part, count in found["parts"].items())
    lines.append(", ".join(sizes))
    for what in ("engines", "programs", "boards"):
        able = [name for name, reason in found[what].items() if reason is None]
        lines.append(f"{what} that run it: {', '.join(able) or 'none'}")
    return "\n".join([*lines, *found["remarks"]])


def _codes(end: dict[str, Any]) -> tuple[str, str, str]:
    if end["scale"] is None:
        return "-", "-", "-"
    covers = " to ".join(map(_number, end["covers"])) if end["covers"] else "-"
    return _number(end["scale"]), f"{end['zero_point']}", covers


def _scales(scales: Sequence[float | None]) -> str:
    return f"{len(scales)} of them" if len(scales) > 1 else _number(*scales or (None,))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _shape(shape: Sequence[int]) -> str:
    return diagnosis.format_shape(tuple(shape))


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they must be, the names of tensors cut."""
    clipped = [[cell if len(cell) <= 30 else cell[:29] + "~" for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clipped, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in clipped
    ]
