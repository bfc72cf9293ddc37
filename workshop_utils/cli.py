"""The `workshop` command."""

import sys
from pathlib import Path

import click

from workshop_utils.errors import WorkshopError


class _Group(click.Group):
    """Commands that end with one sentence on stderr when they cannot do their job."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except WorkshopError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """From a sine wave to a neural network on a microcontroller."""


@main.command()
@click.option("--from", "first", metavar="NN", help="Start at notebook NN, such as 03.")
@click.option("--only", metavar="NN", help="Run notebook NN alone.")
@click.option(
    "-p",
    "--parameter",
    "chosen",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="Give a parameter of the notebooks another value; may be repeated.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the executed copies go (default: output).",
)
def run(first, only, chosen, output):
    """Run the course's notebooks in order, headless, and make a page of them."""
    from workshop_utils import course, paths

    if first and only:
        raise click.UsageError("Give --from or --only, not both.")
    output = output or paths.OUTPUT_DIR
    page = course.run(
        course.select(first, only), dict(chosen), output, click.echo, sys.stderr.isatty()
    )
    click.echo(f"The executed notebooks are in {output}, the page to read is {page}")


if __name__ == "__main__":
    main()
