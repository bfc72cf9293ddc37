"""What a run's artifacts and its firmware's image measure: errors, sizes, the chip's budget."""

import importlib
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from workshop_utils import paths
from workshop_utils.files import read_json

Metrics = dict[str, float | bool]

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
    "keras_bytes": ("model.keras", ",.0f"),
    "float_bytes": ("model_no_quant.tflite", ",.0f"),
    "int8_bytes": ("model.tflite", ",.0f"),
    "flash_bytes": ("Flash", ",.0f"),
    "ram_bytes": ("RAM, stack included", ",.0f"),
    "instructions": ("Instructions per inference", ",.0f"),
    "equal_answers": ("Answers equal to TFLM's", ",.0f"),
}


def measure(without: Collection[str] = (), home: paths.Home | None = None) -> Metrics:
    """The METRICS that can be computed from what is in models/ and of the firmware's image.

    without: names of notebooks whose artifacts do not count, such as those that failed.
    home: whose models/ and images; None takes WORKSHOP_HOME.
    Returns {name: number or bool}; what is missing or damaged is left out.
    """
    home = home or paths.home()
    counted = {path for path, by in home.made_by.items() if by not in without and path.is_file()}
    found: Metrics = {}
    for part in (_losses, _errors, _sizes, _budget):
        try:
            found |= part(counted, home)
        except (ValueError, OSError, KeyError, IndexError, TypeError):
            continue  # A damaged artifact; the notebook that reads it says so.
    return {name: found[name] for name in METRICS if found.get(name) is not None}


def prepare() -> None:
    """Import what `measure` is going to need, in time that would pass unused."""
    with suppress(ImportError):  # which `measure` meets again
        for name in ("numpy", "pandas", "ai_edge_litert.interpreter", "unicorn"):
            importlib.import_module(name)


def _losses(counted: set[Path], home: paths.Home) -> Metrics:
    """The last epoch's."""
    found: Metrics = {}
    for path, prefix, names in (
        (home.model_tf, "", ("loss", "val_loss")),
        (home.small_model_tf, "small_", ("val_loss",)),
    ):
        if path in counted:
            history = read_json(path.with_suffix(".history.json"))
            found |= {prefix + name: float(history[name][-1]) for name in names if name in history}
    return found


def _errors(counted: set[Path], home: paths.Home) -> Metrics:
    """On the test set. Converged is what comes near enough to the noise."""
    if home.dataset not in counted:
        return {}
    from workshop_utils import data, inference

    dataset = data.load(home.dataset)
    x, y = dataset.x_test, dataset.y_test
    found = {"noise_floor": data.noise_floor(x, y)}
    if home.model_no_quant_tflite in counted:
        model = home.model_no_quant_tflite.read_bytes()
        found["test_mse_float"] = inference.evaluate(model, x, y)
    if home.model_tflite in counted:
        model = home.model_tflite.read_bytes()
        found["test_mse_int8"] = inference.evaluate(model, x, y)
        if inference.tflm_problem() is None:
            found["test_mse_tflm"] = inference.evaluate(model, x, y, runtime="tflm")
    errors = [value for name, value in found.items() if name.startswith("test_")]
    if errors:
        found["converged"] = has_converged(errors, found["noise_floor"])
    return found


def has_converged(errors: Collection[float], noise_floor: float) -> bool:
    """Whether the worst of a model's errors, in all its forms, is near enough to the noise."""
    from workshop_utils import data

    return data.draws_a_sine(max(errors), noise_floor)


def _sizes(counted: set[Path], home: paths.Home) -> Metrics:
    files = {
        "keras_bytes": home.model_tf,
        "float_bytes": home.model_no_quant_tflite,
        "int8_bytes": home.model_tflite,
    }
    return {name: path.stat().st_size for name, path in files.items() if path in counted}


def _budget(counted: set[Path], home: paths.Home) -> Metrics:
    """What the firmware that notebook 06 builds takes, if it has this very model in it."""
    from workshop_utils import emulator, firmware, inference

    image = firmware.locate(home=home)
    if not {home.model_tflite, home.firmware_model} <= counted or not image.wave.is_file():
        return {}
    model = home.model_tflite.read_bytes()
    if model not in image.wave.read_bytes() or model not in image.sweep.read_bytes():
        return {}
    costs = firmware.costs(image.wave, emulator.run(image.wave))
    found = {
        "flash_bytes": costs["flash"],
        "ram_bytes": costs["ram"],
        "instructions": costs["instructions"],
    }
    if inference.tflm_problem() is None:
        found["equal_answers"] = firmware.equal_answers(image.sweep, model, "tflm")
    return found


def format_metric(name: str, value: float | bool | None) -> str:
    """A metric's value as a person writes it; '-' for None."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, METRICS[name][1]) if name in METRICS else str(value)
