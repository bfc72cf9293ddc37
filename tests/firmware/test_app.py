"""The firmware's application on the desktop, with a board and an engine that note what it asks for.

firmware/tests/fakes.cc says what they understand and print.
"""

import math
from decimal import Decimal

import host
import numpy as np
import pytest

FLOAT_MAX = np.finfo(np.float32).max
# What the build hands over: inputs from and to, outputs from and to.
SINE = (0, 6.28318530717958647692, -1, 1)
OTHERS = {
    "a converter of 10 bits": (0.0, 1023.0, -20.0, 100.0),
    "pascals": (95000.0, 105000.0, -1e-3, 2e-3),
    "far away": (-1e30, 1e30, -1e30, 1e30),
}


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """f(source, *flags) -> path of a program of that source, the application's parts and fakes."""

    def run(source, *flags, ranges=SINE):
        program = tmp_path_factory.mktemp("app") / "app.exe"
        parts = ["app/app.cc", "app/console.cc", "tests/fakes.cc"]
        names = ("INPUT_FROM", "INPUT_TO", "OUTPUT_FROM", "OUTPUT_TO")
        flags += tuple(f"-D{name}={value}" for name, value in zip(names, ranges, strict=True))
        host.build(program, [source, *parts], *flags)
        return program

    return run


def log(program, text, exit_code=0):
    """The lines that the program prints for this stdin."""
    result = host.run(program, stdin=text.encode())
    assert result.returncode == exit_code, result.stderr.decode()
    return result.stdout.decode().splitlines()


# ------------------------------------------------------------------ functions


def caller(program):
    """f('fixed', values) -> what the application's function gives for each, list of str."""

    def run(name, values):
        return log(program, "".join(f"{name} {value}\n" for value in values))

    return run


@pytest.fixture(scope="module")
def call(build):
    return caller(build("tests/app_runner.cc"))


@pytest.fixture(scope="module", params=OTHERS)
def other(build, request):
    """The same with another range than the sine's, and that."""
    ranges = OTHERS[request.param]
    return caller(build("tests/app_runner.cc", ranges=ranges)), ranges


def printed(call, name, values):
    lines = call(name, values)
    assert all(line.startswith("write ") for line in lines)
    return [line.removeprefix("write ") for line in lines]


def as_text(values):
    """float32 values, each in digits from which it can be read back."""
    return [f"{value:.9g}" for value in np.asarray(values, np.float32).tolist()]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20, 50, 100, 1000, 65535])
def test_inputs_are_one_turn_in_equal_steps(call, count):
    steps = range(count) if count <= 1000 else [0, 1, 2, 32767, 32768, 65533, 65534]
    inputs = np.float32(call("input", [f"{step} {count}" for step in steps]))
    assert inputs[0] == 0
    assert inputs[-1] < 2 * np.pi
    exact = 2 * np.pi / count * np.array(steps)
    np.testing.assert_allclose(inputs, exact, rtol=3e-7)  # three roundings to float32
    # To the last digit what 2 * pi * step / count gives in float32.
    turn, steps = np.float32(2 * np.pi), np.float32(steps)
    assert np.array_equal(inputs, turn * steps / np.float32(count))


@pytest.mark.parametrize("count", [1, 2, 7, 100, 65535])
def test_inputs_of_another_range(other, count):
    call, (low, high, _, _) = other
    steps = range(count) if count <= 1000 else [0, 1, 2, 32767, 32768, 65533, 65534]
    inputs = np.float32(call("input", [f"{step} {count}" for step in steps]))
    exact = low + (high - low) / count * np.array(steps)
    np.testing.assert_allclose(inputs, exact, rtol=0, atol=4e-7 * max(abs(low), abs(high)))
    assert inputs[0] == np.float32(low) and inputs[-1] <= np.float32(high)


def test_brightness_of_another_range(other):
    call, (_, _, low, high) = other
    values = np.float32(low + (high - low) * np.linspace(-0.5, 1.5, 999))
    levels = np.int64(call("brightness", as_text(values)))
    exact = ((np.float64(values) - low) / (high - low) * 255).clip(0, 255)
    assert np.abs(levels - exact).max() <= 0.501
    edges = as_text([low, high, np.inf, -np.inf, np.nan])
    assert call("brightness", edges) == ["0", "255", "255", "0", "0"]


@pytest.mark.parametrize("ranges", [(1, 1, -1, 1), (0, 1, 1, -1)])
def test_a_range_without_a_width_is_not_compiled(tmp_path, ranges):
    names = ("INPUT_FROM", "INPUT_TO", "OUTPUT_FROM", "OUTPUT_TO")
    flags = [f"-D{name}={value}" for name, value in zip(names, ranges, strict=True)]
    with pytest.raises(pytest.fail.Exception, match="a range must have a width"):
        host.build(tmp_path / "app.o", ["app/app.cc"], "-c", *flags)  # linked, zig's takes seconds


def test_brightness_is_linear_between_dark_and_bright(call):
    values = np.sort(np.float32([*np.linspace(-1, 1, 2001), *np.arange(-1, 1, 1 / 127.5)]))
    levels = np.int64(call("brightness", as_text(values)))
    assert np.abs(levels - (np.float64(values) + 1) * 127.5).max() <= 0.5001
    assert (np.diff(levels) >= 0).all() and set(levels) == set(range(256))


@pytest.mark.parametrize(
    ("value", "level"),
    [
        (-1, 0),
        (0, 128),
        (1, 255),
        (-1.001, 0),
        (1.001, 255),
        (300, 255),
        (FLOAT_MAX, 255),
        (-FLOAT_MAX, 0),
        (np.inf, 255),
        (-np.inf, 0),
        (np.nan, 0),
    ],
)
def test_brightness_stays_within_the_leds(call, value, level):
    assert call("brightness", as_text([value])) == [str(level)]


def test_fixed_point_is_the_value_to_six_digits(call):
    rng = np.random.default_rng(1)
    magnitudes = 10 ** rng.uniform(-8, np.log10(2146), 5000)
    values = np.float32(magnitudes * rng.choice([-1, 1], 5000))
    texts = printed(call, "fixed", as_text(values))
    wrong = np.abs(np.float64(texts) - np.float64(values))
    # Half of the last digit, and what float32 knows of the value.
    assert (wrong <= 0.501e-6 + np.abs(values) * 2.0**-23).all()
    for text in texts:
        whole, _, fraction = text.removeprefix("-").partition(".")
        assert whole.isdecimal() and fraction.isdecimal() and len(fraction) == 6
        assert whole == str(int(whole))  # no zeros in front
    assert {math.copysign(1, float(text)) for text in texts} == {-1, 1}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.000000"),
        (-0.0, "0.000000"),
        (4e-7, "0.000000"),
        (-4e-7, "0.000000"),
        (6e-7, "0.000001"),
        (-6e-7, "-0.000001"),
        (2.0**-7, "0.007812"),  # 0.0078125: halves to the even digit
        (-(2.0**-7), "-0.007812"),
        (3 * 2.0**-7, "0.023438"),  # 0.0234375
        (0.9999998, "1.000000"),
        (-1.5, "-1.500000"),
        (10.0, "10.000000"),
    ],
)
def test_fixed_point_at_the_edges(call, value, text):
    assert printed(call, "fixed", as_text([value])) == [text]


def test_large_numbers_are_printed_to_all_of_their_digits(call):
    rng = np.random.default_rng(2)
    values = np.float32(10 ** rng.uniform(np.log10(33.6), np.log10(2147483000), 5000))
    values = np.concatenate([values, np.arange(33.6, 33.7, 2**-18, np.float32)])
    values = np.concatenate([values, np.arange(4096, dtype=np.float32)])
    values *= rng.choice(np.float32([-1, 1]), values.size)
    texts = printed(call, "fixed", as_text(values))
    for text, value in zip(texts, values.tolist(), strict=True):
        assert abs(Decimal(text) - Decimal(value)) <= Decimal("0.5e-6")
        assert np.float32(text) == value and len(text.partition(".")[2]) == 6


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2147.4836, "2147.483643"),
        (-2147.4836, "-2147.483643"),
        (4095.0, "4095.000000"),
        (-4095.75, "-4095.750000"),
        (4095.9998, "4095.999756"),
        (101325.0, "101325.000000"),
        (65535.996, "65535.996094"),
        (8388607.5, "8388607.500000"),
        (8388608.0, "8388608.000000"),
        (16777217.0, "16777216.000000"),
        (2147483520.0, "2147483520.000000"),
    ],
)
def test_large_numbers_at_the_edges(call, value, text):
    assert printed(call, "fixed", as_text([value])) == [text]


def test_what_no_int32_holds_is_the_limit(call):
    values = [2.0**31, 5e9, FLOAT_MAX, np.inf]
    assert printed(call, "fixed", as_text(values)) == ["2147483647.000000"] * len(values)
    negative = as_text([-value for value in values])
    assert printed(call, "fixed", negative) == ["-2147483647.000000"] * len(values)
    assert printed(call, "fixed", as_text([np.nan])) == ["0.000000"]


def test_integers_are_printed_in_full(call):
    powers = [10**i + d for i in range(10) for d in (-1, 0, 1)]
    numbers = [0, *powers, *(-p for p in powers), 2**31 - 1, -(2**31), -(2**31) + 1]
    assert printed(call, "integer", numbers) == [str(number) for number in numbers]


def test_halt_says_why_and_ends_with_an_error(build):
    program = build("tests/app_runner.cc")
    assert log(program, "halt integer 1", exit_code=1) == ["write # stopped: all is lost", "stop 1"]


# ------------------------------------------------------------------ wave

START = ["init", "write # engine fake: arena 48 bytes"]
ACCEPTED = "1 1 1 - "  # inputs, outputs, int8, no reason to refuse the model
REFUSED = "1 1 1 too_strange "
WAVE = {0.0: 128, 0.5: 191, 1.0: 255, 2.0: 255, -0.5: 64, -1.0: 0, -2.0: 0, 0.25: 159}
PER_CYCLE = 4


@pytest.fixture(scope="module")
def wave(build):
    """f(cycles) -> path of the program wave."""
    settings = [f"-DINFERENCES_PER_CYCLE={PER_CYCLE}"]
    programs = {cycles: build("app/wave.cc", *settings, f"-DCYCLES={cycles}") for cycles in (0, 2)}
    return programs.__getitem__


def inference(step, value):
    """What the board is asked for in one inference."""
    x = ("0.000000", "1.570796", "3.141593", "4.712389")[step % PER_CYCLE]
    return ["tick", f"led {WAVE[value]}", f"write {x},{value:.6f},{WAVE[value]}"]


def test_the_wave_waits_lights_and_prints_once_per_inference(wave):
    lines = log(wave(2), ACCEPTED + " ".join(map(str, WAVE)))
    inferences = [line for step, value in enumerate(WAVE) for line in inference(step, value)]
    assert lines == [*START, "write x,y,led", *inferences, "write # end", "stop 0"]


def test_without_a_number_of_cycles_the_wave_has_no_end(wave):
    values = [*WAVE, *WAVE, *WAVE]
    lines = log(wave(0), ACCEPTED + " ".join(map(str, values)), exit_code=1)
    assert lines.count("tick") == len(values) + 1 and "write # end" not in lines
    assert lines[-2:] == ["write # stopped: no values are left", "stop 1"]


def test_the_wave_stops_where_the_engine_refuses(wave):
    lines = log(wave(2), ACCEPTED + "0.5 -1", exit_code=1)
    inferences = inference(0, 0.5) + inference(1, -1.0)
    last = ["tick", "write # stopped: no values are left", "stop 1"]
    assert lines == [*START, "write x,y,led", *inferences, *last]


# ------------------------------------------------------------------ sweep


@pytest.fixture(scope="module")
def sweep(build):
    return build("app/sweep.cc")


def test_a_refused_model_stops_both_programs_before_anything_else(wave, sweep):
    for program in (wave(2), sweep):
        lines = log(program, REFUSED + "0 0 0", exit_code=1)
        assert lines == ["init", "write # stopped: too_strange", "stop 1"]


def test_the_sweep_takes_every_code_in_order(sweep):
    lines = log(sweep, ACCEPTED)
    codes = [f"write {code},{code}" for code in range(-128, 128)]  # the fake answers its input
    assert lines == [*START, "write q_in,q_out", *codes, "write # end", "stop 0"]


def test_the_sweep_of_several_inputs_scatters_them(sweep):
    *start, header, end, stop = (lines := log(sweep, "3 2 1 - "))[:3] + lines[-2:]
    assert (start, header) == (START, "write q_in0,q_in1,q_in2,q_out0,q_out1")
    assert (end, stop) == ("write # end", "stop 0")
    rows = np.array([line.removeprefix("write ").split(",") for line in lines[3:-2]], int)
    assert rows.shape == (512, 5)
    inputs = rows[:, :3]
    assert len({tuple(row) for row in inputs}) == 512 and len(set(inputs.flat)) > 250
    assert inputs.min() == -128 and inputs.max() == 127
    sums = inputs.sum(1).astype(np.int8)
    assert np.array_equal(rows[:, 3:].T, [sums, (sums + np.int8(1))])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("1 1 0 - ", "a sweep needs an int8 model"),
        ("65 1 1 - ", "a sweep takes 64 inputs and 64 outputs at most"),
        ("1 65 1 - ", "a sweep takes 64 inputs and 64 outputs at most"),
    ],
)
def test_what_the_sweep_does_not_take(sweep, model, reason):
    assert log(sweep, model, exit_code=1) == [*START, f"write # stopped: {reason}", "stop 1"]


def test_the_widest_model_that_the_sweep_takes(sweep):
    lines = log(sweep, "64 64 1 - ")
    assert len(lines) == 512 + 5 and {line.count(",") for line in lines[2:-2]} == {64 + 64 - 1}
