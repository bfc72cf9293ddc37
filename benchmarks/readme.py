"""Bring the documents' figures up to date with what was measured last.

    .venv/bin/python benchmarks/readme.py            # writes them
    .venv/bin/python benchmarks/readme.py --check    # says which are out of date

Where the figures come from: the tables that benchmarks/firmware.py stored in notebooks/data, and
the models of the tests, which need what ./install.sh --test installs. Figures that depend on the
machine, such as times, are not looked at: beside them stands the command that measures them.
"""

import argparse
import csv
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import firmware
from workshop_utils import files, paths

TESTS = paths.PROJECT / "tests"
README, FIRMWARE_README = "README.md", "firmware/README.md"


@dataclass(frozen=True)
class Figure:
    """Some figures of a document.

    pattern: regular expression that the document has once; its groups are the figures. values:
    what is measured, a function that returns a text for each group.
    """

    document: str
    pattern: str
    values: Callable[[], tuple[str, ...]]

    def updated(self, text):
        """The document's text with the figures as they are. ValueError unless it has them once."""
        found = list(re.finditer(self.pattern, text, re.DOTALL))
        if len(found) != 1:
            raise ValueError(f"{self.document} has {self.pattern!r} {len(found)} times, not once.")
        values = self.values()
        for group in range(len(values), 0, -1):
            start, end = found[0].span(group)
            text = text[:start] + values[group - 1] + text[end:]
        return text


def read(path):
    """The lines of a stored table, as dictionaries of texts."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def board(engine, name="emulator", compiler="zig -O2"):
    """The line of the boards' table for an engine, its numbers as such."""
    (line,) = (
        line
        for line in read(firmware.BOARDS_CSV)
        if (line["board"], line["engine"], line["compiler"]) == (name, engine, compiler)
    )
    return {key: int(value) if value.isdecimal() else value for key, value in line.items()}


def kilobytes(count):
    return f"{count / 1000:.1f}"


@cache
def proof():
    """(models, answers) of tests/firmware/test_proof.py, the project's own model included."""
    sys.path.append(str(TESTS))
    import tflite_factory as factory

    from workshop_utils import c_source

    own = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
    models = [own, *factory.proof_models().values()]
    return len(models), sum(len(factory.input_grid(model)) for model in models)


# ---- Tables


def markdown(names, lines):
    """A table of Markdown. names: of its columns. lines: lists of texts."""
    rows = [names, ["---"] * len(names), *lines]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def thousands(cell):
    return f"{int(cell):,}" if cell.isdecimal() else cell


def boards_table():
    names = ["engine", "board", "compiler", "flash", "of it model", "RAM", "int8 to int8"]
    keys = ("engine", "board", "compiler", "flash", "model", "ram", "step", "inference")
    lines = [[thousands(line[key]) for key in keys] for line in read(firmware.BOARDS_CSV)]
    return markdown([*names, "float to float"], lines)


def engines_table():
    names = ["core", "engine", "compiler", "flash", "RAM", "int8 to int8", "float to float"]
    keys = ("core", "engine", "compiler", "flash", "ram", "step", "inference", "error", "equal")
    lines = [[thousands(line[key]) for key in keys] for line in read(firmware.ENGINES_CSV)]
    return markdown([*names, "error", "equal"], lines)


def dates():
    found = sorted({line["date"] for line in read(firmware.ENGINES_CSV)})
    return " and ".join(found)


def marked(name):
    """The pattern of what stands between two comments of a document."""
    return f"<!-- {name} -->\n(.*?)\n<!-- end -->"


FIGURES = [
    Figure(
        README,
        r"application and start-up included \| ([\d.]+) kB of flash; ([\d.]+) kB of RAM",
        lambda: (kilobytes(board("compact")["flash"]), kilobytes(board("compact")["ram"])),
    ),
    Figure(
        README,
        r"one inference on a Cortex-M4 \| ([\d,]+) instructions, ([\d,]+) of them",
        lambda: tuple(f"{board('compact')[key]:,}" for key in ("inference", "step")),
    ),
    Figure(
        README,
        r"answers of (\d+) models with two compilers on two emulators \| all ([\d,]+) equal",
        lambda: tuple(f"{count:,}" for count in proof()),
    ),
    Figure(
        "CHANGELOG.md",
        r"model as plain C in it, in ([\d.]+) kB instead of ([\d.]+) kB of flash",
        lambda: tuple(kilobytes(board(engine)["flash"]) for engine in ("generated", "compact")),
    ),
    Figure(FIRMWARE_README, marked("boards"), lambda: (boards_table(),)),
    Figure(FIRMWARE_README, marked("engines"), lambda: (engines_table(),)),
    Figure(FIRMWARE_README, r"measured on ([\d-]+(?: and [\d-]+)*) by", lambda: (dates(),)),
]


def updated():
    """{document: (its text, its text with the figures as they are)}."""
    texts = {}
    for figure in FIGURES:
        path = paths.PROJECT / figure.document
        before, now = texts.get(path, (path.read_text(encoding="utf-8"),) * 2)
        texts[path] = before, figure.updated(now)
    return texts


def main():
    """Write the documents, or with --check say which are out of date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if old")
    options = parser.parse_args()
    old = {path: now for path, (before, now) in updated().items() if before != now}
    for path, text in old.items():
        if not options.check:
            files.write(path, text)
        print(paths.display_path(path), "is out of date" if options.check else "is written")
    sys.exit(bool(old) and options.check)


if __name__ == "__main__":
    main()
