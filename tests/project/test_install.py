"""install.sh: what it does, what it says when it cannot, and that a killed run does no harm.

Most tests run a copy of install.sh in a folder of their own, with stand-ins for Python, pip and uv
that take no time and fail or hang when told to. The last ones use the real pip and uv with tiny
packages. None needs the network.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from install_factory import LOCK, PYPROJECT, STAGES, Course, finish, real_course

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="install.sh needs a POSIX bash"
)

ROOT = Path(__file__).resolve().parents[2]


def one_sentence(result):
    """The one line on stderr that says what is wrong, after a tool's own last lines."""
    assert result.returncode not in (0, None), result
    said = [line for line in result.stderr.splitlines() if line.startswith("install.sh: ")]
    assert len(said) == 1 and result.stderr.splitlines()[-1] == said[0], result.stderr
    assert len(said[0]) < 800 and "install.sh: line" not in result.stderr
    return said[0]


@pytest.fixture
def course(tmp_path):
    return Course(tmp_path)


@pytest.fixture
def real(tmp_path):
    return real_course(tmp_path)


@pytest.fixture
def ready(course):
    """A course that is set up, with a file in its .venv by which to know it again."""
    result = course.run()
    assert result.returncode == 0, result.stderr
    course.stages()
    (course.venv / "mine").touch()
    return course


# ------------------------------------------------------------------ setting up


def test_first_call_sets_up(course):
    result = course.run(PYTHONDONTWRITEBYTECODE=1, FREE_KB=1024 * 100)
    assert result.returncode == 0, result.stderr
    assert "100 MB are free here" in result.stderr
    assert "./install.sh --lab" in result.stdout and "./install.sh --run" in result.stdout
    assert "Python 3.11.7" in result.stderr and re.search(r"about \d+ MB once", result.stderr)
    assert course.stages() == STAGES
    assert (course.venv / "packages").read_text() == LOCK
    assert (course.base / "calls.settings").read_text().split()[-1] == "unset"
    assert course.left() == []


def test_second_call_does_nothing_and_is_quick(ready):
    os.utime(ready.lock, (1, 1))  # a new time stamp is no change
    start = time.monotonic()
    result = ready.run(cwd="/")
    assert time.monotonic() - start < 3
    assert result.returncode == 0 and len(result.stdout.splitlines()) == 1
    assert result.stderr == "" and ready.stages() == []


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_file_is_followed(ready, name):
    file = ready.folder / name
    file.write_text(file.read_text() + "# changed\n")
    assert ready.run().returncode == 0
    assert (ready.venv / "packages").read_text() == ready.lock.read_text()
    assert ready.left() == [] and ready.is_ready()


def test_what_tests_need_comes_with_test_and_stays(ready):
    assert ready.run("--test").returncode == 0
    assert "and tests" in (ready.venv / "packages").read_text()
    assert (ready.venv / "mine").exists()  # added, not made anew
    assert ready.is_ready()
    (ready.folder / "requirements-dev.lock").write_text(LOCK + "# and more tests\n")
    assert ready.run().returncode == 0
    assert "and more tests" in (ready.venv / "packages").read_text()


def test_a_moved_project_rebuilds_and_a_link_to_it_does_not(ready):
    (ready.base / "link").symlink_to(ready.folder)
    folder, ready.folder = ready.folder, ready.base / "link"
    assert ready.is_ready()
    ready.folder = folder.rename(ready.base / "moved")
    assert ready.run().returncode == 0
    assert ready.stages() == STAGES and ready.is_ready()


@pytest.mark.parametrize("harm", ["gone", "broken", "stamp"])
def test_a_damaged_environment_is_made_anew(ready, harm):
    python = ready.venv / "bin/python"
    if harm == "stamp":
        (ready.venv / ".workshop-set-up").write_text("")
    else:
        python.unlink()
    if harm == "broken":
        python.symlink_to("/nowhere/python3")
    assert ready.run().returncode == 0
    assert ready.stages() == STAGES and ready.is_ready()


def test_another_python_rebuilds_when_it_is_asked_for(ready):
    other = ready.python("other", (3, 12, 1))
    assert ready.run(PYTHON=other).returncode == 0
    assert ready.stages() == STAGES
    ready.run(PYTHON=other)
    assert ready.stages() == []
    assert ready.is_ready()  # without a wish, it stays


def test_pip_settings_reach_uv(course):
    settings = course.base / "calls.settings"
    for given, expected in [
        ({"PIP_INDEX_URL": "http://mirror.invalid"}, "http://mirror.invalid"),
        ({"CONFIGURED_INDEX": "http://file.invalid"}, "http://file.invalid"),
        ({"CONFIGURED_INDEX": "http://x.invalid", "UV_DEFAULT_INDEX": "http://own"}, "http://own"),
    ]:
        course.run(**given)
        assert settings.read_text().split()[0] == expected
        shutil.rmtree(course.venv)


def test_set_up_keeps_a_copy_of_the_notebooks(course):
    (course.folder / "notebooks").mkdir()
    notebook = course.folder / "notebooks/01_a.ipynb"
    notebook.write_text("as it came")
    course.run()
    notebook.write_text("changed")
    course.run("--test")
    assert (course.venv / "pristine/01_a.ipynb").read_text() == "as it came"


# ------------------------------------------------------------------ what comes after set-up


def test_modes_pass_on_arguments_folder_and_exit_code(course):
    result = course.run("--run", "-p", "EPOCHS", "2 3", cwd=course.temporary, RUN_CODE=3)
    assert result.stdout == f"ran workshop in {course.temporary} with: run -p EPOCHS 2 3\n"
    assert result.returncode == 3 and "nothing has changed" not in course.run("--run").stdout
    for mode, program in {"--test": "pytest", "--lab": "jupyterlab"}.items():
        result = course.run(mode, "-k", "data", RUN_CODE=4)
        assert result.stdout.startswith(f"ran python in {course.folder} with: -m {program} ")
        assert result.stdout.endswith(" -k data\n") and result.returncode == 4


def test_help_and_unknown_options_set_nothing_up(course):
    for option in ("--help", "-h"):
        result = course.run(option)
        assert result.returncode == 0
        for word in ("--run", "--test", "--lab", "--download", "--offline", "PYTHON="):
            assert word in result.stdout
    for option in ("--bogus", "lab", "-x"):
        result = course.run(option)
        assert result.returncode == 2 and option in one_sentence(result)
    assert not course.venv.exists()


def test_sh_will_do_and_an_empty_folder_is_used(course):
    course.venv.mkdir()
    assert course.run(before=["sh"]).returncode == 0 and course.is_ready()
    course.lock.unlink()
    assert "requirements.lock is missing" in one_sentence(course.run())


# ------------------------------------------------------------------ which Python

OLD, NEW = {"version": (3, 9, 18)}, {"version": (3, 14, 0)}
UNFIT = [
    (OLD, ["3.9.18", "too old", "3.10 to 3.13"]),
    ({"version": (2, 7, 18), "venv": False}, ["2.7.18", "too old", "3.10 to 3.13"]),
    (NEW, ["3.14.0", "too new", "3.10 to 3.13"]),
    ({"version": (3, 12, 1), "bits": 32}, ["3.12.1", "32 bits"]),
    ({"version": (3, 11, 2), "venv": False}, ["3.11.2", "python3-venv", "python3.11-venv"]),
]


@pytest.mark.parametrize("unfit", [unfit for unfit, _ in UNFIT] + [None])
def test_an_unfit_python3_is_passed_over(course, unfit):
    course.python("python3", **unfit) if unfit else course.script(
        "python3", "#!/bin/sh\nexit 127\n"
    )
    course.python("python3.12", (3, 12, 1))
    course.python("python3.10", (3, 10, 13))
    result = course.run()
    assert result.returncode == 0 and "with Python 3.12.1 (" in result.stderr


def test_python_that_is_named_comes_first(course):
    course.python("mine", (3, 13, 0))
    result = course.run(PYTHON="tools/mine")  # from where the caller is
    assert result.returncode == 0 and "Python 3.13.0" in result.stderr


@pytest.mark.parametrize(("unfit", "expected"), UNFIT)
def test_an_unfit_python_is_explained(course, unfit, expected):
    named = course.python("mine", **unfit)
    course.python("python3", **unfit)
    course.message("error: dns error\n")
    for result in (course.run(PYTHON=named), course.run(FAIL="pip"), course.run(FAIL="venv")):
        assert all(word in one_sentence(result) for word in expected)
    assert str(named) in one_sentence(course.run(PYTHON=named))
    assert not course.venv.exists() and course.left() == []


@pytest.mark.parametrize("unfit", [OLD, NEW])
def test_uv_gets_a_python_where_only_an_unfit_one_is(course, unfit):
    course.python("python3", **unfit)
    result = course.run()
    assert result.returncode == 0, result.stderr
    assert course.stages() == STAGES and course.is_ready()


def test_a_named_python_is_checked_even_when_all_is_ready(ready):
    old = ready.python("old", **OLD)
    assert "too old" in one_sentence(ready.run(PYTHON=old))
    assert "mistyped is not a Python that runs" in one_sentence(ready.run(PYTHON="mistyped"))
    assert ready.is_ready()
    shutil.rmtree(ready.venv)
    (ready.tools / "python3").unlink()
    sentence = one_sentence(ready.run())
    assert "No Python was found" in sentence and "3.10 to 3.13" in sentence


# ------------------------------------------------------------------ failing in one sentence

NO_WHEEL = "Because big==1 has no wheels with a matching platform tag, no.\n"


@pytest.mark.parametrize(
    ("stage", "message", "expected"),
    [
        ("boot", "Error: [Errno 13] Permission denied: 'x'\n", "Writing was refused"),
        ("pip", "WARNING: NewConnectionError: connection broken\nERROR: none\n", "No connection"),
        ("pip", "ERROR: ... [SSL: CERTIFICATE_VERIFY_FAILED] ...\n", "certificate was refused"),
        ("venv", "Error: [Errno 30] Read-only file system: 'x'\n", "Writing was refused"),
        ("sync", "cause: No space left on device (os error 28)\n", "disk became full"),
        ("sync", "cause: tunnel error: proxy authorization required\n", "No connection"),
        ("sync", NO_WHEEL, "installing the packages"),
        ("editable", "", "exit code 1"),
    ],
)
def test_a_failing_stage_is_one_sentence_and_the_next_repairs(course, stage, message, expected):
    course.message(message)
    result = course.run(FAIL=stage)
    assert expected in one_sentence(result)
    assert all(line in result.stderr for line in message.splitlines())
    assert not course.venv.exists() and course.left() == []
    assert course.run().returncode == 0 and course.is_ready()


@pytest.mark.parametrize("stage", STAGES)
def test_a_failed_rebuild_leaves_the_old_one(ready, stage):
    ready.message("error: no\n")
    other = ready.python("other", (3, 12, 1))
    one_sentence(ready.run(PYTHON=other, FAIL=stage))
    assert (ready.venv / "mine").exists() and ready.left() == [] and ready.is_ready()


def test_a_failed_change_is_repaired(ready):
    ready.message("error: no\n")
    ready.lock.write_text(LOCK + "# changed\n")
    result = ready.run("--run", FAIL="sync")
    assert "Set-up failed" in one_sentence(result) and result.stdout == ""
    assert (ready.venv / "mine").exists()  # no network, say: what was there stays
    assert ready.run().returncode == 0
    assert ready.stages() == ["sync", *STAGES] and ready.is_ready()


def in_a_mount(course, mount, then):
    """A run where a folder is mounted as told, if this user may mount at all."""
    if not (unshare := shutil.which("unshare")) or not (mounter := shutil.which("mount")):
        pytest.skip("no unshare or mount here")
    script = f"{mounter} {mount} 2>/dev/null || exit 99; {then}"
    before = [unshare, "-rm", shutil.which("sh"), "-c", script, "sh", course.folder]
    result = course.run(before=[*before, course.base / "copy"])
    if result.returncode == 99 or "unshare" in result.stderr:
        pytest.skip("this user may not mount")
    return result


def test_a_folder_that_is_really_read_only(course):
    result = in_a_mount(course, '-o bind,ro "$1" "$1"', '"$1/install.sh"')
    assert "Writing was refused" in one_sentence(result)
    assert course.left() == []


def test_a_disk_that_is_really_full(course):
    # The stand-in for Python fills whatever is left of a small disk.
    shutil.copytree(course.folder, course.base / "copy")
    course.script("df", f'#!/bin/sh\nexec {shutil.which("df")} "$@"\n')
    text = (course.tools / "python3").read_text()
    text = text.replace("stage boot &&", 'stage boot && cat /dev/zero >"$(last "$@").big" &&')
    course.script("python3", text)
    then = 'cp "$2"/* "$1" && "$1/install.sh"; code=$?; ls -A "$1" >"$2/left"; exit $code'
    result = in_a_mount(course, '-t tmpfs -o size=256k none "$1"', then)
    assert "disk became full" in one_sentence(result)
    assert ".venv" not in (course.base / "copy/left").read_text()


# ------------------------------------------------------------------ interrupted and killed


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [*((stage, signal.SIGINT, 130) for stage in STAGES), ("sync", signal.SIGTERM, 143)],
)
def test_an_interrupted_run_cleans_up(course, stage, number, code):
    process = course.start_and_hang(stage)
    process.send_signal(number)
    result = finish(process)
    assert result.returncode == code and "Interrupted" in one_sentence(result)
    assert not course.venv.exists() and course.left() == list(course.temporary.iterdir()) == []
    # Its step was ended too: the next run need not wait for it.
    assert "Another" not in course.run().stderr and course.is_ready()


@pytest.mark.parametrize("stage", STAGES)
def test_after_a_killed_run_the_next_waits_for_its_step_and_starts_over(course, stage):
    process = course.start_and_hang(stage)
    process.kill()
    course.stages()
    following = course.start()
    assert "Another install.sh" in following.stderr.readline()
    assert following.poll() is None and not course.venv.exists()
    course.go_on()
    assert finish(following).returncode == 0
    assert course.stages() == STAGES and course.left() == [] and course.is_ready()
    finish(process)


@pytest.mark.parametrize("ending", ["sigint", "sigkill"])
def test_a_change_that_was_broken_off_is_made_anew(ready, ending):
    ready.lock.write_text(LOCK + "# changed\n")
    process = ready.start_and_hang("sync")
    process.send_signal(signal.SIGINT if ending == "sigint" else signal.SIGKILL)
    ready.go_on()
    finish(process)
    ready.stages()
    assert ready.run().returncode == 0
    assert ready.stages() == STAGES and ready.left() == [] and ready.is_ready()


def test_killed_between_the_two_renames(ready):
    (ready.folder / ".venv.setup").mkdir()
    ready.venv.rename(ready.folder / ".venv.setup/new")
    assert ready.run().returncode == 0
    assert ready.stages() == [] and (ready.venv / "mine").exists() and ready.left() == []


def test_a_run_that_is_killed_at_any_time_does_no_harm(course):
    for number in range(1, 7):
        process = course.start()
        time.sleep(number / 30)
        process.kill()
        process.communicate()
        if number % 2 == 0:
            result = course.run()
            assert result.returncode == 0, result.stderr
            assert course.is_ready() and course.left() == []
            (course.folder / "pyproject.toml").write_text(PYPROJECT + f"# {number}\n")


# ------------------------------------------------------------------ two at once, and strangers


def test_the_second_waits_for_the_first(course):
    first = course.start_and_hang("sync")
    second, third = course.start(), course.start()
    time.sleep(2)
    third.send_signal(signal.SIGINT)  # which leaves the others alone
    assert finish(third).returncode in (130, -2) and second.poll() is None and first.poll() is None
    course.go_on()
    first, second = finish(first), finish(second)
    assert first.returncode == 0, first.stderr
    assert second.returncode == 0 and second.stdout.startswith("Ready")
    assert course.stages() == STAGES  # once, not twice
    assert course.left() == [] and course.is_ready()


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_a_foreign_venv_is_left_alone(course, kind):
    if kind == "folder":
        course.venv.mkdir()
        (course.venv / "mine").touch()
    elif kind == "file":
        course.venv.write_text("mine")
    else:
        course.venv.symlink_to("/nowhere")
    sentence = one_sentence(course.run())
    assert "was not made by install.sh" in sentence and "rename or delete" in sentence
    assert course.venv.is_symlink() or course.venv.exists()
    assert kind != "folder" or (course.venv / "mine").exists()
    assert course.left() == []


def test_shellcheck_finds_nothing():
    scripts = [ROOT / name for name in ("install.sh", "hub/install.sh", ".ci/run", "postBuild")]
    shellcheck = Path(sys.executable).with_name("shellcheck")
    subprocess.run([shellcheck, *scripts], check=True)


# ------------------------------------------------------------------ with the real pip and uv


def test_no_network_and_a_bad_proxy(real):
    proxy = {"HTTP_PROXY": "http://127.0.0.1:9", "UV_INDEX_URL": "http://index.invalid/simple"}
    for settings in (real.offline, real.for_pip, {**real.for_pip, **proxy}):
        assert "No connection to the package index" in one_sentence(real.run(**settings))
        assert not real.venv.exists()


def test_wrong_hashes(real):
    for line in real.lines:
        wrong = re.sub(r"sha256:\w{8}", "sha256:00000000", line)
        real.lock.write_text("".join(real.lines).replace(line, wrong))
        assert "not the one that requirements.lock" in one_sentence(real.run(**real.online))
        assert not real.venv.exists()


def test_all_of_it(real):
    # Some settings of the user's would disturb a virtual environment.
    disturbing = {"PIP_USER": 1, "UV_SYSTEM_PYTHON": 1, "PYTHONDONTWRITEBYTECODE": 1}
    result = real.run("--run", "x", **real.online, **disturbing)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "['run', 'x'] 42\n"
    assert len(list(real.venv.glob("lib/*/site-packages/__pycache__/tiny.*.pyc"))) == 1
    real.folder = real.folder.rename(real.base / "moved")
    assert real.run("--run", **real.online).stdout == "['run'] 42\n" and real.is_ready()


def test_offline(real):
    """In a network namespace of its own, where that is allowed; else with a dead index alone."""
    before = [shutil.which("unshare") or "false", "-rn"]
    allowed = subprocess.run([*before, "true"], capture_output=True).returncode == 0
    for name in ("missing", "empty folder"):
        (real.base / "empty folder").mkdir(exist_ok=True)
        sentence = one_sentence(real.run("--offline", name))
        assert f"There are no packages in {real.base}/{name}" in sentence
    arguments = ["--offline", "wheel house"]
    result = real.run(*arguments, before=before if allowed else [], **real.offline)
    assert result.returncode == 0, result.stderr
    assert real.is_ready() and real.run("--run", "x").stdout == "['run', 'x'] 42\n"
    shutil.rmtree(real.venv)
    (real.wheels / "tiny-1.0-py3-none-any.whl").unlink()
    result = real.run(*arguments, **{**real.offline, "UV_CACHE_DIR": real.base / "other"})
    assert "wheel house lacks a package for Python" in one_sentence(result)
    assert "tiny" in result.stderr and not real.venv.exists()


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="uv takes this Python, so fetches none")
def test_uv_fetches_a_python_from_a_mirror(real):
    """From a folder that plays the mirror, with a script that plays Python 3.12."""
    for version in ("(3, 14, 0)", "(3, 9, 18)"):
        real.script("python3", real.wrap.replace("'$0'", f"'$0'; sys.version_info = {version}"))
        assert "Python 3." in one_sentence(real.run(**real.offline))
    header = "# system configuration generated and used by the sysconfig module\n"
    files = {
        "bin/python3.12": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n',
        "lib/python3.12/_sysconfigdata__linux.py": header + "build_time_vars = {}\n",
    }
    for name, text in files.items():
        file = real.base / "python" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
        file.chmod(0o755)
    with tarfile.open(real.base / "python.tar.gz", "w:gz") as archive:
        archive.add(real.base / "python", "python")
    arch, system = os.uname().machine, sys.platform
    build = {"name": "cpython", "arch": {"family": arch, "variant": None}, "os": system}
    build |= {"libc": "gnu", "major": 3, "minor": 12, "patch": 1, "prerelease": "", "build": "1"}
    build["url"] = (real.base / "python.tar.gz").as_uri()
    build["sha256"] = hashlib.sha256((real.base / "python.tar.gz").read_bytes()).hexdigest()
    (real.base / "builds.json").write_text(
        json.dumps({f"cpython-3.12.1-{system}-{arch}-gnu": build})
    )
    result = real.run(**real.online, UV_PYTHON_DOWNLOADS_JSON_URL=real.base / "builds.json")
    assert result.returncode == 0, result.stderr
    assert (real.folder / ".venv.python").is_dir() and real.is_ready()
