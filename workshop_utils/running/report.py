"""A run for people: the summary on top of its page, and two runs side by side."""

import html
import re

from workshop_utils import files
from workshop_utils.running import records
from workshop_utils.running.metrics import METRICS, written

# Which metrics stand together.
_CARDS = {
    "Errors": [
        *("noise_floor", "test_mse_float", "test_mse_int8", "test_mse_tflm"),
        *("loss", "val_loss", "small_val_loss"),
    ],
    "Files, in bytes": ["keras_bytes", "float_bytes", "int8_bytes"],
    "Budget of the chip": ["flash_bytes", "ram_bytes", "instructions", "equal_answers"],
}
_UNITS = {"flash_bytes": " bytes", "ram_bytes": " bytes", "equal_answers": " of 256"}

_STYLE = """\
.run { font: 14px/1.45 system-ui, sans-serif; color: #1f2933; margin: 1em 0; }
.run .verdict { font-size: 17px; border-left: 6px solid #2e7d32; background: #eef7ee;
  padding: 10px 14px; margin: 0 0 14px; }
.run .verdict.bad { border-color: #c62828; background: #fdeeee; }
.run .cards { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); }
.run section { border: 1px solid #d5dbe1; border-radius: 6px; padding: 10px 14px; }
.run h3 { font-size: 15px; margin: 0 0 6px; }
.run table { border-collapse: collapse; width: 100%; margin: 0; font-size: 13px;
  table-layout: auto; }
.run td { padding: 3px 0; border: 0; text-align: left; vertical-align: top; }
.run td + td { text-align: right; padding-left: 12px; font-variant-numeric: tabular-nums; }
.run .text td + td { text-align: left; }
.run .bar { display: block; height: 6px; background: #4f81bd; border-radius: 3px; min-width: 1px;
  margin: 3px 0; }
.run .failed .bar { background: #c62828; }
.run .differs { background: #fff6d6; }
.run p { margin: 10px 0; }
.run .wide { grid-column: 1 / -1; font-size: 13px; }
.run .wide span { white-space: nowrap; }
"""


def summary(record):
    """HTML that says how a run went, for a page that opens offline.

    record: the content of a run.json. There is no empty line in it, so Markdown leaves it alone.
    """
    good, verdict = _verdict(record)
    metrics = record["metrics"]
    cards = [
        _card(title, [(METRICS[name][0], _value(name, metrics[name])) for name in present])
        for title, names in _CARDS.items()
        if (present := [name for name in names if name in metrics])
    ]
    cards += [
        _times(record),
        _card("Parameters", _parameters(record).items()),
        _card("Machine", _machine(record["machine"]).items(), "text"),
        _versions(record["versions"]),
    ]
    parts = [
        f"<style>{_STYLE}</style>",
        '<div class="run">',
        f'<p class="verdict{"" if good else " bad"}">{html.escape(verdict)}</p>',
        f'<div class="cards">{"".join(cards)}</div>',
        f"<p>Run of {records.name_of(record)}, {_duration(record['seconds'])} in all.</p>",
        "</div>",
    ]
    return re.sub(r"\n\s*", "\n", "\n".join(parts))


def _verdict(record):
    """(is it good?, in sentences)"""
    metrics = record["metrics"]
    if record.get("failure"):
        return False, f"The run failed. {record['failure']}"
    if not record.get("finished"):
        return False, "The run did not come to its end."
    if "converged" not in metrics:
        return True, "All notebooks of this run went through."
    error = max(value for name, value in metrics.items() if name.startswith("test_mse"))
    said = f"test error {error:.4f}, of which noise makes {metrics['noise_floor']:.4f}."
    learned = metrics["converged"]
    sentence = (
        f"The model has learned the sine: {said}"
        if learned
        else (f"The model has not learned the sine: {said} Try another seed or more epochs.")
    )
    equal = metrics.get("equal_answers")
    if equal is not None:
        sentence += f" On the emulated chip {equal} of 256 answers equal TFLM's."
    return learned and equal in (None, 256), sentence


def _card(title, rows, kind=""):
    body = "".join(
        f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>"
        for name, value in rows
    )
    return f'<section><h3>{title}</h3><table class="{kind}">{body}</table></section>'


def _versions(found):
    items = " · ".join(
        f"<span>{html.escape(name)} {html.escape(_text(version))}</span>"
        for name, version in found.items()
    )
    return f'<section class="wide"><h3>Versions</h3>{items}</section>'


def _times(record):
    longest = max([row["seconds"] for row in record["notebooks"]] + [0.1])
    rows = []
    for row in record["notebooks"]:
        time = f"{row['seconds']:.1f} s" if row["status"] == "ok" else row["status"]
        width = 100 * row["seconds"] / longest
        failed = ' class="failed"' if row["status"] == "failed" else ""
        rows.append(
            f"<tr{failed}><td>{html.escape(row['name'])}"
            f'<span class="bar" style="width:{width:.0f}%"></span></td>'
            f"<td>{html.escape(time)}</td></tr>"
        )
    return f"<section><h3>Time per notebook</h3><table>{''.join(rows)}</table></section>"


def _parameters(record):
    """{name: value}; where notebooks differ in one, {'03: NAME': value}."""
    values = {}
    for notebook, own in record["parameters"].items():
        for name, value in own.items():
            values.setdefault(name, {})[notebook[:2]] = value
    flat = {}
    for name, by_notebook in values.items():
        same = len(set(map(repr, by_notebook.values()))) == 1
        for number, value in by_notebook.items():
            flat[name if same else f"{number}: {name}"] = value
    return flat


def _machine(found):
    memory = found.get("memory_bytes")
    return {
        "System": found.get("system"),
        "Processor": found.get("processor"),
        "Architecture": found.get("architecture"),
        "Cores": found.get("cpus"),
        "Memory": f"{memory / 1e9:.1f} GB" if memory else "-",
        "Python": found.get("python"),
    }


def _value(name, value):
    return written(name, value) + (_UNITS.get(name, "") if value is not None else "")


def _duration(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


# ---- A page made anew


# ---- Two runs


def compare(one, other):
    """What two records say, side by side: {section: list of (name, value, other value)}, texts.

    In each section, what differs comes first; of the versions and the machine there is only that.
    """
    metrics = [name for name in METRICS if name in one["metrics"] or name in other["metrics"]]
    sections = {
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
        "Machine": _pairs(_machine(one["machine"]), _machine(other["machine"])),
    }
    for title, rows in sections.items():
        differing = [row for row in rows if row[1] != row[2]]
        equal = [row for row in rows if row[1] == row[2]]
        if title in ("Versions", "Machine"):
            which = f"{len(equal)} others" if differing else f"all {len(equal)}"
            equal = [(f"{which} are equal", "", "")] if equal else []
        sections[title] = differing + equal
    return sections


def _pairs(one, other):
    names = [*one, *(name for name in other if name not in one)]
    return [(name, _text(one.get(name)), _text(other.get(name))) for name in names]


def _text(value):
    return "-" if value is None else str(value)


def _seconds(record):
    times = {
        row["name"]: f"{row['seconds']:.1f} s" if row["status"] == "ok" else row["status"]
        for row in record["notebooks"]
    }
    return {**times, "in all": f"{record['seconds']:.1f} s"}


def compared_text(one, other):
    """`compare` as lines for a terminal; * marks what differs."""
    sections = compare(one, other)
    head = ("", records.name_of(one), records.name_of(other))
    rows = [head, *(row for rows in sections.values() for row in rows)]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"  {'':<{first}}  {head[1]:<{second}}  {head[2]}"]
    for title, rows in sections.items():
        lines.append(title)
        for name, value, another in rows:
            mark = " " if value == another else "*"
            lines.append(f"{mark} {name:<{first}}  {value:<{second}}  {another}".rstrip())
    return "\n".join(lines)


def compared_page(one, other, page):
    """`compare` as an HTML page that needs nothing from elsewhere. Returns its path."""
    sections = compare(one, other)
    heads = "".join(f"<td><b>{records.name_of(record)}</b></td>" for record in (one, other))
    body = [f"<section><table><tr><td></td>{heads}</tr></table></section>"]
    for title, rows in sections.items():
        cells = "".join(
            f"<tr{'' if row[1] == row[2] else ' class=differs'}>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in row)
            + "</tr>"
            for row in rows
        )
        body.append(f"<section><h3>{title}</h3><table>{cells}</table></section>")
    return files.write(
        page,
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Two runs</title>'
        f"<style>body {{ max-width: 900px; margin: 2em auto; }}{_STYLE}"
        ".run section { margin-bottom: 12px; } .run td { width: 34%; }</style>"
        f'<div class="run"><h2>Two runs of the course</h2><p>What differs is marked.</p>'
        f"{''.join(body)}</div></html>\n",
    )
