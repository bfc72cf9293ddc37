"""install.sh: what it does, what it says when it cannot, and that a killed run does no harm."""

import functools
import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest
from install_factory import LOCK, PYPROJECT, REAL, STAGE, STAGES, Course, RealCourse, finish, write

pytestmark = pytest.mark.skipif(os.name == "nt", reason="install.sh needs a POSIX bash")
OLD, NEW = {"version": (3, 9, 18)}, {"version": (3, 14, 0)}
UNFIT = [
    (OLD, ["3.9.18", "too old", "3.10 to 3.13"]),
    ({"version": (2, 7, 18), "venv": False}, ["2.7.18", "too old", "3.10 to 3.13"]),
    (NEW, ["3.14.0", "too new", "3.10 to 3.13"]),
    ({"version": (3, 12, 1), "bits": 32}, ["3.12.1", "32 bits"]),
    ({"version": (3, 11, 2), "venv": False}, ["3.11.2", "python3-venv", "python3.11-venv"]),
]


def one_sentence(result):
    """The one line on stderr that says what is wrong, after a tool's own last lines."""
    said = [line for line in result.stderr.splitlines() if line.startswith("install.sh: ")]
    assert len(said) == 1 and result.stderr.splitlines()[-1] == said[0], result.stderr
    assert len(said[0]) < 800 and "install.sh: line" not in result.stderr and result.returncode > 0
    return said[0]


@pytest.fixture
def course(tmp_path):
    return Course(tmp_path)


@pytest.fixture
def ready(course):
    """A course that is set up, with a file in its .venv by which to know it again."""
    assert course.set_up() == STAGES
    (course.venv / "mine").touch()
    return course


def test_first_call_sets_up_and_the_second_does_nothing_and_is_quick(course):
    result = course.run(FREE_KB=1024 * 100)
    assert result.returncode == 0, result.stderr
    assert re.search(r"(?s)3\.11\.7.*100 MB are free here.*about \d+ MB once", result.stderr)
    assert "./install.sh --lab" in result.stdout and "./install.sh --run" in result.stdout
    assert course.stages() == STAGES and course.left() == []
    assert (course.venv / "packages").read_text() == LOCK
    os.utime(course.lock, (1, 1))  # a new time stamp is no change
    start = os.times()
    result = course.run(cwd="/")
    used = os.times()
    assert sum(used[2:4]) - sum(start[2:4]) < 2, "seconds of the processor's, for children"
    assert result.returncode == 0 and len(result.stdout.splitlines()) == 1
    assert result.stderr == "" and course.stages() == []


def test_changed_files_are_followed_and_what_test_adds_stays(ready):
    for name in ("requirements.lock", "pyproject.toml"):
        write(ready.folder, {name: (ready.folder / name).read_text() + "# changed\n"})
        ready.set_up()
        assert (ready.venv / "packages").read_text() == ready.lock.read_text()
        assert ready.is_ready()
    ready.set_up("--test")
    assert "and tests" in (ready.venv / "packages").read_text()
    assert (ready.venv / "mine").exists() and ready.is_ready()  # added, not made anew
    write(ready.folder, {"requirements-dev.lock": LOCK + "# and more tests\n"})
    ready.set_up()
    assert "and more tests" in (ready.venv / "packages").read_text()


def test_what_is_damaged_or_moved_is_made_anew_and_a_link_to_it_is_not(ready):
    for harm in ({"bin/python": "#!/nowhere/python3\n"}, {".workshop-set-up": ""}, {}):
        write(ready.venv, harm) if harm else (ready.venv / "bin/python").unlink()
        assert ready.set_up() == STAGES and ready.is_ready()
    (ready.base / "link").symlink_to(ready.folder)
    folder, ready.folder = ready.folder, ready.base / "link"
    assert ready.is_ready()
    ready.folder = folder.rename(ready.base / "moved")
    assert ready.set_up() == STAGES and ready.is_ready()


def test_modes_pass_on_arguments_folder_and_exit_code(course):
    result = course.run("--run", "-p", "EPOCHS", "2 3", cwd=course.temporary, RUN_CODE=3)
    assert result.stdout == f"ran workshop in {course.temporary} with: run -p EPOCHS 2 3\n"
    assert result.returncode == 3 and "nothing has changed" not in course.run("--run").stdout
    for mode, program in {"--test": "pytest", "--lab": "jupyterlab"}.items():
        result = course.run(mode, "-k", "data", RUN_CODE=4)
        assert result.stdout.startswith(f"ran python in {course.folder} with: -m {program} ")
        assert result.stdout.endswith(" -k data\n") and result.returncode == 4


def test_what_is_called_otherwise(course):
    result = course.run("--help")
    words = ("--run", "--test", "--lab", "--download", "--offline", "PYTHON=")
    assert result.returncode == 0 and all(word in result.stdout for word in words)
    assert course.run("-h").stdout == result.stdout
    for option in ("--bogus", "lab", "-x"):
        result = course.run(option)
        assert result.returncode == 2 and option in one_sentence(result)
    assert not course.venv.exists()
    course.venv.mkdir()  # an empty folder is used
    assert course.set_up(before=["sh"]) == STAGES and course.is_ready()
    course.lock.unlink()
    assert "requirements.lock is missing" in one_sentence(course.run())
    closed = ["sh", "-c", '"$0" "$@" 2>&-']
    assert course.run(before=closed).returncode == 1
    write(course.folder, {course.lock.name: LOCK + "# changed\n"})
    assert course.set_up(before=closed) == ["sync", "editable"]


@pytest.mark.parametrize(("unfit", "expected"), UNFIT)
def test_an_unfit_python_is_explained_or_passed_over(course, unfit, expected):
    course.python("python3", **unfit)
    named = course.python("mine", **unfit)
    said = one_sentence(course.run(PYTHON=named))
    for sentence in (said, one_sentence(course.run(FAIL="pip", MESSAGE="error: dns error"))):
        assert all(word in sentence for word in expected)
    assert str(named) in said and not course.venv.exists() and course.left() == []
    if unfit in (OLD, NEW):  # uv gets one that fits
        result = course.run(FAIL="venv", MESSAGE="error: dns error")
        assert all(word in one_sentence(result) for word in expected)
        assert course.set_up() == STAGES and course.is_ready()
        shutil.rmtree(course.venv)
    course.python("python3.12", (3, 12, 1))
    course.python("python3.10", (3, 10, 13))
    assert "with Python 3.12.1 (" in course.run(FAIL="boot").stderr


def test_a_named_python_comes_first_and_is_always_checked(ready):
    ready.python("other", (3, 12, 1))
    result = ready.run(PYTHON="tools/other")  # from where the caller is
    assert "Python 3.12.1" in result.stderr and ready.stages() == STAGES and ready.is_ready()
    assert ready.set_up(PYTHON="tools/other") == [] and ready.is_ready()  # it stays
    assert "too old" in one_sentence(ready.run(PYTHON=ready.python("old", **OLD)))
    assert "mistyped is not a Python that runs" in one_sentence(ready.run(PYTHON="mistyped"))
    assert ready.is_ready()
    shutil.rmtree(ready.venv)
    write(ready.tools, {"python3": "#!/bin/sh\nexit 127\n"})
    sentence = one_sentence(ready.run())
    assert "No Python was found" in sentence and "3.10 to 3.13" in sentence


def test_a_failing_stage_is_one_sentence_and_the_next_repairs(course):
    for stage, message, expected in [
        ("boot", "Error: [Errno 13] Permission denied: 'x'", "Writing was refused"),
        ("pip", "WARNING: NewConnectionError: connection broken\nERROR: none", "No connection"),
        ("pip", "ERROR: ... [SSL: CERTIFICATE_VERIFY_FAILED] ...", "certificate was refused"),
        ("pip", "ERROR: Could not find uv==1 (from versions: none)", "PIP_NO_INDEX"),
        ("venv", "Error: [Errno 30] Read-only file system: 'x'", "Writing was refused"),
        ("sync", "cause: No space left on device (os error 28)", "disk became full"),
        ("sync", "cause: tunnel error: proxy authorization required", "No connection"),
        ("sync", "Because big==1 has no wheels with a matching tag, no.", "the packages"),
        ("editable", "", "exit code 1"),
    ]:
        result = course.run(FAIL=stage, MESSAGE=message)
        assert expected in one_sentence(result) and message.split("\n")[0] in result.stderr
        assert not course.venv.exists() and course.left() == []
    assert course.set_up() == STAGES and course.is_ready()


def test_after_a_failure_the_old_one_stays_and_a_change_is_repaired(ready):
    other = ready.python("other", (3, 12, 1))
    for stage in STAGES:
        one_sentence(ready.run(PYTHON=other, FAIL=stage))
        assert (ready.venv / "mine").exists() and ready.is_ready()
    write(ready.folder, {ready.lock.name: LOCK + "# changed\n"})
    result = ready.run("--run", FAIL="sync")
    assert "Set-up failed" in one_sentence(result) and result.stdout == ""
    assert (ready.venv / "mine").exists()  # no network, say: what was there stays
    assert ready.set_up() == STAGES and ready.is_ready()


@pytest.mark.parametrize("expected", ["Writing was refused", "disk became full"])
def test_a_disk_that_is_really_read_only_or_full(course, expected):
    full, read_only = 'cat /dev/zero >"$1/big" 2>/dev/null', 'mount -o remount,ro "$1" || exit 99'
    shutil.copytree(course.folder, course.base / "copy")
    for tool in ("mount", "df"):
        write(course.tools, {tool: f'#!/bin/sh\nexec {shutil.which(tool)} "$@"\n'})
    script = 'mount -t tmpfs -o size=8m none "$1" && cp "$2"/* "$1" || exit 99\n'
    script += full if "full" in expected else read_only
    script += '; "$1/install.sh"; code=$?; ls -A "$1" >"$2/left"; exit $code'
    before = [shutil.which("unshare") or "false", "-rm", shutil.which("sh"), "-c", script, "sh"]
    result = course.run(before=[*before, course.folder, course.base / "copy"])
    if result.returncode == 99 or "unshare" in result.stderr or before[0] == "false":
        pytest.skip("this user may not mount")
    assert expected in one_sentence(result)
    assert ".venv" not in (course.base / "copy/left").read_text()


@pytest.mark.parametrize(("stage", "number"), [("pip", 2), ("sync", 2), ("venv", 15)])
def test_an_interrupted_run_cleans_up(course, stage, number):
    process = course.start_and_hang(stage)
    process.send_signal(number)
    result = finish(process)
    assert result.returncode == 128 + number and "Interrupted" in one_sentence(result)
    assert not course.venv.exists() and course.left() == list(course.temporary.iterdir()) == []
    # Its step was ended too: the next run need not wait for it.
    assert "Another" not in course.run().stderr and course.is_ready()


@pytest.mark.parametrize("stage", ["mkdir", "pip", "venv", "sync", "mv"])
def test_after_a_killed_run_the_next_waits_for_its_step_and_sets_up(course, stage):
    """A kill in each phase: preparing, fetching uv, making .venv, installing, replacing."""
    if stage in ("mkdir", "mv"):
        write(course.tools, {stage: f'{STAGE}stage {stage}\nexec {shutil.which(stage)} "$@"\n'})
    process = course.start_and_hang(stage)
    process.kill()
    following = course.start()
    assert "Another install.sh" in following.stderr.readline()
    assert following.poll() is None and not course.venv.exists()
    write(course.base, {"calls.go": ""})
    assert finish(following).returncode == 0 and course.is_ready()
    finish(process)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_a_change_that_was_broken_off_is_made_anew(ready, ending):
    write(ready.folder, {ready.lock.name: LOCK + "# changed\n"})
    process = ready.start_and_hang("sync")
    process.send_signal(ending)
    write(ready.base, {"calls.go": ""})
    finish(process)
    assert ready.set_up() == STAGES and ready.is_ready()
    # It may also be killed between the two renames.
    (ready.folder / ".venv.setup").mkdir()
    ready.venv.rename(ready.folder / ".venv.setup/new")
    assert ready.set_up() == [] and ready.is_ready()


def test_the_second_waits_for_the_first(course):
    first = course.start_and_hang("sync")
    second, third = course.start(), course.start()
    for waiting in (second, third):
        assert "Another install.sh" in waiting.stderr.readline()
    third.send_signal(signal.SIGINT)  # which leaves the others alone
    assert finish(third).returncode == 130 and second.poll() is None and first.poll() is None
    write(course.base, {"calls.go": ""})
    first, second = finish(first), finish(second)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert second.stdout.startswith("Ready")
    assert course.stages() == STAGES and course.is_ready()  # once, not twice


@pytest.mark.parametrize("name", [".venv/mine", ".venv", "link"])
def test_a_foreign_venv_is_left_alone(course, name):
    write(course.folder, {name: "mine"}) if name != "link" else course.venv.symlink_to("/nowhere")
    sentence = one_sentence(course.run())
    assert "was not made by install.sh" in sentence and "rename or delete" in sentence
    assert course.venv.is_symlink() or course.venv.is_file() or (course.venv / "mine").exists()
    assert course.left() == []


def test_no_network_a_bad_proxy_and_wrong_hashes(tmp_path):
    real = RealCourse(tmp_path)
    for_uv = {**real.online, "UV_DEFAULT_INDEX": real.offline["PIP_INDEX_URL"]}
    proxy = {"UV_DEFAULT_INDEX": "http://index.invalid", "HTTP_PROXY": "http://127.0.0.1:9"}
    for settings in (real.offline, for_uv, {**real.online, **proxy}):
        assert "No connection to the package index" in one_sentence(real.run(**settings))
    for line in real.lines:
        wrong = re.sub(r"sha256:\w{8}", "sha256:00000000", line)
        real.lock.write_text("".join(real.lines).replace(line, wrong))
        assert "not the one that requirements.lock" in one_sentence(real.run(**real.online))
    assert not real.venv.exists()


def test_each_package_is_fetched_once(tmp_path):
    real, asked = RealCourse(tmp_path), []

    class Index(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *_):
            asked.append(self.path.rpartition("/")[2])

    index = functools.partial(Index, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), index) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/simple"
        real.set_up(**{**real.online, "PIP_INDEX_URL": address})
        server.shutdown()
    wheels = [path.name for path in (tmp_path / "wheel house").iterdir()]
    assert sorted(name for name in asked if name.endswith(".whl")) == sorted(wheels)
    assert (real.venv / "bin/uv").is_file() and real.is_ready()


def test_all_of_it_with_and_without_a_network(tmp_path):
    """In a network namespace of its own, where that is allowed; else with a dead index alone."""
    real = RealCourse(tmp_path)
    write(real.folder, {"notebooks/01_a.ipynb": "as it came", "jupyter/etc/a/b.json": "{}"})
    settings = f"index-url = {real.online['PIP_INDEX_URL']}\nuser = true\nno-binary = :all:\n"
    write(real.base, {"pip.conf": f"[global]\n{settings}"})
    # Some settings of the user's would disturb a virtual environment.
    disturbing = {
        "PIP_USER": 1,
        "PIP_TARGET": "/elsewhere",
        "PIP_PREFIX": "/elsewhere",
        "UV_SYSTEM_PYTHON": 1,
        "PYTHONDONTWRITEBYTECODE": 1,
    }
    disturbing |= {**real.online, "PIP_INDEX_URL": "", "PIP_CONFIG_FILE": real.base / "pip.conf"}
    assert real.run("--run", "x", **disturbing).stdout == "['run', 'x']\n" and real.is_ready()
    (packages,) = real.venv.glob("lib/*/site-packages")
    compiled = {path.name.partition(".")[0] for path in packages.rglob("*.pyc")}
    assert "tiny" in compiled and (packages / "tests/one.py").exists()
    assert not (packages / "tests/__pycache__").exists(), "Nobody imports these."
    kept = [path.name for path in (*packages.glob("tensorflow/*"), *packages.glob("unicorn/lib/*"))]
    assert sorted(kept) == ["__pycache__", "one.py"]
    write(real.folder, {"notebooks/01_a.ipynb": "changed", "pyproject.toml": PYPROJECT + "#\n"})
    real.set_up(**real.online)
    assert (real.venv / "pristine/01_a.ipynb").read_text() == "as it came"
    assert (real.venv / "etc/a/b.json").read_text() == "{}"
    assert f"no packages in {real.temporary}:" in one_sentence(real.run("--offline", "temporary"))
    real.folder = real.folder.rename(real.base / "moved")
    before = [shutil.which("unshare") or "false", "-rn"]
    allowed = subprocess.run([*before, "true"], capture_output=True).returncode == 0
    settings = {**real.offline, "UV_CACHE_DIR": real.base / "another cache"}
    real.set_up("--offline", "wheel house", before=before if allowed else [], **settings)
    assert real.run("--run", "x").stdout == "['run', 'x']\n" and real.is_ready()
    write(real.folder, {real.lock.name: "".join(real.lines).replace("tiny==1.0", "tiny==2.0")})
    result = real.run("--offline", "wheel house", **real.offline)
    assert "house lacks a package for Python" in one_sentence(result) and "tiny" in result.stderr


@pytest.mark.skipif(sys.version_info[:2] == (3, 12), reason="uv takes this Python, so fetches none")
def test_uv_fetches_a_python_from_a_mirror(tmp_path):
    """From a folder that plays the mirror, with a script that plays Python 3.12."""
    real = RealCourse(tmp_path)
    real.python("python3", **NEW, text=REAL)
    variables = "# system configuration generated and used by the sysconfig module\n"
    variables = {"lib/python3.12/_sysconfigdata__linux.py": variables + "build_time_vars = {}\n"}
    python = {"bin/python3.12": f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'}
    write(real.base / "a/python", {**python, **variables})
    archive = shutil.make_archive(real.base / "python", "gztar", real.base / "a")
    arch, system = os.uname().machine, sys.platform
    build = {"name": "cpython", "arch": {"family": arch, "variant": None}, "os": system}
    build |= {"libc": "gnu", "major": 3, "minor": 12, "patch": 1, "prerelease": "", "build": "1"}
    build |= {"url": f"file://{archive}", "sha256": None}
    write(real.base, {"builds": json.dumps({f"cpython-3.12.1-{system}-{arch}-gnu": build})})
    real.set_up(**real.online, UV_PYTHON_DOWNLOADS_JSON_URL=real.base / "builds")
    assert (real.folder / ".venv.python").is_dir() and real.is_ready()
