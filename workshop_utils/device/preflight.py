"""Does a model suit a board? Said on the desktop, before anything is compiled, all of it at once.

The engine checks the model too, when the board starts, and stops at the first thing that it cannot
do. What is looked at here are the same things, in the terms of who made the model.
"""

import math
import re
import struct

from workshop_utils.errors import WorkshopError

_SCHEMA_VERSION = 3
_OPERATOR = "FULLY_CONNECTED"
# Versions 13 and 14 stand for weights of 4 and 2 bits; the types say which of the lower ones is
# meant. Source: GetBuiltinOperatorVersion in TensorFlow's op_version.cc.
_NEWEST_VERSION = 12
_ACTIVATIONS = ("NONE", "RELU", "RELU6")
_MOST_VALUES = 65535  # of a layer, for the compact engine
_ALIGNMENT = 16  # of g_model

# The least that the firmware takes besides the model, in bytes: a bound that no build is below, so
# that nothing is refused here that would fit. What a build really takes is checked at its end.
_FLASH_AROUND = {"compact": 3_500, "tflm": 20_000}
_RAM_AROUND = 256  # variables and stack
# sizeof of what the compact engine puts into its arena, on a core of 32 bits.
_INT8_LAYER, _FLOAT32_LAYER, _MULTIPLIER = 48, 56, 12


def check(model, board, engine="compact", source=None):
    """Raise WorkshopError if the model cannot run on the board: a sentence for each reason.

    model: flatbuffer, bytes. board: a Board. engine: 'compact' or 'tflm'. source: the text of the
    model.cc that is to be compiled, if there is one.
    """
    found = problems(model, board, engine, source)
    if len(found) == 1:
        raise WorkshopError(found[0])
    if found:
        listed = "\n".join(f"- {sentence}" for sentence in found)
        raise WorkshopError(f"The model cannot run on the {board.title}:\n{listed}")


def problems(model, board, engine="compact", source=None):
    """The reasons why a model cannot run on a board: a list of sentences, empty if there is none.

    Arguments as for `check`. The emulated board and the host get the size checked and no more: it
    is there that one can see how the engine itself refuses a model.
    """
    found = _problems_of_flash(model, board, engine)
    if not board.suffix:
        return found
    if source is not None:
        found += _problems_of_source(source)
    try:
        graph = _Graph(model)
        found += graph.problems(engine)
        found += graph.problems_of_ram(board, engine)
    except _Damaged:
        found.append(
            "The model is damaged or cut off; run notebook 05_tensorflow_lite.ipynb again."
        )
    return found


def _problems_of_flash(model, board, engine):
    if board.flash is None:
        return []
    room = board.flash.size
    if len(model) > room:
        return [
            f"The model does not fit: it has {len(model):,} bytes, and the board's flash has "
            f"{room:,}."
        ]
    needed = len(model) + _FLASH_AROUND[engine]
    if board.suffix and needed > room:
        return [
            f"The model does not fit: it has {len(model):,} bytes, the firmware around it at least "
            f"{_FLASH_AROUND[engine]:,}, and the board's flash has {room:,}."
        ]
    return []


def _problems_of_source(source):
    """model.cc must ask for alignment: Cortex-M0 cannot read a word at an odd address."""
    found = re.search(r"alignas\((\d+)\)[^;{]*\bg_model\[\]", source)
    if found and int(found[1]) % _ALIGNMENT == 0:
        return []
    says = f"to {found[1]} bytes" if found else "to nothing"
    return [
        f"In model.cc g_model is aligned {says} and must be to {_ALIGNMENT}; run notebook "
        "06_microcontroller.ipynb to make the file anew."
    ]


def arena_bytes(model):
    """What the compact engine takes of its arena for this model, in bytes.

    model: flatbuffer, bytes, of a kind that the engine runs. Raises WorkshopError if it is damaged.
    """
    try:
        return _Graph(model).arena_bytes()
    except _Damaged as error:
        raise WorkshopError("The model is damaged or cut off.") from error


def check_arena(model, image, board, engine="compact"):
    """Raise WorkshopError if a finished image leaves too little RAM for the model.

    image: the Elf, which says in `arena_start` and `arena_end` what is left. Only the compact
    engine's need is known; TFLM says itself, when the board starts, if it lacks memory.
    """
    ends = image.symbols.get("arena_start"), image.symbols.get("arena_end")
    if engine != "compact" or None in ends:
        return
    needed, left = arena_bytes(model), ends[1] - ends[0]
    if needed > left:
        raise WorkshopError(
            f"The model does not fit: the engine needs {needed:,} bytes of RAM for it, and of the "
            f"{board.ram.size:,} of the {board.title} {left:,} are left; take narrower layers."
        )


class _Damaged(Exception):
    """An index or an offset in the model leads outside of it."""


class _Graph:
    """The first subgraph of a model and what there is to say against it."""

    def __init__(self, model):
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        if len(model) < 8 or model[4:8] != b"TFL3":
            raise _Damaged
        try:
            self.bytes = bytes(model)
            self.model = schema.ModelT.InitFromPackedBuf(self.bytes)
        # What NumPy, struct and flatbuffers say to offsets that lead nowhere.
        except (struct.error, LookupError, TypeError, ValueError, MemoryError) as error:
            raise _Damaged from error
        if not self.model.subgraphs:
            raise _Damaged
        self.graph = self.model.subgraphs[0]
        self.tensors = _list(self.graph.tensors)
        self.operators = _list(self.graph.operators)
        self.inputs, self.outputs = _list(self.graph.inputs), _list(self.graph.outputs)
        if not all(0 <= index < len(self.tensors) for index in (*self.inputs, *self.outputs)):
            raise _Damaged
        if not all(self._is_whole(operator) for operator in self.operators):
            raise _Damaged

    def _is_whole(self, operator):
        used = [*_list(operator.inputs), *_list(operator.outputs)]
        return 0 <= operator.opcodeIndex < len(_list(self.model.operatorCodes)) and all(
            -1 <= index < len(self.tensors) for index in used
        )

    # ---- What is asked of the whole model

    def problems(self, engine):
        found = []
        if self.model.version != _SCHEMA_VERSION:
            found.append(
                f"The model is of schema version {self.model.version}, and the engine reads "
                f"version {_SCHEMA_VERSION}."
            )
        if len(self.model.subgraphs) > 1:
            found.append(f"The model has {len(self.model.subgraphs)} subgraphs instead of one.")
        found += self._problems_of_ends()
        found += self._problems_of_operators()
        layers = [op for op in self.operators if self._code(op)[0] == _OPERATOR]
        for number, layer in enumerate(layers, 1):
            found += self._problems_of_layer(number, layer, engine)
        if not self.operators:
            found.append("The model has no operator: there is nothing to compute.")
        return found

    def _problems_of_ends(self):
        found, types = [], []
        for name, ends in (("input", self.inputs), ("output", self.outputs)):
            if len(ends) != 1:
                found.append(f"The model has {len(ends)} {name} tensors instead of one.")
                continue
            types.append(self._type(ends[0]))
            values = self._size(ends[0])
            if values != 1:
                found.append(
                    f"The model's {name} has {values:,} values, and the application gives and "
                    "takes one."
                )
        if types and types[0] not in ("INT8", "FLOAT32"):
            found.append(
                f"The model's input is {types[0]}; the engine takes INT8 and FLOAT32, so convert "
                "with inference_input_type and inference_output_type set to tf.int8."
            )
        elif len(set(types)) > 1:
            found.append(
                f"The model's input is {types[0]} and its output {types[1]}; both must be of one "
                "type, so set inference_input_type and inference_output_type."
            )
        return found

    def _problems_of_operators(self):
        found = []
        for operator in self.operators:
            name, version = self._code(operator)
            if name != _OPERATOR:
                found.append(
                    f"The operator {name} (version {version}) is not built in; the engine runs "
                    f"{_OPERATOR}, what Keras calls Dense."
                )
            elif not 1 <= version <= _NEWEST_VERSION:
                found.append(
                    f"The operator {name} is of version {version}, newer than version "
                    f"{_NEWEST_VERSION}, which the engine knows."
                )
        return list(dict.fromkeys(found))

    # ---- What is asked of a layer

    def _problems_of_layer(self, number, layer, engine):
        inputs, outputs = _list(layer.inputs), _list(layer.outputs)
        if len(inputs) not in (2, 3) or -1 in inputs[:2] or len(outputs) != 1 or -1 in outputs:
            return [f"Layer {number} has no input, weights and output of its own."]
        wanted = self._type(self.inputs[0]) if self.inputs else "INT8"
        wanted = wanted if wanted in ("INT8", "FLOAT32") else "INT8"
        parts = {"input": inputs[0], "weights": inputs[1], "output": outputs[0]}
        found = [
            f"Layer {number}'s {part} {_be(part)} {self._type(index)} and should be {wanted}; the "
            "engine computes in one type throughout."
            for part, index in parts.items()
            if self._type(index) != wanted
        ]
        if len(inputs) == 3 and inputs[2] != -1:
            parts["bias"] = inputs[2]
            kind = "INT32" if wanted == "INT8" else wanted
            if self._type(inputs[2]) != kind:
                found.append(
                    f"Layer {number}'s bias is {self._type(inputs[2])} and should be {kind}."
                )
        found += self._problems_of_shape(number, parts)
        if wanted == "INT8":
            found += self._problems_of_quantization(number, parts)
        options = layer.builtinOptions
        activation = getattr(options, "fusedActivationFunction", 0)
        activation = _names(self.schema.ActivationFunctionType).get(activation, str(activation))
        if activation not in _ACTIVATIONS:
            found.append(
                f"Layer {number}'s activation is {activation}; the engine has "
                f"{', '.join(_ACTIVATIONS)}."
            )
        if getattr(options, "weightsFormat", 0):
            found.append(f"Layer {number}'s weights are shuffled.")
        if engine == "tflm":
            found += self._problems_of_alignment(number, parts)
        return found

    def _problems_of_shape(self, number, parts):
        found = []
        for part, index in parts.items():
            tensor, shape = self.tensors[index], _list(self.tensors[index].shape)
            if tensor.sparsity is not None:
                found.append(f"Layer {number}'s {part} {_be(part)} sparse.")
            if part == "weights":
                continue
            if math.prod(shape[:-1]) != 1:
                found.append(f"Layer {number}'s {part} is a batch, of shape {_shown(shape)}.")
            elif not shape or not 1 <= shape[-1] <= _MOST_VALUES:
                found.append(
                    f"Layer {number}'s {part} has the shape {_shown(shape)}; the engine takes 1 to "
                    f"{_MOST_VALUES:,} values."
                )
        shape = _list(self.tensors[parts["weights"]].shape)
        expected = [self._size(parts["output"]), self._size(parts["input"])]
        if shape != expected:
            found.append(
                f"Layer {number}'s weights have the shape {_shown(shape)}, which does not fit "
                f"{expected[1]:,} inputs and {expected[0]:,} outputs."
            )
        for part in ("weights", "bias"):
            if part in parts and not self._has_all_data(parts[part]):
                found.append(f"Layer {number}'s {part} are not in the model, or not all of them.")
        return found

    def _problems_of_quantization(self, number, parts):
        found = []
        for part in ("input", "weights", "output"):
            scales, zero_points = self._quantization(parts[part])
            has = f"Layer {number}'s {part} {'have' if part == 'weights' else 'has'}"
            rows = self._size(parts["output"])
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
            elif len(scales) > 1 and self.tensors[parts[part]].quantization.quantizedDimension:
                found.append(
                    f"Layer {number}'s {part} {_be(part)} quantized along inputs, not outputs."
                )
        return found

    def _problems_of_alignment(self, number, parts):
        """TFLM reads 32-bit numbers in place. The arrays here are views of the flatbuffer."""
        import numpy as np

        found = []
        for part in ("weights", "bias"):
            index = parts.get(part)
            if index is None or self._type(index) == "INT8" or not self._has_all_data(index):
                continue
            data = self.model.buffers[self.tensors[index].buffer].data
            offset = data.ctypes.data - np.frombuffer(self.bytes, np.uint8).ctypes.data
            if offset % 4:
                found.append(
                    f"Layer {number}'s {part} lies at byte {offset:,} of the model, which is no "
                    "multiple of 4."
                )
        return found

    # ---- Memory

    def arena_bytes(self):
        """Prepared layers, their multipliers, and two buffers for what flows between layers."""
        int8 = bool(self.inputs) and self._type(self.inputs[0]) == "INT8"
        used = widest = 0
        for operator in self.operators:
            inputs, outputs = _list(operator.inputs), _list(operator.outputs)
            used += _INT8_LAYER if int8 else _FLOAT32_LAYER
            if outputs:
                widest = max(widest, self._size(outputs[0]))
            if int8 and len(inputs) > 1:
                used += _MULTIPLIER * len(self._quantization(inputs[1])[0])
        return used + (2 * widest * (1 if int8 else 4) + 3) // 4 * 4

    def problems_of_ram(self, board, engine):
        if engine != "compact":  # TFLM says itself what it needs, when the board starts
            return []
        needed = self.arena_bytes() + _RAM_AROUND
        if needed <= board.ram.size:
            return []
        return [
            f"The engine needs {needed:,} bytes of RAM for this model, and the {board.title} has "
            f"{board.ram.size:,}."
        ]

    # ---- Looking things up

    def _code(self, operator):
        code = self.model.operatorCodes[operator.opcodeIndex]
        number = max(code.deprecatedBuiltinCode, code.builtinCode)
        return _names(self.schema.BuiltinOperator).get(number, str(number)), code.version

    def _type(self, index):
        number = self.tensors[index].type
        return _names(self.schema.TensorType).get(number, f"of the unknown type {number}")

    def _size(self, index):
        return math.prod(_list(self.tensors[index].shape))

    def _quantization(self, index):
        quantization = self.tensors[index].quantization
        if quantization is None:
            return [], []
        return _list(quantization.scale), _list(quantization.zeroPoint)

    def _has_all_data(self, index):
        tensor = self.tensors[index]
        if not 0 <= tensor.buffer < len(_list(self.model.buffers)):
            return False
        data = self.model.buffers[tensor.buffer].data
        bytes_each = 4 if self._type(index) in ("INT32", "FLOAT32") else 1
        return data is not None and len(data) == self._size(index) * bytes_each


def _list(vector):
    """A vector of the flatbuffer as a list of Python's numbers; an absent one is empty."""
    if vector is None:
        return []
    return vector.tolist() if hasattr(vector, "tolist") else list(vector)


def _names(enumeration):
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _be(part):
    return "are" if part == "weights" else "is"


def _shown(shape):
    return "(" + ", ".join(map(str, shape)) + ")"
