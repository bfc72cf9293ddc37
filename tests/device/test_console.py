"""What the firmware prints, read back; and the wave drawn in plain characters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workshop_utils.device import console
from workshop_utils.errors import WorkshopError


def test_parse_console():
    table = console.parse_console("# engine x\nx,y,led\n0.062832,-0.061234,135\n\n# end\n")
    assert {name: str(kind) for name, kind in table.dtypes.items()} == {
        "x": "float64",
        "y": "float64",
        "led": "int64",
    }
    assert table.values.tolist() == [[0.062832, -0.061234, 135]]
    assert console.parse_console("x,y,led\n").shape == (0, 3)
    codes = console.parse_console("q_in0,q_in1,q_out\r\n-128,127,5\r\n# end\r\n")
    assert codes.to_dict("list") == {"q_in0": [-128], "q_in1": [127], "q_out": [5]}


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "0.062832,0.061234",
        "0.062832,0.061234,135,1",
        "0.062832,0.061234,256",
        "0.062832,0.061234,-1",
        "0.062832,nan,0",
        "0.062832,inf,0",
        "0.062832,0.06,135",
        "0.062832,0.061234,13.5",
        "0.062832,0.061234, 135",
        "٠.٠٦٢٨٣٢,0.061234,135",
        "#end",
        "x,y,led",
        "x" * 5000,
    ],
)
def test_a_line_that_is_no_inference_is_named(line):
    text = f"# a remark\nx,y,led\n0.000000,0.000000,127\n{line}\n0.062832,0.061234,135\n# end\n"
    with pytest.raises(WorkshopError, match=r"^Line 4 of the .* is not an inference: .*\.$") as e:
        console.parse_console(text)
    assert len(str(e.value)) < 120


@pytest.mark.parametrize("text", ["", "# end\n", "\n\n# engine\n"])
def test_a_console_without_a_table(text):
    with pytest.raises(WorkshopError, match="printed no table"):
        console.parse_console(text)


@pytest.mark.parametrize("text", ["", "x,y,led\n", "x,y,led\n0.0\n#end\n", "# endless\n"])
def test_a_console_that_breaks_off(text):
    with pytest.raises(WorkshopError, match="breaks off"):
        console.check_console(text)


@given(st.text(st.sampled_from("0159.,-#\n xyledq_inout"), max_size=60))
def test_any_text_is_a_table_or_one_sentence(text):
    for prefix in ("", "x,y,led\n", "q_in,q_out\n"):
        try:
            columns, rows = console.table(prefix + text)
            assert all(len(row) == len(columns) for row in rows)
        except WorkshopError as error:
            assert "\n" not in str(error)


# ---- The drawing


def test_draw_is_plain_text_of_one_size():
    wave = console.draw(np.sin(np.linspace(0, 2 * np.pi, 500)), width=40, height=9)
    lines = wave.splitlines()
    assert wave.isascii() and len(lines) == 9 and max(map(len, lines)) <= 48
    assert lines[0].startswith("   1.0 |") and lines[8].startswith("  -1.0 |")
    assert "*" in lines[0][8:28] and "*" in lines[8][28:]


def test_draw_makes_room_for_what_is_outside():
    assert console.draw([4.0, -1.0]).startswith("   4.0 |*")
    assert "*" not in console.draw([])


def test_draw_of_another_range_says_what_the_axes_are():
    labels = ("adc in code", "temperature in °C")
    assert console.draw([100, 50, -20], 9, 4, (-20, 100), (0, 1023), labels).splitlines() == [
        "        temperature in °C",
        "   100 |*",
        "       |   *",
        "     0 |---------",
        "   -20 |      *",
        "        0 adc in code 1023",
    ]
    wide = console.draw(range(5), 30, 3, (0, 4), (-0.5, 2.5), ("x", "y")).splitlines()
    assert wide[-1] == "        -0.5           x           2.5" and "-" not in "".join(wide[:-1])


def test_draw_of_another_range_makes_room_too():
    lines = console.draw([95000, 101325, 110000], 3, 3, (95000, 105000), (0, 1)).splitlines()
    assert lines[1].startswith("1.1e+05 |  *") and lines[3].startswith("9.5e+04 |*")


def test_draw_keeps_the_middle_of_a_range_of_both_signs():
    assert console.draw([0, 3], 2, 3).splitlines()[1] == "   0.0 |*-"
    assert console.draw([0, 3], 2, 3, (-2, 2)).splitlines()[1] == "   0.0 |*-"


def test_numbers_of_a_line():
    assert console.numbers(["x", "y", "led"], "0.000000,-0.500000,255") == (0.0, -0.5, 255)
    assert console.numbers(["x", "y", "led"], "101325.000000,-2147483520.000000,0") == (
        *(101325, -2147483520),
        0,
    )
    assert console.numbers(["q_in", "q_out"], "-128,127") == (-128, 127)
    for line in ("-129,0", "0,128", "1", "1,2,3", "1,+2", "0001,2"):
        assert console.numbers(["q_in", "q_out"], line) is None
    for led in ("-1", "256"):
        assert console.numbers(["led"], led) is None


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("# stopped: no model.", "The firmware stopped: no model."),
        ("# fault: at 00001234", "The firmware faulted: at 00001234."),
    ],
)
def test_how_a_program_ended_before_its_end(line, sentence):
    with pytest.raises(WorkshopError) as caught:
        console.check_console(f"x,y,led\n{line}\n# end\n")
    assert str(caught.value) == sentence
    assert line.startswith(console.LAST_LINES)


def test_what_follows_the_end_does_not_count():
    console.check_console("# end\n# stopped: too late\n")
    console.check_line("# engine compact")
    assert console.END in console.LAST_LINES


def test_draw_puts_each_value_where_it_belongs():
    assert console.draw([1, 0, -1], width=3, height=3) == "   1.0 |*\n   0.0 |-*-\n  -1.0 |  *"
    assert console.draw([2, 2, 0, 0, -2, -2], width=6, height=5) == (
        "   2.0 |**\n       |\n   0.0 |--**--\n       |\n  -2.0 |    **"
    )


@pytest.mark.parametrize(
    ("header", "count"), [("q_in,q_out", 256), ("q_in0,q_in1,q_out", 512), ("x,y,led", None)]
)
def test_how_many_lines_follow_a_header(header, count):
    assert console.answers(header) == count
