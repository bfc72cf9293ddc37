"""What the commands share: groups that end with one sentence, how they print, options."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from workshop_utils.errors import WorkshopError
from workshop_utils.terminal import clipped, printable


class Group(click.Group):
    """Commands that end with one sentence on stderr when they cannot do their job."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WorkshopError as error:
            raise click.ClickException(printable(str(error), keep="\n")) from error
        except OSError as error:
            if error.errno == errno.EPIPE or error.strerror is None:  # click knows what to do
                raise
            what = clipped(printable(str(error.filename or "")), 60)
            raise click.ClickException(f"{error.strerror}: {what}") from error


def echo(text: str, err: bool = False) -> None:
    """Print a line, or several: all that commands print, so that nothing moves the cursor."""
    click.echo(printable(text, keep="\n"), err=err)


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """One decorator for several options."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in options:
            command = option(command)
        return command

    return decorate


model_option = click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The model, a .tflite file or C source of one (default: what notebook 06 wrote, else the "
    "project's own).",
)
