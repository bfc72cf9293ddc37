"""What a run of the course leaves behind for machines: run.json, beside the executed notebooks.

    schema      1; it grows when a name below changes its meaning
    kind        "run"
    started     date and time, UTC, as in 2026-03-01T14:05:09Z
    seconds     how long it took
    finished    false while it runs, and for ever if it was ended from outside
    failure     the sentence that it ended with; null if all went well
    parameters  {notebook: {name: value}}, as they were used
    machine     what `machine.describe` returns
    versions    {package: version or null}
    notebooks   a list of {name, status, seconds}; status is "ok", "failed", "up to date" (a former
                run's result was kept) or "not run"
    metrics     {name of METRICS: value}, those that could be had

The metrics are computed from the artifacts in models/ and from the firmware's image, not read off
the notebooks, and without TensorFlow.
"""

import json
import time
from datetime import datetime, timezone
from pathlib import Path

from workshop_utils import machine, paths
from workshop_utils.errors import WorkshopError

RECORD = "run.json"
CONVERGED = 0.01  # the most that a model's error may exceed the noise by

# What each metric is called and how it is written. Errors are mean squared errors.
METRICS = {
    "converged": ("Converged", ""),
    "noise_floor": ("Test error, perfect model", ".4f"),
    "test_mse_float": ("Test error, float", ".4f"),
    "test_mse_int8": ("Test error, int8 on LiteRT", ".4f"),
    "test_mse_tflm": ("Test error, int8 on TFLM", ".4f"),
    "loss": ("Training loss", ".4f"),
    "val_loss": ("Validation loss", ".4f"),
    "small_val_loss": ("Validation loss, small model", ".4f"),
    "keras_bytes": ("model.keras", ",d"),
    "float_bytes": ("model_no_quant.tflite", ",d"),
    "int8_bytes": ("model.tflite", ",d"),
    "flash_bytes": ("Flash", ",d"),
    "ram_bytes": ("RAM, stack included", ",d"),
    "instructions": ("Instructions per inference", ",.0f"),
    "equal_answers": ("Answers equal to TFLM's", ",d"),
}


class Record:
    """run.json, written anew after each notebook, so that a run that was killed has one too.

    It is not touched before a notebook really runs: when all are up to date, the record of the
    run that made them stays.
    """

    def __init__(self, folder, selected, values):
        """folder: of the run. selected: paths of its notebooks. values: parameters chosen."""
        from workshop_utils import course

        self.path = Path(folder) / RECORD
        self._started = time.monotonic()
        self.content = {
            "schema": 1,
            "kind": "run",
            "started": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": 0.0,
            "finished": False,
            "failure": None,
            "parameters": {
                path.stem: {
                    name: values.get(name, default)
                    for name, default in course.parameters(path).items()
                }
                for path in selected
            },
            "machine": machine.describe(),
            "versions": machine.versions(),
            "notebooks": [
                {"name": path.stem, "status": "not run", "seconds": 0.0} for path in selected
            ],
            "metrics": {},
        }
        self.has_begun = False

    def begin(self):
        """A notebook is about to run."""
        self.has_begun = True
        self._write()

    def keep(self, notebook):
        """One notebook's former result is up to date."""
        self._note(notebook, "up to date", 0.0)

    def add(self, notebook, status, seconds):
        """One notebook has run: 'ok' or 'failed'."""
        self._note(notebook, status, seconds)
        self._write()

    def _note(self, notebook, status, seconds):
        for row in self.content["notebooks"]:
            if row["name"] == notebook.stem:
                row.update(status=status, seconds=round(seconds, 1))

    def finish(self, failure=None):
        """The run is at its end. failure: the sentence to end with. Computes the metrics."""
        failed = {row["name"] for row in self.content["notebooks"] if row["status"] in _UNDONE}
        self.content.update(finished=True, failure=failure, metrics=metrics(failed))
        self._write()

    def _write(self):
        self.content["seconds"] = round(time.monotonic() - self._started, 1)
        paths.write(self.path, json.dumps(self.content, indent=1) + "\n")


_UNDONE = ("failed", "not run")


def read(path):
    """The content of a run.json, or of the one in a folder.

    Raises WorkshopError if there is none, or if it is damaged.
    """
    path = Path(path)
    path = path / RECORD if path.is_dir() else path
    content = read_json(path)
    if content.get("kind") != "run":
        raise WorkshopError(f"{paths.shown(path)} is not the record of a run.")
    for name, kind in _SHAPE.items():
        if not isinstance(content.get(name), kind):
            raise WorkshopError(f"{paths.shown(path)} is damaged: {name} is missing or no {kind}.")
    for row in content["notebooks"]:
        if not (isinstance(row, dict) and {"name", "status", "seconds"} <= set(row)):
            raise WorkshopError(f"{paths.shown(path)} is damaged: notebooks holds {row!r}.")
    return content


_SHAPE = {
    "started": str,
    "seconds": (int, float),
    "parameters": dict,
    "machine": dict,
    "versions": dict,
    "notebooks": list,
    "metrics": dict,
}


def read_json(path):
    """The JSON object in a file. Raises WorkshopError, a sentence, if there is none."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkshopError(f"Cannot read {paths.shown(path)}: {error.strerror}.") from error
    except ValueError as error:
        raise WorkshopError(f"{paths.shown(path)} is damaged: it is not JSON.") from error
    if not isinstance(content, dict):
        raise WorkshopError(f"{paths.shown(path)} is not a JSON object.")
    return content


def metrics(without=()):
    """The METRICS that can be computed from what is in models/ and of the firmware's image.

    without: names of notebooks whose artifacts do not count, such as those that failed.
    Returns {name: number or bool}; what is missing or damaged is left out.
    """
    counted = {path for path, by in paths.MADE_BY.items() if by not in without and path.is_file()}
    found = {}
    for part in (_losses, _errors, _sizes, _budget):
        try:
            found |= part(counted)
        except (WorkshopError, OSError, KeyError, IndexError, TypeError):
            continue  # A damaged artifact; the notebook that reads it says so.
    return {name: found[name] for name in METRICS if found.get(name) is not None}


def _losses(counted):
    """The last epoch's."""
    found = {}
    for path, prefix, names in (
        (paths.MODEL_TF, "", ("loss", "val_loss")),
        (paths.SMALL_MODEL_TF, "small_", ("val_loss",)),
    ):
        if path in counted:
            history = read_json(path.with_suffix(".history.json"))
            found |= {prefix + name: history[name][-1] for name in names if history.get(name)}
    return found


def _errors(counted):
    """On the test set. Converged is what comes near enough to the noise."""
    if paths.DATASET not in counted:
        return {}
    import numpy as np

    from workshop_utils import data, inference

    dataset = data.load()
    x, y = dataset.x_test, dataset.y_test
    found = {"noise_floor": float(np.mean((y - np.sin(x)) ** 2))}
    if paths.MODEL_NO_QUANT_TFLITE in counted:
        model = paths.MODEL_NO_QUANT_TFLITE.read_bytes()
        found["test_mse_float"] = inference.evaluate(model, x, y)
    if paths.MODEL_TFLITE in counted:
        model = paths.MODEL_TFLITE.read_bytes()
        found["test_mse_int8"] = inference.evaluate(model, x, y)
        if inference.tflm_problem() is None:
            found["test_mse_tflm"] = inference.evaluate(model, x, y, runtime="tflm")
    errors = [value for name, value in found.items() if name.startswith("test_")]
    if errors:
        found["converged"] = max(errors) <= found["noise_floor"] + CONVERGED
    return found


def _sizes(counted):
    files = {
        "keras_bytes": paths.MODEL_TF,
        "float_bytes": paths.MODEL_NO_QUANT_TFLITE,
        "int8_bytes": paths.MODEL_TFLITE,
    }
    return {name: path.stat().st_size for name, path in files.items() if path in counted}


def _budget(counted):
    """What the firmware that notebook 06 builds takes, if it has this very model in it."""
    wave, sweep = (
        paths.FIRMWARE_IMAGES_DIR / f"emulator-compact-zig-{name}.elf" for name in ("wave", "sweep")
    )
    if not {paths.MODEL_TFLITE, paths.FIRMWARE_MODEL} <= counted or not wave.is_file():
        return {}
    model = paths.MODEL_TFLITE.read_bytes()
    if model not in wave.read_bytes() or model not in sweep.read_bytes():
        return {}
    from workshop_utils import emulator, firmware, inference

    costs = firmware.costs(wave, emulator.run(wave))
    found = {
        "flash_bytes": costs["flash"],
        "ram_bytes": costs["ram"],
        "instructions": costs["instructions"],
    }
    if inference.tflm_problem() is None:
        found["equal_answers"] = firmware.equal_answers(sweep, model, "tflm")
    return found


def written(name, value):
    """A metric's value as a person writes it, text; '-' for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, METRICS[name][1]) if name in METRICS else str(value)


def name_of(content):
    """A run's name for a heading: when it began."""
    return content["started"].replace("T", " ").rstrip("Z") + " UTC"
