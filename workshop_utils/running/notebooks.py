"""The course's notebooks as files: which there are, their parameters, their tagged cells."""

import ast
import functools
import importlib
import re
import reprlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError


def notebooks() -> dict[str, Path]:
    """The notebooks of the course in order, deleted ones too: {'01': path, '02': path, ...}.

    Raises WorkshopError if the package is installed without them.
    """
    return {path.name[:2]: path for path in paths.notebooks()}


def select(
    first: str | None = None, only: str | None = None, last: str | None = None
) -> list[Path]:
    """The notebooks to run: from number `first` to number `last`, or the one with number `only`.

    Numbers are text such as '03' or '3'; None leaves that end open. In a project of one's own there
    is one notebook, without a number. Raises WorkshopError for a number that does not exist, and if
    there is nothing to run.
    """
    home = paths.home()
    if own := home.own_notebook:
        if first or only or last:
            raise WorkshopError(
                f"{home.path} is a project of its own with one notebook, {own.name}: leave out "
                "which one to run."
            )
        if not own.is_file():
            raise WorkshopError(f"{own.name} is missing in {home.path}: give it that name again.")
        return [own]
    every = notebooks()
    for number in (first, only, last):
        if number is not None and number.zfill(2) not in every:
            raise WorkshopError(f"There is no notebook {number}; choose one of {', '.join(every)}.")
    start = (only or first or min(every)).zfill(2)
    end = (only or last or max(every)).zfill(2)
    if start > end:
        raise WorkshopError(f"There is nothing to run: notebook {start} comes after {end}.")
    return [path for number, path in every.items() if start <= number <= end]


def source(cell: Mapping[str, Any]) -> str:
    """The text of a cell."""
    return "".join(cell["source"])


def tagged_source(notebook: Path, tag: str) -> list[str]:
    """The source of a notebook's cells that carry `tag`."""
    cells = files.read_notebook(notebook)["cells"]
    return [source(c) for c in cells if tag in c["metadata"].get("tags", [])]


def parameters(notebook: Path) -> dict[str, Any]:
    """The names and default values in a notebook's cell tagged 'parameters'.

    What is no literal there cannot be given another value, and is left out. Raises WorkshopError
    if the cell is no Python.
    """
    values = {}
    text = "\n".join(tagged_source(notebook, "parameters"))
    try:
        cell = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise WorkshopError(
            f"{notebook.name}: the cell with the parameters is no Python: {error}."
        ) from error
    for node in cell.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with suppress(ValueError, RecursionError):
                values[node.targets[0].id] = ast.literal_eval(node.value)
    return values


def check_parameters(chosen: Mapping[str, Any], selected: Iterable[Path]) -> dict[str, Any]:
    """Turn chosen parameters into values of the right type that their notebooks accept.

    chosen: {name: value or text}. selected: paths of the notebooks that will run.
    Returns {name: value}; where the default is the name of a file, a file that is there becomes its
    whole path, since notebooks run in folders of their own. Raises WorkshopError with a sentence
    for each parameter that none of these notebooks has, whose type is not that of the default, or
    that a notebook would refuse.
    """
    selected = list(selected)
    defaults = {path: parameters(path) for path in selected}
    known = {name: value for values in defaults.values() for name, value in values.items()}
    values, problems = {}, []
    for name, given in chosen.items():
        try:
            if name not in known:
                names = ", ".join(sorted(known)) or "none"
                raise WorkshopError(f"There is no parameter {name}; these notebooks have: {names}.")
            values[name] = _whole_path(typed(name, given, known[name]), known[name])
            for path in selected:
                if name in defaults[path]:
                    _accept(path, {**defaults[path], name: values[name]}, name)
        except WorkshopError as error:
            problems.append(str(error))
    if problems:
        raise WorkshopError(" ".join(problems))
    return values


def _whole_path(value: Any, default: Any) -> Any:
    """The value, or if it names a file as the parameter's default does, that file's whole path."""
    with suppress(OSError, ValueError):  # it cannot be the name of a file
        if isinstance(default, str) and Path(default).suffix and Path(value).expanduser().is_file():
            return str(Path(value).expanduser().absolute())
    return value


def statements(content: Mapping[str, Any]) -> list[ast.stmt]:
    """The statements of a notebook's code cells, but of those that are no Python.

    content: from `files.read_notebook`.
    """
    found = []
    for cell in content["cells"]:
        # A magic command, or a mistake that the run is going to show
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            found += ast.parse(source(cell)).body if cell["cell_type"] == "code" else []
    return found


def imports(notebook: Path) -> str:
    """The import statements in a notebook's cells, a line each."""
    nodes = statements(files.read_notebook(notebook))
    kinds = ast.Import | ast.ImportFrom
    return "\n".join(ast.unparse(node) for node in nodes if isinstance(node, kinds))


def imports_tensorflow(notebook: Path) -> bool:
    """Whether one of its cells imports TensorFlow or Keras."""
    return _imports(notebook, r"(import|from) (tensorflow|keras)\b")


def _imports(notebook: Path, pattern: str) -> bool:
    return bool(re.search(f"(?m)^{pattern}", imports(notebook)))


def needed(notebook: Path, others: Iterable[Path]) -> list[Path]:
    """Those of `others` whose files a notebook reads, as its heading says, or in turn one of those.

    A notebook whose heading does not say so, in the way of the course, needs all that come before.
    """
    others = list(others)
    found = [notebook]
    for one in found:  # which grows meanwhile
        numbers = _needs(one)
        found += [
            other
            for other in others
            if other not in found
            and other.name < one.name
            and (numbers is None or other.name[:2] in numbers)
        ]
    return [other for other in others if other in found[1:]]


def _needs(notebook: Path) -> list[str] | None:
    """The numbers after "needs:" in a notebook's heading; None if it says nothing so simple."""
    with suppress(WorkshopError, OSError):
        return _read_needs(notebook, notebook.stat().st_mtime_ns)
    return None


@functools.cache
def _read_needs(notebook: Path, changed: int) -> list[str] | None:
    cells = files.read_notebook(notebook)["cells"]
    words = re.search(r"(?m)^About \d+ minutes · needs: (.+)$", source(cells[0]) if cells else "")
    if words and re.fullmatch(r"nothing|.*; none of their files", words[1]):
        return []
    if words and re.fullmatch(r"notebooks? \d+((,| and) \d+)*", words[1]):
        return [number.zfill(2) for number in re.findall(r"\d+", words[1])]
    return None


def awaited(selected: Iterable[Path]) -> dict[Path, list[Path]]:
    """Which ones have to have ended before a notebook begins: {notebook: those, before it}.

    They are what it needs, and if it builds firmware those that do, too, since a home has one place
    for that.
    """
    selected = list(selected)
    building = [
        one for one in selected if _imports(one, r"from workshop_utils import .*\bfirmware\b")
    ]
    found = {}
    for number, one in enumerate(selected):
        needs = needed(one, selected[:number]) + (building if one in building else [])
        found[one] = [other for other in selected[:number] if other in needs]
    return found


def _accept(notebook: Path, values: Mapping[str, Any], parameter: str) -> None:
    """Call what the notebook checks a parameter with, given the values of all of them.

    The checks are calls of the course's own functions, such as data.check_parameters(SAMPLES,
    NOISE, SEED), that stand as statements in the notebook. They are called from here, so that
    nothing of the notebook itself is executed. Raises WorkshopError if it refuses the value.
    """
    package = paths.__name__.partition(".")[0]
    modules: dict[str, str] = {}
    for node in statements(files.read_notebook(notebook)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith(f"{package}."):
            modules |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        match node:
            case ast.Expr(ast.Call(ast.Attribute(ast.Name(module), check), arguments, [])):
                names = [one.id for one in arguments if isinstance(one, ast.Name)]
                is_check = module in modules and check.startswith(("check_", "require_"))
                if is_check and parameter in names and values.keys() >= set(names):
                    function = getattr(importlib.import_module(modules[module]), check)
                    function(*(_value(one, values) for one in arguments))


def _value(argument: ast.expr, values: Mapping[str, Any]) -> Any:
    return values[argument.id] if isinstance(argument, ast.Name) else ast.literal_eval(argument)


def typed(name: str, given: Any, default: Any, bools: str = "True or False") -> Any:
    """`given` in the type of the parameter's default; a text is read as Python's literal.

    bools: how whoever wrote `given` writes the two. Raises WorkshopError, naming the parameter, if
    it is of another type. An integer is a number, too.
    """
    wanted, value = type(default), given
    if isinstance(given, str) and wanted is not str:
        # Else it stays a text, and is refused as one.
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            value = ast.literal_eval(given)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        kinds = {int: "a whole number", float: "a number", bool: bools}
        kind, shown = kinds.get(wanted, wanted.__name__), reprlib.repr(given)
        raise WorkshopError(f"{name} must be {kind}, not {shown}.")
    return value
