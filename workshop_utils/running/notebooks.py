"""The course's notebooks as files: which there are, their parameters, their tagged cells."""

import ast
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workshop_utils import paths
from workshop_utils.errors import WorkshopError


def notebooks() -> dict[str, Path]:
    """The notebooks of the course in order: {'01': path, '02': path, ...}.

    Raises WorkshopError if the package is installed without them.
    """
    paths.require_course(paths.NOTEBOOKS_DIR)
    return {path.name[:2]: path for path in sorted(paths.NOTEBOOKS_DIR.glob("[0-9][0-9]_*.ipynb"))}


def select(
    first: str | None = None, only: str | None = None, last: str | None = None
) -> list[Path]:
    """The notebooks to run: from number `first` to number `last`, or the one with number `only`.

    Numbers are text such as '03' or '3'; None leaves that end open. Raises WorkshopError for a
    number that does not exist, and if there is nothing to run.
    """
    every = notebooks()
    for number in (first, only, last):
        if number is not None and number.zfill(2) not in every:
            raise WorkshopError(f"There is no notebook {number}; choose one of {', '.join(every)}.")
    start = (only or first or min(every)).zfill(2)
    end = (only or last or max(every)).zfill(2)
    if start > end:
        raise WorkshopError(f"There is nothing to run: notebook {start} comes after {end}.")
    return [path for number, path in every.items() if start <= number <= end]


def read(path: Path) -> dict[str, Any]:
    """A notebook as it stands in its file, without nbformat, which takes its time to import.

    Raises OSError and ValueError if there is none.
    """
    content: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
    return content


def source(cell: Mapping[str, Any]) -> str:
    """The text of a cell."""
    return "".join(cell["source"])


def tagged_source(notebook: Path, tag: str) -> list[str]:
    """The source of a notebook's cells that carry `tag`."""
    return [source(c) for c in read(notebook)["cells"] if tag in c["metadata"].get("tags", [])]


def parameters(notebook: Path) -> dict[str, Any]:
    """The names and default values in a notebook's cell tagged 'parameters'."""
    values = {}
    for node in ast.parse("\n".join(tagged_source(notebook, "parameters"))).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = ast.literal_eval(node.value)
    return values


def check_parameters(chosen: Mapping[str, Any], selected: Iterable[Path]) -> dict[str, Any]:
    """Turn chosen parameters into values of the right type.

    chosen: {name: value or text}. selected: paths of the notebooks that will run.
    Returns {name: value}. Raises WorkshopError for a name that none of these notebooks has, and
    for a value whose type is not that of the default.
    """
    known = {name: value for path in selected for name, value in parameters(path).items()}
    for name in chosen:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise WorkshopError(f"There is no parameter {name}; these notebooks have: {names}.")
    return {name: typed(name, given, known[name]) for name, given in chosen.items()}


def typed(name: str, given: Any, default: Any, bools: str = "True or False") -> Any:
    """`given` in the type of the parameter's default; a text is read as Python's literal.

    bools: how whoever wrote `given` writes the two. Raises WorkshopError, naming the parameter, if
    it is of another type. An integer is a number, too.
    """
    wanted, value = type(default), given
    if isinstance(given, str) and wanted is not str:
        # Otherwise it stays a text, and is refused as one.
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            value = ast.literal_eval(given)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        kinds = {int: "a whole number", float: "a number", bool: bools}
        raise WorkshopError(f"{name} must be {kinds.get(wanted, wanted.__name__)}, not {given!r}.")
    return value
