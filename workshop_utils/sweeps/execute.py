"""Many runs of the course's path with Dask, one row each in one table.

The process that called `execute` is the only one that writes into the output folder; workers send
back what they made. So nothing is half there or there twice, whatever happens to a worker.

    DIR/sweep.json     the runs that were asked for
    DIR/results.csv    a row per run that ended, well or not
    DIR/runs/0001/     what a run made: a folder to use as WORKSHOP_HOME
"""

import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import Any, Literal, NamedTuple

from workshop_utils import files, training
from workshop_utils.errors import MissingArtifact, WorkshopError, require_int
from workshop_utils.paths import Home
from workshop_utils.progress import Pace, time_left
from workshop_utils.sweeps import table, workers
from workshop_utils.sweeps.limits import MAX_WORKERS
from workshop_utils.sweeps.spec import Plan, Values
from workshop_utils.sweeps.table import Row

PLAN, TABLE, RUNS = "sweep.json", table.NAME, "runs"
SCHEMA = Path(__file__).parent / "schemas" / PLAN
ATTEMPTS = 3
_MOST_BYTES = 100_000_000  # of a plan: 50,000 runs take a tenth of it
# What a row of the table begins and ends with; parameters and metrics are between.
_FIRST, _LAST = ["run", "status"], ["seconds", "attempts", "worker", "error"]

Keep = Literal["none", "best", "all"]
_Rank = tuple[bool, float, float]  # the smaller, the better


class Summary(NamedTuple):
    """What became of the runs of a sweep: how many ended well, how many failed, and why the last
    one did, or nothing."""

    ok: int
    failed: int
    last_error: str


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
    keep: Keep = "all",
) -> Summary:
    """Do the runs of a Plan. Returns a Summary; the rows are in the table, see `read`.

    output: folder for table and artifacts. workers: how many processes on this machine; None takes
    one per core. scheduler: address of a Dask scheduler to use instead; workers is then how many of
    its workers, None takes all. resume: go on with what an interrupted sweep has left undone; runs
    that failed are tried again. say: called with each line of progress. task: what a worker does
    with a run's parameters, in place of the course's path. keep: whose artifacts are kept: those of
    all runs, of none, or of the best: the good one with the smallest image or, while there is none,
    the one with the smallest error.
    Raises WorkshopError if the folder holds results and `resume` is not set, if they belong to
    other runs, if the folder is deleted meanwhile, and if the scheduler cannot be reached or is
    lost. Without workers it waits for one. KeyboardInterrupt goes through, and what has ended by
    then is in the table.
    """
    output = Path(output)
    busy = f"Another sweep is at work in {output}; wait until it has ended, or choose a folder."
    with files.locked(output / ".sweep.lock", busy):
        return _Sweep(plan, output, keep, say).do(task or full_path, workers, scheduler, resume)


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
    plan = files.read_json(output / PLAN, SCHEMA, _MOST_BYTES)
    try:
        return plan, read_table(output / TABLE)
    except WorkshopError as error:
        raise WorkshopError(f"The sweep in {output} is damaged; choose another folder.") from error


read_table = table.read


class _Sweep:
    """A sweep at work: hands out runs, takes in what comes back, and writes it down."""

    def __init__(self, plan: Plan, output: Path, keep: Keep, say: Callable[[str], None]) -> None:
        self.plan, self.output, self.keep, self.say = plan, output, keep, say
        self.status: dict[int, str] = {}  # of each run that has ended, by its number
        self.last_error = ""
        self.best: tuple[_Rank, int] | None = None  # rank and number of the best run that is kept

    def do(
        self,
        task: Callable[[Values], Row],
        most: int | None,
        scheduler: str | None,
        resume: bool,
    ) -> Summary:
        """Do what is to be done. Returns what became of all runs."""
        from workshop_utils.sweeps.run import METRICS

        self._start(resume)
        numbers = range(1, len(self.plan.runs) + 1)
        todo = [number for number in numbers if self.status.get(number) != "ok"]
        if len(todo) < len(numbers):
            self.say(f"{len(numbers) - len(todo)} of {len(numbers)} runs are done already")
        columns = [*_FIRST, *self.plan.runs[0], *METRICS, *_LAST]
        if todo:
            if not scheduler:
                most = min(most or workers.cores(), len(todo))
            with (
                table.Table(self.output / TABLE, columns) as self.table,
                workers.client(self.output, most, scheduler) as client,
                # Raised in the middle of a destructor of Dask's, KeyboardInterrupt would be lost.
                training.interrupts() as asked_to_stop,
            ):
                if self.keep == "none":
                    task = _without_files(task)
                there = workers.Workers(client, task, most, self.say)
                self._work(there, todo, asked_to_stop)
        count = Counter(self.status.values())
        return Summary(count["ok"], count["failed"], self.last_error)

    def _start(self, resume: bool) -> None:
        """Write down what is to be done, or find out what is done already."""
        path, rows = self.output / PLAN, self.output / TABLE
        wanted = {"runs": self.plan.runs, "varied": self.plan.varied}
        shutil.rmtree(self.output / workers.FOLDER, ignore_errors=True)
        if not path.exists():
            if rows.exists():
                raise WorkshopError(
                    f"{rows} was not made by a sweep and would be replaced; choose another folder."
                )
            files.write(path, json.dumps(wanted, indent=1) + "\n")
            return
        if not resume:
            raise WorkshopError(
                f"{self.output} holds a sweep already; --resume goes on with it, or choose another "
                "folder."
            )
        # Without a schema: what equals these runs is what it should be.
        if files.read_json(path, most=_MOST_BYTES) != wanted:
            raise WorkshopError(
                f"{self.output} holds a sweep of other runs than these, so it cannot be resumed; "
                "choose another folder."
            )
        for row in table.rows(rows) if rows.exists() else ():
            number = int(row["run"])
            self.status[number] = row["status"]
            if home_of(self.output, number).path.exists():
                self._is_best(number, row)

    def _work(self, there: workers.Workers, todo: list[int], asked_to_stop: Event) -> None:
        """Until there is nothing left to do. Raises KeyboardInterrupt once it is asked to stop."""
        waiting, attempts = list(reversed(todo)), dict.fromkeys(todo, 0)
        alone: set[int] = set()  # whose worker has died when others were there, too
        total = len(self.plan.runs)
        progress = _Progress(total, total - len(todo), self.say)
        while waiting or there.busy:
            for worker in there.free():
                if not waiting:
                    break
                numbers = [waiting.pop()]
                while (
                    len(numbers) < there.together
                    and waiting
                    and not {*numbers, waiting[-1]} & alone
                ):
                    numbers.append(waiting.pop())
                there.begin({number: self.plan.runs[number - 1] for number in numbers}, worker)
            for number, result, error, tries in there.ended():
                if asked_to_stop.is_set():
                    break
                self.table.check()  # No run is to blame for a folder that was deleted.
                attempts[number] += tries
                if not tries:
                    alone.add(number)
                if result is None and attempts[number] < ATTEMPTS:
                    self.say(f"run {number} is tried again: {error}")
                    waiting.append(number)
                    continue
                row = {"run": number, "status": "failed" if error else "ok"}
                row |= self.plan.runs[number - 1]
                row |= {"attempts": attempts[number], "error": error}
                self._write(row, result)
                progress.show(row, {name: row[name] for name in self.plan.varied})
            if asked_to_stop.is_set():
                raise KeyboardInterrupt

    def _write(self, row: Row, result: Row | None) -> None:
        """Keep what a run has made, then its row: whose row is there is done."""
        number, former = row["run"], self.best
        if result is not None:
            made = result.pop("files")
            row |= result
            if self.keep == "all" or (self.keep == "best" and self._is_best(number, row)):
                _put(home_of(self.output, number).path, made)
        self.table.add(row)
        self.status[number] = row["status"]
        self.last_error = row["error"] or self.last_error
        if self.keep == "best" and former and former != self.best:
            shutil.rmtree(home_of(self.output, former[1]).path, ignore_errors=True)

    def _is_best(self, number: int, row: Mapping[str, Any]) -> bool:
        """Whether a run is better than those before. It is then the best one."""
        if row["status"] != "ok":
            return False
        good = str(row.get("good")) == "True"
        rank = (not good, float(row["flash"]) if good else 0.0, float(row["test_error"]))
        if self.best is not None and self.best <= (rank, number):
            return False
        self.best = rank, number
        return True


def _without_files(task: Callable[[Values], Row]) -> Callable[[Values], Row]:
    """The task, which leaves on its worker what it has made."""

    def without_files(values: Values) -> Row:
        return task(values) | {"files": {}}

    return without_files


def _put(home: Path, content: dict[str, bytes]) -> None:
    from workshop_utils.sweeps import run

    run.put(home, content)


def full_path(values: Values) -> Row:
    """One run, called on a worker. Returns the metrics and 'files', 'seconds', 'worker' and
    'memory': bytes that the worker has taken by now."""
    import psutil
    from distributed import get_worker

    from workshop_utils.sweeps import run

    started, worker = time.monotonic(), get_worker()
    Path(worker.local_directory).mkdir(parents=True, exist_ok=True)  # if somebody has tidied up
    workplace = Path(worker.local_directory) / "workplace"
    with tempfile.TemporaryDirectory(prefix="workshop-", dir=worker.local_directory) as name:
        home = Path(name)
        metrics = run.run(values, home, workplace)
        files = run.contents(home)
    result = {"seconds": round(time.monotonic() - started, 2), "worker": worker.address}
    return metrics | result | {"files": files, "memory": psutil.Process().memory_info().rss}


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
