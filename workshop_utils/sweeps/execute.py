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
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workshop_utils import files, training, upstream
from workshop_utils.errors import MissingArtifact, WorkshopError, require_int
from workshop_utils.paths import Home
from workshop_utils.progress import Pace, time_left
from workshop_utils.sweeps.limits import MAX_WORKERS
from workshop_utils.sweeps.spec import Plan, Values
from workshop_utils.terminal import clipped, printable

PLAN, TABLE, RUNS, WORKERS = "sweep.json", "results.csv", "runs", ".workers"
SCHEMA = Path(__file__).parent / "schemas" / PLAN
ATTEMPTS = 3
LONGEST_ERROR = 500  # characters, of what may be all that a compiler said
# TensorFlow keeps some 15 MB of each run, whatever is cleared: a fresh process gives them back.
RUNS_PER_WORKER = 50
WAIT_SECONDS = 60  # for a first worker; a scheduler has a sixth of that to answer
# What a row of the table begins and ends with; parameters and metrics are between.
_FIRST, _LAST = ["run", "status"], ["seconds", "attempts", "worker", "error"]

Row = dict[str, Any]
Rows = dict[int, Row]  # by the number of the run


def check_parameters(epochs: Any, seed: Any, workers: Any) -> None:
    """Raise WorkshopError, naming EPOCHS, SEED or WORKERS, unless notebook 09 can use them."""
    training.check_parameters(epochs, 1, seed)
    require_int("WORKERS", workers, 1, MAX_WORKERS)


def execute(
    plan: Plan,
    output: str | Path,
    workers: int | None = None,
    scheduler: str | None = None,
    resume: bool = False,
    say: Callable[[str], None] = print,
    task: Callable[[Values], Row] | None = None,
) -> list[Row]:
    """Do the runs of a Plan. Returns the rows of the table, a dict each.

    output: folder for table and artifacts. workers: how many processes on this machine; None takes
    one per core. scheduler: address of a Dask scheduler to use instead. resume: go on with what an
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


def home_of(output: str | Path, number: int) -> Home:
    """What run `number` of a sweep made, as a Home."""
    return Home(Path(output) / RUNS / f"{number:04}")


def read(output: str | Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """(plan, rows) of a sweep: what `sweep.json` and `results.csv` say; rows hold text.

    Raises MissingArtifact where there is no sweep, WorkshopError if a file is damaged.
    """
    output = Path(output)
    for path in (output / PLAN, output / TABLE):
        if not path.is_file():
            raise MissingArtifact(f"There is no sweep in {output}: {path} is missing.")
    plan = files.read_json(output / PLAN, SCHEMA, most=100_000_000)
    try:
        return plan, read_table(output / TABLE)
    except WorkshopError as error:
        raise WorkshopError(f"The sweep in {output} is damaged; choose another folder.") from error


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a sweep's table, {column: `printable` text}, whatever became of their runs.

    Raises WorkshopError if the file is something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        rows = printable(list(csv.DictReader(io.StringIO(text), strict=True)))
        for row in rows:
            if int(row["run"]) < 1 or not row["status"] or None in {*row, *row.values()}:
                raise ValueError(row)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise WorkshopError(f"{path} is not the table of a sweep.") from error
    return rows


# ---- The output folder


def _start(plan: Plan, output: Path, resume: bool) -> Rows:
    """Write down what is to be done. Returns the rows that are there, {number: row}."""
    wanted = {"runs": plan.runs, "varied": plan.varied}
    shutil.rmtree(output / WORKERS, ignore_errors=True)
    if not (output / PLAN).exists():
        table, none_yet = output / TABLE, _table(plan, {}).encode()
        # One without rows was left by a sweep that was killed right here.
        if table.exists() and not (table.is_file() and table.read_bytes() == none_yet):
            raise WorkshopError(f"{table} is there, but no sweep's plan; choose another folder.")
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


def _write_table(output: Path, plan: Plan, rows: Rows) -> None:
    """results.csv, all of it, so that whoever reads it sees whole rows."""
    files.write(output / TABLE, _table(plan, rows))


def _table(plan: Plan, rows: Rows) -> str:
    """The text of results.csv."""
    from workshop_utils.sweeps.run import METRICS

    text = io.StringIO()
    columns = [*_FIRST, *plan.runs[0], *METRICS, *_LAST]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(rows[number] for number in sorted(rows))
    return text.getvalue()


# ---- Dask


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@contextmanager
def _client(output: Path, workers: int, scheduler: str | None) -> Iterator[Any]:
    """A Dask Client: of the scheduler at that address, or of as many workers on this machine."""
    import dask
    from distributed import Client, LocalCluster

    if scheduler:
        try:
            client = Client(scheduler, timeout=WAIT_SECONDS / 6)
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


def dask_setup(worker: Any) -> None:
    """Dask calls this in a worker of ours."""
    # Ctrl-C is meant for the process that started the worker, and that one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    upstream.lock_tqdm_for_threads()


def _work(
    client: Any,
    task: Callable[[Values], Row],
    plan: Plan,
    output: Path,
    rows: Rows,
    todo: list[int],
    say: Callable[[str], None],
) -> None:
    """Hand out the runs, take in what comes back, until there is nothing left to do.

    Workers of our own are restarted now and then.
    """
    from distributed import wait

    waiting, attempts = list(reversed(todo)), dict.fromkeys(todo, 0)
    at_work: dict[Any, int] = {}
    done_by: Counter[str | None] = Counter()
    ours = client.cluster is not None
    progress = _Progress(len(plan.runs), len(rows), say)
    while waiting or at_work:
        # No more than one per worker: a worker that dies takes no other runs with it.
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
                _put(home_of(output, number).path, result.pop("files"))
                row |= result
            rows[number] = row
            _write_table(output, plan, rows)
            progress.show(row, {name: row[name] for name in plan.varied})
            worker = row.get("worker")
            done_by[worker] += 1
            if ours and worker and waiting and done_by[worker] % RUNS_PER_WORKER == 0:
                client.restart_workers([worker])


def _put(home: Path, files: dict[str, bytes]) -> None:
    from workshop_utils.sweeps import run

    run.put(home, files)


def _workers(client: Any) -> int:
    """How many workers there are now. Raises WorkshopError if the scheduler is gone."""
    try:
        return len(client.nthreads())
    except (OSError, TimeoutError) as error:
        raise _lost() from error


def _wait_for_a_worker(client: Any) -> None:
    try:
        client.wait_for_workers(1, timeout=WAIT_SECONDS)
    except (OSError, TimeoutError) as error:
        raise WorkshopError(
            f"The Dask scheduler has had no worker for {WAIT_SECONDS} seconds; start one and go on "
            "with --resume."
        ) from error


def _lost() -> WorkshopError:
    return WorkshopError("The Dask scheduler was lost; what has ended is kept, --resume goes on.")


def _outcome(future: Any) -> tuple[Row | None, str | None, int]:
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
    if not isinstance(error, WorkshopError):
        text = f"{type(error).__name__}: {text}"
    return None, clipped(text, LONGEST_ERROR), 1


def full_path(values: Values) -> Row:
    """One run, called on a worker. Returns the metrics and 'files', 'seconds' and 'worker'."""
    from distributed import get_worker

    from workshop_utils.sweeps import run

    started, worker = time.monotonic(), get_worker()
    workplace = Path(worker.local_directory) / "workplace"
    with tempfile.TemporaryDirectory(prefix="workshop-", dir=worker.local_directory) as name:
        home = Path(name)
        metrics = run.run(values, home, workplace)
        files = run.contents(home)
    seconds = round(time.monotonic() - started, 2)
    return metrics | {"files": files, "seconds": seconds, "worker": worker.address}


class _Progress:
    """A line per run, with the time that is left if the others take as long."""

    def __init__(self, total: int, done: int, say: Callable[[str], None]) -> None:
        self.total, self.done, self.say = total, done, say
        self._pace = Pace(total, warm_up=3)  # A worker's first run takes longer than the others.
        self._pace.mark(done)

    def show(self, row: Row, varied: Mapping[str, Any]) -> None:
        self.done += 1
        left = time_left(self._pace.mark(self.done) or 0)
        what = " ".join(f"{name} {value}" for name, value in varied.items())
        if row["status"] == "ok":
            what += f": error {row['test_error']:.4f}, flash {row['flash']:,}"
        else:
            what += f": {row['error']}"
        width = len(str(self.total))
        self.say(f"[{self.done:{width}}/{self.total}] {row['status']:<6} {what}, {left}")
