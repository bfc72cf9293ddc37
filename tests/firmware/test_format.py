"""clang-format and firmware/.clang-format agree with all C++, of the firmware and of benchmarks."""

import subprocess
from pathlib import Path

import clang_format

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
PEERS = FIRMWARE.parent / "benchmarks" / "peers"


def test_clang_format_has_nothing_to_say():
    sources = [
        path
        for path in [*FIRMWARE.rglob("*.cc"), *FIRMWARE.rglob("*.h")]
        # Not what is generated: builds, and the model as source.
        if path.relative_to(FIRMWARE).parts[0] != "build" and path.name != "model.cc"
    ]
    sources += PEERS.rglob("*.cc")
    assert len(sources) > 30
    program = clang_format.get_executable("clang-format")
    style = f"--style=file:{FIRMWARE / '.clang-format'}"
    command = [program, style, "--dry-run", "--Werror", *sources]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:4000]
