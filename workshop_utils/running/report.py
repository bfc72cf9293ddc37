"""A run for people: the summary on top of its page, and two runs side by side."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop_utils import files
from workshop_utils.running import records
from workshop_utils.running.metrics import METRICS, format_metric
from workshop_utils.terminal import clipped, printable

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"

# A row of a table for people: a name, and a value or those of two runs.
Rows = list[tuple[str, ...]]

# Which metrics stand together.
_CARDS = {
    "Errors": [
        *("noise_floor", "test_mse_float", "test_mse_int8", "test_mse_tflm"),
        *("loss", "val_loss", "small_val_loss"),
    ],
    "Files, in bytes": ["keras_bytes", "float_bytes", "int8_bytes"],
    "Budget of the chip": ["flash_bytes", "ram_bytes", "instructions", "equal_answers"],
}
# How much a terminal shows of a name and of a value, in characters.
_NAME, _CELL = 40, 60
_UNITS = {"flash_bytes": " bytes", "ram_bytes": " bytes", "equal_answers": " of 256"}


def render(template: str, **values: Any) -> str:
    """A page, or a part of one, from a template in a file (in TEMPLATES); values are escaped."""
    return _environment().get_template(template).render(**values).strip()


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        finalize=_printable_unless_markup,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _printable_unless_markup(value: Any) -> Any:
    """What a template writes: `printable` text, which is escaped then, or Markup as it is."""
    return value if hasattr(value, "__html__") else printable(str(value))


# ---- The summary


def summary(record: dict[str, Any]) -> str:
    """HTML that says how a run went, for a page that opens offline.

    record: the content of a run.json.
    """
    good, verdict = _verdict(record)
    metrics = record["metrics"]
    cards = {
        title: [(METRICS[name][0], _value(name, metrics[name])) for name in present]
        for title, names in _CARDS.items()
        if (present := [name for name in names if name in metrics])
    }
    return render(
        "summary.html.j2",
        good=good,
        verdict=verdict,
        cards=cards,
        times=_times(record),
        parameters=_parameters(record),
        machine=_machine(record),
        versions={name: _text(version) for name, version in record["versions"].items()},
        title=records.title(record),
        duration=_duration(record["seconds"]),
    )


def _verdict(record: dict[str, Any]) -> tuple[bool, str]:
    """Whether it is good, and that in sentences."""
    metrics = record["metrics"]
    if record.get("failure"):
        return False, f"The run failed. {record['failure']}"
    if not record.get("finished"):
        return False, "The run did not come to its end."
    errors = [value for name, value in metrics.items() if name.startswith("test_mse")]
    if not errors or not {"converged", "noise_floor"} <= set(metrics):
        return True, "All notebooks of this run went through."
    said = f"test error {max(errors):.4f}, of which noise makes {metrics['noise_floor']:.4f}."
    learned = bool(metrics["converged"])
    sentence = (
        f"The model has learned the sine: {said}"
        if learned
        else f"The model has not learned the sine: {said} Try another seed or more epochs."
    )
    equal = metrics.get("equal_answers")
    if equal is not None:
        sentence += f" On the emulated chip {equal} of 256 answers equal TFLM's."
    return learned and equal in (None, 256), sentence


def _times(record: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """Per notebook: name, time or status, width of its bar in percent, whether it failed."""
    longest = max([row["seconds"] for row in record["notebooks"]] + [0.1])
    return [
        (
            row["name"],
            _time_or_status(row),
            f"{100 * row['seconds'] / longest:.0f}",
            row["status"] == records.FAILED,
        )
        for row in record["notebooks"]
    ]


def _time_or_status(row: dict[str, Any]) -> str:
    return f"{row['seconds']:.1f} s" if row["status"] == "ok" else row["status"]


def _parameters(record: dict[str, Any]) -> dict[str, str]:
    """{name: value}; where notebooks differ in one, {'03: NAME': value}."""
    values: dict[str, dict[str, str]] = {}
    for notebook, own in record["parameters"].items():
        for name, value in own.items():
            values.setdefault(name, {})[notebook[:2]] = str(value)
    flat = {}
    for name, by_notebook in values.items():
        same = len(set(by_notebook.values())) == 1
        for number, value in by_notebook.items():
            flat[name if same else f"{number}: {name}"] = value
    return flat


def _machine(record: dict[str, Any]) -> dict[str, str]:
    found = record["machine"]
    memory = found.get("memory_bytes")
    return {
        "System": _text(found.get("system")),
        "Processor": _text(found.get("processor")),
        "Architecture": _text(found.get("architecture")),
        "Cores": _text(found.get("cpus")),
        "Memory": f"{memory / 1e9:.1f} GB" if memory else "-",
        "Python": _text(found.get("python")),
    }


def _value(name: str, value: float | bool | None) -> str:
    return format_metric(name, value) + (_UNITS.get(name, "") if value is not None else "")


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


# ---- Two runs


def compare(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Rows]:
    """What two records say, side by side: {section: list of (name, value, other value)}, texts.

    In each section, what differs comes first; of the versions and the machine there is only that,
    and the course's commit.
    """
    metrics = [name for name in METRICS if name in one["metrics"] or name in other["metrics"]]
    sections: dict[str, Rows] = {
        "Parameters": _pairs(_parameters(one), _parameters(other)),
        "Results": [
            (
                METRICS[name][0],
                _value(name, one["metrics"].get(name)),
                _value(name, other["metrics"].get(name)),
            )
            for name in metrics
        ],
        "Times": _pairs(_seconds(one), _seconds(other)),
        "Versions": _pairs(one["versions"], other["versions"]),
        "Machine": _pairs(_machine(one), _machine(other)),
    }
    for title, rows in sections.items():
        differing = [row for row in rows if row[1] != row[2]]
        equal = [row for row in rows if row[1] == row[2]]
        if title in ("Versions", "Machine"):
            equal = _in_short(equal, bool(differing))
        sections[title] = differing + equal
    return sections


def _in_short(equal: Rows, others: bool) -> Rows:
    """How many rows are equal, in place of them; others: whether there are some that differ."""
    commit = [row for row in equal if row[0] == "commit"]
    which = f"{len(equal)} others are" if others else f"all {len(equal)} are"
    which = "1 other is" if which == "1 others are" else which
    return [*commit, (f"{which} equal", "", "")] if equal else []


def _pairs(one: Mapping[str, Any], other: Mapping[str, Any]) -> Rows:
    names = [*one, *(name for name in other if name not in one)]
    return [(name, _text(one.get(name)), _text(other.get(name))) for name in names]


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _seconds(record: dict[str, Any]) -> dict[str, str]:
    times = {row["name"]: _time_or_status(row) for row in record["notebooks"]}
    return {**times, "in all": f"{record['seconds']:.1f} s"}


def comparison_text(one: dict[str, Any], other: dict[str, Any]) -> str:
    """`compare` as lines for a terminal; * marks what differs."""
    sections = compare(one, other)
    head = ("", records.title(one), records.title(other))
    rows = [head, *(row for rows in sections.values() for row in rows)]
    first = min(_NAME, max(len(row[0]) for row in rows))
    second = min(_CELL, max(len(row[1]) for row in rows))

    def line(mark: str, row: tuple[str, ...]) -> str:
        name, value, another = (
            clipped(row[0], _NAME),
            clipped(row[1], _CELL),
            clipped(row[2], _CELL),
        )
        return f"{mark} {name:<{first}}  {value:<{second}}  {another}".rstrip()

    lines = [line(" ", head)]
    for title, rows in sections.items():
        lines.append(title)
        lines += [line(" " if row[1] == row[2] else "*", row) for row in rows]
    return "\n".join(lines)


def comparison_page(one: dict[str, Any], other: dict[str, Any], page: Path | str) -> Path:
    """`compare` as an HTML page that needs nothing from elsewhere. Returns its path."""
    titles = records.title(one), records.title(other)
    html = render("compare.html.j2", titles=titles, sections=compare(one, other))
    return files.write(page, html + "\n")
