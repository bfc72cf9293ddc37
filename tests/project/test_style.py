"""Ruff, and what importing the package may cost."""

import subprocess
import sys

import pytest

from workshop_utils import paths

MODULES = sorted(
    ".".join(path.relative_to(paths.PROJECT).with_suffix("").parts)
    for path in (paths.PROJECT / "workshop_utils").rglob("[a-z]*.py")
)


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff(command):
    result = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout


def imported_by(statement, folder):
    """The packages that Python has imported after a statement; it works in that folder."""
    code = f"{statement}; import sys; print(*sorted(sys.modules))"
    command = [sys.executable, "-B", "-c", code]
    printed = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    return {name.partition(".")[0] for name in printed.split()}


def test_importing_everything_pulls_in_no_tensorflow_and_writes_nothing(tmp_path):
    modules = imported_by("; ".join(f"import {name}" for name in MODULES), tmp_path)
    heavy = {"tensorflow", "keras", "ai_edge_litert", "tflite_micro", "papermill", "nbconvert"}
    assert "workshop_utils" in modules and not modules & heavy
    assert not list(tmp_path.iterdir())


def test_the_command_line_starts_without_the_numeric_libraries(tmp_path):
    modules = imported_by("import workshop_utils.cli", tmp_path)
    assert not modules & {"numpy", "pandas", "matplotlib"}
