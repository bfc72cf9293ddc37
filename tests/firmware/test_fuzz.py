"""The fuzzing target finds nothing in a short run, and what it once found stays mended.

For a longer run, see the command at the head of firmware/tests/fuzz_engine.cc, or
  python tests/test_fuzz.py FOLDER
which builds the target and its corpus there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tflite_factory as factory

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
REGRESSIONS = sorted(path for path in (FIRMWARE / "tests" / "regressions").glob("*.bin"))
FLAGS = ["-std=c++17", "-g", "-O1", "-ffp-contract=off", "-fno-sanitize-recover=all"]
SOURCES = [
    FIRMWARE / "tests" / "fuzz_engine.cc",
    *sorted(FIRMWARE.glob("engine/*.cc")),
    *sorted(FIRMWARE.glob("engine/compact/*.cc")),
    *sorted(FIRMWARE.glob("engine/compact/kernels/fully_connected*.cc")),
]
LONGEST = 4096  # bytes of an input


def build(program):
    """Compile the target. Returns why that was not possible, or None."""
    clang = shutil.which("clang++")
    if clang is None:
        return "Fuzzing needs clang++, which is not here."
    command = [clang, *FLAGS, "-fsanitize=fuzzer,address,undefined", "-I", FIRMWARE, *SOURCES]
    result = subprocess.run([*command, "-o", program], capture_output=True, text=True)
    if result.returncode != 0 and re.search(r"fuzzer|unsupported|cannot find", result.stderr):
        return f"This clang++ has no libFuzzer: {result.stderr.splitlines()[0]}"
    assert result.returncode == 0, result.stderr
    return None


def write_corpus(folder):
    """The factory's smaller models, good and bad, each with the target's four control bytes."""
    folder.mkdir()
    bad = {name: tflite for name, (tflite, _) in factory.bad_models().items()}
    plain, odd = factory.odd_models()
    kinds = [factory.proof_models(), factory.float_models(), bad, odd, {"plain": plain}]
    for kind, models in enumerate(kinds):
        for number, tflite in enumerate(models.values()):
            if len(tflite) + 4 <= LONGEST:
                (folder / f"{kind}-{number}").write_bytes(tflite + bytes(4))


def fuzz(program, *arguments):
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [program, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=program.parent
    )


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    program = tmp_path_factory.mktemp("fuzz") / "fuzz_engine"
    problem = build(program)
    if problem:
        pytest.skip(problem)
    return program


def test_a_short_run_finds_nothing(target):
    corpus = target.parent / "corpus"
    write_corpus(corpus)
    limits = ["-runs=50000", "-max_total_time=15", "-seed=1", f"-max_len={LONGEST}"]
    result = fuzz(target, *limits, "-timeout=10", "-print_final_stats=1", corpus)
    assert result.returncode == 0, result.stderr[-4000:]
    runs = int(re.search(r"number_of_executed_units:\s*(\d+)", result.stderr)[1])
    assert runs > len(list(corpus.iterdir()))


def test_what_was_found_stays_mended(target):
    assert REGRESSIONS
    result = fuzz(target, *REGRESSIONS)
    assert result.returncode == 0, result.stderr[-4000:]


if __name__ == "__main__":
    place = Path(sys.argv[1]).resolve()
    place.mkdir(parents=True, exist_ok=True)
    sys.exit(build(place / "fuzz_engine") or write_corpus(place / "corpus"))
