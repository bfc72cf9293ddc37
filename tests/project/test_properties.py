"""What must hold for every input, tried with inputs that hypothesis thinks up."""

import ast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_utils import c_source, data, inference, training
from workshop_utils.device import console
from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks

settings.register_profile("course", deadline=None, derandomize=True)
settings.load_profile("course")

scales = st.floats(2**-20, 2**20, width=32)
zero_points = st.integers(-128, 127)
reals = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(reals, min_size=1), scales, zero_points)
def test_quantize_is_the_nearest_code_or_the_end_of_the_range(values, scale, zero_point):
    codes = inference.quantize(np.array(values, np.float32), scale, zero_point)
    assert codes.dtype == np.int8
    for value, code in zip(values, codes.tolist(), strict=True):
        exact = value / float(np.float32(scale)) + zero_point
        assert abs(code - np.clip(exact, -128, 127)) <= 0.5001


@given(scales, zero_points)
def test_every_code_survives_the_way_there_and_back(scale, zero_point):
    codes = np.arange(-128, 128).astype(np.int8)
    values = inference.dequantize(codes, scale, zero_point)
    assert np.array_equal(inference.quantize(values, scale, zero_point), codes)
    assert (np.diff(values) > 0).all()


@given(st.integers(1, 400), st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_a_split_keeps_every_sample_once_or_is_refused(samples, train, test):
    x = np.arange(samples, dtype=np.float32)
    try:
        parts = data.split(x, -x, train, test)
    except WorkshopError as error:
        assert "leave one of the three" in str(error)
        return
    sets = parts.x_train, parts.x_test, parts.x_validate
    assert all(part.size for part in sets)
    assert np.array_equal(np.concatenate(sets), x)
    assert np.array_equal(np.concatenate(parts[1::2]), -x)


@given(st.integers(10, 2000), st.floats(0, 10), st.integers(0, 2**32 - 1))
def test_samples_are_inside_one_turn_and_repeatable(samples, noise, seed):
    x, y = data.make(samples, noise, seed)
    assert x.shape == y.shape == (samples,) and x.dtype == y.dtype == np.float32
    assert x.min() >= 0 and x.max() <= np.float32(2 * np.pi) and np.isfinite(y).all()
    assert all(map(np.array_equal, data.make(samples, noise, seed), (x, y)))


@given(st.binary(max_size=600))
def test_model_cc_gives_back_every_byte(tail):
    model = b"\x1c\x00\x00\x00TFL3" + tail
    text = c_source.to_c_source(model)
    assert c_source.from_c_source(text) == model
    assert text.isascii() and max(map(len, text.splitlines())) <= 100


@given(st.binary(min_size=1, max_size=60), st.data())
def test_an_edited_model_cc_gives_the_same_bytes_or_is_refused(tail, draw):
    model = b"\x1c\x00\x00\x00TFL3" + tail
    text = c_source.to_c_source(model)
    place = draw.draw(st.integers(0, len(text) - 1))
    edited = text[:place] + draw.draw(st.text(max_size=2)) + text[place + 1 :]
    try:
        assert c_source.from_c_source(edited) == model
    except WorkshopError as error:
        assert "\n" not in str(error)


lines = st.lists(st.tuples(st.integers(-128, 127), st.integers(-128, 127)), min_size=1)


@given(lines)
def test_the_consoles_table_is_read_as_it_was_printed(rows):
    text = "# hello\nq_in,q_out\n" + "".join(f"{a},{b}\n" for a, b in rows) + "# end\n"
    assert console.table(text) == (["q_in", "q_out"], rows)


@given(st.text())
def test_a_console_full_of_anything_is_a_table_or_one_sentence(text):
    for printed in (text, "x,y,led\n" + text):
        try:
            columns, rows = console.table(printed)
        except WorkshopError as error:
            assert str(error)
        else:
            assert all(len(row) == len(columns) for row in rows)


numbers = st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none())


@given(numbers, numbers, numbers)
def test_parameters_are_accepted_or_refused_by_name(first, second, third):
    for check, names in (
        (data.check_parameters, ("SAMPLES", "NOISE", "SEED")),
        (training.check_parameters, ("EPOCHS", "BATCH_SIZE", "SEED")),
    ):
        try:
            check(first, second, third)
        except WorkshopError as error:
            assert str(error).startswith(names)
        else:
            assert isinstance(first, int) and first > 0 and isinstance(third, int) and third >= 0


@pytest.mark.parametrize("number", ["02", "03", "04"])
@given(text=st.text(max_size=12))
def test_a_parameter_on_the_command_line_is_a_literal_of_its_type_or_refused(number, text):
    notebook = notebooks.notebooks()[number]
    try:
        (value,) = notebooks.check_parameters({"SEED": text}, [notebook]).values()
    except WorkshopError as error:
        assert str(error).startswith("SEED must be a whole number")
    else:
        assert type(value) is int and value == ast.literal_eval(text)
