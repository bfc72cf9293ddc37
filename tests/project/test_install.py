"""install.sh: what it does, what it says when it cannot, and that a killed run does no harm.

Nearly all tests run a copy of install.sh in a folder of their own, with stand-ins for Python, pip
and uv that take no time and fail or hang when told to. The last ones use the real pip and uv with
tiny packages. None needs the network.
"""

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="install.sh needs a POSIX bash"
)

ROOT = Path(__file__).resolve().parents[2]
STAMP = ".venv/.workshop-set-up"
STAGES = ["venv", "pip", "uv", "editable"]
TOOLS = [
    *("awk", "bash", "cat", "cp", "dirname", "env", "ls", "mkdir", "mktemp", "mv", "ps", "rm"),
    *("rmdir", "sh", "sleep", "touch", "tr"),
]

# Plays python3, and from .venv/bin also pip. FAIL and HANG name the stage that fails or hangs.
PYTHON = r"""#!/bin/sh
stage() {
    echo "$1 $*" >>"$CALLS"
    if [ "${HANG:-}" = "$1" ]; then
        touch "$CALLS.hangs"
        n=0
        while [ ! -e "$CALLS.go" ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
    fi
    if [ "${FAIL:-}" = "$1" ]; then cat "$CALLS.message"; exit "${FAIL_CODE:-1}"; fi
}
last() { shift $(($# - 1)); printf '%s' "$1"; }
case "$*" in
    "-E -c "*) echo "@PROBE@" ;;
    "-I -c "*) exec "@REAL@" -S "$@" ;;
    "-I -m venv "*)
        folder=$(last "$@")
        mkdir -p "$folder/bin"
        rm -f "$folder/bin/python"
        cp "$0" "$folder/bin/python"
        stage venv "$@"
        ;;
    *"-m pip config get global.index-url") echo "${CONFIGURED_INDEX:-}" ;;
    *"-m pip config get "*) exit 1 ;;
    *"-m pip install "*)
        stage pip "$@"
        cp "$(last "$@")" "$CALLS.uv.txt"
        cp "$CALLS.uv" "$(dirname "$0")/uv"
        ;;
    *) echo "ran python in $PWD with: $*"; exit "${RUN_CODE:-0}" ;;
esac
"""

UV = r"""#!/bin/sh
stage() {
    echo "$1 $*" >>"$CALLS"
    echo "${UV_DEFAULT_INDEX:-} ${PYTHONDONTWRITEBYTECODE:-unset}" >"$CALLS.uv.env"
    if [ "${HANG:-}" = "$1" ]; then
        touch "$CALLS.hangs"
        n=0
        while [ ! -e "$CALLS.go" ] && [ $n -lt 300 ]; do sleep 0.1; n=$((n + 1)); done
    fi
    if [ "${FAIL:-}" = "$1" ]; then cat "$CALLS.message"; exit "${FAIL_CODE:-1}"; fi
}
case "$*" in
    *" -e .") stage editable "$@" ;;
    *) stage uv "$@" ;;
esac
printf '#!/bin/sh\necho "ran workshop in $PWD with: $*"\nexit "${RUN_CODE:-0}"\n' \
    >"$(dirname "$0")/workshop"
chmod +x "$(dirname "$0")/workshop"
""".replace("chmod", "@CHMOD@")

PYPROJECT = '[project]\nname = "workshop-utils"\nversion = "1.0.0"\n'
LOCK = f"""# how it is made
tqdm==1.0 \\
    --hash=sha256:{"0" * 64}
uv==0.0.1 \\
    --hash=sha256:{"1" * 64} \\
    --hash=sha256:{"2" * 64}
zipp==1.0 \\
    --hash=sha256:{"3" * 64}
"""


class Course:
    """A copy of install.sh in a folder with a space in its name, and the stand-ins."""

    def __init__(self, base):
        self.base = base
        self.folder = base / "a course"
        self.temporary = base / "temporary"
        self.tools = base / "tools"
        self.calls_file = base / "calls"
        for folder in (self.folder, self.temporary, self.tools, base / "home"):
            folder.mkdir()
        shutil.copy(ROOT / "install.sh", self.folder)
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        (self.folder / "requirements.lock").write_text(LOCK)
        # Only what is listed can be found, so that no Python of this computer plays a part.
        for tool in TOOLS:
            (self.tools / tool).symlink_to(shutil.which(tool))
        for tool in ("df",):
            self.script(tool, "#!/bin/sh\necho x; echo / 0 0 ${FREE_KB:-9999999999} 0%\n")
        (base / "calls.uv").write_text(UV.replace("@CHMOD@", shutil.which("chmod")))
        (base / "calls.uv").chmod(0o755)
        self.python("python3")

    def script(self, name, text):
        path = self.tools / name
        # Most tools are links to the computer's own: never write through one.
        path.unlink(missing_ok=True)
        with path.open("x") as file:
            file.write(text)
        path.chmod(0o755)
        return path

    def python(self, name, probe="3 11 7 64 yes"):
        return self.script(name, PYTHON.replace("@PROBE@", probe).replace("@REAL@", sys.executable))

    def environment(self, **more):
        return {
            "PATH": str(self.tools),
            "HOME": str(self.base / "home"),
            "TMPDIR": str(self.temporary),
            "CALLS": str(self.calls_file),
            **{name: str(value) for name, value in more.items()},
        }

    def start(self, *arguments, cwd=None, **environment):
        return subprocess.Popen(
            [str(self.folder / "install.sh"), *arguments],
            cwd=cwd or self.base,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell cannot trap a signal that was ignored when it started, as under nohup.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments, cwd=None, **environment):
        process = self.start(*arguments, cwd=cwd, **environment)
        out, err = process.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def start_and_hang(self, stage, **environment):
        """A run that hangs in that stage."""
        hangs = self.base / "calls.hangs"
        hangs.unlink(missing_ok=True)
        process = self.start(HANG=stage, **environment)
        wait_for(hangs.exists, process)
        return process

    def group(self):
        """The process group of the step that is running."""
        return int((self.folder / ".venv.lock/child").read_text())

    def calls(self):
        """The stages since the last time, and their full commands in self.commands."""
        if not self.calls_file.exists():
            return []
        lines = self.calls_file.read_text().splitlines()
        self.calls_file.unlink()
        self.commands = {line.split()[0]: line for line in lines}
        return [line.split()[0] for line in lines]

    def leftovers(self):
        """What a run should not leave behind."""
        inside = [path.name for path in self.folder.glob(".venv*") if path.name != ".venv"]
        return inside + [path.name for path in self.temporary.iterdir()]

    def is_set_up(self):
        stamp = self.folder / STAMP
        return stamp.is_file() and re.fullmatch("[0-9a-f]{64}\n", stamp.read_text()) is not None

    def message(self, text):
        (self.base / "calls.message").write_text(text)


def wait_for(condition, process=None, seconds=15):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        if process is not None:
            assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def alive(group):
    """The processes of that group that still do something."""
    listing = subprocess.run(
        ["ps", "-A", "-o", "pgid=", "-o", "stat="], capture_output=True, text=True, check=True
    )
    rows = [line.split() for line in listing.stdout.splitlines()]
    return [row for row in rows if int(row[0]) == group and not row[1].startswith("Z")]


def one_sentence(result):
    """The one line on stderr that says what is wrong."""
    assert result.returncode not in (0, None), result
    said = [line for line in result.stderr.splitlines() if line.startswith("install.sh: ")]
    assert len(said) == 1, result.stderr
    assert result.stderr.splitlines()[-1] == said[0]
    assert len(said[0]) < 800
    assert "Traceback" not in result.stderr
    # bash itself would begin a line like this.
    assert "install.sh: line" not in result.stderr
    return said[0]


@pytest.fixture
def course(tmp_path):
    return Course(tmp_path)


@pytest.fixture
def ready(course):
    """A course that is set up, with a file in its .venv by which to know it again."""
    result = course.run()
    assert result.returncode == 0, result.stderr
    course.calls()
    (course.folder / ".venv/mine").touch()
    return course


# ------------------------------------------------------------------ setting up


def test_first_call_sets_up(course):
    result = course.run()
    assert result.returncode == 0, result.stderr
    assert "./install.sh --lab" in result.stdout
    assert "./install.sh --run" in result.stdout
    assert "Python 3.11.7" in result.stderr
    assert re.search(r"about \d+ MB once", result.stderr)
    assert course.calls() == STAGES
    assert course.is_set_up()
    assert course.leftovers() == []


def test_pip_and_uv_check_hashes_and_compile(course):
    course.run(PYTHONDONTWRITEBYTECODE=1)
    course.calls()
    assert "--require-hashes" in course.commands["pip"]
    assert "--no-deps" in course.commands["pip"]
    block = re.search(r"^uv==.*?(?=^zipp)", LOCK, re.MULTILINE | re.DOTALL).group()
    assert (course.base / "calls.uv.txt").read_text() == block
    for option in ("--require-hashes", "--compile-bytecode", "-r requirements.lock"):
        assert option in course.commands["uv"]
    assert "--no-deps --no-build-isolation -e ." in course.commands["editable"]
    assert (course.base / "calls.uv.env").read_text().split()[-1] == "unset"


def test_a_lock_with_windows_line_ends(course):
    (course.folder / "requirements.lock").write_bytes(LOCK.replace("\n", "\r\n").encode())
    assert course.run().returncode == 0
    assert b"\r" not in (course.base / "calls.uv.txt").read_bytes()


def test_second_call_does_nothing_and_is_quick(ready):
    start = time.monotonic()
    result = ready.run(cwd="/")
    assert time.monotonic() - start < 3
    assert result.returncode == 0
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == ""
    assert ready.calls() == []


def test_a_new_time_stamp_is_no_change(ready):
    os.utime(ready.folder / "requirements.lock", (1, 1))
    ready.run()
    assert ready.calls() == []


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_file_rebuilds(ready, name):
    with (ready.folder / name).open("a") as file:
        file.write("# changed\n")
    assert ready.run().returncode == 0
    assert ready.calls() == STAGES
    assert not (ready.folder / ".venv/mine").exists()
    assert ready.leftovers() == []
    ready.run()
    assert ready.calls() == []


def test_a_moved_project_rebuilds(ready):
    ready.folder = ready.folder.rename(ready.base / "moved")
    assert ready.run().returncode == 0
    assert ready.calls() == STAGES


def test_a_link_to_the_project_does_not_rebuild(ready):
    (ready.base / "link").symlink_to(ready.folder)
    ready.folder = ready.base / "link"
    ready.run()
    assert ready.calls() == []


@pytest.mark.parametrize("harm", ["gone", "broken"])
def test_the_stamp_is_not_trusted_when_python_does_not_run(ready, harm):
    python = ready.folder / ".venv/bin/python"
    python.unlink()
    if harm == "broken":
        python.symlink_to("/nowhere/python3")
    assert ready.run().returncode == 0
    assert ready.calls() == STAGES
    assert ready.is_set_up()


def test_an_empty_stamp_is_not_trusted(ready):
    (ready.folder / STAMP).write_text("")
    assert ready.run().returncode == 0
    assert ready.calls() == STAGES


def test_another_python_rebuilds_when_it_is_asked_for(ready):
    # The stand-in's fingerprint comes from the Python that runs the tests; this one's does not.
    other = ready.python("other")
    text = other.read_text().replace('"-I -c "*) exec', '"-I -c "*) echo other; exit; exec')
    ready.script("other", text)
    assert ready.run(PYTHON=other).returncode == 0
    assert ready.calls() == STAGES
    ready.run(PYTHON=other)
    assert ready.calls() == []


def test_pip_settings_reach_uv(course):
    course.run(PIP_INDEX_URL="http://mirror.invalid/simple")
    environment = course.base / "calls.uv.env"
    assert environment.read_text().startswith("http://mirror.invalid/simple ")
    shutil.rmtree(course.folder / ".venv")
    course.run(CONFIGURED_INDEX="http://file.invalid/simple")
    assert environment.read_text().startswith("http://file.invalid/simple ")
    shutil.rmtree(course.folder / ".venv")
    course.run(CONFIGURED_INDEX="http://x.invalid", UV_DEFAULT_INDEX="http://own.invalid")
    assert environment.read_text().startswith("http://own.invalid ")


def test_little_room_is_mentioned(course):
    result = course.run(FREE_KB=1024 * 100)
    assert result.returncode == 0
    assert "100 MB are free here" in result.stderr


# ------------------------------------------------------------------ what comes after set-up


def test_run_passes_arguments_and_the_caller_s_folder(course):
    result = course.run("--run", "-p", "EPOCHS", "2 3", cwd=course.temporary)
    assert result.returncode == 0
    assert course.is_set_up()
    assert result.stdout == f"ran workshop in {course.temporary} with: run -p EPOCHS 2 3\n"
    assert "nothing has changed" not in course.run("--run").stdout


def test_test_passes_arguments(course):
    result = course.run("--test", "-k", "data")
    command = "-m pytest -n 2 --dist loadfile --no-loadscope-reorder -k data"
    assert result.stdout == f"ran python in {course.folder} with: {command}\n"


def test_lab_opens_the_first_notebook(course):
    result = course.run("--lab", "--no-browser")
    expected = "-m jupyterlab --ServerApp.root_dir=. notebooks/01_setup.ipynb --no-browser"
    assert result.stdout == f"ran python in {course.folder} with: {expected}\n"


@pytest.mark.parametrize("mode", ["--run", "--test", "--lab"])
def test_the_exit_code_is_passed_on(ready, mode):
    assert ready.run(mode, RUN_CODE=3).returncode == 3


def test_nothing_runs_when_set_up_fails(course):
    course.message("error: no\n")
    result = course.run("--run", FAIL="uv")
    one_sentence(result)
    assert result.stdout == ""


def test_help_sets_nothing_up(course):
    for option in ("--help", "-h"):
        result = course.run(option)
        assert result.returncode == 0
        for word in ("--run", "--test", "--lab", "PYTHON="):
            assert word in result.stdout
    assert not (course.folder / ".venv").exists()


@pytest.mark.parametrize("option", ["--bogus", "lab", "-x"])
def test_an_unknown_option(course, option):
    result = course.run(option)
    assert result.returncode == 2
    assert option in one_sentence(result)
    assert not (course.folder / ".venv").exists()


def test_sh_will_do(course):
    result = subprocess.run(
        ["sh", "install.sh", "--help"], cwd=course.folder, env=course.environment(), check=False
    )
    assert result.returncode == 0


def test_an_incomplete_copy(course):
    (course.folder / "requirements.lock").unlink()
    assert "requirements.lock is missing" in one_sentence(course.run())


# ------------------------------------------------------------------ which Python


@pytest.mark.parametrize(
    "unfit", ["3 9 18 64 yes", "3 14 0 64 yes", "2 7 18 64 no", "3 12 1 32 yes"]
)
def test_an_unfit_python3_is_passed_over(course, unfit):
    course.python("python3", unfit)
    course.python("python3.12", "3 12 1 64 yes")
    course.python("python3.10", "3 10 13 64 yes")
    result = course.run()
    assert result.returncode == 0
    assert "Python 3.12.1 (python3.12)" in result.stderr


def test_a_python_that_does_not_run_is_passed_over(course):
    course.script("python3", "#!/bin/sh\necho 'not this version' >&2; exit 127\n")
    course.python("python3.11")
    assert "(python3.11)" in course.run().stderr


def test_a_python_without_venv_is_passed_over(course):
    course.python("python3", "3 11 2 64 no")
    course.python("python3.12", "3 12 1 64 yes")
    assert "(python3.12)" in course.run().stderr


def test_python_that_is_named_comes_first(course):
    named = course.python("mine", "3 13 0 64 yes")
    result = course.run(PYTHON=named)
    assert f"Python 3.13.0 ({named})" in result.stderr
    shutil.rmtree(course.folder / ".venv")
    assert course.run(PYTHON="tools/mine").returncode == 0  # from where the caller is


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ("3 9 18 64 yes", ["3.9.18", "too old", "3.10 to 3.13"]),
        ("2 7 18 64 no", ["2.7.18", "too old", "3.10 to 3.13"]),
        ("3 14 0 64 yes", ["3.14.0", "too new", "3.10 to 3.13"]),
        ("3 12 1 32 yes", ["3.12.1", "32-bit"]),
        ("3 11 2 64 no", ["3.11.2", "venv", "python3-venv", "python3.11-venv"]),
    ],
)
def test_an_unfit_python_is_explained(course, probe, expected):
    named = course.python("mine", probe)
    course.python("python3", probe)
    for sentence in (one_sentence(course.run(PYTHON=named)), one_sentence(course.run())):
        assert all(word in sentence for word in expected)
    assert str(named) in one_sentence(course.run(PYTHON=named))
    assert not (course.folder / ".venv").exists()
    assert course.leftovers() == []


def test_a_named_program_that_is_no_python(course):
    named = course.script("mine", "#!/bin/sh\nexit 1\n")
    assert f"{named} is not a Python that runs" in one_sentence(course.run(PYTHON=named))
    assert not (course.folder / ".venv").exists()


def test_a_named_python_is_checked_even_when_all_is_ready(ready):
    old = ready.python("mine", "3 9 18 64 yes")
    assert "too old" in one_sentence(ready.run(PYTHON=old))
    assert "mistyped" in one_sentence(ready.run(PYTHON="mistyped"))
    assert ready.is_set_up()


def test_no_python_at_all(course):
    (course.tools / "python3").unlink()
    sentence = one_sentence(course.run())
    assert "No Python" in sentence
    assert "3.10 to 3.13" in sentence
    assert course.leftovers() == []


# ------------------------------------------------------------------ failing in one sentence

PIP_OFFLINE = """WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError(
'<HTTPSConnection>: Failed to establish a new connection: [Errno 111] Connection refused')': /uv/
ERROR: Could not find a version that satisfies the requirement uv==0.0.1 (from versions: none)
ERROR: No matching distribution found for uv==0.0.1
"""
UV_OFFLINE = """error: Request failed after 3 retries
  Caused by: Failed to fetch: `http://host.invalid/simple/tqdm/`
  Caused by: error sending request for url (http://host.invalid/simple/tqdm/)
  Caused by: client error (Connect)
  Caused by: dns error: failed to lookup address information: Name or service not known
"""
PIP_HASH = """ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.
    uv==0.0.1:
        Expected sha256 11
             Got        22
"""
NO_ENSUREPIP = """The virtual environment was not created successfully because ensurepip is not
available.  On Debian/Ubuntu systems, you need to install the python3-venv package.
Error: Command 'ensurepip is not available' failed
"""
NO_WHEEL = """  × No solution found when resolving dependencies:
  ╰─▶ Because big==1 has no wheels with a matching platform tag and you require big==1, no.
hint: Wheels are available
"""
TRACEBACK = """Traceback (most recent call last):
  File "pip", line 1, in <module>
ValueError: a strange thing
"""


@pytest.mark.parametrize(
    ("stage", "message", "expected"),
    [
        ("venv", NO_ENSUREPIP.replace("not\n", "not "), "lacks the venv module"),
        ("venv", "Error: [Errno 28] No space left on device: 'x'\n", "disk became full"),
        ("venv", "Error: [Errno 13] Permission denied: 'x'\n", "Writing was refused"),
        ("venv", "Error: [Errno 30] Read-only file system: 'x'\n", "Writing was refused"),
        ("pip", PIP_OFFLINE, "No connection"),
        ("pip", "ERROR: ... [SSL: CERTIFICATE_VERIFY_FAILED] ...\n", "certificate was refused"),
        ("pip", PIP_HASH, "not the one that requirements.lock names"),
        ("pip", "ERROR: [Errno 28] No space left on device\n", "disk became full"),
        ("pip", TRACEBACK, "ValueError: a strange thing"),
        ("uv", UV_OFFLINE, "No connection"),
        ("uv", "error: Hash mismatch for `tqdm==1.0`\n", "not the one that requirements.lock"),
        (
            "uv",
            "error: failed\n  Caused by: No space left on device (os error 28)\n",
            "disk became",
        ),
        ("uv", "  Caused by: invalid peer certificate: UnknownIssuer\n", "certificate was refused"),
        ("uv", NO_WHEEL, "no build for this machine"),
        ("uv", "error: something new\n\nhint: try\n", "error: something new"),
        ("uv", "", "exit code 1"),
        ("editable", "error: cannot build\n", "error: cannot build"),
    ],
)
def test_a_failing_stage_is_one_sentence(course, stage, message, expected):
    course.message(message)
    result = course.run(FAIL=stage)
    sentence = one_sentence(result)
    assert expected in sentence
    assert not (course.folder / ".venv").exists()
    assert [path.name for path in course.folder.glob(".venv*")] == []
    if expected != "lacks the venv module":
        log = Path(re.search(r"\(details: (.*)\)", sentence).group(1))
        assert log.read_text() == message
        assert log.is_relative_to(course.temporary)
    assert course.calls() == STAGES[: STAGES.index(stage) + 1]


@pytest.mark.parametrize("stage", STAGES)
def test_after_a_failure_the_next_starts_over(course, stage):
    course.message("error: no\n")
    one_sentence(course.run(FAIL=stage))
    course.calls()
    assert course.run().returncode == 0
    assert course.calls() == STAGES
    assert course.is_set_up()


def test_lack_of_memory_is_recognised(course):
    course.message("")
    assert "lack of memory" in one_sentence(course.run(FAIL="uv", FAIL_CODE=137))


def test_a_lock_without_uv(course):
    (course.folder / "requirements.lock").write_text("tqdm==1.0\n")
    assert "names no version of uv" in one_sentence(course.run())
    assert not (course.folder / ".venv").exists()


def test_no_temporary_folder(course):
    assert "temporary folder" in one_sentence(course.run(TMPDIR=course.base / "none"))
    assert not (course.folder / ".venv").exists()


@pytest.mark.parametrize("stage", STAGES)
def test_a_failed_rebuild_puts_the_old_one_back(ready, stage):
    lock = ready.folder / "requirements.lock"
    before = lock.read_text()
    lock.write_text(before + "# changed\n")
    ready.message("error: no\n")
    one_sentence(ready.run(FAIL=stage))
    assert (ready.folder / ".venv/mine").exists()
    assert [path.name for path in ready.folder.glob(".venv*")] == [".venv"]
    ready.calls()
    lock.write_text(before)
    ready.run()
    assert ready.calls() == []


# The two commands are stand-ins too, since a full disk cannot be had everywhere.
@pytest.mark.parametrize(
    ("tool", "reason", "expected"),
    [
        ("mkdir", "No space left on device", "disk became full"),
        ("mkdir", "Read-only file system", "Writing was refused"),
        ("mkdir", "Permission denied", "Writing was refused"),
        ("mv", "No space left on device", "disk became full"),
    ],
)
def test_a_disk_that_cannot_be_written(course, tool, reason, expected):
    real = (course.tools / tool).resolve()
    # mktemp and the clean-up are not concerned.
    broken = f'case "$*" in *.venv.lock|*.venv) echo "{tool}: x: {reason}" >&2; exit 1 ;; esac'
    course.script(tool, f'#!/bin/sh\n{broken}\nexec "{real}" "$@"\n')
    sentence = one_sentence(course.run())
    assert expected in sentence
    assert str(course.folder) in sentence
    assert course.leftovers() == []
    assert not (course.folder / ".venv").exists()


def in_a_mount(course, mount):
    """A run where the project's folder is mounted as told, if this user may mount at all."""
    unshare, mounter = shutil.which("unshare"), shutil.which("mount")
    if not unshare or not mounter:
        pytest.skip("no unshare or mount here")
    script = f'{mounter} {mount} "$1" 2>/dev/null || exit 99; shift; "$@"'
    command = [unshare, "--user", "--map-root-user", "--mount", shutil.which("sh"), "-c", script]
    result = subprocess.run(
        [*command, "sh", str(course.folder), str(course.folder / "install.sh")],
        env=course.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if result.returncode == 99 or "unshare" in result.stderr:
        pytest.skip("this user may not mount")
    return result


def test_a_folder_that_is_really_read_only(course):
    result = in_a_mount(course, f'-o bind,ro "{course.folder}"')
    assert "Writing was refused" in one_sentence(result)
    assert course.leftovers() == []


def test_a_folder_without_write_permission(course):
    if os.geteuid() == 0:
        pytest.skip("nothing is forbidden to root")
    course.folder.chmod(0o555)
    try:
        assert "Writing was refused" in one_sentence(course.run())
    finally:
        course.folder.chmod(0o755)


def test_a_disk_that_is_really_full(course):
    # The stand-in for Python fills whatever is left of a small disk.
    copy = course.base / "copy"
    shutil.copytree(course.folder, copy)
    fill = 'cat /dev/zero >"$folder/big" || exit 1'
    text = (course.tools / "python3").read_text()
    course.script("python3", text.replace("stage venv", f"{fill}\n        stage venv"))
    script = (
        f'{shutil.which("mount")} -t tmpfs -o size=256k none "$1" 2>/dev/null || exit 99;'
        ' cp "$2"/* "$1" && "$1/install.sh"; code=$?; ls -A "$1" >"$2/left"; exit $code'
    )
    unshare = shutil.which("unshare")
    if not unshare or not shutil.which("mount"):
        pytest.skip("no unshare or mount here")
    command = [unshare, "--user", "--map-root-user", "--mount", shutil.which("sh"), "-c", script]
    result = subprocess.run(
        [*command, "sh", str(course.folder), str(copy)],
        env=course.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if result.returncode == 99 or "unshare" in result.stderr:
        pytest.skip("this user may not mount")
    assert "disk became full" in one_sentence(result)
    left = (copy / "left").read_text().split()
    assert sorted(left) == ["install.sh", "pyproject.toml", "requirements.lock"]


# ------------------------------------------------------------------ interrupted and killed


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [*((stage, signal.SIGINT, 130) for stage in STAGES), ("uv", signal.SIGTERM, 143)],
)
def test_an_interrupted_run_cleans_up(course, stage, number, code):
    process = course.start_and_hang(stage)
    group = course.group()
    process.send_signal(number)
    out, err = process.communicate(timeout=10)
    result = subprocess.CompletedProcess([], process.returncode, out, err)
    assert result.returncode == code
    assert "Interrupted" in one_sentence(result)
    assert not (course.folder / ".venv").exists()
    assert course.leftovers() == []
    assert alive(group) == []


def test_an_interrupted_rebuild_puts_the_old_one_back(ready):
    (ready.folder / "requirements.lock").write_text(LOCK + "# changed\n")
    process = ready.start_and_hang("uv")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert (ready.folder / ".venv/mine").exists()
    assert ready.leftovers() == []


@pytest.mark.parametrize("stage", STAGES)
def test_after_a_killed_run_the_next_starts_over(course, stage):
    process = course.start_and_hang(stage)
    group = course.group()
    process.kill()
    process.wait()
    for pipe in (process.stdout, process.stderr):
        pipe.close()
    assert not course.is_set_up()
    assert alive(group) != []  # its step goes on and must not meddle with the next run
    course.calls()
    assert course.run().returncode == 0
    assert course.calls() == STAGES
    assert course.is_set_up()
    assert alive(group) == []
    assert [path.name for path in course.folder.glob(".venv*")] == [".venv"]


def test_after_a_killed_rebuild_the_next_starts_over(ready):
    (ready.folder / "requirements.lock").write_text(LOCK + "# changed\n")
    process = ready.start_and_hang("uv")
    process.kill()
    process.communicate()
    assert (ready.folder / ".venv.old/mine").exists()
    ready.calls()
    # It fails this time, which must bring the old one back nevertheless.
    ready.message("error: no\n")
    one_sentence(ready.run(FAIL="pip"))
    assert (ready.folder / ".venv/mine").exists()
    ready.calls()
    assert ready.run().returncode == 0
    assert ready.calls() == STAGES
    assert [path.name for path in ready.folder.glob(".venv*")] == [".venv"]


def test_killed_between_the_old_and_the_new_one(ready):
    (ready.folder / ".venv").rename(ready.folder / ".venv.old")
    assert ready.run().returncode == 0
    assert ready.calls() == []  # the old one was still good
    assert (ready.folder / ".venv/mine").exists()


def test_killed_before_the_old_one_was_removed(ready):
    shutil.copytree(ready.folder / ".venv", ready.folder / ".venv.old")
    (ready.folder / ".venv.trash.1").mkdir()
    assert ready.run().returncode == 0  # nothing to do, and so nothing to clean
    (ready.folder / "requirements.lock").write_text(LOCK + "# changed\n")
    assert ready.run().returncode == 0
    assert ready.leftovers() == []


def test_a_run_that_is_killed_at_any_time_does_no_harm(course):
    for number in range(1, 7):
        process = course.start()
        time.sleep(number / 30)
        process.kill()
        process.communicate()
        if (course.folder / STAMP).is_file():
            assert "unfinished" in (course.folder / STAMP).read_text() or course.is_set_up()
        if number % 2 == 0:
            result = course.run()
            assert result.returncode == 0, result.stderr
            assert course.is_set_up()
            (course.folder / "pyproject.toml").write_text(PYPROJECT + f"# {number}\n")
    assert course.run().returncode == 0
    course.calls()
    assert course.run().returncode == 0
    assert course.calls() == []


# ------------------------------------------------------------------ a .venv of somebody else


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_a_foreign_venv_is_left_alone(course, kind):
    venv = course.folder / ".venv"
    if kind == "folder":
        venv.mkdir()
        (venv / "mine").touch()
    elif kind == "file":
        venv.write_text("mine")
    else:
        venv.symlink_to("/nowhere")
    sentence = one_sentence(course.run())
    assert "was not made by install.sh" in sentence
    assert "rename or delete" in sentence
    assert venv.is_symlink() or venv.exists()
    assert kind != "folder" or (venv / "mine").exists()
    assert course.leftovers() == []


def test_an_empty_folder_is_used(course):
    (course.folder / ".venv").mkdir()
    assert course.run().returncode == 0
    assert course.is_set_up()


def test_a_foreign_old_venv_is_left_alone(course):
    (course.folder / ".venv.old").mkdir()
    (course.folder / ".venv.old/mine").touch()
    assert ".venv.old is in the way" in one_sentence(course.run())
    assert (course.folder / ".venv.old/mine").exists()


# ------------------------------------------------------------------ two at once


def test_the_second_waits_for_the_first(course):
    first = course.start_and_hang("uv")
    second = course.start()
    time.sleep(0.5)
    assert second.poll() is None
    (course.base / "calls.go").touch()
    out, err = first.communicate(timeout=20)
    assert first.returncode == 0, err
    out, err = second.communicate(timeout=20)
    assert second.returncode == 0, err
    assert f"process {first.pid}" in err
    assert out.startswith("Ready")
    assert course.calls() == STAGES  # once, not twice
    assert course.leftovers() == []


def test_interrupting_the_second_leaves_the_first_alone(course):
    first = course.start_and_hang("uv")
    second = course.start()
    time.sleep(0.5)
    second.send_signal(signal.SIGINT)
    second.communicate(timeout=10)
    assert second.returncode == 130
    assert (course.folder / ".venv.lock/pid").read_text() == f"{first.pid}\n"
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=10)
    assert course.leftovers() == []


@pytest.mark.parametrize("owner", ["gone", "nobody", "another program"])
def test_a_lock_that_is_left_over_is_taken(course, owner):
    (course.folder / ".venv.lock").mkdir()
    with subprocess.Popen(["sleep", "30"]) as other:
        if owner != "another program":
            other.kill()
            other.wait()
        if owner != "nobody":
            (course.folder / ".venv.lock/pid").write_text(f"{other.pid}\n")
            (course.folder / ".venv.lock/child").write_text(f"{other.pid}\n")
        result = course.run()
        # It must not end a process whose number happens to be the one of a former step.
        assert owner != "another program" or other.poll() is None
        other.kill()
    assert result.returncode == 0, result.stderr
    assert course.leftovers() == []


# ------------------------------------------------------------------ the file itself


def test_it_runs_on_an_old_bash():
    """Nothing that macOS lacks, with its bash of 2007."""
    text = (ROOT / "install.sh").read_text(encoding="utf-8")
    code = "\n".join(line.partition("# ")[0] for line in text.splitlines())
    newer = r"mapfile|readarray|declare -[Ag]|local -[An]|\$\{\w+(,,|\^\^|@)|&>>|\|&|coproc|BASHPID"
    assert not re.search(newer, code)
    assert not re.search(r"sha256sum|readlink -f|realpath|\bsed -i|\btimeout |\bflock ", code)
    # An empty array under "set -u" is an error there.
    assert not re.search(r"\w\[@\]", code)
    assert os.access(ROOT / "install.sh", os.X_OK)
    assert b"\r" not in (ROOT / "install.sh").read_bytes()


def test_it_names_no_package_index():
    assert not re.search(r"https?://", (ROOT / "install.sh").read_text(encoding="utf-8"))


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which("shellcheck")
    if not shellcheck:
        pytest.skip("shellcheck is not installed")
    subprocess.run([shellcheck, ROOT / "install.sh"], check=True)


# ------------------------------------------------------------------ with the real pip and uv

# A build backend of a few lines, so that nothing has to be downloaded for "-e .".
BACKEND = """
import zipfile
from pathlib import Path

def build_editable(folder, config_settings=None, metadata_directory=None):
    info = "workshop_utils-1.0.0.dist-info"
    files = {
        "workshop_utils.pth": f"{Path.cwd()}\\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: workshop-utils\\nVersion: 1.0.0\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{info}/entry_points.txt": "[console_scripts]\\nworkshop = workshop_utils:main\\n",
    }
    record = "".join(f"{name},,\\n" for name in files) + f"{info}/RECORD,,\\n"
    with zipfile.ZipFile(Path(folder) / "workshop_utils-1.0.0-py3-none-any.whl", "w") as wheel:
        for name, text in [*files.items(), (f"{info}/RECORD", record)]:
            wheel.writestr(name, text)
    return "workshop_utils-1.0.0-py3-none-any.whl"
"""


def make_wheel(folder, name, version, files):
    """A wheel with those files; its line for a lock."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{path},sha256={digest.decode()},{len(text.encode())}\n"
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


@pytest.fixture(scope="module")
def unpacked_pip(tmp_path_factory):
    """The pip that Python comes with, unpacked once: that is what takes time in making a venv."""
    ensurepip = pytest.importorskip("ensurepip")
    folders = [Path(ensurepip.__file__).parent / "_bundled"]
    folders += [Path(path) for path in [sysconfig.get_config_var("WHEEL_PKG_DIR")] if path]
    wheels = [wheel for folder in folders for wheel in folder.glob("pip-*.whl")]
    if not wheels:
        pytest.skip("the wheel of pip that Python comes with was not found")
    folder = tmp_path_factory.mktemp("pip")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    return folder


@pytest.fixture
def real(course, unpacked_pip):
    """A course with the real Python, pip and uv, and settings that keep these off the network."""
    uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
    if uv is None:
        pytest.skip("uv is not installed")
    make = f"""#!/bin/sh
case "$*" in "-I -m venv "*) ;; *) exec "{sys.executable}" "$@" ;; esac
shift 3
"{sys.executable}" -I -m venv --without-pip "$1" && echo "{unpacked_pip}" >"$(
    echo "$1"/lib/*/site-packages)/pip.pth"
"""
    course.script("python3", make)

    wheels = course.base / "wheels"
    wheels.mkdir()
    script = {"uv-0.0.1.data/scripts/uv": f'#!/bin/sh\nexec "{uv}" "$@"\n'}
    course.lines = [
        make_wheel(wheels, "tiny", "1.0", {"tiny.py": "ANSWER = 42\n"}),
        make_wheel(wheels, "uv", "0.0.1", script),
    ]
    (course.folder / "requirements.lock").write_text("".join(course.lines))
    (course.folder / "backend.py").write_text(BACKEND)
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (course.folder / "pyproject.toml").write_text(PYPROJECT + build)
    package = course.folder / "workshop_utils"
    package.mkdir()
    main = "import sys, tiny\n\ndef main():\n    print(sys.argv[1:], tiny.ANSWER)\n"
    (package / "__init__.py").write_text(main)

    dead = "http://127.0.0.1:9/simple"
    offline = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": dead,
        "PIP_RETRIES": 1,
        "PIP_NO_CACHE_DIR": 1,
        "UV_INDEX_URL": dead,
        "UV_HTTP_RETRIES": 0,
        "UV_CACHE_DIR": course.base / "cache",
        "UV_NO_CONFIG": 1,
    }
    course.for_pip = {"PIP_NO_INDEX": 1, "PIP_FIND_LINKS": wheels}
    page = course.base / "simple/tiny/index.html"
    page.parent.mkdir(parents=True)
    wheel = wheels / "tiny-1.0-py3-none-any.whl"
    page.write_text(f'<a href="{wheel.as_uri()}">{wheel.name}</a>')
    course.for_uv = {"UV_INDEX_URL": (course.base / "simple").as_uri()}
    return course, offline


def test_no_network_with_the_real_pip(real):
    course, offline = real
    sentence = one_sentence(course.run(**offline))
    assert "No connection to the package index while downloading uv" in sentence
    assert not (course.folder / ".venv").exists()


def test_no_network_with_the_real_uv(real):
    course, offline = real
    sentence = one_sentence(course.run(**offline, **course.for_pip))
    assert "No connection" in sentence
    assert "installing the packages" in sentence
    assert not (course.folder / ".venv").exists()


@pytest.mark.parametrize("package", [0, 1])
def test_a_wrong_hash_with_the_real_pip_and_uv(real, package):
    course, offline = real
    wrong = re.sub(r"sha256:\w{8}", "sha256:00000000", course.lines[package])
    lines = [wrong if line == course.lines[package] else line for line in course.lines]
    (course.folder / "requirements.lock").write_text("".join(lines))
    sentence = one_sentence(course.run(**{**offline, **course.for_pip, **course.for_uv}))
    assert "not the one that requirements.lock names" in sentence
    assert not (course.folder / ".venv").exists()


def test_all_of_it_with_the_real_pip_and_uv(real):
    course, offline = real
    settings = {**offline, **course.for_pip, **course.for_uv}
    # Some settings of the user's would disturb a virtual environment.
    disturbing = {"PIP_USER": 1, "UV_SYSTEM_PYTHON": 1, "PYTHONDONTWRITEBYTECODE": 1}
    result = course.run("--run", "x", **settings, **disturbing)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "['run', 'x'] 42\n"
    assert course.is_set_up()
    compiled = list((course.folder / ".venv").glob("lib/*/site-packages/__pycache__/tiny.*.pyc"))
    assert len(compiled) == 1
    start = time.monotonic()
    assert course.run(**settings).stdout.startswith("Ready; nothing has changed")
    assert time.monotonic() - start < 3


# ------------------------------------------------------------------ a room without a network


def stand_in(wheelhouse):
    """A folder with what --offline looks for first."""
    wheelhouse.mkdir(parents=True)
    (wheelhouse / "uv-0.0.1-py3-none-any.whl").write_text("")
    return wheelhouse


def test_offline_takes_all_from_the_folder(course):
    stand_in(course.base / "wheel house")
    result = course.run("--offline", "wheel house", PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("Ready. Next:") and course.is_set_up()
    assert course.calls() == STAGES
    options = f"--no-index --find-links {course.base}/wheel house"
    for stage in ("pip", "uv", "editable"):
        assert options in course.commands[stage]
    for stage in ("uv", "editable"):
        assert "--offline" in course.commands[stage]
    assert course.run("--offline", "wheel house").stdout.startswith("Ready; nothing has changed")


def test_offline_looks_beside_install_sh_first(course):
    stand_in(course.folder / "wheelhouse")
    assert course.run("--offline").returncode == 0
    course.calls()
    assert f"--find-links {course.folder}/wheelhouse" in course.commands["pip"]


def test_a_room_with_a_network_says_nothing_of_folders(course):
    assert course.run().returncode == 0
    course.calls()
    assert all("--no-index" not in command for command in course.commands.values())


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_offline_without_packages(course, name):
    (course.base / "empty").mkdir()
    sentence = one_sentence(course.run("--offline", name))
    assert f"There are no packages in {course.base}/{name}" in sentence
    assert not (course.folder / ".venv").exists()


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("pip", "ERROR: No matching distribution found for uv==0.0.1"),
        (
            "uv",
            "Because tqdm was not found in the provided package locations, it is unsatisfiable.",
        ),
        ("uv", "Because tqdm==1.0 has no wheels with a matching Python ABI tag, no way."),
    ],
)
def test_a_folder_made_on_another_kind_of_machine(course, stage, message):
    stand_in(course.folder / "wheelhouse")
    course.message(message)
    sentence = one_sentence(course.run("--offline", FAIL=stage))
    assert "wheelhouse lacks a package for Python 3.11.7 on this machine" in sentence
    assert "./install.sh --download on a machine of the same kind" in sentence


def test_download_asks_pip_for_all_of_the_lock(course):
    result = course.run("--download", "wheel house")
    assert result.returncode == 0, result.stderr
    assert course.is_set_up()
    command = next(line for line in result.stdout.splitlines() if line.startswith("ran python"))
    assert "-m pip download" in command and "--require-hashes" in command
    assert f"-r requirements.lock -d {course.base}/wheel house" in command
    assert "./install.sh --offline DIR" in result.stdout


def test_a_download_that_breaks_off_is_no_success(course):
    result = course.run("--download", RUN_CODE=1)
    assert result.returncode == 1 and "are not complete" in result.stderr
    assert "Next" not in result.stdout.replace("Ready. Next", "")


def test_with_the_network_off_and_the_real_pip_and_uv(real):
    """In a network namespace of its own, where that is allowed; else with a dead index alone."""
    course, settings = real
    for tool in ("unshare", "ip"):
        if path := shutil.which(tool):
            (course.tools / tool).symlink_to(path)
    allowed = subprocess.run(["sh", "-c", "unshare -rn true"], capture_output=True).returncode == 0
    command = [str(course.folder / "install.sh"), "--offline", str(course.base / "wheels")]
    result = subprocess.run(
        ["unshare", "-rn", *command] if allowed else command,
        env=course.environment(**settings),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert course.is_set_up()
    assert course.run("--run", "x").stdout == "['run', 'x'] 42\n"


def test_what_is_missing_with_the_network_off(real):
    course, settings = real
    (course.base / "wheels" / "tiny-1.0-py3-none-any.whl").unlink()
    sentence = one_sentence(course.run("--offline", course.base / "wheels", **settings))
    assert "wheels lacks a package for Python" in sentence and "tiny" in sentence
    assert not (course.folder / ".venv").exists()


def test_set_up_keeps_a_copy_of_the_notebooks(course):
    (course.folder / "notebooks").mkdir()
    (course.folder / "notebooks" / "01_a.ipynb").write_text("as it came")
    assert course.run().returncode == 0
    assert (course.folder / ".venv" / "pristine" / "01_a.ipynb").read_text() == "as it came"
