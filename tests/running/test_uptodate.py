"""`workshop run --resume`: what is up to date is skipped, and nothing else."""

import psutil
import pytest
from test_course import printed, small_course, write_notebook  # noqa: F401

from workshop_utils import paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import course, notebooks, page, uptodate

MAKES = "from pathlib import Path\nPath({path!r}).write_text(str(SEED))"


@pytest.fixture
def chain(small_course, tmp_path, monkeypatch):  # noqa: F811
    """Two notebooks: the first makes an artifact, which the second turns into another."""
    first, second = tmp_path / "models" / "first.txt", tmp_path / "models" / "second.txt"
    first.parent.mkdir()
    for name in ("MODELS_DIR", "HOME"):
        monkeypatch.setattr(paths, name, first.parent)
    monkeypatch.setattr(paths, "MADE_BY", {first: "01_first", second: "02_second"})
    for name, path in (("01_first", first), ("02_second", second)):
        cells = ("SEED = 1", "parameters"), MAKES.format(path=str(path)), "print('done', SEED)"
        write_notebook(small_course / f"{name}.ipynb", *cells)
    return first, second


def run(tmp_path, chosen=None, resume=True):
    """Run the chain. Returns the words 'ok' and 'up', one per notebook."""
    lines = []
    course.run(notebooks.select(), chosen or {}, tmp_path / "output", lines.append, resume=resume)
    return [line.split()[2] for line in lines]


def test_a_second_run_skips_everything_and_says_so(chain, tmp_path):
    assert run(tmp_path) == ["ok", "ok"]
    report = tmp_path / "output" / page.REPORT
    before = report.stat().st_mtime_ns
    assert run(tmp_path) == ["up", "up"]
    assert report.stat().st_mtime_ns == before
    assert run(tmp_path, resume=False) == ["ok", "ok"]


def test_a_change_makes_what_depends_on_it_run_again(chain, tmp_path, small_course):  # noqa: F811
    first, second = chain
    run(tmp_path)
    assert run(tmp_path, {"SEED": 2}) == ["ok", "ok"], "another parameter"
    second.write_text("changed by hand")
    assert run(tmp_path, {"SEED": 2}) == ["up", "ok"], "an artifact that is not what it was"
    first.unlink()
    assert run(tmp_path, {"SEED": 2}) == ["ok", "up"], "made anew, and the same as before"
    started = psutil.Process().children(recursive=True)
    kernels = [one for one in started if "ipykernel_launcher" in one.cmdline()]
    assert not kernels, "A kernel that was started ahead, for a notebook that did not run."
    (tmp_path / "output" / "02_second.ipynb").write_text("{}")
    assert run(tmp_path, {"SEED": 2}) == ["up", "ok"], "a copy that is damaged"
    cells = ("SEED = 1", "parameters"), MAKES.format(path=str(second)), "print('edited', SEED)"
    write_notebook(small_course / "02_second.ipynb", *cells)
    assert run(tmp_path, {"SEED": 2}) == ["up", "ok"], "an edited notebook"
    assert "edited 2" in printed(tmp_path / "output" / "02_second.ipynb")


def test_other_code_or_packages_make_everything_run_again(chain, tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setattr(uptodate, "environment", lambda: "another")
    assert run(tmp_path) == ["ok", "ok"]


def test_the_environment_is_code_and_versions(monkeypatch, tmp_path):
    here = uptodate.environment()
    assert here == uptodate.environment()
    monkeypatch.setattr(uptodate, "distributions", lambda: [])
    assert uptodate.environment() != here
    monkeypatch.undo()
    monkeypatch.setattr(paths, "FIRMWARE_DIR", tmp_path)
    assert uptodate.environment() != here


def test_a_failed_notebook_is_not_up_to_date(chain, tmp_path, small_course):  # noqa: F811
    write_notebook(small_course / "02_second.ipynb", ("SEED = 1", "parameters"), "1 / 0")
    for _ in range(2):
        with pytest.raises(WorkshopError, match="ZeroDivisionError"):
            run(tmp_path)
    copy = tmp_path / "output" / "01_first.ipynb"
    assert '"made"' in copy.read_text()
    assert '"made"' not in (tmp_path / "output" / "02_second.ipynb").read_text()


def test_the_page_shows_what_the_last_run_had(chain, tmp_path):
    run(tmp_path)
    lines = []
    output = tmp_path / "output"
    course.run(notebooks.select(only="01"), {}, output, lines.append, resume=True)
    assert "up to date" in lines[0]
    assert '<hr id="02_second"' not in (output / page.REPORT).read_text()
    assert run(tmp_path) == ["up", "up"]
    assert '<hr id="02_second"' in (output / page.REPORT).read_text()
