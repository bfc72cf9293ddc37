"""The course's notebooks, executed in order with papermill, and a page to read them on."""

import ast
import json
import re
import shutil
import tempfile
import time
from pathlib import Path

from workshop_utils import paths, report, runs, uptodate
from workshop_utils.errors import WorkshopError
from workshop_utils.kernel import Kernel, import_nbformat

REPORT = "report.html"

# nbconvert's page without the scripts that it would load from elsewhere, and with folded solutions.
_PAGE = """\
{% extends 'lab/index.html.j2' %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block jupyter_widgets %}{% endblock %}
{% block codecell %}
{% if 'solution' in cell.metadata.get('tags', []) %}
<details><summary>Solution</summary>{{ super() }}</details>
{% else %}{{ super() }}{% endif %}
{% endblock %}
"""


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


def run(selected, chosen, output_dir, say=print, progress=False, resume=False):
    """Execute notebooks in order; leave executed copies and a page of them in `output_dir`.

    selected: paths from `select`. chosen: {name: value}, checked before anything runs; each
    notebook gets the ones it has. say: called with each line of progress. progress: show a bar
    per notebook on stderr. resume: skip a notebook whose executed copy is there, if nothing has
    changed since: the notebook, its parameters, what earlier notebooks made, what it made itself,
    the course's code and the installed versions. Returns the path of the page.
    Raises WorkshopError when another run is at work on the same artifacts, and when a notebook
    fails, naming notebook, cell and error; the copies made so far, the failing one included, and
    the page are there to look at.
    """
    values = check_parameters(chosen, selected)
    output_dir = Path(output_dir)
    _make_folder(output_dir)
    with paths.artifacts_locked():
        return _run(selected, values, output_dir, say, progress, resume)


def _run(selected, values, output_dir, say, progress, resume):
    environment = uptodate.environment()
    page, executed, failure = output_dir / REPORT, [], None
    record, ahead = runs.Record(output_dir, selected, values), None
    try:
        for number, notebook in enumerate(selected):
            label = f"[{number + 1}/{len(selected)}] {notebook.stem}"
            own = {name: values[name] for name in parameters(notebook) if name in values}
            copy = output_dir / notebook.name
            key = uptodate.key(notebook, own, environment)
            if resume and uptodate.is_up_to_date(copy, notebook, key):
                executed.append(copy)
                record.keep(notebook)
                say(f"{label:<28} up to date")
                continue
            record.begin()
            started = time.monotonic()
            if ahead and ahead.notebook != notebook:
                ahead.stop()
                ahead = None
            kernel, ahead = ahead or Kernel(notebook), None
            try:
                # While this one runs, the next kernel starts and imports what it is going to need.
                if number + 1 < len(selected):
                    ahead = Kernel(selected[number + 1])
                failure = execute(notebook, copy, own, kernel, label if progress else None)
            finally:
                kernel.stop()
            if copy.exists():
                executed.append(copy)
            seconds, result = time.monotonic() - started, "failed" if failure else "ok"
            record.add(notebook, result, seconds)
            say(f"{label:<28} {result:<6} {seconds:6.1f} s")
            if failure:
                break
            uptodate.stamp(copy, notebook, key)
    finally:
        if ahead:
            ahead.stop()
    if record.has_begun or not _shows(page, executed):
        record.finish(failure)
        render(executed, page, record.content)
    if failure:
        hint = f" The executed copy is {paths.shown(executed[-1])}." if executed else ""
        raise WorkshopError(failure + hint)
    return page


def _shows(page, executed):
    try:
        text = page.read_text(encoding="utf-8")
    except OSError:
        return False
    return re.findall(r'<hr id="(\w+)"', text) == [copy.stem for copy in executed]


def _make_folder(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WorkshopError(f"Cannot make the folder {folder}: {error.strerror}.") from error


def execute(notebook, copy, values, kernel, bar=None):
    """Run one notebook with papermill and leave the executed `copy`, whole.

    values: {name: value}, parameters that the notebook has. kernel: a Kernel for this notebook,
    which is not ended. bar: label of a progress bar on stderr. Returns None, or one sentence on
    what failed and where.
    """
    import_nbformat()
    import papermill
    from nbclient.exceptions import DeadKernelError

    workplace = Path(tempfile.mkdtemp(prefix="workshop-"))
    draft = workplace / notebook.name
    failure = None
    try:
        papermill.execute_notebook(
            notebook,
            draft,
            parameters=values,
            cwd=notebook.parent,
            progress_bar={"desc": bar, "leave": False} if bar else False,
            km=kernel.manager,
            store_widget_state=False,
        )
    except papermill.PapermillExecutionError as error:
        failure = f"{notebook.name}, cell In [{error.exec_count}]: {error.ename}: {error.evalue}"
    except (DeadKernelError, RuntimeError):
        if kernel.is_alive():
            raise
        failure = f"{notebook.name}: the kernel died; the machine may be out of memory."
    finally:
        if draft.exists():
            paths.write(copy, draft.read_bytes())
        shutil.rmtree(workplace, ignore_errors=True)
    return failure


def render(executed, page, record=None, title="The course, as this run executed it"):
    """One HTML page of executed notebooks that needs nothing from the network, summary on top.

    executed: paths of notebooks. page: where to write it. record: the content of the run's
    run.json; without it there is no summary. title: the page's heading. Returns that path.
    """
    nbformat = import_nbformat()
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    loaded = [(path.stem, nbformat.read(path, as_version=4)) for path in executed]
    contents = "\n".join(f"- [{name}](#{name})" for name, _ in loaded)
    summary = report.summary(record) if record else ""
    head = f'<a id="contents"></a>\n\n# {title}\n\n{summary}'
    head += f"\n\n## Contents\n\n{contents}"
    whole = nbformat.v4.new_notebook(metadata=loaded[0][1].metadata)
    whole.cells = [nbformat.v4.new_markdown_cell(head)]
    for name, notebook in loaded:
        whole.cells.append(nbformat.v4.new_markdown_cell(f'<hr id="{name}">'))
        whole.cells += notebook.cells
    whole.cells.append(nbformat.v4.new_markdown_cell(_glossary()))
    present = {name for name, _ in loaded}
    without_widgets(whole)
    for cell in whole.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked_within_the_page(cell.source, present)
    exporter = HTMLExporter(
        exclude_anchor_links=True,
        extra_loaders=[DictLoader({"page.html.j2": _PAGE})],
        template_file="page.html.j2",
    )
    html, _ = exporter.from_notebook_node(whole, {"metadata": {"name": "Workshop"}})
    return paths.write(page, html)


def without_widgets(notebook):
    """Keep of widgets what can be shown without a kernel: a picture. Returns the notebook."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
    return notebook


def _glossary():
    """The glossary as it stands at the end of a page, with a place to link to for each word."""
    text = paths.GLOSSARY.read_text(encoding="utf-8")
    places = re.sub(
        r"(?m)^## (.+)$",
        lambda word: f'<a id="glossary-{word[1].replace(" ", "-")}"></a>\n\n### {word[1]}',
        text,
    )
    return f'<a id="glossary"></a>\n\n{places}'


def _linked_within_the_page(text, present):
    """Markdown with its links between files turned into links within the page.

    present: stems of the notebooks that are on the page; a link to another one becomes its text.
    """

    def notebook(link):
        return f"[{link[1]}](#{link[2]})" if link[2] in present else link[1]

    text = re.sub(r"\[([^\]]*)\]\((\d\d_\w+)\.ipynb\)", notebook, text)
    text = re.sub(r"\]\(glossary\.md(?:#([a-z-]+))?\)", _glossary_link, text)
    return re.sub(r"\]\((?:\.\./)?README\.md\)", "](#contents)", text)


def _glossary_link(link):
    return f"](#glossary-{link[1]})" if link[1] else "](#glossary)"


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
