"""The table of a sweep, results.csv: a row per run that ended, well or not.

While a sweep is at work, a row is one line, appended as soon as its run has ended: whatever ends
the sweep, no line that is there gets lost, and the time for a line does not grow with the table. A
run that is done again has two lines until the sweep ends, and the later one counts.
"""

import csv
import io
import os
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from workshop_utils import files
from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps.limits import MAX_RUNS
from workshop_utils.terminal import printable

NAME = "results.csv"
MOST_BYTES = 1000 * MAX_RUNS  # a row has some 300 bytes, an error in it up to 500 more

Row = dict[str, Any]


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a sweep's table, {column: `printable` text}, whatever became of their runs.

    Raises WorkshopError if the file is something else.
    """
    return list({row["run"]: row for row in rows(path)}.values())


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a sweep's table, one after the other; of a run that has two, the later counts.

    A last line that breaks off, as it does when the disk becomes full, is left out. Raises
    WorkshopError if the file is something else.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise ValueError(f"more than {MOST_BYTES} bytes")
            reader = csv.DictReader(_whole_lines(file), strict=True)
            for count, row in enumerate(reader):
                row = printable(row)
                number = int(row["run"])
                if not 1 <= number <= MAX_RUNS or count > 2 * MAX_RUNS:
                    raise ValueError(f"run {number} in row {count}")
                if not row["status"] or None in {*row, *row.values()}:
                    raise ValueError(row)
                yield row | {"run": str(number)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise WorkshopError(f"{path} is not the table of a sweep.") from error


def _whole_lines(file: io.TextIOBase) -> Iterator[str]:
    """The lines of a file that have ended: of another nobody knows whether its last cell has."""
    return (line for line in file if line.endswith("\n"))


class Table:
    """A table to which rows are added: use it as `with Table(path, columns) as table`.

    columns: their names; whatever else is in the file is brought to them. At the end, and at the
    start if there is a table already, the runs are put in order, each with its last row.
    Raises WorkshopError if the file cannot be written, or is another table.
    """

    def __init__(self, path: Path, columns: list[str]) -> None:
        self.path, self.columns = path, columns

    def __enter__(self) -> "Table":
        self._put_in_order()
        with files.os_errors_as(f"Cannot write {self.path}"):
            self._file = self.path.open("ab", buffering=0)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        there = self._is_there()
        self._file.close()
        if there:
            with suppress(WorkshopError) if error else nullcontext():  # the first one says more
                self._put_in_order()

    def add(self, row: Row) -> None:
        """Append the row of a run, {column: value}, as one line. Raises WorkshopError if the file
        cannot be written, or is no longer there."""
        self.check()
        line = self._line(row)
        with files.os_errors_as(f"Cannot write {self.path}"):
            while line:
                line = line[self._file.write(line) or 0 :]

    def check(self) -> None:
        """Raise WorkshopError if the file has been deleted or replaced, maybe with its folder."""
        if not self._is_there():
            raise WorkshopError(
                f"{self.path} was deleted, moved or replaced while the sweep was at work, so it "
                "ends; --resume goes on with what is left."
            )

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), self.path.stat())
        except OSError:
            return False

    def _line(self, row: Row) -> bytes:
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerow(row)
        return text.getvalue().encode("utf-8")

    def _put_in_order(self) -> None:
        """Rewrite the file: a line per run, in their order."""
        lines: dict[int, bytes] = {}
        if self.path.exists():
            for row in rows(self.path):
                known = {name: row[name] for name in self.columns if name in row}
                lines[int(row["run"])] = self._line(known)
        header = self._line({name: name for name in self.columns})
        files.write(self.path, b"".join([header, *(lines[run] for run in sorted(lines))]))
