"""One HTML page of executed notebooks, to read where no kernel runs and no network is."""

import base64
import functools
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress
from html import escape
from pathlib import Path
from typing import Any

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError, with_command
from workshop_utils.running import records, report
from workshop_utils.terminal import printable
from workshop_utils.upstream import import_nbformat

REPORT = "report.html"
_PARTS = "<!-- parts -->"  # stands for them; text that comes from elsewhere is escaped

# What nbformat raises, too, for a file that is no notebook.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Parts:
    """The parts of a page, in a thread's own time: what a run shows of a notebook while others run.

    executed: paths of all notebooks that the page is to show, in order; links to others become
    text.
    """

    def __init__(self, executed: Sequence[Path]) -> None:
        self.executed = list(executed)
        self._present = {_anchor(path) for path in executed}
        self._thread = ThreadPoolExecutor(1)
        self._exporter = self._thread.submit(_exporter, "part.html.j2")
        self.frame = self._thread.submit(_exporter, "page.html.j2")  # for what is around them
        self._made: dict[Path | None, Future[str]] = {}
        self.begin(None)

    def begin(self, path: Path | None) -> None:
        """An executed notebook is there, or None: the glossary, which ends every page."""
        self._made[path] = self._thread.submit(self._part, path)

    def html(self) -> str:
        """All of them. Raises WorkshopError, which names the file, if one is no notebook."""
        for path in self.executed:
            if path not in self._made:
                self.begin(path)
        return "".join(self._made[path].result() for path in (*self.executed, None))

    def close(self) -> None:
        """Begin no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _part(self, path: Path | None) -> str:
        nbformat = import_nbformat()
        if path:
            cells = [nbformat.v4.new_markdown_cell(f'<hr id="{_anchor(path)}">'), *_content(path)]
        else:
            cells = [nbformat.v4.new_markdown_cell(_glossary())]
        part = self.executed.index(path) if path else len(self.executed)
        for number, cell in enumerate(cells):
            cell.id = f"cell-{part}-{number}"  # Notebooks from elsewhere may have the same ids.
            if cell.cell_type == "markdown":
                cell.source = _linked_within_the_page(cell.source, self._present)
        html: str
        html, _ = self._exporter.result().from_notebook_node(nbformat.v4.new_notebook(cells=cells))
        return html.partition(">")[2].rpartition("</div>")[0]


def _exporter(template: str) -> Any:
    import_nbformat()
    from jinja2 import FileSystemLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(
        exclude_anchor_links=True,
        extra_loaders=[FileSystemLoader(report.TEMPLATES)],
        template_file=template,
    )
    exporter.environment.bytecode_cache = _compiled()
    return exporter


@functools.cache
def _compiled() -> Any:
    """Where nbconvert's templates are once they are compiled, for all exporters of this process."""
    from jinja2 import BytecodeCache

    class Compiled(BytecodeCache):
        def __init__(self) -> None:
            self._code: dict[tuple[str, str], Any] = {}

        def load_bytecode(self, bucket: Any) -> None:
            bucket.code = self._code.get((bucket.key, bucket.checksum))

        def dump_bytecode(self, bucket: Any) -> None:
            self._code[bucket.key, bucket.checksum] = bucket.code

    return Compiled()


def render(
    executed: Sequence[Path],
    page: Path,
    record: dict[str, Any] | None = None,
    title: str = "The course, as this run executed it",
    parts: Parts | None = None,
) -> Path:
    """One HTML page of executed notebooks that needs nothing from the network, summary on top.

    executed: paths of notebooks. page: where to write it. record: the content of the run's
    run.json; without it there is no summary. title: the page's heading. parts: those of just these
    notebooks, if they were begun before. Returns that path.
    Raises WorkshopError, which names the file, if one of them is no notebook.
    """
    if parts is None or parts.executed != list(executed):
        with closing(Parts(executed)) as parts:
            return render(executed, page, record, title, parts)
    body = parts.html()
    head = report.render(
        "head.html.j2",
        title=title,
        summary=report.summary(record) if record else "",
        contents=[(_anchor(path), path.stem) for path in executed],
    )
    resources = {"metadata": {"name": "Workshop"}, "head": head, "parts": _PARTS}
    frame, _ = parts.frame.result().from_notebook_node(
        import_nbformat().v4.new_notebook(), resources
    )
    html = body.join(frame.split(_PARTS))  # which nbconvert would go through once more
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
