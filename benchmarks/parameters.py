"""The whole course with parameters from one end to the other, and what the notebooks say then.

    .venv/bin/python benchmarks/parameters.py

No cell may fail. A run that does not learn has to say so and why; the lines are printed.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from workshop_utils import files
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import course, notebooks

EXTREMES = (
    {"NOISE": 0.0},
    {"NOISE": 0.3},
    {"SAMPLES": 200},
    {"SAMPLES": 10_000},
    {"BATCH_SIZE": 8},
    {"BATCH_SIZE": 256},
    {"EPOCHS": 1},
    {"EPOCHS": 2000},
    {"SAMPLES": 200, "NOISE": 0.3, "BATCH_SIZE": 256},
    {"SAMPLES": 200, "NOISE": 0.3, "EPOCHS": 2000},
    {"SAMPLES": 10_000, "NOISE": 0.0, "EPOCHS": 1},
    {"SAMPLES": 10, "REPRESENTATIVE": 1, "EPOCHS": 2},
    {"NEURONS": 1, "LAYERS": 1, "EPOCHS": 20},
    {"NEURONS": 256, "LAYERS": 4, "EPOCHS": 20},
    {"INFERENCES_PER_CYCLE": 1, "CYCLES": 1, "EPOCHS": 20},
    {"INFERENCES_PER_CYCLE": 1000, "CYCLES": 10, "EPOCHS": 20},
)


def verdicts(output):
    """What the executed notebooks say about learning."""
    lines = []
    for copy in sorted(output.glob("*.ipynb")):
        for cell in files.read_notebook(copy)["cells"]:
            for printed in cell.get("outputs", []):
                text = "".join(printed.get("text", ""))
                if "draw a sine?" in text or "draws a sine:" in text:
                    lines += text.splitlines()
    return lines


def main():
    """Print each run's result."""
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name))
        for chosen in EXTREMES:
            started = time.monotonic()
            try:
                course.run(notebooks.select(first="02"), chosen, say=lambda line: None, home=home)
                said = "\n    ".join(verdicts(home.output_dir))
            except WorkshopError as error:
                failures += 1
                said = f"FAILED: {error}"
            names = " ".join(f"{name} {value}" for name, value in chosen.items())
            print(f"{names} ({time.monotonic() - started:.0f} s)\n    {said}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
