"""Records as runs, doctors and sweeps write them, and texts in them that mean harm."""

import copy
import json
from html.parser import HTMLParser

import nbformat

NOTEBOOKS = {"03_small_model": {"SEED": 1, "EPOCHS": 500}, "04_larger_model": {"SEED": 1}}
# Markup for elements, attributes, styles and Markdown; then what moves a cursor or turns a line.
MARKUP = "'\"><script>alert(1)</script><img src=x onerror=alert(2)></style></table>`*[a](b)*$x$"
HOSTILE = MARKUP + "\n\n\x1b[2J\x1b]0;title\x07\r\x08\x9b31m\u202e\u2066\u2028{{ 7 * 7 }}"


def record(**changes):
    """The record of a run."""
    content = {
        "schema": 1,
        "kind": "run",
        "started": "2026-03-01T14:05:09Z",
        "seconds": 30.0,
        "finished": True,
        "failure": None,
        "parameters": NOTEBOOKS,
        "machine": {"system": "Linux 6", "cpus": 2, "memory_bytes": 8_000_000_000},
        "versions": {"numpy": "2.4.6", "keras": "3.15.1", "tqdm": None},
        "notebooks": [{"name": name, "status": "ok", "seconds": 12.5} for name in NOTEBOOKS],
        "metrics": {"converged": True, "noise_floor": 0.0087, "test_mse_int8": 0.0095},
    }
    return {**copy.deepcopy(content), **changes}


def with_texts(content, text):
    """The content with `text` and a number in place of every text in it but its kind."""
    count = iter(range(1000))

    def changed(value):
        if isinstance(value, dict):
            return {
                name if name in FIXED else f"{name}{text}": (
                    entry if name == "kind" else changed(entry)
                )
                for name, entry in value.items()
            }
        if isinstance(value, list):
            return [changed(entry) for entry in value]
        return f"{text}{next(count)}" if isinstance(value, str) else value

    return changed(content)


# Names that the records themselves have; others, such as those of parameters, come from elsewhere.
FIXED = {
    *record(),
    *("system", "processor", "architecture", "cpus", "memory_bytes", "python"),
    *("name", "status", "seconds", "converged", "noise_floor", "test_mse_int8"),
    *("ready", "checks", "done", "ok", "required", "found", "advice", "runs", "varied"),
}


def hostile_run(text):
    """A run that failed with `text` in every field; the names of its notebooks can be files'."""
    whole = {"failure": "why", "machine": dict.fromkeys(("system", "processor", "python"), "x")}
    content = with_texts(record(**whole), text)
    for row, name in zip(content["notebooks"], NOTEBOOKS, strict=True):
        row["name"] = name
    return content


def write_notebook(path, cells=(), **metadata):
    """A notebook of these cells, or of one that says whose it is."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(
        cells=list(cells) or [nbformat.v4.new_markdown_cell(f"text of {path.stem}")],
        metadata={"kernelspec": kernel, **metadata},
    )
    nbformat.write(notebook, path)


def write_run(folder, content=None, **changes):
    """What a run leaves: its executed notebooks and its record. Returns the folder."""
    folder.mkdir(parents=True)
    for name in NOTEBOOKS:
        write_notebook(folder / f"{name}.ipynb")
    (folder / "run.json").write_text(json.dumps(content or record(**changes)))
    return folder


def elements(page):
    """The elements of a page, in order, each with the names of its attributes."""
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, *(name for name, _ in attributes)))

    Parser().feed(page)
    return found


def harmful(page):
    """What of a page could act: scripts, handlers, and what is loaded from elsewhere."""
    found = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            for name, value in attributes:
                outside = name == "src" and not value.startswith("data:")
                if name.startswith("on") or outside or "alert(" in f"{name}{value}":
                    found.append((tag, name, value))
            if tag in ("script", "iframe"):
                found.append((tag,))

    Parser().feed(page)
    return found


def moves_the_cursor(text):
    """The characters of a terminal's text that are none to be seen."""
    return {character for character in text if not character.isprintable()} - {"\n"}
