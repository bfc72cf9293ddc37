"""Sweeps: what is left when workers die, and what the table says."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
import sweep_tasks

from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps import execute, run, spec, workers
from workshop_utils.sweeps import spec as specs


def grid(**parameters):
    return spec.plan({"mode": "grid", "parameters": parameters})


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
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 1)
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
