"""A project of one's own for the data of a sensor: what `workshop new` makes.

It holds the notebook about one's own sensor, the data, a page that says how to go on, and the
marker that makes the folder the home of whoever works in it (`paths.home`). All else is the
package's.
"""

import ast
import json
import re
import shlex
import tempfile
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workshop_utils import files, measurements, paths, plain_c
from workshop_utils.errors import WorkshopError
from workshop_utils.measurements import Measurements
from workshop_utils.running.notebooks import source

README = "README.md"
PARAMETER = "CSV"
_MARK = "The course keeps what it makes here in this folder: see README.md.\n"
_TAKEN = (paths.OWN_NOTEBOOK, README, paths.MARKER, "models", "firmware", "output", "backup")

# A link that leads to a neighbour of the notebook, and code, in which nothing is a link.
_TARGET = r"\]\((?![a-zA-Z][\w+.-]*:|#)[^)]*\)"
_LINK_OR_CODE = re.compile(rf"(```[\s\S]*?```|`[^`\n]+`)|!?\[((?:`[^`\n]*`|[^\]`])*){_TARGET}")
_ONLY_LINKS = re.compile(rf"(?m)^(?:(?:\w+: )?\[[^\]]*{_TARGET}(?: \| )?)+$\n?")
_NUMBER = re.compile(r"\A# \d+ · ")
_NEEDS = re.compile(r"(?m)^(About \d+ minutes) · needs: .*$")


def make(folder: Path | str, data: Path | str | None = None) -> Measurements:
    """Make the folder with all that belongs into it, or nothing at all.

    folder: one that is not there yet or empty. data: path of the CSV file that the project is
    about, which keeps its name; None takes the thermistor's, which comes with the course. Returns
    what is in it.
    Raises WorkshopError if the data cannot be used or cannot keep its name, and if the folder
    cannot be made or has something in it.
    """
    paths.require_course(paths.NOTEBOOKS_DIR)
    data = Path(data if data is not None else paths.SENSOR_DATA)
    with files.os_errors_as(f"Cannot make {folder}"):
        _require_no_dead_link(Path(folder).absolute())
        whole = Path(folder).resolve()
        place = _place(whole)
    content = measurements.read(data)
    name = _name(data)
    with files.os_errors_as(f"Cannot read {data}"):
        texts = {name: data.read_bytes(), **_texts(name)}
    with files.os_errors_as(f"Cannot make {folder}"):
        _put_in_place(texts, whole, place)
    return content


def _require_no_dead_link(folder: Path) -> None:
    for path in (folder, *folder.parents):
        if path.is_symlink() and not path.exists():
            raise WorkshopError(
                f"{path} is a link to something that is not there: choose another folder."
            )


def _place(folder: Path) -> Path:
    """The folder if it is there, or else the nearest one above it that is.

    Raises WorkshopError if there is something else, or if the folder is not empty.
    """
    place = next(path for path in (folder, *folder.parents) if path.exists())
    if not place.is_dir():
        raise WorkshopError(f"{place} is a file: choose a folder that is not there yet.")
    if place == folder and any(place.iterdir()):
        raise WorkshopError(
            f"{place} is there already and not empty: choose a folder that is not there yet."
        )
    return place


def _name(data: Path) -> str:
    """The name that the data has in the folder. Raises WorkshopError if it cannot have it."""
    name = data.name
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in name):
        raise WorkshopError(
            f"The name {name!r} has a character that cannot stand in a notebook: rename the file."
        )
    if name.casefold() in [taken.casefold() for taken in _TAKEN]:
        raise WorkshopError(
            f"The data cannot be called {name} there, since the project has something of that "
            "name: rename the file."
        )
    return name


def _texts(name: str) -> dict[str, bytes]:
    """The files beside the data, {name: content}; name: of the data."""
    shown = f"./{name}" if name.startswith("-") else name  # or else it looks like an option
    readme = plain_c.render(
        f"own_sensor/{README}.j2",
        notebook=paths.OWN_NOTEBOOK,
        data=name,
        argument=shlex.quote(shown),
        python=paths.program("python"),
        workshop=paths.program("workshop"),
        marker=paths.MARKER,
    )
    texts = {paths.OWN_NOTEBOOK: notebook(name), README: readme, paths.MARKER: _MARK}
    # A path may have surrogates in place of letters that are no UTF-8.
    return {name: text.encode("utf-8", "surrogateescape") for name, text in texts.items()}


def notebook(data: str) -> str:
    """The course's notebook about one's own sensor, for a folder of its own: JSON.

    data: what its parameter CSV is to be. Its outputs are left out, and so are links to the
    notebook's neighbours; what they say stays.
    """
    content = files.read_notebook(paths.SENSOR_NOTEBOOK)
    cells = [cell for cell in content["cells"] if "injected-parameters" not in _tags(cell)]
    for cell in cells:
        text = source(cell)
        if cell["cell_type"] == "markdown":
            text = _without_neighbours(text)
        elif "parameters" in _tags(cell):
            text = _with_value(text, PARAMETER, data)
        cell["source"] = text.splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    first = _NEEDS.sub(r"\1", _NUMBER.sub("# ", source(cells[0])))
    cells[0]["source"] = first.splitlines(keepends=True)
    content["cells"] = cells
    for name in ("papermill", "widgets", "workshop"):  # what a run has left
        content["metadata"].pop(name, None)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _tags(cell: Mapping[str, Any]) -> list[str]:
    tags: list[str] = cell["metadata"].get("tags", [])
    return tags


def _without_neighbours(text: str) -> str:
    """Markdown without links to files: a line of nothing else goes, elsewhere the words stay."""
    text = _ONLY_LINKS.sub("", text).strip("\n")
    text = re.sub(r"\n{3,}(?![^`]*```\n)", "\n\n", text)
    return _LINK_OR_CODE.sub(lambda found: found[1] or found[2], text)


def _with_value(cell: str, name: str, value: str) -> str:
    """A cell's code with another text as the value of the parameter `name`."""
    for node in ast.parse(cell).body:
        match node:
            case ast.Assign([ast.Name(id)], ast.Constant() as former) if id == name:
                lines = cell.splitlines(keepends=True)
                line = lines[former.lineno - 1].encode()  # columns count bytes
                new = json.dumps(value, ensure_ascii=False).encode()
                line = line[: former.col_offset] + new + line[former.end_col_offset :]
                lines[former.lineno - 1] = line.decode()
                return "".join(lines)
    raise WorkshopError(
        f"{paths.SENSOR_NOTEBOOK.name} has no parameter {name} any more: workshop reset puts the "
        "course's notebooks back."
    )


def _put_in_place(contents: Mapping[str, bytes], folder: Path, place: Path) -> None:
    """Write the files of the folder, which lies in `place` or is it.

    All is written apart first. Then it takes its name in one step; in a folder that is there, it
    takes a step per file, and what has been done is undone if one of them fails.
    """
    with tempfile.TemporaryDirectory(dir=place, prefix=".workshop-new-") as temporary:
        top = Path(temporary) / "new"
        draft = top / folder.relative_to(place)
        draft.mkdir(parents=True)
        for name, content in contents.items():
            (draft / name).write_bytes(content)
        try:
            for path in top.iterdir():
                path.rename(place / path.name)
        except BaseException:
            if place == folder:
                for name in contents:
                    (folder / name).unlink(missing_ok=True)
            raise
