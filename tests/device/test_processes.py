"""Nothing outlives a call that was stopped, tried with programs and compilers that take long."""

import os
import signal
import subprocess
import sys
import time

import pytest
from patience import HUNG

from workshop_utils import files, firmware, paths
from workshop_utils.device import compiling, processes
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to handle")

# It has a child; `pids` lists both.
SLOW = """#!/bin/sh
sleep 3600 &
echo $$ $! >> "{pids}"
wait
"""
# What CMake wants to know of it, it answers at once.
SLOW_COMPILER = SLOW.replace("\n", '\ncase "$*" in *.cc.obj*) ;; *) exit 0;; esac\n', 1)
STUBBORN = """#!/bin/sh
trap '' TERM
echo $$ >> "{pids}"
echo "I stay"
while true; do sleep 0.1; done
"""


@pytest.fixture
def pids(tmp_path):
    """The file that lists what a slow program has started; what is left ends with the test."""
    file = tmp_path / "pids"
    yield file
    for pid in running(file):
        os.kill(pid, signal.SIGKILL)


def script(path, text, pids):
    path.parent.mkdir(exist_ok=True)
    path.write_text(text.format(pids=pids))
    path.chmod(0o755)
    return path


def running(pids):
    """Which of the listed processes still run; one that nobody has waited for is none."""
    listed = pids.read_text().split() if pids.exists() else []
    states = {
        pid: subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True).stdout
        for pid in listed
    }
    return [int(pid) for pid, state in states.items() if state.strip() and state[0] != "Z"]


def wait_for(pids, process=None):
    """Until a slow program has listed itself."""
    end = time.monotonic() + HUNG
    while not pids.exists() or not pids.read_text().endswith("\n"):
        assert time.monotonic() < end and (process is None or process.poll() is None)
        time.sleep(0.05)


def gone(pids):
    """Whether all is over now or in a moment, as far as the system needs one."""
    end = time.monotonic() + 30
    while running(pids) and time.monotonic() < end:
        time.sleep(0.05)
    return pids.exists() and not running(pids)


def test_code_and_output_of_a_program():
    code = "import sys; print('out', flush=True); print('err \\u00e4', file=sys.stderr); exit(3)"
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    ended, said = processes.run([sys.executable, "-c", code], HUNG, env=environment)
    assert (ended, said.split()) == (3, ["out", "err", "\u00e4"])


def test_a_program_gets_no_input_and_its_own_folder(tmp_path):
    code = "import os, sys; print(repr(sys.stdin.read()), os.getcwd())"
    assert processes.run([sys.executable, "-c", code], HUNG, cwd=tmp_path)[1].split() == [
        "''",
        str(tmp_path.resolve()),
    ]


def test_a_program_that_is_not_there():
    with pytest.raises(OSError):
        processes.run(["/nowhere/cmake"], 60)


@needs_signals
def test_a_program_that_takes_too_long_ends_with_its_child(tmp_path, pids):
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run([script(tmp_path / "slow", SLOW, pids)], 1)
    assert gone(pids)


@needs_signals
def test_a_program_that_does_not_want_to_end_is_ended(tmp_path, pids, monkeypatch):
    monkeypatch.setattr(processes, "_GRACE", 0.5)
    with pytest.raises(subprocess.TimeoutExpired):
        processes.run([script(tmp_path / "stubborn", STUBBORN, pids)], 1)
    assert gone(pids)


@needs_signals
@pytest.mark.parametrize("handler", [signal.SIG_DFL, signal.SIG_IGN, lambda number, frame: None])
def test_what_sigterm_did_before_it_does_afterwards(handler):
    former = signal.signal(signal.SIGTERM, handler)
    try:
        processes.run([sys.executable, "-c", ""], HUNG)
        assert signal.getsignal(signal.SIGTERM) == handler
    finally:
        signal.signal(signal.SIGTERM, former)


# ---- A whole build, by CMake and Ninja, with a compiler that never ends


@pytest.fixture
def slow_compiler(tmp_path, pids, monkeypatch):
    """The first arm-none-eabi-g++ on the path is slow."""
    script(tmp_path / "bin" / "arm-none-eabi-g++", SLOW_COMPILER, pids)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "home"


def is_unlocked(home):
    (lock,) = (home / "firmware" / "build").glob("*/.lock")
    with files.locked(lock, "still locked"):
        return True


@needs_signals
def test_a_build_that_takes_too_long_leaves_no_compiler(slow_compiler, pids, monkeypatch):
    run = processes.run

    def compiling_alone_has_a_limit(command, timeout, **options):
        return run(command, timeout if "--build" in command else HUNG, **options)

    monkeypatch.setattr(compiling, "_BUILD_TIMEOUT", 4)
    monkeypatch.setattr(processes, "run", compiling_alone_has_a_limit)
    with pytest.raises(WorkshopError, match=r"^The build was stopped: it took more than 4 seconds"):
        firmware.build(toolchain="gcc", home=Home(slow_compiler))
    assert gone(pids) and is_unlocked(slow_compiler)
    assert "build.ninja" in {file.name for file in (slow_compiler / "firmware").rglob("*")}


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_build_that_is_stopped_leaves_no_compiler(slow_compiler, pids, number):
    build = subprocess.Popen(
        [sys.executable, "-m", "workshop_utils.cli", "firmware", "build", "--toolchain", "gcc"],
        cwd=paths.PROJECT,
        env={**os.environ, "WORKSHOP_HOME": str(slow_compiler)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Shells let what they start in the background ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    wait_for(pids, build)
    build.send_signal(number)
    said, _ = build.communicate(timeout=HUNG)
    assert build.returncode not in (0, None) and "Traceback" not in said, said
    assert gone(pids) and is_unlocked(slow_compiler)
