"""Files written whole or not at all, locks, and one sentence where something cannot be done."""

import errno
import json
import os
import stat
import subprocess
import sys
import threading

import pytest
from patience import HUNG

from workshop_utils import files, paths
from workshop_utils.errors import MissingArtifact, WorkshopError
from workshop_utils.paths import Home


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    target = files.write(tmp_path / "model.cc", b"old")
    with pytest.raises(RuntimeError), files.replacing(target) as temporary:
        temporary.write_bytes(b"half of the ne")
        raise RuntimeError("stopped in the middle")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["model.cc"]


def test_a_full_disk_is_one_sentence(tmp_path):
    target = files.write(tmp_path / "model.cc", b"old")
    sentence = pytest.raises(WorkshopError, match=r"Cannot write .*model\.cc: No space left")
    with sentence, files.replacing(target):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert target.read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "models").write_text("a file where a folder should be")
    with pytest.raises(WorkshopError, match="Cannot write"):
        files.write(tmp_path / "models" / "model.cc", b"")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_written_files_can_be_read_by_others(tmp_path):
    mode = files.write(tmp_path / "file", b"").stat().st_mode
    assert stat.S_IMODE(mode) == 0o644


HOLD = """
import sys, time
from pathlib import Path
from workshop_utils import files
with files.locked(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_held_by_one_and_dropped_by_a_killed_process(tmp_path):
    path = tmp_path / "folder" / ".lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WorkshopError, match=r"^Another is at work$"):
            files.locked(path, "Another is at work").__enter__()
    finally:
        other.kill()
        other.communicate()
    for _ in range(2):
        with files.locked(path, "Another is at work"):
            assert path.exists()


def test_a_lock_is_waited_for_as_long_as_it_is_said(tmp_path):
    path, ready, go = tmp_path / ".lock", threading.Event(), threading.Event()

    def hold():
        with files.locked(path, "busy"):
            ready.set()
            go.wait(HUNG)

    other = threading.Thread(target=hold)
    other.start()
    assert ready.wait(HUNG)
    threading.Timer(0.2, go.set).start()
    with files.locked(path, "busy", timeout=HUNG):
        assert go.is_set()
    other.join()


def test_a_lock_file_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkshopError, match=r"^Cannot write .*file.*: \w"):
        files.locked(tmp_path / "file" / ".lock", "busy").__enter__()


def test_two_homes_have_a_lock_each(tmp_path):
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    refused = pytest.raises(WorkshopError, match=f"at work in {one.path};")
    with files.artifacts_locked(one), files.artifacts_locked(other), refused:
        files.artifacts_locked(one).__enter__()


def test_what_the_system_refuses_is_one_sentence():
    sentence = pytest.raises(
        WorkshopError, match=r"^Cannot do it: No space left on device; sorry\.$"
    )
    with sentence, files.os_errors_as("Cannot do it", "; sorry"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    sentence = pytest.raises(WorkshopError, match=r"^Cannot do it: broken\.$")
    with sentence, files.os_errors_as("Cannot do it"):
        raise OSError("broken")


def test_a_sentence_stays_as_it_is():
    sentence = pytest.raises(MissingArtifact, match=r"^It is missing\.$")
    with sentence, files.os_errors_as("Cannot do it"):
        raise MissingArtifact("It is missing.")
    with pytest.raises(KeyError), files.os_errors_as("Cannot do it"):
        raise KeyError


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "Cannot read .*x.json: No such file"),
        (b"{", "x.json is damaged: it is not JSON"),
        (b"\xff", "x.json is damaged: it is not JSON"),
        (b"[1]", "x.json is not a JSON object"),
    ],
)
def test_json_that_is_none(tmp_path, content, words):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WorkshopError, match=words):
        files.read_json(path)


def test_json_that_is_some(tmp_path):
    path = files.write(tmp_path / "x.json", '{"ü": 1}')
    assert files.read_json(path) == {"ü": 1}


SCHEMA = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["passed", "failed"]},
        "seeds": {"type": "array", "items": {"type": ["integer", "null"]}},
    },
}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({}, "status is missing"),
        ({"status": "lost"}, "status is 'lost', which it cannot be"),
        ({"status": "passed", "seeds": 7}, "seeds is 7, but should be a list"),
        (
            {"status": "passed", "seeds": [1, "two"]},
            "seeds[1] is 'two', but should be a whole number or null",
        ),
    ],
)
def test_json_that_is_not_as_its_schema_says(tmp_path, content, problem):
    schema = files.write(tmp_path / "schema.json", json.dumps(SCHEMA))
    path = files.write(tmp_path / "x.json", json.dumps(content))
    with pytest.raises(WorkshopError) as refused:
        files.read_json(path, schema)
    assert str(refused.value) == f"{paths.display_path(path)} is damaged: {problem}."


def test_json_that_is_as_its_schema_says(tmp_path):
    schema = files.write(tmp_path / "schema.json", json.dumps(SCHEMA))
    content = {"status": "passed", "seeds": [1, None]}
    path = files.write(tmp_path / "x.json", json.dumps(content))
    assert files.read_json(path, schema) == content
