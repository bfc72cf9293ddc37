"""One HTML page of executed notebooks, to read where no kernel runs and no network is."""

import re
from pathlib import Path

from workshop_utils import files, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import records, report
from workshop_utils.running.kernel import import_nbformat

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
    return files.write(page, html)


def rebuild(folder):
    """Make a run's page again from its executed notebooks and its run.json. Returns its path.

    Raises WorkshopError if there are no executed notebooks, or if the record is damaged.
    """
    folder = Path(folder)
    record = records.read(folder) if (folder / records.RECORD).is_file() else None
    if record:
        candidates = [folder / f"{row['name']}.ipynb" for row in record["notebooks"]]
    else:
        candidates = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    executed = [path for path in candidates if path.is_file()]
    if not executed:
        raise WorkshopError(
            f"There are no executed notebooks in {paths.shown(folder)}; workshop run makes them."
        )
    return render(executed, folder / REPORT, record)


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


def shows(page, executed):
    """Whether the page at that path shows these executed notebooks, and no others."""
    try:
        text = page.read_text(encoding="utf-8")
    except OSError:
        return False
    return re.findall(r'<hr id="(\w+)"', text) == [copy.stem for copy in executed]
