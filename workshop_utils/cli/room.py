"""Commands for a room of people: doctor and class."""

import sys
from pathlib import Path
from typing import Any

import click

from workshop_utils.cli.base import echo


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for the instructor.")
@click.option("--deep", is_flag=True, help="Also start TensorFlow, which takes some seconds.")
@click.option(
    "--no-answers",
    is_flag=True,
    help="Do not say how many questions of the notebooks are answered.",
)
def doctor(as_json: bool, deep: bool, no_answers: bool) -> None:
    """Say what is here, what is missing and how to get it.

    It fails if the course cannot run.
    """
    import json

    from workshop_utils import doctor as doctoring

    colours = {doctoring.OK: "green", doctoring.NOTE: "yellow", doctoring.FIX: "red"}

    def paint(mark: str) -> str:
        return click.style(mark, fg=colours[mark.strip()])

    def say(check: dict[str, Any]) -> None:
        click.echo(doctoring.text(check, paint))  # not by `echo`: the paint has to stay

    found = doctoring.examine(deep, None if as_json else say, not no_answers)
    said = f"\n{doctoring.verdict(found)} {doctoring.score(found)}".rstrip()
    echo(json.dumps(found, indent=1) if as_json else said)
    sys.exit(0 if found["ready"] else 1)


@click.command("class")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw it, too: a .png or a .svg.",
)
@click.option(
    "--roster",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The names of all, a line each: say who has sent nothing.",
)
def roll_up(folder: Path, picture: Path | None, roster: Path | None) -> None:
    """Say who is where and who needs help.

    It reads the doctor JSONs and run.jsons in DIR. A file NAME.json or a folder NAME is one
    attendee, whose newest records count.
    """
    from workshop_utils.running import classroom

    if picture:
        classroom.picture_format(picture)
    expected = classroom.roster(roster) if roster else None
    attendees, skipped = classroom.read(folder)
    echo(classroom.text(attendees, skipped, expected))
    if picture:
        echo(f"The picture is {classroom.draw(attendees, picture)}")
