"""Whether a notebook has to be run again: what `workshop run --resume` asks.

A notebook's executed copy carries a key, a hash of everything that its results depend on, and the
hashes of the artifacts that it made. If both are what they were, running it again changes nothing.
"""

import hashlib
import json
import sys
from importlib.metadata import distributions

from workshop_utils import files, paths


def environment():
    """A hash of what all notebooks depend on: the course's code and what is installed."""
    made = (paths.FIRMWARE_BUILD_DIR, paths.FIRMWARE_IMAGES_DIR, paths.FIRMWARE_MODEL)
    files = [*(paths.PROJECT / "workshop_utils").rglob("*.py"), *paths.FIRMWARE_DIR.rglob("*")]
    code = {
        str(file.relative_to(paths.PROJECT)): _hash(file.read_bytes())
        for file in files
        if file.is_file() and not any(file.is_relative_to(path) for path in made)
    }
    return _hash(code, sys.version, sorted(f"{one.name} {one.version}" for one in distributions()))


def key(notebook, values, environment):
    """A hash of everything that a notebook's results depend on.

    notebook: path. values: {name: value}, the parameters given to it. environment: from the
    function of that name. Artifacts that earlier notebooks make belong to it, as they are now.
    """
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    content = [(cell["cell_type"], cell["source"], cell["metadata"]) for cell in cells]
    return _hash(content, values, environment, _artifacts(lambda maker: maker < notebook.stem))


def stamp(copy, notebook, key):
    """Note in a notebook's executed copy the key with which it ran, and what it made."""
    content = json.loads(copy.read_text(encoding="utf-8"))
    content["metadata"]["workshop"] = {"key": key, "made": _made_by(notebook)}
    files.write(copy, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def is_up_to_date(copy, notebook, key):
    """Whether `copy` was executed with this key, and what it made is still there, unchanged."""
    try:
        noted = json.loads(copy.read_text(encoding="utf-8"))["metadata"]["workshop"]
    except (OSError, ValueError, KeyError):
        return False
    return noted == {"key": key, "made": _made_by(notebook)}


def _made_by(notebook):
    return _artifacts(lambda maker: maker == notebook.stem)


def _artifacts(wanted):
    """{path: hash} of the artifacts whose notebook is wanted; None for one that is missing."""
    return {
        paths.shown(path): _hash(path.read_bytes()) if path.is_file() else None
        for path, maker in paths.MADE_BY.items()
        if wanted(maker)
    }


def _hash(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else json.dumps(part).encode())
    return digest.hexdigest()
