"""Every command: its help, its choices, and what it lets onto a terminal."""

import click
import pytest
from click.testing import CliRunner
from record_factory import HOSTILE, moves_the_cursor

from workshop_utils import doctor, firmware
from workshop_utils.cli import base, main
from workshop_utils.device import boards, compiling
from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps import limits


def commands(group, before=()):
    """All commands below a group: {words: command}."""
    found = {before: group}
    for name, command in getattr(group, "commands", {}).items():
        found |= commands(command, (*before, name))
    return found


COMMANDS = commands(main)


def option(words, name):
    return next(one for one in COMMANDS[words].params if one.name == name)


def test_the_commands_of_the_design_are_there():
    words = {" ".join(words) for words in COMMANDS}
    assert {"run", "report", "compare", "catch-up", "reset", "doctor", "class"} <= words
    assert {f"firmware {name}" for name in ("build", "run", "sweep", "flash", "monitor")} <= words
    assert {"sweep run", "sweep report", "export c", "export arduino"} <= words


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_its_help(words, flag):
    result = CliRunner().invoke(main, [*words, flag])
    assert result.exit_code == 0 and result.stderr == ""
    assert "Usage:" in result.stdout and COMMANDS[words].help.split(".")[0] in " ".join(
        result.stdout.split()
    )
    for one in COMMANDS[words].params:
        if isinstance(one, click.Option):
            assert one.help and one.opts[-1] in result.stdout


@pytest.mark.parametrize("words", [("firmware", name) for name in ("build", "run", "sweep")])
def test_a_choice_is_what_its_module_knows(words):
    known = {
        "board": tuple(boards.BOARDS),
        "engine": compiling.ENGINES,
        "toolchain": compiling.TOOLCHAINS,
        "optimize": compiling.OPTIMIZATIONS,
    }
    for name, choices in known.items():
        assert tuple(option(words, name).type.choices) == tuple(choices), name
        assert option(words, name).default in choices


def test_the_boards_to_plug_in_and_the_programs():
    for words in (("firmware", "flash"), ("firmware", "monitor")):
        assert tuple(option(words, "board").type.choices) == tuple(boards.REAL)
    assert tuple(option(("firmware", "flash"), "program").type.choices) == firmware.PROGRAMS


def test_the_limits_of_a_sweep():
    words = ("sweep", "run")
    workers = option(words, "workers").type
    assert (workers.min, workers.max) == (1, limits.MAX_WORKERS)
    assert str(limits.CONFIRM) in option(words, "yes").help
    result = CliRunner().invoke(
        main, ["sweep", "x.yml", "--output", "y", "--workers", str(limits.MAX_WORKERS + 1)]
    )
    assert result.exit_code == 2 and "1<=x<=64" in result.stderr


# ---- The terminal


@pytest.fixture
def hostile_doctor(monkeypatch):
    """A doctor that finds harmful texts in place of versions."""
    check = {"name": HOSTILE, "ok": False, "required": True, "found": HOSTILE, "advice": HOSTILE}
    found = {"ready": False, "checks": [check], "machine": {"system": HOSTILE}}

    def examine(deep=False, say=None):
        if say:
            say(check)
        return found

    monkeypatch.setattr(doctor, "examine", examine)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_doctor_moves_no_cursor(hostile_doctor, options):
    result = CliRunner().invoke(main, ["doctor", *options])
    assert result.exit_code == 1 and "alert(1)" in result.stdout
    assert not moves_the_cursor(result.output)


def test_the_doctor_paints_its_marks(hostile_doctor):
    result = CliRunner().invoke(main, ["doctor"], color=True)
    assert result.stdout.startswith("\x1b[31m")
    assert result.stdout.count("\x1b") == 2, "Before the mark and after it."


def test_an_error_moves_no_cursor_and_keeps_its_lines():
    @click.command(cls=base.Group, name="x")
    def group():
        pass

    @group.command("fail")
    def fail():
        base.echo(f"one\ntwo {HOSTILE}")
        raise WorkshopError(f"first\nsecond {HOSTILE}")

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == 1
    assert result.stdout.startswith("one\ntwo ") and "Error: first\nsecond " in result.stderr
    assert not moves_the_cursor(result.output)


@pytest.mark.parametrize("command", [["report"], ["class"], ["compare", "here"]])
def test_a_path_that_no_system_takes_is_one_short_sentence(command):
    result = CliRunner().invoke(main, [*command, "x" * 5000])
    assert result.exit_code == 1 and len(result.stderr) < 200
    assert result.stderr.startswith("Error: ") and "Traceback" not in result.stderr
