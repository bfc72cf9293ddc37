"""The course's notebooks, executed in order with papermill, and a page to read them on."""

import functools
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from workshop_utils import files, paths
from workshop_utils.doctor import KERNEL
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.progress import bar_layout
from workshop_utils.running import metrics, notebooks, records, uptodate
from workshop_utils.running.fork import Zygote
from workshop_utils.running.kernel import Kernel
from workshop_utils.running.page import REPORT, Parts, is_page, render, shows
from workshop_utils.running.records import RECORD, is_record
from workshop_utils.upstream import import_nbformat

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
    """Execute notebooks in order; leave executed copies and a page of them in `output_dir`.

    selected: paths from `notebooks.select`. chosen: {name: value}, checked before anything runs;
    each notebook gets the ones it has. output_dir: None takes the home's. say: called with each
    line of progress. progress: show a bar per notebook on stderr. resume: skip a notebook whose
    executed copy is there, if nothing has changed since: the notebook, its parameters, what earlier
    notebooks made, what it made itself, the course's code and the installed versions. home: where
    the notebooks find and put artifacts; None takes WORKSHOP_HOME. Returns the path of the page.
    Raises WorkshopError when the folder holds files in the place of the run's that no run has made,
    when another run is at work on the same artifacts, and when a notebook fails, naming notebook,
    cell and error; the copies made so far, the failing one included, and the page are there to look
    at.
    """
    values = notebooks.check_parameters(chosen, selected)
    home = home or paths.home()
    output_dir = Path(output_dir or home.output_dir)
    _require_own(output_dir, selected)
    with files.os_errors_as(f"Cannot make the folder {output_dir}"):
        output_dir.mkdir(parents=True, exist_ok=True)
    with files.artifacts_locked(home), closing(Zygote()) as zygote:
        return _run(selected, values, output_dir, say, progress, resume, home, zygote)


def _run(
    selected: Sequence[Path],
    values: dict[str, Any],
    output_dir: Path,
    say: Callable[[str], None],
    progress: bool,
    resume: bool,
    home: Home,
    zygote: Zygote | None,
) -> Path:
    environment = uptodate.environment()
    page, executed, failure = output_dir / REPORT, [], None
    record, ahead = records.Record(output_dir, selected, values, home), None
    if sum(map(notebooks.imports_tensorflow, selected)) < 2:
        zygote = None  # it would have nothing to share
    else:
        threading.Thread(target=metrics.prepare).start()
    parts = None  # of the page, which are made while the notebooks run
    try:
        for number, notebook in enumerate(selected):
            label = f"[{number + 1}/{len(selected)}] {notebook.stem}"
            own = {name: values[name] for name in notebooks.parameters(notebook) if name in values}
            copy = output_dir / notebook.name
            key = uptodate.key(notebook, own, environment, home)
            if resume and uptodate.is_up_to_date(copy, notebook, key, home):
                executed.append(copy)
                record.keep(notebook)
                say(f"{label:<28} up to date")
                continue
            record.begin()
            parts = parts or Parts([output_dir / one.name for one in selected])
            started = time.monotonic()
            if ahead and ahead.notebook != notebook:
                ahead.stop()
                ahead = None
            kernel, ahead = ahead or Kernel(notebook, home, zygote), None
            try:
                # While this one runs, the next kernel starts and imports what it is going to need;
                # but not one that would first wait for the zygote.
                for following in selected[number + 1 : number + 2]:
                    forked = zygote if notebooks.imports_tensorflow(following) else None
                    if forked is None or forked.is_ready():
                        ahead = Kernel(following, home, zygote)
                failure = execute(notebook, copy, own, kernel, label if progress else None)
            finally:
                kernel.stop()
            if copy.exists():
                executed.append(copy)
            seconds, result = time.monotonic() - started, "failed" if failure else "ok"
            record.add(notebook, result, seconds)
            say(f"{label:<28} {result:<6} {seconds:6.1f} s")
            if failure:
                break
            uptodate.stamp(copy, notebook, key, home)
            parts.begin(copy)
        if record.has_begun or not shows(page, executed):
            record.finish(failure)
            render(executed, page, record.content, parts=parts)
    finally:
        if ahead:
            ahead.stop()
        if parts:
            parts.close()
    if failure:
        hint = f"\nThe executed copy is {home.display_path(executed[-1])}." if executed else ""
        raise WorkshopError(failure + hint)
    return page


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

    workplace = Path(tempfile.mkdtemp(prefix="workshop-"))
    draft = workplace / notebook.name
    failure = None
    try:
        papermill.execute_notebook(
            notebook,
            draft,
            parameters=values,
            cwd=notebook.parent,
            engine_name=_engine(),
            kernel_name=KERNEL,  # whatever the notebook was saved with
            language="python",
            progress_bar=bar and {"desc": bar, "leave": False, "bar_format": bar_layout("cells")},
            km=kernel.manager,
            start_timeout=_START_TIMEOUT,
            store_widget_state=False,
        )
    except papermill.PapermillExecutionError as error:
        failure = f"{notebook.name}, cell In [{error.exec_count}]: {error.ename}: {error.evalue}"
    except (DeadKernelError, RuntimeError):
        if kernel.is_alive():
            raise
        failure = f"{notebook.name}: the kernel died; the machine may be out of memory."
    finally:
        if draft.exists():
            files.write(copy, draft.read_bytes())
        shutil.rmtree(workplace, ignore_errors=True)
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
