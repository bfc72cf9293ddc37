"""What the commands share: groups that end with one sentence, and options taken together."""

import click

from workshop_utils.errors import WorkshopError


class Group(click.Group):
    """Commands that end with one sentence on stderr when they cannot do their job."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except WorkshopError as error:
            raise click.ClickException(str(error)) from error


def together(*options):
    """One decorator for several options."""

    def decorate(command):
        for option in options:
            command = option(command)
        return command

    return decorate
