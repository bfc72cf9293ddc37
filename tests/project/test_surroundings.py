"""The course where things are not as they should be: full disks, no HOME, odd paths, signals.

`running/test_course.py` runs it without network.
"""

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import HUNG
from surroundings import apart, call, environment

from workshop_utils import c_source, files, paths

WORKSHOP = [sys.executable, "-m", "workshop_utils.cli"]
RUN = [*WORKSHOP, "run", "--only", "02"]


def is_one_sentence(result, *words):
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    (line,) = result.stderr.strip().splitlines()
    for word in ("Error: ", *words):
        assert word in line, line


def test_a_project_in_a_folder_with_spaces_and_umlauts(tmp_path):
    """The firmware too: its sources, tool chain files and build folder all lie below that path."""
    project = tmp_path / "Kurs für Anfänger"
    ignore = shutil.ignore_patterns("build", "images", "__pycache__", "model.cc")
    for folder in ("workshop_utils", "notebooks", "firmware"):
        shutil.copytree(paths.PROJECT / folder, project / folder, ignore=ignore)
    reference = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
    (project / "model.tflite").write_bytes(reference)
    command = [sys.executable, "-m", "workshop_utils.cli", "firmware", "sweep"]
    command += ["--model", project / "model.tflite", "--csv", project / "answers of the chip.csv"]
    for env in ({}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        result = call(command, "", cwd=project, env={"PYTHONPATH": str(project), **env})
        assert result.returncode == 0, result.stderr
    assert len((project / "answers of the chip.csv").read_text().splitlines()) == 257


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ("-t tmpfs -o size=8k none", ["Cannot write", "No space left on device"]),
        ("-o bind,ro /usr", ["Read-only file system"]),
    ],
)
def test_a_full_disk_or_a_read_only_folder_is_one_sentence(tmp_path, mount, words):
    script = f'mount {mount} "$1" 2>/dev/null || exit 99; shift; exec "$@"'
    output = tmp_path / "output"
    home = tmp_path / "home"
    home.mkdir()
    result = apart(script, home, *RUN, "--output", output, home=home)
    if result is None:
        pytest.skip("this user may not mount")
    if "Cannot write" in words:  # a cell failed, so there is an executed copy, in another folder
        copy = f"\nThe executed copy is {output / '02_dataset.ipynb'}.\n"
        assert result.stderr.endswith(copy)
        result.stderr = result.stderr.removesuffix(copy)
    is_one_sentence(result, *words)


def test_a_second_run_says_that_another_is_at_work(tmp_path):
    (tmp_path / "models").mkdir()
    with files.locked(tmp_path / "models" / ".run.lock", "busy"):
        is_one_sentence(call(RUN, tmp_path), "Another run of the course is at work", str(tmp_path))
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {".run.lock"}
    # Whoever takes the same lock afterwards gets it.
    assert call([*WORKSHOP, "catch-up", "03"], tmp_path).returncode == 0


@pytest.mark.parametrize(
    "words", [["catch-up", "05"], ["reset"], ["sweep", "x.yml", "--output", "s"]]
)
def test_commands_that_write_into_a_home_exclude_one_another(tmp_path, words):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.keras").write_text("mine")
    spec = "mode: grid\nparameters: {EPOCHS: 1}\n"
    (tmp_path / "x.yml").write_text(spec)
    before = (paths.NOTEBOOKS_DIR / "02_dataset.ipynb").read_bytes()
    with files.locked(tmp_path / "models" / ".run.lock", "busy"):
        is_one_sentence(call([*WORKSHOP, *words], tmp_path, cwd=tmp_path), "is at work")
    assert [path.name for path in (tmp_path / "models").glob("[a-z]*")] == ["model.keras"]
    assert not (tmp_path / "s").exists()
    assert (paths.NOTEBOOKS_DIR / "02_dataset.ipynb").read_bytes() == before


def test_killed_runs_leave_whole_files_and_no_lock(tmp_path):
    """The cheapest notebook, killed a few times; benchmarks/kill.py does it with all of them."""
    result = call([sys.executable, paths.PROJECT / "benchmarks" / "kill.py",
                   "--trials", "2", "--only", "02"], tmp_path)  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("the next run succeeded") == 2
    assert "2 kills, 0 with damage" in result.stdout


SPEC = "mode: grid\nparameters: {SEED: {min: 1, max: 9}}\n"
# A command, the line after which to end it, how many seconds later, and by which signal. A while
# after its line it is somewhere in what it does; wherever that is, the outcome is the same.
ENDED = [
    (["run", "--from", "02"], "[1/", 1, signal.SIGINT),
    (["run", "--from", "02"], "[1/", 0.3, signal.SIGTERM),
    (["catch-up", "05", "--run"], "running 03", 1.5, signal.SIGTERM),
    (["catch-up", "05", "--run"], "running 03", 0.6, signal.SIGHUP),
    (["sweep", "spec.yml", "--output", "out", "--workers", "2"], "9 runs", 1, signal.SIGTERM),
    (["firmware", "sweep", "--csv", "x.csv"], "", 0, signal.SIGQUIT),
    (["doctor", "--json"], "", 0, signal.SIGTERM),
]


def heed_signals():
    """For a new process: shells let what they start in the background ignore these two."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc to look for children")
@pytest.mark.parametrize(("words", "line", "seconds", "number"), ENDED, ids=str)
def test_a_command_that_a_signal_ends_leaves_nothing_behind(tmp_path, words, line, seconds, number):
    """No process, and no temporary file, TensorFlow's included."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    (home / "spec.yml").write_text(SPEC)
    command = subprocess.Popen([*WORKSHOP, *words], cwd=home, stdout=subprocess.PIPE,
                               env=environment(home, TMPDIR=str(temporary)),
                               stderr=subprocess.PIPE, text=True,
                               preexec_fn=heed_signals)  # fmt: skip
    while line and not command.stdout.readline().startswith(line):
        assert command.poll() is None, command.stderr.read()
    if line:
        time.sleep(seconds)
    else:
        while len(children_with(str(home))) < 2:  # the command itself, and what it has started
            assert command.poll() is None, "It ended before it could be ended."
    command.send_signal(number)
    _, errors = command.communicate(timeout=HUNG)
    if number != signal.SIGINT:
        assert command.returncode == 128 + number
    assert command.returncode != 0 and "Traceback" not in errors, errors
    assert not children_with(str(home))
    assert list(temporary.iterdir()) == []


def children_with(home):
    """Processes whose environment names this WORKSHOP_HOME."""
    found = []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"WORKSHOP_HOME={home}".encode() in file.read_bytes().split(b"\0"):
                found.append(file.parent.name)
    return found
