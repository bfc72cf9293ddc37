"""Execute the notebooks and store their outputs in place: the canonical run.

    .venv/bin/python tools/refresh_notebooks.py              # all of them
    .venv/bin/python tools/refresh_notebooks.py --only 07    # one, with the reference artifacts

Run it after every change to a notebook or to a helper whose results it shows. Artifacts go to a
temporary folder. What a reader has no use for, such as times and counts of execution, is left out:
a cell without a count is one that has not run since the notebook was opened. The
picture of the cell tagged 'readme' becomes docs/result.png, the artifacts become the reference for
`workshop catch-up`, and the model becomes the firmware's reference model. A notebook alone changes
neither of the two.
"""

import argparse
import base64
import hashlib
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from workshop_utils import files, paths
from workshop_utils.paths import Home
from workshop_utils.running import catchup, notebooks, page

KEPT_METADATA = {"tags", "jupyter", "slideshow"}


def execute(path):
    """Run one notebook from top to bottom and return it with clean outputs."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--IPKernelApp.log_level=40"],
    )
    client.execute()
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in KEPT_METADATA}
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = None
    page.without_widgets(notebook)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return notebook


def pictures(notebook, tag):
    """The PNG files that cells with `tag` show."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []) if tag in cell.metadata.get("tags", []) else []:
            if "image/png" in output.get("data", {}):
                yield base64.b64decode(output.data["image/png"])


def keep_artifacts(home):
    """Make what this run has left in its home the reference artifacts, with their hashes."""
    hashes = []
    for path in catchup.artifacts("99", home):
        if path.suffix != ".cc":
            content = path.read_bytes()
            files.write(paths.REFERENCE_DIR / path.name, content)
            hashes.append(f"{hashlib.sha256(content).hexdigest()}  {path.name}\n")
    files.write(paths.REFERENCE_DIR / catchup.HASHES, "".join(hashes))


def main():
    """Refresh the notebooks; stop at the first that fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NN", help="refresh notebook NN alone")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WORKSHOP_HOME"] = folder  # for the kernels
        home = Home(Path(folder))
        if only:
            catchup.fill_in(only, home=home)
        for path in notebooks.select(only=only):
            notebook = execute(path)
            files.write(path, nbformat.writes(notebook) + "\n")
            for picture in pictures(notebook, "readme"):
                files.write(paths.PROJECT / "docs" / "result.png", picture)
            print(path.name, file=sys.stderr)
        if not only:
            keep_artifacts(home)
            files.write(paths.FIRMWARE_REFERENCE_MODEL, home.firmware_model.read_bytes())


if __name__ == "__main__":
    main()
