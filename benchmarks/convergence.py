"""How many seeds learn: real Keras, the notebooks' networks, float and int8.

    .venv/bin/python benchmarks/convergence.py --seeds 20

--model larger: notebook 04's recipe. --model plain: the same network with Keras's own start, all
biases zero. --model small: notebook 03's network.
"""

import argparse
import sys
from functools import partial

import numpy as np

from workshop_utils import convert, data, inference, quiet, training
from workshop_utils.running import notebooks

NETWORKS = {
    "larger": training.larger_network,
    "plain": partial(training.larger_network, spread=False),
    "small": training.small_network,
}


def learn(name, seed):
    """Train one network on its seed's dataset. Returns test errors {form: MSE} and their floor."""
    defaults = notebooks.parameters(notebooks.notebooks()["02"])
    schedule = notebooks.parameters(notebooks.notebooks()["04"])
    dataset = data.split(*data.make(defaults["SAMPLES"], defaults["NOISE"], seed))
    model = NETWORKS[name](seed)
    training.fit_quietly(model, dataset, schedule["EPOCHS"], schedule["BATCH_SIZE"])
    int8 = convert.to_int8(model, dataset.x_train[:500])
    runtime = inference.best_runtime()
    test = dataset.x_test, dataset.y_test
    answers = model(dataset.x_test[:, None]).numpy()[:, 0]  # evaluate() compiles first
    errors = {
        "float": float(np.mean((answers - dataset.y_test) ** 2)),
        f"int8 on {runtime}": inference.evaluate(int8, *test, runtime),
    }
    return errors, data.noise_floor(*test)


def main():
    """Print how many seeds draw a sine, and exit with 1 if the larger model fails once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds, from 0 on")
    parser.add_argument("--model", choices=tuple(NETWORKS), default="larger")
    options = parser.parse_args()
    quiet.tensorflow()
    runs = []
    for seed in range(options.seeds):
        runs.append(learn(options.model, seed))
        if sys.stderr.isatty():
            print(f"\rseed {seed + 1} of {options.seeds}", end="", file=sys.stderr, flush=True)
    missed = 0
    for form in runs[0][0]:
        errors = np.array([errors[form] for errors, _ in runs])
        reached = sum(data.draws_a_sine(errors[form], floor) for errors, floor in runs)
        missed += len(errors) - reached
        print(
            f"{options.model} model, {form}: {reached} of {len(errors)} seeds draw a sine; "
            f"best {errors.min():.4f}, median {np.median(errors):.4f}, worst {errors.max():.4f} "
            f"(seed {errors.argmax()})"
        )
    return 1 if missed and options.model == "larger" else 0


if __name__ == "__main__":
    sys.exit(main())
