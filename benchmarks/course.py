"""How long the whole course takes, and where the time goes.

    .venv/bin/python benchmarks/course.py

Runs all notebooks headless, each in a process of its own so that its memory can be told apart; then
the six that lead from the dataset to the chip as `workshop run` does, two at a time where one does
not need the other and, on Linux, with one import of TensorFlow for all; and beside that the
original notebook's two `model.fit` calls, which are most of the time it takes. --no-fit leaves
those two, about two minutes, out.
"""

import argparse
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from workshop_utils import data, files, quiet, training
from workshop_utils.paths import Home
from workshop_utils.running import course, notebooks, page
from workshop_utils.running.kernel import Kernel

# What a cell is about: the first of these that its source matches.
KINDS = {
    "training": r"training\.fit",
    "firmware": r"firmware\.build",
    "emulation": r"emulator\.run|on_chip",
    "sweep": r"sweep\.execute",
    "conversion": r"convert\.(run|to_int8)",
    "imports": r"(?m)^(import|from) |load_model",
    "pictures": r"plots\.",
}
COLUMNS = ["kernel", "imports", "training", "conversion", "firmware", "emulation", "sweep"]
COLUMNS += ["pictures"]
LAST = "06"  # of the notebooks that the original notebook's narrative covers


def execute(number, copy, home):
    """Run one notebook in this process, its artifacts in `home`. Returns seconds, CPU seconds and
    peak bytes."""
    import papermill  # noqa: F401  (imported once for all notebooks, so not a notebook's time)

    started = time.perf_counter()
    kernel = Kernel(notebooks.notebooks()[number], home)
    failure = course.execute(kernel.notebook, copy, {}, kernel)
    kernel.stop()
    wall = time.perf_counter() - started
    if failure:
        sys.exit(failure)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)  # the kernel and what it called
    unit = 1 if sys.platform == "darwin" else 1024
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit


def spent(copy, wall):
    """Where an executed notebook's seconds went: {kind: seconds}; 'kernel' is its start and end."""
    seconds = dict.fromkeys([*COLUMNS, "rest"], 0.0)
    for cell in files.read_notebook(copy)["cells"]:
        record = cell["metadata"].get("papermill", {})
        if cell["cell_type"] != "code" or not record.get("end_time"):
            continue
        begin, end = (datetime.fromisoformat(record[key]) for key in ("start_time", "end_time"))
        source = notebooks.source(cell)
        kind = next((kind for kind, words in KINDS.items() if re.search(words, source)), "rest")
        seconds[kind] += (end - begin).total_seconds()
    seconds["kernel"] = wall - sum(seconds.values())
    return seconds


def fit_seconds():
    """The original notebook's two trainings with `model.fit`: seconds for both."""
    quiet.tensorflow()
    dataset = data.split(*data.make(1000, 0.1, seed=1))
    seconds = 0.0
    for network, number in ((training.small_network, "03"), (training.larger_network, "04")):
        schedule = notebooks.parameters(notebooks.notebooks()[number])
        model = network(seed=1)
        started = time.perf_counter()
        model.fit(
            dataset.x_train,
            dataset.y_train,
            epochs=schedule["EPOCHS"],
            batch_size=schedule["BATCH_SIZE"],
            validation_data=(dataset.x_validate, dataset.y_validate),
            verbose=0,
        )
        seconds += time.perf_counter() - started
    return seconds


def run_seconds():
    """`workshop run` from the first notebook to LAST, in a fresh folder: seconds."""
    command = [sys.executable, "-m", "workshop_utils.cli", "run", "--to", LAST]
    with tempfile.TemporaryDirectory() as home:
        started = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, "WORKSHOP_HOME": home},
                       stdout=subprocess.DEVNULL)  # fmt: skip
        return time.perf_counter() - started


def apart(task, *arguments):
    """Call a function in a new process and return its result."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(task, arguments)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-fit", action="store_true", help="leave the comparison out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        heads = ["wall s", "CPU s", "peak MB", "copy kB", *COLUMNS, "rest"]
        print(f"{'notebook':<20}" + "".join(f"{head:>11}" for head in heads))
        copies, total = [], [0.0] * len(heads)
        for number, notebook in notebooks.notebooks().items():
            copy = home.output_dir / notebook.name
            wall, cpu, peak = apart(execute, number, copy, home)
            size = copy.stat().st_size
            row = [wall, cpu, peak / 1e6, size / 1e3, *spent(copy, wall).values()]
            print_row(notebook.stem, row)
            total = [max(a, b) if head == "peak MB" else a + b
                     for head, a, b in zip(heads, total, row, strict=True)]  # fmt: skip
            copies.append(copy)
        print_row("together", total)
        started = time.perf_counter()
        page.render(copies, home.output_dir / page.REPORT)
        print(f"rendering the page   {time.perf_counter() - started:8.1f} s")
    whole = apart(run_seconds)
    print(f"01 to {LAST} in one run   {whole:8.1f} s, page included")
    if not options.no_fit:
        fits = apart(fit_seconds)
        print(f"two model.fit calls  {fits:8.1f} s, so the run takes {whole / fits:.2f} of that")


def print_row(name, row):
    """One line of the table."""
    print(f"{name:<20}" + "".join(f"{value:>11.1f}" for value in row), flush=True)


if __name__ == "__main__":
    main()
