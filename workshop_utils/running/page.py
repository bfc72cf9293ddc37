"""One HTML page of executed notebooks, to read where no kernel runs and no network is."""

import base64
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError, with_command
from workshop_utils.running import records, report
from workshop_utils.terminal import printable
from workshop_utils.upstream import import_nbformat

REPORT = "report.html"

# What nbformat raises, too, for a file that is no notebook.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


def render(
    executed: Sequence[Path],
    page: Path,
    record: dict[str, Any] | None = None,
    title: str = "The course, as this run executed it",
) -> Path:
    """One HTML page of executed notebooks that needs nothing from the network, summary on top.

    executed: paths of notebooks. page: where to write it. record: the content of the run's
    run.json; without it there is no summary. title: the page's heading. Returns that path.
    Raises WorkshopError, which names the file, if one of them is no notebook.
    """
    nbformat = import_nbformat()
    from jinja2 import FileSystemLoader
    from nbconvert import HTMLExporter

    present = {_anchor(path) for path in executed}
    cells = []
    for path in executed:
        cells.append(nbformat.v4.new_markdown_cell(f'<hr id="{_anchor(path)}">'))
        cells += _content(path)
    cells.append(nbformat.v4.new_markdown_cell(_glossary()))
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # Notebooks from elsewhere may have the same ids.
        if cell.cell_type == "markdown":
            cell.source = _linked_within_the_page(cell.source, present)
    head = report.render(
        "head.html.j2",
        title=title,
        summary=report.summary(record) if record else "",
        contents=[(_anchor(path), path.stem) for path in executed],
    )
    exporter = HTMLExporter(
        exclude_anchor_links=True,
        extra_loaders=[FileSystemLoader(report.TEMPLATES)],
        template_file="page.html.j2",
    )
    whole = nbformat.v4.new_notebook(cells=cells)
    html, _ = exporter.from_notebook_node(whole, {"metadata": {"name": "Workshop"}, "head": head})
    return files.write(page, printable(html, keep="\n\t\xa0"))


def rebuild(folder: Path | str) -> Path:
    """Make a run's page again from its executed notebooks and its run.json. Returns its path.

    Raises WorkshopError if there are no executed notebooks, or if the record is damaged.
    """
    folder = Path(folder)
    record = records.read(folder) if (folder / records.RECORD).is_file() else None
    present = {path.stem: path for path in sorted(folder.glob("*.ipynb"))}
    numbered = [name for name in present if re.match(r"\d\d_", name)]
    names = [row["name"] for row in record["notebooks"]] if record else numbered
    executed = [present[name] for name in names if name in present]
    if not executed:
        raise WorkshopError(
            with_command(
                f"There are no executed notebooks in {paths.display_path(folder)}; this makes "
                "some:",
                f"{paths.program('workshop')} run",
            )
        )
    return render(executed, folder / REPORT, record)


def is_page(path: Path) -> bool:
    """Whether `render` has made the file."""
    with suppress(OSError):
        return '<h1 id="contents">' in path.read_text(encoding="utf-8", errors="replace")
    return False


def shows(page: Path, executed: Sequence[Path]) -> bool:
    """Whether the page at that path shows these executed notebooks, and no others."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError:
        return False
    return re.findall(r'<hr id="([^"]+)"', text) == [_anchor(copy) for copy in executed]


def without_widgets(notebook: Any) -> Any:
    """Keep of widgets what can be shown without a kernel: a picture. Returns the notebook."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def describe_pictures(notebook: Any, resources: Any) -> tuple[Any, Any]:
    """Make HTML of pictures that have an alternative text: a preprocessor for nbconvert.

    nbconvert's own pages drop the text, which the metadata of an output has. What stands in a
    notebook from elsewhere is escaped.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in ("image/png", "image/svg+xml"):
                alt = _alt(output, kind)
                if alt:
                    content = output.data.pop(kind)
                    if kind == "image/svg+xml":
                        content = base64.b64encode(content.encode()).decode()
                    source = escape(f"data:{kind};base64,{content}")
                    output.data["text/html"] = f'<img alt="{escape(alt)}" src="{source}">'
    return notebook, resources


def _alt(output: Any, kind: str) -> str:
    """The alternative text of a picture of that kind in an output; '' without one."""
    about = output.get("metadata", {}).get(kind) if kind in output.get("data", {}) else None
    alt = about.get("alt") if isinstance(about, dict) else None
    return alt if isinstance(alt, str) else ""


def _content(path: Path) -> list[Any]:
    """A notebook's cells without what is no content: nbconvert does not escape all of that."""
    nbformat = import_nbformat()
    files.read(path, files.MOST_OF_A_NOTEBOOK)  # No pipe, for instance: it would never end.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ids that are missing or there twice do no harm.
            notebook = nbformat.read(path, as_version=4)
            nbformat.validate(notebook)
    except (nbformat.ValidationError, *_UNREADABLE) as error:
        raise WorkshopError(f"{paths.display_path(path)} is damaged: it is no notebook.") from error
    for cell in describe_pictures(without_widgets(notebook), None)[0].cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = {}
    return notebook.cells


def _anchor(notebook: Path) -> str:
    """A notebook's name as a place to link to: letters, digits, _ and - only."""
    return re.sub(r"\W", "-", notebook.stem)


def _glossary() -> str:
    """The glossary as it stands at the end of a page, with a place to link to for each word."""
    paths.require_course(paths.GLOSSARY.parent)
    text = paths.GLOSSARY.read_text(encoding="utf-8")
    places = re.sub(
        r"(?m)^## (.+)$",
        lambda word: f'<a id="glossary-{word[1].lower().replace(" ", "-")}"></a>\n\n### {word[1]}',
        text,
    )
    return f'<a id="glossary"></a>\n\n{places}'


def _linked_within_the_page(text: str, present: set[str]) -> str:
    """Markdown with its links between files turned into links within the page.

    present: stems of the notebooks that are on the page; a link to another one, or to another
    file of the project, becomes its text.
    """

    def notebook(link: re.Match[str]) -> str:
        return f"[{link[1]}](#{link[2]})" if link[2] in present else link[1]

    text = re.sub(r"\[([^\]]*)\]\((\d\d_\w+)\.ipynb\)", notebook, text)
    text = re.sub(r"\]\(glossary\.md(?:#([\w-]+))?\)", _glossary_link, text)
    text = re.sub(r"\]\((?:\.\./)?README\.md\)", "](#contents)", text)
    return re.sub(r"\[([^\]]*)\]\(\.\./[^)]*\)", r"\1", text)


def _glossary_link(link: re.Match[str]) -> str:
    return f"](#glossary-{link[1]})" if link[1] else "](#glossary)"
