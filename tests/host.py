"""Compile the firmware's parts for this computer, to test them here. For tests only."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from patience import HUNG

FIRMWARE = Path(__file__).resolve().parents[1] / "firmware"
FLAGS = ["-std=c++17", "-O1", "-g", "-fno-exceptions", "-fno-rtti", "-ffp-contract=off"]
FLAGS += ["-Wall", "-Wextra", "-Werror"]
SANITIZE = ["-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all"]


def build(program, sources, *flags):
    """Compile with the first compiler that can, and with sanitizers where it has them.

    program: path to write. It must exit with code 2 if it gets neither arguments nor stdin: that
    shows that it runs. sources: paths, absolute or from firmware/.
    """
    found = [[name] for name in ("c++", "g++", "clang++") if shutil.which(name)]
    zig = [sys.executable, "-m", "ziglang", "c++", "-nostdlib++"]  # there on every machine
    paths, failures = [FIRMWARE / source for source in sources], []
    for compiler in [*([*name, *SANITIZE] for name in found), *found, zig]:
        command = [*compiler, *FLAGS, *flags, "-I", FIRMWARE, *paths, "-o", program]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode == 0 and run(program).returncode == 2:
            return
        failures.append(result.stderr)
    pytest.fail(f"No compiler builds {program.stem}:\n" + "\n".join(failures))


def run(program, *arguments, stdin=b""):
    """The finished process, with its output as bytes. One that hangs fails the test."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [program, *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=HUNG)
