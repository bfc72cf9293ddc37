"""What a run measures, against the reference artifacts and NumPy."""

import json

import pytest

from workshop_utils import data, emulator, files, firmware, inference, paths
from workshop_utils.running import metrics


def test_metrics_of_the_reference(reference_home):
    found = metrics.measure()
    assert found["converged"] is True
    assert found["noise_floor"] < found["test_mse_float"] < found["noise_floor"] + data.TOLERANCE
    assert found["int8_bytes"] == (paths.REFERENCE_DIR / "model.tflite").stat().st_size
    history = json.loads((paths.REFERENCE_DIR / "model.history.json").read_text())
    assert found["val_loss"] == history["val_loss"][-1]
    assert found["small_val_loss"] > 0.1
    assert "flash_bytes" not in found, "There is no image."
    assert list(found) == [name for name in metrics.METRICS if name in found]


def test_a_model_that_misses_the_sine_has_not_converged(reference_home):
    dataset = data.load(paths.DATASET)
    data.save(dataset._replace(x_test=(dataset.x_test + 1) % 6.28), paths.DATASET)
    assert metrics.measure()["converged"] is False


def test_noise_alone_is_no_failure(reference_home):
    data.save(data.split(*data.make(20000, 0.5, seed=2)), paths.DATASET)
    found = metrics.measure()
    assert found["test_mse_int8"] > 0.2 and found["converged"] is True


def test_what_a_failed_notebook_left_behind_does_not_count(reference_home):
    found = metrics.measure(without={"05_tensorflow_lite"})
    assert "val_loss" in found and not {"test_mse_int8", "int8_bytes", "converged"} & set(found)


@pytest.mark.parametrize("name", ["dataset.npz", "model.tflite", "model.history.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"\0" * 3000])
def test_damaged_artifacts_are_left_out(reference_home, name, content):
    (reference_home.models_dir / name).write_bytes(content)
    assert metrics.measure()["keras_bytes"] > 0


@pytest.mark.parametrize(("wave", "sweep"), [(True, True), (True, False), (False, True)])
def test_only_images_with_this_very_model_count(reference_home, monkeypatch, wave, sweep):
    model = paths.MODEL_TFLITE.read_bytes()
    files.write(paths.FIRMWARE_MODEL, "any")
    for program, is_ours in (("wave", wave), ("sweep", sweep)):
        image = b"code" + (model if is_ours else model[1:])
        files.write(paths.FIRMWARE_IMAGES_DIR / f"emulator-compact-zig-{program}.elf", image)
    costs = {"flash": 9000, "ram": 500, "instructions": 3407.0}
    monkeypatch.setattr(emulator, "run", lambda image: None)
    monkeypatch.setattr(firmware, "costs", lambda image, result: costs)
    monkeypatch.setattr(firmware, "equal_answers", lambda image, model, runtime: 256)
    found = metrics.measure()
    assert ("flash_bytes" in found) == (wave and sweep)
    if wave and sweep:
        assert (found["flash_bytes"], found["ram_bytes"], found["instructions"]) == (
            9000,
            500,
            3407,
        )
        assert found.get("equal_answers", 256) == 256


@pytest.mark.parametrize(
    ("errors", "converged"),
    [
        ([0.0087 + data.TOLERANCE], True),
        ([0.0087 + 1.01 * data.TOLERANCE], False),
        ([0.009, 0.0095], True),
        ([0.009, 0.15], False),
        ([0.15, 0.009], False),
    ],
)
def test_every_form_of_the_model_has_to_draw_the_sine(errors, converged):
    """The float model may be fine where the int8 one is broken, and the other way round."""
    assert metrics.has_converged(errors, 0.0087) is converged


def test_a_model_that_is_broken_as_int8_only_has_not_converged(reference_home, monkeypatch):
    evaluate = inference.evaluate

    def broken(model, x, y, runtime="litert"):
        error = evaluate(model, x, y, runtime)
        return error if model == paths.MODEL_NO_QUANT_TFLITE.read_bytes() else error + 0.02

    monkeypatch.setattr(inference, "evaluate", broken)
    found = metrics.measure()
    assert found["test_mse_float"] < found["noise_floor"] + 0.01
    assert found["converged"] is False


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("converged", True, "yes"),
        ("converged", False, "no"),
        ("noise_floor", 0.00874, "0.0087"),
        ("int8_bytes", 2736, "2,736"),
        ("int8_bytes", 2736.0, "2,736"),
        ("instructions", 1258.5, "1,258"),
        ("of another version", 3, "3"),
        ("loss", None, "-"),
    ],
)
def test_how_a_metric_is_written(name, value, written):
    assert metrics.format_metric(name, value) == written
