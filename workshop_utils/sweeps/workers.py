"""Dask: workers of our own or those of a scheduler, and one run at a time on each of them."""

import asyncio
import logging
import os
import queue
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from workshop_utils import upstream
from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps.spec import Values
from workshop_utils.terminal import clipped

FOLDER = ".workers"
LONGEST_ERROR = 500  # characters, of what may be all that a compiler said
ANSWER_SECONDS = 30  # for a scheduler, and for a worker that is to send what a run has made
LOOK_SECONDS = 0.5  # from one look at which workers there are to the next
# Without a worker for so long, a sentence says so. Our own ones take a while to be restarted.
PATIENCE_SECONDS = 20
# TensorFlow keeps some 15 MB of each run, whatever is cleared: a fresh process gives them back.
MOST_GROWTH = 750 << 20  # bytes


# Runs that are shorter travel together, so many at most: otherwise Dask takes longer than they do.
SHORT_SECONDS, MOST_TOGETHER = 0.05, 32

Result = dict[str, Any]


class Ended(NamedTuple):
    """How a run ended. result: what the task returned, or None; error: why not, in one line.

    attempts: how many it took: none if it was at work together with others when the worker died,
    since nobody knows which one is to blame; more than one if Dask itself has tried again.
    """

    number: int
    result: Result | None
    error: str
    attempts: int = 1


@contextmanager
def client(output: Path, workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """A Dask Client: of the scheduler at that address, or of as many workers on this machine.

    workers: None takes one per core. Raises WorkshopError if no scheduler answers there.
    """
    import dask
    from distributed import Client, LocalCluster

    if scheduler:
        # What becomes of it is said in one sentence.
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        try:
            client = Client(scheduler, timeout=ANSWER_SECONDS)
        except (OSError, ValueError) as error:
            raise WorkshopError(f"There is no Dask scheduler at {scheduler}.") from error
        with client:
            yield client
        return
    folder = (output / FOLDER).resolve()
    upstream.close_no_cluster_at_exit()  # it is closed here, unless Ctrl-C comes while it starts
    # Every death of a worker is reported here, where the attempts are counted. And Dask ends none
    # that is still being restarted: on a busy machine it may have come, and be at work, by then.
    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.admin.tick.limit": "1h",
        "distributed.deploy.lost-worker-timeout": "1h",
    }
    try:
        with (
            dask.config.set(settings),
            LocalCluster(
                n_workers=workers or cores(),
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # any free port, so that two sweeps can be at work
                silence_logs="CRITICAL",
                local_directory=str(folder),
                preload=[__name__],
            ) as cluster,
            Client(cluster, direct_to_workers=True) as client,
        ):
            yield client
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def dask_setup(worker: Any) -> None:
    """Dask calls this in a worker of ours."""
    # Ctrl-C is meant for the process that started the worker, and that one ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    upstream.lock_tqdm_for_threads()


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


class Workers:
    """The workers of a Client, each with one run at a time: one that dies takes no others with it.

    task: what a worker does with a run's parameters; its result may hold 'memory', bytes that the
    worker takes. most: how many workers to use. say: is called with a sentence if a worker cannot
    do runs, and if there is none.
    """

    def __init__(
        self,
        client: Any,
        task: Callable[[Values], Result],
        most: int | None,
        say: Callable[[str], None],
    ) -> None:
        self._client, self._task, self._most, self._say = client, _packed(task), most, say
        self._ours = client.cluster is not None
        self._there: set[str] = set()  # the addresses of those that can do runs
        self._asked: dict[str, Any] = {}  # worker: the Future of what it says of its course
        self.together = 1  # how many runs a worker should be given at once
        self._at_work: dict[Any, tuple[list[int], str]] = {}  # Future: numbers of runs, worker
        self._ended: queue.SimpleQueue[Any] = queue.SimpleQueue()  # (Future, result, error)
        self._grown: dict[str, int] = {}  # worker: memory after its first run, bytes
        self._refused: set[str] = set()  # reasons that were said
        self._looked, self._alone, self._silent = 0.0, time.monotonic(), True
        self._complete = time.monotonic()  # when all of ours were there

    @property
    def busy(self) -> bool:
        """Whether any run is at work."""
        return bool(self._at_work)

    def free(self) -> list[str]:
        """The addresses of workers that could do a run now."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        at_work = {worker for _, worker in self._at_work.values()}
        most = len(self._there) if self._most is None else self._most
        return [one for one in self._there if one not in at_work][: max(0, most - len(at_work))]

    def begin(self, runs: dict[int, Values], worker: str) -> None:
        """Let a free worker do these runs, {number: parameters}, one after the other."""
        key, many = f"workshop-run-{time.time_ns()}", list(runs.values())
        future = self._client.submit(self._task, many, key=key, pure=False, workers=[worker])
        self._at_work[future] = list(runs), worker
        self._client.loop.add_callback(self._follow, future)

    async def _follow(self, future: Any) -> None:
        """Note what becomes of a run; Dask's own thread does."""
        try:
            self._ended.put((future, await future, None))
        except (Exception, asyncio.CancelledError, CancelledError) as error:
            self._ended.put((future, None, error))

    def ended(self) -> Iterator[Ended]:
        """The runs that have ended; waits for one for LOOK_SECONDS at most.

        Raises WorkshopError if the scheduler is lost.
        """
        some = []
        try:
            some.append(self._ended.get(timeout=LOOK_SECONDS))
            while True:
                some.append(self._ended.get_nowait())
        except queue.Empty:
            if not some:
                self._look()
        for future, returned, error in some:
            if future not in self._at_work:
                continue
            numbers, worker = self._at_work.pop(future)
            if error:
                self._looked = 0.0  # the worker may have died
                yield from _failed(numbers, future, error)
                continue
            results, seconds = returned
            short = seconds < SHORT_SECONDS * len(numbers)
            self.together = min(2 * self.together, MOST_TOGETHER) if short else 1
            memory = max((result.pop("memory", 0) for result, _ in results if result), default=0)
            for number, (result, why) in zip(numbers, results, strict=True):
                yield Ended(number, result, why)
            self._renew(worker, memory)
        for future, (numbers, worker) in list(self._at_work.items()):
            if worker not in self._there:
                del self._at_work[future]
                future.cancel()
                yield from _died(numbers, 1)

    def _renew(self, worker: str, memory: int) -> None:
        """Restart a worker of ours that has grown."""
        if self._ours and memory - self._grown.setdefault(worker, memory) > MOST_GROWTH:
            self._client.restart_workers([worker])
            del self._grown[worker]
            self._looked = 0.0

    def _look(self) -> None:
        """Find out which workers there are, and say so if there is none."""
        try:
            every = set(self._client.nthreads())
        except (OSError, TimeoutError) as error:
            raise lost() from error
        self._there = every if self._ours else {one for one in every if self._can_do_runs(one)}
        self._asked = {worker: said for worker, said in self._asked.items() if worker in every}
        self._looked = time.monotonic()
        if self._ours:
            self._replace(len(every))
        if self._there:
            self._alone = self._looked
            if not self._silent:
                self._say("there is a worker again, so the sweep goes on")
            self._silent = True
        elif self._silent and self._looked - self._alone > PATIENCE_SECONDS:
            self._silent = False
            self._say(f"waiting: {self._why_none(len(every))}")

    def _replace(self, there: int) -> None:
        """Start others for those of ours that Dask does not restart, as it does not if they die
        while they start."""
        missing = (self._most or 1) - there
        if missing <= 0:
            self._complete = time.monotonic()
        elif time.monotonic() - self._complete > PATIENCE_SECONDS:
            cluster = self._client.cluster
            cluster.scale(len(cluster.worker_spec) + missing)
            self._complete = time.monotonic()

    def _why_none(self, others: int) -> str:
        if self._ours:
            return "the workers are being restarted"
        what = f"only {others} that cannot do runs" if others else "no worker"
        address = self._client.scheduler.address
        return (
            f"the Dask scheduler has {what}; start one where the course is installed, with "
            f"`.venv/bin/dask worker {address} --nthreads 1`, and the sweep goes on"
        )

    def _can_do_runs(self, worker: str) -> bool:
        """Whether a worker of somebody else's has said that its course is the same as here."""
        if worker not in self._asked:
            self._asked[worker] = self._client.submit(
                _identity(), key=f"workshop-course-{time.time_ns()}", pure=False, workers=[worker]
            )
        future = self._asked[worker]
        if future is None or not future.done():
            return future is None
        if future.status == "finished":
            reason = _difference(future.result(timeout=ANSWER_SECONDS))
        else:
            reason = _reason(future.exception()) if future.status == "error" else "it was lost"
        if not reason:
            self._asked[worker] = None
        elif reason not in self._refused:
            self._refused.add(reason)
            self._say(f"the worker {worker} gets no runs: {reason}; others like it get none either")
        return not reason


def lost() -> WorkshopError:
    """What is to be said if the scheduler is gone."""
    return WorkshopError("The Dask scheduler was lost; what has ended is kept, --resume goes on.")


def _packed(task: Callable[[Values], Result]) -> Callable[[list[Values]], Any]:
    """A function that does the task with each of several runs. It travels as code and as bytes that
    only a worker unpacks: a scheduler needs no course."""
    from distributed.protocol import pickle as packing

    content = packing.dumps((_each, task))

    def each(many: list[Values]) -> Any:
        import pickle

        do, what = pickle.loads(content)
        return do(what, many)

    return each


def _each(
    task: Callable[[Values], Result], many: list[Values]
) -> tuple[list[tuple[Result | None, str]], float]:
    """What the task returns for each of several runs, (result, '') or (None, why there is none);
    and the seconds that all of them took."""
    began, ended = time.monotonic(), list[tuple[Result | None, str]]()
    for values in many:
        try:
            ended.append((task(values), ""))
        except Exception as error:
            ended.append((None, _reason(error)))
    return ended, time.monotonic() - began


def _failed(numbers: list[int], future: Any, error: BaseException) -> list[Ended]:
    """How runs ended whose Future has raised. Raises WorkshopError if they are not to blame."""
    from distributed import KilledWorker

    if future.status != "error":
        raise lost() from error
    if isinstance(error, KilledWorker):
        return _died(numbers, error.allowed_failures + 1)
    return [Ended(number, None, _reason(error)) for number in numbers]


def _died(numbers: list[int], attempts: int) -> list[Ended]:
    alone = len(numbers) == 1
    return [Ended(number, None, "the worker died", attempts if alone else 0) for number in numbers]


def _reason(error: BaseException) -> str:
    """What an exception says, in one line."""
    text = " ".join(str(error).split()) or "no reason given"
    if not isinstance(error, WorkshopError):
        text = f"{type(error).__name__}: {text}"
    return clipped(text, LONGEST_ERROR)


# ---- Is it the same course?

_FILES = "files"


def _identity() -> Callable[[], dict[str, str]]:
    """A function for a worker that says which course it has; a worker without one can call it.

    It is made here, so that it travels as code and not as the name of a function of the course.
    """

    def identity() -> dict[str, str]:
        import hashlib
        import importlib.util
        from importlib import metadata
        from pathlib import Path

        found = importlib.util.find_spec("workshop_utils")
        if found is None or not found.origin:
            return {}
        folder, digest = Path(found.origin).parent, hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode())
            digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
        said = {"files": digest.hexdigest()}
        for name in ("workshop-utils", "keras", "numpy", "ai-edge-litert", "unicorn", "ziglang"):
            try:
                said[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                said[name] = "none"
        return said

    return identity


def _difference(said: dict[str, str]) -> str:
    """What differs between a worker's course and this one, in words; nothing if nothing does."""
    if not said:
        return "it lacks the course (the package workshop_utils)"
    here = _identity_here()
    differ = [name for name, version in here.items() if said.get(name) != version]
    if not differ:
        return ""
    if differ == [_FILES]:
        return "it has another version of the course"
    named = [name for name in differ if name != _FILES]
    return (
        f"it has {', '.join(f'{name} {said.get(name)} instead of {here[name]}' for name in named)}"
    )


@cache
def _identity_here() -> dict[str, str]:
    return _identity()()
