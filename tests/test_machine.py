"""What the course runs on: asked of the system, and of the project's own files."""

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version

import pytest

from workshop_utils import machine


def test_the_computer_is_described_without_names():
    found = machine.describe()
    assert set(found) == {
        *("system", "architecture", "processor", "cpus", "memory_bytes", "python"),
    }
    assert found["system"].startswith(platform.system()) and found["processor"]
    assert found["architecture"] == platform.machine()
    assert found["cpus"] == os.cpu_count() and found["python"] == platform.python_version()
    assert platform.node() not in " ".join(map(str, found.values())).split()


def test_memory_is_what_psutil_says_or_unknown(monkeypatch):
    psutil = pytest.importorskip("psutil")
    total, available = machine.memory()
    assert total == psutil.virtual_memory().total and 0 < available <= total
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert machine.memory() == (None, None) and machine.describe()["memory_bytes"] is None


def test_versions_are_those_of_the_packages():
    assert machine.installed("numpy") == version("numpy")
    assert machine.installed("no-such-package") is None
    versions = machine.versions()
    assert versions["numpy"] == version("numpy")
    assert set(versions) - {"commit"} == set(machine.pins())
    assert versions.get("commit") == machine.commit()


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.paths, "PROJECT", tmp_path)
    monkeypatch.setattr(machine, "commit", lambda: None)
    return tmp_path


def test_pins_are_those_whose_marker_is_of_this_machine(project):
    here, other = sys.platform, "win32" if sys.platform != "win32" else "linux"
    (project / "pyproject.toml").write_text(
        "[project]\n"
        "dependencies = [\n"
        "  'one==1.2.3',\n"
        f"  \"two==4.5 ; sys_platform == '{here}'\",\n"
        f"  \"two==4.6 ; sys_platform == '{other}'\",\n"
        f"  \"three==7 ; sys_platform == '{other}'\",\n"
        "]\n"
        "optional-dependencies.dev = ['four==8']\n"
    )
    assert machine.pins() == {"one": "1.2.3", "two": "4.5"}
    assert machine.versions() == {"one": None, "two": None}


def test_the_lock_has_a_version_per_package(project):
    (project / "requirements.lock").write_text(
        "# a remark==1\n"
        "one==1.2.3 \\\n"
        "    --hash=sha256:00 \\\n"
        "    --hash=sha256:11\n"
        "two==4.5 ; python_version < '3' \\\n"
        "    --hash=sha256:22\n"
        "three-four==7.post1 \\\n"
        "    --hash=sha256:33\n"
    )
    assert machine.locked() == {"one": "1.2.3", "three-four": "7.post1"}


def test_the_commit_comes_first_where_there_is_one(project, monkeypatch):
    monkeypatch.setattr(machine, "commit", lambda: "0123456789ab")
    assert machine.versions() == {"commit": "0123456789ab"}


@pytest.mark.skipif(not shutil.which("git"), reason="There is no git.")
def test_a_clone_has_a_commit_and_a_folder_inside_another_clone_has_none(tmp_path):
    def git(*arguments):
        options = ["-C", str(tmp_path), "-c", "user.name=A", "-c", "user.email=a@b.c"]
        done = subprocess.run(["git", *options, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    folder = tmp_path / "course"
    folder.mkdir()
    assert machine.commit(tmp_path) is None, "No clone at all."
    git("init", "-q")
    (folder / "file").write_text("one")
    git("add", ".")
    git("commit", "-q", "-m", "First")
    head = git("rev-parse", "HEAD")
    assert machine.commit(tmp_path) == head[:12]
    (folder / "file").write_text("two")
    assert machine.commit(tmp_path) == f"{head[:12]}-dirty"
    assert machine.commit(folder) is None


def test_without_the_projects_files_there_are_no_versions(project):
    assert machine.versions() == {}
    with pytest.raises(OSError):
        machine.pins()
