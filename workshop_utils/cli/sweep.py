"""Commands for many runs: sweep run and sweep report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from workshop_utils import files
from workshop_utils.cli.base import Group, echo
from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps import limits

if TYPE_CHECKING:
    from workshop_utils.sweeps.execute import Keep


class _Default(Group):
    """A group whose command `run` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@click.group("sweep", cls=_Default)
def sweep_of_runs() -> None:
    """Run the course's path many times.

    `workshop sweep SPEC.yml --output DIR` does; `workshop sweep run --help` says how.
    `workshop sweep report DIR` makes pictures of it.
    """


@sweep_of_runs.command("run")
@click.argument("spec", type=click.Path(path_type=Path), metavar="SPEC.yml")
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the table and what the runs make go.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help=f"Processes, {limits.MAX_WORKERS} at most (default: one per core).",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Use the workers of the Dask scheduler at this address; --workers: so many at most.",
)
@click.option("--resume", is_flag=True, help="Go on with a sweep that was interrupted.")
@click.option("--yes", is_flag=True, help=f"Do more than {limits.CONFIRM} runs on this machine.")
@click.option(
    "--keep",
    type=click.Choice(["none", "best", "all"]),
    default="all",
    show_default=True,
    help="Whose dataset, models and source to keep.",
)
def run_sweep(
    spec: Path,
    output: Path,
    workers: int | None,
    scheduler: str | None,
    resume: bool,
    yes: bool,
    keep: "Keep",
) -> None:
    """Train, convert, build and emulate a model per run of SPEC.yml.

    \b
    mode: grid                  # or: random, with runs: 50 and seed: 1
    parameters:
      SEED: {min: 1, max: 5}    # also: SAMPLES, NOISE, EPOCHS, BATCH_SIZE,
                              # REPRESENTATIVE
      NEURONS: [4, 8, 16]       # in each hidden layer
      LAYERS: [1, 2]            # hidden ones
      per_channel: [false, true]
      engine: [compact, generated]
    """
    from workshop_utils.sweeps import execute
    from workshop_utils.sweeps import spec as specs

    if not scheduler and workers and workers > limits.MAX_WORKERS:
        raise click.BadParameter(
            f"{workers} is more than the {limits.MAX_WORKERS} that one machine can have.",
            param_hint="--workers",
        )
    plan = specs.read(spec, confirmed=yes or bool(scheduler))
    echo(f"{len(plan.runs)} runs")
    try:
        with files.artifacts_locked():
            done = execute.execute(plan, output, workers, scheduler, resume, echo, keep=keep)
    except KeyboardInterrupt:
        echo("Stopped. What has ended is in the table; --resume goes on.", err=True)
        sys.exit(130)
    echo(f"{done.ok} runs ended well, {done.failed} failed: {output / execute.TABLE}")
    if not done.ok:
        raise WorkshopError(f"No run succeeded; the last one said: {done.last_error}")


@sweep_of_runs.command("report")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def report_sweep(folder: Path) -> None:
    """Make pictures of a sweep: a notebook and a page in DIR."""
    from workshop_utils.sweeps import report

    notebook, page = report.make(folder)
    echo(f"The report is {page}, and as a notebook {notebook}")
