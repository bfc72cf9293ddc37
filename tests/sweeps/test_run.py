"""One run of a sweep: the course's path, and the same model as the notebooks make."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from workshop_utils import convert, data, inference, training
from workshop_utils.paths import Home
from workshop_utils.sweeps import run, spec


@pytest.fixture(scope="module")
def a_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    values = spec.defaults() | {"EPOCHS": 60}
    return run.run(values, folder / "home", folder / "build"), folder / "home"


def test_a_run_makes_the_model_that_the_notebooks_cells_make(a_run, int8_tflite, dataset):
    metrics, home = a_run
    model = (home / "models" / "model.tflite").read_bytes()
    every = np.arange(-128, 128).astype(np.int8)
    answers, expected = (inference.invoke(one, every) for one in (model, int8_tflite))
    assert np.array_equal(answers, expected)
    loaded = data.load(home / "models" / "dataset.npz")
    assert all(map(np.array_equal, loaded, dataset))
    error = inference.evaluate(int8_tflite, dataset.x_test, dataset.y_test, metrics["runtime"])
    assert metrics["test_error"] == pytest.approx(error, rel=1e-5)
    assert metrics["model_bytes"] == len(model) and metrics["weights"] == 321
    assert metrics["equal"] == 256 or metrics["runtime"] == "litert"


def test_each_parameter_reaches_its_step(a_run, tmp_path):
    _, former = a_run
    values = spec.defaults() | {"EPOCHS": 1, "SAMPLES": 50, "NOISE": 0.0, "NEURONS": 3, "LAYERS": 1}
    values |= {"REPRESENTATIVE": 7, "per_channel": True, "BATCH_SIZE": 5, "SEED": 2}
    metrics = run.run(values, tmp_path / "home", former.parent / "build")
    made = Home(tmp_path / "home")
    dataset = data.load(made.dataset)
    assert all(map(np.array_equal, dataset, data.split(*data.make(50, 0.0, 2))))
    assert metrics["floor"] == 0 and metrics["good"] is False
    assert metrics["weights"] == 3 + 3 + 3 + 1
    assert len(training.load_history(made.model_tf)["loss"]) == 1
    model = training.load_model(made.model_tf)
    expected = convert.to_int8(model, dataset.x_train[:7], per_channel=True)
    every = np.arange(-128, 128).astype(np.int8)
    answers = (inference.invoke(one, every) for one in (made.model_tflite.read_bytes(), expected))
    assert np.array_equal(*answers)
    assert metrics["float_error"] == pytest.approx(metrics["test_error"], rel=0.1)
    assert metrics["sine_error"] == metrics["test_error"], "There is no noise."


def test_the_generated_engine_costs_less_and_answers_the_same(a_run, tmp_path):
    metrics, former = a_run
    values = spec.defaults() | {"EPOCHS": 60, "engine": "generated"}
    found = run.run(values, tmp_path / "home", former.parent / "build")
    cheaper = {"flash", "ram", "instructions"}
    assert all(found[cost] < metrics[cost] for cost in cheaper)
    assert found["flash"] < metrics["flash"] / 2
    assert {name for name in found if found[name] != metrics[name]} == cheaper


@pytest.mark.parametrize(("factor", "good"), [(0.999, True), (1.001, False)])
def test_good_is_close_to_the_floor(factor, good, monkeypatch):
    difference = factor * data.TOLERANCE**0.5
    x, zeros = np.zeros(4, np.float32), np.zeros(4, np.float32)
    dataset = data.Dataset(x, zeros, x, zeros, x, zeros)
    answers = np.full(4, difference, np.float32)
    monkeypatch.setattr(inference, "predict", lambda *arguments: answers)
    found = run._errors(lambda x: SimpleNamespace(numpy=lambda: answers), b"", dataset)
    assert found["good"] is good and found["floor"] == 0
    assert found["test_error"] == pytest.approx(difference**2, rel=1e-4)


def test_contents_and_put_are_inverse(tmp_path):
    content = {"a/b": b"1", "c": b"2"}
    run.put(tmp_path / "x", {"old": b"3"})
    run.put(tmp_path / "x", content)
    assert run.contents(tmp_path / "x") == content


def test_a_run_is_a_home_for_the_workshop_command(a_run):
    metrics, home = a_run
    printed = subprocess.run(
        [sys.executable, "-m", "workshop_utils.cli", "firmware", "run"],
        env={**os.environ, "WORKSHOP_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"\n{metrics['instructions']:,} instructions per inference" in printed
