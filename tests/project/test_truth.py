"""What the notebooks claim. Whether it holds in a run with too little of all: test_course.py."""

from pathlib import Path

import nbformat
import pytest
import truth

from workshop_utils import exercises, paths
from workshop_utils.paths import Home
from workshop_utils.running import notebooks


def test_every_claim_is_still_made():
    hints = Path(exercises.__file__).read_text(encoding="utf-8")
    for number, claims in truth.CLAIMS.items():
        cells = nbformat.read(notebooks.notebooks()[number], as_version=4).cells
        text = "\n".join(cell.source for cell in cells) + hints
        assert not [sentence for sentence in claims if sentence not in text], number


@pytest.mark.parametrize(("condition", "holds"), [("EPOCHS == 500", True), ("EPOCHS > 500", False)])
def test_a_claim_is_checked_by_what_the_notebook_has_computed(
    tmp_path, monkeypatch, condition, holds
):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(truth, "CLAIMS", {"09": {"sentence": condition}})
    (notebook,) = notebooks.select(only="09")
    content = nbformat.read(notebook, as_version=4)
    content.cells = [cell for cell in content.cells if cell.id in ("09-03", "09-04")]
    nbformat.write(content, folder / notebook.name)
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", folder)
    assert truth.run({}, Home(tmp_path)) == {("09", "sentence"): holds}
