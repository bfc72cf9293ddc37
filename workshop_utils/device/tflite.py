"""A TensorFlow Lite model's flatbuffer, parsed into what it says: tensors and operators by name.

`parse` checks each offset before it follows it, because the bytes may come from anywhere: any bytes
become a Model or one sentence. `edited` makes another flatbuffer of one. Nothing here knows what an
engine can run; `diagnosis` does.
"""

from __future__ import annotations

import base64
import functools
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from workshop_utils import files, upstream
from workshop_utils.errors import WorkshopError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

MARK = b"TFL3"  # bytes 4 to 7 of every model
SCHEMA_VERSION = 3
_MOST_DIMENSIONS = 64  # of a tensor; NumPy's limit

# NumPy's types of the tensors' types; others, such as INT4 and STRING, have none.
_DTYPES = {
    "FLOAT16": "<f2",
    "FLOAT32": "<f4",
    "FLOAT64": "<f8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "BOOL": "?",
}


# ---- What a model says


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model.

    index: its number in Model.tensors. shape: () for a scalar. type: the schema's name, such as
    INT8, or in digits a number that the schema does not know. scales, zero_points: of the
    quantization, one per tensor or one per slice along quantized_dimension; empty if it is not
    quantized. is_variable: whether it keeps a state. data: its content in the file, None for what
    is computed. offset: the byte of the file where the data begins, None without data.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    type: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    is_sparse: bool = False
    is_variable: bool = False
    data: memoryview | None = field(default=None, repr=False)
    offset: int | None = None

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """NumPy's type of its values; None if NumPy has none, as for INT4."""
        import numpy as np

        return np.dtype(_DTYPES[self.type]) if self.type in _DTYPES else None

    @property
    def quantization(self) -> tuple[float, int]:
        """(scale, zero point) of a tensor that has one of each; (0.0, 0) for any other."""
        if len(self.scales) == 1 and len(self.zero_points) == 1:
            return self.scales[0], self.zero_points[0]
        return 0.0, 0

    @property
    def has_all_data(self) -> bool:
        """Whether the file holds a value for each element."""
        if self.data is None or self.dtype is None or min(self.shape, default=0) < 0:
            return False
        return len(self.data) == self.size * self.dtype.itemsize

    def values(self) -> NDArray[Any]:
        """The values in the file, of its dtype and shape; a view that cannot be written to.

        Raises WorkshopError if the file does not hold all of them.
        """
        if self.data is None or not self.has_all_data:
            raise WorkshopError(f"The values of tensor {self.index} are not all in the model.")
        import numpy as np

        return np.frombuffer(self.data, self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class Operator:
    """A step of a model.

    name: the schema's, such as FULLY_CONNECTED; of a custom operator its own; a number in digits
    for one that the schema does not know. inputs, outputs: numbers of tensors; -1 for an optional
    input that is left out. activation: the one fused into it, by name, NONE if there is none.
    options: all of them by the schema's names. has_extras: whether it has what is for other
    operators, custom options or intermediate tensors.
    """

    name: str
    version: int
    is_custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = "NONE"
    options: Mapping[str, Any] = field(default_factory=dict)
    has_extras: bool = False


@dataclass(frozen=True)
class Model:
    """A model's first subgraph, of which the course's models have one.

    content: the flatbuffer itself. version: of the schema. inputs, outputs: numbers of tensors.
    operators: in the order in which they run.
    """

    content: bytes = field(repr=False)
    version: int
    description: str
    subgraphs: int
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """The input and the output tensor of a model with one each.

        Raises WorkshopError if it has more or fewer of them, or one without a value.
        """
        ends = [self.tensors[index] for index in (*self.inputs[:1], *self.outputs[:1])]
        if len(self.inputs) != 1 or len(self.outputs) != 1 or any(end.size < 1 for end in ends):
            raise WorkshopError("The model must have one input tensor and one output tensor.")
        return ends[0], ends[1]


# ---- Arithmetic of its numbers


def quantize(x: ArrayLike, scale: float, zero_point: int) -> NDArray[np.int8]:
    """Real values to int8: round(x / scale) + zero_point, clipped to [-128, 127].

    x: array of any shape, in the tensor's real units. Returns int8, same shape.
    Raises WorkshopError (a ValueError) if scale is not positive or x is not finite.
    Source: TensorFlow Lite 8-bit quantization specification.
    """
    import numpy as np

    _check_scale(scale)
    x = np.asarray(x, dtype=np.float32)
    if not np.isfinite(x).all():
        raise WorkshopError("Cannot quantize NaN or infinity: int8 has no code for them.")
    with np.errstate(over="ignore"):  # infinity is clipped as well
        steps = np.rint(x / np.float32(scale)) + zero_point
    return np.asarray(np.clip(steps, -128, 127), dtype=np.int8)


def dequantize(q: ArrayLike, scale: float, zero_point: int) -> NDArray[np.float32]:
    """int8 to real values: (q - zero_point) * scale.

    q: integers of any shape. Returns float32, same shape.
    Raises WorkshopError (a ValueError) if scale is not positive.
    Source: TensorFlow Lite 8-bit quantization specification.
    """
    import numpy as np

    _check_scale(scale)
    return (np.asarray(q, dtype=np.int32) - zero_point).astype(np.float32) * np.float32(scale)


def _check_scale(scale: float) -> None:
    if not (math.isfinite(scale) and scale > 0):
        raise WorkshopError(f"A quantization scale must be a positive number, but is {scale}.")


def quantize_multiplier(real: float) -> tuple[int, int]:
    """A positive number as (value, shift): about value / 2^31 * 2^shift, value in [2^30, 2^31).

    (0, 0) for what is below 2^-32. Raises WorkshopError for what is too large for TFLM.
    Source: tensorflow/lite/kernels/internal/quantization_util.cc of the tflite-micro repository.
    """
    fraction, shift = math.frexp(real)
    value = math.floor(fraction * 2**31 + 0.5)
    if value == 2**31:
        value, shift = 2**30, shift + 1
    if shift > 30:
        raise WorkshopError("A layer's scales are too far apart: its multiplier is above 2^30.")
    return (value, shift) if shift >= -31 else (0, 0)


# ---- What is no model

# What else is to be said of files that are no model, by their kind.
_CURES = {
    "a Git LFS pointer": ", not the model itself; run git lfs pull in its repository to fetch the "
    "model",
    "a Keras file (.keras)": ", not a TFLite model; convert it as notebook 5 does",
    "a ZIP archive": "; unpack it first",
    "a web page (HTML)": ", not a TensorFlow Lite model; download the file itself, on GitHub with "
    "the button Raw",
    "an HDF5 file": ", such as Keras wrote (.h5); convert it as notebook 5 does",
    "compressed with gzip": "; unpack it first",
}
_ANEW = "run notebook 05_tensorflow_lite.ipynb to make one"


def foreign(content: bytes) -> str | None:
    """What bytes without a model's mark look like and what to do, such as "is empty; ...".

    The end of a sentence whose subject is the file. None if they have the mark.
    """
    if content[4:8] == MARK:
        return None
    head = content[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not content:
        return f"is empty; fetch or make it again, or {_ANEW}."
    if kind := files.kind(content):
        return f"is {kind}{_CURES.get(kind, '; name the model instead')}."
    if _says_mark(head):
        return "is a TensorFlow Lite model as base64 text; decode it first (base64 -d)."
    if re.match(rb"(0*:? ?)?1c ?00 ?00 ?00 ?54 ?46 ?4c ?33", head.lower()):
        return "is a hex dump of a TensorFlow Lite model; turn it back first (xxd -r)."
    if content[4:7] == MARK[:3] and len(content) > 7:
        return f"is a TensorFlow Lite model of another version than 3; {_ANEW}."
    if b"\0" not in content[:2048]:
        return f"is text and holds no TensorFlow Lite model; {_ANEW}."
    return f"is no TensorFlow Lite model: its mark {MARK.decode()!r} is missing; {_ANEW}."


def _says_mark(text: bytes) -> bool:
    """Whether text is base64 of bytes with a model's mark."""
    letters = re.match(rb"[A-Za-z0-9+/]{12}", b"".join(text[:64].split()))
    return letters is not None and base64.b64decode(letters[0])[4:8] == MARK


# ---- Reading


def parse(content: bytes) -> Model:
    """The Model in a flatbuffer. Whoever asks again for the same bytes gets the same Model.

    Raises WorkshopError, one sentence, if the bytes are no model (it says what they look like) or
    contradict themselves: an offset that leads out of them, an operator without its tensors, no
    subgraph.
    """
    content = bytes(content)
    if other := foreign(content):
        raise WorkshopError(f"The model {other}")
    return _parse(content)


def edited(content: bytes, edit: Callable[[Any], None]) -> bytes:
    """The flatbuffer after edit(model), which changes a ModelT of the schema in place.

    ModelT and what it holds have the schema's names, such as model.subgraphs[0].tensors[1].shape.
    Raises WorkshopError if the bytes are no model.
    """
    parse(content)  # the schema's classes trust what they read
    model = upstream.tflite_schema().ModelT.InitFromPackedBuf(content)
    edit(model)
    return upstream.pack_tflite(model)


@functools.lru_cache(maxsize=4)  # pre-flight, the build and the interpreters ask for one model
def _parse(content: bytes) -> Model:
    try:
        return _model(content)
    # What the schema's classes may say to options that lead nowhere.
    except (_Damaged, struct.error, LookupError, TypeError, ValueError) as error:
        if isinstance(error, WorkshopError):
            raise
        raise WorkshopError(
            "The model is damaged or cut off; run notebook 05_tensorflow_lite.ipynb again."
        ) from error


class _Damaged(Exception):
    """An offset or an index in the model leads outside of it."""


# The numbers of the fields. Source: TensorFlow Lite's schema.fbs, where a field keeps its number.
_VERSION, _OPERATOR_CODES, _SUBGRAPHS, _DESCRIPTION, _BUFFERS = range(5)  # Model
_OLD_CODE, _CUSTOM_CODE, _CODE_VERSION, _CODE = range(4)  # OperatorCode
_TENSORS, _INPUTS, _OUTPUTS, _OPERATORS = range(4)  # SubGraph
_SHAPE, _TYPE, _BUFFER, _NAME, _QUANTIZATION, _VARIABLE, _SPARSITY = range(7)  # Tensor
_SCALE, _ZERO_POINT, _DIMENSION = 2, 3, 6  # QuantizationParameters
_CODE_INDEX, _OP_INPUTS, _OP_OUTPUTS, _OPTIONS_TYPE, _OPTIONS, _CUSTOM, _, _, _INTERMEDIATES = (
    range(9)
)  # Operator
_DATA = 0  # Buffer


def _model(content: bytes) -> Model:
    root = _Table(_Reader(content), 0)
    graph = next(root.tables(_SUBGRAPHS), None)
    if graph is None:
        raise _Damaged
    buffers = [table.bytes(_DATA) for table in root.tables(_BUFFERS)]
    tensors = tuple(
        _tensor(index, table, buffers) for index, table in enumerate(graph.tables(_TENSORS))
    )
    codes = [_code(table) for table in root.tables(_OPERATOR_CODES)]
    operators = tuple(_operator(table, codes) for table in graph.tables(_OPERATORS))
    inputs, outputs = graph.numbers(_INPUTS, "i"), graph.numbers(_OUTPUTS, "i")
    used = {index for operator in operators for index in (*operator.inputs, *operator.outputs)}
    if not used.issubset(range(-1, len(tensors))) or not {*inputs, *outputs}.issubset(
        range(len(tensors))
    ):
        raise _Damaged
    return Model(
        content=content,
        version=root.number(_VERSION, "I"),
        description=root.text(_DESCRIPTION),
        subgraphs=root.length(_SUBGRAPHS),
        tensors=tensors,
        operators=operators,
        inputs=inputs,
        outputs=outputs,
    )


def _tensor(index: int, table: _Table, buffers: list[tuple[int, memoryview] | None]) -> Tensor:
    number = table.number(_BUFFER, "I")
    offset, data = buffers[number] or (None, None)  # an index outside is damage
    shape = table.numbers(_SHAPE, "i")
    if len(shape) > _MOST_DIMENSIONS:
        raise _Damaged
    tensor = Tensor(
        index=index,
        name=table.text(_NAME),
        shape=shape,
        type=_name_of("TensorType", table.number(_TYPE, "b")),
        is_sparse=table.table(_SPARSITY) is not None,
        is_variable=table.number(_VARIABLE, "B") > 0,
        data=data,
        offset=offset,
    )
    quantization = table.table(_QUANTIZATION)
    if quantization is None:
        return tensor
    return replace(
        tensor,
        scales=quantization.numbers(_SCALE, "f"),
        zero_points=quantization.numbers(_ZERO_POINT, "q"),
        quantized_dimension=quantization.number(_DIMENSION, "i"),
    )


def _code(table: _Table) -> tuple[str, int, bool]:
    """An operator code: its name, its version and whether it is a custom one."""
    # Converters before 2021 know the first field alone, which ends at 127.
    name = _name_of("BuiltinOperator", max(table.number(_OLD_CODE, "B"), table.number(_CODE, "I")))
    is_custom = name == "CUSTOM"
    if is_custom:
        name = table.text(_CUSTOM_CODE) or name
    return name, table.number(_CODE_VERSION, "i", default=1), is_custom


def _operator(table: _Table, codes: list[tuple[str, int, bool]]) -> Operator:
    name, version, is_custom = codes[table.number(_CODE_INDEX, "I")]
    options = _options(table)
    return Operator(
        name=name,
        version=version,
        is_custom=is_custom,
        inputs=table.numbers(_OP_INPUTS, "i"),
        outputs=table.numbers(_OP_OUTPUTS, "i"),
        activation=options.get("fusedActivationFunction", "NONE"),
        options=options,
        has_extras=table.number(_CUSTOM, "I") > 0 or bool(table.numbers(_INTERMEDIATES, "i")),
    )


def _options(operator: _Table) -> dict[str, Any]:
    """The options of an operator, {name: value}, read by the schema's class for their kind."""
    table = operator.table(_OPTIONS)
    kind = _name_of("BuiltinOptions", operator.number(_OPTIONS_TYPE, "B"))
    reader = getattr(upstream.tflite_schema(), f"{kind}T", None)
    if table is None or reader is None:
        return {}
    options: dict[str, Any] = vars(reader.InitFromBuf(table.reader.content, table.position))
    for name, value in options.items():
        if hasattr(value, "__len__"):
            table.reader.take(len(value))
        if hasattr(value, "tolist"):
            options[name] = tuple(value.tolist())
        elif isinstance(value, bytes):
            options[name] = _printable(value)
        elif name == "fusedActivationFunction":
            options[name] = activation_name(value)
    return options


@functools.cache
def _names(enumeration: str) -> dict[int, str]:
    numbers = vars(getattr(upstream.tflite_schema(), enumeration))
    return {number: name for name, number in numbers.items() if isinstance(number, int)}


def _name_of(enumeration: str, number: int) -> str:
    """The schema's name of a number; the number in digits if it has none."""
    return _names(enumeration).get(number, str(number))


def _printable(text: bytes) -> str:
    """A text of the model, UTF-8, with a question mark for what cannot be printed."""
    return "".join(c if c.isprintable() else "?" for c in text.decode("utf-8", errors="replace"))


def activation_name(number: int) -> str:
    """The schema's name of an activation function; the number in digits if it has none."""
    return _name_of("ActivationFunctionType", number)


class _Reader:
    """The bytes of a flatbuffer, and how much of them may still be read.

    Flatbuffers share what is equal, so more may be read than there is, but not any amount: a file
    of a few kilobytes could otherwise say that it is a model of a million tensors.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self._left = content, 8 * len(content)

    def take(self, count: int) -> None:
        """Note that `count` bytes are going to be read."""
        self._left -= count
        if self._left < 0:
            raise _Damaged

    def number(self, position: int, kind: str) -> Any:
        """The number at a position; kind: struct's letter for its type."""
        if position < 0:  # struct would count from the end
            raise _Damaged
        return struct.unpack_from("<" + kind, self.content, position)[0]

    def follow(self, position: int) -> int:
        """Where the offset at a position leads to."""
        return position + int(self.number(position, "I"))

    def span(self, position: int, size: int) -> tuple[int, int]:
        """Begin and length in bytes of the vector at a position; size: bytes per element."""
        count = int(self.number(position, "I"))
        if position + 4 + count * size > len(self.content):
            raise _Damaged
        return position + 4, count * size


class _Table:
    """A table of the flatbuffer: fields by their numbers, any of which may be left out.

    Source: FlatBuffers' internals, "Tables".
    """

    def __init__(self, reader: _Reader, offset: int) -> None:
        """offset: where the offset of the table stands."""
        reader.take(8)
        self.reader, self.position = reader, reader.follow(offset)
        self._fields = self.position - reader.number(self.position, "i")
        self._end = self._fields + reader.number(self._fields, "H")

    def _place(self, field: int) -> int | None:
        """The position of a field, None if it is left out."""
        entry = self._fields + 4 + 2 * field
        if entry + 2 > self._end:
            return None
        return self.position + offset if (offset := self.reader.number(entry, "H")) else None

    def number(self, field: int, kind: str, default: int = 0) -> int:
        place = self._place(field)
        return default if place is None else int(self.reader.number(place, kind))

    def table(self, field: int) -> _Table | None:
        place = self._place(field)
        return None if place is None else _Table(self.reader, place)

    def tables(self, field: int) -> Iterator[_Table]:
        begin, size = self._vector(field, 4)
        return (_Table(self.reader, place) for place in range(begin, begin + size, 4))

    def length(self, field: int) -> int:
        """How many tables are in a vector of tables."""
        return self._vector(field, 4)[1] // 4

    def numbers(self, field: int, kind: str) -> tuple[Any, ...]:
        width = struct.calcsize("<" + kind)
        begin, size = self._vector(field, width)
        self.reader.take(size)
        return struct.unpack_from(f"<{size // width}{kind}", self.reader.content, begin)

    def text(self, field: int) -> str:
        begin, size = self._vector(field, 1)
        self.reader.take(size)
        return _printable(self.reader.content[begin : begin + size])

    def bytes(self, field: int) -> tuple[int, memoryview] | None:
        """Where a vector of bytes begins and a view of it; None if there are none."""
        begin, size = self._vector(field, 1)
        return (begin, memoryview(self.reader.content)[begin : begin + size]) if size else None

    def _vector(self, field: int, size: int) -> tuple[int, int]:
        """Begin and length in bytes of a vector of elements of `size` bytes; (0, 0) for none."""
        place = self._place(field)
        return (0, 0) if place is None else self.reader.span(self.reader.follow(place), size)
