"""The `workshop` command, of a file per subject; commands import what they need."""

from typing import Any

import click

from workshop_utils.cli import course, export, firmware, room, sweep
from workshop_utils.cli.base import Group
from workshop_utils.cli.tidy import tidy


class _Program(Group):
    """The group as the console's entry point calls it."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with tidy():
            return super().__call__(*args, **kwargs)


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """From a sine wave to a neural network on a microcontroller."""


for command in (
    *(course.run, course.rebuild_report, course.compare, course.catch_up, course.reset),
    course.new,
    *(room.doctor, room.roll_up),
    *(firmware.firmware, export.model, export.export, sweep.sweep_of_runs),
):
    main.add_command(command)
