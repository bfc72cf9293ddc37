"""What a notebook needs, without running the ones before it: for whoever has fallen behind.

The reference artifacts were made by the canonical run (tools/refresh_notebooks.py) and ship with
the course in `paths.REFERENCE_DIR`, with their SHA-256 hashes. model.cc is not among them: it
follows from model.tflite.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from workshop_utils import c_source, files, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import notebooks

HASHES = "SHA256SUMS"  # in the format of the program sha256sum
_HISTORY = ".history.json"


@dataclass(frozen=True)
class Outcome:
    """What `fill_in` did: the notebook, two lists of paths, and whether notebooks ran for it."""

    notebook: Path
    filled_in: list[Path]
    kept: list[Path]
    ran: bool


def artifacts(before: str | None = None, home: Home | None = None) -> list[Path]:
    """The files that notebooks with a number below `before` make, in order.

    before: text such as '05'; None takes all notebooks. A model comes with its history.
    """
    home = home or paths.home()
    makers = _makers(home)
    if before:  # No notebook reads what the one about a sensor makes.
        makers = {path: made for path, made in makers.items() if home.sensor_dir != path.parent}
    return [path for path, maker in makers.items() if before is None or maker[:2] < before]


def _makers(home: Home) -> dict[Path, str]:
    """The home's `made_by`, with the histories of the models."""
    found = {}
    for path, notebook in home.made_by.items():
        found[path] = notebook
        if path.suffix == ".keras":
            found[path.with_suffix(_HISTORY)] = notebook
    return found


def number_of(text: str) -> str:
    """'5', '05' or '05_tensorflow_lite' (with or without .ipynb) -> '05', if there is such one.

    Raises WorkshopError if there is not.
    """
    every = notebooks.notebooks()
    for number, path in every.items():
        if text.removesuffix(".ipynb") in (number, number.lstrip("0"), path.stem):
            return number
    raise WorkshopError(f"There is no notebook {text}; choose one of {', '.join(every)}.")


def fill_in(
    notebook: str,
    run: bool = False,
    force: bool = False,
    say: Callable[[str], None] = print,
    home: Home | None = None,
) -> Outcome:
    """Put in place what `notebook` needs and what is missing. Returns an Outcome.

    notebook: as `number_of` takes it. run: make it by running what comes before, in place of
    taking the reference. force: put all of it in place, over what is there. say: called with each
    line of progress of a run. home: where to; None takes WORKSHOP_HOME. Nothing is put in place
    unless all of it is there.
    Raises WorkshopError if the notebook does not exist, a reference artifact is damaged, a notebook
    fails, or the course runs meanwhile.
    """
    home = home or paths.home()
    if home.own_notebook:
        raise WorkshopError(
            f"{home.path} is a project of its own: its notebook needs nothing that the course's "
            "notebooks make, so there is nothing to catch up with."
        )
    number = number_of(notebook)
    needed = artifacts(number, home)
    if not needed:
        return Outcome(notebooks.notebooks()[number], [], [], run)
    with files.artifacts_locked(home):
        missing = [path for path in needed if force or not path.is_file()]
        kept = [path for path in needed if path not in missing]
        make = _by_running(missing, kept, home, say) if run else _from_reference(missing)
        for path, content in make.items():
            files.write(path, content)
    return Outcome(notebooks.notebooks()[number], missing, kept, run)


def _from_reference(missing: Iterable[Path]) -> dict[Path, bytes]:
    """{path: bytes} of the reference artifacts, checked by their hashes."""
    return {
        path: c_source.to_c_source(reference("model.tflite")).encode()
        if path.suffix == ".cc"
        else reference(path.name)
        for path in missing
    }


def reference(name: str) -> bytes:
    """The content of a reference artifact.

    Raises WorkshopError if it is missing, or is not what the list of hashes says.
    """
    again = "get a complete copy of the project"
    with files.os_errors_as(f"The reference artifact {name} cannot be read", f"; {again}"):
        listed = (paths.REFERENCE_DIR / HASHES).read_text(encoding="utf-8")
        content = (paths.REFERENCE_DIR / name).read_bytes()
    if f"{hashlib.sha256(content).hexdigest()}  {name}\n" not in listed:
        raise WorkshopError(
            f"The reference artifact {name} is damaged, its SHA-256 is not the listed one: "
            f"{again}, or add --run."
        )
    return content


def _by_running(
    missing: Iterable[Path], there: Iterable[Path], home: Home, say: Callable[[str], None]
) -> dict[Path, bytes]:
    """{path: bytes}, made by running the notebooks that make them, in a home of their own.

    there: what exists already; the notebooks read it, and nothing is written to it.
    """
    from workshop_utils.running import course

    makers = {_makers(home)[path] for path in missing}
    to_run = [path for path in notebooks.notebooks().values() if path.stem in makers]
    for notebook in to_run:
        files.read_notebook(notebook)  # before the first one starts
    with tempfile.TemporaryDirectory(prefix="workshop-") as name:
        other = Home(Path(name).resolve())
        _copy(there, home, other)
        for notebook in to_run:
            say(f"running {notebook.name} ...")
            course.run([notebook], {}, say=lambda line: None, home=other)
            _copy(there, home, other)  # the next one is to read what is kept
        return {path: _moved(path, home, other).read_bytes() for path in missing}


def _copy(artifacts: Iterable[Path], home: Home, other: Home) -> None:
    for path in artifacts:
        files.write(_moved(path, home, other), path.read_bytes())


def _moved(path: Path, home: Home, other: Home) -> Path:
    """Where in the other home an artifact lies."""
    return other.path / path.relative_to(home.path)


def text(outcome: Outcome, home: Home | None = None) -> str:
    """The outcome as lines for a terminal."""
    shown = (home or paths.home()).display_path
    lines = [f"filled in  {shown(path)}" for path in outcome.filled_in]
    lines += [f"kept       {shown(path)}, which was there" for path in outcome.kept]
    if outcome.filled_in and outcome.kept and not outcome.ran:
        lines.append("What is filled in was not made from your files, but by the course's own run.")
    lines.append(f"Notebook {outcome.notebook.name} has all that it needs.")
    return "\n".join(lines)
