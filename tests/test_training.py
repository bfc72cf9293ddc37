import io
import random
import signal
import threading
import zipfile

import h5py
import numpy as np
import pytest
import why_not
from hostile import refusals

from workshop_utils import data, paths, training
from workshop_utils.errors import MissingArtifact, WorkshopError
from workshop_utils.running import notebooks

EPOCHS = 20


def arguments(dataset, **extra):
    return {
        "x": dataset.x_train,
        "y": dataset.y_train,
        "batch_size": 64,
        "validation_data": (dataset.x_validate, dataset.y_validate),
    } | extra


def assert_same(ours, theirs, model, reference):
    assert set(ours.history) == set(theirs.history)
    assert ours.epoch == theirs.epoch
    for name, values in theirs.history.items():
        assert np.allclose(ours.history[name], values, rtol=1e-4, atol=0), name
    for mine, other in zip(model.get_weights(), reference.get_weights(), strict=True):
        assert np.allclose(mine, other, rtol=1e-4, atol=1e-6)


# ---- The networks


def made_by_cells(number, **values):
    """What is known after a notebook's own cells tagged 'recipe' have run."""
    notebook = notebooks.notebooks()[number]
    names = {"np": np, **notebooks.parameters(notebook), **values}
    for cell in notebooks.tagged_source(notebook, "recipe"):
        exec(compile(cell, str(notebook), "exec"), names)
    return names


@pytest.mark.parametrize(
    ("number", "name", "network", "choices"),
    [
        ("03", "small_model", training.small_network, {}),
        ("04", "model", training.larger_network, {}),
        ("04", "model", training.larger_network, {"NEURONS": 5, "LAYERS": 3}),
        ("04", "model", training.larger_network, {"NEURONS": 1, "LAYERS": 1}),
    ],
)
@pytest.mark.parametrize("seed", [1, 2**32 - 1])
def test_the_functions_make_what_the_notebooks_cells_make(
    number, name, network, choices, seed, dataset
):
    """Bit for bit: weights, and what the orders of samples are drawn from; once after training."""
    theirs = made_by_cells(number, SEED=seed, **choices)[name]
    first, state = theirs.get_weights(), np.random.get_state()[1]
    if seed == 1:
        expected = training.fit(theirs, **arguments(dataset, epochs=3), verbose=False)
    ours = network(seed, **{key.lower(): value for key, value in choices.items()})
    assert all(map(np.array_equal, ours.get_weights(), first))
    assert np.array_equal(np.random.get_state()[1], state)
    if seed == 1:
        history = training.fit(ours, **arguments(dataset, epochs=3), verbose=False)
        assert all(map(np.array_equal, ours.get_weights(), theirs.get_weights()))
        assert history.history == expected.history


def test_the_first_weights_are_glorots_and_differ_from_layer_to_layer():
    model = training.larger_network(3, 8, 4)
    kernels = model.get_weights()[::2]
    for kernel in kernels:
        limit = np.sqrt(6 / sum(kernel.shape))
        assert 0.5 * limit < abs(kernel).max() <= limit
    assert [kernel.shape for kernel in kernels] == [(1, 8), (8, 8), (8, 8), (8, 8), (8, 1)]
    assert not np.array_equal(kernels[1], kernels[2])
    for layer in model.layers[1:]:
        assert not layer.get_weights()[1].any()


def test_a_spread_start_bends_at_even_places_and_a_plain_one_at_zero():
    for spread in (True, False):
        weights, biases = training.larger_network(4, 8, spread=spread).layers[0].get_weights()
        kinks = -biases / weights[0]
        places = np.arange(1, 16, 2) * np.pi / 8 if spread else np.zeros(8)
        assert np.allclose(kinks, places, atol=1e-5)


def test_a_spread_start_bends_at_even_places_of_any_span():
    weights, biases = training.larger_network(4, 8, span=(-1, 3)).layers[0].get_weights()
    assert np.allclose(-biases / weights[0], np.arange(-0.75, 3, 0.5), atol=1e-5)


def test_with_several_inputs_kinks_lie_in_all_parts_and_directions_of_the_data():
    """Nearly each neuron's line has samples on both of its sides, in shares of all kinds."""
    x = np.random.default_rng(1).uniform([0, 10], [1, 20], (4000, 2))
    network = training.larger_network(1, 32, inputs=2, span=[(0, 1), (10, 20)])
    weights, biases = network.layers[0].get_weights()
    assert weights.shape == (2, 32)
    shares = (x @ weights + biases > 0).mean(axis=0)
    assert ((shares > 0.01) & (shares < 0.99)).sum() > 28 and np.ptp(shares) > 0.5
    angles = np.degrees(np.arctan2(*weights)) % 180
    assert (np.histogram(angles, bins=4, range=(0, 180))[0] > 0).all()


def trained(x, y, **choices):
    """The last validation loss of a network after a short training; its samples are scaled."""
    network = training.larger_network(3, inputs=x[:1].size, span=(0, 1), **choices)
    history = training.fit(
        network, x, y, epochs=100, batch_size=32, validation_data=(x, y), verbose=False
    )
    return history.history["val_loss"][-1]


def test_a_spread_start_learns_better_than_a_plain_one():
    """A steep curve of one input and a bump of two, both on inputs from 0 to 1."""
    rng = np.random.default_rng(1)
    one, two = rng.uniform(0, 1, 600), rng.uniform(0, 1, (600, 2))
    bump = np.exp(-np.sum((two - 0.6) ** 2, axis=1) / 0.03)
    for x, y in ((one, np.sin(2 * np.pi * one)), (two, bump)):
        assert trained(x, y) < 0.7 * trained(x, y, spread=False)


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"inputs": 0}, "inputs is 0"),
        ({"inputs": 65}, "inputs is 65"),
        ({"span": (1, 1)}, "must go from a number to a larger one"),
        ({"span": (0, np.inf)}, "must go from a number"),
        ({"span": [(0, 1)] * 3, "inputs": 2}, "must be a pair of numbers"),
        ({"span": "wide"}, "must be a pair of numbers"),
    ],
)
def test_inputs_and_a_span_that_cannot_be(choice, words):
    with pytest.raises(WorkshopError, match=words):
        training.larger_network(1, **choice)


def test_the_seed_decides_whatever_other_threads_draw():
    """Dask's threads use Python's `random` too; one here does nothing else."""
    stop = threading.Event()

    def draw():
        while not stop.wait(0.001):
            random.random()

    expected = training.larger_network(1).get_weights()
    other = threading.Thread(target=draw)
    other.start()
    try:
        for _ in range(5):
            weights = training.larger_network(1).get_weights()
            assert all(map(np.array_equal, weights, expected))
    finally:
        stop.set()
        other.join()
    assert not np.array_equal(training.larger_network(2).get_weights()[0], expected[0])


@pytest.mark.parametrize(
    ("choice", "words"),
    [((1, 0, 2), "NEURONS is 0"), ((1, 16, 5), "LAYERS is 5"), ((-1, 16, 2), "SEED is -1")],
)
def test_a_network_that_cannot_be(choice, words):
    with pytest.raises(WorkshopError, match=words):
        training.larger_network(*choice)


# ---- Training


def test_follows_model_fit_with_the_same_batches(dataset):
    model, reference = training.larger_network(5), training.larger_network(5)
    common = arguments(dataset, epochs=EPOCHS, shuffle=False)
    theirs = reference.fit(**common, verbose=0)
    ours = training.fit(model, **common, verbose=False)
    assert_same(ours, theirs, model, reference)
    assert ours.history["loss"][-1] < ours.history["loss"][0] / 5, "It hardly learned."


def test_follows_model_fit_with_another_loss_optimizer_metrics_and_a_last_batch_of_one(dataset):
    import keras

    models = training.small_network(2), training.small_network(2)
    for model in models:
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        model.compile(optimizer=optimizer, loss="huber", metrics=["mse", "mae"])
    common = arguments(dataset, epochs=5, shuffle=False, batch_size=599)
    theirs = models[1].fit(**common, verbose=0)
    ours = training.fit(models[0], **common, verbose=False)
    assert_same(ours, theirs, *models)


def test_shuffling_uses_every_sample_once_an_epoch_in_a_new_order(dataset):
    """A model that records what it is shown stands in for the network."""
    import keras
    import tensorflow as tf

    class Recorder(keras.Sequential):
        def train_step(self, batch):
            x, _ = batch
            self.seen.assign(tf.concat([self.seen, x[:, 0]], axis=0))
            return super().train_step(batch)

    model = Recorder([keras.Input((1,)), keras.layers.Dense(1)])
    model.seen = tf.Variable(tf.zeros([0]), shape=[None], dtype=tf.float32)
    model.compile(optimizer="sgd", loss="mse")
    keras.utils.set_random_seed(4)
    training.fit(model, **arguments(dataset, epochs=2), verbose=False)
    first, second = np.split(model.seen.numpy(), 2)
    assert np.array_equal(np.sort(first), np.sort(dataset.x_train))
    assert np.array_equal(np.sort(second), np.sort(dataset.x_train))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, dataset.x_train)


def test_the_seed_repeats_everything(dataset):
    histories = [
        training.fit(
            training.small_network(9), **arguments(dataset, epochs=8), verbose=False
        ).history
        for _ in range(2)
    ]
    assert histories[0] == histories[1]


def test_one_epoch_and_a_batch_larger_than_the_set(dataset):
    history = training.fit(
        training.small_network(1), **arguments(dataset, epochs=1, batch_size=10_000), verbose=False
    )
    assert [len(values) for values in history.history.values()] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"epochs": 0}, "EPOCHS is 0"),
        ({"epochs": -3}, "EPOCHS is -3"),
        ({"epochs": 10**9}, "EPOCHS is 1000000000"),
        ({"epochs": "many"}, "EPOCHS is 'many'"),
        ({"batch_size": 0}, "BATCH_SIZE is 0"),
        ({"batch_size": 6.4}, "BATCH_SIZE is 6.4"),
        ({"x": np.array([]), "y": np.array([])}, "training x and y are empty"),
        ({"x": np.array([1.0, np.nan]), "y": np.zeros(2)}, "NaN"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((3, 2))}, "one-dimensional"),
        ({"validation_data": (np.zeros(3), np.zeros(2))}, "validation x and y must be"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, r"takes 1 value\(s\), but x has 2 per sample"),
    ],
)
def test_bad_input_is_one_sentence(dataset, change, words):
    with pytest.raises(WorkshopError, match=words):
        training.fit(training.small_network(1), **(arguments(dataset, epochs=2) | change))


def test_a_model_that_is_not_compiled(dataset):
    import keras

    with pytest.raises(WorkshopError, match="not compiled"):
        training.fit(keras.Sequential([keras.layers.Dense(1)]), **arguments(dataset, epochs=1))


def test_save_and_load(dataset, model, tmp_path):
    history = training.fit(training.small_network(1), **arguments(dataset, epochs=2), verbose=False)
    path = training.save(model, history, tmp_path / "model.keras")
    assert training.load_history(path) == history.history
    loaded = training.load_model(path)
    assert np.array_equal(
        loaded.predict(dataset.x_test, verbose=0), model.predict(dataset.x_test, verbose=0)
    )


def test_load_what_is_missing_or_damaged(tmp_path):
    with pytest.raises(MissingArtifact):
        training.load_model(tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(b"PK not really")
    with pytest.raises(WorkshopError, match="damaged or not a Keras model"):
        training.load_model(tmp_path / "model.keras")


def keras_file(path, description=None, weights=None, extra=None):
    """The reference model's file with another description, other weights, or one member more."""
    reference = zipfile.ZipFile(paths.REFERENCE_DIR / "model.keras")
    members = {name: reference.read(name) for name in reference.namelist()}
    members |= {"config.json": description(members["config.json"])} if description else {}
    members |= {"model.weights.h5": weights(members["model.weights.h5"])} if weights else {}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (members | (extra or {})).items():
            archive.writestr(name, content)
    return path


def announcing(content, shape):
    """The weights with a layer that has that shape, of which nothing is stored."""
    file = io.BytesIO(content)
    with h5py.File(file, "r+") as weights:
        layer = weights["layers/dense_1/vars"]
        del layer["0"]
        layer.create_dataset("0", shape, "f4", chunks=(1000, 1000), fillvalue=1.0)
    return file.getvalue()


HOSTILE = {
    "wide": {"description": lambda text: text.replace(b'"units": 16', b'"units": 2000000000')},
    "deep": {"description": lambda text: b"[" * 100_000},
    "no JSON": {"description": lambda text: b"{"},
    "weights": {"weights": lambda content: announcing(content, (30_000, 30_000))},
    "no HDF5": {"weights": lambda content: b"HDF"},
    "bomb": {"extra": {"more": bytes(300_000_000)}},
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for kind, changes in HOSTILE.items():
        keras_file(folder / f"{kind}.keras", **changes)
    setup = "sys.modules['keras'] = None\nfrom workshop_utils import training"
    return refusals(setup, "training.load_model(path)", folder)


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_keras_file_is_refused_in_one_sentence(refused, kind):
    """Before Keras, which would take memory for some of them, is even imported."""
    said = refused.of(f"{kind}.keras", most_megabytes=300)
    assert "damaged or not a Keras model" in said and "\n" not in said


def test_a_class_that_is_none_of_keras_is_refused_by_it(tmp_path):
    path = keras_file(tmp_path / "model.keras", lambda text: text.replace(b'"Dense"', b'"Popen"'))
    with pytest.raises(WorkshopError, match=r"damaged or not a Keras model; [^\n]*$") as caught:
        training.load_model(path)
    assert "Popen" in str(caught.value.__cause__)


def test_what_the_checks_before_keras_let_through_is_the_courses_own(tmp_path):
    assert training.load_model(keras_file(tmp_path / "model.keras")).count_params() == 321


@pytest.mark.parametrize(
    ("values", "largest"),
    [
        ("EPOCHS", training.MAX_EPOCHS),
        ("BATCH_SIZE", data.MAX_SAMPLES),
        ("SEED", 2**32 - 1),
        ("NEURONS", training.MAX_NEURONS),
        ("LAYERS", training.MAX_LAYERS),
    ],
)
def test_the_limits_of_a_parameter_are_the_last_values_that_work(values, largest):
    names = ["EPOCHS", "BATCH_SIZE", "SEED", "NEURONS", "LAYERS"]
    smallest = 0 if values == "SEED" else 1

    def check(value):
        training.check_parameters(*(value if name == values else 1 for name in names))

    check(smallest)
    check(largest)
    for beyond in (smallest - 1, largest + 1):
        with pytest.raises(WorkshopError, match=f"^{values} is {beyond}, but must be from"):
            check(beyond)


def interrupted(monkeypatch, after):
    """The progress bar presses Ctrl-C after so many of its steps."""

    class Bar(training.Progress):
        steps = 0

        def advance(self, steps, **figures):
            super().advance(steps, **figures)
            self.steps += 1
            if self.steps == after:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(training, "Progress", Bar)


def test_an_interrupt_ends_training_with_a_sentence_and_the_history_so_far(
    dataset, monkeypatch, capsys
):
    before = signal.getsignal(signal.SIGINT)
    interrupted(monkeypatch, 2)
    model = training.small_network(1)
    history = training.fit(model, **arguments(dataset, epochs=100))
    assert capsys.readouterr().out == (
        "Training was stopped after 8 of 100 epochs; the model and the history are those of that "
        "moment.\n"
    )
    monkeypatch.undo()
    same = training.small_network(1)
    expected = training.fit(same, **arguments(dataset, epochs=8), verbose=False)
    assert history.history == expected.history and history.epoch == expected.epoch
    assert all(map(np.array_equal, model.get_weights(), same.get_weights()))
    assert signal.getsignal(signal.SIGINT) is before


def test_a_program_is_interrupted_as_usual(dataset, monkeypatch):
    """And TensorFlow's settings, which training changes, are then as they were."""
    import tensorflow as tf

    before = signal.getsignal(signal.SIGINT)
    tf.config.optimizer.set_experimental_options({"remapping": True})
    interrupted(monkeypatch, 1)
    with pytest.raises(KeyboardInterrupt):
        training.fit(training.small_network(1), **arguments(dataset, epochs=100), verbose=False)
    assert signal.getsignal(signal.SIGINT) is before
    assert tf.config.optimizer.get_experimental_options()["remapping"]


def test_the_last_of_several_trainings_puts_tensorflows_settings_back():
    import tensorflow as tf

    options = tf.config.optimizer
    options.set_experimental_options({"remapping": True})
    first, second = training._plain_kernels(), training._plain_kernels()
    seen = []
    for step in (first.__enter__, second.__enter__):
        step()
        seen.append(options.get_experimental_options()["remapping"])
    for one in (first, second):  # which began while the first was at work, and ends later
        one.__exit__(None, None, None)
        seen.append(options.get_experimental_options()["remapping"])
    assert seen == [False, False, False, True]


def test_training_works_in_a_thread_that_nobody_interrupts(dataset):
    histories = []

    def work():
        model = training.small_network(1)
        histories.append(training.fit(model, **arguments(dataset, epochs=2), verbose=False))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert histories[0].epoch == [0, 1]


@pytest.mark.parametrize("number", range(len(why_not.CHOICES)))
def test_why_a_model_that_fails_for_a_known_reason_has_failed(number):
    reason, choice = why_not.CHOICES[number]
    error, floor, said = why_not.train(choice)
    assert not data.draws_a_sine(error, floor), "It has learned."
    assert said.startswith(reason)


def test_why_a_loss_that_is_no_number_has_not_learned():
    history = {"loss": [1.0, np.nan], "val_loss": [1.0, 1.0]}
    assert training.why_not(history, 0.01).startswith("The loss is not a number")


def test_two_seeds_learn():
    """Two of the seeds that benchmarks/convergence.py tries by the hundred."""
    from convergence import learn

    for seed in (1, 9):
        errors, floor = learn("larger", seed)
        assert data.draws_a_sine(max(errors.values()), floor), seed
