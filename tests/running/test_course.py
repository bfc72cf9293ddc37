import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
import truth
from click.testing import CliRunner
from notebook_factory import printed, solutions, write_notebook, write_solved
from surroundings import apart, call

from workshop_utils import files, paths
from workshop_utils.cli import main
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import course, notebooks, records


def test_run_gives_each_notebook_its_own_parameters(small_course, tmp_path):
    output, lines = tmp_path / "out", []
    page = course.run(
        notebooks.select(), {"SEED": "5", "RATE": "2"}, output, lines.append, home=Home(tmp_path)
    )
    assert printed(output / "01_first.ipynb") == "5 2.0\n"
    assert printed(output / "02_second.ipynb") == "second 5\n"
    assert len(lines) == 2 and all(re.search(r"ok +\d+\.\d s", line) for line in lines)
    assert "second 5" in page.read_text()
    assert sorted(path.name for path in output.glob("[!.]*")) == [
        "01_first.ipynb",
        "02_second.ipynb",
        "report.html",
        "run.json",
    ]


def test_a_failing_cell_is_named_and_the_copy_is_kept(small_course, tmp_path):
    write_notebook(small_course / "02_second.ipynb", "x = 1", "assert x == 2, 'x should be 2'")
    write_notebook(small_course / "03_third.ipynb", "print('never')")
    runner = CliRunner()
    result = runner.invoke(main, ["run", "--output", str(tmp_path / "out")])
    assert result.exit_code == 1
    *_, error, copy = result.stderr.splitlines()
    assert error == "Error: 02_second.ipynb, cell In [2]: AssertionError: x should be 2"
    assert copy == f"The executed copy is {tmp_path / 'out' / '02_second.ipynb'}."
    assert "Traceback" not in result.output
    assert (tmp_path / "out" / "02_second.ipynb").exists()
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "03_third.ipynb").exists()
    record = records.read(tmp_path / "out")
    assert [row["status"] for row in record["notebooks"]] == ["ok", "failed", "not run"]
    assert record["finished"] and "x should be 2" in record["failure"]


MEET = """
import pathlib, time
here = pathlib.Path("there-{}")
here.touch()
until = time.monotonic() + 300
while not pathlib.Path("there-{}").exists():
    assert time.monotonic() < until, "The other one does not come."
    time.sleep(0.01)
"""


def write_pair(folder, *ends):
    """02_x and 03_x, which wait for each other and then do what `ends` says."""
    (folder / "02_second.ipynb").unlink()
    for own, other, end in zip(("02", "03"), ("03", "02"), ends, strict=True):
        write_notebook(folder / f"{own}_x.ipynb", MEET.format(own, other), end, needs="notebook 1")


def test_two_run_at_a_time_and_each_after_what_it_needs(small_course, tmp_path):
    """02 and 03 wait for each other, then 02 for 04, and 04 for 03. Each is said when it ends."""
    write_pair(small_course, "while not pathlib.Path('there-04').exists(): time.sleep(0.01)", "1")
    last = "import pathlib; pathlib.Path('there-04').touch(); print('last')"
    write_notebook(small_course / "04_last.ipynb", last, needs="notebook 3")
    lines, before = [], Path.cwd()
    page = course.run(notebooks.select(), {}, tmp_path / "out", lines.append)
    said = [" ".join(line.split()[:3]) for line in lines]
    assert said[:2] == ["[1/4] 01_first ok", "[3/4] 03_x ok"]
    assert sorted(said[2:]) == ["[2/4] 02_x ok", "[4/4] 04_last ok"]
    assert "last" in page.read_text() and Path.cwd() == before
    assert [row["status"] for row in records.read(tmp_path / "out")["notebooks"]] == ["ok"] * 4


BROKEN, WHOLE = "raise ValueError('broken')", "print('to the end')"


@pytest.mark.parametrize("failing", [["02"], ["03"], ["02", "03"]])
def test_what_runs_beside_one_that_fails_ends_and_nothing_else_begins(
    small_course, tmp_path, failing
):
    write_pair(small_course, *(BROKEN if one in failing else WHOLE for one in ("02", "03")))
    write_notebook(small_course / "04_last.ipynb", "1", needs="notebooks 2 and 3")
    out, lines = tmp_path / "out", []
    with pytest.raises(WorkshopError) as failed:
        course.run(notebooks.select(), {}, out, lines.append)
    sentences = str(failed.value).splitlines()
    for number in failing:
        copy = out / f"{number}_x.ipynb"
        assert sentences.pop(0) == f"{copy.name}, cell In [2]: ValueError: broken"
        assert sentences.pop(0) == f"The executed copy is {copy}."
    assert not sentences and not (out / "04_last.ipynb").exists()
    words = {row["name"][:2]: row["status"] for row in records.read(out)["notebooks"]}
    ends = {number: "failed" if number in failing else "ok" for number in ("02", "03")}
    assert words == {"01": "ok", "04": "not run", **ends}
    assert {line.split()[0]: line.split()[2] for line in lines} == {
        "[1/4]": "ok",
        "[2/4]": ends["02"],
        "[3/4]": ends["03"],
    }
    page = (out / "report.html").read_text()
    assert "broken" in page and ("to the end" in page) == (len(failing) == 1)


def test_whatever_ends_a_run_ends_its_kernels_and_replaces_nothing(small_course, tmp_path, capfd):
    """As Ctrl-C does while two of them are at work."""
    write_pair(small_course, *["time.sleep(1000)"] * 2)
    before = set(psutil.Process().children(recursive=True))

    def interrupt():
        both = [small_course / "there-02", small_course / "there-03"]
        while not all(path.exists() for path in both):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    lines = []
    with pytest.raises(KeyboardInterrupt):
        course.run(notebooks.select(), {}, tmp_path / "out", lines.append)
    assert len(lines) == 1
    words = [row["status"] for row in records.read(tmp_path / "out")["notebooks"]]
    assert words == ["ok", "not run", "not run"]
    assert set(psutil.Process().children(recursive=True)) <= before
    assert [path.name for path in (tmp_path / "out").glob("*.ipynb")] == ["01_first.ipynb"]
    assert capfd.readouterr().err == ""
    with files.artifacts_locked():
        pass


def test_no_notebook_begins_once_the_run_is_to_end(small_course, tmp_path, monkeypatch):
    """Not even one whose kernel was starting then, as with --resume."""
    write_notebook(small_course / "02_second.ipynb", "open('there', 'w')", needs="nothing")
    runs, start, prepare = [], course.Kernel, course._Run.__init__

    def prepared(run, *arguments):
        runs.append(run)
        prepare(run, *arguments)

    def started(notebook, *arguments):
        until = time.monotonic() + 300
        while notebook.stem == "02_second" and not runs[0]._ends.is_set():
            assert time.monotonic() < until
            time.sleep(0.01)
        return start(notebook, *arguments)

    def say(line):
        raise KeyboardInterrupt

    monkeypatch.setattr(course._Run, "__init__", prepared)
    monkeypatch.setattr(course, "Kernel", started)
    with pytest.raises(KeyboardInterrupt):
        course.run(notebooks.select(), {}, tmp_path / "out", say, resume=True)
    assert not (small_course / "there").exists()


def test_two_runs_do_not_share_a_folder(small_course, tmp_path):
    out = tmp_path / "out"
    course.run(notebooks.select(only="01"), {}, out, say=lambda line: None)
    with (
        files.locked(out / ".run.lock", "not now"),
        pytest.raises(WorkshopError, match=r"Another run is at work in .*out; choose another"),
    ):
        course.run(notebooks.select(), {}, out, say=lambda line: None, home=Home(tmp_path / "x"))


def test_bars_and_lines_share_a_terminal(small_course, tmp_path):
    """Two bars at a time; each line that is said stands by itself."""
    write_pair(small_course, "1", "1")
    program = "import pathlib; from workshop_utils import cli, paths; "
    program += f"paths.NOTEBOOKS_DIR = pathlib.Path({str(small_course)!r}); cli.main()"
    ours, theirs = pytest.importorskip("pty").openpty()
    fcntl, termios = map(pytest.importorskip, ("fcntl", "termios"))
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))
    environment = {**os.environ, "WORKSHOP_HOME": str(tmp_path), "TERM": "xterm"}
    command = [sys.executable, "-c", program, "run"]
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # its end
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    assert running.returncode == 0
    lines = screen(shown.decode())
    assert sorted(" ".join(line.split()[:3]) for line in lines[:3]) == [
        "[1/3] 01_first ok",
        "[2/3] 02_x ok",
        "[3/3] 03_x ok",
    ]
    assert all(line.endswith(" s") for line in lines[:3])
    assert lines[3].startswith("The executed notebooks are in") and len(lines) == 4
    assert "cells" in shown.decode() and "\x1b[A" in shown.decode(), "two bars, one below the other"


def screen(text):
    """The lines that a terminal shows in the end: of \r, \n and the cursor up, which tqdm uses."""
    lines, row, column = [""], 0, 0
    for sign in re.findall(r"\x1b\[A|.|\r|\n", text):
        if sign == "\x1b[A":
            row -= 1
        elif sign == "\r":
            column = 0
        elif sign == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            line = lines[row].ljust(column)
            lines[row] = line[:column] + sign + line[column + 1 :]
            column += 1
    return [line.rstrip() for line in lines if line.strip()]


def test_a_kernel_that_dies_is_one_sentence(small_course, tmp_path):
    write_notebook(small_course / "01_first.ipynb", "import os; os._exit(1)")
    with pytest.raises(WorkshopError, match=r"01_first\.ipynb: the kernel died"):
        course.run(notebooks.select(only="01"), {}, tmp_path / "out", lambda line: None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "100"], "There is no notebook 100"),
        (["--from", "2", "--only", "3"], "Give --only, or --from and --to, not both."),
        (["--to", "100"], "There is no notebook 100"),
        (["-p", "EPOCH", "5"], "There is no parameter EPOCH; these notebooks have: ARENA_MISSING,"),
        (["-p", "EPOCHS", "five"], "EPOCHS must be a whole number"),
        (["--only", "2", "-p", "EPOCHS", "5"], "There is no parameter EPOCHS"),
    ],
)
def test_bad_commands(arguments, words, tmp_path):
    result = CliRunner().invoke(main, ["run", "--output", str(tmp_path / "out"), *arguments])
    assert result.exit_code != 0
    assert words in result.stderr and result.stdout == ""
    assert not (tmp_path / "out").exists(), "Something ran before the arguments were checked."


def test_all_values_that_a_notebook_would_refuse_in_one_sentence_each(tmp_path):
    """Notebook 6 is the sixth, and 8 checks with a helper of the sweeps; both are asked at once."""
    wrong = {"CYCLES": 11, "WORKERS": 65, "EPOCHS": 0, "NOISE": "much", "ARENA_MISSING": 0, "X": 1}
    words = [f"-p{name}={value}" for name, value in wrong.items()]
    result = CliRunner().invoke(main, ["run", "--output", str(tmp_path / "out"), *words])
    assert result.exit_code == 1 and not (tmp_path / "out").exists()
    (line,) = result.stderr.strip().splitlines()
    for name in wrong:
        assert re.search(rf"{name}( is .*, but)? must be |no parameter {name};", line), (name, line)


def test_what_each_check_accepts_is_run(small_course):
    """Statements of other packages, and of names that are no parameters, are left alone."""
    checks = "from workshop_utils import errors as e\nimport os\nos.check_x(SEED)\nN = 3\n"
    checks += 'e.require_int("SEED", SEED, 1, N)\ne.require_int("SEED", SEED, 5, 9)\n!ls'
    write_notebook(small_course / "01_first.ipynb", ("SEED = 6", "parameters"), checks, checks[:-4])
    with pytest.raises(WorkshopError, match="SEED is 4, but must be from 5 to 9"):
        notebooks.check_parameters({"SEED": "4"}, notebooks.select())
    assert notebooks.check_parameters({"SEED": "9"}, notebooks.select()) == {"SEED": 9}


def test_a_picture_is_drawn_for_its_reader_alone(small_course, home):
    """pyplot's own hook would draw it once more, before it is shown."""
    count = "from matplotlib.figure import Figure; drawn = []; draw = Figure.draw\n"
    count += "Figure.draw = lambda *all: (drawn.append(0), draw(*all))"
    picture = "from workshop_utils import plots; axes = plots.new_axes('One', 'x', 'y')"
    again = "cell = len(drawn); plots.png(axes.figure); print(cell, len(drawn) - cell)"
    write_notebook(small_course / "01_first.ipynb", count, picture, again)
    course.run(notebooks.select(only="01"), {}, say=lambda line: None)
    cell, once = printed(home.output_dir / "01_first.ipynb").split()
    assert cell == once != "0"


@pytest.mark.parametrize("value", ["(" * 5000, "9" * 5000, "[" * 100_000, "nan", "1e999", "\0"])
def test_a_value_that_is_no_number_is_one_short_sentence(small_course, value):
    with pytest.raises(WorkshopError) as refused:
        notebooks.check_parameters({"SEED": value}, notebooks.select())
    assert str(refused.value).startswith("SEED must be a whole number") and len(str(refused)) < 300


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "SEED=5", "--resume"],
        ["-p", "SEED", "5", "--resume"],
        ["-pSEED=5", "--resume"],
        ["--parameter", "SEED=5", "--resume"],
        ["--parameter=SEED=5", "--resume"],
        ["--resume", "-p", "SEED=7", "-p", "SEED=5", "-p", "NAME", "a=b"],
        ["-p", "NAME=a=b", "-p", "SEED=5", "--resume"],
    ],
)
def test_a_parameter_and_its_value_in_each_way_of_writing(small_course, home, monkeypatch, words):
    calls = []

    def run(selected, chosen, output, say, **options):
        calls.append((chosen, options["resume"]))
        return home.output_dir / "report.html"

    monkeypatch.setattr(course, "run", run)
    result = CliRunner().invoke(main, ["run", *words])
    assert result.exit_code == 0, result.output
    ((chosen, resume),) = calls
    assert chosen["SEED"] == "5" and resume is True
    assert chosen.get("NAME", "a=b") == "a=b"


@pytest.mark.parametrize("words", [["-p", "SEED"], ["-p", "SEED=5", "6"], ["-p"]])
def test_a_parameter_without_a_value_or_with_two(small_course, home, words):
    assert CliRunner().invoke(main, ["run", *words]).exit_code == 2
    assert not home.output_dir.exists()


CUT = '{"cells": [{"cell_type": "code", "sou'
CONFLICT = '{\n "cells": [\n<<<<<<< HEAD\n =======\n]\n=======\n>>>>>>> mine\n}'

TAGGED = json.dumps(
    {
        "nbformat": 4,
        "metadata": {},
        "cells": [{"cell_type": "code", "source": "", "metadata": {"tags": 5}}],
    }
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (CONFLICT, "could not merge (line 3)"),
        (CUT, "is damaged or cut off"),
        ("[" * 100_000, "is not a notebook"),
        ("[]", "is not a notebook"),
        ('{"cells": {"a": 1}, "metadata": {}}', "is not a notebook"),
        ('{"cells": [{"cell_type": "code", "source": [1], "metadata": {}}]}', "is not a notebook"),
        ('{"worksheets": [], "metadata": {}}', "is not a notebook"),
        ('{"nbformat": 3, "cells": [], "metadata": {}}', "of this format (nbformat 4)"),
        (TAGGED, "is not a notebook"),
        (TAGGED.replace("code", "codes").replace("5", "[]"), "is not a notebook"),
    ],
)
def test_a_notebook_that_is_none_is_one_sentence_before_a_kernel_starts(
    small_course, content, words
):
    (small_course / "02_second.ipynb").write_text(content)
    result = CliRunner().invoke(main, ["run"])
    assert result.exit_code == 1 and result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert "02_second.ipynb" in line and words in line and "workshop reset" in line
    assert line.count("02_second") == 1 and line.count(".ipynb") == 1 and line.endswith("there.")


@pytest.mark.parametrize(
    "slip", ["SEED = 1 +", "SEED = " + "(" * 5000, "SEED = " + "1 + " * 99_999]
)
def test_a_parameters_cell_with_a_slip_is_one_sentence(small_course, slip):
    write_notebook(small_course / "01_first.ipynb", (slip, "parameters"))
    with pytest.raises(WorkshopError, match=r"01_first\.ipynb: the cell with the parameters"):
        notebooks.check_parameters({}, notebooks.select())


@pytest.mark.parametrize("kernel", [{}, {"name": "conda-env-x"}, {"name": "ir", "language": "R"}])
def test_a_notebook_saved_with_another_kernel_runs(small_course, home, kernel):
    metadata = {"kernelspec": {**kernel, "display_name": "Other"}} if kernel else {}
    path = small_course / "01_first.ipynb"
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"metadata": metadata}))
    course.run(notebooks.select(only="01"), {"SEED": 4}, say=lambda line: None)
    assert printed(home.output_dir / "01_first.ipynb") == "4 0.5\n"


def test_a_run_replaces_its_own_files_and_nothing_else(small_course, tmp_path, home):
    output = tmp_path / "out"
    result = CliRunner().invoke(main, ["run", "--output", str(small_course)])
    assert result.exit_code == 1 and "notebooks themselves" in result.stderr
    for _ in range(2):  # and then over its own
        course.run(notebooks.select(only="01"), {}, output, lambda line: None)
    for name in ("01_first.ipynb", "run.json", "report.html"):
        own = (output / name).read_bytes()
        mine = (small_course / name).read_text() if name.endswith("ipynb") else "{}"
        (output / name).write_text(mine)
        result = CliRunner().invoke(main, ["run", "--output", str(output)])
        assert result.exit_code == 1 and result.stdout == ""
        assert f"{name} is there already" in result.stderr
        assert (output / name).read_text() == mine
        (output / name).write_bytes(own)


def test_an_output_folder_that_cannot_be_made(small_course, tmp_path):
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(main, ["run", "--output", str(tmp_path / "file" / "out")])
    assert result.exit_code == 1 and "Cannot make the folder" in result.stderr


@pytest.mark.parametrize("command", [[], ["run"]])
def test_help(command):
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0 and "Usage" in result.stdout


# The command with something done before; its first argument is the folder to take for notebooks/.
PROGRAM = "import pathlib, sys; from workshop_utils import cli, paths; "
PROGRAM += "from workshop_utils.running import fork; {}"
PROGRAM += "paths.NOTEBOOKS_DIR = pathlib.Path(sys.argv.pop(1)); cli.main()"


def workshop(home, *arguments, course=paths.NOTEBOOKS_DIR):
    """The command in a process of its own. course: the folder that it takes for notebooks/."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(""), course, *arguments],
        env={**os.environ, "WORKSHOP_HOME": str(home)},
        capture_output=True,
        text=True,
    )


def test_a_missing_artifact_names_the_notebook_and_the_command(home):
    """On the terminal; and the notebook shows the sentence alone."""
    result = CliRunner().invoke(main, ["run", "--only", "06"])
    assert result.exit_code == 1
    assert "06_microcontroller.ipynb, cell In [3]: MissingArtifact" in result.stderr
    assert "notebook 05_tensorflow_lite.ipynb makes it" in result.stderr
    assert "workshop catch-up 06" in result.stderr
    assert "Traceback" not in result.stderr
    copy = nbformat.read(home.output_dir / "06_microcontroller.ipynb", as_version=4)
    (error,) = [o for c in copy.cells for o in c.get("outputs", []) if o.output_type == "error"]
    assert len(error.traceback) == 1 and "is missing" in error.traceback[0]


@pytest.fixture(scope="module")
def changed_run(tmp_path_factory):
    """The whole course with too little of everything, in a folder with a difficult name."""
    home = tmp_path_factory.mktemp("ein zweiter Übungskurs")
    chosen = {"SEED": 7, "EPOCHS": 1, "SAMPLES": 200, "NOISE": 0.3, "BATCH_SIZE": 256, "WORKERS": 1}
    arguments = [word for name, value in chosen.items() for word in ("-p", name, str(value))]
    before = snapshot(paths.PROJECT)
    solved = tmp_path_factory.mktemp("solved")
    for path in notebooks.select():
        write_solved(path, solved / path.name)
        truth.with_claims(solved / path.name, solved / path.name, chosen)
    result = workshop(home, "run", *arguments, course=solved)
    words = arguments[:-3]  # those without WORKERS, which is of notebook 9
    return SimpleNamespace(home=home, course=solved, result=result, before=before, words=words)


def snapshot(folder):
    """Every file that git does not ignore, with its time of change."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=folder,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    files = [folder / name for name in listed if name]
    files += [folder / "firmware" / "model" / "model.cc", folder / "models", folder / "output"]
    return {file: file.stat().st_mtime_ns for file in files if file.exists()}


def test_papermill_with_other_parameters(changed_run):
    home, result = changed_run.home, changed_run.result
    assert result.returncode == 0, result.stderr
    every = notebooks.select()
    assert f"[{len(every)}/{len(every)}] {every[-1].stem}" in result.stdout
    output = home / "output"
    assert f"the page to read is {output / 'report.html'}" in result.stdout
    assert "120 samples" in printed(output / "02_dataset.ipynb")
    history = json.loads((home / "models" / "model.history.json").read_text())
    assert len(history["val_loss"]) == 1


def test_a_run_that_does_not_learn_says_so_and_why(changed_run):
    output = changed_run.home / "output"
    larger = printed(output / "04_larger_model.ipynb")
    assert "Does the larger model draw a sine? No." in larger
    assert "Training ended too early: the loss, " in larger
    quantized = printed(output / "05_tensorflow_lite.ipynb")
    assert "the model draws a sine: False" in quantized
    assert "no conversion can mend that" in quantized


def test_a_run_contradicts_no_claim(changed_run):
    claims = truth.found(changed_run.home / "output")
    assert len(claims) == sum(map(len, truth.CLAIMS.values()))
    assert not [claim for claim, holds in claims.items() if not holds]


def test_the_solutions_are_right_whatever_the_parameters_are(changed_run):
    for path in sorted((changed_run.home / "output").glob("*.ipynb")):
        if not notebooks.tagged_source(path, "exercise"):
            continue
        lines = printed(path).splitlines()
        asked = [line for line in lines if line.startswith("Your turn: ")]
        right = [line for line in lines if line.startswith("Right: ")]
        assert len(asked) == len(notebooks.tagged_source(path, "exercise")), path.name
        assert len(right) == len(solutions(path)) > 0, path.name


@pytest.fixture(scope="module")
def run_again(changed_run, tmp_path_factory):
    """A second run of 02 to 06, with as little as they need: without HOME, locale, terminal, forked
    kernels, TFLM and, where this user may do without, network.

    A package that fails to import stands in for a platform where there is no such package. Returns
    what `call` does, the run's home, its folder of temporary files, and whether it had no network.
    """
    folder = tmp_path_factory.mktemp("again")
    home, temporary = folder / "Übungen für Anfänger", folder / "tmp"
    temporary.mkdir()
    package = folder / "fake" / "tflite_micro" / "__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("raise ImportError('no package here')\n")
    command = [sys.executable, "-c", PROGRAM.format("fork.SOUND = False; "), changed_run.course]
    command += ["run", "--from", "02", "--to", "06", *changed_run.words]
    env = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "TMPDIR": str(temporary)}
    env["PYTHONPATH"] = os.pathsep.join([str(folder / "fake"), str(paths.PROJECT)])
    script = 'ip link set lo up 2>/dev/null || exit 99; exec "$@"'
    result = apart(script, *command, home=home, isolated="--net", env=env)
    return result or call(command, home, env=env), home, temporary, bool(result)


def test_bare_environment(run_again):
    """A folder with spaces and umlauts, too; and no temporary file stays, TensorFlow's included."""
    result, home, temporary, _ = run_again
    assert (result.returncode, result.stderr) == (0, "")
    assert (home / "models" / "dataset.npz").is_file()
    assert (home / "models" / "small_model.keras").is_file()
    assert list(temporary.iterdir()) == []


def test_without_network(run_again):
    result, *_, isolated = run_again
    if not isolated:
        pytest.skip("this user may not take away the network")
    assert result.returncode == 0, result.stderr


def made(home):
    """What a run left that is to be the same: artifacts, weights, what notebook 4 said and drew."""
    found = {path.name: path.read_bytes() for path in (home / "models").glob("model*")}
    with zipfile.ZipFile(home / "models" / "model.keras") as archive:  # which holds the time
        found["model.keras"] = archive.read("model.weights.h5")
    copy = nbformat.read(home / "output" / "04_larger_model.ipynb", as_version=4)
    return found | {"outputs": [cell.get("outputs") for cell in copy.cells]}


def test_the_same_seed_makes_the_same_bytes(changed_run, run_again):
    """Forked kernels or not."""
    first, again = made(changed_run.home), made(run_again[1])
    assert len(first) == 6 and first.keys() == again.keys()
    for name, content in first.items():
        assert again[name] == content, name


def test_without_tflm_the_notebooks_go_on(run_again):
    for name in ("05_tensorflow_lite", "06_microcontroller"):
        said = printed(run_again[1] / "output" / f"{name}.ipynb")
        assert "has no Python package for this machine" in said
    assert "of 256 answers of the chip equal those of LiteRT" in said


def test_the_run_says_nothing_on_stderr(changed_run):
    assert changed_run.result.stderr == ""


def test_executed_copies_hold_no_noise(changed_run):
    for path in sorted((changed_run.home / "output").glob("*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.get("name") != "stderr", (path.name, output)
                text = output.get("text", "") + output.get("data", {}).get("text/plain", "")
                assert "\r" not in text and "/tmp/" not in text and "Warning" not in text


def test_with_workshop_home_the_checkout_stays_untouched(changed_run):
    assert snapshot(paths.PROJECT) == changed_run.before
    assert (changed_run.home / "firmware" / "model" / "model.cc").is_file()


def test_the_page_needs_nothing_from_elsewhere(changed_run):
    page = (changed_run.home / "output" / "report.html").read_text()
    assert not re.findall(r'<(?:script|img|iframe)[^>]*src="(?!data:)[^"]+"', page)
    assert not re.findall(r'<link[^>]*href="(?!data:)[^"]+"', page)
    assert "import(" not in page and "@import" not in page
    for number, path in notebooks.notebooks().items():
        assert f'id="{path.stem}"' in page, number
    folded = [one for path in notebooks.select() for one in solutions(path)]
    assert page.count("<summary>Solution</summary>") == len(folded) > 3
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page, target
    assert not re.findall(r'href="(?!#|https://)[^"]+"', page)


def test_the_record_says_what_the_notebooks_say(changed_run):
    output = changed_run.home / "output"
    record = records.read(output)
    assert record["finished"] and record["failure"] is None
    assert {row["status"] for row in record["notebooks"]} == {"ok"}
    assert record["parameters"]["02_dataset"] == {"SEED": 7, "SAMPLES": 200, "NOISE": 0.3}
    shown = "".join(
        result["data"].get("text/plain", "")
        for name in ("05_tensorflow_lite", "06_microcontroller")
        for cell in nbformat.read(output / f"{name}.ipynb", as_version=4).cells
        for result in cell.get("outputs", [])
        if result.output_type == "execute_result"
    )
    metrics = record["metrics"]
    for label, name, style in (
        ("TFLite float", "test_mse_float", ".4f"),
        ("TFLite int8", "test_mse_int8", ".4f"),
        ("TFLite int8, per tensor", "int8_bytes", "d"),
        ("flash", "flash_bytes", ",d"),
        ("RAM, stack included", "ram_bytes", ",d"),
        ("instructions per inference", "instructions", ",.0f"),
    ):
        assert re.search(rf"{label} +{metrics[name]:{style}}\b", shown), (name, shown)
    history = json.loads((changed_run.home / "models" / "model.history.json").read_text())
    assert metrics["val_loss"] == history["val_loss"][-1]
    if "equal_answers" in metrics:
        assert metrics["equal_answers"] == 256


def test_copies_and_page_are_small(changed_run):
    output = changed_run.home / "output"
    assert sum(path.stat().st_size for path in output.glob("*.ipynb")) < 1_000_000
    assert (output / "report.html").stat().st_size < 2_000_000


def test_running_from_elsewhere_writes_to_the_home(small_course, tmp_path):
    assert (
        paths.OUTPUT_DIR.is_absolute()
        and Path(paths.display_path(paths.DATASET)).parts[0] == "models"
    )
