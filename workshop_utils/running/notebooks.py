"""The course's notebooks as files: which there are, their parameters, their tagged cells."""

import ast
import json
from pathlib import Path

from workshop_utils import paths
from workshop_utils.errors import WorkshopError


def notebooks():
    """The notebooks of the course in order: {'01': path, '02': path, ...}."""
    return {path.name[:2]: path for path in sorted(paths.NOTEBOOKS_DIR.glob("[0-9][0-9]_*.ipynb"))}


def select(first=None, only=None, last=None):
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


def parameters(notebook):
    """The names and default values in a notebook's cell tagged 'parameters'."""
    source = "\n".join(tagged_source(notebook, "parameters"))
    assignments = (node for node in ast.parse(source).body if isinstance(node, ast.Assign))
    return {node.targets[0].id: ast.literal_eval(node.value) for node in assignments}


def check_parameters(chosen, selected):
    """Turn chosen parameters into values of the right type.

    chosen: {name: value or text}. selected: paths of the notebooks that will run.
    Returns {name: value}. Raises WorkshopError for a name that none of these notebooks has, and
    for a value whose type is not that of the default.
    """
    known = {name: value for path in selected for name, value in parameters(path).items()}
    values = {}
    for name, given in chosen.items():
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise WorkshopError(f"There is no parameter {name}; these notebooks have: {names}.")
        values[name] = _typed(name, given, type(known[name]))
    return values


def _typed(name, given, wanted):
    try:
        value = ast.literal_eval(given) if isinstance(given, str) and wanted is not str else given
    except (ValueError, SyntaxError):
        value = given
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        kind = {int: "a whole number", float: "a number", bool: "True or False"}
        raise WorkshopError(f"{name} must be {kind.get(wanted, wanted.__name__)}, not {given!r}.")
    return value


def tagged_source(notebook, tag):
    """The source of a notebook's code cells that carry `tag`, a list of strings.

    Benchmarks and tests run the notebook's own recipe with it, not a copy.
    """
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    tagged = (cell for cell in cells if tag in cell["metadata"].get("tags", []))
    return ["".join(cell["source"]) for cell in tagged]


def recipe(number, cells=None, **names):
    """Run the cells of a notebook that are tagged 'recipe'. Returns the names that are then known.

    number: such as '04'. cells: how many of them, from the first on; None runs all. names: what
    they need to know already.
    """
    notebook = notebooks()[number]
    for cell in tagged_source(notebook, "recipe")[:cells]:
        exec(compile(cell, str(notebook), "exec"), names)
    return names
