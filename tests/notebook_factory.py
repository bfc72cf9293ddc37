"""Small notebooks for tests, what executed ones printed, and the solutions in the course's."""

import re

import nbformat

_SOLUTION = re.compile(r"(?s)<details>\n<summary>Solution</summary>\n.*?```python\n(.*?)\n```")


def write_notebook(path, *cells, needs=None):
    """A notebook in `path`; a cell is source, or a pair of source and tag.

    needs: what its heading says of that, if it is to have one.
    """
    heading = f"# 1 · One\n\nAbout 5 minutes · needs: {needs}"
    nodes = [nbformat.v4.new_markdown_cell(heading)] if needs else []
    for cell in cells:
        source, tag = cell if isinstance(cell, tuple) else (cell, None)
        metadata = {"tags": [tag]} if tag else {}
        nodes.append(nbformat.v4.new_code_cell(source, metadata=metadata))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=nodes, metadata={"kernelspec": kernel}), path)
    return path


def printed(path):
    return "".join(
        output.get("text", "")
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


def solutions(path):
    """(number of the cell, code) of each folded solution of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    found = [
        (number, _SOLUTION.search(cell.source))
        for number, cell in enumerate(cells)
        if cell.cell_type == "markdown"
    ]
    return [(number, match[1]) for number, match in found if match]


def write_solved(path, target):
    """The notebook with the code of its solutions in cells of their own, behind the text."""
    notebook = nbformat.read(path, as_version=4)
    for number, code in reversed(solutions(path)):
        notebook.cells.insert(number + 1, nbformat.v4.new_code_cell(code))
    nbformat.write(notebook, target)
