"""A project of one's own: what `workshop new` makes, and what the other commands do there."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
import tflite_factory
from click.testing import CliRunner
from nbconvert import HTMLExporter
from notebook_factory import printed, write_notebook
from patience import HUNG

from workshop_utils import c_source, files, paths
from workshop_utils.cli import main
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import notebooks, scaffold

ROWS = "".join(f"{code},{code / 10:.1f}\n" for code in range(100))
CSV = f"adc (code),temperature (°C)\n{ROWS}"
MADE = {paths.MARKER, scaffold.README, paths.OWN_NOTEBOOK}
WRITES = (
    "import shutil\nfrom workshop_utils import paths\nfolder = paths.home().sensor_dir\n"
    "folder.mkdir(parents=True, exist_ok=True)\n"
    'shutil.copy(paths.FIRMWARE_REFERENCE_MODEL, folder / "model.cc")\nprint(CSV, open(CSV).read())'
)


@pytest.fixture
def where(monkeypatch, tmp_path):
    """A folder to work in, and no WORKSHOP_HOME."""
    monkeypatch.delenv("WORKSHOP_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch, tmp_path_factory):
    """In the place of the course's notebook one that takes no time and writes a model, too."""
    notebook = tmp_path_factory.mktemp("course") / "10_own_sensor.ipynb"
    write_notebook(notebook, ('CSV = "thermistor.csv"', "parameters"), WRITES)
    monkeypatch.setattr(paths, "SENSOR_NOTEBOOK", notebook)


@pytest.fixture
def data(where, quick):
    (where / "mine.csv").write_text(CSV, encoding="utf-8")
    return where / "mine.csv"


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def program(name):
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed"
    return found


def commands(folder):
    """The commands of a project's README.md."""
    text = (folder / scaffold.README).read_text(encoding="utf-8")
    return re.findall(r"(?m)^ {4}(.+)$", text.partition("## Three commands")[2])


# ---- The folder


def test_what_is_made(where, data):
    found = scaffold.make("new", data)
    assert found.names == ("adc", "temperature") and len(found.y) == 100
    made = content(where / "new")
    assert set(made) == {*MADE, "mine.csv"} and made["mine.csv"] == data.read_bytes()
    assert notebooks.parameters(where / "new" / paths.OWN_NOTEBOOK)["CSV"] == "mine.csv"
    assert {path.name for path in where.iterdir()} == {"new", "mine.csv"}
    assert Home(where / "new").own_notebook == where / "new" / paths.OWN_NOTEBOOK


def test_without_data_it_is_about_the_thermistor(where, quick):
    scaffold.make("new")
    csv = paths.SENSOR_DATA
    assert content(where / "new")[csv.name] == csv.read_bytes()


@pytest.mark.parametrize("folder", ["a/b/c", "a/../b", "-f", 'it\'s "new" $x', "Übung 1"])
def test_folders_to_be_made(where, data, folder):
    scaffold.make(folder, data)
    assert set(content((where / folder).resolve())) == {*MADE, "mine.csv"}


def test_a_folder_that_is_there_stays_the_same_one(monkeypatch, where, data):
    """Whoever has gone into it stands in it afterwards, too."""
    (where / "empty").mkdir()
    (where / "link").symlink_to("empty")
    before = (where / "empty").stat().st_ino
    monkeypatch.chdir(where / "link")
    scaffold.make(".", data)
    assert (where / "empty").stat().st_ino == before
    assert {path.name for path in Path.cwd().iterdir()} == {*MADE, "mine.csv"}


def test_it_can_be_read_by_others_as_what_they_make_themselves(where, data):
    former = os.umask(0o022)
    try:
        scaffold.make("new", data)
    finally:
        os.umask(former)
    assert (where / "new").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in (where / "new").iterdir()} == {0o644}


def refused(where, folder, data, *words):
    """The command ends with one sentence, and nothing is made or changed."""
    before = {path: path.lstat().st_mtime_ns for path in where.rglob("*")}
    result = CliRunner().invoke(main, ["new", "--data", str(data), "--", str(folder)])
    assert result.exit_code == 1 and result.stdout == "", result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and line.endswith("."), line
    for word in words:
        assert word in line
    assert {path: path.lstat().st_mtime_ns for path in where.rglob("*")} == before


def test_folders_that_are_refused(where, data):
    (where / "full").mkdir()
    (where / "full" / "thesis.txt").write_text("mine")
    (where / "nowhere").symlink_to("gone")
    (where / "round").symlink_to("round")
    refused(where, "full", data, "full is there already and not empty")
    refused(where, ".", data, "not empty")
    refused(where, data, data, "mine.csv is a file")
    refused(where, data / "x", data, "mine.csv is a file")
    refused(where, "nowhere", data, "nowhere is a link to something that is not there")
    refused(where, "nowhere/x", data, "nowhere is a link to something that is not there")
    refused(where, "round", data, "round is a link to something that is not there")
    refused(where, "x" * 300, data, "Cannot make xxx", "too long")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write all")
def test_a_folder_that_cannot_be_written(where, data):
    (where / "closed").mkdir()
    (where / "closed").chmod(0o555)
    refused(where, "closed", data, "Cannot make closed", "denied")
    refused(where, "closed/new", data, "Cannot make closed/new", "denied")


def test_data_that_is_refused(where, data):
    (where / "empty.csv").touch()
    refused(where, "new", "gone.csv", "gone.csv")
    refused(where, "new", "empty.csv", "empty.csv")
    refused(where, "new", ".", "is not a file")
    for name in ("README.md", "readme.MD", "own_sensor.ipynb", ".workshop-home", "models"):
        (where / "named").mkdir(exist_ok=True)
        shutil.copy(data, where / "named" / name)
        refused(where, "new", where / "named" / name, f"cannot be called {name}", "rename")
    for name in ("two\nlines.csv", os.fsdecode(b"\xe9.csv")):
        try:
            shutil.copy(data, where / "named" / name)
        except OSError:
            continue  # a file system that has no such names
        refused(where, "new", where / "named" / name, "cannot stand in a notebook")


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("method", ["write_bytes", "rename"])
def test_whoever_is_interrupted_leaves_no_half_folder(
    monkeypatch, where, data, there, error, method
):
    if there:
        (where / "new").mkdir()
    real, calls = getattr(Path, method), []

    def interrupted(path, *arguments):
        calls.append(path)
        if len(calls) < 3 and (there or method == "write_bytes"):  # of four, but one step
            return real(path, *arguments)
        raise error

    monkeypatch.setattr(Path, method, interrupted)
    expected = WorkshopError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        scaffold.make("new", data)
    assert {path.name for path in where.iterdir()} - {"new"} == {"mine.csv"}
    assert list((where / "new").iterdir()) == [] if there else not (where / "new").exists()


# ---- The notebook


class Links(HTMLParser):
    """Where a page's links and pictures lead."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found += [value for name, value in attributes if name in ("href", "src")]


@cache  # which compiles its templates
def exporter():
    return HTMLExporter(exclude_anchor_links=True)


def seen(notebook):
    """(links that lead to a neighbour, code within the text) of a notebook's prose, as HTML."""
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type == "markdown"]
    html, _ = exporter().from_notebook_node(notebook)
    links = Links()
    links.feed(html.partition("<body")[2])
    near = [link for link in links.found if not re.match(r"[a-z]+:|#", link)]
    return near, re.findall(r"(?s)<code>.*?</code>|<pre>.*?</pre>", html)


@pytest.mark.parametrize("path", notebooks.notebooks().values(), ids=lambda path: path.stem)
def test_no_link_leads_to_a_neighbour(monkeypatch, tmp_path, path):
    """Of any notebook of the course, and their code stays as it is."""
    given = nbformat.read(path, 4)
    (parameters,) = (c for c in given.cells if "parameters" in c.metadata.get("tags", []))
    if "CSV" not in parameters.source:
        parameters.source += '\nCSV = "a.csv"'
    nbformat.write(given, tmp_path / path.name)
    monkeypatch.setattr(paths, "SENSOR_NOTEBOOK", tmp_path / path.name)
    made = nbformat.reads(scaffold.notebook("mine.csv"), 4)
    nbformat.validate(made)
    assert not any(cell.get("outputs") for cell in made.cells)
    for before, after in zip(given.cells, made.cells, strict=True):
        if before.cell_type == "code" and before is not parameters:
            assert before.source == after.source
    text = "\n".join(cell.source for cell in made.cells)
    assert "Contents" not in text and "needs:" not in made.cells[0].source
    assert made.cells[0].source.startswith("# ") and "·" not in made.cells[0].source.split("\n")[0]
    near, code = seen(given)
    assert near
    assert seen(made) == ([], code)


@pytest.mark.parametrize("name", ["a b.csv", "it's.csv", 'a "b".csv', "-x.csv", "Ä°\u202f\\n.csv"])
def test_the_data_keeps_its_name(where, data, name):
    """In the notebook, and in the page's command."""
    data.rename(where / name)
    scaffold.make("new", where / name)
    assert (where / "new" / name).read_text(encoding="utf-8") == CSV
    assert notebooks.parameters(where / "new" / paths.OWN_NOTEBOOK) == {"CSV": name}
    if shutil.which("bash"):
        script = f'set -- {commands(where / "new")[-1]}; cat "${{!#}}"'
        shown = subprocess.run(["bash", "-c", script], cwd="new", capture_output=True)
        assert shown.stdout.decode() == CSV, shown.stderr


def test_what_a_run_has_left_in_the_courses_notebook_goes(where, data):
    notebook = nbformat.read(paths.SENSOR_NOTEBOOK, 4)
    notebook.metadata["papermill"] = {"x": 1}
    injected = nbformat.v4.new_code_cell("SEED = 7", metadata={"tags": ["injected-parameters"]})
    notebook.cells.insert(1, injected)
    notebook.cells[0].outputs = [nbformat.v4.new_output("stream", text="old")]
    nbformat.write(notebook, paths.SENSOR_NOTEBOOK)
    made = nbformat.reads(scaffold.notebook("mine.csv"), 4)
    assert "papermill" not in made.metadata and made.metadata.kernelspec.name == "python3"
    assert [cell.source for cell in made.cells] == ['CSV = "mine.csv"', WRITES]
    assert made.cells[0].outputs == []


def test_a_notebook_without_the_parameter_is_said(monkeypatch, where, data):
    write_notebook(paths.SENSOR_NOTEBOOK, ("SEED = 1", "parameters"))
    with pytest.raises(WorkshopError, match="has no parameter CSV"):
        scaffold.make("new", data)
    assert not (where / "new").exists()


# ---- Working there


RUNNERS = {
    "papermill there": ("there", "papermill", "own_sensor.ipynb", "out.ipynb"),
    "papermill elsewhere": ("else", "papermill", "{}", "out.ipynb", "--cwd", "{folder}"),
    "jupyter execute": ("else", "jupyter", "execute", "{}"),
    "nbconvert": ("else", "jupyter", "nbconvert", "--to", "html", "--execute", "{}"),
    "nbval": ("else", "pytest", "--nbval-lax", "-p", "no:cacheprovider", "--rootdir=.", "{}"),
}


def test_whoever_runs_the_notebook_what_it_makes_lies_in_the_project(where, data):
    (where / "else").mkdir()
    running = {}
    for name, (place, command, *words) in RUNNERS.items():
        folder = where / f"{name}'s project"
        scaffold.make(folder, data)
        words = [word.format(folder / paths.OWN_NOTEBOOK, folder=folder) for word in words]
        start = partial(
            subprocess.Popen,
            [program(command), *words],
            cwd=folder if place == "there" else where / "else",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        running[folder] = start, start()
    for folder, (again, one) in running.items():
        said, _ = one.communicate(timeout=HUNG)
        # These programs choose ports for a kernel before it listens there: others may be quicker.
        for _ in range(5):
            if b"Address already in use" in said or b"Kernel died" in said:  # as nbval says it
                one = again()
                said, _ = one.communicate(timeout=HUNG)
        assert one.returncode == 0, (folder, said)
        assert (folder / "models" / "own_sensor" / "model.cc").is_file(), (folder, said)


def test_the_commands_there(monkeypatch, where, data):
    """Each does what makes sense for one notebook, or says why not in a sentence."""
    folder = where / "new"
    scaffold.make(folder, data)
    notebook = (folder / paths.OWN_NOTEBOOK).read_bytes()
    monkeypatch.chdir(folder)

    def fails(*words):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 1 and result.stderr.startswith("Error: "), result.output
        return result.stderr

    def succeeds(*words):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.stdout

    for words in ("firmware build", "firmware run", "export c --output x"):
        assert "notebook own_sensor.ipynb makes it" in fails(*words.split())
    assert "nothing to catch up with" in fails("catch-up", "05")
    assert "one notebook, own_sensor.ipynb" in fails("run", "--only", "02")
    assert "There are no executed notebooks" in fails("report")
    assert "The notebooks themselves lie in that folder" in fails("run", "--output", ".")
    assert succeeds("reset") == "Nothing to remove: this project has no results.\n"

    assert "own_sensor" in succeeds("run")
    record = json.loads((folder / "output" / "run.json").read_text())
    assert [row["name"] for row in record["notebooks"]] == ["own_sensor"]
    assert record["parameters"] == {"own_sensor": {"CSV": "mine.csv"}} and not record["metrics"]
    assert f"mine.csv {CSV}" in printed(folder / "output" / paths.OWN_NOTEBOOK)
    assert "up to date" in succeeds("run", "--resume")
    page = folder / "output" / "report.html"
    page.unlink()
    assert str(page) in succeeds("report") and page.is_file()
    (folder / "mine.csv").write_text(CSV + "100,10\n", encoding="utf-8")
    assert "up to date" not in succeeds("run", "--resume")
    model = folder / "models" / "own_sensor" / "model.cc"
    assert "int8" in succeeds("model", str(model))

    assert "models/own_sensor/model.cc" in succeeds("reset")
    assert not model.exists() and (folder / paths.OWN_NOTEBOOK).read_bytes() == notebook
    (copy,) = (folder / "backup").rglob("model.cc")
    assert c_source.read(copy) == c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
    (folder / paths.OWN_NOTEBOOK).write_text("{")
    assert "workshop new makes another one" in fails("run")
    (folder / paths.OWN_NOTEBOOK).unlink()
    assert "own_sensor.ipynb is missing" in fails("run")


def test_the_firmware_takes_the_projects_model(monkeypatch, where, data):
    content = tflite_factory.halfway_int8()
    scaffold.make("new", data)
    folder = where / "new"
    files.write(folder / "models" / "own_sensor" / "model.cc", c_source.to_c_source(content))
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, ["firmware", "sweep", "--csv", "answers.csv"])
    assert result.exit_code == 0, result.output
    (image,) = (folder / "firmware" / "images").glob("*-sweep.elf")
    assert content in image.read_bytes()
    assert len((folder / "answers.csv").read_text().splitlines()) == 257


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_commands_of_its_page_work_as_they_stand(where, data):
    folder = where / 'it\'s my "first" one'
    data.rename(where / "my own.csv")
    scaffold.make(folder, where / "my own.csv")
    lab, run, on_the_chip = commands(folder)
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(where / "jupyter")}

    def call(command):
        result = subprocess.run(["bash", "-c", command], cwd=folder, env=environment,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                timeout=HUNG)  # fmt: skip
        assert result.returncode == 0, result.stderr
        return result.stdout

    assert str(folder / "output" / "report.html") in call(run)
    assert "temperature" in call(on_the_chip)
    options = "--no-browser --allow-root --ServerApp.ip=127.0.0.1 --ServerApp.port=0"
    options += " --IdentityProvider.token=secret"
    server = subprocess.Popen(["bash", "-c", f"exec {lab} {options}"], cwd=folder,
                              env=environment, stderr=subprocess.PIPE, text=True)  # fmt: skip
    try:
        said = iter(server.stderr.readline, "")
        address = r"(http://127\.0\.0\.1:[1-9]\d*)/lab"
        found = next(filter(None, (re.search(address, line) for line in said)))
        request = urllib.request.Request(
            f"{found[1]}/api/contents/own_sensor.ipynb", headers={"Authorization": "token secret"}
        )
        for _ in range(10 * HUNG):  # It says where it is before it answers.
            with contextlib.suppress(urllib.error.URLError):
                with urllib.request.urlopen(request, timeout=HUNG) as answer:
                    shown = json.load(answer)["content"]["cells"][0]["source"]
                break
            time.sleep(0.1)
        assert shown == 'CSV = "my own.csv"'
    finally:
        server.terminate()
        server.communicate(timeout=HUNG)


def test_a_home_that_is_set_is_said(where, data, home):
    result = CliRunner().invoke(main, ["new", "new", "--data", str(data)])
    assert result.exit_code == 0 and str(home.path) in result.stderr
    assert "WORKSHOP_HOME is set" in result.stderr
