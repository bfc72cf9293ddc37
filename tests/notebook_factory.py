"""Small notebooks for tests, and what executed ones printed."""

import nbformat


def write_notebook(path, *cells):
    """A notebook in `path`; a cell is source, or a pair of source and tag."""
    nodes = []
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
