"""The documents name commands that exist, and the project is as repo2docker wants it."""

import os
import re
import shlex
import subprocess

import click
import pytest
import yaml

from workshop_utils import paths
from workshop_utils.cli import main
from workshop_utils.running import notebooks

DOCUMENTS = sorted((paths.PROJECT / "docs").glob("*.md"))
each = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def code(text):
    """Pieces of code: in backticks, or indented."""
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4,}(\S.*)$", text, re.MULTILINE)


def said(document, start):
    """The commands of a document that begin with `start`, as lists of words after it."""
    pieces = code(document.read_text(encoding="utf-8"))
    found = [
        re.search(rf"(?:^|\s|\./|bin/){re.escape(start)}(?=\s|$)(.*)", piece) for piece in pieces
    ]
    return [shlex.split(match[1].partition(">")[0]) for match in found if match]


@each
def test_its_workshop_commands_exist(document):
    for words in said(document, "workshop"):
        if not words:  # the program itself
            continue
        name, *rest = words
        assert name in main.commands, (document.name, words)
        options = {o for p in main.commands[name].params for o in p.opts if o.startswith("-")}
        assert {word for word in rest if word.startswith("-")} <= options, words


def test_there_are_commands_to_look_at():
    names = {words[0] for path in DOCUMENTS for words in said(path, "workshop") if words}
    assert {"doctor", "catch-up", "class", "compare", "report", "reset", "run"} <= names
    assert isinstance(main, click.Group)


@each
def test_its_options_of_install_exist(document):
    usage = subprocess.run(
        ["bash", paths.PROJECT / "install.sh", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for words in said(document, "install.sh"):
        for word in words:
            assert not word.startswith("--") or f"  {word} " in usage, words


@each
def test_its_links_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)", document.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (document.parent / target).exists(), target


@pytest.mark.parametrize(("heading", "minutes"), [("Three hours", 180), ("One hour", 60)])
def test_a_timetable_adds_up(heading, minutes):
    text = (paths.PROJECT / "docs" / "instructor.md").read_text(encoding="utf-8")
    table = text.partition(f"| {heading} |")[2].partition("\n\n")[0]
    clock = 0
    for hour, minute, length in re.findall(r"\| (\d):(\d\d) \|.*\| (\d+) min \|", table):
        assert int(hour) * 60 + int(minute) == clock
        clock += int(length)
    assert clock == minutes


# ---- What repo2docker looks for (its documentation: "Configuration files")


def test_nothing_takes_precedence_over_the_environment():
    for name in ("binder", ".binder", "Dockerfile", "Project.toml", "default.nix"):
        assert not (paths.PROJECT / name).exists(), f"repo2docker would build from {name}."


def test_the_environment_is_one_that_repo2docker_builds():
    content = yaml.safe_load((paths.PROJECT / "environment.yml").read_text())
    assert isinstance(content, dict) and "prefix" not in content
    pythons = [d for d in content["dependencies"] if isinstance(d, str) and "python=" in d]
    assert len(pythons) == 1 and re.fullmatch(r"python=3\.\d+", pythons[0])
    (pip,) = [d["pip"] for d in content["dependencies"] if isinstance(d, dict)]
    assert "-e ." in pip, "A local requirement makes it copy the project before it installs."


def test_the_image_is_tried_out_when_it_is_built():
    script = paths.PROJECT / "postBuild"
    assert os.access(script, os.X_OK) and script.read_text().startswith("#!/bin/bash\n")
    assert "workshop doctor" in script.read_text()
    subprocess.run(["bash", "-n", script], check=True)


def test_the_address_of_the_first_notebook():
    first = notebooks.notebooks()["01"].name
    assert (paths.PROJECT / "docs" / "hosting.md").read_text().count(f"notebooks/{first}") == 1
