"""The training loop of the course: what `model.fit` does, many epochs a call.

`model.fit` is made for big models: between two batches it returns to Python for callbacks, logs
and data. For a network with a few hundred weights that housekeeping takes nearly all the time.
`fit` here compiles whole epochs into one TensorFlow function. Each step is Keras's own
`model.train_step` and `model.test_step`, so loss, optimizer and metrics are the model's.
Introduced in notebook 03.
"""

import json

import numpy as np

from workshop_utils import files, paths
from workshop_utils.data import MAX_SAMPLES, check_pair, check_seed
from workshop_utils.errors import WorkshopError, check_whole_number
from workshop_utils.progress import Progress

MAX_EPOCHS = 100_000
MAX_NEURONS = 256  # in each hidden layer; with two of them the int8 model then has 70 kB
MAX_LAYERS = 4  # hidden ones
ENOUGH_UPDATES = 500
CALLS = 25  # How often the progress bar moves: so many calls share the epochs.


def fit(model, x, y, *, epochs, batch_size, validation_data, shuffle=True, verbose=True):
    """Train a compiled Keras model; the same arguments and result as `model.fit`.

    x, y: training samples, shape (n,). epochs, batch_size: whole numbers, at least 1.
    validation_data: the pair (x, y) to evaluate after every epoch. shuffle: a new order every
    epoch, drawn from NumPy's global generator, which `keras.utils.set_random_seed` seeds.
    Returns keras.callbacks.History with the lists 'loss', 'val_loss' and two per metric.
    Raises WorkshopError for bad samples, epochs or batch size, or a model that is not compiled.
    """
    check_parameters(epochs, batch_size)
    if not getattr(model, "compiled", False):
        raise WorkshopError("The model is not compiled: call model.compile(...) before training.")
    train = [array[:, None] for array in check_pair(x, y, "The training x and y")]
    validate = [array[:, None] for array in check_pair(*validation_data, "The validation x and y")]

    run_epochs = _compiled_epochs(model, train, validate, batch_size, shuffle)
    columns = {}
    with Progress(epochs, "epochs", disable=not verbose) as bar:
        for chunk in _chunks(epochs, CALLS):
            keys = np.random.randint(0, 2**31, size=(chunk, 2), dtype=np.int32)
            for name, values in run_epochs(keys).items():
                columns.setdefault(name, []).extend(values)
            bar.advance(chunk, loss=columns["loss"][-1], val_loss=columns["val_loss"][-1])
    return _history(model, columns, epochs)


def check_parameters(epochs, batch_size, seed=0, neurons=1, layers=1):
    """Raise WorkshopError, naming the parameter in capitals, if one of them cannot work."""
    check_whole_number("EPOCHS", epochs, 1, MAX_EPOCHS)
    check_whole_number("BATCH_SIZE", batch_size, 1, MAX_SAMPLES)
    check_seed(seed)
    check_whole_number("NEURONS", neurons, 1, MAX_NEURONS)
    check_whole_number("LAYERS", layers, 1, MAX_LAYERS)


def why_not(epochs, batch_size, samples):
    """Why training notebook 04's model with these values may not have been enough, for a reader.

    samples: how many there were for training. With 5,000 updates of the weights, which is what
    the course's own values make, and 600 samples, all seeds learned (benchmarks/convergence.py).
    """
    updates = epochs * -(-samples // batch_size)
    if updates < ENOUGH_UPDATES:
        return (
            f"Number of updates of the weights: {updates:,}. That is too few; the course's own "
            "values make 5,000. Take more EPOCHS or a smaller BATCH_SIZE."
        )
    if samples < 600:
        return (
            f"{samples} training samples are few for noise like this: the network learned some "
            "of the noise. Take more SAMPLES or less NOISE in notebook 2."
        )
    return "The number of updates was enough, so blame the noise, or luck: try another SEED."


def _chunks(total, count):
    """`total` cut into at most `count` whole numbers that differ by one at most."""
    count = min(total, count)
    return [total // count + (i < total % count) for i in range(count)]


def _compiled_epochs(model, train, validate, batch_size, shuffle):
    """A function that trains len(keys) epochs and returns {metric name: list of values}.

    keys: int32, shape (epochs, 2), the seed of each epoch's order.
    """
    import tensorflow as tf

    samples = train[0].shape[0]
    batches = -(-samples // batch_size)
    # The optimizer's slots and Keras's metrics are variables: make them before compiling.
    model.optimizer.build(model.trainable_variables)
    model.test_step(tuple(part[:1] for part in train))
    names = sorted(model.get_metrics_result())
    # These two are graph code already; having AutoGraph rewrite them costs a second.
    train_step = tf.autograph.experimental.do_not_convert(model.train_step)
    test_step = tf.autograph.experimental.do_not_convert(model.test_step)

    def one_epoch(key, x, y):
        order = tf.range(samples)
        if shuffle:
            order = tf.random.experimental.stateless_shuffle(order, seed=key)
        x, y = tf.gather(x, order), tf.gather(y, order)
        _reset(model)
        for batch in tf.range(batches):
            rows = slice(batch * batch_size, (batch + 1) * batch_size)
            train_step((x[rows], y[rows]))
        logs = model.get_metrics_result()
        _reset(model)
        test_step(tuple(tf.constant(part) for part in validate))
        val_logs = model.get_metrics_result()
        return tf.stack([of[name] for of in (logs, val_logs) for name in names])

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.int32)])
    def run_epochs(keys):
        x, y = (tf.constant(part) for part in train)
        rows = tf.TensorArray(tf.float32, size=tf.shape(keys)[0])
        for epoch in tf.range(tf.shape(keys)[0]):
            rows = rows.write(epoch, one_epoch(keys[epoch], x, y))
        return rows.stack()

    every = [prefix + name for prefix in ("", "val_") for name in names]
    return lambda keys: dict(zip(every, run_epochs(keys).numpy().T.tolist(), strict=True))


def _reset(model):
    for metric in model.metrics:
        metric.reset_state()


def _history(model, columns, epochs):
    import keras

    history = keras.callbacks.History()
    history.set_model(model)
    history.set_params({"epochs": epochs})
    history.epoch = list(range(epochs))
    history.history = columns
    return history


def save(model, history, path):
    """Write a model to `path` (.keras) and its history beside it (.history.json).

    The history goes first, so whoever finds a model finds its history too.
    """
    files.write(history_path(path), json.dumps(history.history) + "\n")
    with files.replacing(path) as temporary:
        model.save(temporary)
    return path


def history_path(model_path):
    """models/model.keras -> models/model.history.json"""
    return model_path.with_suffix(".history.json")


def load_history(model_path):
    """The history that `save` wrote: {'loss': [...], 'val_loss': [...], ...}, a value per epoch."""
    paths.require(model_path)
    return json.loads(history_path(model_path).read_text())


def load_model(path):
    """The Keras model that an earlier notebook saved.

    Raises MissingArtifact if it is not there, WorkshopError if it cannot be read.
    """
    import keras

    path = paths.require(path)
    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras raises many kinds, all about a file it cannot read.
        raise WorkshopError(
            f"{paths.shown(path)} is damaged or not a Keras model; "
            f"run notebook {paths.MADE_BY.get(path, 'that made it')} again."
        ) from error
