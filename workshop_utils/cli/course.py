"""Commands for a run of the course: run, report, compare, catch-up, reset; and for another: new."""

import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from workshop_utils.cli.base import echo


class _WithParameters(click.Command):
    """A command that takes `-p NAME=VALUE` for `-p NAME VALUE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(_separated(ctx, args)))


def _separated(ctx: click.Context, args: Iterable[str]) -> Iterator[str]:
    """The arguments, each -p followed by a name and a value. Raises UsageError where one lacks."""
    rest = deque(args)
    while rest:
        argument = rest.popleft()
        attached = re.fullmatch(r"(?s)(?:-p|--parameter=)(.+)", argument)
        if not attached and argument not in ("-p", "--parameter"):
            yield argument
            continue
        given = attached[1] if attached else rest.popleft() if rest else ""
        name, equals, value = given.partition("=")
        has_value = equals or (rest and not rest[0].startswith("--"))
        if not (has_value and re.fullmatch(r"\w+", name)):
            raise click.UsageError("-p needs NAME=VALUE (or NAME VALUE).", ctx)
        yield from ("-p", name, value if equals else rest.popleft())


@click.command(cls=_WithParameters)
@click.option("--from", "first", metavar="NN", help="Start at notebook NN, such as 03.")
@click.option("--to", "last", metavar="NN", help="End with notebook NN, such as 06.")
@click.option("--only", metavar="NN", help="Run notebook NN alone.")
@click.option(
    "-p",
    "--parameter",
    "chosen",
    type=(str, str),
    multiple=True,
    metavar="NAME VALUE",
    help="Give a parameter of the notebooks another value; also NAME=VALUE. May be repeated.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the executed copies go (default: output).",
)
@click.option(
    "--resume", is_flag=True, help="Skip notebooks whose results are there and still up to date."
)
def run(
    first: str | None,
    last: str | None,
    only: str | None,
    chosen: tuple[tuple[str, str], ...],
    output: Path | None,
    resume: bool,
) -> None:
    """Run the course's notebooks in order and make a page of them."""
    from workshop_utils.running import course, notebooks

    if only and (first or last):
        raise click.UsageError("Give --only, or --from and --to, not both.")
    page = course.run(
        notebooks.select(first, only, last),
        dict(chosen),
        output,
        echo,
        progress=sys.stderr.isatty(),
        resume=resume,
    )
    echo(f"The executed notebooks are in {page.parent}, the page to read is {page}")


@click.command("report")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def rebuild_report(folder: Path | None) -> None:
    """Make the page of a run again.

    It shows the executed notebooks in DIR (default: output).
    """
    from workshop_utils import paths
    from workshop_utils.running import page

    echo(f"The page to read is {page.rebuild(folder or paths.OUTPUT_DIR)}")


@click.command()
@click.argument("one", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("other", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page, too.",
)
def compare(one: Path, other: Path, page: Path | None) -> None:
    """Show two runs side by side. RUN is the folder of a run, or its run.json."""
    from workshop_utils.running import records, report

    pair = records.read(one), records.read(other)
    echo(report.comparison_text(*pair))
    if page:
        echo(f"The page to read is {report.comparison_page(*pair, page)}")


@click.command("catch-up")
@click.argument("notebook", metavar="NN")
@click.option("--run", is_flag=True, help="Make it by running the notebooks before, headless.")
@click.option("--force", is_flag=True, help="Put it in place of what you have made, too.")
def catch_up(notebook: str, run: bool, force: bool) -> None:
    """Fill in what notebook NN needs, such as: catch-up 05.

    What you have made stays as it is, unless you say --force.
    """
    from workshop_utils.running import catchup

    echo(catchup.text(catchup.fill_in(notebook, run, force, echo)))


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def reset(dry_run: bool) -> None:
    """Put the notebooks back and remove all results.

    Before that, a dated copy of what you have goes into backup/.
    """
    from workshop_utils.running import reset as resetting

    what = resetting.plan()
    backup = None if dry_run else resetting.carry_out(what)
    echo(resetting.text(what, backup, done=not dry_run))


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Measurements, a CSV file with a header (default: the course's thermistor).",
)
def new(folder: Path, data: Path | None) -> None:
    """Make a project for the data of a sensor of your own.

    FOLDER gets the notebook, the data, and a README.md with the commands to go on. It must be empty
    or not there yet.
    """
    from workshop_utils import paths
    from workshop_utils.running import scaffold

    found = scaffold.make(folder, data)
    echo(f"{folder} is made: {len(found.y):,} measurements of {found.names[-1]}.")
    if len(found.left_out):
        echo(
            f"{len(found.left_out):,} lines are no numbers; the notebook shows and leaves them out."
        )
    echo(f"Next, read {folder / scaffold.README}")
    if os.environ.get("WORKSHOP_HOME"):
        where = paths.home().path
        echo(f"Note: WORKSHOP_HOME is set, so what is made there goes to {where}", err=True)
