"""Folders to try install.sh in: with stand-ins for Python, pip and uv, or with tiny packages."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from patience import HUNG

STAGES = ["boot", "pip", "venv", "sync", "editable"]
TOOLS = "awk bash cat cp dirname env grep head ls mkdir mktemp mv rm rmdir sed sh sleep tail tee"
TOOLS += " touch tr realpath"

# FAIL and HANG name the stage that fails or hangs.
STAGE = r"""#!/bin/sh
stage() {
    echo "$1" >>"$CALLS"
    [ "${FAIL:-}" != "$1" ] || { echo "${MESSAGE:-}"; exit 1; }
    [ "${HANG:-}" = "$1" ] || return 0
    n=0 && touch "$CALLS.hangs"
    until [ -e "$CALLS.go" ] || [ $n = 12000 ]; do sleep 0.1; n=$((n + 1)); done
}
"""
# Plays python3, pip and uv; .venv/packages is the lock that uv was to install.
STAND_IN = r"""last() { shift $(($# - 1)); printf '%s' "$1"; }
copy() { mkdir -p "$1/bin" && { [ "$0" -ef "$1/bin/$2" ] || cp "$0" "$1/bin/$2"; }; }
case "${0##*/} $*" in
    "uv venv "*) stage venv && copy "$(last "$@")" python ;;
    "uv pip sync "*)
        stage sync
        target=${*#*--python } && target=${target%% *}
        cp "$(last "$@")" "$target/packages" && copy "$target" uv && copy "$target" workshop ;;
    "uv pip install "*) stage editable ;;
    *" -I -m venv "*) stage boot && copy "$(last "$@")" python ;;
    *" -m pip config get "*) exit 1 ;;
    *" -m pip download "*) stage pip ;;
    *" -m pip install "*) cp "$0" "${0%/*}/uv" ;;
    *" -c "*)
        while [ "$1" != -c ]; do shift; done && shift
        # Its packages would be those of the computer, and compiling all of them takes seconds.
        here="import sys; sys.prefix = '${0%/*/*}'; @PRETEND@; exec(sys.argv.pop(1))"
        exec "@REAL@" -I -S -c "$here" "$@" ;;
    *) echo "ran ${0##*/} in $PWD with: $*"; exit "${RUN_CODE:-0}" ;;
esac
"""
# The real Python, as one that has a pip: unpacking a pip of its own would take seconds.
REAL = """#!/bin/sh
case "$*" in
    "-E -c "*) shift 2 && exec "@REAL@" -c "import sys; @PRETEND@; exec(sys.argv.pop(1))" "$@" ;;
    "-I -m venv "*)
        "@REAL@" -I -m venv --without-pip "$4"
        echo "$HOME/only pip" >"$(echo "$4"/lib/python*/site-packages)/pip.pth" ;;
    *) exec "@REAL@" "$@" ;;
esac
"""
PYPROJECT = '[project]\nname = "workshop-utils"\nversion = "1.0"\n'
PYPROJECT += '[build-system]\nrequires = []\nbuild-backend = "tiny"\n'
LOCK = f"tqdm==1.0 \\\n    --hash=sha256:{'0' * 64}\nuv==0.0.1 \\\n    --hash=sha256:{'1' * 64}\n"
# It builds, too: "-e ." gets a wheel that is there already.
TINY = """import shutil, sys
def main(): print(sys.argv[1:])
def build_editable(folder, *_):
    return shutil.copy("workshop_utils-1.0-py3-none-any.whl", folder).rpartition("/")[2]
"""


def write(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # a tool is a link to the computer's own
        path.write_text(text)
        path.chmod(0o755)


class Course:
    """A copy of install.sh in a folder with a space in its name, and the stand-ins."""

    def __init__(self, base):
        self.base, self.folder = base, base / "a course"
        self.venv, self.lock = self.folder / ".venv", self.folder / "requirements.lock"
        self.temporary, self.tools = base / "temporary", base / "tools"
        self.temporary.mkdir()
        write(base, {"calls": ""})
        files = {"pyproject.toml": PYPROJECT, self.lock.name: LOCK}
        write(self.folder, {**files, "requirements-dev.lock": LOCK + "# and tests\n"})
        shutil.copy(Path(__file__).parents[1] / "install.sh", self.folder)
        # Only what is listed can be found, so that no Python of this computer plays a part.
        write(self.tools, {"df": "#!/bin/sh\necho x; echo / 0 0 ${FREE_KB:-9999999999} 0%\n"})
        for tool in TOOLS.split():
            (self.tools / tool).symlink_to(shutil.which(tool))
        self.python("python3")

    def python(self, name, version=(3, 11, 7), bits=64, venv=True, text=STAGE + STAND_IN):
        pretend = f"sys.version_info = {version}; sys.maxsize = 2**{bits - 1} - 1"
        pretend += f"; sys.executable = '{self.tools / name}'"
        pretend += "" if venv else "; sys.modules['venv'] = None"
        text = text.replace("@REAL@", sys.executable).replace("@PRETEND@", pretend)
        write(self.tools, {name: text})
        return self.tools / name

    def start(self, *arguments, cwd=None, before=(), **environment):
        own = {"PATH": self.tools, "HOME": self.base, "TMPDIR": self.temporary}
        own |= {"CALLS": self.base / "calls", **environment}
        return subprocess.Popen(
            [*before, self.folder / "install.sh", *arguments],
            env={name: str(value) for name, value in own.items()},
            **{"cwd": cwd or self.base, "text": True, "stdin": subprocess.DEVNULL},
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE},
            # A shell cannot trap a signal that was ignored when it started, as under nohup.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def run(self, *arguments, **options):
        return finish(self.start(*arguments, **options))

    def set_up(self, *arguments, **options):
        """The stages of a run that does what it should."""
        self.stages()
        result = self.run(*arguments, **options)
        assert result.returncode == 0 and self.left() == [], result.stderr
        return self.stages()

    def start_and_hang(self, stage, **environment):
        """A run that hangs in that stage until there is a file calls.go."""
        process = self.start(HANG=stage, **environment)
        while not (self.base / "calls.hangs").exists():
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        return process

    def stages(self):
        """The stages since the last time."""
        file = self.base / "calls"
        lines = file.read_text().split()
        file.write_text("")
        return lines

    def left(self):
        """What a run should not leave behind in the project."""
        return [path.name for path in self.folder.glob(".venv.setup*")]

    def is_ready(self):
        """Whether all of it is there, and the next run finds nothing to do."""
        self.stages()
        return "nothing has changed" in self.run().stdout and self.stages() == self.left() == []


def finish(process):
    out, err = process.communicate(timeout=HUNG)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def make_wheel(folder, name, files):
    """A wheel of version 1.0 with those files; its line for a lock."""
    info, wheel = f"{name}-1.0.dist-info", f"{name}-1.0-py3-none-any"
    files[f"{info}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    files[f"{info}/WHEEL"] = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    write(folder.parent / wheel, files)
    made = Path(shutil.make_archive(folder / wheel, "zip", folder.parent / wheel))
    made = made.rename(folder / f"{wheel}.whl")
    return f"{name}==1.0 \\\n    --hash=sha256:{hashlib.sha256(made.read_bytes()).hexdigest()}\n"


class RealCourse(Course):
    """A course with the real Python, pip and uv, and an index in a folder: no network is used."""

    def __init__(self, base):
        super().__init__(base)
        (base / "only pip").mkdir()
        (base / "only pip/pip").symlink_to(Path(pytest.importorskip("pip").__file__).parent)
        self.python("python3", tuple(sys.version_info[:3]), text=REAL)
        wheels = base / "wheel house"
        wheels.mkdir()
        uv = f'#!/bin/sh\nexec "{Path(sys.executable).with_name("uv")}" "$@"\n'
        content = {"tiny.py": TINY, "tests/one.py": "", "tensorflow/include/a/b.h": ""}
        content |= {"tensorflow/one.py": "", "unicorn/lib/libunicorn.a": ""}
        self.lines = [make_wheel(wheels, "tiny", content)]
        self.lines.append(make_wheel(wheels, "uv", {"uv-1.0.data/scripts/uv": uv}))
        for wheel in wheels.iterdir():
            page = f"{wheel.name.partition('-')[0]}/index.html"
            link = f"../../wheel%20house/{wheel.name}"
            write(base / "simple", {page: f'<a href="{link}">{wheel.name}</a>'})
        script = "workshop_utils-1.0.dist-info/entry_points.txt"
        make_wheel(self.folder, "workshop_utils", {script: "[console_scripts]\nworkshop=tiny:main"})
        self.lock.write_text("".join(self.lines))
        self.offline = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": 1}
        self.offline |= {"PIP_NO_CACHE_DIR": 1, "UV_HTTP_RETRIES": 0, "UV_NO_CONFIG": 1}
        self.offline |= {"PIP_CONFIG_FILE": os.devnull, "UV_CACHE_DIR": base / "cache"}
        self.online = {**self.offline, "PIP_INDEX_URL": (base / "simple").as_uri()}
