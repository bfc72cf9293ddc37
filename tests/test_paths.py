import errno
import os
import stat
import subprocess
import sys

import pytest

from workshop_utils import files, paths
from workshop_utils.errors import MissingArtifact, WorkshopError


def test_workshop_home_moves_everything(tmp_path):
    code = "from workshop_utils import paths; print(paths.MODEL_TFLITE, paths.FIRMWARE_MODEL)"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "WORKSHOP_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    home = tmp_path.resolve()
    assert printed.split() == [f"{home}/models/model.tflite", f"{home}/firmware/model/model.cc"]


def test_every_artifact_has_a_notebook_that_makes_it():
    for path, notebook in paths.MADE_BY.items():
        assert (paths.NOTEBOOKS_DIR / f"{notebook}.ipynb").is_file(), path


def test_missing_artifact_names_notebook_and_command(monkeypatch, tmp_path):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    wanted = tmp_path / "model.keras"
    monkeypatch.setitem(paths.MADE_BY, wanted, "04_larger_model")
    with pytest.raises(MissingArtifact) as caught:
        paths.require(wanted)
    assert "04_larger_model.ipynb" in str(caught.value)
    assert str(caught.value).endswith(": .venv/bin/workshop catch-up 05")
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("session", "number"),
    [
        ("notebooks/06_microcontroller.ipynb", "06"),
        ("/a/05_course/notebooks/06_microcontroller.ipynb-0d0f3f", "06"),
        ("notebooks/02_dataset.ipynb", "05"),
        ("notebooks/Untitled.ipynb", "05"),
        ("", "05"),
    ],
)
def test_the_command_is_for_the_notebook_at_work(monkeypatch, tmp_path, session, number):
    monkeypatch.setitem(paths.MADE_BY, tmp_path / "model.keras", "04_larger_model")
    monkeypatch.setenv("JPY_SESSION_NAME", session)
    with pytest.raises(MissingArtifact, match=rf"catch-up {number}$"):
        paths.require(tmp_path / "model.keras")


def test_require_returns_the_path_of_a_file_that_is_there(tmp_path):
    there = files.write(tmp_path / "deep" / "file.txt", "text")
    assert paths.require(there) == there
    assert there.read_text() == "text"


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    target = files.write(tmp_path / "model.cc", b"old")
    with pytest.raises(RuntimeError), files.replacing(target) as temporary:
        temporary.write_bytes(b"half of the ne")
        raise RuntimeError("stopped in the middle")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.cc"]


def test_a_full_disk_is_one_sentence(tmp_path):
    target = files.write(tmp_path / "model.cc", b"old")
    sentence = pytest.raises(WorkshopError, match=r"Cannot write .*model\.cc: No space left")
    with sentence, files.replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(WorkshopError, match="Cannot write"):
        files.write(tmp_path / "models" / "model.cc", b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_written_files_can_be_read_by_others(tmp_path):
    mode = files.write(tmp_path / "file", b"").stat().st_mode
    assert stat.S_IMODE(mode) == 0o644


HOLD = """
import sys, time
from pathlib import Path
from workshop_utils import paths
with files.locked(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_held_by_one_and_dropped_by_a_killed_process(tmp_path):
    path = tmp_path / "folder" / ".lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WorkshopError, match=r"^Another is at work$"):
            files.locked(path, "Another is at work").__enter__()
    finally:
        other.kill()
        other.communicate()
    for _ in range(2):
        with files.locked(path, "Another is at work"):
            assert path.exists()


def test_a_lock_file_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkshopError, match=r"^Cannot write .*file.*: \w"):
        files.locked(tmp_path / "file" / ".lock", "busy").__enter__()
