"""How many attendees a machine holds: the same notebook in many kernels at the same time.

    .venv/bin/python benchmarks/kernels.py --kernels 8

Runs notebook 04 once alone, then in so many kernels at once, each with a folder of its own, and
prints time and peak memory of each kernel (Linux only: memory is read from /proc). Memory is the
proportional set size: what kernels share is counted once among them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GIBIBYTE = 2**30
SERVER = 0.15  # GiB, a JupyterLab without kernels
WAIT_SECONDS = 60  # seconds that attendees wait, if all of them run the notebook at once


def start(home):
    """Begin notebook 04 with its artifacts in `home`."""
    return subprocess.Popen(
        [sys.executable, "-m", "workshop_utils.cli", "run", "--only", "04"],
        env={**os.environ, "WORKSHOP_HOME": str(home)},
        stdout=subprocess.DEVNULL,
    )


def kernel_memory(process):
    """Bytes of the kernel that a run has started; 0 before and after."""
    try:
        tasks = Path(f"/proc/{process.pid}/task")
        children = [n for task in tasks.iterdir() for n in (task / "children").read_text().split()]
        lines = Path(f"/proc/{children[0]}/smaps_rollup").read_text().splitlines()
    except (OSError, IndexError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def together(homes):
    """Run the notebook in all homes at once. Returns a list of (seconds, peak bytes, ok)."""
    started = time.monotonic()
    runs = [start(home) for home in homes]
    seconds, peaks = [0.0] * len(runs), [0] * len(runs)
    while any(run.poll() is None for run in runs):
        for number, run in enumerate(runs):
            peaks[number] = max(peaks[number], kernel_memory(run))
            if run.returncode is None:
                seconds[number] = time.monotonic() - started
        time.sleep(0.2)
    return [
        (s, peak, run.returncode == 0) for s, peak, run in zip(seconds, peaks, runs, strict=True)
    ]


def main():
    """Print both runs and what follows for a host."""
    from workshop_utils.running import notebooks

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kernels", type=int, default=8)
    options = parser.parse_args()
    from workshop_utils import data

    defaults = notebooks.parameters(notebooks.notebooks()["02"])
    dataset = data.split(*data.make(**{name.lower(): value for name, value in defaults.items()}))
    with tempfile.TemporaryDirectory() as folder:
        homes = [Path(folder, str(number)) for number in range(options.kernels)]
        for home in homes:
            data.save(dataset, home / "models" / "dataset.npz")
        (alone,) = together(homes[:1])
        results = together(homes)
    print(f"alone: {alone[0]:.1f} s, {alone[1] / 1e6:.0f} MB")
    for number, (seconds, peak, ok) in enumerate(results, 1):
        print(f"kernel {number}: {seconds:.1f} s, {peak / 1e6:.0f} MB, {'ok' if ok else 'FAILED'}")
    slowest = max(seconds for seconds, _, _ in results)
    memory = max(alone[1], *(peak for _, peak, _ in results)) / GIBIBYTE
    succeeded = sum(ok for *_, ok in results)
    cores = os.cpu_count()
    work = slowest * cores / len(results)
    print(
        f"{succeeded} of {len(results)} succeeded on {cores} cores; the slowest "
        f"took {slowest / alone[0]:.1f} times as long as one alone.\n"
        f"A kernel takes {memory:.2f} GiB, so M GiB hold (M - 1) / {memory + SERVER:.2f} "
        f"attendees, with {SERVER} GiB for the server of each and 1 GiB for the system.\n"
        f"A run takes {work:.0f} seconds of a core, papermill and its page included, so N cores "
        f"serve {WAIT_SECONDS / work:.1f} N attendees who all start it in the same moment and wait "
        f"{WAIT_SECONDS} seconds at most."
    )
    return 0 if all(ok for *_, ok in results) else 1


if __name__ == "__main__":
    sys.exit(main())
