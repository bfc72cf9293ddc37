"""What a run of the course leaves behind for machines: run.json, beside the executed notebooks.

    schema      1; it grows when a name below changes its meaning
    kind        "run"
    started     date and time, UTC, as in 2026-03-01T14:05:09Z
    seconds     how long it took
    finished    false while it runs, and for ever if it was ended from outside
    failure     the sentence that it ended with; null if all went well
    parameters  {notebook: {name: value}}, as they were used
    machine     what `machine.describe` returns
    versions    what `machine.versions` returns: {package: version or null}, the course's commit
    notebooks   a list of {name, status, seconds}; status is "ok", "failed", "up to date" (a former
                run's result was kept) or "not run"
    metrics     {name of METRICS: value}, those that could be had

The metrics are computed from the artifacts in models/ and from the firmware's image, not read off
the notebooks, and without TensorFlow.
"""

import json
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from workshop_utils import files, machine, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import metrics, notebooks

RECORD = "run.json"
SCHEMA = Path(__file__).parent / "schemas" / RECORD

OK, FAILED, UP_TO_DATE, NOT_RUN = "ok", "failed", "up to date", "not run"


class Record:
    """run.json, written anew after each notebook, so that a run that was killed has one too.

    It is not touched before a notebook really runs: when all are up to date, the record of the
    run that made them stays.
    """

    def __init__(
        self,
        folder: Path | str,
        selected: Sequence[Path],
        values: dict[str, Any],
        home: paths.Home | None = None,
    ) -> None:
        """folder: of the run. selected: paths of its notebooks. values: parameters chosen.
        home: whose artifacts are measured."""
        self._home = home
        self.path = Path(folder) / RECORD
        self._started = time.monotonic()
        self.content: dict[str, Any] = {
            "schema": 1,
            "kind": "run",
            "started": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": 0.0,
            "finished": False,
            "failure": None,
            "parameters": {
                path.stem: {
                    name: values.get(name, default)
                    for name, default in notebooks.parameters(path).items()
                }
                for path in selected
            },
            "machine": machine.describe(),
            "versions": machine.versions(),
            "notebooks": [
                {"name": path.stem, "status": NOT_RUN, "seconds": 0.0} for path in selected
            ],
            "metrics": {},
        }
        self.has_begun = False

    def former(self) -> dict[str, Any] | None:
        """What is in the place of this record, if it is one of the same notebooks."""
        with suppress(WorkshopError, OSError):
            content = read(self.path)
            if [row["name"] for row in content["notebooks"]] == [
                row["name"] for row in self.content["notebooks"]
            ]:
                return content
        return None

    def begin(self) -> None:
        """A notebook is about to run."""
        self.has_begun = True
        self._write()

    def keep(self, notebook: Path) -> None:
        """One notebook's former result is up to date."""
        self._note(notebook, UP_TO_DATE, 0.0)

    def add(self, notebook: Path, status: str, seconds: float) -> None:
        """One notebook has run: OK or FAILED."""
        self._note(notebook, status, seconds)
        self._write()

    def _note(self, notebook: Path, status: str, seconds: float) -> None:
        for row in self.content["notebooks"]:
            if row["name"] == notebook.stem:
                row.update(status=status, seconds=round(seconds, 1))

    def finish(self, failure: str | None = None) -> None:
        """The run is at its end. failure: the sentence to end with. Computes the metrics."""
        failed = {
            row["name"] for row in self.content["notebooks"] if row["status"] in (FAILED, NOT_RUN)
        }
        self.content.update(
            finished=True, failure=failure, metrics=metrics.measure(failed, self._home)
        )
        self._write()

    def _write(self) -> None:
        self.content["seconds"] = round(time.monotonic() - self._started, 1)
        files.write(self.path, json.dumps(self.content, indent=1) + "\n")


def read(path: Path | str) -> dict[str, Any]:
    """The content of a run.json, or of the one in a folder; its texts are `printable`.

    Raises WorkshopError if there is none, or if it is damaged.
    """
    path = Path(path)
    path = path / RECORD if path.is_dir() else path
    if not is_record(path):
        raise WorkshopError(f"{paths.display_path(path)} is not the record of a run.")
    return files.read_json(path, SCHEMA)


def is_record(path: Path) -> bool:
    """Whether a file is the record of a run. Raises WorkshopError if it is no JSON object."""
    return files.read_json(path).get("kind") == "run"


def title(content: dict[str, Any]) -> str:
    """A run's title for a heading: when it began."""
    return content["started"].replace("T", " ").rstrip("Z") + " UTC"
