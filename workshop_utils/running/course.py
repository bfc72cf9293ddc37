"""The course's notebooks, executed with papermill, and a page to read them on."""

import functools
import logging
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed, wait
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from workshop_utils import files, paths
from workshop_utils.doctor import KERNEL
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.progress import bar_layout
from workshop_utils.running import fork, metrics, notebooks, records, uptodate
from workshop_utils.running.kernel import Kernel
from workshop_utils.running.page import REPORT, Parts, is_page, render, shows
from workshop_utils.running.records import FAILED, NOT_RUN, OK, RECORD, UP_TO_DATE, is_record
from workshop_utils.upstream import import_nbformat

_AT_A_TIME = 2  # notebooks; the kernel of a third one is ready
_End = tuple[str, float, str | None]  # how a notebook ended: status, seconds, what failed
_START_TIMEOUT = 600  # seconds, for a kernel that imports TensorFlow on a very busy machine


def run(
    selected: Sequence[Path],
    chosen: Mapping[str, Any],
    output_dir: str | Path | None = None,
    say: Callable[[str], None] = print,
    progress: bool = False,
    resume: bool = False,
    home: Home | None = None,
) -> Path:
    """Execute notebooks; leave executed copies and a page of them in `output_dir`.

    Two run at a time where one does not await the other (`notebooks.awaited`).

    selected: paths from `notebooks.select`. chosen: {name: value}, checked before anything runs;
    each notebook gets the ones it has. output_dir: None takes the home's. say: called with each
    line of progress. progress: show a bar per notebook on stderr. resume: skip a notebook whose
    executed copy is there, if nothing has changed since: the notebook, its parameters, what the
    notebooks made that it needs, what it made itself, the course's code and the installed versions.
    home: where the notebooks find and put artifacts; None takes WORKSHOP_HOME. Returns the path of
    the page.
    Raises WorkshopError when the folder holds files in the place of the run's that no run has made,
    when another run is at work on the same artifacts or in the same folder, and when notebooks
    fail, naming notebook, cell and error of each; the copies made so far, the failing ones
    included, and the page are there to look at.
    """
    values = notebooks.check_parameters(chosen, selected)
    home = home or paths.home()
    output_dir = Path(output_dir or home.output_dir)
    _require_own(output_dir, selected)
    with files.os_errors_as(f"Cannot make the folder {output_dir}"):
        output_dir.mkdir(parents=True, exist_ok=True)
    busy = f"Another run is at work in {paths.display_path(output_dir)}; choose another folder."
    with (
        files.artifacts_locked(home),
        files.locked(output_dir / ".run.lock", busy),
        closing(_Run(selected, values, output_dir, home)) as one,
    ):
        return one.page(_above_bars(say) if progress else say, progress, resume)


class _Run:
    """One run of the course: two notebooks at a time, each once all that it awaits have ended.

    Each has a thread of its own, in which its kernel starts while others still run.
    """

    def __init__(
        self, selected: Sequence[Path], values: dict[str, Any], output_dir: Path, home: Home
    ) -> None:
        self._selected, self._values, self._home = selected, values, home
        self._output_dir = output_dir
        self._record = records.Record(output_dir, selected, values, home)
        # A single notebook would have nothing to share.
        shares = sum(map(notebooks.imports_tensorflow, selected)) > 1
        self._zygote = fork.Zygote() if shares and fork.SOUND else None
        self._executed: list[Path] = []  # copies that are whole
        self._parts: Parts | None = None  # of the page, which are made while notebooks run
        self._kernels: set[Kernel] = set()
        self._lock = threading.Lock()  # for the record
        self._ends = threading.Event()  # No notebook begins any more.
        self._may_run = threading.Semaphore(_AT_A_TIME)
        self._pool = ThreadPoolExecutor(_AT_A_TIME + 1)

    def page(self, say: Callable[[str], None], progress: bool, resume: bool) -> Path:
        """Run all, with the options of `run`. Returns the path of the page."""
        ends: dict[Path, Future[_End]] = {}
        count = len(self._selected)
        for number, (notebook, others) in enumerate(notebooks.awaited(self._selected).items(), 1):
            label = f"[{number}/{count}] {notebook.stem}"
            awaited = [ends[one] for one in others]
            ends[notebook] = Future()
            self._pool.submit(
                self._one, ends[notebook], label, say, notebook, awaited, progress, resume
            )
        for end in as_completed(ends.values()):
            end.result()  # which raises what was raised there
        executed, failures, hints = [], [], []
        for notebook, end in ends.items():
            status, _, failure = end.result()
            copy = self._output_dir / notebook.name
            if status != NOT_RUN and copy.exists():
                executed.append(copy)
            if failure:
                failures.append(failure)
                hints.append(failure)
                if copy in executed:
                    hints.append(f"The executed copy is {self._home.display_path(copy)}.")
        page = self._output_dir / REPORT
        former = None if self._record.has_begun else self._record.former()
        if not former:
            self._record.finish(" ".join(failures) or None)
        if not (former and shows(page, executed)):
            render(executed, page, former or self._record.content, parts=self._parts)
        if failures:
            raise WorkshopError("\n".join(hints))
        return page

    def _one(
        self, end: Future[_End], label: str, say: Callable[[str], None], notebook: Path, *rest: Any
    ) -> None:
        """In a thread of its own: run one notebook, say and note how it ended, end its kernel."""
        with ExitStack() as kernels:
            try:
                status, seconds, failure = self._outcome(kernels, label, notebook, *rest)
                with self._lock:
                    if status == UP_TO_DATE:
                        self._record.keep(notebook)
                        say(f"{label:<28} {status}")
                    elif status != NOT_RUN:
                        self._record.add(notebook, status, seconds)
                        say(f"{label:<28} {status:<6} {seconds:6.1f} s")
                end.set_result((status, seconds, failure))
            except BaseException as error:
                self._ends.set()
                end.set_exception(error)

    def _outcome(
        self,
        kernels: ExitStack,
        label: str,
        notebook: Path,
        awaited: Sequence[Future[_End]],
        progress: bool,
        resume: bool,
    ) -> _End:
        known = notebooks.parameters(notebook)
        own = {name: self._values[name] for name in known if name in self._values}
        copy = self._output_dir / notebook.name
        # While others run; but with `resume` there may be no need for it.
        kernel = None if resume else kernels.enter_context(self._kernel(notebook))
        if not all(one.done() for one in awaited):
            self._begin_the_page()
            wait(awaited)
        with self._may_run:
            if self._ends.is_set():
                return NOT_RUN, 0.0, None
            key = uptodate.key(notebook, own, self._environment, self._home)
            if resume and uptodate.is_up_to_date(copy, notebook, key, self._home):
                return UP_TO_DATE, 0.0, None
            with self._lock:
                self._record.begin()
            started = time.monotonic()
            kernel = kernel or kernels.enter_context(self._kernel(notebook))
            if self._ends.is_set():  # while it started
                return NOT_RUN, 0.0, None
            failure = execute(notebook, copy, own, kernel, label if progress else None)
            if kernel.was_killed:
                return NOT_RUN, 0.0, None
        seconds = time.monotonic() - started
        if failure:
            self._ends.set()
            return FAILED, seconds, failure
        uptodate.stamp(copy, notebook, key, self._home)
        with self._lock:
            self._executed.append(copy)
            if self._parts:
                self._parts.begin(copy)
        return OK, seconds, None

    @contextmanager
    def _kernel(self, notebook: Path) -> Iterator[Kernel]:
        kernel = Kernel(notebook, self._home, self._zygote)
        self._kernels.add(kernel)
        try:
            yield kernel
        finally:
            kernel.stop()
            self._kernels.remove(kernel)

    def _begin_the_page(self) -> None:
        """Begin to make its parts and import what the metrics need, in time that passes unused.

        Not while the zygote imports, which others wait for.
        """
        with self._lock:
            if not self._parts and (not self._zygote or self._zygote.is_ready):
                self._parts = Parts([self._output_dir / one.name for one in self._selected])
                for copy in self._executed:
                    self._parts.begin(copy)
                threading.Thread(target=metrics.prepare).start()

    @functools.cached_property
    def _environment(self) -> str:
        return uptodate.environment()

    def close(self) -> None:
        """End all of it at once."""
        self._ends.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        # The threads notice it: they alone may use what belongs to them.
        for one in [*self._kernels, self._zygote]:
            if one:
                one.kill()
        self._pool.shutdown()
        if self._zygote:
            self._zygote.close()
        if self._parts:
            self._parts.close()


def _above_bars(say: Callable[[str], None]) -> Callable[[str], None]:
    """What says a line in a terminal where bars of tqdm are."""
    from tqdm.auto import tqdm

    def line(text: str) -> None:
        with tqdm.external_write_mode():
            say(text)

    return line


def _require_own(output_dir: Path, selected: Sequence[Path]) -> None:
    """Raise WorkshopError if a file that the run is going to replace is not what a run has made."""
    if output_dir.resolve() in {path.parent.resolve() for path in selected}:
        raise WorkshopError("The notebooks themselves lie in that folder; choose another one.")
    is_own = {path.name: _is_copy for path in selected} | {RECORD: is_record, REPORT: is_page}
    for name, was_made_by_a_run in is_own.items():
        path = output_dir / name
        if (path.exists() or path.is_symlink()) and not was_made_by_a_run(path):
            raise WorkshopError(
                f"{paths.display_path(path)} is there already, and no run of the course has made "
                "it: choose another folder, or move it away."
            )


def _is_copy(path: Path) -> bool:
    """Whether papermill has executed the notebook."""
    with suppress(WorkshopError):
        return "papermill" in files.read_notebook(path)["metadata"]
    return False


def execute(
    notebook: Path,
    copy: Path,
    values: dict[str, Any],
    kernel: Kernel,
    bar: str | None = None,
) -> str | None:
    """Run one notebook with papermill and leave the executed `copy`, whole.

    values: {name: value}, parameters that the notebook has. kernel: a Kernel for this notebook,
    which is not ended. bar: label of a progress bar on stderr. Returns None, or one sentence on
    what failed and where.
    """
    import_nbformat()
    import papermill
    from nbclient.exceptions import DeadKernelError

    failure = None
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # a sentence says it below
    with tempfile.TemporaryDirectory(prefix="workshop-", ignore_cleanup_errors=True) as workplace:
        draft = Path(workplace, notebook.name)
        try:
            papermill.execute_notebook(
                notebook,
                draft,
                parameters=values,
                engine_name=_engine(),
                kernel_name=KERNEL,  # whatever the notebook was saved with
                language="python",
                progress_bar=bar
                and {"desc": bar, "leave": False, "bar_format": bar_layout("cells")},
                km=kernel.manager,
                start_timeout=_START_TIMEOUT,
                store_widget_state=False,
                coalesce_streams=True,  # or one text would be as many as its parts come in
            )
        except papermill.PapermillExecutionError as error:
            failure = (
                f"{notebook.name}, cell In [{error.exec_count}]: {error.ename}: {error.evalue}"
            )
        except (DeadKernelError, RuntimeError):
            if kernel.is_alive():
                raise
            failure = (
                f"{notebook.name}: the kernel died: a cell ended it, or the memory was too little."
            )
        if draft.exists() and not kernel.was_killed:
            files.write(copy, draft.read_bytes())
    return failure


@functools.cache
def _engine() -> str:
    """The name of papermill's own engine, but for when it writes: once, at the end.

    Around each cell it would write the whole notebook, which takes as long as most cells do.
    """
    from papermill.engines import NBClientEngine, papermill_engines

    class Engine(NBClientEngine):  # type: ignore[misc]
        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, *arguments: Any, **options: Any) -> None:
            path, nb_man.output_path = nb_man.output_path, None
            try:
                super().execute_managed_notebook(nb_man, *arguments, **options)
            finally:
                nb_man.output_path = path

    papermill_engines.register(__name__, Engine)
    return __name__
