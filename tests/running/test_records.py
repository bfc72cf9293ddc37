"""run.json: how it grows, and what is no record."""

import json
import re
import subprocess

import pytest
from record_factory import HOSTILE, hostile_run, record

from workshop_utils import machine
from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks, records

ROW = {"name": "03_a", "status": "ok", "seconds": 1}


def damaged(**changes):
    return json.dumps(record(**changes))


def test_the_record_grows_with_the_run(reference_home, tmp_path):
    selected = notebooks.select(first="05")
    made = records.Record(tmp_path, selected, {"CYCLES": 3})
    assert not (tmp_path / "run.json").exists()
    made.begin()
    assert not records.read(tmp_path)["finished"]
    made.add(selected[0], "ok", 3.14)
    stopped = records.read(tmp_path)
    first, *others = (row["status"] for row in stopped["notebooks"])
    assert first == "ok" and set(others) == {"not run"}
    assert stopped["notebooks"][0]["seconds"] == 3.1
    assert stopped["parameters"]["06_microcontroller"]["CYCLES"] == 3
    assert stopped["parameters"]["05_tensorflow_lite"] == {"REPRESENTATIVE": 500}
    made.add(selected[1], "failed", 1)
    made.finish("06 failed")
    ended = records.read(tmp_path / "run.json")
    assert ended["finished"] and ended["failure"] == "06 failed"
    assert ended["metrics"]["converged"] and ended["seconds"] >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", ended["started"])


@pytest.mark.parametrize(("status", "counts"), [("ok", True), ("failed", False), (None, False)])
def test_metrics_are_of_notebooks_that_ran(reference_home, tmp_path, status, counts):
    """What a former run left behind is not this one's."""
    selected = notebooks.select(only="05")
    made = records.Record(tmp_path, selected, {})
    if status:
        made.add(selected[0], status, 1)
    made.finish()
    assert ("int8_bytes" in made.content["metrics"]) == counts
    assert "val_loss" in made.content["metrics"], "Notebook 4 did not have to run."


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is damaged: it is not JSON"),
        ("[]", "is not a JSON object"),
        ('{"kind": "doctor"}', "is not the record of a run"),
        ('{"kind": "run"}', "is damaged: started"),
        (damaged(notebooks=[1]), "notebooks[0] is 1, but should be an object"),
        (damaged(notebooks=[ROW, {"name": "x"}]), "notebooks[1].status is missing"),
        (damaged(notebooks=[{**ROW, "seconds": "3"}]), "notebooks[0].seconds is '3', but should"),
        (damaged(notebooks=[{**ROW, "seconds": -1}]), "notebooks[0].seconds is -1, which it"),
        (damaged(notebooks=[{**ROW, "name": "../x"}]), "notebooks[0].name is '../x', which it"),
        (damaged(started=None), "started is None, but should be a text"),
        (damaged(failure=["a"]), "failure is ['a'], but should be a text or null"),
        (damaged(metrics={"loss": "low"}), "metrics.loss is 'low', but should be a number"),
        (damaged(metrics={"loss": 1e300}), "metrics.loss is 1e+300, which it cannot be"),
        (damaged(parameters={"03_a": 1}), "parameters.03_a is 1, but should be an object"),
        (damaged(machine={"memory_bytes": "lots"}), "machine.memory_bytes is 'lots'"),
        (damaged(versions={"x" * 9: {"y": "z" * 999}}), "versions.xxxxxxxxx is {'y': 'zzz"),
        ('{"a":' * 2000, "is damaged: it is not JSON"),
    ],
)
def test_a_damaged_record_is_one_sentence(tmp_path, content, words):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(WorkshopError, match=re.escape(words)) as refused:
        records.read(tmp_path)
    assert str(refused.value).count("\n") == 0 and len(str(refused.value)) < 300
    assert "run.json" in str(refused.value)
    with pytest.raises(WorkshopError, match="Cannot read"):
        records.read(tmp_path / "other")


def test_texts_of_a_record_move_no_cursor(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(hostile_run(HOSTILE)))
    text = json.dumps(records.read(tmp_path), ensure_ascii=False)
    assert "[2J" in text and text.isprintable()


# ---- The commit


@pytest.fixture
def clone(tmp_path):
    """A repository with one commit."""

    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", tmp_path, *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    return tmp_path, git("rev-parse", "HEAD")


def test_the_commit_of_a_clone(clone):
    folder, commit = clone
    assert machine.commit(folder) == commit[:12]
    (folder / "file").write_text("two")
    assert machine.commit(folder) == f"{commit[:12]}-dirty"
    inside = folder / "unpacked archive"
    inside.mkdir()
    assert machine.commit(inside) is None, "The commit around it is that of something else."


def test_the_commit_without_git(clone, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert machine.commit(clone[0]) is None


def test_the_commit_is_one_of_the_versions(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "commit", lambda: "c20d04c948d6")
    made = records.Record(tmp_path, [], {})
    assert made.content["versions"]["commit"] == "c20d04c948d6"
