import gzip
import json
import os
import subprocess
import sys
import time
import zipfile

import make_sensor_data
import numpy as np
import pandas as pd
import pytest
from hostile import refusals

from workshop_utils import data, measurements, paths
from workshop_utils.errors import WorkshopError

HEADER = "adc (code),temperature (°C)"
ROWS = [f"{10 * row},{row / 4 - 3}" for row in range(40)]
X = np.arange(0, 400, 10, dtype=np.float32)
Y = np.arange(40, dtype=np.float32) / 4 - 3
TEXT = "\n".join([HEADER, *ROWS, ""])


def read(tmp_path, content, name="own.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return measurements.read(path)


def refusal(tmp_path, content):
    """The sentence, without the file's name in front."""
    with pytest.raises(WorkshopError) as caught:
        read(tmp_path, content)
    said = str(caught.value)
    assert said.startswith(f"{tmp_path / 'own.csv'} ") and said.endswith(".") and "\n" not in said
    return said.removeprefix(f"{tmp_path / 'own.csv'} ")


# ---- Files that work


def european(separator):
    return TEXT.replace(",", separator).replace(".", ",")


SAME = {
    "as it is": TEXT,
    "no end of line": TEXT.rstrip(),
    "Windows' line ends": TEXT.replace("\n", "\r\n"),
    "old Macs' line ends": TEXT.replace("\n", "\r"),
    "BOM": TEXT.encode("utf-8-sig"),
    "UTF-16": TEXT.encode("utf-16"),
    "UTF-16 of the other order": b"\xfe\xff" + TEXT.encode("utf-16-be"),
    "UTF-16 without BOM": TEXT.encode("utf-16-le"),
    "UTF-16 of the other order without BOM": TEXT.encode("utf-16-be"),
    "UTF-32": TEXT.encode("utf-32"),
    "Windows-1252": TEXT.encode("cp1252"),
    "semicolons": TEXT.replace(",", ";"),
    "tabs": TEXT.replace(",", "\t"),
    "bars": TEXT.replace(",", "|"),
    "semicolons and decimal commas": european(";"),
    "tabs and decimal commas": european("\t"),
    "Excel's first line": "sep=;\n" + european(";"),
    "quotes": "".join('"' + row.replace(",", '","') + '"\n' for row in TEXT.splitlines()),
    "quotes and decimal commas": "".join(
        '"' + '","'.join(cell.replace(".", ",") for cell in row.split(",")) + '"\n'
        for row in TEXT.splitlines()
    ),
    "blank lines": TEXT.replace("\n", "\n\n  \n"),
    "comments": "# logger 7, 9 June\n" + TEXT.replace("\n", "\n # checked\n"),
    "spaces": TEXT.replace(",", " , "),
    "a comma at each end": TEXT.replace("\n", ",\n"),
    "a true minus": TEXT.replace("-", "\u2212"),
    "square brackets": TEXT.replace("(", "[").replace(")", "]"),
}


@pytest.mark.parametrize("name", SAME)
def test_a_table_is_read_in_whatever_form_programs_write_it(tmp_path, name):
    found = read(tmp_path, SAME[name])
    assert found.names == ("adc", "temperature") and found.units == ("code", "°C")
    assert found.x.dtype == found.y.dtype == np.float32
    assert np.array_equal(found.x, X) and np.array_equal(found.y, Y)
    assert found.left_out.empty and list(found.left_out) == ["line", "row", "reason"]


def test_pandas_reads_the_same_in_the_courses_own_files():
    for name in make_sensor_data.SENSORS:
        path = paths.NOTEBOOKS_DIR / "data" / name
        found = measurements.read(path)
        table = pd.read_csv(path).apply(pd.to_numeric, errors="coerce").dropna()
        columns = table.to_numpy(np.float32)
        assert np.array_equal(np.column_stack([found.x, found.y]), columns), name
        assert list(found.rows.line) == list(table.index + 2)


def test_what_an_axis_says(tmp_path):
    found = read(tmp_path, TEXT.replace(" (code)", ""))
    assert found.label(0) == "adc" and found.label(-1) == "temperature in °C"


def test_several_inputs(tmp_path):
    text = "a,b [V],c\n" + "".join(f"{row},{row % 7},{row % 5}\n" for row in range(20))
    found = read(tmp_path, text)
    assert found.x.shape == (20, 2) and found.y.shape == (20,)
    assert found.names == ("a", "b", "c") and found.units == ("", "V", "")
    assert np.array_equal(found.x[:, 1], np.arange(20) % 7)


@pytest.mark.parametrize(
    ("cells", "value"),
    [
        ([f'"{n},024",{n}.5' for n in range(1, 41)], 1024),  # a comma separates cells
        ([f"{n},024;{n},5" for n in range(1, 41)], 1.024),
        ([f"{n},024;{n}" for n in range(1, 41)], 1.024),
        ([f"{n}.024;{n},5" for n in range(1, 41)], 1024),
        ([f"{n}.024;{n}.5" for n in range(1, 41)], 1.024),
        ([f"{n}'024;{n}.5" for n in range(1, 41)], 1024),
        ([f"{n}\u00a0024,5;{n}" for n in range(1, 41)], 1024.5),
        ([f"{n} 024 000;{n}" for n in range(1, 41)], 1024000),
        ([f"{n}.024.000,5;{n}" for n in range(1, 41)], 1024000.5),
        ([f'"{n},024.5",{n}' for n in range(1, 41)], 1024.5),
        ([f"{n}e3,{n}" for n in range(1, 41)], 1000),
    ],
)
def test_thousands_and_decimals(tmp_path, cells, value):
    separator = ";" if ";" in cells[0] else ","
    found = read(tmp_path, "\n".join([f"a{separator}b", *cells]))
    assert found.left_out.empty and found.x[0] == np.float32(value)


# ---- Rows that are no measurements


def test_bad_rows_are_left_out_with_line_text_and_reason(tmp_path):
    bad = {
        "5,NaN": "temperature is 'NaN'",
        "6,-inf": "temperature is '-inf'",
        "1e300,2": "adc is '1e300', which is too large for float32",
        "8,ERR": "temperature is 'ERR', which is no number",
        ",4": "adc is empty",
        "9": "1 cell(s), but the header has 2",
        "1,2,3": "3 cell(s), but the header has 2",
        "1_0,3": "adc is '1_0', which is no number",
        "\0\0,3": "adc is '  ', which is no number",
        '"5,3': "1 cell(s), but the header has 2",
        "3.5 °C,3": "adc is '3.5 °C', which is no number",
    }
    lines = [HEADER, *ROWS]
    for place, row in enumerate(bad):
        lines.insert(2 + 2 * place, row)
    found = read(tmp_path, "\n".join(lines))
    assert np.array_equal(found.x, X) and np.array_equal(found.y, Y)
    assert list(found.left_out.reason) == list(bad.values())
    assert list(found.left_out.line) == list(range(3, 3 + 2 * len(bad), 2))
    for line, row in zip(found.rows.line, found.rows.row, strict=True):
        assert lines[line - 1] == row


def test_what_a_table_shows_of_a_row_moves_no_cursor_and_is_short(tmp_path):
    found = read(tmp_path, TEXT + "\x1b[2J,5\n" + "x" * 5000 + ",1\n")
    assert list(found.left_out.row) == [" [2J,5", "x" * 199 + "…"]
    assert all(len(reason) < 120 for reason in found.left_out.reason)


# ---- Files that do not


def table(cells, header=HEADER):
    return "\n".join([header, *cells])


REFUSED = {
    "no header": (
        TEXT.partition("\n")[2],
        "has no header: line 1, column 1 is the number '0'; put a line with names on top, such as "
        "adc (code),temperature (°C).",
    ),
    "a name is a number": ("\n" + table(ROWS, "adc,2"), "line 2, column 2 is the number '2'"),
    "commas for everything": (
        TEXT.replace(".", ","),
        "line 2: 3 cell(s), but the header has 2; if commas are decimals here, let semicolons",
    ),
    "another separator in the header": (
        table([row.replace(",", ";") for row in ROWS]),
        "line 2: 1 cell(s), but the header has 2",
    ),
    "one column": (
        "temperature\n" + "5\n6\n" * 20,
        "has one column only (line 1: 'temperature'): it needs an input and the output",
    ),
    "a date": (
        table([f"2026-06-09 12:{row:02},{row}" for row in range(40)]),
        "line 2, column 1: adc is '2026-06-09 12:00', which is no number; delete the column",
    ),
    "text": (
        table([f"{row},warm" for row in range(40)]),
        "has 0 rows of numbers among 40, and 10 are the fewest to learn from: line 2, column 2: "
        "temperature is 'warm', which is no number; delete the column",
    ),
    "half of it": (
        table(ROWS[:20] + [",1"] * 21),
        "has 20 rows of numbers among 41: line 22, column 1: adc is empty.",
    ),
    "five rows": (table(ROWS[:5]), "has 5 rows, and 10 are the fewest to learn from."),
    "nine good rows": (
        table([*ROWS[:9], "ERR,1"]),
        "has 9 rows of numbers among 10, and 10 are the fewest to learn from: line 11",
    ),
    "a header alone": (HEADER, "has 0 rows, and 10 are the fewest"),
    "constant input": (
        table([f"512,{row}" for row in range(40)]),
        "has the same adc, 512, in every row (column 1), so nothing can be learned from it: vary",
    ),
    "constant output": (
        table([f"{row},20.5" for row in range(40)]),
        "has the same temperature, 20.5, in every row (column 2)",
    ),
    "one input of two is constant": (
        table([f"{row},5,{row}" for row in range(40)], "a,b,c"),
        "has the same b, 5, in every row (column 2), so nothing can be learned from it: delete",
    ),
    "two names": (table(ROWS, "x (V),x"), "has two columns 'x' (line 1, columns 1 and 2): rename"),
    "no name": (table(ROWS, ",x"), "has no name for column 1 in its header (line 1): name it"),
    "empty": ("", "is empty: it needs a header such as"),
    "blank": ("\n \n#\n", "is empty: it needs a header such as"),
    "zeros": (bytes(5000), "is not text: line 1 has a character that"),
    "too many columns": (
        ",".join(f"c{column}" for column in range(66)),
        "has 66 columns (line 1), but 64 inputs and an output are the most.",
    ),
    "too many rows": (
        table(ROWS * 2501),
        "has more than 100,000 rows: take every tenth of them, say.",
    ),
    "five million rows": (
        TEXT + "\n".join(ROWS * 125_000),
        "has more than 20 MB: 100,000 rows are enough.",
    ),
    "old Excel": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999),
        "is an old Office document, such as .xls, not a CSV file: save the table as CSV (text)",
    ),
    "PDF": (b"%PDF-1.7\n", "is a PDF document, not a CSV file"),
    "picture": (b"\x89PNG\r\n\x1a\n", "is a picture (PNG), not a CSV file"),
    "web page": (b"<!DOCTYPE html>\n<html>", "is a web page (HTML), not a CSV file"),
    "gzip": (gzip.compress(TEXT.encode()), "is compressed with gzip, not a CSV file"),
    "notebook": (json.dumps({"cells": []}), "has one column only"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_one_sentence_with_its_place(tmp_path, name):
    content, words = REFUSED[name]
    assert words in refusal(tmp_path, content)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("xl/workbook.xml", "is an Excel workbook (.xlsx), not a CSV file: save the table as CSV"),
        ("own.csv", "is a ZIP archive, not a CSV file"),
    ],
)
def test_an_archive(tmp_path, member, words):
    with zipfile.ZipFile(tmp_path / "own.csv", "w") as archive:
        archive.writestr(member, TEXT)
    assert words in refusal(tmp_path, (tmp_path / "own.csv").read_bytes())


def test_what_is_no_file(tmp_path):
    with pytest.raises(WorkshopError, match=r"is not a file\.$"):
        measurements.read(tmp_path)
    with pytest.raises(WorkshopError, match=r"^Cannot read .*nothing\.csv: No such file"):
        measurements.read(tmp_path / "nothing.csv")


def many_columns(rows):
    header = ",".join(f"c{column}" for column in range(65))
    return header + "\n" + (",".join("1" * 65) + "\n") * rows


HOSTILE = {
    "columns": (many_columns(80_000).encode(), "has more than 1,000,000 values"),
    "text": (("a,b\n" + "x,ERR\n" * 99_000).encode(), "has 0 rows of numbers among 99,000"),
    "quotes": (b"a,b\n" + b'"' * 10_000_000, "line 2 has 10,000,000 letters"),
    "digits": (b"a,b\n" + b"9" * 9_000 + b",1\n", "has 0 rows of numbers among 1"),
    "names": (b"a;" * 9_000_000, "line 1 has 18,000,000 letters"),
    "empty quotes": (b"a,b\n" + b'"",' * 2_000 + b"\n", "has 0 rows of numbers among 1"),
    "bad rows": (
        ("a,b\n" + "1,5\n" * 49_000 + ",\n" * 50_000).encode(),
        "has 49,000 rows of numbers among 99,000: line 49002, column 1: a is empty.",
    ),
    "rows": (b"1,2\n" * 4_900_000, "has more than 100,000 rows"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name, (content, _) in HOSTILE.items():
        (folder / f"{name}.csv").write_bytes(content)
    return refusals("from workshop_utils import measurements", "measurements.read(path)", folder)


@pytest.mark.parametrize("name", HOSTILE)
def test_files_that_mean_harm_take_little_time_and_memory(refused, name):
    said = refused.of(f"{name}.csv")
    assert HOSTILE[name][1] in said and len(said) < 600


# ---- Outliers


def of(x, y):
    """Measurements with a line per row."""
    x, y = np.float32(x), np.float32(y)
    rows = pd.DataFrame({"line": np.arange(len(y)) + 2, "row": [str(value) for value in y]})
    none = pd.DataFrame([], columns=["line", "row", "reason"])
    names = (*"abcdefgh"[: x[:1].size], "temperature")
    return measurements.Measurements(names, ("",) * (len(names) - 1) + ("°C",), x, y, rows, none)


CURVES = {
    "line": lambda x: 3 * x - 1,
    "sine": lambda x: np.sin(2 * np.pi * x),
    "exponential": lambda x: np.exp(6 * x),
    "hyperbola": lambda x: 1 / (0.02 + x),
    "logarithm": lambda x: np.log(0.001 + x),
    "root": np.sqrt,
    "step": lambda x: np.where(x > 0.4, 1.0, 0.0),
    "steep": lambda x: np.tanh(12 * (x - 0.5)),
    "corner": lambda x: abs(x - 0.2),
    "peak": lambda x: np.exp(-(((x - 0.5) / 0.1) ** 2)),
    "ringing": lambda x: np.sin(15 * x) * np.exp(-3 * x),
}
PLACES = {
    "even": lambda rng, n: np.linspace(0, 1, n),
    "random": lambda rng, n: rng.uniform(0, 1, n),
    "dense at one end": lambda rng, n: rng.uniform(0, 1, n) ** 2,
    "few levels": lambda rng, n: rng.integers(0, 11, n) / 10,
}
NOISES = {
    "none": lambda rng, y: y,
    "little": lambda rng, y: y + 0.01 * np.ptp(y) * rng.standard_normal(len(y)),
    "much": lambda rng, y: y + 0.2 * np.ptp(y) * rng.standard_normal(len(y)),
    "more where the value is larger": lambda rng, y: y * (1 + 0.1 * rng.standard_normal(len(y))),
    "rounded": lambda rng, y: np.round(y / np.ptp(y) * 40),
    "rounded to few values": lambda rng, y: np.round(y / np.ptp(y) * 5),
}


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("noise", NOISES)
def test_good_points_stay_and_bad_ones_do_not(curve, noise):
    """Of good points of any curve at most one in 500 goes; of those that are off by its whole range
    and more, nine in ten."""
    lost = found = good = bad = 0
    for seed, place in enumerate(PLACES.values()):
        for n in (30, 100, 400):
            rng = np.random.default_rng(seed)
            x = place(rng, n)
            y = NOISES[noise](rng, CURVES[curve](x)).astype(float)
            lost += n - len(measurements.without_outliers(of(x, y)).y)
            good += n
            spoilt = rng.choice(n, n // 30, replace=False)
            y[spoilt] += rng.choice([-1, 1], n // 30) * rng.uniform(1.5, 3, n // 30) * np.ptp(y)
            out = measurements.without_outliers(of(x, y)).left_out.line - 2
            found += len(set(out) & set(spoilt))
            lost += len(set(out) - set(spoilt))
            bad += len(spoilt)
    assert lost <= 2 * good / 500
    assert found >= (0.7 if noise == "much" else 0.9) * bad


def test_a_table_of_few_points_is_left_alone():
    """As a data sheet has them: no neighbour tells what a point should be."""
    for curve in CURVES.values():
        for n in (10, 15, 19):
            x = np.linspace(0, 1, n)
            assert len(measurements.without_outliers(of(x, curve(x))).y) == n


def test_where_nothing_is_smooth_nothing_is_left_out():
    rng = np.random.default_rng(1)
    x = np.arange(100.0)
    y = np.where(rng.uniform(size=100) < 0.2, rng.uniform(100, 900, 100), 0)
    assert len(measurements.without_outliers(of(x, y)).y) == 100


def test_a_reason_has_numbers_with_their_unit():
    x = np.arange(100.0)
    y = 45 + np.random.default_rng(1).normal(0, 0.01, 100)
    y[60] = 85
    found = measurements.without_outliers(of(x, y))
    ((line, row, reason),) = found.left_out.itertuples(index=False)
    assert (line, row) == (62, "85.0")
    assert reason == "temperature 85 °C is 40 °C from its neighbours' 45"
    assert list(found.rows.line) == [number for number in range(2, 102) if number != 62]


def test_an_outlier_among_several_inputs():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (400, 2)) * [1023, 40]
    y = x[:, 0] / 10 * (1 - x[:, 1] / 100) + rng.normal(0, 0.3, 400)
    assert len(measurements.without_outliers(of(x, y)).y) == 400
    y[[7, 300]] += [40, -30]
    assert list(measurements.without_outliers(of(x, y)).left_out.line) == [9, 302]


def test_many_rows_are_gone_through_within_a_minute():
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, measurements.MAX_ROWS)
    y = np.sin(6 * x) + rng.normal(0, 0.1, len(x))
    y[500] = 9
    began = time.process_time()
    assert 502 in set(measurements.without_outliers(of(x, y)).left_out.line)
    assert time.process_time() - began < 60


# ---- Noise


@pytest.mark.parametrize("curve", ["line", "sine", "exponential", "steep", "ringing"])
@pytest.mark.parametrize("place", ["even", "random", "few levels"])
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_the_noise_that_was_added_is_found(curve, place, noise):
    rng = np.random.default_rng(4)
    x = PLACES[place](rng, 1000)
    y = CURVES[curve](x) / np.ptp(CURVES[curve](x)) + rng.normal(0, noise, 1000)
    assert measurements.noise_floor(x, y) == pytest.approx(noise**2, rel=0.15)


def test_the_noise_of_the_courses_sine_is_what_a_perfect_model_leaves():
    x, y = data.make(1000, 0.1, seed=1)
    assert measurements.noise_floor(x, y) == pytest.approx(data.noise_floor(x, y), rel=0.1)
    assert measurements.noise_floor(x, np.sin(x)) < 1e-6


def test_the_noise_of_several_inputs():
    rng = np.random.default_rng(4)
    for inputs in (2, 3):
        x = rng.uniform(0, 1, (2000, inputs)) * [1000, 1, 0.001][:inputs]
        y = np.sin(x / [1000, 1, 0.001][:inputs]).sum(axis=1) + rng.normal(0, 0.05, 2000)
        assert measurements.noise_floor(x, y) == pytest.approx(0.05**2, rel=0.2)


def test_noise_needs_rows():
    with pytest.raises(WorkshopError, match="cannot be told from 9 rows: 10 are the fewest"):
        measurements.noise_floor(np.arange(9), np.arange(9))
    with pytest.raises(WorkshopError, match="cannot be told from 12 rows: 13 are the fewest"):
        measurements.noise_floor(np.ones((12, 5)), np.arange(12))


# ---- The course's own files


def test_the_stored_files_are_what_the_tool_makes():
    for name in make_sensor_data.SENSORS:
        content = (paths.NOTEBOOKS_DIR / "data" / name).read_bytes()
        assert content.decode() == make_sensor_data.make(name) and len(content) < 30_000


def test_the_tool_says_whether_a_file_is_another_one(tmp_path, monkeypatch):
    command = [sys.executable, make_sensor_data.__file__, "--check"]
    assert subprocess.run(command, check=False, env={**os.environ}).returncode == 0
    monkeypatch.setattr(make_sensor_data, "FOLDER", tmp_path)
    monkeypatch.setattr(sys, "argv", ["make_sensor_data.py", "--check"])
    with pytest.raises(SystemExit, match=r"thermistor\.csv is another one"):
        make_sensor_data.main()
    monkeypatch.setattr(sys, "argv", ["make_sensor_data.py"])
    make_sensor_data.main()
    assert {path.name for path in tmp_path.iterdir()} == set(make_sensor_data.SENSORS)


@pytest.mark.parametrize("name", make_sensor_data.SENSORS)
def test_exactly_the_spoilt_rows_are_left_out(name):
    _, measure, spoil = make_sensor_data.SENSORS[name]
    clean, spoilt = list(measure()), list(measure())
    spoil(spoilt)
    changed = [
        row + 2
        for row, pair in enumerate(zip(clean, spoilt, strict=True))
        if len({*map(tuple, pair)}) > 1
    ]
    found = measurements.read(paths.NOTEBOOKS_DIR / "data" / name)
    assert 0 < len(found.left_out) < len(changed)
    assert list(measurements.without_outliers(found).left_out.line) == changed


def test_the_thermistor_is_the_data_sheets():
    """By its equation for the other direction, from resistance to temperature, and by its B."""
    found = measurements.without_outliers(
        measurements.read(paths.NOTEBOOKS_DIR / "data" / "thermistor.csv")
    )
    r = np.log(found.x / (1023 - found.x.astype(float)))
    kelvin = 1 / (3.354016e-3 + 2.56985e-4 * r + 2.620131e-6 * r**2 + 6.383091e-8 * r**3)
    off = found.y - (kelvin - 273.15)
    assert abs(off.mean()) < 0.05 and off.std() < 0.4 and np.abs(off).max() < 2
    for celsius in (25, 85):
        code = 1023 / (1 + np.exp(-3977 * (1 / (celsius + 273.15) - 1 / 298.15)))
        near = np.abs(found.y - celsius) < 2
        assert abs(np.polyfit(found.y[near] - celsius, found.x[near], 1)[1] - code) < 1


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_title_above_the_header_is_named(tmp_path, mark):
    rows = "".join(f"{n}.5{mark}{n * n}\n" for n in range(20))
    path = tmp_path / "titled.csv"
    path.write_text(f"Station 7 in May\nwest{mark}\na{mark}b\n{rows}")
    with pytest.raises(WorkshopError, match=r"line 1 \('Station 7 in May'\) but several in line 4"):
        measurements.read(path)
