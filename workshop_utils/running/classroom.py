"""Who of a class is where, and who needs help: from what `workshop doctor --json` printed, and
from the run.json that `workshop run` wrote.
"""

import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError, with_command
from workshop_utils.running import notebooks as course_notebooks
from workshop_utils.running import records
from workshop_utils.terminal import clipped, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DONE, FAILED, OPEN = "done", "failed", "open"
_OF_RUN = {"ok": DONE, "up to date": DONE, "failed": FAILED}
_LETTERS = {DONE: "ok", FAILED: "X", OPEN: "."}
_COLOURS = {DONE: "#7cb89b", FAILED: "#d9776c", OPEN: "#eceff1"}
_SIGNS = {DONE: "✓", FAILED: "×", OPEN: ""}
# How much is shown of a name and of a sentence, in characters.
_NAME, _SENTENCE = 40, 400
_SCHEMAS = {"run": records.SCHEMA, "doctor": records.SCHEMA.with_name("doctor.json")}


@dataclass
class Attendee:
    """One person. states: {notebook: DONE, FAILED or OPEN}. help: what is wrong, sentences."""

    name: str
    states: dict[str, str]
    help: list[str] = field(default_factory=list)

    @property
    def last(self) -> str | None:
        """The last notebook that is done; None if there is none."""
        return max((name for name, state in self.states.items() if state == DONE), default=None)


def read(folder: Path | str) -> tuple[list[Attendee], list[str]]:
    """All attendees of a folder, by name, and what was skipped: ([Attendee], [sentence]).

    A file NAME.json is of the attendee NAME, and so are all .json files in a folder NAME.
    Raises WorkshopError if the folder does not exist, or holds no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WorkshopError(f"There is no folder {paths.display_path(folder)}.")
    by_name: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.json")):
        inside = path.relative_to(folder).parts
        by_name.setdefault(inside[0] if len(inside) > 1 else path.stem, []).append(path)
    if not by_name:
        raise WorkshopError(
            with_command(
                f"There are no .json files in {paths.display_path(folder)}: collect there what "
                "this prints for each attendee:",
                ".venv/bin/workshop doctor --json",
            )
        )
    attendees, skipped = [], []
    for name, of_one in sorted(by_name.items()):
        found = []
        for path in of_one:
            try:
                found.append(_load(path))
            except WorkshopError as problem:
                skipped.append(printable(str(problem)))
        if found:
            attendees.append(_attendee(printable(name), found))
    return attendees, skipped


def _load(path: Path) -> dict[str, Any]:
    schema = _SCHEMAS.get(str(files.read_json(path).get("kind")))
    if schema is None:
        raise WorkshopError(f"{paths.display_path(path)} is neither of the doctor nor of a run.")
    return files.read_json(path, schema)


def _attendee(name: str, found: list[dict[str, Any]]) -> Attendee:
    """What the records of one person say together: their latest run, then the doctor."""
    runs = [record for record in found if record["kind"] == "run"]
    doctors = [record for record in found if record["kind"] == "doctor"]
    latest: dict[str, Any] = max(runs, key=lambda run: run["started"], default={"notebooks": []})
    reached = {row["name"]: _OF_RUN.get(row["status"], OPEN) for row in latest["notebooks"]}
    for doctor in doctors:
        reached |= dict.fromkeys(doctor["done"], DONE)
    names = [path.stem for path in course_notebooks.notebooks().values()]
    person = Attendee(name, {name: reached.get(name, OPEN) for name in names})
    if FAILED in person.states.values():
        person.help.append(" ".join((latest.get("failure") or "a notebook failed").split()))
    for doctor in doctors:
        _add_doctor(person, doctor)
    return person


def _add_doctor(person: Attendee, doctor: dict[str, Any]) -> None:
    """Notebook 1 asks the doctor, too; what is wrong is what the person needs help with."""
    wrong = [check for check in doctor["checks"] if check["required"] and not check["ok"]]
    person.states[min(person.states)] = FAILED if wrong else DONE
    person.help += [f"{check['name']}: {check['found']} -> {check['advice']}" for check in wrong]


def text(attendees: list[Attendee], skipped: list[str]) -> str:
    """Everybody as lines for a terminal, then who needs help and what was skipped."""
    width = min(_NAME, max([8, *(len(person.name) for person in attendees)]))
    helpless = [
        f"  {clipped(person.name, _NAME):<{width}}  {clipped(sentence, _SENTENCE)}"
        for person in attendees
        for sentence in person.help
    ]
    lines = [*_table(attendees, width), "", *_places(attendees)]
    for heading, entries in (
        ("Need help:", helpless),
        ("Skipped:", [f"  {clipped(sentence, _SENTENCE)}" for sentence in skipped]),
    ):
        lines += ["", heading, *entries] if entries else []
    return "\n".join(lines)


def _table(attendees: list[Attendee], width: int) -> list[str]:
    """A line per attendee, with a column per notebook."""
    numbers = [f"{path.name[:2]:<2}" for path in course_notebooks.notebooks().values()]
    lines = [f"{'':<{width}}  " + "  ".join(numbers)]
    for person in attendees:
        row = "  ".join(f"{_LETTERS[state]:<2}" for state in person.states.values())
        lines.append(f"{clipped(person.name, _NAME):<{width}}  {row}".rstrip())
    return lines


def _places(attendees: list[Attendee]) -> list[str]:
    """How many have come how far."""
    places = Counter(person.last or "nothing yet" for person in attendees)
    people = "1 attendee" if len(attendees) == 1 else f"{len(attendees)} attendees"
    lines = [f"{people}; last notebook done:"]
    return lines + [f"  {places[place]:>3}  {place}" for place in sorted(places, reverse=True)]


def picture_format(target: Path | str) -> str:
    """png or svg, from the name of a picture. Raises WorkshopError for another ending."""
    if Path(target).suffix not in (".png", ".svg"):
        raise WorkshopError(f"{target} should end with .png or .svg.")
    return Path(target).suffix[1:]


def draw(attendees: list[Attendee], target: Path | str) -> Path:
    """A picture with a row per attendee and a column per notebook; returns its path.

    target: path of a .png or .svg. Raises WorkshopError for another ending.
    """
    from matplotlib.figure import Figure

    kind = picture_format(target)
    notebooks = [path.stem for path in course_notebooks.notebooks().values()]
    rows = max(len(attendees), 1)
    figure = Figure(figsize=(9, 1.1 + 0.3 * rows), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row, person in enumerate(attendees):
        for column, name in enumerate(notebooks):
            state = person.states[name]
            axes.barh(row, 0.94, left=column + 0.03, height=0.86, color=_COLOURS[state])
            axes.text(column + 0.5, row, _SIGNS[state], ha="center", va="center")
    _label(axes, attendees, notebooks)
    helped = sum(bool(person.help) for person in attendees)
    figure.suptitle(
        f"✓ done   × failed   ! needs help ({helped} of {len(attendees)})", fontsize="medium"
    )
    with files.replacing(target) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # A box is drawn for it.
        figure.savefig(temporary, format=kind)
    return Path(target)


def _label(axes: "Axes", attendees: list[Attendee], notebooks: list[str]) -> None:
    """Names of notebooks on top, of people at the left, marked where they need help."""
    axes.set_xticks([column + 0.5 for column in range(len(notebooks))])
    axes.set_xticklabels(
        [name.replace("_", "\n", 1).replace("_", " ") for name in notebooks],
        fontsize="small",
        parse_math=False,
    )
    axes.set_yticks(range(len(attendees)))
    axes.set_yticklabels(
        [("! " if person.help else "") + clipped(person.name, 30) for person in attendees],
        parse_math=False,
    )
    for label, person in zip(axes.get_yticklabels(), attendees, strict=True):
        label.set_color("#b3261e" if person.help else "#1f2933")
    axes.set(xlim=(0, len(notebooks)), ylim=(max(len(attendees), 1) - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
