"""One run of a sweep: the course's path from samples to instructions on the chip, once.

Nothing is repeated here that a notebook or a helper says: the network and its start are the cells
of notebook 04 that are tagged 'recipe', the conversion is that of notebook 05, the rest is the
helpers that the notebooks call.
"""

import shutil
import threading
from functools import cache
from pathlib import Path

import numpy as np

from workshop_utils import (
    c_source,
    convert,
    data,
    emulator,
    files,
    firmware,
    inference,
    paths,
    quiet,
    training,
)
from workshop_utils.running import notebooks
from workshop_utils.running.metrics import CONVERGED

METRICS = {
    "test_error": "mean squared error of the int8 model on the test set",
    "float_error": "the same of the Keras model",
    "floor": "the same of the sine itself: what the noise makes of it",
    "sine_error": "mean squared distance of the int8 model from the sine, on the test set",
    "good": "whether test_error is at most floor + 0.01",
    "runtime": "what ran the int8 model: tflm or litert",
    "equal": "answers of the chip, of 256, that equal the runtime's",
    "weights": "weights and biases",
    "model_bytes": "size of model.tflite",
    "flash": "bytes of the firmware's image, model included",
    "ram": "bytes of data, arena and stack",
    "instructions": "per inference on the Cortex-M4, median",
}
# One at a time in a process: Keras's seed and the held-back output belong to all of its threads.
_at_work = threading.Lock()


def run(values, home, workplace):
    """Train, convert, evaluate, build and emulate one model. Returns {metric: value}.

    values: {parameter: value}, all of them. home: an empty folder, which becomes what WORKSHOP_HOME
    is for a run of the notebooks: models/ and firmware/model/. workplace: a folder to compile in,
    for this process alone; from one run to the next it saves seconds.
    Raises WorkshopError if a step cannot be done.
    """
    with _at_work:
        tf = _tensorflow()
        dataset, model = _train(values, home)
        tflite = _convert(tf, model, dataset.x_train, values)
        tflite_path = files.write(paths.under(home, paths.MODEL_TFLITE), tflite)
        for path in (paths.MODEL_TFLITE_MICRO, paths.FIRMWARE_MODEL):
            c_source.write(tflite, paths.under(home, path))
        metrics = _errors(model, tflite, dataset)
        metrics |= {"weights": model.count_params(), "model_bytes": len(tflite)}
        return metrics | _costs(tflite, tflite_path, metrics["runtime"], workplace)


@cache
def _tensorflow():
    """TensorFlow, imported once a process and told to leave the other cores to the others."""
    quiet.tensorflow()
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # It is at work in this process already, and then its threads are there.
    # It would warn that functions are compiled again and again: each run has a model of its own.
    tf.get_logger().setLevel("ERROR")
    return tf


def _train(values, home):
    """Notebooks 02 and 04. Returns the Dataset and the trained model."""
    dataset = data.split(*data.make(values["SAMPLES"], values["NOISE"], values["SEED"]))
    data.save(dataset, paths.under(home, paths.DATASET))
    model = _model(values)
    history = training.fit(
        model,
        dataset.x_train,
        dataset.y_train,
        epochs=values["EPOCHS"],
        batch_size=values["BATCH_SIZE"],
        validation_data=(dataset.x_validate, dataset.y_validate),
        verbose=False,
    )
    saved = training.save(model, history, paths.under(home, paths.MODEL_TF))
    return dataset, training.load_model(saved)


def _model(values):
    """Notebook 04's network with the first weights that belong to the seed.

    Keras draws them from Python's `random`, and so do Dask's threads whenever they please. So the
    network is made until two in a row are equal: nobody has interfered then.
    """
    import keras

    before = None
    while True:
        # Earlier models leave memory, and names that would end up in model.tflite.
        keras.backend.clear_session()
        model = notebooks.recipe("04", np=np, **values)["model"]
        weights = model.get_weights()
        if before and all(map(np.array_equal, before, weights)):
            return model
        before = weights


def _convert(tf, model, x_train, values):
    """Notebook 05: one scale per tensor as it shows first, or per channel as in its section 5."""
    if values["per_channel"]:
        return convert.to_int8(model, x_train[: values["REPRESENTATIVE"]], per_channel=True)
    known = {"tf": tf, "convert": convert, "model": model, "x_train": x_train}
    return notebooks.recipe("05", **known, **values)["model_tflite"]


def _errors(model, tflite, dataset):
    x, y = dataset.x_test, dataset.y_test
    runtime = "litert" if inference.tflm_problem() else "tflm"
    answers = inference.predict(tflite, x, runtime)
    test_error, floor = _mean_square(answers - y), _mean_square(np.sin(x) - y)
    return {
        "test_error": test_error,
        "float_error": _mean_square(model(x[:, None]).numpy().ravel() - y),
        "floor": floor,
        "sine_error": _mean_square(answers - np.sin(x)),
        "good": test_error <= floor + CONVERGED,
        "runtime": runtime,
    }


def _mean_square(difference):
    mean = float(np.mean(np.square(difference, dtype=np.float64)))
    return float(f"{mean:.6g}")  # as many digits as a table of many rows should have


def _costs(tflite, tflite_path, runtime, workplace):
    """Notebook 06: what the model takes as firmware, and whether the chip agrees."""
    image = firmware.build(model=tflite_path, home=workplace)
    costs = firmware.costs(image.wave, emulator.run(image.wave))
    costs["instructions"] = int(costs["instructions"])
    return {"equal": firmware.equal_answers(image.sweep, tflite, runtime), **costs}


def contents(home):
    """What a run left in its home: {path within it: bytes}."""
    home = Path(home)
    found = (path for path in sorted(home.rglob("*")) if path.is_file())
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in found}


def put(home, content):
    """Make `home` hold the files that `contents` returned and nothing else."""
    shutil.rmtree(home, ignore_errors=True)
    for name, file in content.items():
        files.write(Path(home) / name, file)
