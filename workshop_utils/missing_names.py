"""After a kernel has restarted: a name that an earlier cell makes is not there, and what to do.

An extension of IPython, which jupyter/etc/ipython loads when a kernel starts: then it helps before
the first cell has run, too. It says one sentence where a name is missing that an earlier cell of
the notebook makes. Any other NameError is shown as ever.
"""

import json
import os
import re
import symtable
from pathlib import Path
from types import TracebackType
from typing import Any

from workshop_utils.errors import WorkshopError


def load_ipython_extension(shell: Any) -> None:
    """What IPython calls."""
    shell.set_custom_exc((NameError,), _show)


def _show(
    shell: Any,
    kind: type[NameError],
    error: NameError,
    traceback: TracebackType | None,
    tb_offset: int | None = None,
) -> None:
    name = getattr(error, "name", None)
    if kind is NameError and name and _in_a_cell(shell, traceback):
        cells = _cells_above(shell)
        if any(name in names_made(shell.transform_cell(cell)) for cell in cells):
            ours = WorkshopError(advice(name))
            shell.showtraceback((WorkshopError, ours, None), tb_offset=tb_offset)
            return
    shell.showtraceback((kind, error, traceback), tb_offset=tb_offset)


def advice(name: str) -> str:
    """One sentence for a person whose cell asks for a name that an earlier cell makes."""
    return (
        f"{name} is not there: an earlier cell makes it, and has not run since the kernel "
        "started. Choose Run → Run All Above Selected Cell, then run this cell again."
    )


def names_made(source: str) -> set[str]:
    """The names that a cell's Python code makes for the cells after it."""
    try:
        symbols = symtable.symtable(source, "cell", "exec").get_symbols()
    except (SyntaxError, ValueError):
        return set()
    return {one.get_name() for one in symbols if one.is_assigned() or one.is_imported()}


def _in_a_cell(shell: Any, traceback: TracebackType | None) -> bool:
    """Whether the name is one of the notebook's, and not one of a module's that it calls."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals is shell.user_global_ns


def _cells_above(shell: Any) -> list[str]:
    """The code of the cells above the one that runs; of all where that one is not known."""
    path = _notebook(shell)
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path else {}
        cells = [cell for cell in content.get("cells", []) if cell["cell_type"] == "code"]
        ids = [cell.get("id") for cell in cells]
        sources = ["".join(cell["source"]) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    cell_id = shell.get_parent().get("metadata", {}).get("cellId")
    return sources[: ids.index(cell_id)] if cell_id in ids else sources


def _notebook(shell: Any) -> Path | None:
    """The file of the notebook at work: Jupyter names it to its kernels, as VS Code does."""
    named = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__") or ""
    found = re.match(r".*\.ipynb", str(named))
    if not found:
        return None
    path = Path(found[0])
    return path if path.is_file() else Path.cwd() / path.name
