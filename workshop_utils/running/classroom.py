"""Who of a class is where, and who needs help: from what `workshop doctor --json` printed, and
from the run.json that `workshop run` wrote.
"""

import os
import re
import unicodedata
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
_OF_RUN = {records.OK: DONE, records.UP_TO_DATE: DONE, records.FAILED: FAILED}
_LETTERS = {DONE: "ok", FAILED: "X", OPEN: "."}
_COLOURS = {DONE: "#7cb89b", FAILED: "#d9776c", OPEN: "#eceff1"}
_SIGNS = {DONE: "✓", FAILED: "×", OPEN: ""}
# How much is shown of a name, of a sentence, and of a machine's system, in characters.
_NAME, _SENTENCE, _COLUMN = 40, 400, 24
_SCHEMAS = {"run": records.SCHEMA, "doctor": records.SCHEMA.with_name("doctor.json")}


@dataclass
class Attendee:
    """One person. states: {notebook: DONE, FAILED or OPEN}. help: what is wrong, sentences.

    machine: what `machine.describe` said there, as far as it is known. right, asked: how many
    questions of the notebooks are answered right, of how many.
    """

    name: str
    states: dict[str, str]
    help: list[str] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)
    right: int = 0
    asked: int = 0

    @property
    def last(self) -> str | None:
        """The last notebook that is done; None if there is none."""
        return max((name for name, state in self.states.items() if state == DONE), default=None)


def read(folder: Path | str) -> tuple[list[Attendee], list[str]]:
    """All attendees of a folder, by name, and what was skipped: ([Attendee], [sentence]).

    A file NAME.json is of the attendee NAME, and so are all .json files in a folder NAME. Windows
    may make NAME.json.txt of it, and browsers NAME (1).json. The newest records of a person count.
    Raises WorkshopError if the folder does not exist, or holds no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WorkshopError(f"There is no folder {paths.display_path(folder)}.")
    found, skipped = _files(folder)
    if not found:
        raise WorkshopError(
            with_command(
                f"There are no .json files in {paths.display_path(folder)}: collect there what "
                "this prints for each attendee:",
                ".venv/bin/workshop doctor --json",
            )
        )
    records_of: dict[str, list[dict[str, Any]]] = {}
    for path in found:
        try:
            records_of.setdefault(_name(path.relative_to(folder)), []).append(_load(path))
        except WorkshopError as problem:
            skipped.append(printable(str(problem)))
    some = {name: of_one for name, of_one in records_of.items() if of_one}
    return [_attendee(printable(name), some[name]) for name in sorted(some)], skipped


_ENDINGS = (".json", ".json.txt")


def _files(folder: Path) -> tuple[list[Path], list[str]]:
    """The files that may be records, and what is none: ([path], [sentence]).

    Of a folder NAME, only what is no .json file is passed over in silence: runs leave more there.
    """
    found, skipped = [], []

    def unreadable(error: OSError) -> None:
        shown = printable(paths.display_path(error.filename))
        skipped.append(f"Cannot read {shown}: {error.strerror}.")

    for place, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        for path in (Path(place) / name for name in sorted(names) if not name.startswith(".")):
            if path.name.lower().endswith(_ENDINGS):
                found.append(path)
            elif path.parent == folder:
                skipped.append(f"{printable(paths.display_path(path))} is no .json file.")
    return found, skipped


def _name(path: Path) -> str:
    """Whose a file is, from its path in the class's folder."""
    if len(path.parts) > 1:
        return _normal(path.parts[0])
    stem = re.sub(r"(?i)\.json(\.txt)?$", "", path.name)
    return _normal(re.sub(r" ?\(\d+\)$", "", stem)) or path.name


def _normal(name: str) -> str:
    """macOS writes an umlaut in a file's name as two characters."""
    return unicodedata.normalize("NFC", name).strip()


def _load(path: Path) -> dict[str, Any]:
    schema = _SCHEMAS.get(str(files.read_json(path).get("kind")))
    if schema is None:
        raise WorkshopError(f"{paths.display_path(path)} is neither of the doctor nor of a run.")
    return files.read_json(path, schema)


def _attendee(name: str, found: list[dict[str, Any]]) -> Attendee:
    """What the newest run and the newest doctor's of one person say together."""
    names = [path.stem for path in course_notebooks.notebooks().values()]
    person = Attendee(name, dict.fromkeys(names, OPEN))
    newest = {record["kind"]: record for record in sorted(found, key=_time)}
    for record in sorted(newest.values(), key=lambda one: _time(one) or "later"):
        person.machine |= record.get("machine", {})
        (_add_run if record["kind"] == "run" else _add_doctor)(person, record)
    if FAILED in person.states.values():
        run = newest.get("run", {"notebooks": []})
        failed = [row["name"] for row in run["notebooks"] if _OF_RUN.get(row["status"]) == FAILED]
        if any(person.states.get(name) == FAILED for name in failed):
            person.help.insert(0, " ".join((run.get("failure") or "a notebook failed").split()))
    return person


def _time(record: dict[str, Any]) -> str:
    """When a record was begun, as a text that sorts by time; older doctors did not say so."""
    started = str(record.get("started", ""))
    return started if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", started) else ""


def _add_run(person: Attendee, run: dict[str, Any]) -> None:
    for row in run["notebooks"]:
        state = _OF_RUN.get(row["status"])
        if state is not None and row["name"] in person.states:
            person.states[row["name"]] = state


def _add_doctor(person: Attendee, doctor: dict[str, Any]) -> None:
    """Notebook 1 asks the doctor, too; what is wrong is what the person needs help with."""
    for name in set(paths.Home(paths.PROJECT).made_by.values()) & person.states.keys():
        if name in doctor["done"]:
            person.states[name] = DONE
        elif person.states[name] == DONE and _time(doctor):  # Its results have been removed since.
            person.states[name] = OPEN
    for row in doctor.get("answers", []):
        person.right += int(row["right"])
        person.asked += int(row["asked"])
    wrong = [check for check in doctor["checks"] if check["required"] and not check["ok"]]
    person.states[min(person.states)] = FAILED if wrong else DONE
    person.help += [f"{check['name']}: {check['found']} -> {check['advice']}" for check in wrong]


def roster(path: Path | str) -> list[str]:
    """The names in a text file, a line each. Raises WorkshopError if it cannot be read."""
    written = files.read(path, 1_000_000)
    encoding = "utf-16" if written.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    lines = written.decode(encoding, errors="replace").splitlines()
    return [name for line in lines if (name := printable(_normal(line)))]


def text(attendees: list[Attendee], skipped: list[str], expected: list[str] | None = None) -> str:
    """Everybody as lines for a terminal, then who needs help, who is missing, what was skipped.

    expected: the names of all who should be there, from `roster`.
    """
    lines = [*_table(attendees), "", *_places(attendees)]
    helped = []
    for sentence, names in _problems(attendees).items():
        helped += [f"  {clipped(sentence, _SENTENCE)}", f"      {', '.join(names)}"]
    here = {person.name.casefold() for person in attendees}
    on_list = {name.casefold() for name in expected or []}
    missing = [name for name in expected or [] if name.casefold() not in here]
    others = [person.name for person in attendees if person.name.casefold() not in on_list]
    for heading, entries in (
        ("Need help:", helped),
        ("Nothing has come from:", [f"  {clipped(name, _NAME)}" for name in missing]),
        ("Not on the list:", [f"  {clipped(name, _NAME)}" for name in others if expected]),
        ("Skipped:", [f"  {clipped(sentence, _SENTENCE)}" for sentence in skipped]),
    ):
        lines += ["", heading, *entries] if entries else []
    return "\n".join(lines)


def _problems(attendees: list[Attendee]) -> dict[str, list[str]]:
    """{problem: [name of who has it]}, the most frequent first.

    Sentences that differ in their numbers alone, such as bytes or seconds, are one problem.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for person in attendees:
        for sentence in person.help:
            alike = groups.setdefault(re.sub(r"\d[\d.,]*", "0", sentence), {})
            alike.setdefault(sentence, []).append(clipped(person.name, _NAME))
    found = {
        next(iter(alike)): list(dict.fromkeys(name for names in alike.values() for name in names))
        for alike in groups.values()
    }
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def _table(attendees: list[Attendee]) -> list[str]:
    """A line per attendee: a column per notebook, what is answered right, what they work on."""
    width = min(_NAME, max([8, *(len(person.name) for person in attendees)]))
    numbers = [f"{path.name[:2]:<2}" for path in course_notebooks.notebooks().values()]
    told = any(person.asked for person in attendees)
    rows = [("", numbers, (*["Right"] * told, "System", "Python", "Memory"))]
    for person in attendees:
        letters = [f"{_LETTERS[state]:<2}" for state in person.states.values()]
        score = f"{person.right} of {person.asked}" if person.asked else ""
        rows.append(
            (clipped(person.name, _NAME), letters, (*[score] * told, *_machine(person.machine)))
        )
    widths = [max(map(len, column)) for column in zip(*(row[2] for row in rows), strict=True)]
    lines = []
    for name, letters, on in rows:
        columns = [f"{word:<{size}}" for word, size in zip(on, widths, strict=True)]
        lines.append("  ".join([f"{name:<{width}}", *letters, *columns]).rstrip())
    return lines


def _machine(machine: dict[str, Any]) -> tuple[str, str, str]:
    """System, Python and memory, as far as they are known."""
    memory = machine.get("memory_bytes")
    known = memory is not None and 0 <= memory <= 1e18  # NaN is neither
    return (
        clipped(machine.get("system") or "", _COLUMN),
        clipped(machine.get("python") or "", _COLUMN),
        f"{memory / 1e9:.0f} GB" if memory is not None and known else "",
    )


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
    size = (1.3 * len(notebooks), 1.1 + 0.3 * rows)
    figure = Figure(figsize=size, dpi=120, layout="constrained")
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
