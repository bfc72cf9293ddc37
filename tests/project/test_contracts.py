"""Contracts of pyproject.toml: who may import whom, and types."""

import importlib.util
import subprocess
import sys

import pytest

from workshop_utils import paths


def mypy(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, arguments)],
        cwd=paths.PROJECT,
        capture_output=True,
        text=True,
    )


def needs(module):
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{module} is not installed; ./install.sh --test")


def lint_imports(folder, config=paths.PROJECT / "pyproject.toml"):
    """import-linter over the package that lies in `folder`."""
    code = (
        "import sys; from importlinter.cli import lint_imports; "
        f"sys.exit(lint_imports({str(config)!r}, no_cache=True))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )


@needs("importlinter")
def test_arrows_point_down_and_there_is_no_circle():
    result = lint_imports(paths.PROJECT)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 kept, 0 broken" in result.stdout


@needs("importlinter")
@pytest.mark.parametrize(
    ("module", "statement", "words"),
    [
        ("device/elf.py", "from workshop_utils import plots", "device is not allowed to import"),
        ("paths.py", "from workshop_utils import files", "No circle BROKEN"),
        ("newcomer.py", "", "newcomer"),
    ],
)
def test_a_wrong_arrow_is_noticed(tmp_path, module, statement, words):
    copy = tmp_path / "workshop_utils"
    for path in (paths.PROJECT / "workshop_utils").rglob("*.py"):
        target = copy / path.relative_to(paths.PROJECT / "workshop_utils")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    with (copy / module).open("a", encoding="utf-8") as file:
        file.write(f"\n{statement}\n")
    result = lint_imports(tmp_path)
    assert result.returncode == 1 and words in result.stdout, result.stdout + result.stderr


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """What mypy has found out about other packages, which takes it the longest."""
    return tmp_path_factory.mktemp("mypy")


@needs("mypy")
def test_types(cache):
    result = mypy("--cache-dir", cache)
    assert result.returncode == 0, result.stdout + result.stderr


@needs("mypy")
def test_a_wrong_type_is_noticed(cache, tmp_path):
    (tmp_path / "wrong.py").write_text(
        "from workshop_utils import exercises\n\n\ndef answer() -> int:\n"
        "    return exercises.network_bytes(420)\n"
    )
    result = mypy("--cache-dir", cache, tmp_path / "wrong.py")
    assert result.returncode == 1 and "Incompatible return value type" in result.stdout
