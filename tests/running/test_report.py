"""The summary of a run and the comparison of two, as people see them."""

import re

import pytest
from click.testing import CliRunner
from record_factory import (
    HOSTILE,
    elements,
    harmful,
    hostile_run,
    moves_the_cursor,
    record,
    write_run,
)

from workshop_utils.cli import main
from workshop_utils.running import report


def test_the_summary_says_how_it_went():
    text = report.summary(record())
    assert "The model has learned the sine: test error 0.0095, of which noise makes 0.0087." in text
    assert "2026-03-01 14:05:09 UTC" in text and "12.5 s" in text and "8.0 GB" in text
    assert 'class="verdict"' in text
    assert "\n\n" not in text, "Markdown would end the HTML here."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"failure": "04, cell In [3]: no."}, "The run failed. 04, cell In [3]: no."),
        ({"finished": False}, "did not come to its end"),
        (
            {"metrics": {"converged": False, "noise_floor": 0.01, "test_mse_float": 0.15}},
            "has not learned the sine: test error 0.1500",
        ),
        (
            {"metrics": {**record()["metrics"], "equal_answers": 255}},
            "On the emulated chip 255 of 256 answers equal",
        ),
    ],
)
def test_the_summary_says_what_is_bad(changes, words):
    text = report.summary(record(**changes))
    assert words in text and 'class="verdict bad"' in text


def test_the_summary_is_text_and_not_code():
    text = report.summary(
        record(failure="<script>x</script>", versions={"<b>": "<i>"}, machine={"system": "<u>"})
    )
    assert not re.search(r"<(script|b|i|u)>", text)


def test_the_notebook_that_failed_is_marked_and_times_are_those_of_the_rest():
    rows = [
        {"name": name, "status": status, "seconds": 2.0}
        for name, status in {"01_a": "ok", "02_b": "failed", "03_c": "not run"}.items()
    ]
    text = report.summary(record(notebooks=rows, failure="02_b failed"))
    assert text.count('class="failed"') == 1 and 'class="not run"' not in text
    times = re.findall(r"</span></td><td>([^<]+)</td>", text)
    assert times == ["2.0 s", "failed", "not run"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(30.4, "30 s"), (119, "119 s"), (120, "2.0 min"), (459, "7.7 min")]
)
def test_how_long_it_took(seconds, words):
    assert f"UTC, {words} in all." in report.summary(record(seconds=seconds))


def test_the_worst_error_is_the_one_to_speak_of():
    metrics = {"converged": True, "noise_floor": 0.01, "test_mse_float": 0.011}
    text = report.summary(record(metrics={**metrics, "test_mse_int8": 0.0123}))
    assert "test error 0.0123, of which noise makes 0.0100." in text


def test_a_bar_is_as_long_as_its_notebook_took():
    rows = [
        {"name": name, "status": "ok", "seconds": seconds}
        for name, seconds in {"01_a": 2.0, "02_b": 8.0, "03_c": 4.0}.items()
    ]
    text = report.summary(record(notebooks=rows))
    assert re.findall(r"width:(\d+)%", text) == ["25", "100", "50"]


def test_one_parameter_with_two_values_is_shown_twice():
    text = report.summary(record(parameters={"03_a": {"SEED": 1}, "04_b": {"SEED": 2}}))
    assert "03: SEED" in text and "04: SEED" in text


# ---- Two runs


OTHER = {
    "parameters": {"03_small_model": {"SEED": 2, "EPOCHS": 500}, "04_larger_model": {"SEED": 2}},
    "versions": {"numpy": "2.4.6", "keras": "3.16.0", "tqdm": None},
    "metrics": {"converged": False, "test_mse_int8": 0.16, "int8_bytes": 2736},
}


def test_two_runs_side_by_side(tmp_path):
    one, other = write_run(tmp_path / "one"), write_run(tmp_path / "other", **OTHER)
    page = tmp_path / "both.html"
    command = ["compare", str(one), str(other / "run.json"), "--html", str(page)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.stderr
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    for line in (
        "* SEED 1 2",
        "EPOCHS 500 500",
        "* Converged yes no",
        "* model.tflite - 2,736",
        "03_small_model 12.5 s 12.5 s",
        "* keras 3.15.1 3.16.0",
        "2 others are equal",
    ):
        assert line in lines
    assert lines.index("* SEED 1 2") < lines.index("EPOCHS 500 500"), "What differs comes first."
    text = page.read_text()
    assert "3.16.0" in text and "http" not in text and "src=" not in text


def test_two_runs_stand_in_columns():
    text = report.comparison_text(record(), record(**OTHER))
    rows = re.finditer(r"^[* ] (\S.*?| *)  +(\S.*?)  +(\S.*)$", text, re.MULTILINE)
    places = [(row.start(2) - row.start(), row.start(3) - row.start()) for row in rows]
    assert len(places) > 10 and len(set(places)) == 1, text


def test_long_texts_stay_within_their_columns():
    long = "x" * 1_000_000
    one = record(
        started=long,
        parameters={"03_a": {long: long}},
        versions={long: long},
        machine={"system": long},
        notebooks=[{"name": long, "status": long, "seconds": 1.0}],
    )
    lines = report.comparison_text(one, record()).splitlines()
    assert max(map(len, lines)) < 170 and sum("…" in line for line in lines) >= 5


def test_a_run_equals_itself(tmp_path):
    one = str(write_run(tmp_path / "one"))
    result = CliRunner().invoke(main, ["compare", one, one])
    assert result.exit_code == 0 and "*" not in result.stdout
    assert "all 3 are equal" in result.stdout


def test_the_commit_is_compared_always():
    same = record(versions={"commit": "c20d04c948d6", "numpy": "2.4.6"})
    other = record(versions={"commit": "59351fb00000", "numpy": "2.4.6"})
    assert report.compare(same, same)["Versions"][0] == ("commit", *["c20d04c948d6"] * 2)
    assert report.compare(same, other)["Versions"] == [
        ("commit", "c20d04c948d6", "59351fb00000"),
        ("1 other is equal", "", ""),
    ]
    assert "commit c20d04c948d6" in report.summary(same)


# ---- What comes from other computers


def test_no_text_of_a_record_is_markup_in_its_summary():
    summary, harmless = (report.summary(hostile_run(text)) for text in (HOSTILE, "harmless"))
    assert elements(summary) == elements(harmless)
    assert not harmful(summary) and not moves_the_cursor(summary)
    assert "{{ 7 * 7 }}" in summary, "A text was taken for a template."


def test_no_text_of_a_record_is_markup_in_a_comparison(tmp_path):
    pages = []
    for text in (HOSTILE, "harmless"):
        one = write_run(tmp_path / text[-8:] / "one", hostile_run(text))
        other = write_run(tmp_path / text[-8:] / "other", hostile_run(text + "!"))
        pages.append(tmp_path / f"{len(pages)}.html")
        command = ["compare", str(one), str(other), "--html", str(pages[-1])]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert not moves_the_cursor(result.output)
    hostile, harmless = (page.read_text(encoding="utf-8") for page in pages)
    assert elements(hostile) == elements(harmless)
    assert not harmful(hostile) and not moves_the_cursor(hostile)
    assert "<title>Two runs</title>" in hostile


def test_what_the_commands_say_of_a_damaged_record_moves_no_cursor(tmp_path):
    folder = write_run(tmp_path / "run", hostile_run(HOSTILE) | {"notebooks": [HOSTILE]})
    for command in (["report", str(folder)], ["compare", str(folder), str(folder)]):
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 1 and "notebooks[0] is" in result.stderr
        assert not moves_the_cursor(result.output)
