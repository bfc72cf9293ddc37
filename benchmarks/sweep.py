"""What sweeps cost: one worker against two, against the notebooks, and a hundred runs.

    .venv/bin/python benchmarks/sweep.py

A run is the full path: train, convert, error on TFLM, size of the firmware, instructions on the
emulated chip. A rate leaves each worker's first run out, which imports TensorFlow and compiles the
firmware's own code; the time of the hundred runs has everything in it.
--kill-every 5 kills a worker after every fifth run and counts what that lost (nothing).
"""

import argparse
import collections
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from workshop_utils.paths import Home
from workshop_utils.running import course, notebooks
from workshop_utils.sweeps import execute, spec

SHORT = {"SEED": {"min": 1, "max": 16}}
HUNDRED = {"SEED": {"min": 1, "max": 10}, "NEURONS": [2, 3, 4, 5, 6, 8, 10, 12, 16, 24]}


def sweep_once(parameters, workers, kill_every=0):
    """Do a sweep in a folder that is then gone. Returns seconds, runs per second, rows, kills."""
    plan = spec.plan({"mode": "grid", "parameters": parameters})
    ends, kills = [], 0

    def say(line):
        nonlocal kills
        if line.startswith("["):
            ends.append(time.perf_counter())
            if kill_every and len(ends) % kill_every == 0:
                kills += kill_a_worker()
        print(f"  {line}", file=sys.stderr)

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        execute.execute(plan, Path(folder, "sweep"), workers, say=say)
        seconds = time.perf_counter() - started
        _, rows = execute.read(Path(folder, "sweep"))
    rate = (len(ends) - workers) / (ends[-1] - ends[workers - 1])
    return seconds, rate, rows, kills


def kill_a_worker():
    """Kill the worker process with the lowest id, without warning. Returns how many: 0 or 1."""
    import psutil

    for process in sorted(psutil.Process().children(recursive=True), key=lambda one: one.pid):
        if "spawn_main" in " ".join(process.cmdline()):
            os.kill(process.pid, signal.SIGKILL)
            return 1
    return 0


def notebooks_seconds():
    """The notebooks that a run of a sweep stands for, headless."""
    every = notebooks.notebooks()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        wanted = [every[number] for number in ("02", "04", "05", "06")]
        course.run(wanted, {}, home=Home(Path(folder)))
        return time.perf_counter() - started


def main():
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kill-every", type=int, default=0, metavar="N", help="only this")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"load before: {load}; {os.cpu_count()} cores", flush=True)
    if options.kill_every:
        _, _, rows, kills = sweep_once(SHORT, options.workers, options.kill_every)
        counts = collections.Counter(row["run"] for row in rows)
        print(
            f"{kills} workers killed; of 16 runs {16 - len(counts)} were lost, "
            f"{sum(count > 1 for count in counts.values())} doubled, "
            f"{sum(row['status'] != 'ok' for row in rows)} failed; "
            f"{sum(int(row['attempts']) > 1 for row in rows)} were tried again"
        )
        return
    _, one, _, _ = sweep_once(SHORT, 1)
    _, several, _, _ = sweep_once(SHORT, options.workers)
    print(f"one worker    {60 * one:6.1f} runs per minute, {1 / one:.1f} s per run")
    times = several / one
    print(f"{options.workers} workers     {60 * several:6.1f} runs per minute: {times:.2f} times")
    whole = notebooks_seconds()
    share = 1 / one / whole
    print(f"notebooks 02, 04, 05, 06 headless: {whole:.1f} s; a run is {share:.2f} of it")
    seconds, _, rows, _ = sweep_once(HUNDRED, options.workers)
    good = sum(row["status"] == "ok" for row in rows)
    print(f"{len(rows)} runs on {options.workers} workers: {seconds:.0f} s, {good} ended well")


if __name__ == "__main__":
    sys.exit(main())
