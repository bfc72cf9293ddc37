import numpy as np
import pytest
from convergence import build

from workshop_utils import training
from workshop_utils.errors import MissingArtifact, WorkshopError

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


def test_follows_model_fit_with_the_same_batches(dataset):
    model, reference = build("larger", 5), build("larger", 5)
    common = arguments(dataset, epochs=EPOCHS, shuffle=False)
    theirs = reference.fit(**common, verbose=0)
    ours = training.fit(model, **common, verbose=False)
    assert_same(ours, theirs, model, reference)
    assert ours.history["loss"][-1] < ours.history["loss"][0] / 5, "It hardly learned."


def test_follows_model_fit_with_another_loss_optimizer_metrics_and_a_last_batch_of_one(dataset):
    import keras

    models = build("small", 2), build("small", 2)
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
        training.fit(build("small", 9), **arguments(dataset, epochs=8), verbose=False).history
        for _ in range(2)
    ]
    assert histories[0] == histories[1]


def test_one_epoch_and_a_batch_larger_than_the_set(dataset):
    history = training.fit(
        build("small", 1), **arguments(dataset, epochs=1, batch_size=10_000), verbose=False
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
    ],
)
def test_bad_input_is_one_sentence(dataset, change, words):
    with pytest.raises(WorkshopError, match=words):
        training.fit(build("small", 1), **(arguments(dataset, epochs=2) | change))


def test_a_model_that_is_not_compiled(dataset):
    import keras

    with pytest.raises(WorkshopError, match="not compiled"):
        training.fit(keras.Sequential([keras.layers.Dense(1)]), **arguments(dataset, epochs=1))


def test_save_and_load(dataset, model, tmp_path):
    history = training.fit(build("small", 1), **arguments(dataset, epochs=2), verbose=False)
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


def test_most_seeds_learn():
    """A few of the seeds that benchmarks/convergence.py tries by the hundred."""
    from convergence import GOAL, learn

    for seed in (1, 9):
        assert max(learn("larger", seed).values()) <= GOAL, seed
