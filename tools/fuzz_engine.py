"""Fuzz the compact engine for as long as you like; prints what was tried and what was found.

    .venv/bin/python tools/fuzz_engine.py --seconds 600

First the engine is compared with TFLM's Python package on mutated models, then libFuzzer looks for
steps outside (tests/fuzzing.py says how). Each takes half of the time. Needs a C++ compiler; for
the second part, clang++ with libFuzzer. Exits with 1 if anything was found. What libFuzzer finds is
left in the folder that --keep names, to go into firmware/tests/regressions.
"""

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import fuzzing
import host

BATCH = 500  # models per process of the engine


def compare(folder, seconds, seed):
    """Whether all models of so many seconds were answered alike."""
    program = folder / "engine_runner"
    host.build(program, ["tests/engine_runner.cc", *fuzzing.ENGINE])
    counts, found, end = Counter(), [], time.monotonic() + seconds
    for first in itertools.count(seed, BATCH):
        more, differences = fuzzing.differences(program, range(first, first + BATCH))
        counts, found = counts + more, found + differences
        for number, said in differences:
            print(f"  seed {number}: {said}", flush=True)
        if time.monotonic() > end:
            break
    print(
        f"compared with TFLM: {counts['models']:,} models (seeds {seed} to {first + BATCH - 1}), "
        f"{counts['accepted']:,} accepted, of these {counts['whole']:,} whole flatbuffers, "
        f"{len(found):,} differences"
    )
    return not found


def fuzz(folder, seconds, seed):
    """Whether libFuzzer found nothing in so many seconds, or is not here."""
    program, corpus = folder / "fuzz_engine", folder / "corpus"
    if problem := fuzzing.build(program):
        print(problem)
        return True
    fuzzing.write_corpus(corpus)
    limits = [f"-max_total_time={seconds}", f"-seed={seed + 1}", f"-max_len={fuzzing.LONGEST}"]
    result = fuzzing.fuzz(program, *limits, "-timeout=10", "-print_final_stats=1", corpus)
    if result.returncode != 0:
        print(result.stderr[-4000:])
    print(f"libFuzzer: {fuzzing.executions(result):,} executions, exit code {result.returncode}")
    return result.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="a folder that stays")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        half = options.seconds // 2
        good = [part(folder, half, options.seed) for part in (compare, fuzz)]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
