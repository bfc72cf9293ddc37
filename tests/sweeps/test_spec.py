"""What a sweep may be asked for, and which runs come of it."""

import json
import os
import shutil

import numpy as np
import pytest

from workshop_utils import convert, files, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks
from workshop_utils.sweeps import report, spec


def grid(**parameters):
    return spec.plan({"mode": "grid", "parameters": parameters})


def draws(runs, seed=1, **parameters):
    content = {"mode": "random", "runs": runs, "seed": seed, "parameters": parameters}
    return spec.plan(content).runs


def test_a_grid_is_every_combination_and_the_rest_is_the_notebooks():
    plan = grid(SEED={"min": 1, "max": 3}, NEURONS=[4, 8], per_channel=[False, True], EPOCHS=9)
    assert plan.varied == ["SEED", "NEURONS", "per_channel"]
    seen = {(run["SEED"], run["NEURONS"], run["per_channel"]) for run in plan.runs}
    assert len(plan.runs) == len(seen) == 12
    for number, names in spec.PARAMETERS.items():
        own = notebooks.parameters(notebooks.notebooks()[number])
        for name in names:
            if name not in ("SEED", "NEURONS", "EPOCHS"):
                assert {run[name] for run in plan.runs} == {own[name]}
    assert {run["EPOCHS"] for run in plan.runs} == {9}


def test_ranges_have_both_ends():
    runs = grid(
        NOISE={"min": 0, "max": 0.3, "step": 0.1}, SEED={"min": 1, "max": 6, "step": 2}
    ).runs
    assert sorted({run["NOISE"] for run in runs}) == [0.0, 0.1, 0.2, 0.3]
    assert sorted({run["SEED"] for run in runs}) == [1, 3, 5]


def test_random_search_repeats_itself_and_nothing_else():
    axes = {
        "NOISE": {"min": 0.001, "max": 1, "scale": "log"},
        "SEED": {"min": 1, "max": 9},
        "NEURONS": {"min": 2, "max": 64, "scale": "log"},
        "per_channel": [True, False],
    }
    runs = draws(200, **axes)
    assert runs == draws(200, **axes) != draws(200, seed=2, **axes)
    assert len({json.dumps(run) for run in runs}) == 200
    noise = np.array([run["NOISE"] for run in runs])
    assert noise.min() >= 0.001 and noise.max() <= 1
    assert 0.3 < np.mean(noise < 1000**-0.5) < 0.7, "Half of them below the geometric mean."
    widths = {run["NEURONS"] for run in runs}
    assert min(widths) >= 2 and max(widths) <= 64 and all(type(width) is int for width in widths)
    assert {run["SEED"] for run in runs} == set(range(1, 10))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mode: grid\nparameters: {SEEDS: 1}", "no parameter SEEDS; did you mean SEED?"),
        ("mode: grid\nparameters: {neurons: 1}", "did you mean NEURONS?"),
        ("mode: grid\nparameters: {PER_CHANNEL: true}", "did you mean per_channel?"),
        ("mode: grid\nparameters: {RATE: 1}", "there is no parameter RATE; there are: SEED,"),
        ("mode: grid\nparameter: {SEED: 1}", "did you mean parameters?"),
        ("mode: grit\nparameters: {SEED: 1}", "mode must be grid or random, not 'grit'"),
        ("mode: grid\nparameters: {}", "must name at least one"),
        ("mode: grid\nparameters: {SEED: one}", "SEED must be a whole number, not 'one'"),
        ("mode: grid\nparameters: {SEED: [1, 2.5]}", "SEED must be a whole number, not 2.5"),
        ("mode: grid\nparameters: {SEED: true}", "SEED must be a whole number"),
        ("mode: grid\nparameters: {NOISE: lots}", "NOISE must be a number"),
        ("mode: grid\nparameters: {NOISE: .nan}", "NOISE is nan"),
        ("mode: grid\nparameters: {NOISE: [0.1, 99]}", "NOISE is 99.0, but must be"),
        ("mode: grid\nparameters: {per_channel: 1}", "per_channel must be true or false"),
        (
            "mode: grid\nparameters: {engine: tflm}",
            "engine must be compact or generated, not 'tflm'",
        ),
        ("mode: grid\nparameters: {engine: 1}", "engine must be str, not 1"),
        (
            "mode: grid\nparameters: {engine: {min: 1, max: 2}}",
            "engine is a word, so give it a list",
        ),
        (
            "mode: random\nruns: 1\nparameters: {engine: [tiny]}",
            "engine must be compact or generated",
        ),
        ("mode: grid\nparameters: {NEURONS: [0]}", "NEURONS is 0, but must be"),
        ("mode: grid\nparameters: {NEURONS: []}", "empty"),
        ("mode: grid\nparameters: {LAYERS: [1, 5]}", "LAYERS is 5, but must be"),
        ("mode: grid\nparameters: {NEURONS: [4, 4]}", "twice"),
        (
            "mode: grid\nparameters:\n  SEED: [1, 2]\n  SEED: [3]",
            "SEED is there twice, again in line 4",
        ),
        ("mode: grid\nparameters: {NEURONS: {min: 4}}", "both min and max"),
        ("mode: grid\nparameters: {NEURONS: {min: 4, max: 2}}", "above max"),
        ("mode: grid\nparameters: {NEURONS: {min: 4, max: 8, steps: 2}}", "did you mean step?"),
        ("mode: grid\nparameters: {NOISE: {min: 0, max: 1}}", "needs a step"),
        ("mode: grid\nparameters: {NOISE: {min: 0, max: 1, step: 0}}", "step must be above 0"),
        ("mode: grid\nruns: 3\nparameters: {SEED: 1}", "runs belongs to mode: random"),
        ("mode: grid\nparameters: {SEED: {min: 1, max: 501}}", "501 runs.*--yes"),
        ("mode: grid\nparameters: {SEED: {min: 0, max: 4294967295}}", "more than 100,000"),
        ("mode: random\nparameters: {SEED: [1, 2]}", "runs is None, but must be"),
        ("mode: random\nruns: 3\nparameters: {SEED: [1, 2]}", "only 2 different"),
        ("mode: random\nruns: 1\nparameters: {NEURONS: [0]}", "NEURONS is 0, but must be"),
        ("mode: random\nruns: 1\nparameters: {NOISE: 99}", "NOISE is 99.0, but must be"),
        ("mode: random\nruns: 600\nparameters: {SEED: {min: 0, max: 9999}}", "600 runs.*--yes"),
        ("mode: random\nruns: 3\nparameters: {NOISE: {min: 0, max: 1, scale: log}}", "above 0"),
        ("- SEED", "described by `mode` and `parameters`"),
        ("", "described by `mode` and `parameters`"),
        ("mode: [grid", "is not YAML in line"),
    ],
)
def test_a_spec_that_cannot_work_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "spec.yml"
    path.write_text(text)
    with pytest.raises(WorkshopError, match=words) as refused:
        spec.read(path)
    assert "spec.yml" in str(refused.value) and "\n" not in str(refused.value)


GRID = "mode: grid\nparameters: "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GRID + "{SEED: 2001-13-45}", "a value cannot be used: month must be in 1..12"),
        ("mode: random\nruns: 3\nseed: 2001-11-03\nparameters: {NOISE: 0.1}", "seed|SEED"),
        (GRID + "{SEED: 2001-11-03 99:99:99}", "a value cannot be used"),
        (GRID + "{SEED: !!python/object/apply:os.getcwd []}", "not YAML in line 2: could not det"),
        (GRID + "{SEED: !wrong 1}", "not YAML in line 2"),
        (GRID + "{? [SEED] : 1}", "not YAML in line 2"),
        (GRID + f"{{SEED: {'9' * 5000}}}", "a value cannot be used|must be from"),
        (GRID + f"{{SEED: 0x{'f' * 5000}}}", "a value cannot be used|must be from"),
        (GRID + f"{{NOISE: 0x{'f' * 5000}}}", "a value cannot be used"),
        (GRID + f"{{NOISE: {'9' * 5000}}}", "a value cannot be used|NOISE"),
        (GRID + f"{{SEED: '{'9' * 5000}'}}", "SEED must be a whole number"),
        (GRID + f"{{SEED: '{'-' * 200_000}1'}}", "SEED must be a whole number"),
        (f"mode: random\nruns: 0x{'f' * 5000}\nparameters: {{SEED: 1}}", "value cannot|runs is"),
        (GRID + "{NOISE: {min: 0, max: 0.3, step: 1.0e-320}}", "endlessly many values"),
        (GRID + "{NOISE: {min: 0, max: 0.3, step: 1.0e-9}}", "300,000,001 values"),
        (GRID + "{NOISE: .inf}", "NOISE is inf"),
        (GRID + "[" * 5000 + "]" * 5000, "more than 20 deep in line 2"),
        (GRID + "[" * 1_000_000, "more than 20 deep in line 2"),
        (GRID + "{a: " * 200_000, "more than 20 deep in line 2"),
        ("- " * 500_000, "more than 20 deep in line 1"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
                for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
            ),
            "an alias such as .a has no place",
        ),
        (GRID + "{SEED: [" + ", ".join(map(str, range(60_000))) + "]}", "60,000 runs.*--yes"),
        (GRID + "{NEURONS: [" + ", ".join(map(str, range(1, 60_000))) + "]}", "--yes|NEURONS"),
        (GRID + "{SEED: [" + "x, " * 60_000 + "]}", "SEED must be a whole number, not 'x'"),
        (GRID + "\n  ? " + "X" * 300_000 + "\n  : 1", "there is no parameter XXX"),
        (f"mode: {'x' * 300_000}\nparameters: {{SEED: 1}}", "mode must be grid or random"),
        (GRID + '{SEED: "\\e[2J"}', "SEED must be a whole number"),
        ("\0" * 1000, "not YAML"),
        (" " * (spec.MOST_BYTES + 1), "too large"),
    ],
    ids=lambda value: value[:50].replace("\0", "0"),
)
def test_a_hostile_spec_is_one_short_sentence(tmp_path, text, words):
    path = tmp_path / "spec.yml"
    path.write_text(text)
    with pytest.raises(WorkshopError, match=words) as refused:
        spec.read(path)
    said = str(refused.value)
    assert "spec.yml" in said and said.isprintable() and len(said) < 400 + len(str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="only Unix has pipes with names")
def test_a_spec_that_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "spec.yml")
    for path in (tmp_path / "spec.yml", tmp_path):
        with pytest.raises(WorkshopError, match="it is not a file"):
            spec.read(path)


def test_sixty_thousand_values_are_read(tmp_path):
    path = tmp_path / "spec.yml"
    path.write_text(GRID + "{SEED: [" + ", ".join(map(str, range(60_000))) + "]}")
    runs = spec.read(path, confirmed=True).runs
    assert [run["SEED"] for run in runs] == list(range(60_000))


def test_a_large_grid_can_be_confirmed(tmp_path):
    path = tmp_path / "spec.yml"
    path.write_text("mode: grid\nparameters: {SEED: {min: 1, max: 501}}")
    assert len(spec.read(path, confirmed=True).runs) == 501
    path.write_text("mode: grid\nparameters: {SEED: {min: 1, max: 500}}")
    assert len(spec.read(path).runs) == 500, "So many need no word."


def test_the_most_runs_are_possible_and_one_more_is_not(monkeypatch):
    monkeypatch.setattr(spec, "MAX_RUNS", 6)
    assert len(grid(SEED=[1, 2], NEURONS=[1, 2, 3]).runs) == 6
    assert len(grid(SEED={"min": 0, "max": 5}).runs) == 6
    with pytest.raises(WorkshopError, match="7 runs, more than the 6"):
        grid(SEED=list(range(7)))
    with pytest.raises(WorkshopError, match="SEED has 7 values, more than 6"):
        grid(SEED={"min": 0, "max": 6})


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(WorkshopError, match=r"Cannot read .*spec\.yml: No such file"):
        spec.read(tmp_path / "spec.yml")
    (tmp_path / "spec.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(WorkshopError, match=r"Cannot read .*spec\.yml: it is not text"):
        spec.read(tmp_path / "spec.yml")


def test_draws_reach_both_ends_of_a_range_and_nothing_beyond():
    for scale in ({}, {"scale": "linear"}, {"scale": "log"}):
        runs = draws(24, NEURONS={"min": 3, "max": 5, **scale}, SEED={"min": 0, "max": 99})
        assert {run["NEURONS"] for run in runs} == {3, 4, 5}
    noise = [run["NOISE"] for run in draws(200, NOISE={"min": 0.1, "max": 0.2})]
    assert 0.1 <= min(noise) < 0.11 and 0.19 < max(noise) <= 0.2
    assert all(value == float(f"{value:.6g}") for value in noise)
    same = draws(3, NOISE={"min": 0.123456789, "max": 0.123456789}, SEED=[1, 2, 3])
    assert {run["NOISE"] for run in same} == {0.123456789}, "Rounding leaves no range."


@pytest.fixture
def more_parameters(tmp_path, monkeypatch):
    """The course's notebooks, each with one parameter more."""
    for path in notebooks.notebooks().values():
        content = files.read_notebook(path)
        for cell in content["cells"]:
            if "parameters" in cell["metadata"].get("tags", []):
                cell["source"] = [*cell["source"], "\nMORE = 1"]
        (tmp_path / path.name).write_text(json.dumps(content))
    shutil.copytree(paths.NOTEBOOKS_DIR / "data", tmp_path / "data")
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", tmp_path)


def test_another_parameter_of_a_notebook_is_no_column_and_refuses_no_table(more_parameters):
    assert "MORE" in notebooks.parameters(notebooks.notebooks()["04"])
    assert "MORE" not in spec.defaults()
    assert len(report.table(paths.NOTEBOOKS_DIR / "data" / "how_small.csv")) > 100


def test_a_table_from_before_a_parameter_was_varied_had_the_notebooks_value(
    more_parameters, monkeypatch
):
    wanted = spec.PARAMETERS | {"05": (*spec.PARAMETERS["05"], "MORE")}
    monkeypatch.setattr(spec, "PARAMETERS", wanted)
    rows = report.table(paths.NOTEBOOKS_DIR / "data" / "how_small.csv")
    assert set(rows["MORE"]) == {1} and "MORE" not in report.varied(rows)
    assert len(report.configurations(rows)) > 10


def test_the_engine_is_a_sweeps_parameter():
    plan = grid(engine=["compact", "generated"])
    assert plan.varied == ["engine"] and [run["engine"] for run in plan.runs] == [*spec.ENGINES]
    assert {run["engine"] for run in draws(3, SEED=[1, 2, 3])} == {"compact"}
    rows = report.table(paths.NOTEBOOKS_DIR / "data" / "how_small.csv")
    assert set(rows["engine"]) == {"compact"} and "engine" not in report.varied(rows)


def test_the_options_of_the_conversion_are_a_sweeps_parameters():
    assert set(convert.options().items()) <= set(spec.defaults().items())
    assert spec.defaults()["per_channel"] is False


@pytest.mark.parametrize("name", ["how_small", "fifty_seeds"])
def test_the_shipped_sweep_is_the_table_that_is_shipped(name):
    """Each run of the .yml is in the .csv, once, with the parameters that it asks for."""
    folder = paths.NOTEBOOKS_DIR / "data"
    plan = spec.read(folder / f"{name}.yml")
    rows = report.table(folder / f"{name}.csv")
    assert rows[list(plan.runs[0])].to_dict("records") == plan.runs
