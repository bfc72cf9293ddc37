"""The course's two networks, and its training loop: what `model.fit` does, many epochs per call.

`model.fit` is made for big models: between two batches it returns to Python for callbacks, logs
and data. For a network with a few hundred weights that housekeeping takes nearly all the time.
`fit` here compiles whole epochs into one TensorFlow function. Each step is Keras's own
`model.train_step` and `model.test_step`, so loss, optimizer and metrics are the model's.
Introduced in notebooks 03 and 04, whose cells make the same networks in plain sight.
"""

from __future__ import annotations

import io
import json
import random
import signal
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workshop_utils import files, paths
from workshop_utils.data import (
    MAX_INPUTS,
    MAX_SAMPLES,
    TOLERANCE,
    Dataset,
    check_pair,
    check_seed,
)
from workshop_utils.errors import WorkshopError, require_int
from workshop_utils.progress import Progress, figure

if TYPE_CHECKING:
    import keras

MAX_EPOCHS = 100_000
_MOST_BYTES = 100_000_000  # of a model: more than any microcontroller has
MAX_NEURONS = 256  # in each hidden layer; with two of them the int8 model then has 70 kB
MAX_LAYERS = 4  # hidden ones
# What `why_not` looks for in the last fifth of the epochs:
FALLING = 0.1  # a loss that lost this share of what lies above the noise is still falling,
GAP = 1.5  # a validation loss of so many times the training loss is a gap,
NEAR = 1.3  # a loss of so many times the noise is near it; 200 samples tell no better
CALLS = 25  # How often the progress bar moves: so many calls share the epochs,
MOST_EPOCHS = 100  # and none does more than this, since nothing can stop it.


def small_network(seed: int) -> keras.Sequential:
    """Notebook 03's network, compiled: 8 neurons, and Keras's own start.

    seed: of its first weights, and of Keras's global generators, from which `fit` draws the order
    of the samples. The same seed makes the same network, whatever else the process does.
    """
    return _network(seed, 8, 1)


def larger_network(
    seed: int,
    neurons: int = 16,
    layers: int = 2,
    spread: bool = True,
    *,
    inputs: int = 1,
    span: npt.ArrayLike = (0, 2 * np.pi),
) -> keras.Sequential:
    """Notebook 04's network, compiled: hidden layers of `neurons` each, and a good start.

    seed: as for `small_network`. spread: let each neuron of the first layer bend at a place of its
    own in the data, evenly over `span`; without it all bend at 0, where Keras starts them.
    inputs: values that it takes. span: from where to where they go, one pair or one per input,
    shape (2,) or (inputs, 2). With several inputs a neuron bends along a line or plane, whose
    direction is that of its first weights; it is led through a point of a Latin hypercube: along
    each input the points are as evenly spaced as with one, in an order of its own.
    Raises WorkshopError if one of these cannot work.
    """
    check_parameters(1, 1, seed, neurons, layers)
    require_int("inputs", inputs, 1, MAX_INPUTS)
    model = _network(seed, neurons, layers, inputs)
    if spread:
        first = model.layers[0]
        weights, _ = first.get_weights()
        kinks = _kinks(seed, neurons, inputs, span)
        first.set_weights([weights, -(weights * kinks).sum(axis=0)])
    return model


def _kinks(seed: int, neurons: int, inputs: int, span: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A point per neuron, each input's evenly over its span; shape (inputs, neurons).

    Source: McKay, Beckman and Conover (1979), Latin hypercube sampling, here without its noise.
    """
    try:
        low, high = np.broadcast_to(np.asarray(span, float), (inputs, 2)).T[..., None]
    except ValueError as error:
        raise WorkshopError(
            f"span is {span!r}, but must be a pair of numbers per input."
        ) from error
    if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        raise WorkshopError(f"span is {span!r}, but must go from a number to a larger one.")
    orders = np.random.default_rng(seed)
    others = [orders.permutation(neurons) for _ in range(inputs - 1)]
    places = np.array([np.arange(neurons), *others])
    points: npt.NDArray[np.float64] = low + (high - low) * (places + 0.5) / neurons
    return points


def _network(seed: int, neurons: int, layers: int, inputs: int = 1) -> keras.Sequential:
    import keras

    keras.utils.set_random_seed(seed)
    seeds = random.Random(seed)

    def dense(width: int, activation: str | None = None) -> keras.layers.Layer:
        start = keras.initializers.GlorotUniform(seeds.randint(1, 10**9))
        return keras.layers.Dense(width, activation, kernel_initializer=start)

    hidden = [dense(neurons, "relu") for _ in range(layers)]
    model = keras.Sequential([keras.Input((inputs,)), *hidden, dense(1)])
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    return model


def fit(
    model: keras.Model,
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    epochs: int,
    batch_size: int,
    validation_data: tuple[npt.ArrayLike, npt.ArrayLike],
    shuffle: bool = True,
    verbose: bool = True,
) -> keras.callbacks.History:
    """Train a compiled Keras model; the same arguments and result as `model.fit`.

    x: training samples, shape (n,) or (n, inputs). y: shape (n,). epochs, batch_size: whole
    numbers, at least 1. validation_data: the pair (x, y) to evaluate after every epoch. shuffle: a
    new order every epoch, drawn from NumPy's global generator, which
    `keras.utils.set_random_seed` seeds.
    Returns keras.callbacks.History with the lists 'loss', 'val_loss' and two per metric.
    A notebook's stop button, or Ctrl-C, ends training after the epochs at work: the history is
    then that of the epochs done, and a sentence says so. With `verbose=False` nobody reads it, and
    KeyboardInterrupt is raised as usual.
    Raises WorkshopError for bad samples, epochs or batch size, or a model that is not compiled.
    """
    check_parameters(epochs, batch_size)
    if not getattr(model, "compiled", False):
        raise WorkshopError("The model is not compiled: call model.compile(...) before training.")
    train, validate = (
        [array.reshape(len(array), -1) for array in check_pair(*pair, f"The {name} x and y")]
        for name, pair in (("training", (x, y)), ("validation", validation_data))
    )
    wanted = getattr(model, "input_shape", (None, None))[-1]  # None: the samples decide
    for samples, _ in (train, validate):
        if wanted not in (None, samples.shape[1]):
            raise WorkshopError(
                f"The model takes {wanted} value(s), but x has {samples.shape[1]} per sample."
            )

    columns: dict[str, list[float]] = {}
    with (
        interrupts() as asked_to_stop,
        _plain_kernels(),
        Progress(epochs, "epochs", disable=not verbose) as bar,
    ):
        bar.say("TensorFlow compiles")
        run_epochs = _compiled_epochs(model, train, validate, batch_size, shuffle)
        for chunk in _chunks(epochs, max(CALLS, -(-epochs // MOST_EPOCHS))):
            keys = np.random.randint(0, 2**31, size=(chunk, 2), dtype=np.int32)
            for name, values in run_epochs(keys).items():
                columns.setdefault(name, []).extend(values)
            bar.advance(chunk, loss=columns["loss"][-1], val_loss=columns["val_loss"][-1])
            if asked_to_stop.is_set():
                break
    if asked_to_stop.is_set():
        if not verbose:
            raise KeyboardInterrupt
        print(
            f"Training was stopped after {len(columns['loss'])} of {epochs} epochs; the model and "
            "the history are those of that moment."
        )
    return _history(model, columns, epochs)


def fit_quietly(
    model: keras.Model, dataset: Dataset, epochs: int, batch_size: int
) -> keras.callbacks.History:
    """`fit` on the training set of a Dataset, validated on its validation set, without a bar."""
    return fit(
        model,
        dataset.x_train,
        dataset.y_train,
        epochs=epochs,
        batch_size=batch_size,
        validation_data=(dataset.x_validate, dataset.y_validate),
        verbose=False,
    )


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Have the first Ctrl-C set an event instead of raising KeyboardInterrupt anywhere.

    Raised within TensorFlow it would come with a hundred lines, and between weights and history.
    A second one is raised as usual. Only the main thread is ever interrupted.
    """
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield asked
        return

    def note(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def check_parameters(
    epochs: Any, batch_size: Any, seed: Any = 0, neurons: Any = 1, layers: Any = 1
) -> None:
    """Raise WorkshopError, naming the parameter in capitals, if one of them cannot work."""
    require_int("EPOCHS", epochs, 1, MAX_EPOCHS)
    require_int("BATCH_SIZE", batch_size, 1, MAX_SAMPLES)
    check_seed(seed)
    require_int("NEURONS", neurons, 1, MAX_NEURONS)
    require_int("LAYERS", layers, 1, MAX_LAYERS)


def why_not(history: Mapping[str, Sequence[float]], floor: float) -> str:
    """Why a model has not learned the sine, for a reader, from the course of its training.

    history: {'loss': [...], 'val_loss': [...]}, a value per epoch. floor: the loss of a perfect
    model, see `data.noise_floor`. The last fifth of the epochs is compared with the fifth before
    it. benchmarks/why_not.py tries it on models that fail for known reasons.
    """
    loss, val_loss = (np.asarray(history[name], float) for name in ("loss", "val_loss"))
    if not (np.isfinite(loss).all() and np.isfinite(val_loss).all()):
        return "The loss is not a number: its steps were too large, or the samples are damaged."
    part = max(1, loss.size // 5)
    now, before = loss[-part:].mean(), loss[-2 * part : -part]
    val_now, val_before = val_loss[-part:].mean(), val_loss[-2 * part : -part]
    if before.size and val_now > GAP * now and val_now - now > TOLERANCE:
        return (
            f"There is a gap: {figure(val_now)} on validation samples against {figure(now)} on "
            "those for training, which the network has learned by heart. Take more SAMPLES in "
            "notebook 2, or fewer EPOCHS."
        )
    worth_having = FALLING * max(now - floor, TOLERANCE)
    if before.size == 0 or min(before.mean() - now, val_before.mean() - val_now) > worth_having:
        return (
            f"Training ended too early: the loss, {figure(loss[-1])} in epoch "
            f"{loss.size}, was still falling. Take more EPOCHS, or a smaller BATCH_SIZE."
        )
    if now <= NEAR * floor + TOLERANCE:
        return (
            f"What is left is noise: the loss is {figure(now)}, and a perfect model would have "
            f"{figure(floor)}. Take less NOISE or more SAMPLES in notebook 2."
        )
    return (
        f"The loss is flat at {figure(now)}, and a perfect model would have {figure(floor)}: the "
        "network has too few kinks in the right places. Take more NEURONS, or try another SEED."
    )


def _chunks(total: int, count: int) -> list[int]:
    """`total` cut into at most `count` whole numbers that differ by one at most."""
    count = min(total, count)
    return [total // count + (i < total % count) for i in range(count)]


def _compiled_epochs(
    model: keras.Model,
    train: Sequence[npt.NDArray[np.float32]],
    validate: Sequence[npt.NDArray[np.float32]],
    batch_size: int,
    shuffle: bool,
) -> Callable[[npt.NDArray[np.int32]], dict[str, list[float]]]:
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

    def one_epoch(key: Any, x: Any, y: Any) -> Any:
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

    def run_epochs(keys: Any) -> Any:
        x, y = (tf.constant(part) for part in train)
        rows = tf.TensorArray(tf.float32, size=tf.shape(keys)[0])
        for epoch in tf.range(tf.shape(keys)[0]):
            rows = rows.write(epoch, one_epoch(keys[epoch], x, y))
        return rows.stack()

    compiled = tf.function(run_epochs, input_signature=[tf.TensorSpec([None, 2], tf.int32)])
    every = [prefix + name for prefix in ("", "val_") for name in names]
    return lambda keys: dict(zip(every, compiled(keys).numpy().T.tolist(), strict=True))


_remapping: list[bool] = []  # what TensorFlow's option was; once per `fit` that is at work
_changing = threading.Lock()


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Without kernels of several operations in one, which take longer for a small network.

    The option is one of the process: the last of several threads' trainings puts it back.
    """
    import tensorflow as tf

    options = tf.config.optimizer
    with _changing:
        now = options.get_experimental_options().get("remapping", True)
        _remapping.append(_remapping[0] if _remapping else now)
        options.set_experimental_options({"remapping": False})
    try:
        yield
    finally:
        with _changing:
            before = _remapping.pop()
            if not _remapping:
                options.set_experimental_options({"remapping": before})


def _reset(model: keras.Model) -> None:
    for metric in model.metrics:
        metric.reset_state()


def _history(
    model: keras.Model, columns: dict[str, list[float]], epochs: int
) -> keras.callbacks.History:
    import keras

    history = keras.callbacks.History()
    history.set_model(model)
    history.set_params({"epochs": epochs})
    history.epoch = list(range(len(columns["loss"])))
    history.history = columns
    return history


def save(model: keras.Model, history: keras.callbacks.History, path: Path) -> Path:
    """Write a model to `path` (.keras) and its history beside it (.history.json).

    The history goes first, so whoever finds a model finds its history too.
    """
    files.write(history_path(path), json.dumps(history.history) + "\n")
    with files.replacing(path) as temporary:
        model.save(temporary)
    return path


def history_path(model_path: Path) -> Path:
    """models/model.keras -> models/model.history.json"""
    return model_path.with_suffix(".history.json")


def load_history(model_path: Path) -> dict[str, list[float]]:
    """The history that `save` wrote: {'loss': [...], 'val_loss': [...], ...}, a value per epoch.

    Raises MissingArtifact if the model is not there, WorkshopError if its history is damaged.
    """
    paths.require(model_path)
    return files.read_json(history_path(model_path))


def load_model(path: Path) -> keras.Model:
    """The Keras model that an earlier notebook saved.

    Raises MissingArtifact if it is not there, WorkshopError if it cannot be read.
    """
    path = paths.require(path)
    damaged = WorkshopError(
        f"{paths.display_path(path)} is damaged or not a Keras model; "
        f"run notebook {paths.MADE_BY.get(path, 'that made it')} again."
    )
    try:
        _require_small(path)
    except Exception as error:
        raise damaged from error
    import keras  # which takes seconds, after what does not need it

    try:
        return keras.models.load_model(path)
    except Exception as error:  # Keras raises many kinds, all about a file it cannot read.
        raise damaged from error


def _require_small(path: Path) -> None:
    """Raise ValueError, among others, if Keras would take much memory or time for the file.

    Keras does what the file says: it makes weights as large as the description wants them, and
    then reads as many as the HDF5 container inside announces.
    """
    import h5py

    with zipfile.ZipFile(path) as archive:
        members = {member.filename: member for member in archive.infolist()}
        if sum(member.file_size for member in members.values()) > _MOST_BYTES:
            raise ValueError(path)
        description = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    sizes = [1, *_sizes(description)]
    if max(sizes) ** 2 * len(sizes) > _MOST_BYTES:
        raise ValueError(path)
    announced = []
    with h5py.File(io.BytesIO(weights)) as content:
        content.visititems(lambda _, entry: announced.append(getattr(entry, "nbytes", 0)))
    if sum(announced) > _MOST_BYTES:
        raise ValueError(path)


def _sizes(description: Any) -> Iterator[int]:
    """The numbers in a Keras description that say how large something is: all but seeds."""
    if isinstance(description, dict):
        for name, value in description.items():
            if name not in ("seed", "shared_object_id"):
                yield from _sizes(value)
    elif isinstance(description, list):
        for value in description:
            yield from _sizes(value)
    elif type(description) is int:
        yield abs(description)
