"""What a notebook needs, without running the ones before it: for whoever has fallen behind.

The reference artifacts were made by the canonical run (tools/refresh_notebooks.py) and ship with
the course in `paths.REFERENCE_DIR`, with their SHA-256 hashes. model.cc is not among them: it
follows from model.tflite.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from workshop_utils import c_source, files, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks

HASHES = "SHA256SUMS"  # in the format of the program sha256sum
_HISTORY = ".history.json"


@dataclass(frozen=True)
class Outcome:
    """What `fill_in` did: the notebook, two lists of paths, and whether notebooks ran for it."""

    notebook: Path
    filled_in: list
    kept: list
    ran: bool


def artifacts(before):
    """The files that notebooks with a number below `before` make, as paths, in order.

    before: text such as '05'. A model comes with its history.
    """
    found = []
    for path, notebook in paths.MADE_BY.items():
        if notebook[:2] < before:
            found.append(path)
            if path.suffix == ".keras":
                found.append(path.with_suffix(_HISTORY))
    return found


def number_of(text):
    """'5', '05' or '05_tensorflow_lite' (with or without .ipynb) -> '05', if there is such one.

    Raises WorkshopError if there is not.
    """
    every = notebooks.notebooks()
    for number, path in every.items():
        if text.removesuffix(".ipynb") in (number, number.lstrip("0"), path.stem):
            return number
    raise WorkshopError(f"There is no notebook {text}; choose one of {', '.join(every)}.")


def fill_in(notebook, run=False, force=False, say=print):
    """Put in place what `notebook` needs and what is missing. Returns an Outcome.

    notebook: as `number_of` takes it. run: make it by running what comes before, in place of
    taking the reference. force: put all of it in place, over what is there. say: called with each
    line of progress of a run. Nothing is put in place unless all of it is there.
    Raises WorkshopError if the notebook does not exist, a reference artifact is damaged, or a
    notebook fails.
    """
    number = number_of(notebook)
    needed = artifacts(number)
    missing = [path for path in needed if force or not path.is_file()]
    make = _by_running if run else _from_reference
    kept = [path for path in needed if path not in missing]
    content = make(missing, kept, say) if missing else {}
    for path in missing:
        files.write(path, content[path])
    return Outcome(notebooks.notebooks()[number], missing, kept, run)


def _from_reference(missing, there, say):
    """{path: bytes} of the reference artifacts, checked by their hashes."""
    content = {}
    for path in missing:
        if path.suffix == ".cc":
            content[path] = c_source.to_c_source(reference(paths.MODEL_TFLITE.name)).encode()
        else:
            content[path] = reference(path.name)
    return content


def reference(name):
    """The content of a reference artifact, bytes.

    Raises WorkshopError if it is missing, or is not what the list of hashes says.
    """
    again = "get a complete copy of the project"
    try:
        listed = (paths.REFERENCE_DIR / HASHES).read_text(encoding="utf-8")
        content = (paths.REFERENCE_DIR / name).read_bytes()
    except OSError as error:
        raise WorkshopError(
            f"The reference artifact {name} cannot be read ({error.strerror}): {again}."
        ) from error
    if f"{hashlib.sha256(content).hexdigest()}  {name}\n" not in listed:
        raise WorkshopError(
            f"The reference artifact {name} is damaged, its SHA-256 is not the listed one: "
            f"{again}, or add --run."
        )
    return content


def _by_running(missing, there, say):
    """{path: bytes}, made by running the notebooks that make them, in a home of their own.

    there: what exists already; the notebooks read it, and nothing is written to it.
    """
    makers = {_made_by(path) for path in missing}
    with tempfile.TemporaryDirectory(prefix="workshop-") as name:
        home = Path(name).resolve()
        _copy(there, home)
        for number, notebook in notebooks.notebooks().items():
            if notebook.stem in makers:
                say(f"running {notebook.name} ...")
                _run(number, home)
                _copy(there, home)  # the next one is to read what is kept
        return {path: (home / path.relative_to(paths.HOME)).read_bytes() for path in missing}


def _run(number, home):
    result = subprocess.run(
        [sys.executable, "-m", "workshop_utils.cli", "run", "--only", number],
        env={**os.environ, "WORKSHOP_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        said = (result.stderr.strip() or "it says nothing").splitlines()[-1]
        raise WorkshopError(said.removeprefix("Error: "))


def _copy(artifacts, home):
    for path in artifacts:
        files.write(home / path.relative_to(paths.HOME), path.read_bytes())


def _made_by(path):
    """The notebook that makes an artifact or the history of a model: '04_larger_model'."""
    return (
        paths.MADE_BY.get(path)
        or paths.MADE_BY[path.with_name(path.name.replace(_HISTORY, ".keras"))]
    )


def text(outcome):
    """The outcome as lines for a terminal."""
    lines = [f"filled in  {paths.shown(path)}" for path in outcome.filled_in]
    lines += [f"kept       {paths.shown(path)}, which was there" for path in outcome.kept]
    if outcome.filled_in and outcome.kept and not outcome.ran:
        lines.append("What is filled in was not made from your files, but by the course's own run.")
    lines.append(f"Notebook {outcome.notebook.name} has all that it needs.")
    return "\n".join(lines)
