import os
import shutil
import subprocess
import sys
from datetime import datetime

import pytest
from click.testing import CliRunner

from workshop_utils import files, paths
from workshop_utils.cli import main
from workshop_utils.errors import WorkshopError
from workshop_utils.running import reset

CAME = {"01_a.ipynb": b"first\r\n", "02_b.ipynb": b"second"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two notebooks, changed by an attendee, and some results."""
    root = tmp_path / "a project"
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", root / "notebooks")
    monkeypatch.setenv("WORKSHOP_HOME", str(root))
    monkeypatch.setattr(sys, "prefix", str(root / ".venv"))
    (root / "notebooks").mkdir(parents=True)
    for name, content in CAME.items():
        (root / "notebooks" / name).write_bytes(content)
    return root


def set_up(root):
    shutil.copytree(root / "notebooks", root / ".venv" / "pristine")


def commit(root):
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for arguments in (
        ["init", "-q"],
        ["add", "notebooks"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "as it came"],
    ):
        subprocess.run(["git", "-c", "core.autocrlf=false", *arguments], cwd=root, check=True)


def change(root):
    (root / "notebooks" / "01_a.ipynb").write_bytes(b"mine")
    (root / "notebooks" / "Untitled.ipynb").write_bytes(b"mine too")
    files.write(root / "models" / "model.keras", b"trained")
    files.write(root / "models" / "deep" / "x", b"x")
    files.write(root / "models" / "mine.tflite", b"m")
    files.write(root / "firmware" / "model" / "model.cc", b"code")


def content(root):
    """All files but git's, set-up's and the copies: {path: bytes}."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name != ".run.lock")
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in found
        if path.relative_to(root).parts[0] not in (".git", ".venv", "backup")
    }


AFTER = {f"notebooks/{name}": content for name, content in CAME.items()}
AFTER |= {
    "notebooks/Untitled.ipynb": b"mine too",
    "models/deep/x": b"x",
    "models/mine.tflite": b"m",
}


@pytest.mark.parametrize("origin", [set_up, commit])
def test_back_to_the_start_with_a_copy_of_what_was_there(project, origin):
    origin(project)
    change(project)
    before = content(project)
    result = CliRunner().invoke(main, ["reset"])
    assert result.exit_code == 0, result.stderr
    assert content(project) == AFTER
    (backup,) = (project / "backup").iterdir()
    kept = {name: content for name, content in before.items() if AFTER.get(name) != content}
    assert content(backup) == kept
    assert "put back       notebooks/01_a.ipynb" in result.stdout
    assert "removed        models/model.keras" in result.stdout
    assert f"is in backup/{backup.name}" in result.stdout
    again = CliRunner().invoke(main, ["reset"])
    assert (
        again.stdout.startswith("Nothing to put back") and len(list(backup.parent.iterdir())) == 1
    )


def test_git_knows_better_than_set_up(project):
    commit(project)
    (project / ".venv" / "pristine").mkdir(parents=True)
    (project / ".venv" / "pristine" / "01_a.ipynb").write_bytes(b"of an old version")
    assert reset.plan().restored == {}


def test_a_repository_around_the_project_is_not_its_own(project):
    set_up(project)
    if shutil.which("git"):
        subprocess.run(["git", "init", "-q"], cwd=project.parent, check=True)
    change(project)
    assert list(reset.plan().restored) == [project / "notebooks" / "01_a.ipynb"]


def test_a_notebook_that_was_deleted_comes_back(project):
    set_up(project)
    (project / "notebooks" / "02_b.ipynb").unlink()
    assert reset.carry_out(reset.plan()) is None, "There was nothing to keep."
    assert (project / "notebooks" / "02_b.ipynb").read_bytes() == b"second"


def test_dry_run_changes_nothing(project):
    set_up(project)
    change(project)
    before = content(project)
    result = CliRunner().invoke(main, ["reset", "--dry-run"])
    assert result.exit_code == 0 and content(project) == before
    assert not (project / "backup").exists()
    assert "would put back notebooks/01_a.ipynb" in result.stdout
    assert "would remove   firmware/model/model.cc" in result.stdout


def test_nobody_knows_how_they_were(project):
    with pytest.raises(WorkshopError, match="get a fresh copy of the project"):
        reset.plan()


def test_two_in_the_same_second(project):
    set_up(project)
    now = datetime(2026, 3, 1, 14, 5, 9)
    names = []
    for _ in range(3):
        change(project)
        names.append(reset.carry_out(reset.plan(), now).name)
    assert names == ["2026-03-01_14-05-09", "2026-03-01_14-05-09_2", "2026-03-01_14-05-09_3"]


def lost(root, before):
    """What is neither at its place nor in a finished copy."""
    copies = (
        [content(p) for p in (root / "backup").glob("2*")] if (root / "backup").exists() else []
    )
    return [
        name
        for name, old in before.items()
        if content(root).get(name) != old and not any(copy.get(name) == old for copy in copies)
    ]


def test_killed_at_any_step_it_loses_nothing_and_the_next_one_finishes(project, monkeypatch):
    """Every call that changes a file ends the reset once; nothing may clean up after it."""
    set_up(project)

    class Killed(BaseException):
        pass

    steps = 0
    for stop in range(1, 100):
        change(project)
        before, count = content(project), 0

        def counted(real, stop=stop):
            def call(*arguments, **named):
                nonlocal count
                count += 1
                if count == stop:
                    raise Killed
                return real(*arguments, **named)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(shutil, "copy2", counted(shutil.copy2))
            patch.setattr(os, "rename", counted(os.rename))
            patch.setattr(files, "write", counted(files.write))
            patch.setattr(type(project), "unlink", counted(type(project).unlink))
            patch.setattr(type(project), "rename", counted(type(project).rename))
            try:
                reset.carry_out(reset.plan())
            except Killed:
                steps += 1
        assert lost(project, before) == [], f"after step {stop}"
        reset.carry_out(reset.plan())
        assert content(project) == AFTER
        shutil.rmtree(project / "backup")
        if count < stop:
            break
    assert steps >= 8
    assert not list(project.rglob(".unfinished-*"))


def test_a_copy_that_cannot_be_made_changes_nothing(project):
    set_up(project)
    change(project)
    (project / "backup").write_text("a file where a folder should be")
    before = content(project)
    result = CliRunner().invoke(main, ["reset"])
    assert result.exit_code == 1 and "nothing was changed" in result.stderr
    assert content(project) == before
