"""Workers of a sweep: which get runs, and what is said if there is none that could."""

import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import sweep_tasks

from workshop_utils import paths
from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps import execute, spec, workers

# As a machine without the course has it: neither its folder nor what installs it there.
WITHOUT = (
    "import sys; from pathlib import Path\n"
    f"course = Path({str(paths.PROJECT)!r})\n"
    "sys.path[:] = [one for one in sys.path if Path(one or '.').resolve() != course]\n"
    "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f)]\n"
)
AT_ONCE = {"PATIENCE_SECONDS": 1, "LOOK_SECONDS": 0.2}


def plan(count):
    return spec.plan({"mode": "grid", "parameters": {"SEED": {"min": 1, "max": count}}})


@pytest.fixture
def dask(tmp_path, monkeypatch):
    """Starts Dask's own programs; dask("scheduler") returns the address, dask("worker") a process.

    course: the folder in which that program finds the course; None: it has none.
    """
    for name, value in AT_ONCE.items():
        monkeypatch.setattr(workers, name, value)
    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    started, place = [], tmp_path / "dask"
    place.mkdir()

    def start(kind, course=paths.PROJECT):
        file = place / "scheduler.json"
        code = WITHOUT + f"sys.path.append({str(paths.PROJECT / 'tests')!r})\n"
        if course:
            code += f"sys.path.insert(0, {str(course)!r})\n"
        code += f"sys.argv[0] = 'dask'; from distributed.cli.dask_{kind} import main; main()"
        options = {
            "scheduler": ["--port", "0", "--host", "127.0.0.1", "--no-dashboard"],
            "worker": ["--no-nanny", "--nthreads", "1", "--no-dashboard"],
        }[kind]
        with (place / "log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", code, "--scheduler-file", file, *options],
                cwd=place,
                env={name: v for name, v in os.environ.items() if name != "PYTHONPATH"},
                stdout=log,
                stderr=log,
            )
        started.append(process)
        if kind == "worker":
            return process
        while not (file.exists() and file.read_text().endswith("}")):
            assert process.poll() is None, (place / "log").read_text()
            time.sleep(0.1)
        return json.loads(file.read_text())["address"]

    start.started = started
    yield start
    for process in started:
        process.kill()
        process.wait()


def test_without_workers_a_sentence_says_so_and_the_sweep_goes_on_when_one_comes(dask, tmp_path):
    address, started, said = dask("scheduler", course=None), [], []

    def say(line):
        said.append(line)
        if "waiting: " in line:
            started.append(dask("worker"))

    done = execute.execute(  # the last of its runs takes the only worker with it
        plan(3), tmp_path / "sweep", scheduler=address, say=say, task=sweep_tasks.deadly
    )
    assert done == (3, 0, "")
    waits = [line for line in said if "waiting: the Dask scheduler has no worker" in line]
    assert len(waits) == len(started) == 2, said
    assert all(f"dask worker {address}" in line for line in waits)
    assert sum("a worker again" in line for line in said) == 2
    assert sum("is tried again: the worker died" in line for line in said) == 1


def test_a_worker_without_this_course_gets_no_runs(dask, tmp_path):
    """One lacks it, and another one has another version of it."""
    other = tmp_path / "other"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(paths.PROJECT / "workshop_utils", other / "workshop_utils", ignore=ignored)
    with (other / "workshop_utils" / "data.py").open("a") as file:
        file.write("\n# a version of tomorrow\n")
    address, refused = dask("scheduler", course=None), []
    for course in (None, other):
        dask("worker", course=course)

    def say(line):
        if "gets no runs: " in line:
            refused.append(line)
            if len(refused) == 2:
                dask("worker")

    done = execute.execute(
        plan(3), tmp_path / "sweep", scheduler=address, say=say, task=sweep_tasks.well
    )
    assert done == (3, 0, "")
    said = " ".join(refused)
    assert len(refused) == 2
    assert "it lacks the course" in said and "another version of the course" in said
    _, rows = execute.read(tmp_path / "sweep")
    assert {row["attempts"] for row in rows} == {"1"}, "No run was tried there."


def test_packages_that_differ_are_named():
    here = workers._identity_here()
    assert workers._difference(here) == ""
    assert workers._difference({}).startswith("it lacks the course")
    said = workers._difference(here | {"numpy": "1.0", "files": "other"})
    assert said == f"it has numpy 1.0 instead of {here['numpy']}"


def test_as_many_workers_of_a_scheduler_as_are_asked_for(tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setenv(sweep_tasks.LOG, str(tmp_path / "log"))
    with LocalCluster(n_workers=3, processes=False, dashboard_address="127.0.0.1:0") as cluster:
        for most, folder in ((None, tmp_path / "all"), (1, tmp_path / "one")):
            execute.execute(plan(9), folder, most, cluster.scheduler_address, task=sweep_tasks.well)
            _, rows = execute.read(folder)
            assert {int(row["SEED"]) for row in rows} == set(range(1, 10))
            assert len({row["worker"] for row in rows}) == (most or 3)


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://"):
        with pytest.raises(WorkshopError, match=f"no Dask scheduler at {address}"):
            execute.execute(plan(2), tmp_path / "sweep", scheduler=address, resume=True)


def test_a_scheduler_that_is_lost(dask, tmp_path, caplog):
    address = dask("scheduler")
    dask("worker")
    lines = []

    def say(line):
        lines.append(line)
        if line.startswith("[ 2/50]"):
            dask.started[0].kill()

    with pytest.raises(WorkshopError, match=r"scheduler was lost.*--resume"):
        execute.execute(
            plan(50), tmp_path / "sweep", scheduler=address, say=say, task=sweep_tasks.well
        )
    there = {row["status"] for row in execute.read(tmp_path / "sweep")[1]}
    assert there == {"ok"}, "Nobody else is to blame."
    assert not [one for one in caplog.records if one.name == "distributed.client"]


def test_a_worker_that_has_grown_is_renewed(tmp_path):
    folder = tmp_path / "sweep"
    execute.execute(plan(12), folder, 1, say=lambda line: None, task=sweep_tasks.grows)
    _, rows = execute.read(folder)
    # Two steps of 400 MB beyond the first are more than MOST_GROWTH.
    assert len({row["worker"] for row in rows}) >= 2
    assert [row["attempts"] for row in rows] == ["1"] * 12


def test_short_runs_travel_together_and_one_that_kills_costs_no_other_its_chances(
    tmp_path, monkeypatch
):
    given, submit = [], workers.Workers.begin

    def begin(self, runs, worker):
        given.append(list(runs))
        submit(self, runs, worker)

    monkeypatch.setattr(workers.Workers, "begin", begin)
    monkeypatch.setattr(workers, "SHORT_SECONDS", 60)  # a busy machine makes all of them long
    monkeypatch.setattr(workers, "PATIENCE_SECONDS", 5)  # for one that died while it was starting
    folder = tmp_path / "sweep"
    done = execute.execute(
        plan(300), folder, 1, say=lambda line: None, task=sweep_tasks.dies_among_others
    )
    assert done == (299, 1, "the worker died")
    assert max(map(len, given)) == workers.MOST_TOGETHER and len(given) < 150
    _, rows = execute.read(folder)
    assert {row["run"]: row["attempts"] for row in rows if row["attempts"] != "1"} == {"200": "3"}
    assert [200] in given, "A suspect is alone."


@pytest.mark.parametrize("error", [WorkshopError("no " * 100_000), ValueError("no\n" * 100_000)])
def test_a_long_error_becomes_one_short_line(error):
    said = workers._reason(error)
    assert len(said) == workers.LONGEST_ERROR and said.endswith("…") and "no no" in said
