"""A sweep's table as answers: the smallest model that is good, and a report of pictures.

The report is report.ipynb beside this module, run with papermill in the sweep's folder. Its cells
with a tag such as needs-NOISE are left out where the noise is the same in all runs.
"""

import json
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop_utils import files
from workshop_utils.errors import MissingArtifact, WorkshopError
from workshop_utils.running import course, page
from workshop_utils.sweeps import execute, run, spec

if TYPE_CHECKING:
    import pandas as pd

NOTEBOOK, PAGE = "report.ipynb", "report.html"
TEMPLATE = Path(__file__).with_name(NOTEBOOK)
# The columns that a report cannot do without.
_NEEDED = (
    *("SEED", "NEURONS", "LAYERS", "good", "test_error", "sine_error"),
    *("flash", "ram", "model_bytes", "instructions"),
)
# What the numbers of a run are, besides its parameters.
_KINDS: dict[str, type] = dict.fromkeys(("test_error", "float_error", "floor", "sine_error"), float)
_KINDS |= dict.fromkeys(("run", "equal", "weights", "model_bytes"), int)
_KINDS |= dict.fromkeys(("flash", "ram", "instructions"), int) | {"good": bool}
_LARGEST = 2**53  # up to which a float holds every whole number


def table(source: Path | str) -> "pd.DataFrame":
    """The runs that ended well: a pandas DataFrame, a row each.

    source: the folder of a sweep, or a CSV file that was its table. Raises MissingArtifact if it is
    not there, WorkshopError if no run ended well, or if the file is something else: then it names
    the row, counted from 1, and what is wrong there.
    """
    import pandas as pd

    path = Path(source) / execute.TABLE if Path(source).is_dir() else Path(source)
    if not path.is_file():
        raise MissingArtifact(f"There is no table of a sweep at {path}.")
    # A table may be older than a parameter, and then had the notebooks' value, or than a metric.
    known = spec.defaults()
    absent = dict.fromkeys(run.METRICS) | known
    rows = []
    for number, row in enumerate(execute.read_table(path), start=1):
        if row["status"] == "ok":
            try:
                rows.append(absent | _typed(row, known))
            except WorkshopError as error:
                raise WorkshopError(
                    f"{path} is not the table of a sweep: in row {number} {error}"
                ) from error
    if not rows:
        raise WorkshopError(f"No run of {path} ended well, so there is nothing to show.")
    return pd.DataFrame(rows)


def _typed(row: dict[str, str], known: spec.Values) -> dict[str, Any]:
    """A row with its numbers as numbers. Raises WorkshopError if it cannot be that of a run.

    known: {parameter: value}, which say what the parameters are.
    """
    for name in _NEEDED:
        if name not in row:
            raise WorkshopError(f"{name} is missing.")
    kinds = _KINDS | {name: type(value) for name, value in known.items()}
    typed = {name: _value(name, text, kinds.get(name, str)) for name, text in row.items()}
    spec.check(known | {name: typed[name] for name in known if name in typed})
    return typed


def _value(name: str, text: str, kind: type) -> Any:
    """What a cell says. Raises WorkshopError, which names the column, if it is not of its kind."""
    if kind is str:
        return text
    if kind is bool and text in ("True", "False"):
        return text == "True"
    try:
        number = float(text)
        if kind is not bool and 0 <= number <= _LARGEST and number == kind(number):
            return kind(number)
    except ValueError:
        pass
    wanted = {bool: "True or False", int: "a whole number", float: "a number"}[kind]
    raise WorkshopError(f"{name} is {reprlib.repr(text)}, but should be {wanted}.")


def configuration_parameters() -> list[str]:
    """The names of the parameters that make a configuration: all but the seed."""
    return [name for name in spec.defaults() if name != "SEED"]


def varied(rows: "pd.DataFrame") -> list[str]:
    """The parameters that differ from row to row."""
    known = (name for name in spec.defaults() if name in rows)
    return [name for name in known if rows[name].nunique() > 1]


def configurations(rows: "pd.DataFrame") -> "pd.DataFrame":
    """A row for each configuration: how many runs, how many are good, and what is usual for them.

    Errors and instructions are medians over the seeds, memory is the largest: all have to fit.
    """
    groups = rows.groupby(configuration_parameters())
    kinds = {name: (name, "median") for name in ("test_error", "sine_error", "instructions")}
    kinds |= {name: (name, "max") for name in ("flash", "ram", "model_bytes")}
    table = groups.agg(runs=("run", "size"), good=("good", "sum"), **kinds).reset_index()
    return table.astype({"instructions": int})


def smallest(rows: "pd.DataFrame") -> "pd.Series | None":
    """The smallest configuration, by flash, whose every run draws a good sine; None if none does.

    Of equally small ones it is the most accurate. Returns a row of `configurations`.
    """
    groups = configurations(rows)
    reliable = groups[groups["good"] == groups["runs"]].sort_values(["flash", "sine_error"])
    return None if reliable.empty else reliable.iloc[0]


def describe(row: "pd.Series", rows: "pd.DataFrame") -> str:
    """A configuration in words: what of it differs in this sweep, and what it costs."""
    what = ", ".join(f"{name} {row[name]}" for name in varied(rows) if name != "SEED")
    return (
        f"{what or 'the only configuration'}: {row['flash']:,} bytes of flash, {row['ram']:,} of "
        f"RAM, {row['instructions']:,} instructions, error to the sine {row['sine_error']:.4f}"
    )


def run_of(rows: "pd.DataFrame", row: "pd.Series") -> int:
    """The number of the run of a configuration whose error is nearest to its median."""
    same = rows[(rows[configuration_parameters()] == row[configuration_parameters()]).all(axis=1)]
    return int(same.loc[(same["sine_error"] - row["sine_error"]).abs().idxmin(), "run"])


def model(folder: Path | str, number: int) -> bytes:
    """The int8 model (bytes) that a run made. Raises MissingArtifact if it is not there."""
    path = execute.home_of(folder, number).model_tflite
    if not path.is_file():
        raise MissingArtifact(f"{path} is missing: the sweep's folder is not complete.")
    return path.read_bytes()


# ---- The report


def make(folder: Path | str) -> tuple[Path, Path]:
    """Write the report of the sweep in `folder`, executed. Returns the paths (notebook, page).

    Raises MissingArtifact if there is no sweep, WorkshopError if no run ended well.
    """
    from workshop_utils.running.kernel import Kernel

    folder = Path(folder).resolve()
    path = files.write(folder / NOTEBOOK, _notebook(_topics(folder)))
    kernel = Kernel(path)
    try:
        failure = course.execute(path, path, {}, kernel)
    finally:
        kernel.stop()
    if failure:
        raise WorkshopError(f"The report was not made: {failure}")
    return path, page.render([path], folder / PAGE, title="A sweep")


def _topics(folder: Path) -> set[str]:
    """What there is to say of a sweep: its varied parameters, 'failed' runs, the 'smallest' good
    model if it was kept."""
    _, every = execute.read(folder)
    rows = table(folder)
    topics = set(varied(rows))
    if any(row["status"] != "ok" for row in every):
        topics.add("failed")
    best = smallest(rows)
    # A sweep may have kept no models, or only that of another run.
    if best is not None and execute.home_of(folder, run_of(rows, best)).model_tflite.is_file():
        topics.add("smallest")
    return topics


def _notebook(topics: set[str]) -> str:
    """The text of the template without the cells that are tagged needs-TOPIC for another topic."""
    content = json.loads(TEMPLATE.read_text(encoding="utf-8"))
    needed = {f"needs-{topic}" for topic in topics}
    content["cells"] = [
        cell
        for cell in content["cells"]
        if all(tag in needed for tag in cell["metadata"].get("tags", []) if tag.startswith("needs"))
    ]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
