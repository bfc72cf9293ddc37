"""Whether a notebook has to be run again: what `workshop run --resume` asks.

A notebook's executed copy carries a key, a hash of everything that its results depend on, and the
hashes of the artifacts that it made. If both are what they were, running it again changes nothing.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from workshop_utils import files, paths
from workshop_utils.paths import Home
from workshop_utils.running.notebooks import needed, parameters


def environment() -> str:
    """A hash of what all notebooks depend on: the course's files and what is installed.

    These are the package with all that comes in it, the firmware, and the notebooks' data, but not
    what Python and the firmware's builds make there.
    """
    own = Home(paths.PROJECT)
    made = (own.firmware_build_dir, own.firmware_images_dir, own.firmware_model)
    folders = (paths.PROJECT / "workshop_utils", paths.FIRMWARE_DIR, paths.NOTEBOOKS_DIR / "data")
    content = {
        str(file.relative_to(folder.parent)): _hash(file.read_bytes())
        for folder in folders
        for file in sorted(folder.rglob("*"))
        if file.is_file()
        and "__pycache__" not in file.parts
        and not any(file.is_relative_to(path) for path in made)
    }
    # A package and its version are what such a folder is called. To read all of them takes longer.
    installed: set[str] = set()
    for folder in sys.path:
        with suppress(OSError):  # a folder that is not for us
            installed |= {one.name for one in Path(folder).glob("*.*-info")}
    return _hash(content, sys.version, sorted(installed))


def key(notebook: Path, values: dict[str, Any], environment: str, home: Home | None = None) -> str:
    """A hash of everything that a notebook's results depend on.

    notebook: path. values: {name: value}, the parameters given to it. environment: from the
    function of that name. What the notebooks that it needs have made belongs to it, as it is now,
    and so do files that parameters name.
    """
    cells = files.read_notebook(notebook)["cells"]
    content = [(cell["cell_type"], cell["source"], cell["metadata"]) for cell in cells]
    makers = [
        paths.NOTEBOOKS_DIR / f"{maker}.ipynb" for maker in (home or paths.home()).made_by.values()
    ]
    earlier = {one.stem for one in needed(notebook, makers)}
    given = _artifacts(home, earlier.__contains__)
    named = {
        name: _named(notebook, value) for name, value in (parameters(notebook) | values).items()
    }
    return _hash(content, values, environment, given, named)


def _named(notebook: Path, value: Any) -> str | None:
    """A hash of the file that a parameter's value names, seen from the notebook, if it does."""
    with suppress(OSError, ValueError):  # a text that is no name of a file
        path = notebook.parent / value if isinstance(value, str) else None
        return _hash(path.read_bytes()) if path and path.is_file() else None
    return None


def stamp(copy: Path, notebook: Path, key: str, home: Home | None = None) -> None:
    """Note in a notebook's executed copy the key with which it ran, and what it made."""
    content = files.read_notebook(copy)
    content["metadata"]["workshop"] = {"key": key, "made": _made_by(notebook, home)}
    files.write(copy, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def is_up_to_date(copy: Path, notebook: Path, key: str, home: Home | None = None) -> bool:
    """Whether `copy` was executed with this key, and what it made is still there, unchanged."""
    try:
        noted = files.read_notebook(copy)["metadata"]["workshop"]
    except (OSError, ValueError, KeyError):
        return False
    return bool(noted == {"key": key, "made": _made_by(notebook, home)})


def _made_by(notebook: Path, home: Home | None) -> dict[str, str | None]:
    return _artifacts(home, lambda maker: maker == notebook.stem)


def _artifacts(home: Home | None, wanted: Callable[[str], bool]) -> dict[str, str | None]:
    """{path: hash} of the artifacts whose notebook is wanted; None for one that is missing."""
    home = home or paths.home()
    return {
        home.display_path(path): _hash(path.read_bytes()) if path.is_file() else None
        for path, maker in home.made_by.items()
        if wanted(maker)
    }


def _hash(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
    return digest.hexdigest()
