"""Back to the start: the notebooks as they came, no artifacts, and a copy of what was there.

The notebooks come out of git where the project is a clone, as of the last commit; else out of the
copy that install.sh made when it set the course up.
"""

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError

PRISTINE = "pristine"  # folder in .venv
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Plan:
    """What a reset does. restored: {path: bytes}. removed: paths. kept: all that gets a copy."""

    restored: dict
    removed: list

    @property
    def kept(self):
        return [path for path in self.restored if path.is_file()] + self.removed


def plan():
    """Compare what is there with what came. Returns a Plan; changes nothing.

    Notebooks that the course does not have stay as they are. Raises WorkshopError if nobody knows
    how the notebooks were.
    """
    restored = {
        path: content
        for path, content in pristine().items()
        if not path.is_file() or path.read_bytes() != content
    }
    folder = paths.MODELS_DIR
    removed = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    removed = [path for path in removed if not path.name.startswith(".")]  # such as a lock
    if paths.FIRMWARE_MODEL.is_file():
        removed.append(paths.FIRMWARE_MODEL)
    return Plan(restored, removed)


def pristine():
    """The notebooks as they came: {path: bytes}. Raises WorkshopError if that is not known."""
    found = _from_git() or _from_set_up()
    if not found:
        raise WorkshopError(
            "Nobody knows how the notebooks were: this is no git clone, and set-up has kept no "
            "copy of them; get a fresh copy of the project."
        )
    return found


def _from_git():
    names = _git("ls-tree", "--name-only", "HEAD", f"{paths.NOTEBOOKS_DIR.name}/")
    found = {}
    for name in (names or b"").decode("utf-8", "replace").splitlines():
        content = _git("cat-file", "blob", f"HEAD:./{name}") if name.endswith(".ipynb") else None
        if content is not None:
            found[paths.NOTEBOOKS_DIR.parent / name] = content
    return found


def _git(*arguments):
    """What git says, bytes; None if there is no git, or if this is no clone."""
    folder = paths.NOTEBOOKS_DIR.parent
    if not (folder / ".git").exists():  # a clone of something else may be around the project
        return None
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True
        )
    except OSError:
        return None
    return result.stdout if result.returncode == 0 else None


def _from_set_up():
    folder = Path(sys.prefix) / PRISTINE
    return {paths.NOTEBOOKS_DIR / path.name: path.read_bytes() for path in folder.glob("*.ipynb")}


def carry_out(what, now=None):
    """Do what `plan` returned. Returns the folder with the copies; None if there was nothing.

    now: a datetime, for the folder's name. All copies are complete before anything else changes,
    and each file is replaced in one step, so whoever is killed in the middle loses nothing.
    Raises WorkshopError if something cannot be written, or if the course runs meanwhile.
    """
    with files.artifacts_locked():
        backup = keep(what.kept, now) if what.kept else None
        for path, content in what.restored.items():
            files.write(path, content)
        for path in what.removed:
            _remove(path)
    return backup


def _remove(path):
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WorkshopError(f"Cannot remove {paths.shown(path)}: {error.strerror}.") from error


def keep(files, now=None):
    """Copy files to backup/DATE_TIME/, all of them or none. Returns that folder."""
    root = paths.HOME / "backup"
    name = (now or datetime.now()).strftime("%Y-%m-%d_%H-%M-%S")
    try:
        root.mkdir(parents=True, exist_ok=True)
        for leftover in root.glob(f"{_UNFINISHED}*"):  # of one that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(dir=root, prefix=_UNFINISHED))
        draft.chmod(0o755)
        for path in files:
            copy = draft / _place(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        folder, number = root / name, 1
        while folder.exists():
            number += 1
            folder = root / f"{name}_{number}"
        return draft.rename(folder)
    except OSError as error:
        raise WorkshopError(
            f"Cannot keep a copy in {paths.shown(root)}: {error.strerror}; nothing was changed."
        ) from error


def _place(path):
    """Where in a backup a file goes: as in the project, or as in WORKSHOP_HOME."""
    for root in (paths.NOTEBOOKS_DIR.parent, paths.HOME):
        if path.is_relative_to(root):
            return path.relative_to(root)
    return Path(path.name)


def text(what, backup=None, done=True):
    """The plan as lines for a terminal, as done or as what would be done."""
    if not (what.restored or what.removed):
        return "Nothing to put back: the notebooks are as they came, and there are no results."
    restore, remove = ("put back", "removed") if done else ("would put back", "would remove")
    lines = [f"{restore:<15}{_place(path).as_posix()}" for path in what.restored]
    lines += [f"{remove:<15}{paths.shown(path)}" for path in what.removed]
    if backup:
        lines.append(f"A copy of what was there is in {paths.shown(backup)}")
    if done and what.restored:
        lines.append("If a notebook is open in JupyterLab: File -> Reload Notebook from Disk.")
    return "\n".join(lines)
