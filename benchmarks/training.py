"""Our training loop beside the tutorial's `model.fit` call, in one run.

    .venv/bin/python benchmarks/training.py

Both train notebook 04's model on the same samples. Prints the ratio of the times, compilation
included, and the losses of both.
"""

import argparse
import time
from functools import partial

from workshop_utils import data, quiet, training
from workshop_utils.running import notebooks


def timed(fit, dataset, **arguments):
    """Train, and return the seconds it took and the last values of the history."""
    started = time.perf_counter()
    history = fit(
        dataset.x_train,
        dataset.y_train,
        validation_data=(dataset.x_validate, dataset.y_validate),
        **arguments,
    )
    return time.perf_counter() - started, {key: v[-1] for key, v in history.history.items()}


def main():
    """Print times, ratio and losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=500)
    options = parser.parse_args()
    quiet.tensorflow()
    dataset = data.split(*data.make(1000, 0.1, options.seed))
    batch_size = notebooks.parameters(notebooks.notebooks()["04"])["BATCH_SIZE"]
    common = {"dataset": dataset, "epochs": options.epochs, "batch_size": batch_size}

    ours, our_losses = timed(
        partial(training.fit, training.larger_network(options.seed)), verbose=False, **common
    )
    theirs, their_losses = timed(training.larger_network(options.seed).fit, verbose=0, **common)
    for name, seconds, losses in (
        ("training.fit", ours, our_losses),
        ("model.fit", theirs, their_losses),
    ):
        print(
            f"{name:<13} {seconds:6.1f} s  loss {losses['loss']:.4f}, "
            f"validation loss {losses['val_loss']:.4f}"
        )
    print(f"model.fit takes {theirs / ours:.0f} times as long, {options.epochs} epochs each.")


if __name__ == "__main__":
    main()
