"""What sweeps cost: one worker against two, against the notebooks, and a hundred runs.

    .venv/bin/python benchmarks/sweep.py

A run is the full path: train, convert, error on TFLM, size of the firmware, instructions on the
emulated chip. A rate leaves each worker's first run out, which imports TensorFlow and compiles the
firmware's own code; the time of the hundred runs has everything in it.
--kill-every 5 kills a worker after every fifth run and counts what that lost (nothing).
--growth does sweeps of 500 to 50,000 runs that do nothing: what a run costs besides itself, the
memory of the process that hands them out, and how long --resume of them takes.
--cluster 1000 does that many real runs with a Dask scheduler and two workers in processes of their
own, kills one of them at a third and at two thirds, and starts another one each time.
"""

import argparse
import collections
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workshop_utils.paths import Home
from workshop_utils.running import course, notebooks
from workshop_utils.sweeps import execute, spec

SHORT = {"SEED": {"min": 1, "max": 16}}
GROWTH = (500, 5_000, 50_000)
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


def nothing(values):
    """A run that does nothing."""
    return {"test_error": 0.01, "flash": 9000, "files": {}}


def grow(count, workers):
    """Do `count` runs that do nothing. Returns ms per run, MB of this process, s of --resume."""
    plan = spec.plan(
        {"mode": "grid", "parameters": {"SEED": {"min": 1, "max": count}}}, confirmed=True
    )
    ends = []
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "sweep")
        execute.execute(
            plan, output, workers, say=lambda _: ends.append(time.perf_counter()), task=nothing
        )
        started = time.perf_counter()
        execute.execute(plan, output, workers, resume=True, say=lambda _: None, task=nothing)
        resumed = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        rows = execute.read_table(output / execute.TABLE)
    if [int(row["run"]) for row in rows] != list(range(1, count + 1)):
        raise RuntimeError("The table does not hold each run once.")
    return 1000 * (ends[-1] - ends[0]) / (count - 1), peak, resumed


def growth(options):
    """Each size in a process of its own, so that memory is its own, too."""
    print("   runs   ms per run   MB of the client   s to resume", flush=True)
    for count in GROWTH:
        command = [
            sys.executable,
            __file__,
            "--workers",
            str(options.workers),
            "--grow",
            str(count),
        ]
        subprocess.run(command, check=True)


@contextlib.contextmanager
def cluster(folder):
    """A scheduler in a process of its own: its address, and a function that starts a worker."""
    file = Path(folder, "scheduler.json")
    dask, started = Path(sys.executable).with_name("dask"), []

    def start(kind, *options):
        with Path(folder, "log").open("a") as log:
            command = [dask, kind, "--scheduler-file", file, "--no-dashboard", *options]
            started.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=log))
        return started[-1]

    start("scheduler", "--port", "0", "--host", "127.0.0.1")
    while not (file.exists() and file.read_text().endswith("}")):
        time.sleep(0.1)
    try:
        yield (
            json.loads(file.read_text())["address"],
            lambda: start("worker", "--nthreads", "1", "--no-nanny"),
        )
    finally:
        for process in started:
            process.kill()
            process.wait()


def on_a_cluster(count):
    """Real runs on two workers of a scheduler, one of them killed twice; prints what came of it."""
    parameters = {"SEED": {"min": 1, "max": count // 10}, "NEURONS": HUNDRED["NEURONS"]}
    plan = spec.plan({"mode": "grid", "parameters": parameters}, confirmed=True)
    kill_at, done = {count // 3, 2 * count // 3}, 0
    with tempfile.TemporaryDirectory() as folder, cluster(folder) as (address, worker):
        workers = [worker(), worker()]

        def say(line):
            nonlocal done
            done += line.startswith("[")
            if done in kill_at:
                kill_at.remove(done)
                workers.pop(0).kill()
                workers.append(worker())
            print(f"  {line}", file=sys.stderr)

        started = time.perf_counter()
        summary = execute.execute(
            plan, Path(folder, "sweep"), scheduler=address, say=say, keep="best"
        )
        seconds = time.perf_counter() - started
        _, rows = execute.read(Path(folder, "sweep"))
    counts = collections.Counter(row["run"] for row in rows)
    again = sum(int(row["attempts"]) > 1 for row in rows)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{time.strftime('%Y-%m-%d')}: {len(plan.runs)} runs on a scheduler's two workers, one of "
        f"them killed twice: {seconds / 60:.0f} min, {summary.ok} ended well, {summary.failed} "
        f"failed, {len(plan.runs) - len(counts)} lost, {len(rows) - len(counts)} doubled, {again} "
        f"tried again; {peak:.0f} MB of the client"
    )


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
    parser.add_argument("--growth", action="store_true", help="only this")
    parser.add_argument("--grow", type=int, metavar="RUNS", help="one line of it")
    parser.add_argument("--cluster", type=int, metavar="RUNS", help="only this")
    options = parser.parse_args()
    if options.grow:
        took, peak, resumed = grow(options.grow, options.workers)
        print(f"{options.grow:7,} {took:12.2f} {peak:18.0f} {resumed:13.1f}", flush=True)
        return
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"load before: {load}; {os.cpu_count()} cores", flush=True)
    if options.growth:
        growth(options)
        return
    if options.cluster:
        on_a_cluster(options.cluster)
        return
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
