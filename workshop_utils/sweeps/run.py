"""One run of a sweep: the course's path from samples to instructions on the chip, once.

Each step is the helper that a notebook calls, or that stands for its cells.
"""

import shutil
import threading
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from workshop_utils import (
    c_source,
    convert,
    data,
    emulator,
    files,
    firmware,
    inference,
    quiet,
    training,
)
from workshop_utils.paths import Home
from workshop_utils.upstream import many_imports

METRICS = {
    "test_error": "mean squared error of the int8 model on the test set",
    "float_error": "the same of the Keras model",
    "floor": "the same of the sine itself: what the noise makes of it",
    "sine_error": "mean squared distance of the int8 model from the sine, on the test set",
    "good": f"whether test_error is at most floor + {data.TOLERANCE}",
    "runtime": "what ran the int8 model: tflm or litert",
    "equal": "answers of the chip, of 256, that equal the runtime's",
    "weights": "weights and biases",
    "model_bytes": "size of model.tflite",
    "flash": "bytes of the firmware's image, model included",
    "ram": "bytes of data, arena and stack",
    "instructions": "per inference on the Cortex-M4, median",
}
# One run at a time per process. Its threads share NumPy's generator, from which `fit` draws the
# order of samples, Keras's session and the output that is held back.
_at_work = threading.Lock()


def run(values: dict[str, Any], home: Path, workplace: Path) -> dict[str, Any]:
    """Train, convert, evaluate, build and emulate one model. Returns {metric: value}.

    values: {parameter: value}, all of them. home: an empty folder, which becomes what WORKSHOP_HOME
    is for a run of the notebooks: models/ and firmware/model/. workplace: a folder to compile in,
    for this process alone; from one run to the next it saves seconds.
    Raises WorkshopError if a step cannot be done.
    """
    made = Home(Path(home))
    with _at_work:
        _start_tensorflow()
        dataset, model = _train(values, made)
        tflite = _convert(model, dataset, values)
        files.write(made.model_tflite, tflite)
        for path in (made.model_tflite_micro, made.firmware_model):
            c_source.write(tflite, path)
        metrics = _errors(model, tflite, dataset)
        metrics |= {"weights": model.count_params(), "model_bytes": len(tflite)}
        place = Home(Path(workplace))
        costs = _costs(made.model_tflite, values["engine"], metrics["runtime"], place)
        return metrics | costs


@cache
def _start_tensorflow() -> None:
    """Import TensorFlow, once per process, and tell it to leave the other cores to the others."""
    quiet.tensorflow()
    with many_imports():
        import keras  # noqa: F401
        import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # It is at work in this process already, and then its threads are there.
    # It would warn that functions are compiled again and again: each run has a model of its own.
    tf.get_logger().setLevel("ERROR")


def _train(values: dict[str, Any], home: Home) -> tuple[data.Dataset, Any]:
    """Notebooks 02 and 04. Returns the Dataset and the trained model."""
    import keras

    dataset = data.split(*data.make(values["SAMPLES"], values["NOISE"], values["SEED"]))
    data.save(dataset, home.dataset)
    # Earlier models leave memory, and names that would end up in model.tflite.
    keras.backend.clear_session()
    model = training.larger_network(values["SEED"], values["NEURONS"], values["LAYERS"])
    history = training.fit_quietly(model, dataset, values["EPOCHS"], values["BATCH_SIZE"])
    return dataset, training.load_model(training.save(model, history, home.model_tf))


def _convert(model: Any, dataset: data.Dataset, values: dict[str, Any]) -> bytes:
    """Notebook 05."""
    options = {name: values[name] for name in convert.options()}
    return convert.to_int8(model, dataset.x_train[: values["REPRESENTATIVE"]], **options)


def _errors(model: Any, tflite: bytes, dataset: data.Dataset) -> dict[str, Any]:
    x, y = dataset.x_test, dataset.y_test
    runtime = inference.best_runtime()
    answers = inference.predict(tflite, x, runtime)
    test_error, floor = _mean_square(answers - y), _mean_square(np.sin(x) - y)
    return {
        "test_error": test_error,
        "float_error": _mean_square(model(x[:, None]).numpy().ravel() - y),
        "floor": floor,
        "sine_error": _mean_square(answers - np.sin(x)),
        "good": data.draws_a_sine(test_error, floor),
        "runtime": runtime,
    }


def _mean_square(difference: data.Array) -> float:
    mean = float(np.mean(np.square(difference, dtype=np.float64)))
    return float(f"{mean:.6g}")  # as many digits as a table of many rows should have


def _costs(model: Path, engine: str, runtime: str, workplace: Home) -> dict[str, Any]:
    """Notebook 06: what the model takes as firmware, and whether the chip agrees."""
    image = firmware.build(model=model, engine=engine, home=workplace)
    costs = firmware.costs(image.wave, emulator.run(image.wave))
    costs["instructions"] = int(costs["instructions"])
    return {"equal": firmware.equal_answers(image.sweep, model.read_bytes(), runtime), **costs}


def contents(home: Path) -> dict[str, bytes]:
    """What a run left in its home: {path within it: bytes}."""
    home = Path(home)
    found = (path for path in sorted(home.rglob("*")) if path.is_file())
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in found}


def put(home: Path, content: dict[str, bytes]) -> None:
    """Make `home` hold the files that `contents` returned and nothing else."""
    shutil.rmtree(home, ignore_errors=True)
    for name, file in content.items():
        files.write(Path(home) / name, file)
