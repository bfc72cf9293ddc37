"""Sweeps: what is left when workers die, and what the table says."""

import os
import shutil
import signal
import subprocess
import sys

import nbformat
import pytest
import sweep_tasks
from patience import HUNG

from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps import execute, run, spec
from workshop_utils.sweeps import spec as specs

pytestmark = pytest.mark.usefixtures("home")  # the command locks it, and makes a folder there


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


def workshop(*arguments, most=None, **options):
    """Start `workshop sweep`; most: with runs that only sleep a little, and so many that end."""
    quickly = (
        "from workshop_utils.sweeps import execute; import sweep_tasks; "
        "execute.full_path = sweep_tasks.hangs"
    )
    command = f"{quickly if most else ''}\nfrom workshop_utils.cli import main; main()"
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), sweep_tasks.MOST: str(most)}
    return subprocess.Popen(
        [sys.executable, "-c", command, "sweep", *map(str, arguments)],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Shells let what they start in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **options,
    )


@pytest.mark.parametrize(("keep", "kept"), [("best", {4}), ("none", set())])
def test_whose_artifacts_are_kept(tmp_path, monkeypatch, keep, kept):
    """Run 5 fails; 4 and 6 are good, and 4 is the smaller one. All are kept in the test above."""
    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    plan, folder = grid(SEED={"min": 1, "max": 6}), tmp_path / "sweep"
    done = execute.execute(
        plan, folder, 1, say=lambda line: None, task=sweep_tasks.graded, keep=keep
    )
    assert done == (5, 1, "bad luck")
    assert {int(row["run"]) for row in execute.read(folder)[1]} == set(range(1, 7))
    found = {number for number in range(1, 7) if execute.home_of(folder, number).path.exists()}
    assert found == kept
    if keep == "best":
        # A resumed sweep knows the best one so far, and nothing worse takes its place.
        execute.execute(plan, folder, 1, resume=True, task=sweep_tasks.well, keep=keep)
        assert [path.name for path in (folder / "runs").iterdir()] == ["0004"]


def test_a_folder_that_is_deleted_is_not_blamed_on_the_runs(tmp_path, monkeypatch):
    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    folder, lines = tmp_path / "sweep", []

    def say(line):
        lines.append(line)
        if len(lines) == 2:
            shutil.rmtree(folder)

    with pytest.raises(WorkshopError, match=r"results\.csv was deleted"):
        execute.execute(grid(SEED={"min": 1, "max": 40}), folder, 2, say=say, task=sweep_tasks.well)
    assert not any("tried again" in line or "failed" in line for line in lines)
    assert len(lines) < 10 and not (folder / execute.TABLE).exists()


def test_somebody_elses_results_are_not_replaced(tmp_path):
    (tmp_path / execute.TABLE).write_text("mine")
    with pytest.raises(WorkshopError, match="was not made by a sweep"):
        execute.execute(grid(SEED=[1, 2]), tmp_path)
    assert (tmp_path / execute.TABLE).read_text() == "mine"
    assert not (tmp_path / execute.PLAN).exists()


def test_killed_at_any_moment_and_resumed(tmp_path, monkeypatch):
    """A row that is there stays, whatever the moment, and at the end each run is there once."""
    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    spec, folder = tmp_path / "spec.yml", tmp_path / "sweep"
    spec.write_text("mode: grid\nparameters: {SEED: {min: 1, max: 16}}")
    seen = set()
    for count, most in ((1, 3), (7, 12)):
        started = workshop(spec, "--output", folder, "--resume", most=most, start_new_session=True)
        ends = (line for line in started.stdout if line.startswith("["))
        for _ in range(count):
            next(ends)
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
        rows = {row["run"]: row["status"] for row in execute.read_table(folder / execute.TABLE)}
        assert set(rows) >= seen and len(rows) >= len(seen) + count
        seen = set(rows)
    # As a full disk leaves it: a line that breaks off, which cannot be told from no line.
    with (folder / execute.TABLE).open("a") as table:
        table.write("15,ok,15,10")
    assert {row["run"] for row in execute.read_table(folder / execute.TABLE)} == seen
    resumed = workshop(spec, "--output", folder, "--resume", "--workers", 1, most=16)
    printed, said = resumed.communicate()
    assert (resumed.returncode, said) == (0, "")
    assert f"{len(seen)} of 16 runs are done already" in printed
    _, rows = execute.read(folder)
    assert [int(row["run"]) for row in rows] == list(range(1, 17))


def test_ctrl_c_and_resume(tmp_path, monkeypatch):
    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    spec, folder = tmp_path / "spec.yml", tmp_path / "sweep"
    spec.write_text("mode: grid\nparameters: {SEED: {min: 1, max: 12}}")
    # As a terminal does it, Ctrl-C reaches workers and what they started, too.
    started = workshop(spec, "--output", folder, most=6, start_new_session=True)
    for line in started.stdout:
        if line.startswith("[ "):
            break
    os.killpg(started.pid, signal.SIGINT)
    _, said = started.communicate(timeout=HUNG)
    sentence = "Stopped. What has ended is in the table; --resume goes on.\n"
    assert (started.returncode, said) == (130, sentence)
    done = rows_by_seed(folder)
    assert 1 <= len(done) <= 6
    before = sweep_tasks.calls()

    resumed = workshop(spec, "--output", folder, "--resume", "--workers", 1, most=12)
    printed, said = resumed.communicate(timeout=HUNG)
    assert (resumed.returncode, said) == (0, "")
    assert f"{len(done)} of 12 runs are done already" in printed
    rows = rows_by_seed(folder)
    assert set(rows) == set(range(1, 13))
    assert all(rows[seed] == row for seed, row in done.items())
    again = sweep_tasks.calls()[len(before) :]
    # As a set: a run that was begun when its worker was ended is begun again.
    assert set(again) == set(rows) - set(done), "What was done is not done again."


def test_the_full_path_and_its_report(tmp_path):
    spec, folder = tmp_path / "spec.yml", tmp_path / "sweep"
    text = "parameters: {SEED: [1, 2], LAYERS: [1, 3], NEURONS: 2, EPOCHS: 3}"
    spec.write_text(f"mode: random\nruns: 3\n{text}")  # of four: each of these is there
    started = workshop(spec, "--output", folder, "--workers", 1)
    printed, said = started.communicate(timeout=HUNG)
    assert (started.returncode, said) == (0, ""), said
    assert "3 runs ended well, 0 failed" in printed
    _, rows = execute.read(folder)
    assert [row["status"] for row in rows] == ["ok"] * 3
    values = specs.read(spec).runs[2]
    again = run.run(values, tmp_path / "again", tmp_path / "build")
    assert {name: rows[2][name] for name in again} == {n: str(v) for n, v in again.items()}
    sizes = [path.stat().st_size for path in sorted(folder.glob("runs/*/models/model.tflite"))]
    assert sizes == [int(row["model_bytes"]) for row in rows]
    # A layer of 2 has 4 numbers after the input and 6 after another; the last neuron has 3.
    weights = {1: 4 + 3, 3: 4 + 6 + 6 + 3}
    assert [int(row["weights"]) for row in rows] == [weights[int(row["LAYERS"])] for row in rows]

    reported = workshop("report", folder)
    _, said = reported.communicate(timeout=HUNG)
    assert (reported.returncode, said) == (0, "")
    notebook = nbformat.read(folder / "report.ipynb", 4)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4, "Two fronts, depth, seeds; width and noise do not differ."
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png') == 4 and "<script src" not in page
