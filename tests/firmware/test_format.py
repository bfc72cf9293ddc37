"""All C++ of the firmware is as clang-format and firmware/.clang-format want it."""

import subprocess
from pathlib import Path

import clang_format

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"


def test_clang_format_has_nothing_to_say():
    sources = [
        path
        for path in [*FIRMWARE.rglob("*.cc"), *FIRMWARE.rglob("*.h")]
        # Not what is generated: builds, and the model as source.
        if path.relative_to(FIRMWARE).parts[0] != "build" and path.name != "model.cc"
    ]
    assert len(sources) > 30
    program = clang_format.get_executable("clang-format")
    command = [program, "--dry-run", "--Werror", *sources]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:4000]
