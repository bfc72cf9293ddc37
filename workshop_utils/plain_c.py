"""A network as plain C: one header to include in any program, without an engine or a library.

Everything that is known when the header is made is computed here: the multipliers that turn sums
into codes, the biases with the zero points of the inputs in them, the limits of the activations.
What stays is a loop of multiplications, two roundings and a limit. The arithmetic is that of
TensorFlow Lite for Microcontrollers' reference kernels, to the bit; the template says how.

Sources, in the tflite-micro repository: tensorflow/lite/kernels/internal/quantization_util.cc
(multipliers), kernels/internal/common.cc (two roundings), kernels/internal/reference/integer_ops/
fully_connected.h (the sum), kernels/kernel_util.cc (limits of activations).
"""

import hashlib
import math
import re
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from workshop_utils import files, inference, paths
from workshop_utils.device import compiling, diagnosis, processes, tflite
from workshop_utils.errors import WorkshopError

if TYPE_CHECKING:
    import jinja2

_WIDTH = 100  # characters of a line
# A folder with such a file in it would hide the one that is meant: of C, of POSIX and the systems'
# own, which C's include in turn, and of Arduino, where case may not tell files apart.
_HEADERS = (
    "aliases|alloca|assert|complex|ctype|dirent|dlfcn|elf|endian|errno|error|fcntl|features|"
    "fenv|float|getopt|glob|grp|inttypes|iso646|langinfo|libgen|limits|link|locale|malloc|math|"
    "memory|newlib|poll|pthread|pwd|reent|regex|regexp|sched|search|semaphore|setjmp|signal|"
    "spawn|stdalign|stdarg|stdatomic|stdbit|stdbool|stdckdint|stddef|stdint|stdio|stdlib|"
    "stdnoreturn|strings?|syscall|syslog|tar|term|termios|tgmath|threads|time|uchar|unistd|"
    "utime|values|varargs|wait|wchar|wctype|wordexp|"
    "abi|api|arduino|binary|client|eeprom|esp|ethernet|hid|keyboard|mouse|new|pins_arduino|"
    "print|printable|sd|server|servo|spi|stream|tone|udp|wifi|wire|wiring_private|wstring"
)
_DEVICES = "aux|con|nul|prn|com[0-9]|lpt[0-9]"  # no file of Windows is called so


@dataclass(frozen=True)
class Layer:
    """A FULLY_CONNECTED layer, ready for integers.

    weights: int64, shape (rows, columns). bias: int64, (rows,), with the zero point of the inputs
    folded in. multipliers: [(value, shift)], one for all rows or one per row: a row's sum is
    multiplied by value / 2^31 * 2^shift. zero_point: of the output. low, high: the least and the
    greatest code that comes out. largest_products, largest_sum: what a row's products, and they
    and the bias, cannot exceed by amount.
    """

    weights: NDArray[np.int64]
    bias: NDArray[np.int64]
    multipliers: list[tuple[int, int]]
    zero_point: int
    low: int
    high: int
    largest_products: int
    largest_sum: int

    @property
    def rows(self) -> int:
        return len(self.weights)

    @property
    def columns(self) -> int:
        return int(self.weights.shape[1])

    @property
    def per_channel(self) -> bool:
        return len(self.multipliers) > 1

    @property
    def is_narrow(self) -> bool:
        """Whether the quick way from sum to code is exact: small sums, shifts to the right only."""
        return self.largest_sum < 2**22 and all(-22 <= shift < 0 for _, shift in self.multipliers)


def layers(content: bytes) -> list[Layer]:
    """The layers of an int8 model, from the first to the last.

    content: flatbuffer. Raises WorkshopError, one sentence, for a model that is not of int8 layers
    in a row.
    """
    model = diagnosis.check(content, "generated", "export")
    found, codes = [], (-128, 127)
    for operator in model.operators:
        layer = _layer(model, operator, codes)
        found.append(layer)
        codes = layer.low, layer.high
    return found


def _layer(model: tflite.Model, operator: tflite.Operator, codes: tuple[int, int]) -> Layer:
    """codes: the least and the greatest that the layer gets."""
    source, weights = (model.tensors[index] for index in operator.inputs[:2])
    target = model.tensors[operator.outputs[0]]
    matrix = weights.values().astype(np.int64)
    bias = np.zeros(len(matrix), np.int64)
    if operator.inputs[2:] not in ((), (-1,)):
        bias = model.tensors[operator.inputs[2]].values().astype(np.int64).reshape(-1)
    (input_scale, input_zero_point), (output_scale, zero_point) = (
        (end.scales[0], end.zero_points[0]) for end in (source, target)
    )
    low, high = _limits(operator.activation, output_scale, zero_point)
    folded = (bias - input_zero_point * matrix.sum(axis=1) + 2**31) % 2**32 - 2**31
    products = np.maximum(np.abs(matrix * codes[0]), np.abs(matrix * codes[1])).sum(axis=1)
    return Layer(
        matrix,
        folded,
        [
            tflite.quantize_multiplier(input_scale * scale / output_scale)
            for scale in weights.scales
        ],
        zero_point,
        low,
        high,
        int(products.max()),
        int((products + np.abs(folded)).max()),
    )


def _limits(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    low = max(-128, zero_point) if activation != "NONE" else -128
    if activation != "RELU6":
        return low, 127
    with np.errstate(over="ignore"):
        steps = min(float(np.float32(6) / np.float32(scale)), 255.0)
    return low, min(127, zero_point + math.floor(steps + 0.5))


# ---- The header


def header(content: bytes, name: str = "model", tested: str = "") -> str:
    """The text of a C header with the network in it.

    content: flatbuffer. name: what its functions begin with, lower case. tested: a sentence for its
    head on the test that it passed. Raises WorkshopError as `layers`, and for a name that C has a
    use for already.
    """
    check_name(name)
    chain = layers(content)
    model = tflite.parse(content)
    ends = model.tensors[model.inputs[0]], model.tensors[model.outputs[0]]
    # Where single products add up to more, 256 times their sum would leave 32 bits.
    simd = any(layer.columns >= 4 for layer in chain) and all(
        layer.largest_products < 2**23 for layer in chain
    )
    copies_input = simd and chain[0].columns >= 4
    described = []
    for number, layer in enumerate(chain, 1):
        source = ("inputs" if copies_input else "input") if number == 1 else f"layer{number - 1}"
        described.append(
            {
                "rows": layer.rows,
                "columns": layer.columns,
                "per_channel": layer.per_channel,
                "is_narrow": layer.is_narrow,
                "lines": _lines(layer),
                "table": f"{name}_layer{number}",
                "source": source,
                "target": "output" if number == len(chain) else f"layer{number}",
                "call": _call(layer, name, f"{name}_layer{number}[i]"),
            }
        )
    zero_point = ends[0].zero_points[0]
    text = render(
        "model.h.j2",
        name=name,
        NAME=name.upper(),
        summary=f"A neural network as plain C: {shape(chain)} values, in int8.",
        model_bytes=f"{len(content):,}",
        sha256=hashlib.sha256(content).hexdigest(),
        data_bytes=f"{data_bytes(chain):,}",
        ram=sum(layer.rows for layer in chain[:-1]),
        tested=tested,
        inputs=chain[0].columns,
        outputs=chain[-1].rows,
        input_scale=c_float(ends[0].scales[0]),
        input_zero_point=zero_point,
        output_scale=c_float(ends[1].scales[0]),
        output_zero_point=ends[1].zero_points[0],
        low_steps=c_float(-128 - zero_point),
        high_steps=c_float(127 - zero_point),
        layers=described,
        simd=simd,
        copies_input=copies_input,
        narrow=any(layer.is_narrow for layer in chain),
        wide=not all(layer.is_narrow for layer in chain),
    )
    return "\n".join(folded for line in text.split("\n") for folded in _fold(line))


def _fold(line: str) -> list[str]:
    """A line of C as lines of at most 100 characters, broken where C and its readers allow it."""
    lines: list[str] = []
    while len(line) > _WIDTH:
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("// "):
            cut, begin = line.rfind(" ", indent + 3, _WIDTH) + 1, " " * indent + "// "
        else:
            places = (line.rfind(sign, indent, _WIDTH) + len(sign) for sign in (", ", " * ", "("))
            cut = next((place for place in places if place > indent + 3), 0)
            begin = " " * (_inside(line[:cut]) or (indent if lines else indent + 4))
        if cut == 0:  # one word that is too long
            break
        lines.append(line[:cut].rstrip())
        line = begin + line[cut:]
    return [*lines, line]


def _inside(text: str) -> int:
    """The column after the innermost bracket that is open, or 0 if that is far to the right."""
    opened = []
    for column, character in enumerate(text, 1):
        if character in "({":
            opened.append(column)
        elif character in ")}" and opened:
            opened.pop()
    return opened[-1] if opened and opened[-1] <= 60 else 0


def check_name(name: str) -> None:
    """Raise WorkshopError unless `name` can begin the names of a C program."""
    if not re.fullmatch(rf"(?!({_HEADERS}|{_DEVICES})$)[a-z](_?[a-z0-9])*", name) or len(name) > 24:
        raise WorkshopError(
            f"The model cannot be called {name!r} in C: take up to 24 small letters, digits and "
            "single _ between them, a letter first, and not the name of a header that C, C++ or "
            "Arduino has, or of a device."
        )


def shape(chain: list[Layer]) -> str:
    """How many values there are, such as '1 -> 16 -> 16 -> 1'."""
    return " -> ".join(map(str, [chain[0].columns, *(layer.rows for layer in chain)]))


def data_bytes(chain: list[Layer]) -> int:
    """The bytes of all numbers, without what a compiler puts between those of a row."""
    return sum(
        layer.rows * (4 + layer.columns + (6 if layer.per_channel else 0)) for layer in chain
    )


def render(template: str, **values: object) -> str:
    """The text of one of the package's templates for source files."""
    return str(_templates().get_template(template).render(**values))


@cache
def _templates() -> "jinja2.Environment":
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("workshop_utils"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # these are no pages
    )


def _lines(layer: Layer) -> list[str]:
    lines = []
    for row, (bias, weights) in enumerate(zip(layer.bias, layer.weights, strict=True)):
        values = f"{{{', '.join(map(str, weights))}}}"
        if not layer.per_channel:
            lines.append(f"{{{_int32(bias)}, {values}}}")
            continue
        value, shift = layer.multipliers[row]
        shifts = f"{-shift}" if layer.is_narrow else f"{max(shift, 0)}, {max(-shift, 0)}"
        lines.append(f"{{{_int32(bias)}, {value}, {values}, {shifts}}}")
    return lines


def _call(layer: Layer, name: str, row: str) -> str:
    """The C expression that turns `sum` into a code."""
    macro = name.upper()
    end = f"{layer.zero_point}, {layer.low}, {layer.high})"
    value, shift = layer.multipliers[0]
    left, right = str(max(shift, 0)), str(max(-shift, 0))
    multiplier = str(value)
    if layer.per_channel:
        multiplier = f"{macro}_INT32(&{row}.multiplier)"
        left, right = f"{macro}_INT8(&{row}.left)", f"{macro}_INT8(&{row}.right)"
    if layer.is_narrow:
        shift_text = f"{macro}_INT8(&{row}.shift)" if layer.per_channel else right
        return f"{name}_code(sum, {multiplier}, {shift_text}, {end}"
    return f"{name}_wide_code(sum, {multiplier}, {left}, {right}, {end}"


def _int32(value: int) -> str:
    """-2147483648 is an expression of two parts in C, of which the second is too large."""
    return str(value) if value > -(2**31) else "-2147483647 - 1"


def c_float(value: float) -> str:
    """A float32 as C writes it, exactly."""
    return f"{np.float32(value)!r}".removeprefix("np.float32(").removesuffix(")") + "f"


# ---- Its test

_PROGRAM = """\
#include <stdio.h>

#include "{name}.h"

static const int8_t rows[][{inputs}] = {{{rows}}};

int main(void) {{
  for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; ++i) {{
    int8_t output[{outputs}];
    {name}_run(rows[i], output);
    for (int k = 0; k < {outputs}; ++k) printf("%d ", output[k]);
  }}
  return 0;
}}
"""


def tested(content: bytes, name: str = "model", home: paths.Home | None = None) -> str:
    """Compile the header for this computer, compare its answers, and say so in one sentence.

    content, name: as for `header`. home: where the compiler keeps its cache; None takes
    WORKSHOP_HOME. Raises WorkshopError as `header`, if there is no compiler, and if one answer is
    not that of the best runtime here.
    """
    chain = layers(content)
    inputs, outputs = chain[0].columns, chain[-1].rows
    rows = inference.every_code(inputs)
    with tempfile.TemporaryDirectory(prefix="workshop-") as folder:
        source = Path(folder, "test.c")
        files.write(source.with_name(f"{name}.h"), header(content, name))
        listed = ", ".join("{" + ", ".join(map(str, row)) + "}" for row in rows.tolist())
        files.write(source, _PROGRAM.format(name=name, inputs=inputs, outputs=outputs, rows=listed))
        printed = _output(source, home or paths.home())
    answers = np.array(printed.split(), np.int64).reshape(len(rows), outputs)
    runtime = inference.best_runtime()
    expected = inference.invoke_rows(content, rows, runtime)
    equal = int((answers == expected).all(axis=1).sum())
    judge = {"tflm": "TensorFlow Lite for Microcontrollers", "litert": "LiteRT"}[runtime]
    if equal != len(rows):
        raise WorkshopError(
            f"The model was not exported: as plain C it answers {equal} of {len(rows)} inputs as "
            f"{judge} does."
        )
    return f"Tested: {equal} of {len(rows)} inputs are answered as {judge} answers them."


def _output(source: Path, home: paths.Home) -> str:
    """Compile a C program and run it; what it printed."""
    program = source.with_name(f"test{compiling.EXE}")
    zig = compiling.programs("zig")["zig"]
    compiler: list[str | Path] = [zig, "cc", "-std=c99", "-O1", source, "-o", program]
    if sys.platform == "linux":
        # Zig would build its own run-time first, for seconds, of which this needs nothing here.
        compiler.append("-rtlib=none")
    environment = compiling.environment(home.firmware_build_dir)
    commands: list[list[str | Path]] = [compiler, [program]]
    for command in commands:
        code, text = processes.run(command, 300, env=environment)
        if code:
            raise WorkshopError(f"The model as plain C was not tested: {text.strip()[-300:]}")
    return text
