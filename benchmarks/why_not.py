"""Why training fails: twelve choices of parameters, each bad for a known reason, and what is said.

    .venv/bin/python benchmarks/why_not.py

Prints a table, and exits with 1 if one of them learns after all or is given another reason.
"""

import argparse
import sys

import numpy as np

from workshop_utils import data, quiet, training
from workshop_utils.running import notebooks

# How the sentence of each reason begins.
FALLING, GAP, NOISE, FEW = "Training ended too early", "There is a gap", "What is left", "The loss"
CHOICES = [
    (FALLING, {"EPOCHS": 1}),
    (FALLING, {"EPOCHS": 5}),
    (FALLING, {"EPOCHS": 40, "BATCH_SIZE": 600}),
    (GAP, {"SAMPLES": 10, "EPOCHS": 300}),
    (GAP, {"SAMPLES": 30, "NEURONS": 64, "NOISE": 0.3}),
    (GAP, {"SAMPLES": 60, "NEURONS": 64, "NOISE": 0.3, "BATCH_SIZE": 4, "EPOCHS": 300}),
    (NOISE, {"NOISE": 1.0}),
    (NOISE, {"NOISE": 2.0}),
    (NOISE, {"NOISE": 10}),
    (FEW, {"NEURONS": 1, "EPOCHS": 300}),
    (FEW, {"NEURONS": 2, "LAYERS": 1}),
    (FEW, {"NEURONS": 1, "LAYERS": 4, "EPOCHS": 200}),
]


def train(choice):
    """Train notebook 04's model with these values and the course's own for the rest.

    Returns test error, floor, and what `training.why_not` says.
    """
    files = notebooks.notebooks()
    values = {**notebooks.parameters(files["02"]), **notebooks.parameters(files["04"]), **choice}
    dataset = data.split(*data.make(values["SAMPLES"], values["NOISE"], values["SEED"]))
    model = training.larger_network(values["SEED"], values["NEURONS"], values["LAYERS"])
    history = training.fit_quietly(model, dataset, values["EPOCHS"], values["BATCH_SIZE"])
    answers = model(dataset.x_test[:, None]).numpy()[:, 0]  # evaluate() compiles first
    error = float(np.mean((answers - dataset.y_test) ** 2))
    floor = data.noise_floor(dataset.x_test, dataset.y_test)
    return error, floor, training.why_not(history.history, floor)


def main():
    """Print a line per choice, and exit with 1 if one was wrong."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    quiet.tensorflow()
    wrong = 0
    for reason, choice in CHOICES:
        error, floor, said = train(choice)
        right = said.startswith(reason) and not data.draws_a_sine(error, floor)
        wrong += not right
        values = ", ".join(f"{name} {value}" for name, value in choice.items())
        print(f"{values}: error {error:.4g}, floor {floor:.4g}{'' if right else '  WRONG'}")
        print(f"    {said}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
