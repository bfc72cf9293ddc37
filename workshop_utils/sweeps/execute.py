"""Many runs of the course's path with Dask, one row each in one table.

The process that called `execute` is the only one that writes into the output folder; workers send
back what they made. So nothing is half there or there twice, whatever happens to a worker.

    DIR/sweep.json     the runs that were asked for
    DIR/results.csv    a row per run that ended, well or not
    DIR/runs/0001/     what a run made: a folder to use as WORKSHOP_HOME
"""

import csv
import io
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from workshop_utils import files, training
from workshop_utils.errors import MissingArtifact, WorkshopError, check_whole_number
from workshop_utils.sweeps.limits import MAX_WORKERS
from workshop_utils.terminal import printable

PLAN, TABLE, RUNS, WORKERS = "sweep.json", "results.csv", "runs", ".workers"
SCHEMA = Path(__file__).parent / "schemas" / PLAN
ATTEMPTS = 3
# TensorFlow keeps some 15 MB of each run, whatever is cleared: a fresh process gives them back.
RUNS_A_WORKER = 50
PATIENCE = 60  # seconds to wait for a scheduler or for a first worker
_LAST = ["seconds", "attempts", "worker", "error"]


def check_parameters(epochs, seed, workers):
    """Raise WorkshopError, naming EPOCHS, SEED or WORKERS, unless notebook 08 can use them."""
    training.check_parameters(epochs, 1, seed)
    check_whole_number("WORKERS", workers, 1, MAX_WORKERS)


def execute(plan, output, workers=None, scheduler=None, resume=False, say=print, task=None):
    """Do the runs of a Plan. Returns the rows of the table, a dict each.

    output: folder for table and artifacts. workers: how many processes on this machine; None takes
    a core each. scheduler: address of a Dask scheduler to use instead. resume: go on with what an
    interrupted sweep has left undone; runs that failed are tried again. say: called with each line
    of progress. task: what a worker does with a run's parameters, in place of the course's path.
    Raises WorkshopError if the folder holds results and `resume` is not set, if they belong to
    other runs, and if the scheduler cannot be reached or is lost. KeyboardInterrupt goes through,
    and what has ended by then is in the table.
    """
    output = Path(output)
    busy = f"Another sweep is at work in {output}; wait until it has ended, or choose a folder."
    with files.locked(output / ".sweep.lock", busy):
        rows = _start(plan, output, resume)
        todo = [number for number in range(1, len(plan.runs) + 1) if number not in rows]
        if rows:
            say(f"{len(rows)} of {len(plan.runs)} runs are done already")
        if todo:
            with _client(output, min(workers or _cores(), len(todo)), scheduler) as client:
                _work(client, task or full_path, plan, output, rows, todo, say)
    return [rows[number] for number in sorted(rows)]


def read(output):
    """(plan, rows) of a sweep: what `sweep.json` and `results.csv` say; rows hold text.

    Raises MissingArtifact where there is no sweep, WorkshopError if a file is damaged.
    """
    output = Path(output)
    for path in (output / PLAN, output / TABLE):
        if not path.is_file():
            raise MissingArtifact(f"There is no sweep in {output}: {path} is missing.")
    plan = files.read_json(output / PLAN, SCHEMA)
    try:
        text = (output / TABLE).read_text(encoding="utf-8")
        rows = printable(list(csv.DictReader(io.StringIO(text))))
        if any(int(row["run"]) < 1 or not row["status"] for row in rows):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise WorkshopError(f"The sweep in {output} is damaged; choose another folder.") from error
    return plan, rows


# ---- The output folder


def _start(plan, output, resume):
    """Write down what is to be done. Returns the rows that are there, {number: row}."""
    wanted = {"runs": plan.runs, "varied": plan.varied}
    shutil.rmtree(output / WORKERS, ignore_errors=True)
    if not (output / PLAN).exists():
        _write_table(output, plan, {})
        files.write(output / PLAN, json.dumps(wanted, indent=1) + "\n")
        return {}
    if not resume:
        raise WorkshopError(
            f"{output} holds a sweep already; --resume goes on with it, or choose another folder."
        )
    there, rows = read(output)
    if there != wanted:
        raise WorkshopError(
            f"{output} holds a sweep of other runs than these, so it cannot be resumed; choose "
            "another folder."
        )
    return {int(row["run"]): row for row in rows if row["status"] == "ok"}


def _write_table(output, plan, rows):
    """results.csv, all of it, so that whoever reads it sees whole rows."""
    from workshop_utils.sweeps.run import METRICS

    text = io.StringIO()
    columns = ["run", "status", *plan.runs[0], *METRICS, *_LAST]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows[number] for number in sorted(rows))
    files.write(output / TABLE, text.getvalue())


# ---- Dask


def _cores():
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@contextmanager
def _client(output, workers, scheduler):
    """A Dask Client: of the scheduler at that address, or of as many workers on this machine."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            client = Client(scheduler, timeout=PATIENCE / 6)
        except (OSError, ValueError) as error:
            raise WorkshopError(f"There is no Dask scheduler at {scheduler}.") from error
        with client:
            yield client
        return
    folder = (output / WORKERS).resolve()
    # Every death of a worker is reported here, where the attempts are counted.
    settings = {"distributed.scheduler.allowed-failures": 0, "distributed.admin.tick.limit": "1h"}
    try:
        with (
            dask.config.set(settings),
            LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # any free port, so that two sweeps can be at work
                silence_logs="CRITICAL",
                local_directory=str(folder),
                preload=["workshop_utils.sweeps.execute"],
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def dask_setup(worker):
    """Dask calls this in a worker of ours."""
    from tqdm import tqdm

    # Ctrl-C is meant for the process that started the worker, and that one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # tqdm's own lock is the system's: Python would complain of it when a worker is killed.
    tqdm.set_lock(threading.RLock())


def _work(client, task, plan, output, rows, todo, say):
    """Hand out the runs, take in what comes back, until there is nothing left to do.

    Workers of our own are restarted now and then.
    """
    from distributed import wait

    waiting, attempts, at_work = list(reversed(todo)), dict.fromkeys(todo, 0), {}
    done_by, ours = Counter(), client.cluster is not None
    progress = _Progress(len(plan.runs), len(rows), say)
    while waiting or at_work:
        # No more than one a worker: a worker that dies takes no other runs with it.
        free = _workers(client) - len(at_work)
        for number in [waiting.pop() for _ in range(min(free, len(waiting)))]:
            key = f"workshop-run-{number}-{attempts[number]}-{time.time_ns()}"
            future = client.submit(task, plan.runs[number - 1], key=key, pure=False)
            at_work[future] = number
        if not at_work:
            _wait_for_a_worker(client)
            continue
        for future in wait(list(at_work), return_when="FIRST_COMPLETED").done:
            number = at_work.pop(future)
            result, error, tries = _outcome(future)
            attempts[number] += tries
            if error and attempts[number] < ATTEMPTS:
                say(f"run {number} is tried again: {error}")
                waiting.append(number)
                continue
            row = {"run": number, "status": "failed" if error else "ok", **plan.runs[number - 1]}
            row |= {"attempts": attempts[number], "error": error or ""}
            if result:
                _put(output / RUNS / f"{number:04}", result.pop("files"))
                row |= result
            rows[number] = row
            _write_table(output, plan, rows)
            progress.show(row, {name: row[name] for name in plan.varied})
            worker = row.get("worker")
            done_by[worker] += 1
            if ours and worker and waiting and done_by[worker] % RUNS_A_WORKER == 0:
                client.restart_workers([worker])


def _put(home, files):
    from workshop_utils.sweeps import run

    run.put(home, files)


def _workers(client):
    """How many workers there are now. Raises WorkshopError if the scheduler is gone."""
    try:
        return len(client.nthreads())
    except (OSError, TimeoutError) as error:
        raise _lost() from error


def _wait_for_a_worker(client):
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except (OSError, TimeoutError) as error:
        raise WorkshopError(
            f"The Dask scheduler has had no worker for {PATIENCE} seconds; start one and go on "
            "with --resume."
        ) from error


def _lost():
    return WorkshopError("The Dask scheduler was lost; what has ended is kept, --resume goes on.")


def _outcome(future):
    """(result, None, 1), or (None, reason in one line, number of attempts that it took)."""
    from distributed import KilledWorker

    if future.status == "finished":
        return future.result(), None, 1
    if future.status != "error":
        raise _lost()
    error = future.exception()
    if isinstance(error, KilledWorker):
        return None, "the worker died", error.allowed_failures + 1
    text = " ".join(str(error).split()) or "no reason given"
    return None, text if isinstance(error, WorkshopError) else f"{type(error).__name__}: {text}", 1


def full_path(values):
    """One run, called on a worker. Returns the metrics and 'files', 'seconds' and 'worker'."""
    from distributed import get_worker

    from workshop_utils.sweeps import run

    started, worker = time.monotonic(), get_worker()
    workplace = Path(worker.local_directory) / "workplace"
    with tempfile.TemporaryDirectory(prefix="workshop-", dir=worker.local_directory) as home:
        metrics = run.run(values, home, workplace)
        files = run.contents(home)
    seconds = round(time.monotonic() - started, 2)
    return metrics | {"files": files, "seconds": seconds, "worker": worker.address}


class _Progress:
    """A line per run, with the time that is left if the others take as long."""

    def __init__(self, total, done, say):
        self.total, self.done, self.say, self.ends = total, done, say, [time.monotonic()]

    def show(self, row, varied):
        self.done += 1
        self.ends.append(time.monotonic())
        # A worker's first run takes longer than the others: leave the start out when possible.
        ends = self.ends[3:] if len(self.ends) > 6 else self.ends
        seconds = (ends[-1] - ends[0]) / (len(ends) - 1) * (self.total - self.done)
        left = f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"
        what = " ".join(f"{name} {value}" for name, value in varied.items())
        if row["status"] == "ok":
            what += f": error {row['test_error']:.4f}, flash {row['flash']:,}"
        else:
            what += f": {row['error']}"
        width = len(str(self.total))
        self.say(f"[{self.done:{width}}/{self.total}] {row['status']:<6} {what}, {left}")
