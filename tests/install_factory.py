"""Folders to try install.sh in: with stand-ins for Python, pip and uv, or with tiny packages."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STAGES = ["boot", "pip", "venv", "sync", "editable"]
TOOLS = "awk bash cat cp dirname env grep head ls mkdir mktemp mv realpath rm rmdir sed sh sleep"
TOOLS += " tail tee touch tr"

# Plays python3, pip and uv. FAIL and HANG name the stage that fails or hangs; .venv/packages is the
# lock that uv was to install.
STAND_IN = r"""#!/bin/sh
stage() {
    echo "$1" >>"$CALLS"
    if [ "${HANG:-}" = "$1" ]; then
        touch "$CALLS.hangs"
        n=0
        while [ ! -e "$CALLS.go" ] && [ $n -lt 900 ]; do sleep 0.1; n=$((n + 1)); done
    fi
    if [ "${FAIL:-}" = "$1" ]; then cat "$CALLS.message"; exit "${FAIL_CODE:-1}"; fi
}
last() { shift $(($# - 1)); printf '%s' "$1"; }
copy() { mkdir -p "$1/bin" && cp "$0" "$1/bin/$2"; }
case "${0##*/} $*" in
    "uv venv "*) stage venv && copy "$(last "$@")" python ;;
    "uv pip sync "*)
        stage sync
        target=${*#*--python } && target=${target%% *}
        cp "$(last "$@")" "$target/packages" && copy "$target" uv && copy "$target" workshop
        echo "${UV_DEFAULT_INDEX:-} ${PYTHONDONTWRITEBYTECODE:-unset}" >"$CALLS.settings"
        ;;
    "uv pip install "*) stage editable ;;
    *" -I -m venv "*) stage boot && copy "$(last "$@")" python ;;
    *" -m pip config get global.index-url") echo "${CONFIGURED_INDEX:-}" ;;
    *" -m pip config get "*) exit 1 ;;
    *" -m pip install "*) stage pip && cp "$0" "${0%/*}/uv" ;;
    *" -c "*)
        while [ "$1" != -c ]; do shift; done && shift
        exec "@REAL@" -I -S -c "import sys; @PRETEND@; exec(sys.argv.pop(1))" "$@"
        ;;
    *) echo "ran ${0##*/} in $PWD with: $*"; exit "${RUN_CODE:-0}" ;;
esac
"""
PYPROJECT = '[project]\nname = "workshop-utils"\nversion = "1.0.0"\n'
LOCK = f"tqdm==1.0 \\\n    --hash=sha256:{'0' * 64}\nuv==0.0.1 \\\n    --hash=sha256:{'1' * 64}\n"


class Course:
    """A copy of install.sh in a folder with a space in its name, and the stand-ins."""

    def __init__(self, base):
        self.base = base
        self.folder = base / "a course"
        self.venv = self.folder / ".venv"
        self.lock = self.folder / "requirements.lock"
        self.temporary = base / "temporary"
        self.tools = base / "tools"
        for folder in (self.folder, self.temporary, self.tools, base / "home"):
            folder.mkdir()
        shutil.copy(ROOT / "install.sh", self.folder)
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        self.lock.write_text(LOCK)
        (self.folder / "requirements-dev.lock").write_text(LOCK + "# and tests\n")
        # Only what is listed can be found, so that no Python of this computer plays a part.
        for tool in TOOLS.split():
            (self.tools / tool).symlink_to(shutil.which(tool))
        self.script("df", "#!/bin/sh\necho x; echo / 0 0 ${FREE_KB:-9999999999} 0%\n")
        self.python("python3")

    def script(self, name, text):
        path = self.tools / name
        path.unlink(missing_ok=True)  # most are links to the computer's own
        path.write_text(text)
        path.chmod(0o755)
        return path

    def python(self, name, version=(3, 11, 7), bits=64, venv=True):
        pretend = f"sys.version_info = {version}; sys.maxsize = 2**{bits - 1} - 1"
        pretend += f"; sys.executable = '{self.tools / name}'"
        pretend += "" if venv else "; sys.modules['venv'] = None"
        text = STAND_IN.replace("@REAL@", sys.executable).replace("@PRETEND@", pretend)
        return self.script(name, text)

    def start(self, *arguments, cwd=None, before=(), **environment):
        own = {"PATH": self.tools, "HOME": self.base / "home", "TMPDIR": self.temporary}
        own = {**own, "CALLS": self.base / "calls", **environment}
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

    def start_and_hang(self, stage, **environment):
        """A run that hangs in that stage."""
        hangs = self.base / "calls.hangs"
        hangs.unlink(missing_ok=True)
        process = self.start(HANG=stage, **environment)
        end = time.monotonic() + 20
        while not hangs.exists():
            assert time.monotonic() < end, "nothing happened"
            time.sleep(0.02)
        return process

    def go_on(self):
        (self.base / "calls.go").touch()

    def stages(self):
        """The stages since the last time."""
        file = self.base / "calls"
        lines = file.read_text().split() if file.exists() else []
        file.unlink(missing_ok=True)
        return lines

    def left(self):
        """What a run should not leave behind in the project."""
        return [path.name for path in self.folder.glob(".venv?*")]

    def is_ready(self):
        """Whether all of it is there, and the next run finds nothing to do."""
        self.stages()
        result = self.run()
        return "nothing has changed" in result.stdout and self.stages() == []

    def message(self, text):
        (self.base / "calls.message").write_text(text)


def finish(process):
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess([], process.returncode, out, err)


def make_wheel(folder, name, version, files):
    """A wheel with those files; its line for a lock."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100755 if "/scripts/" in path else 0o100644) << 16
            archive.writestr(entry, text)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


def real_course(base):
    """A course with the real Python, pip and uv, and settings that keep these off the network."""
    course = Course(base)
    pip = pytest.importorskip("pip")
    (course.base / "only pip").mkdir()
    (course.base / "only pip/pip").symlink_to(Path(pip.__file__).parent)
    course.wrap = f"""#!/bin/sh
case "$*" in
    "-E -c "*)
        shift 2
        exec "{sys.executable}" -c "import sys; sys.executable = '$0'
exec(sys.argv.pop(1))" "$@" ;;
    "-I -m venv "*) # unpacking a pip of its own would take seconds
        "{sys.executable}" -I -m venv --without-pip "$4" &&
            echo "{course.base}/only pip" >"$(echo "$4"/lib/python*/site-packages)/pip.pth" ;;
    *) exec "{sys.executable}" "$@" ;;
esac
"""
    course.script("python3", course.wrap)
    wheels = course.wheels = course.base / "wheel house"
    wheels.mkdir()
    uv = f'#!/bin/sh\nexec "{Path(sys.executable).with_name("uv")}" "$@"\n'
    course.lines = [
        make_wheel(wheels, "tiny", "1.0", {"tiny.py": "ANSWER = 42\n"}),
        make_wheel(wheels, "uv", "0.0.1", {"uv-0.0.1.data/scripts/uv": uv}),
    ]
    course.lock.write_text("".join(course.lines))
    # "-e ." gets a wheel that is there already, so that no build backend is needed.
    script = "[console_scripts]\nworkshop = course:main\n"
    files = {"workshop_utils-1.0.dist-info/entry_points.txt": script}
    files["workshop_utils.pth"] = "../../../..\n"  # from site-packages
    make_wheel(course.folder, "workshop_utils", "1.0", files)
    (course.folder / "course.py").write_text(
        "import shutil, sys, tiny\ndef main(): print(sys.argv[1:], tiny.ANSWER)\n"
    )
    (course.folder / "backend.py").write_text(
        "import shutil\ndef build_editable(folder, settings=None, metadata_directory=None):\n"
        "    return shutil.copy('workshop_utils-1.0-py3-none-any.whl', folder).rpartition('/')[2]\n"
    )
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    project = PYPROJECT.replace("1.0.0", "1.0")
    (course.folder / "pyproject.toml").write_text(project + build)
    dead = "http://127.0.0.1:9/simple"
    course.offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": dead, "PIP_RETRIES": 1}
    course.offline |= {"PIP_NO_CACHE_DIR": 1, "UV_INDEX_URL": dead, "UV_HTTP_RETRIES": 0}
    course.offline |= {"UV_NO_CONFIG": 1, "UV_CACHE_DIR": course.base / "cache"}
    course.for_pip = {**course.offline, "PIP_NO_INDEX": 1, "PIP_FIND_LINKS": wheels.as_uri()}
    for wheel in wheels.iterdir():
        page = course.base / "simple" / wheel.name.partition("-")[0] / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text(f'<a href="{wheel.as_uri()}">{wheel.name}</a>')
    course.online = {**course.for_pip, "UV_INDEX_URL": (course.base / "simple").as_uri()}
    return course
