"""A command leaves nothing behind but its results; test_surroundings.py ends real ones."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest
from patience import HUNG

from workshop_utils.cli import tidy

if not hasattr(signal, "SIGHUP"):
    pytest.skip("the system has no signals but those of the console", allow_module_level=True)

SCRIPT = """
import os, signal, subprocess, sys, tempfile, time, weakref
from workshop_utils.cli.tidy import tidy
with tidy():
    folder = tempfile.mkdtemp()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    print(child.pid, folder, flush=True)
    {body}
"""
WAIT = "time.sleep(60)"
# The handler runs as soon as the callback's first line has, and there nothing can be raised.
IN_A_CALLBACK = """
    class Thing: pass
    thing = Thing()
    reference = weakref.ref(thing, lambda _: (os.kill(os.getpid(), {number}), time.sleep(0.1)))
    del thing
    time.sleep(60)"""


def run(tmp_path, body, number=None):
    """(exit code, whether its child lives, what is in its temporary folder, its stderr)."""
    command = [sys.executable, "-c", SCRIPT.format(body=body)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as process:
        child, folder = process.stdout.readline().split()
        assert folder.startswith(str(tmp_path))
        if number:
            process.send_signal(number)
        _, errors = process.communicate(timeout=HUNG)
    try:
        os.kill(int(child), 0)
        lives = True
    except ProcessLookupError:
        lives = False
    return process.returncode, lives, list(tmp_path.iterdir()), errors


@pytest.mark.parametrize("name", ["SIGHUP", "SIGTERM", "SIGQUIT", "SIGUSR1", "SIGALRM", "SIGXCPU"])
def test_a_signal_ends_child_and_folder(tmp_path, name):
    number = getattr(signal, name)
    assert run(tmp_path, WAIT, number) == (128 + number, False, [], "")


def test_ctrl_c_and_an_error_do_too(tmp_path):
    for body, number in ((WAIT, signal.SIGINT), ("raise ValueError", None)):
        code, *rest, errors = run(tmp_path, body, number)
        assert code != 0 and rest == [False, []] and "Traceback" in errors


def test_a_signal_while_nothing_can_be_raised_is_not_lost(tmp_path):
    body = IN_A_CALLBACK.format(number=int(signal.SIGTERM))
    assert run(tmp_path, body) == (128 + signal.SIGTERM, False, [], "")


def test_what_nohup_ignores_stays_ignored(tmp_path):
    body = "os.kill(os.getpid(), signal.SIGHUP); child.kill(); child.wait()"
    script = SCRIPT.format(body=body).replace(
        "with tidy", "signal.signal(1, signal.SIG_IGN)\nwith tidy"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert result.returncode == 0 and list(tmp_path.iterdir()) == []


def test_the_next_command_removes_what_a_killed_one_has_left_and_no_more(tmp_path):
    kept = [tmp_path / "workshop-without-lock", tmp_path / "workshop-link"]
    kept[0].mkdir()
    kept[1].symlink_to(tmp_path, target_is_directory=True)
    command = [sys.executable, "-c", SCRIPT.format(body=WAIT)]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        child, _ = process.stdout.readline().split()
        there = set(tmp_path.iterdir())
        assert len(there) == 3
        run(tmp_path, "child.kill()")
        assert set(tmp_path.iterdir()) == there, "That one was at work."
        process.kill()
    os.kill(int(child), signal.SIGKILL)
    assert set(tmp_path.iterdir()) == there
    run(tmp_path, "child.kill()")
    assert set(tmp_path.iterdir()) == set(kept)


def test_whoever_runs_a_command_within_python_has_the_folder_of_before(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("TEMP", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", None)
    before = dict(os.environ)
    with tidy.tidy():
        assert tempfile.gettempdir() != str(tmp_path)
    assert dict(os.environ) == before and tempfile.gettempdir() == str(tmp_path)
