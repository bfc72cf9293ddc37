"""Back to the start: the notebooks as they came, no artifacts, and a copy of what was there.

The notebooks come out of git where the project is a clone, as of the last commit; else out of the
copy that install.sh made when it set the course up.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import catchup

PRISTINE = "pristine"  # folder in .venv
_UNFINISHED = ".unfinished-"


@dataclass(frozen=True)
class Plan:
    """What a reset does. restored: {path: bytes}. removed: paths. home: whose results these are."""

    restored: dict[Path, bytes]
    removed: list[Path]
    home: Home

    @property
    def kept(self) -> list[Path]:
        """All that gets a copy."""
        return [path for path in self.restored if path.is_file()] + self.removed


def plan(home: Home | None = None) -> Plan:
    """Compare what is there with what came. Returns a Plan; changes nothing.

    home: whose results are to go; None takes WORKSHOP_HOME. What the course has not made stays as
    it is, notebooks and models too. A project of one's own loses its results, and the course's
    notebooks stay. Raises WorkshopError if nobody knows how the notebooks were.
    """
    home = home or paths.home()
    restored = {
        path: content
        for path, content in ({} if home.own_notebook else pristine()).items()
        if not path.is_file() or path.read_bytes() != content
    }
    removed = [path for path in catchup.artifacts(home=home) if path.is_file()]
    return Plan(restored, removed, home)


def pristine() -> dict[Path, bytes]:
    """The notebooks as they came: {path: bytes}. Raises WorkshopError if that is not known."""
    paths.require_course(paths.NOTEBOOKS_DIR)
    found = _from_git() or _from_set_up()
    if not found:
        raise WorkshopError(
            "Nobody knows how the notebooks were: this is no git clone, and set-up has kept no "
            "copy of them; get a fresh copy of the project."
        )
    return found


def _from_git() -> dict[Path, bytes]:
    names = _git("ls-tree", "--name-only", "HEAD", f"{paths.NOTEBOOKS_DIR.name}/")
    found = {}
    for name in (names or b"").decode("utf-8", "replace").splitlines():
        content = _git("cat-file", "blob", f"HEAD:./{name}") if name.endswith(".ipynb") else None
        if content is not None:
            found[paths.NOTEBOOKS_DIR.parent / name] = content
    return found


def _git(*arguments: str) -> bytes | None:
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


def _from_set_up() -> dict[Path, bytes]:
    folder = Path(sys.prefix) / PRISTINE
    return {paths.NOTEBOOKS_DIR / path.name: path.read_bytes() for path in folder.glob("*.ipynb")}


def carry_out(what: Plan, now: datetime | None = None) -> Path | None:
    """Do what `plan` returned. Returns the folder with the copies; None if there was nothing.

    now: a datetime, for the folder's name. All copies are complete before anything else changes,
    and each file is replaced in one step, so whoever is killed in the middle loses nothing.
    Raises WorkshopError if something cannot be written, or if the course runs meanwhile.
    """
    with files.artifacts_locked(what.home):
        backup = keep(what.kept, now, what.home) if what.kept else None
        for path, content in what.restored.items():
            files.write(path, content)
        for path in what.removed:
            with files.os_errors_as(f"Cannot remove {what.home.display_path(path)}"):
                path.unlink(missing_ok=True)
    return backup


def keep(wanted: Iterable[Path], now: datetime | None = None, home: Home | None = None) -> Path:
    """Copy files to backup/DATE_TIME/ of the home, all of them or none. Returns that folder."""
    home = home or paths.home()
    root = home.path / "backup"
    name = (now or datetime.now()).strftime("%Y-%m-%d_%H-%M-%S")
    failed = f"Cannot keep a copy in {home.display_path(root)}"
    with files.os_errors_as(failed, then="; nothing was changed"):
        root.mkdir(parents=True, exist_ok=True)
        for leftover in root.glob(f"{_UNFINISHED}*"):  # of one that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(dir=root, prefix=_UNFINISHED))
        draft.chmod(0o755)
        for path in wanted:
            copy = draft / _place(path, home)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
        folder, number = root / name, 1
        while folder.exists():
            number += 1
            folder = root / f"{name}_{number}"
        return draft.rename(folder)


def _place(path: Path, home: Home) -> Path:
    """Where in a backup a file goes: as in the project, or as in WORKSHOP_HOME."""
    for root in (paths.NOTEBOOKS_DIR.parent, home.path):
        if path.is_relative_to(root):
            return path.relative_to(root)
    return Path(path.name)


def text(what: Plan, backup: Path | None = None, done: bool = True) -> str:
    """The plan as lines for a terminal, as done or as what would be done."""
    if not (what.restored or what.removed) and what.home.own_notebook:
        return "Nothing to remove: this project has no results."
    if not (what.restored or what.removed):
        return "Nothing to put back: the notebooks are as they came, and there are no results."
    restore, remove = ("put back", "removed") if done else ("would put back", "would remove")
    lines = [f"{restore:<15}{_place(path, what.home).as_posix()}" for path in what.restored]
    lines += [f"{remove:<15}{what.home.display_path(path)}" for path in what.removed]
    if backup:
        lines.append(f"A copy of what was there is in {what.home.display_path(backup)}")
    if done and what.restored:
        lines.append("If a notebook is open in JupyterLab: File -> Reload Notebook from Disk.")
    return "\n".join(lines)
