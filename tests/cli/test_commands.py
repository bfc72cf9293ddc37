"""Every command: its help, its choices, and what it lets onto a terminal."""

import click
import pytest
from click.testing import CliRunner
from record_factory import HOSTILE, moves_the_cursor

from workshop_utils import doctor, firmware
from workshop_utils.cli import base, main
from workshop_utils.device import boards, compiling, flash
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
    assert {"model", "sweep run", "sweep report", "export c", "export arduino"} <= words


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


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_line_of_a_help_is_clipped(words):
    result = CliRunner().invoke(main, [*words, "--help"], terminal_width=80)
    usage, _, text = result.stdout.partition("\n")
    lines = text.splitlines()
    assert usage.startswith("Usage:") and lines
    assert not [line for line in lines if line.endswith("...") or len(line) > 80]


@pytest.mark.parametrize(
    "words",
    [
        *("-p", "-p NOISE", "-p =3", "-p NO-ISE=1", "-pNO-ISE=1", "--parameter==3"),
        *("--parameter NOISE", "-p NOISE --only 02", "-p NOISE=1 -p SEED"),
    ],
)
def test_a_parameter_needs_a_name_and_a_value(words):
    result = CliRunner().invoke(main, ["run", *words.split()])
    assert result.exit_code == 2 and "Error: -p needs NAME=VALUE (or NAME VALUE)." in result.stderr


@pytest.mark.parametrize(
    "words",
    ["-p A=b=c", "-p A b=c", "-pA=b=c", "-pA b=c", "--parameter=A=b=c", "--parameter A b=c"],
)
def test_the_ways_to_give_a_parameter(words):
    context = click.Context(COMMANDS[("run",)])
    COMMANDS[("run",)].parse_args(context, ["--only", "02", *words.split(), "-p", "N", "-1"])
    assert context.params["chosen"] == (("A", "b=c"), ("N", "-1"))
    assert context.params["only"] == "02"


@pytest.mark.parametrize(
    "words", ["build", "run", "sweep --csv x.csv", "flash --board pico --drive ."]
)
def test_ctrl_c_while_the_firmware_is_built_is_one_sentence(monkeypatch, words):
    def interrupted(**choices):
        raise KeyboardInterrupt

    monkeypatch.setattr(firmware, "build", interrupted)
    monkeypatch.setattr(flash, "confirm", lambda drive, board: drive)
    result = CliRunner().invoke(main, ["firmware", *words.split()])
    assert result.exit_code == 130
    assert result.stderr == "Stopped; an image built before stays as it was.\n"


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
    assert workers.min == 1
    assert str(limits.CONFIRM) in option(words, "yes").help
    result = CliRunner().invoke(
        main, ["sweep", "x.yml", "--output", "y", "--workers", str(limits.MAX_WORKERS + 1)]
    )
    assert result.exit_code == 2
    assert "65 is more than the 64 that one machine can have" in result.stderr


# ---- The terminal


@pytest.fixture
def hostile_doctor(monkeypatch):
    """A doctor that finds harmful texts in place of versions."""
    check = {"name": HOSTILE, "ok": False, "required": True, "found": HOSTILE, "advice": HOSTILE}
    found = {"ready": False, "checks": [check], "machine": {"system": HOSTILE}, "answers": []}

    def examine(deep=False, say=None, answers=True):
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
