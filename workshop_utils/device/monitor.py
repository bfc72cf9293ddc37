"""What a board prints on its serial console: read, drawn and compared with the model's answers."""

import errno
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workshop_utils.device import boards, console, tflite
from workshop_utils.device.boards import Board
from workshop_utils.device.ranges import SINE, Ranges, of_model
from workshop_utils.device.tflite import Tensor
from workshop_utils.errors import WorkshopError, missing_package, with_command

SILENCE = 10  # seconds without a line, after which something is wrong
# Bytes without a line's end after which there will be none: of noise, and of what may be the header
# of a table of many columns.
_LONGEST_NOISE, _LONGEST_LINE = 200, 2**16
_NOISE = re.compile(rb"[^ -~\r]")
_WAVE = ["x", "y", "led"]
_SWEEP = ["q_in", "q_out"]

Row = tuple[float, ...]
Show = Callable[[str, list[str], Row | None], None]
Invoke = Callable[[bytes, NDArray[Any], str], NDArray[Any]]


@dataclass
class Record:
    """What was read. columns: names, rows: a tuple of numbers per inference, skipped: lines that
    made no sense, begun: how often the begin of the inputs' range was seen, ended: whether the
    program said that it is at its end."""

    columns: list[str] = field(default_factory=lambda: _WAVE)
    rows: list[Row] = field(default_factory=list)
    skipped: int = 0
    begun: int = 0
    ended: bool = False


# ---- The port


def find_port(board: Board) -> str:
    """The name of the board's serial port, such as /dev/ttyACM0 or COM3.

    Raises WorkshopError if there is none, or more than one that could be it.
    """
    found = [port for port in _ports() if _is_of(port, board)]
    names = sorted({port.device for port in found})
    if len(names) > 1:
        raise WorkshopError(
            f"There are {len(names)} serial ports that could be the {board.title}'s, "
            f"{' and '.join(names)}; say which one with --port."
        )
    if not names:
        cable = board.wiring or "plug it in with a USB cable that carries data"
        raise WorkshopError(
            f"There is no serial port of a {board.title} here: {cable}. If it is there under "
            "another name, give it with --port."
        )
    return str(names[0])


def _ports() -> list[Any]:
    try:
        from serial.tools import list_ports
    except ImportError as error:
        raise _missing() from error
    return list(list_ports.comports())


def _is_of(port: Any, board: Board) -> bool:
    """Whether a port is of the board's kind. DAPLink's number begins with the board's code."""
    if (port.vid, port.pid) not in board.ports:
        return False
    others = {
        code for other in boards.BOARDS.values() if other is not board for code in other.codes
    }
    return (port.serial_number or "")[:4] not in others - set(board.codes)


@contextmanager
def connection(board: Board, port: str | None = None) -> Iterator[Any]:
    """A serial.Serial of the board's console, open. port: its name; None looks for it.

    Raises WorkshopError if it cannot be opened.
    """
    try:
        import serial
    except ImportError as error:
        raise _missing() from error
    name = port or find_port(board)
    try:
        opened = serial.serial_for_url(name, boards.BAUD, timeout=0.2, exclusive=True)
    except _port_errors(ValueError) as error:
        raise WorkshopError(_why_not_opened(name, board, error)) from error
    try:
        yield opened
    finally:
        opened.close()


def _why_not_opened(name: str, board: Board, error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOENT or "FileNotFoundError" in text:
        return f"There is no serial port {name}: plug the {board.title} in, or give another --port."
    if number in (errno.EBUSY, errno.EAGAIN) or "lock port" in text or "PermissionError" in text:
        return f"The serial port {name} is in use: close the other program that reads it."
    if number in (errno.EACCES, errno.EPERM):
        return (
            f"You may not use the serial port {name}: become a member of the group that owns it "
            "(on Debian and Ubuntu: sudo usermod -aG dialout $USER), then log out and in again."
        )
    return f"Cannot open the serial port {name}: {text.splitlines()[0] if text else error!r}."


def _port_errors(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """What pyserial raises when a port does not work, and `more`."""
    try:
        import termios
    except ImportError:  # Windows
        return (OSError, *more)
    return (OSError, termios.error, *more)


def _missing() -> WorkshopError:
    return missing_package("Reading the console", "pyserial")


# ---- Reading


def read(
    opened: Any,
    board: Board,
    show: Show | None = None,
    cycles: int = 0,
    seconds: float = 0,
    silence: float = SILENCE,
    record: Record | None = None,
) -> Record:
    """Read the console until the program is at its end or enough was seen. Returns a Record.

    opened: a serial.Serial. show: is called with each good line, the columns, and its numbers or
    None. cycles: how often it goes through its whole range of inputs, 0 for no limit; seconds:
    likewise. silence: seconds without a good line that are an error.
    Raises WorkshopError if the program stops, the board falls silent or is unplugged.
    """
    record = Record() if record is None else record
    began = heard = time.monotonic()
    for line in _lines(opened, board):
        now = time.monotonic()
        if line is not None and _take(line, record, show):
            heard = now
        if record.ended or (seconds and now - began >= seconds):
            return record
        if cycles and record.begun > cycles:
            record.rows.pop()  # it begins the next cycle
            return record
        if now - heard >= silence:
            raise WorkshopError(_silent(opened, board, record, silence))
    return record


def _take(line: str, record: Record, show: Show | None) -> bool:
    """Put a line into the record. Returns whether it made sense."""
    console.check_line(line)
    row = None
    if console.HEADER.fullmatch(line):
        # The board was started again, and with it the table.
        record.columns, record.rows = line.split(","), []
        record.begun = int(record.columns == _WAVE)  # what comes next is the range's begin
    elif not line.startswith("# "):
        row = console.numbers(record.columns, line)
        # Who comes late has missed the header.
        if row is None and not record.rows and console.numbers(_SWEEP, line):
            record.columns, row = _SWEEP, console.numbers(_SWEEP, line)
        if row is None:
            record.skipped += bool(line)
            return False
        if record.columns == _WAVE and record.rows:
            record.begun += row[0] <= record.rows[-1][0]
        record.rows.append(row)
    record.ended = line == console.END
    if show is not None:
        show(line, record.columns, row)
    return True


def _lines(opened: Any, board: Board) -> Iterator[str | None]:
    """The lines that come in, without their ends; None after all that came in at once, or nothing.

    The first line counts only if it is a header or a remark: of any other one the begin may be
    missing, and the rest make sense nevertheless.
    """
    pending, first = b"", True
    while True:
        try:
            received = opened.read(opened.in_waiting or 1)
        except _port_errors(TypeError) as error:
            # TypeError: pyserial, when the port is closed while it waits.
            raise WorkshopError(
                f"The {board.title} was unplugged: its serial port {opened.name} went away."
            ) from error
        *complete, pending = (pending + received).split(b"\n")
        if len(pending) > (_LONGEST_NOISE if _NOISE.search(pending) else _LONGEST_LINE):
            complete, pending = [*complete, pending], b""
        for line in complete:
            text = line.rstrip(b"\r").decode("ascii", errors="replace")
            if first and not (text.startswith("# ") or console.HEADER.fullmatch(text)):
                text = None
            first = False
            yield text
        yield None


def _silent(opened: Any, board: Board, record: Record, silence: float) -> str:
    skipped = ""
    if record.skipped:
        skipped = f"; {record.skipped:,} lines that came in made no sense"
    if record.rows:
        return (
            f"The {board.title} fell silent: after {len(record.rows):,} inferences nothing came in "
            f"for {silence:g} seconds{skipped}."
        )
    more = f", {board.wiring}," if board.wiring else ""
    text = (
        f"Nothing that makes sense came from the {board.title} through {opened.name} in "
        f"{silence:g} seconds{skipped}: press its reset button{more} or "
    )
    if board is boards.UNNAMED:
        return f"{text}load a program that prints answers, such as an exported library's Answers."
    return with_command(
        f"{text}flash it again:", f".venv/bin/workshop firmware flash --board {board.name}"
    )


# ---- Showing


def picture(columns: list[str], row: Sequence[Any], width: int = 61) -> str:
    """A line for a terminal: the numbers, and a bar from the middle. Text, ASCII.

    columns, row: of a Record. The bar is as long as the LED is bright, so its ends are those of the
    range of outputs, -1 and 1 for the sine; what lies outside ends there.
    """
    if columns != _WAVE:
        return "  ".join(f"{name} {value:4d}" for name, value in zip(columns, row, strict=True))
    x, y, led = row
    middle, end = width // 2, round(led / 255 * (width - 1))
    cells = [" "] * width
    for place in range(min(middle, end), max(middle, end) + 1):
        cells[place] = "="
    cells[middle], cells[end] = "|", "*"
    return f"x {x:8.6f}  y {y:9.6f}  led {led:3d}  {''.join(cells).rstrip()}"


# ---- Comparing


@dataclass(frozen=True)
class Comparison:
    """equal: how many of the total inferences are as they should be. first: the first that is not,
    in words, or None. runtime: 'TFLM' or 'LiteRT', whose answers they were compared with. missing:
    how many of its inputs a sweep that came to its end did not print, or none that arrived."""

    equal: int
    total: int
    first: str | None
    runtime: str
    missing: int = 0

    @property
    def text(self) -> str:
        """'100 of 100 equal', and to what."""
        step = "" if self.runtime == "TFLM" else " or one step from them (TFLM is not here)"
        return f"{self.equal:,} of {self.total:,} equal to {self.runtime}'s answers{step}"


def compare(
    record: Record, model: bytes, invoke: Invoke, runtime: str, ranges: Ranges | None = None
) -> Comparison:
    """Compare what a board printed with a runtime's answers to the same inputs.

    model: flatbuffer. invoke: what runs it, as `inference.invoke_rows` does. runtime: 'tflm' or
    'litert'. ranges: what the board goes through; None takes what the model decides. An int8
    model's answers are compared as codes: y must be the code's value as it is printed, and led the
    brightness of that value; LiteRT's rounding may be one step away. Raises WorkshopError if there
    is nothing to compare, or if the model or the ranges are others than those of what was printed.
    """
    if not record.rows:
        raise WorkshopError("There is nothing to compare: the board printed no inference.")
    parsed = tflite.parse(model)
    rows, inputs = np.array(record.rows), 1
    is_wave, step = record.columns == _WAVE, int(runtime == "litert")

    def answers(inputs: NDArray[Any]) -> NDArray[Any]:
        return invoke(model, inputs, runtime).reshape(len(inputs), -1)

    if is_wave:
        ranges = ranges or of_model(parsed)
        _check_inputs(rows[:, 0], ranges)
        if parsed.ends[0].type == "INT8":
            good, expected = _judge_codes(rows, parsed.ends, answers, step, ranges)
        else:
            good, expected = _judge_values(rows, answers, ranges)
    else:
        inputs = sum(name.startswith("q_in") for name in record.columns)
        ends = [parsed.tensors[index] for index in (*parsed.inputs, *parsed.outputs)]
        printed_sizes = [inputs, len(record.columns) - inputs]
        if [end.size for end in ends] != printed_sizes or ends[0].type != "INT8":
            raise WorkshopError(
                "The model has other inputs or outputs than what the board printed."
            )
        good, expected = _judge_sweep(rows, inputs, answers, step)
    first = None
    if not all(good):
        number = list(good).index(False)
        printed = ",".join(f"{value:g}" for value in record.rows[number])
        outputs = record.columns[inputs : inputs + expected.shape[1]]
        first = (
            f"the first that is not equal is number {number + 1:,}, {','.join(record.columns)} = "
            f"{printed}, where {','.join(outputs)} should be "
            f"{','.join(f'{value:g}' for value in expected[number])}"
        )
    name = {"tflm": "TFLM", "litert": "LiteRT"}[runtime]
    missing = 0
    if record.ended and not is_wave:
        came = len({row[0] for row in record.rows} if inputs == 1 else record.rows)
        missing = max(0, (console.answers(",".join(record.columns)) or 0) - came)
    return Comparison(int(np.sum(good)), len(record.rows), first, name, missing)


_Answers = Callable[[NDArray[Any]], NDArray[Any]]
# For each row whether it is right, (n,), and what is, (n, outputs).
_Judged = tuple[NDArray[Any], NDArray[Any]]

# Of numbers up to 1; of larger ones a share. x and y are printed with six decimals, and float32
# has no more than seven digits itself.
_PRINTED = 2e-6


def _check_inputs(x: NDArray[Any], ranges: Ranges) -> None:
    """Raise WorkshopError if the board goes beyond the ranges."""
    low, high = ranges.x
    slack = 1e-6 * (high - low) + _PRINTED * max(1, abs(low), abs(high))
    if x.min() < low - slack or x.max() > high + slack:
        raise WorkshopError(
            f"The board's inputs go from {x.min():g} to {x.max():g}, and {low:g} to {high:g} is "
            "what model or data say: name those that the board was flashed with, by --model and "
            "--data."
        )


def _judge_codes(
    rows: NDArray[Any],
    ends: tuple[Tensor, Tensor],
    answers: _Answers,
    step: int,
    ranges: Ranges,
) -> _Judged:
    """Rows of x, y and led of an int8 model. step: how many codes an answer may be off.

    Where the rounding of the printed x may have moved it over the edge between two codes, either
    code's answer is right.
    """
    x, y, led = rows.T
    source, target = (end.quantization for end in ends)
    of_code = answers(np.arange(-128, 128).astype(np.int8)[:, None]).astype(int)[:, 0]
    good = np.zeros(len(x), bool)
    printed = _PRINTED * np.maximum(1, np.abs(x))
    for nudge in (-printed, printed, 0):
        right = of_code[tflite.quantize(x + nudge, *source).astype(int) + 128]
        for off in range(-step, step + 1):
            value = tflite.dequantize(np.clip(right + off, -128, 127), *target)
            is_printed = np.abs(y - value) <= _PRINTED * np.maximum(1, np.abs(value))
            good |= is_printed & (led == brightness(value, ranges.y))
    return good, tflite.dequantize(right, *target)[:, None]


def _judge_values(rows: NDArray[Any], answers: _Answers, ranges: Ranges) -> _Judged:
    """The same for a float32 model, where sums may be rounded in another order: to 1e-5."""
    x, y, led = rows.T
    right = answers(x.astype(np.float32)[:, None])[:, 0]
    near = np.abs(brightness(y, ranges.y) - led) <= 1  # y itself is rounded
    good = (np.abs(y - right) <= 1e-5 * np.maximum(1, np.abs(right))) & near
    return good, right[:, None]


def _judge_sweep(rows: NDArray[Any], inputs: int, answers: _Answers, step: int) -> _Judged:
    """Rows of codes. inputs: how many of them are inputs; the others are outputs."""
    right = answers(rows[:, :inputs].astype(np.int8)).astype(int)
    return (np.abs(rows[:, inputs:] - right) <= step).all(axis=1), right


def brightness(values: ArrayLike, y: tuple[float, float] = SINE.y) -> NDArray[np.int_]:
    """The LED's brightness for predicted values, as the application computes it: int, as many.

    y: the values for which it is dark, and brightest.
    """
    dark, bright = np.array(y, np.float32)
    level = (np.asarray(values, np.float32) - dark) * (np.float32(255) / (bright - dark))
    return np.asarray(np.clip(np.rint(level), 0, 255), dtype=int)
