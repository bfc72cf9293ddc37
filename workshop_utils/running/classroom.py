"""Who of a class is where, and who needs help: from what `workshop doctor --json` printed, and
from the run.json that `workshop run` wrote.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks as course_notebooks
from workshop_utils.running import records

DONE, FAILED, OPEN = "done", "failed", "open"
_LETTERS = {DONE: "ok", FAILED: "X", OPEN: "."}
_COLOURS = {DONE: "#7cb89b", FAILED: "#d9776c", OPEN: "#eceff1"}
_SIGNS = {DONE: "✓", FAILED: "×", OPEN: ""}


@dataclass
class Attendee:
    """One person. states: {notebook: DONE, FAILED or OPEN}. help: what is wrong, sentences."""

    name: str
    states: dict
    help: list = field(default_factory=list)

    @property
    def last(self):
        """The last notebook that is done; None if there is none."""
        return max((name for name, state in self.states.items() if state == DONE), default=None)


def read(folder):
    """All attendees of a folder, by name, and what was skipped: ([Attendee], [sentence]).

    A file NAME.json is of the attendee NAME, and so are all .json files in a folder NAME.
    Raises WorkshopError if the folder does not exist, or holds no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise WorkshopError(f"There is no folder {paths.shown(folder)}.")
    files = {}
    for path in sorted(folder.rglob("*.json")):
        inside = path.relative_to(folder).parts
        files.setdefault(inside[0] if len(inside) > 1 else path.stem, []).append(path)
    if not files:
        raise WorkshopError(
            f"There are no .json files in {paths.shown(folder)}: collect there what "
            "workshop doctor --json prints."
        )
    attendees, skipped = [], []
    for name, of_one in sorted(files.items()):
        records = []
        for path in of_one:
            try:
                records.append(_load(path))
            except WorkshopError as problem:
                skipped.append(str(problem))
        if records:
            attendees.append(_attendee(_clean(name), records))
    return attendees, skipped


def _load(path):
    content = files.read_json(path)
    if content.get("kind") == "run":
        return records.read(path)
    checks, done = content.get("checks"), content.get("done")
    if content.get("kind") != "doctor" or not isinstance(checks, list):
        raise WorkshopError(f"{paths.shown(path)} is neither of the doctor nor of a run.")
    whole = {"name", "ok", "required", "found", "advice"}
    if not isinstance(done, list) or not all(
        isinstance(check, dict) and whole <= set(check) for check in checks
    ):
        raise WorkshopError(f"{paths.shown(path)} is damaged.")
    return content


def _attendee(name, records):
    states = {path.stem: OPEN for path in course_notebooks.notebooks().values()}
    person = Attendee(name, states)
    doctors = [record for record in records if record["kind"] == "doctor"]
    run = max(
        (record for record in records if record["kind"] == "run"),
        key=lambda record: record["started"],
        default=None,
    )
    for row in run["notebooks"] if run else []:
        if row["name"] in states:
            states[row["name"]] = _of_run(row["status"])
    for found in doctors:
        states.update({by: DONE for by in found["done"] if by in states})
    if FAILED in states.values():
        person.help.append(_clean(run.get("failure") or "a notebook failed"))
    for found in doctors:
        wrong = [check for check in found["checks"] if check["required"] and not check["ok"]]
        states[min(states)] = FAILED if wrong else DONE  # notebook 1 asks the doctor, too
        person.help += [
            _clean(f"{check['name']}: {check['found']} -> {check['advice']}") for check in wrong
        ]
    return person


def _of_run(status):
    return {"ok": DONE, "up to date": DONE, "failed": FAILED}.get(status, OPEN)


def _clean(said):
    """Without what could move the cursor: these files come from thirty other computers."""
    return "".join(character if character.isprintable() else " " for character in str(said))


def text(attendees, skipped):
    """Everybody as lines for a terminal, then who needs help and what was skipped."""
    numbers = [path.name[:2] for path in course_notebooks.notebooks().values()]
    width = max([8, *(len(person.name) for person in attendees)])
    lines = [f"{'':<{width}}  " + "  ".join(f"{number:<2}" for number in numbers)]
    for person in attendees:
        row = "  ".join(f"{_LETTERS[state]:<2}" for state in person.states.values())
        lines.append(f"{person.name:<{width}}  {row}".rstrip())
    lines.append("")
    places = Counter(person.last or "nothing yet" for person in attendees)
    people = "1 attendee" if len(attendees) == 1 else f"{len(attendees)} attendees"
    lines.append(f"{people}; last notebook done:")
    lines += [f"  {places[place]:>3}  {place}" for place in sorted(places, reverse=True)]
    if helpless := [person for person in attendees if person.help]:
        lines += ["", "Need help:"]
        lines += [
            f"  {person.name:<{width}}  {sentence}"
            for person in helpless
            for sentence in person.help
        ]
    if skipped:
        lines += ["", "Skipped:", *(f"  {_clean(sentence)}" for sentence in skipped)]
    return "\n".join(lines)


def draw(attendees, target):
    """A picture with a row per attendee and a column per notebook; returns its path.

    target: path of a .png or .svg. Raises WorkshopError for another ending.
    """
    from matplotlib.figure import Figure

    if Path(target).suffix not in (".png", ".svg"):
        raise WorkshopError(f"{target} should end with .png or .svg.")
    notebooks = [path.stem for path in course_notebooks.notebooks().values()]
    rows = max(len(attendees), 1)
    figure = Figure(figsize=(9, 1.1 + 0.3 * rows), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    for row, person in enumerate(attendees):
        for column, name in enumerate(notebooks):
            state = person.states[name]
            axes.barh(row, 0.94, left=column + 0.03, height=0.86, color=_COLOURS[state])
            axes.text(column + 0.5, row, _SIGNS[state], ha="center", va="center")
    axes.set_xticks([column + 0.5 for column in range(len(notebooks))])
    axes.set_xticklabels(
        [name.replace("_", "\n", 1).replace("_", " ") for name in notebooks], fontsize="small"
    )
    axes.set_yticks(range(len(attendees)))
    axes.set_yticklabels(
        [("! " if person.help else "") + person.name[:30] for person in attendees],
        parse_math=False,
    )
    for label, person in zip(axes.get_yticklabels(), attendees, strict=True):
        label.set_color("#b3261e" if person.help else "#1f2933")
    axes.set(xlim=(0, len(notebooks)), ylim=(rows - 0.5, -0.5))
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    helped = sum(bool(person.help) for person in attendees)
    figure.suptitle(
        f"✓ done   × failed   ! needs help ({helped} of {len(attendees)})", fontsize="medium"
    )
    with files.replacing(target) as temporary:
        figure.savefig(temporary, format=Path(target).suffix[1:])
    return target
