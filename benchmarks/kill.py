"""What a killed run leaves behind: every artifact whole, and a course that goes on.

    .venv/bin/python benchmarks/kill.py --trials 30

Each trial starts the course with another seed, kills it without warning (SIGKILL) after a random
time, checks every artifact, and runs the course with --resume, each to notebook 06: later ones make
no artifacts. An artifact is damaged if it cannot be read, and also if it is neither what was there
before nor what the completed run makes; the latter cannot be said of Keras's files, which hold the
time at which they were saved. --only 02 takes one notebook instead. Exits with 1 if an artifact was
damaged or a run after a kill failed.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from workshop_utils import c_source, data, inference
from workshop_utils.paths import Home

LAST = "06"
FAST = {"SAMPLES": 100, "EPOCHS": 2}  # so that writing is a larger part of a run


def command(seed, only, *more):
    """A `workshop run` with few epochs; parameters that no notebook of it has are left out."""
    chosen = {"SEED": seed, **FAST}
    if only == "02":
        del chosen["EPOCHS"]
    words = [word for name, value in chosen.items() for word in ("-p", name, str(value))]
    words += ["--only", only] if only else ["--to", LAST]
    return [sys.executable, "-m", "workshop_utils.cli", "run", *words, *more]


def damaged(home):
    """The artifacts that are there but not whole, with the reason."""

    def is_zip(path):
        if zipfile.ZipFile(path).testzip():
            raise ValueError("damaged zip file")

    readers = {
        home.dataset: data.load,
        home.small_model_tf: is_zip,
        home.model_tf: is_zip,
        home.model_no_quant_tflite: lambda path: inference.details(path.read_bytes()),
        home.model_tflite: lambda path: inference.details(path.read_bytes()),
        home.model_tflite_micro: c_source.read,
        home.firmware_model: c_source.read,
        home.sensor_dir / "model.keras": is_zip,
        home.sensor_dir / "model.tflite": lambda path: inference.details(path.read_bytes()),
        home.sensor_dir / "model.cc": c_source.read,
    }
    found = {}
    for path, read in readers.items():
        try:
            if path.exists():
                read(path)
        except Exception as error:
            found[home.display_path(path)] = str(error)
    return found


def fingerprints(home):
    """{artifact: hash} of those that are there."""
    there = (path for path in home.made_by if path.exists())
    return {
        home.display_path(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in there
    }


def unfinished(home):
    """Files beside artifacts and executed notebooks that were being written when a kill came."""
    folders = {path.parent for path in home.made_by} | {home.output_dir}
    hidden = (path for folder in folders for path in folder.glob(".*") if path.is_file())
    return [path for path in hidden if path.name != ".run.lock"]


def trial(home, seed, only, longest, chance):
    """Kill one run. Returns after how long, {damaged: reason}, artifacts replaced, recovered."""
    before = fingerprints(home)
    run = subprocess.Popen(command(seed, only), stdout=subprocess.DEVNULL)
    delay = chance.uniform(0, longest)
    time.sleep(delay)
    run.send_signal(signal.SIGKILL)
    run.wait()
    left, bad = fingerprints(home), damaged(home)
    replaced = sum(before.get(name) != value for name, value in left.items())
    again = subprocess.run(command(seed, only, "--resume"), capture_output=True, text=True)
    if again.returncode:
        print(again.stderr, file=sys.stderr)
    after = fingerprints(home)
    for name, value in left.items():
        if not name.endswith(".keras") and value not in (before.get(name), after.get(name)):
            bad[name] = "neither the old one nor the new one"
    return delay, bad | damaged(home), replaced, again.returncode == 0


def main():
    """Print a line per trial and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--only", metavar="NN", help="kill runs of this notebook alone")
    options = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKSHOP_HOME"] = folder  # for the commands
        home = Home(Path(folder))
        started = time.monotonic()
        subprocess.run(command(0, options.only), check=True, stdout=subprocess.DEVNULL)
        longest = time.monotonic() - started
        failed = 0
        for number in range(1, options.trials + 1):
            delay, bad, replaced, recovered = trial(home, number, options.only, longest, chance)
            failed += bool(bad) or not recovered
            print(
                f"trial {number}: killed after {delay:.1f} s, {replaced} artifacts were new, "
                f"damaged: {bad or 'none'}, the next run {'succeeded' if recovered else 'FAILED'}",
                flush=True,
            )
        left = unfinished(home)
    print(f"{options.trials} kills, {failed} with damage; {len(left)} unfinished files left over.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
