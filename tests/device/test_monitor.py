"""Reading a board's console, with a pseudo-terminal that plays the serial port."""

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import avr
import numpy as np
import pytest
import qemu
import tflite_factory
from click.testing import CliRunner

from workshop_utils import arduino, c_source, firmware, inference, paths
from workshop_utils.cli import main
from workshop_utils.device import boards, console, monitor, ranges, tflite
from workshop_utils.errors import WorkshopError

V1, V2, PICO, NUCLEO = map(boards.find, ("microbit-v1", "microbit-v2", "pico", "nucleo-l476rg"))


@pytest.fixture(scope="module")
def model():
    return c_source.read(paths.FIRMWARE_REFERENCE_MODEL)


@pytest.fixture
def tflm():
    if problem := inference.tflm_problem():
        pytest.skip(problem)


def wave(model, count=100, runtime="litert"):
    """The lines that the application prints for one turn: float32 arithmetic, six decimals."""
    x = np.float32(2 * np.pi) * np.arange(count, dtype=np.float32) / np.float32(count)
    y = inference.predict(model, x, runtime)
    led = np.floor((y + 1) * 127.5 + 0.5).clip(0, 255).astype(int)
    return [f"{a:.6f},{b:.6f},{c}" for a, b, c in zip(x, y, led, strict=True)]


def compare(record, model):
    """What the command does with what it read."""
    return monitor.compare(record, model, inference.invoke, inference.best_runtime())


def text(*lines):
    return "".join(line + "\r\n" for line in lines).encode()


# ---- A board at the other end of the line


class Player:
    """The board's end of a pseudo-terminal; what it has to say goes out in a thread of its own."""

    def __init__(self):
        import tty

        self.own, self.port = os.openpty()
        tty.setraw(self.port)
        self.name = os.ttyname(self.port)
        self.thread, self.stopped = None, threading.Event()

    def say(self, content, forever=False):
        def write():
            try:
                while True:
                    rest = content
                    while rest and not self.stopped.is_set():
                        rest = rest[os.write(self.own, rest[:256]) :]
                    if not forever or self.stopped.is_set():
                        return
            except OSError:  # unplugged
                return

        self.thread = threading.Thread(target=write, daemon=True)
        self.thread.start()

    def unplug(self):
        """The thread ends before its descriptor is closed, which may be another file's next."""
        import termios

        self.stopped.set()
        termios.tcflush(self.port, termios.TCIOFLUSH)  # so that it does not wait in write()
        self.thread and self.thread.join(60)
        os.close(self.own)
        os.close(self.port)
        self.own = None

    def end(self):
        if self.own is not None:
            self.unplug()


@pytest.fixture
def player():
    if os.name == "nt":
        pytest.skip("Windows has no pseudo-terminals")
    played = Player()
    yield played
    played.end()


@contextmanager
def opened_console(player, content, board=V2, forever=False):
    with monitor.connection(board, player.name) as opened:
        player.say(content, forever)
        yield opened


START = text("# engine compact: arena 268 of 9000 bytes", "x,y,led")


def test_a_whole_run(player, model):
    lines = wave(model)
    shown = []
    with opened_console(player, START + text(*lines, "# end")) as opened:
        record = monitor.read(opened, V2, lambda line, columns, row: shown.append(line))
    assert record.ended and record.skipped == 0 and record.columns == ["x", "y", "led"]
    assert record.rows == console.table("x,y,led\n" + "\n".join(lines))[1]
    assert shown == [*START.decode().split("\r\n")[:2], *lines, "# end"]


def test_cycles_end_it_and_a_late_reader_starts_anywhere(player, model):
    lines = wave(model, 10)
    content = text(lines[7][3:], *lines[8:], *lines)
    with opened_console(player, content + text(*lines) * 3) as opened:
        record = monitor.read(opened, V2, cycles=2)
    rows = console.table("x,y,led\n" + "\n".join(lines))[1]
    # The piece of line 7 could be taken for a line, and is not.
    assert record.rows == rows[8:] + rows * 2 and record.skipped == 0 and not record.ended


def test_seconds_end_it(player, model):
    with opened_console(player, text("# hello", *wave(model, 10)), forever=True) as opened:
        record = monitor.read(opened, V2, seconds=0.05)
    assert not record.ended


def test_garbage_on_the_line_is_skipped_and_counted(player, model):
    lines = wave(model, 20)
    garbage = [b"\xff\xfe\x00\x80\r\n", b"0.1,2\r\n", b"1.000000,0.500000,999\r\n", b"\r\n"]
    garbage += [b"0.628319,0.5\xf011111,190\r\n", b"\x80" * 1000 + b"\r\n"]
    content = START
    for number, line in enumerate(lines):
        content += text(line) + (garbage[number] if number < len(garbage) else b"")
    with opened_console(player, content + text("# end")) as opened:
        record = monitor.read(opened, V2)
    assert record.rows == console.table("x,y,led\n" + "\n".join(lines))[1]
    assert 5 <= record.skipped <= 10  # the thousand bytes are cut into several


def test_a_restart_begins_the_table_anew(player, model):
    lines = wave(model, 10)
    with opened_console(player, START + text(*lines[:4]) + START + text(*lines, "# end")) as opened:
        record = monitor.read(opened, V2)
    assert len(record.rows) == 10


def test_a_sweep_with_and_without_its_header(player):
    lines = [f"{code},{-code - 1}" for code in range(-5, 5)]
    with opened_console(player, text("# engine compact", "q_in,q_out", *lines, "# end")) as opened:
        record = monitor.read(opened, V2)
    assert record.columns == ["q_in", "q_out"] and len(record.rows) == 10
    with monitor.connection(V2, player.name) as opened:
        player.say(text(*lines, "# end"))
        record = monitor.read(opened, V2)
    assert record.columns == ["q_in", "q_out"] and len(record.rows) == 9


@pytest.mark.parametrize("inputs", [1, 64, 700])
def test_a_header_of_many_columns_is_one_line(player, inputs):
    names = [*(f"q_in{number}" for number in range(inputs)), "q_out"]
    row = ",".join(["-128"] * len(names))
    with opened_console(player, text(",".join(names), row, "# end")) as opened:
        record = monitor.read(opened, boards.UNNAMED)
    assert record.columns == names and record.skipped == 0 and len(record.rows) == 1


def test_unplugged_in_the_middle(player, model):
    def show(line, columns, row):
        if line.startswith("1.2"):
            player.unplug()

    with (
        opened_console(player, START + text(*wave(model))) as opened,
        pytest.raises(
            WorkshopError, match=r"^The micro:bit v2 was unplugged: its serial port /dev"
        ),
    ):
        monitor.read(opened, V2, show)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"",
            r"^Nothing that makes sense came from the Raspberry Pi Pico .* in 0\.1 seconds: press",
        ),
        (b"\xff\x80\xf8\n" * 50, r"0\.1 seconds; \d+ lines that came in made no sense: press"),
        (START + text("0.000000,0.100000,140"), r"fell silent: after 1 inferences nothing came in"),
    ],
)
def test_a_board_that_says_nothing(player, content, sentence):
    with (
        opened_console(player, content, PICO) as opened,
        pytest.raises(WorkshopError, match=sentence),
    ):
        monitor.read(opened, PICO, silence=0.1)


def test_noise_without_an_end_is_no_sign_of_life(player):
    with (
        opened_console(player, b"\x80\xff" * 100, forever=True) as opened,
        pytest.raises(WorkshopError, match=r"lines that came in made no sense"),
    ):
        monitor.read(opened, V2, silence=2)


@pytest.mark.parametrize("said", ["stopped: operator CONV_2D is not supported", "fault: HardFault"])
def test_what_the_firmware_says_of_itself(player, said):
    with (
        opened_console(player, text("# " + said)) as opened,
        pytest.raises(WorkshopError, match=rf"^The firmware .*{said.split(': ')[1]}\.$"),
    ):
        monitor.read(opened, V2)


# ---- The port


def port(device, vid, pid, serial=None):
    return SimpleNamespace(device=device, vid=vid, pid=pid, serial_number=serial)


MICROBIT_1 = port("/dev/ttyACM0", 0x0D28, 0x0204, "9900360254764e45")
MICROBIT_2 = port("/dev/ttyACM1", 0x0D28, 0x0204, "9904360254764e45")
ST_LINK = port("/dev/ttyACM2", 0x0483, 0x374B, "066DFF535155878281")
MODEM = port("/dev/ttyS0", None, None)
ADAPTER = port("/dev/ttyUSB0", 0x0403, 0x6001, "A50285BI")


@pytest.mark.parametrize(
    ("board", "device"), [(V1, MICROBIT_1), (V2, MICROBIT_2), (NUCLEO, ST_LINK), (PICO, ADAPTER)]
)
def test_find_port(monkeypatch, board, device):
    here = [MODEM, ADAPTER, MICROBIT_2, ST_LINK, MICROBIT_1]
    monkeypatch.setattr(monitor, "_ports", lambda: here)
    assert monitor.find_port(board) == device.device
    here.remove(device)
    with pytest.raises(WorkshopError, match=rf"^There is no serial port of a {board.title} here: "):
        monitor.find_port(board)


def test_find_port_of_a_pico_explains_the_wiring(monkeypatch):
    monkeypatch.setattr(monitor, "_ports", list)
    with pytest.raises(WorkshopError, match=r"connect GP0 \(pin 1\) .* GND \(pin 3\)"):
        monitor.find_port(PICO)


def test_find_port_with_two_asks(monkeypatch):
    twice = [MICROBIT_2, port("COM7", 0x0D28, 0x0204, None)]
    monkeypatch.setattr(monitor, "_ports", lambda: twice)
    with pytest.raises(
        WorkshopError, match=r"2 serial ports .*, /dev/ttyACM1 and COM7; say .* --port"
    ):
        monitor.find_port(V2)


def test_a_port_that_cannot_be_opened(player, tmp_path):
    with (
        pytest.raises(WorkshopError, match=r"^There is no serial port /dev/none: plug"),
        monitor.connection(V2, "/dev/none"),
    ):
        pass
    with (
        monitor.connection(V2, player.name),
        pytest.raises(WorkshopError, match=r"is in use: close the other program"),
        monitor.connection(V2, player.name),
    ):
        pass
    (tmp_path / "file").write_text("no port")
    with (
        pytest.raises(WorkshopError, match=r"^Cannot open the serial port .*file: "),
        monitor.connection(V2, str(tmp_path / "file")),
    ):
        pass


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied"), r"You may not use .* usermod -aG dialout"),
        (OSError(16, "Device or resource busy"), "is in use"),
        (OSError("could not open port 'COM3': PermissionError(13, 'Access')"), "is in use"),
        (OSError("could not open port 'COM9': FileNotFoundError(2)"), "There is no serial port"),
    ],
)
def test_why_a_port_is_not_opened(error, sentence):
    assert re.search(sentence, monitor._why_not_opened("COM3", V2, error))


def test_a_missing_pyserial_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with (
        pytest.raises(WorkshopError, match=r"package pyserial, which is missing; in a terminal:\n"),
        monitor.connection(V2, "any"),
    ):
        pass


# ---- Showing


def test_picture_is_plain_and_of_one_form():
    rows = [(1.0, -9.0, 0), (1.0, -1.0, 0), (1.0, -0.5, 64), (1.0, 0.0, 128), (1.0, 1.0, 255)]
    lines = [monitor.picture(["x", "y", "led"], row) for row in rows]
    bars = [line.partition("led ")[2][5:] for line in lines]
    assert bars[0] == bars[1] == "*" + "=" * 29 + "|"
    assert bars[2] == " " * 15 + "*" + "=" * 14 + "|" and bars[3] == " " * 30 + "*"
    assert bars[4] == " " * 30 + "|" + "=" * 29 + "*"
    warm = monitor.picture(["x", "y", "led"], (512.0, 38.5, 128))
    assert warm == f"x 512.000000  y 38.500000  led 128  {' ' * 30}*"
    assert monitor.picture(["q_in", "q_out"], (-128, 5)) == "q_in -128  q_out    5"


# ---- Comparing


def record(lines, columns="x,y,led"):
    names, rows = console.table(columns + "\n" + "\n".join(lines))
    return monitor.Record(names, rows)


def test_tflms_answers_are_equal(model, tflm):
    result = compare(record(wave(model, 700, "tflm")), model)
    assert (result.equal, result.total, result.first) == (700, 700, None)
    assert result.text == "700 of 700 equal to TFLM's answers"


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y, led: (x, f"{float(y) + 0.00813575:.6f}", led),  # the next code
        lambda x, y, led: (x, f"{float(y) + 0.0001:.6f}", led),  # no code at all
        lambda x, y, led: (x, y, str(int(led) - 1)),
        lambda x, y, led: (f"{float(x) + 0.5:.6f}", y, led),
    ],
)
def test_one_wrong_number_is_found(model, tflm, change):
    lines = wave(model, 50, "tflm")
    lines[20] = ",".join(change(*lines[20].split(",")))
    result = compare(record(lines), model)
    assert (result.equal, result.total) == (49, 50)
    assert result.first.startswith("the first that is not equal is number 21, x,y,led = ")


def test_an_x_at_the_edge_between_two_codes_may_fall_either_way(model, tflm):
    (scale, zero) = inference.details(model)[0]["quantization"]
    edges = (np.arange(-127.5, 127) - zero) * scale
    codes = np.arange(-128, 128).astype(np.int8)
    answers = inference.dequantize(
        inference.invoke(model, codes, "tflm"), *inference.details(model)[1]["quantization"]
    )
    for side in (answers[:-1], answers[1:]):
        led = monitor.brightness(side)
        lines = [f"{x:.6f},{y:.6f},{c}" for x, y, c in zip(edges, side, led, strict=True)]
        result = compare(record(lines), model)
        assert result.equal == result.total == 255


def test_without_tflm_litert_answers_to_one_step(model, monkeypatch):
    lines = wave(model, 200, "litert")
    monkeypatch.setattr(inference, "tflm_problem", lambda: "not here")
    result = compare(record(lines), model)
    assert result.equal == result.total == 200
    assert result.text.startswith("200 of 200 equal to LiteRT's answers or one step from them")
    lines[50] = lines[50].split(",")[0] + ",0.500000,191"
    assert compare(record(lines), model).equal == 199


def test_a_sweep_is_compared_code_by_code(model, tflm):
    codes = np.arange(-128, 128).astype(np.int8)
    answers = inference.invoke(model, codes, "tflm")
    lines = [f"{q},{a}" for q, a in zip(codes, answers, strict=True)]
    assert compare(record(lines, "q_in,q_out"), model).equal == 256
    lines[9] = f"{codes[9]},{answers[9] ^ 1}"
    result = compare(record(lines, "q_in,q_out"), model)
    assert result.equal == 255 and f"q_out should be {answers[9]}" in result.first


def test_a_float_model(tflm):
    floats = tflite_factory.fully_connected(tflite_factory.sine_layers((1, 8, 1)), "float32")
    lines = wave(floats, 60, "tflm")
    assert compare(record(lines), floats).equal == 60
    x, y, led = lines[30].split(",")
    lines[30] = f"{x},{float(y) + 0.001:.6f},{led}"
    assert compare(record(lines), floats).equal == 59
    with pytest.raises(WorkshopError, match="other inputs or outputs than what the board printed"):
        compare(record(["1,2"], "q_in,q_out"), floats)


def test_nothing_to_compare(model):
    with pytest.raises(WorkshopError, match=r"^There is nothing to compare"):
        compare(monitor.Record(), model)


def test_brightness_is_the_applications(model):
    y = np.array([-2, -1, -0.5, 0, 0.5, 1, 3, 1e30], np.float32)
    assert monitor.brightness(y).tolist() == [0, 0, 64, 128, 191, 255, 255, 255]
    y = np.array([-30, -20, 10, 40, 100, 101], np.float32)
    assert monitor.brightness(y, (-20, 100)).tolist() == [0, 0, 64, 128, 255, 255]


# ---- Curves of other than the sine


@pytest.fixture
def curve(model):
    """The same network in other units: its input covers 0 to about 800, its output -32 to 32."""
    return tflite_factory.in_units(model, 128, 32)


def wave_of(content, through, count=100):
    """The lines that the application prints when it goes through these ranges once."""
    low, high = np.float32(through.x)
    x = low + (high - low) * np.arange(count, dtype=np.float32) / np.float32(count)
    y = inference.predict(content, x, "tflm")
    led = monitor.brightness(y, through.y)
    return [f"{a:.6f},{b:.6f},{c}" for a, b, c in zip(x, y, led, strict=True)]


DATA = ranges.Ranges((37.0, 700.0), (-25.0, 30.0))


def test_the_ranges_are_the_models_or_those_that_are_named(curve, tflm):
    own = ranges.of_model(tflite.parse(curve))
    for through, named in ((own, None), (own, own), (DATA, DATA)):
        result = monitor.compare(
            record(wave_of(curve, through, 300)), curve, inference.invoke, "tflm", named
        )
        assert (result.equal, result.total) == (300, 300)
    # With the LED of other ranges than the board's.
    result = monitor.compare(record(wave_of(curve, DATA, 300)), curve, inference.invoke, "tflm")
    assert result.equal < 20


def test_a_board_that_goes_beyond_the_ranges_was_flashed_with_others(curve, tflm):
    own = wave_of(curve, ranges.of_model(tflite.parse(curve)))
    sentence = r"^The board's inputs go from 0 to 7\d\d\.\d+, and 37 to 700 is what model or data"
    with pytest.raises(WorkshopError, match=sentence):
        monitor.compare(record(own), curve, inference.invoke, "tflm", DATA)


def test_cycles_are_counted_wherever_they_begin(player, curve, tflm):
    lines = wave_of(curve, DATA, 10)
    with opened_console(player, text(*lines[7:]) + text(*lines) * 4) as opened:
        late = monitor.read(opened, V2, cycles=2)
    assert len(late.rows) == 2 + 20  # the first line may be half of one
    with opened_console(player, START + text(*lines) * 4) as opened:
        in_time = monitor.read(opened, V2, cycles=3)
    assert len(in_time.rows) == 30
    with opened_console(player, START + text(lines[0]) * 4) as opened:
        single = monitor.read(opened, V2, cycles=2)
    assert len(single.rows) == 2


def test_the_command_checks_a_curve_by_its_data(player, curve, tmp_path, tflm):
    path, csv = tmp_path / "model.tflite", tmp_path / "data.csv"
    path.write_bytes(curve)
    rows = [f"{x},{30 - 55 * (x - 37) / 663}" for x in np.linspace(37, 700, 50)]
    csv.write_text("\n".join(["adc (code),temperature (°C)", *rows]) + "\n", encoding="utf-8")
    player.say(text(*wave_of(curve, DATA, 40)), forever=True)
    options = ["--board", "pico", "--port", player.name, "--check", "--model", path]
    result = workshop(*options, "--data", csv)
    assert result.exit_code == 0, result.stderr
    equal, _, total, *_ = result.stdout.splitlines()[-1].split()
    assert equal == total and int(total) >= 40
    result = workshop(*options)
    assert result.exit_code == 1 and "does not print what it should" in result.stderr


# ---- The command


def workshop(*arguments):
    return CliRunner().invoke(main, ["firmware", "monitor", *map(str, arguments)])


@pytest.fixture
def model_file(model, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    return path


def test_the_command_checks_one_turn_of_a_board_that_runs_for_ever(player, model, model_file, tflm):
    lines = wave(model, 40, "tflm")
    player.say(text(*lines), forever=True)
    result = workshop(
        "--board", "microbit-v2", "--port", player.name, "--check", "--model", model_file
    )
    assert result.exit_code == 0, result.stderr
    *printed, last = result.stdout.splitlines()
    count = len(printed) - 1  # the line that begins the next turn is shown, not compared
    assert last == f"{count} of {count} equal to TFLM's answers" and count >= 40
    assert set(printed) == set(lines)


def test_the_command_fails_when_a_board_answers_wrongly(player, model, model_file, tflm):
    lines = wave(model, 40, "tflm")
    lines[5] = lines[5].rsplit(",", 1)[0] + ",0"
    player.say(text(*lines, "garbage"), forever=True)
    result = workshop(
        "--board", "pico", "--port", player.name, "--check", "--cycles", 2, "--model", model_file
    )
    assert result.exit_code == 1
    equal, _, total, *_ = result.stdout.splitlines()[-1].split()
    assert int(total) - int(equal) in (2, 3)
    skipped, error = result.stderr.splitlines()
    assert skipped.endswith("lines made no sense and were skipped")
    assert error.startswith("Error: The board does not print what it should: the first that is not")


def test_the_command_draws_on_a_terminal(player, model, monkeypatch):
    from workshop_utils.cli import firmware as cli

    monkeypatch.setattr(cli, "_is_live", lambda: True)
    player.say(text(*wave(model, 10)), forever=True)
    result = workshop("--board", "nucleo-l476rg", "--port", player.name, "--cycles", 1)
    assert result.exit_code == 0 and result.stderr == "" and result.stdout.isascii()
    assert all(line.startswith("x ") and "*" in line for line in result.stdout.splitlines())


def test_a_microbit_in_qemu_from_its_hex_file_to_the_verdict(tmp_path_factory, monkeypatch, tflm):
    """Nothing is played here but the hardware: QEMU reads the file and opens a serial port."""
    qemu.require("qemu-system-arm")
    monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path_factory.mktemp("home")))
    file = firmware.build("microbit-v1", inferences_per_cycle=50).file()
    machine = ["qemu-system-arm", "-M", "microbit", "-display", "none", "-monitor", "none"]
    process = subprocess.Popen(
        [*machine, "-serial", "pty", "-device", f"loader,file={file}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        port = re.search(r"/dev/\S+", process.stdout.readline())[0]
        result = workshop("--board", "microbit-v1", "--port", port, "--check", "--cycles", 2)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert result.exit_code == 0, result.stderr
    equal, _, total, *words = result.stdout.splitlines()[-1].split()
    assert equal == total and int(total) >= 100 and words == ["equal", "to", "TFLM's", "answers"]


def test_ctrl_c_ends_it_well(player, model, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(monitor, "_take", interrupt)
    player.say(text(*wave(model, 10)), forever=True)
    result = workshop("--board", "microbit-v1", "--port", player.name)
    assert result.exit_code == 0 and result.stdout == ""


def test_the_command_without_a_board(monkeypatch):
    monkeypatch.setattr(monitor, "_ports", list)
    result = workshop("--board", "microbit-v1")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1 and result.stdout == ""
    assert workshop("--board", "host").exit_code == 2


# ---- Any board behind a port that is named


def answers_of(content):
    """What an exported library's Answers prints of a model, as lines."""
    rows = inference.every_code(tflite.parse(content).tensors[0].size)
    answers = inference.invoke_rows(content, rows, inference.best_runtime())
    names = []
    for name, count in (("q_in", rows.shape[1]), ("q_out", answers.shape[1])):
        names += [name] if count == 1 else [f"{name}{number}" for number in range(count)]
    table = np.hstack([rows, answers]).astype(int).tolist()
    return [",".join(names), *(",".join(map(str, row)) for row in table)]


@pytest.fixture
def reset_by_opening(player, monkeypatch):
    """f(content): what the board prints once its port is opened, which resets it, as many do."""
    original = monitor.connection

    def prepare(content):
        @contextmanager
        def connection(board, port):
            with original(board, port) as opened:
                player.say(content)
                yield opened

        monkeypatch.setattr(monitor, "connection", connection)

    return prepare


@pytest.mark.parametrize("widths", [(1, 16, 16, 1), (1, 16, 2), (7, 6, 5, 3)])
def test_a_port_needs_no_board(player, reset_by_opening, tmp_path, tflm, widths):
    content = tflite_factory.quantized(tflite_factory.sine_layers(widths))
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    lines = answers_of(content)
    reset_by_opening(text(*lines, "# end"))
    result = workshop("--port", player.name, "--check", "--model", path)
    count = len(lines) - 1
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        *lines,
        "# end",
        f"{count} of {count} equal to TFLM's answers",
    ]


@pytest.mark.parametrize(
    "change, missing, line",
    [
        (lambda lines: lines[101:], 101, "155 of 155"),  # it began before somebody listened
        (lambda lines: [*lines[:9], "7,\x7f", *lines[10:]], 1, "255 of 255"),
        (lambda lines: [lines[0], *[lines[5]] * 256], 255, "256 of 256"),
    ],
)
def test_a_table_with_gaps_is_no_proof(
    player, reset_by_opening, model, model_file, tflm, change, missing, line
):
    reset_by_opening(text(*change(answers_of(model)), "# end"))
    result = workshop("--port", player.name, "--check", "--model", model_file)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == f"{line} equal to TFLM's answers"
    assert f"Not all answers came in: {missing} of the table's inputs" in result.stderr


def test_rows_missing_of_several_inputs(player, reset_by_opening, tmp_path, tflm):
    content = tflite_factory.quantized(tflite_factory.sine_layers((7, 6, 5, 3)))
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    lines = answers_of(content)
    reset_by_opening(text(*lines[:-3], "# end"))
    result = workshop("--port", player.name, "--check", "--model", path)
    assert result.exit_code == 1 and "came in: 3 of the table's inputs" in result.stderr


def test_an_emulated_uno(player, reset_by_opening, model, model_file, tmp_path, tflm):
    """What the exported sketch printed in simavr, Arduino core and all, through a serial line."""
    avr.require("simavr")
    library = arduino.export(model, tmp_path).folder
    sketch = library / "examples" / "Answers" / "Answers.ino"
    image = avr.build_sketch(sketch, avr.build_core(tmp_path), library / "src")
    reset_by_opening(text(*avr.on_simavr(image).splitlines()))
    result = workshop("--port", player.name, "--check", "--model", model_file)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "256 of 256 equal to TFLM's answers"


def test_one_wrong_code_of_several(player, reset_by_opening, tmp_path, tflm):
    content = tflite_factory.quantized(tflite_factory.sine_layers((7, 6, 5, 3)))
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    lines = answers_of(content)
    right = lines[3].split(",")
    changed = [*right[:-2], str(-int(right[-2]) or 1), right[-1]]
    reset_by_opening(text(*lines[:3], ",".join(changed), *lines[4:], "# end"))
    result = workshop("--port", player.name, "--check", "--model", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "511 of 512 equal to TFLM's answers"
    assert f"{','.join(changed)}, where q_out0,q_out1,q_out2 should be " in result.stderr
    assert result.stderr.rstrip().endswith(f"should be {','.join(right[-3:])}.")


def test_a_model_of_another_shape_than_what_was_printed(
    player, reset_by_opening, tmp_path, model_file
):
    content = tflite_factory.quantized(tflite_factory.sine_layers((7, 6, 5, 3)))
    reset_by_opening(text(*answers_of(content), "# end"))
    result = workshop("--port", player.name, "--check", "--model", model_file)
    assert result.exit_code == 1 and "other inputs or outputs than what the" in result.stderr


def test_neither_board_nor_port():
    result = workshop()
    assert result.exit_code == 2 and "--board" in result.stderr and "--port" in result.stderr


def test_silence_of_a_board_without_a_name(player):
    with (
        monitor.connection(boards.UNNAMED, player.name) as opened,
        pytest.raises(WorkshopError, match=r"from the board through \S+ in .* library's Answers\."),
    ):
        monitor.read(opened, boards.UNNAMED, silence=0.3)
