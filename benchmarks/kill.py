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


def damaged():
    """The artifacts that are there but not whole, with the reason."""
    from workshop_utils import c_source, data, inference, paths

    def is_zip(path):
        if zipfile.ZipFile(path).testzip():
            raise ValueError("damaged zip file")

    readers = {
        paths.DATASET: data.load,
        paths.SMALL_MODEL_TF: is_zip,
        paths.MODEL_TF: is_zip,
        paths.MODEL_NO_QUANT_TFLITE: lambda path: inference.details(path.read_bytes()),
        paths.MODEL_TFLITE: lambda path: inference.details(path.read_bytes()),
        paths.MODEL_TFLITE_MICRO: c_source.read,
        paths.FIRMWARE_MODEL: c_source.read,
    }
    found = {}
    for path, read in readers.items():
        try:
            if path.exists():
                read(path)
        except Exception as error:
            found[paths.shown(path)] = str(error)
    return found


def fingerprints():
    """{artifact: hash} of those that are there."""
    from workshop_utils import paths

    there = (path for path in paths.MADE_BY if path.exists())
    return {paths.shown(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in there}


def unfinished():
    """Files beside artifacts and executed notebooks that were being written when a kill came."""
    from workshop_utils import paths

    folders = {path.parent for path in paths.MADE_BY} | {paths.OUTPUT_DIR}
    hidden = (path for folder in folders for path in folder.glob(".*") if path.is_file())
    return [path for path in hidden if path.name != ".run.lock"]


def trial(seed, only, longest, chance):
    """Kill one run. Returns after how long, {damaged: reason}, artifacts replaced, recovered."""
    before = fingerprints()
    run = subprocess.Popen(command(seed, only), stdout=subprocess.DEVNULL)
    delay = chance.uniform(0, longest)
    time.sleep(delay)
    run.send_signal(signal.SIGKILL)
    run.wait()
    left, bad = fingerprints(), damaged()
    replaced = sum(before.get(name) != value for name, value in left.items())
    again = subprocess.run(command(seed, only, "--resume"), capture_output=True, text=True)
    if again.returncode:
        print(again.stderr, file=sys.stderr)
    after = fingerprints()
    for name, value in left.items():
        if not name.endswith(".keras") and value not in (before.get(name), after.get(name)):
            bad[name] = "neither the old one nor the new one"
    return delay, bad | damaged(), replaced, again.returncode == 0


def main():
    """Print a line per trial and the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--only", metavar="NN", help="kill runs of this notebook alone")
    options = parser.parse_args()
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as home:
        os.environ["WORKSHOP_HOME"] = home
        started = time.monotonic()
        subprocess.run(command(0, options.only), check=True, stdout=subprocess.DEVNULL)
        longest = time.monotonic() - started
        failed = 0
        for number in range(1, options.trials + 1):
            delay, bad, replaced, recovered = trial(number, options.only, longest, chance)
            failed += bool(bad) or not recovered
            print(
                f"trial {number}: killed after {delay:.1f} s, {replaced} artifacts were new, "
                f"damaged: {bad or 'none'}, the next run {'succeeded' if recovered else 'FAILED'}",
                flush=True,
            )
        left = unfinished()
    print(f"{options.trials} kills, {failed} with damage; {len(left)} unfinished files left over.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
