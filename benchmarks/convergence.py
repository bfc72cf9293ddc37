"""How many seeds learn: real Keras, the notebooks' own cells, float and int8.

    .venv/bin/python benchmarks/convergence.py --seeds 20

--model larger: notebook 04's recipe. --model plain: the same network with Keras's own start, all
biases zero. --model small: notebook 03's network.
"""

import argparse
import sys

import numpy as np

from workshop_utils import convert, data, inference, quiet, training
from workshop_utils.running import notebooks

GOAL = 0.02  # Test mean squared error of a model that draws a sine; the noise alone gives 0.01.


def build(name, seed):
    """The compiled Keras model of notebook 03 or 04, made by running that notebook's cells."""
    number, model = ("03", "small_model") if name == "small" else ("04", "model")
    known = {**notebooks.parameters(notebooks.notebooks()[number]), "SEED": seed}
    return notebooks.recipe(number, 1 if name == "plain" else None, np=np, **known)[model]


def learn(name, seed):
    """Train one model on its seed's dataset. Returns its test errors {form: MSE}."""
    defaults = notebooks.parameters(notebooks.notebooks()["02"])
    schedule = notebooks.parameters(notebooks.notebooks()["04"])
    dataset = data.split(*data.make(defaults["SAMPLES"], defaults["NOISE"], seed))
    model = build(name, seed)
    training.fit(
        model,
        dataset.x_train,
        dataset.y_train,
        epochs=schedule["EPOCHS"],
        batch_size=schedule["BATCH_SIZE"],
        validation_data=(dataset.x_validate, dataset.y_validate),
        verbose=False,
    )
    int8 = convert.to_int8(model, dataset.x_train[:500])
    runtime = "litert" if inference.tflm_problem() else "tflm"
    test = dataset.x_test, dataset.y_test
    return {
        "float": model.evaluate(*test, verbose=0)[0],
        f"int8 on {runtime}": inference.evaluate(int8, *test, runtime),
    }


def main():
    """Print how many seeds reach the goal, and exit with 1 if the larger model misses it once."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds, from 0 on")
    parser.add_argument("--model", choices=("larger", "plain", "small"), default="larger")
    options = parser.parse_args()
    quiet.tensorflow()
    runs = []
    for seed in range(options.seeds):
        runs.append(learn(options.model, seed))
        if sys.stderr.isatty():
            print(f"\rseed {seed + 1} of {options.seeds}", end="", file=sys.stderr, flush=True)
    missed = 0
    for form in runs[0]:
        errors = np.array([run[form] for run in runs])
        reached = int((errors <= GOAL).sum())
        missed += len(errors) - reached
        print(
            f"{options.model} model, {form}: {reached} of {len(errors)} seeds reach {GOAL}; "
            f"best {errors.min():.4f}, median {np.median(errors):.4f}, worst {errors.max():.4f} "
            f"(seed {errors.argmax()})"
        )
    return 1 if missed and options.model == "larger" else 0


if __name__ == "__main__":
    sys.exit(main())
