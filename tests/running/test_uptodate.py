"""`workshop run --resume`: what is up to date is skipped, and nothing else."""

import json
import shutil

import psutil
import pytest
from notebook_factory import printed, write_notebook

from workshop_utils import paths
from workshop_utils.errors import WorkshopError
from workshop_utils.running import course, notebooks, page, uptodate

MAKES = """
from workshop_utils import files, paths
files.write(paths.{}, str(SEED))
"""
MADE = {"02_dataset": "DATASET", "03_small_model": "SMALL_MODEL_TF"}


def write(name, *last):
    """One of the chain's notebooks: it makes an artifact and ends with these cells."""
    path = paths.NOTEBOOKS_DIR / f"{name}.ipynb"
    write_notebook(path, ("SEED = 1", "parameters"), MAKES.format(MADE[name]), *last)


def run(tmp_path, chosen=None, resume=True):
    """Run the chain. Returns the words 'ok' and 'up', one per notebook, in order."""
    lines = []
    course.run(notebooks.select(), chosen or {}, tmp_path / "output", lines.append, resume=resume)
    return [line.split()[2] for line in sorted(lines)]


def test_a_second_run_skips_everything_and_says_so(chain, tmp_path):
    report = tmp_path / "output" / page.REPORT
    before = report.stat().st_mtime_ns
    assert run(tmp_path) == ["up", "up"]
    assert report.stat().st_mtime_ns == before
    assert run(tmp_path, resume=False) == ["ok", "ok"]


def test_a_change_makes_what_depends_on_it_run_again(chain, tmp_path):
    first, second = chain
    assert run(tmp_path, {"SEED": 2}) == ["ok", "ok"], "another parameter"
    second.write_text("changed by hand")
    assert run(tmp_path, {"SEED": 2}) == ["up", "ok"], "an artifact that is not what it was"
    first.unlink()
    assert run(tmp_path, {"SEED": 2}) == ["ok", "up"], "made anew, and the same as before"
    started = psutil.Process().children(recursive=True)
    kernels = [one for one in started if "ipykernel_launcher" in one.cmdline()]
    assert not kernels, "A kernel that was started ahead, for a notebook that did not run."
    copy = tmp_path / "output" / "03_small_model.ipynb"
    content = json.loads(copy.read_text())
    del content["metadata"]["workshop"]
    copy.write_text(json.dumps(content))
    assert run(tmp_path, {"SEED": 2}) == ["up", "ok"], "a copy that says of no key"
    write("03_small_model", "print('edited', SEED)")
    assert run(tmp_path, {"SEED": 2}) == ["up", "ok"], "an edited notebook"
    assert "edited 2" in printed(tmp_path / "output" / "03_small_model.ipynb")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A home with two notebooks, and with what their first run has left there."""
    folder = tmp_path_factory.mktemp("done")
    (folder / "notebooks").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_HOME", str(folder))
        patch.setattr(paths, "NOTEBOOKS_DIR", folder / "notebooks")
        for name in MADE:
            write(name, "print('done', SEED)")
        assert run(folder) == ["ok", "ok"]
    return folder


@pytest.fixture
def chain(done, home, monkeypatch):
    """Two notebooks in the place of the course's own that have run, each with an artifact.

    Returns the artifacts' paths. The second's results depend on the first's artifact, as those of
    any later notebook do.
    """
    shutil.copytree(done, home.path, dirs_exist_ok=True)
    monkeypatch.setattr(paths, "NOTEBOOKS_DIR", home.path / "notebooks")
    return home.dataset, home.small_model_tf


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, with one small notebook in the place of the course's own."""
    copy = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("build", "images", "__pycache__")
    for name in ("workshop_utils", "firmware"):
        shutil.copytree(paths.PROJECT / name, copy / name, ignore=ignored)
    (copy / "notebooks" / "data").mkdir(parents=True)
    shutil.copyfile(paths.PROJECT / "pyproject.toml", copy / "pyproject.toml")
    write_notebook(copy / "notebooks" / "01_only.ipynb", "print('done')")
    return copy


def test_a_change_anywhere_in_the_course_makes_a_notebook_run_again(project, home, monkeypatch):
    """Each change makes another environment, and another environment makes a run do it again."""
    places = {"PROJECT": "", "FIRMWARE_DIR": "firmware", "NOTEBOOKS_DIR": "notebooks"}
    for name, folder in places.items():
        monkeypatch.setattr(paths, name, project / folder)
    assert run(home.path) == ["ok"] and run(home.path) == ["up"]
    before = uptodate.environment()
    for name in (
        "workshop_utils/sweeps/run.py",
        "workshop_utils/running/templates/any.html.j2",
        "workshop_utils/sweeps/any.ipynb",
        "workshop_utils/running/any.json",
        "firmware/app/app.cc",
        "notebooks/data/how_small.csv",
    ):
        (project / name).parent.mkdir(exist_ok=True)
        with (project / name).open("a") as file:
            file.write("\n")
        after = uptodate.environment()
        assert after != before, name
        before = after
    assert run(home.path) == ["ok"]
    for name in (
        "firmware/build/x/y",
        "firmware/images/x.elf",
        "firmware/model/model.cc",
        "workshop_utils/__pycache__/x.pyc",
    ):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("made")
    assert uptodate.environment() == before
    assert run(home.path) == ["up"], "What builds and Python leave behind is no change."


def test_another_package_makes_everything_run_again(chain, tmp_path, monkeypatch):
    assert run(tmp_path) == ["up", "up"]
    folder = tmp_path / "packages" / "one-1.0.dist-info"
    folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(folder.parent)
    assert run(tmp_path) == ["ok", "ok"]
    before = uptodate.environment()
    folder.rename(folder.with_name("one-1.1.dist-info"))
    assert uptodate.environment() != before


def test_places_without_packages_that_can_be_read_do_no_harm(tmp_path, monkeypatch):
    before = uptodate.environment()
    archive, closed = tmp_path / "modules.zip", tmp_path / "closed"
    archive.write_bytes(b"PK\x05\x06" + bytes(18))
    (closed / "within").mkdir(parents=True)
    closed.chmod(0)  # which root may enter all the same
    for place in (archive, tmp_path / "nothing", closed / "within", tmp_path / ("x" * 300)):
        monkeypatch.syspath_prepend(place)
    try:
        assert uptodate.environment() == before
    finally:
        closed.chmod(0o700)


def test_a_failed_notebook_is_not_up_to_date(chain, tmp_path):
    write("03_small_model", "1 / 0")
    for _ in range(2):
        with pytest.raises(WorkshopError, match="ZeroDivisionError"):
            run(tmp_path)
    copy = tmp_path / "output" / "02_dataset.ipynb"
    assert '"made"' in copy.read_text()
    assert '"made"' not in (tmp_path / "output" / "03_small_model.ipynb").read_text()


def test_the_page_shows_what_the_last_run_had(chain, tmp_path):
    lines = []
    output = tmp_path / "output"
    course.run(notebooks.select(only="02"), {}, output, lines.append, resume=True)
    assert "up to date" in lines[0]
    assert '<hr id="03_small_model"' not in (output / page.REPORT).read_text()
    assert run(tmp_path) == ["up", "up"]
    assert '<hr id="03_small_model"' in (output / page.REPORT).read_text()


def test_what_a_notebook_does_not_need_may_change(chain, tmp_path):
    first, second = chain
    extra = paths.NOTEBOOKS_DIR / "04_larger_model.ipynb"
    write_notebook(extra, "print('larger')", needs="notebook 2")
    assert run(tmp_path) == ["up", "up", "ok"]
    write("03_small_model", "print('edited')")
    assert run(tmp_path, {"SEED": 3}) == ["ok", "ok", "ok"], "all of them from another dataset"
    second.unlink()
    assert run(tmp_path, {"SEED": 3}) == ["up", "ok", "up"]
    first.write_text("changed by hand")
    assert run(tmp_path, {"SEED": 3}) == ["ok", "up", "up"]


def test_a_page_that_is_gone_comes_back_and_the_record_stays(chain, tmp_path):
    output = tmp_path / "output"
    record = (output / "run.json").read_bytes()
    (output / page.REPORT).unlink()
    assert run(tmp_path) == ["up", "up"]
    assert '<hr id="03_small_model"' in (output / page.REPORT).read_text()
    assert (output / "run.json").read_bytes() == record
    (output / "run.json").unlink()
    assert run(tmp_path) == ["up", "up"]
    assert (output / "run.json").is_file()
