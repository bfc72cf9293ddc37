"""Sweeps: what may be asked for, what a run is, and what is left when workers die."""

import json
import os
import random
import signal
import subprocess
import sys
import threading

import nbformat
import numpy as np
import pytest
import sweep_tasks

from workshop_utils import data, inference, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks
from workshop_utils.sweeps import execute, report, run, spec
from workshop_utils.sweeps import spec as specs

# ---- What may be asked for


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
    for number in ("02", "04", "05"):
        for name, value in notebooks.parameters(notebooks.notebooks()[number]).items():
            if name not in ("SEED", "NEURONS", "EPOCHS"):
                assert {run[name] for run in plan.runs} == {value}
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
        ("mode: grid\nparameters: {NEURONS: [0]}", "NEURONS is 0, but must be"),
        ("mode: grid\nparameters: {NEURONS: []}", "empty"),
        ("mode: grid\nparameters: {LAYERS: [1, 5]}", "LAYERS is 5, but must be"),
        ("mode: grid\nparameters: {NEURONS: [4, 4]}", "twice"),
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


def test_a_large_grid_can_be_confirmed(tmp_path):
    path = tmp_path / "spec.yml"
    path.write_text("mode: grid\nparameters: {SEED: {min: 1, max: 501}}")
    assert len(spec.read(path, confirmed=True).runs) == 501


@pytest.mark.parametrize("name", ["how_small", "fifty_seeds"])
def test_the_shipped_sweep_is_the_table_that_is_shipped(name):
    """Each run of the .yml is in the .csv, once, with the parameters that it asks for."""
    folder = paths.NOTEBOOKS_DIR / "data"
    plan = spec.read(folder / f"{name}.yml")
    rows = report.table(folder / f"{name}.csv")
    assert rows[list(plan.runs[0])].to_dict("records") == plan.runs


# ---- A run


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    values = spec.defaults() | {"EPOCHS": 60}
    return run.run(values, folder / "home", folder / "build"), folder / "home"


def test_a_run_makes_the_model_that_the_notebooks_cells_make(a_run, int8_tflite, dataset):
    metrics, home = a_run
    model = (home / "models" / "model.tflite").read_bytes()
    every = np.arange(-128, 128).astype(np.int8)
    answers, expected = (inference.invoke(one, every) for one in (model, int8_tflite))
    assert np.array_equal(answers, expected)
    loaded = data.load(home / "models" / "dataset.npz")
    assert all(map(np.array_equal, loaded, dataset))
    error = inference.evaluate(int8_tflite, dataset.x_test, dataset.y_test, metrics["runtime"])
    assert metrics["test_error"] == pytest.approx(error, rel=1e-5)
    assert metrics["model_bytes"] == len(model) and metrics["weights"] == 321
    assert metrics["equal"] == 256 or metrics["runtime"] == "litert"


def test_a_run_is_a_home_for_the_workshop_command(a_run):
    metrics, home = a_run
    printed = subprocess.run(
        [sys.executable, "-m", "workshop_utils.cli", "firmware", "run"],
        env={**os.environ, "WORKSHOP_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"\n{metrics['instructions']:,} instructions per inference" in printed


def test_the_seed_decides_on_the_weights_whatever_other_threads_draw():
    """Dask's threads use Python's `random` too; one here does nothing else."""
    values, stop = spec.defaults(), threading.Event()

    def draw():
        while not stop.wait(0.02):
            random.random()

    expected = run._model(values).get_weights()
    other = threading.Thread(target=draw)
    other.start()
    try:
        for _ in range(3):
            weights = run._model(values).get_weights()
            assert all(map(np.array_equal, weights, expected))
    finally:
        stop.set()
        other.join()


# ---- Many runs


def rows_by_seed(folder):
    _, rows = execute.read(folder)
    seeds = [int(row["SEED"]) for row in rows]
    assert len(seeds) == len(set(seeds)), "A run is there twice."
    return dict(zip(seeds, rows, strict=True))


def test_workers_die_and_nothing_is_lost_or_doubled(tmp_path, monkeypatch):
    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    plan, folder, lines = grid(SEED={"min": 1, "max": 12}), tmp_path / "sweep", []
    execute.execute(plan, folder, 2, say=lines.append, task=sweep_tasks.deadly)
    rows = rows_by_seed(folder)
    assert set(rows) == set(range(1, 13))
    calls = sweep_tasks.calls()
    bad = {sweep_tasks.RAISES: "ValueError: no luck", sweep_tasks.DIES: "the worker died"}
    tries = dict.fromkeys(bad, 3) | {sweep_tasks.DIES_ONCE: 2}
    for seed, row in rows.items():
        assert row["status"] == ("failed" if seed in bad else "ok")
        assert row["error"] == bad.get(seed, "")
        assert int(row["attempts"]) == calls.count(seed) == tries.get(seed, 1), seed
        made = folder / "runs" / f"{int(row['run']):04}" / "models" / "model.tflite"
        assert made.exists() == (seed not in bad)
    assert sum(line.startswith("[") for line in lines) == 12 and "left" in lines[-1]
    assert not (folder / ".workers").exists()

    # Only what failed is done again.
    execute.execute(plan, folder, 1, resume=True, task=sweep_tasks.well)
    assert sorted(sweep_tasks.calls()[len(calls) :]) == sorted(bad)
    assert {row["status"] for row in rows_by_seed(folder).values()} == {"ok"}
    with pytest.raises(WorkshopError, match="--resume goes on"):
        execute.execute(plan, folder)
    with pytest.raises(WorkshopError, match="other runs"):
        execute.execute(grid(SEED=[1, 2]), folder, resume=True)


def test_a_scheduler_by_address(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    with LocalCluster(n_workers=2, processes=False, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        execute.execute(
            grid(SEED=[1, 2, 3]), tmp_path / "sweep", scheduler=address, task=sweep_tasks.well
        )
    assert set(rows_by_seed(tmp_path / "sweep")) == {1, 2, 3}


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "PATIENCE", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://"):
        with pytest.raises(WorkshopError, match=f"no Dask scheduler at {address}"):
            execute.execute(grid(SEED=[1, 2]), tmp_path / "sweep", scheduler=address, resume=True)


def workshop(*arguments, quick=False, **options):
    """Start `workshop sweep`; quick: with a run that only sleeps a little."""
    quickly = (
        "from workshop_utils.sweeps import execute; import sweep_tasks; "
        "execute.full_path = sweep_tasks.well"
    )
    command = f"{quickly if quick else ''}\nfrom workshop_utils.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", command, "sweep", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_ctrl_c_and_resume(tmp_path, monkeypatch):
    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    spec, folder = tmp_path / "spec.yml", tmp_path / "sweep"
    spec.write_text("mode: grid\nparameters: {SEED: {min: 1, max: 100}}")
    # As a terminal does it, Ctrl-C reaches workers and what they started, too.
    started = workshop(spec, "--output", folder, quick=True, start_new_session=True)
    for line in started.stdout:
        if line.startswith("[ "):
            break
    os.killpg(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=60)
    sentence = "Stopped. What has ended is in the table; --resume goes on.\n"
    assert (started.returncode, said) == (130, sentence)
    done = rows_by_seed(folder)
    assert 1 <= len(done) < 100
    before = sweep_tasks.calls()

    resumed = workshop(spec, "--output", folder, "--resume", quick=True)
    printed, said = resumed.communicate(timeout=200)
    assert (resumed.returncode, said) == (0, "")
    assert f"{len(done)} of 100 runs are done already" in printed
    rows = rows_by_seed(folder)
    assert set(rows) == set(range(1, 101))
    assert all(rows[seed] == row for seed, row in done.items())
    again = sweep_tasks.calls()[len(before) :]
    # As a set: a run may be begun twice when its worker is restarted after fifty runs.
    assert set(again) == set(rows) - set(done), "What was done is not done again."


def test_the_full_path_and_its_report(tmp_path):
    spec, folder = tmp_path / "spec.yml", tmp_path / "sweep"
    text = "mode: grid\nparameters: {SEED: [1, 2], LAYERS: [1, 3], NEURONS: 2, EPOCHS: 3}"
    spec.write_text(text)
    started = workshop(spec, "--output", folder, "--workers", 1)
    printed, said = started.communicate(timeout=300)
    assert (started.returncode, said) == (0, ""), said
    assert "4 runs ended well, 0 failed" in printed
    _, rows = execute.read(folder)
    assert [row["status"] for row in rows] == ["ok"] * 4
    values = specs.read(spec).runs[3]
    again = run.run(values, tmp_path / "again", tmp_path / "build")
    assert {name: rows[3][name] for name in again} == {n: str(v) for n, v in again.items()}
    sizes = [path.stat().st_size for path in sorted(folder.glob("runs/*/models/model.tflite"))]
    assert sizes == [int(row["model_bytes"]) for row in rows]
    # A layer of 2 has 4 numbers after the input and 6 after another; the last neuron has 3.
    weights = {1: 4 + 3, 3: 4 + 6 + 6 + 3}
    assert [int(row["weights"]) for row in rows] == [weights[int(row["LAYERS"])] for row in rows]

    reported = workshop("report", folder)
    _, said = reported.communicate(timeout=200)
    assert (reported.returncode, said) == (0, "")
    notebook = nbformat.read(folder / "report.ipynb", 4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4, "Two fronts, depth, seeds; width and noise do not differ."
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png') == 4 and "<script src" not in page
