"""Kernels that start early, and what is left out of imports."""

import subprocess
import sys


def test_nbformat_comes_without_its_grammar_and_does_not_keep_it_from_others(tmp_path, monkeypatch):
    (tmp_path / "rfc3987_syntax.py").write_text("is_valid_syntax = 'there'")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # set-up leaves the real one out
    code = """
import sys
from workshop_utils.upstream import import_nbformat
nbformat = import_nbformat()
import papermill, nbconvert
assert "jsonschema" in sys.modules and "rfc3987_syntax" not in sys.modules
notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
nbformat.validate(notebook)
notebook.cells[0].cell_type = "none"
try:
    nbformat.validate(notebook)
except nbformat.ValidationError:
    print("refused")
from rfc3987_syntax import is_valid_syntax
print(is_valid_syntax)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.split(), done.stderr) == (["refused", "there"], "")
