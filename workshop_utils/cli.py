"""The `workshop` command."""

import sys
from contextlib import suppress
from pathlib import Path

import click

from workshop_utils import boards
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
@click.option("--to", "last", metavar="NN", help="End with notebook NN, such as 06.")
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
@click.option(
    "--resume", is_flag=True, help="Skip notebooks whose results are there and still up to date."
)
def run(first, last, only, chosen, output, resume):
    """Run the course's notebooks in order, headless, and make a page of them."""
    from workshop_utils import course, paths

    if only and (first or last):
        raise click.UsageError("Give --only, or --from and --to, not both.")
    output = output or paths.OUTPUT_DIR
    page = course.run(
        course.select(first, only, last),
        dict(chosen),
        output,
        click.echo,
        progress=sys.stderr.isatty(),
        resume=resume,
    )
    click.echo(f"The executed notebooks are in {output}, the page to read is {page}")


@main.command("report")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
def rebuild_report(folder):
    """Make the page of a run again, from the executed notebooks in DIR (default: output)."""
    from workshop_utils import paths, report

    click.echo(f"The page to read is {report.rebuild(folder or paths.OUTPUT_DIR)}")


@main.command()
@click.argument("one", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("other", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page, too.",
)
def compare(one, other, page):
    """Show two runs side by side. RUN is the folder of a run, or its run.json."""
    from workshop_utils import report, runs

    records = runs.read(one), runs.read(other)
    click.echo(report.compared_text(*records))
    if page:
        click.echo(f"The page to read is {report.compared_page(*records, page)}")


@main.command("catch-up")
@click.argument("notebook", metavar="NN")
@click.option("--run", is_flag=True, help="Make it by running the notebooks before, headless.")
@click.option("--force", is_flag=True, help="Put it in place of what you have made, too.")
def catch_up(notebook, run, force):
    """Fill in what notebook NN needs and what you have not made, such as: catch-up 05."""
    from workshop_utils import catchup

    click.echo(catchup.text(catchup.fill_in(notebook, run, force, click.echo)))


@main.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
def reset(dry_run):
    """Put the notebooks back and remove all results, after keeping a dated copy in backup/."""
    from workshop_utils import reset

    what = reset.plan()
    backup = None if dry_run else reset.carry_out(what)
    click.echo(reset.text(what, backup, done=not dry_run))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for the instructor.")
@click.option("--deep", is_flag=True, help="Also start TensorFlow, which takes some seconds.")
def doctor(as_json, deep):
    """Say what is here, what is missing and how to get it; fail if the course cannot run."""
    import json

    from workshop_utils import doctor

    def paint(mark):
        return click.style(mark, fg={"ok": "green", "MEND": "red"}.get(mark.strip(), "yellow"))

    def say(check):
        click.echo(doctor.text(check, paint))

    found = doctor.examine(deep, None if as_json else say)
    click.echo(json.dumps(found, indent=1) if as_json else f"\n{doctor.verdict(found)}")
    sys.exit(0 if found["ready"] else 1)


@main.command("class")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--picture",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw it, too: a .png or a .svg.",
)
def roll_up(folder, picture):
    """Say who is where and who needs help, from the doctor JSONs and run.jsons in DIR.

    A file NAME.json or a folder NAME is one attendee.
    """
    from workshop_utils import classroom

    attendees, skipped = classroom.read(folder)
    click.echo(classroom.text(attendees, skipped))
    if picture:
        click.echo(f"The picture is {classroom.draw(attendees, picture)}")


@main.group()
def firmware():
    """Build the firmware with a model in it, and run it on an emulated Cortex-M4."""


def _together(*options):
    """One decorator for several options."""

    def decorate(command):
        for option in options:
            command = option(command)
        return command

    return decorate


_model_option = click.option(
    "--model",
    type=click.Path(path_type=Path),
    metavar="FILE.tflite",
    help="The model (default: the one that notebook 06 wrote, else the project's own).",
)

# How to compile: what `firmware build`, `run`, `sweep` and `flash` have in common.
_choices_of_compiling = _together(
    click.option(
        "--optimize",
        type=click.Choice(["-O2", "-Os"]),
        default="-O2",
        show_default=True,
        help="Compile for speed or for size.",
    ),
    click.option(
        "--toolchain",
        type=click.Choice(["zig", "gcc"]),
        default="zig",
        show_default=True,
        help="The compiler: zig is a Python package, gcc is the arm-none-eabi-gcc installed.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["compact", "tflm"]),
        default="compact",
        show_default=True,
        help="What runs the model: the project's own engine, or TFLM from TFLM_ROOT.",
    ),
    _model_option,
)

# The same with any board, for what needs none in the hand.
_choices_of_a_build = _together(
    _choices_of_compiling,
    click.option(
        "--board",
        type=click.Choice(tuple(boards.BOARDS)),
        default="emulator",
        show_default=True,
        help="An emulated Cortex-M4, this computer, or a board to hold in the hand.",
    ),
)

_real_board = click.option(
    "--board",
    type=click.Choice(boards.REAL),
    required=True,
    help="The board that is plugged in.",
)

# How long the application runs.
_choices_of_a_wave = _together(
    click.option(
        "--cycles",
        type=click.IntRange(min=1),
        help="Turns of the sine (default: 2; in an image for a real board, no end).",
    ),
    click.option(
        "--inferences-per-cycle",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="Inferences for one turn.",
    ),
)


@firmware.command()
@_choices_of_a_build
@_choices_of_a_wave
def build(**choices):
    """Compile the firmware; print what it takes of flash and RAM."""
    from workshop_utils import firmware, paths

    image = firmware.build(**choices)
    if image.board == "host":
        click.echo(f"{'bytes':>25}")
        for program in (image.wave, image.sweep):
            click.echo(f"{program.stem.rpartition('-')[2]:<16}{program.stat().st_size:>9,}")
    else:
        taken = firmware.sizes(image.wave)
        _print_sizes("flash", taken, [*firmware.FLASH_SECTIONS, "other"])
        _print_sizes("RAM, with neither stack nor arena", taken, firmware.RAM_SECTIONS)
    click.echo(f"The images are {paths.shown(image.wave)} and {paths.shown(image.sweep)}")
    if image.board in boards.REAL:
        click.echo(f"The file to copy is {paths.shown(image.file())}")


def _print_sizes(memory, taken, parts):
    click.echo(memory)
    for part in parts:
        if part != "other" or taken[part]:
            click.echo(f"  {part:<14}{taken[part]:>9,}")
    click.echo(f"  {'together':<14}{sum(taken[part] for part in parts):>9,} bytes")


@firmware.command("run")
@_choices_of_a_build
@_choices_of_a_wave
def run_firmware(**choices):
    """Compile the firmware, run it, and show the wave that it makes."""
    from workshop_utils import emulator, firmware

    choices["cycles"] = choices["cycles"] or 2
    image = firmware.build(**choices)
    if image.board == "host":
        result, text = None, firmware.run_program(image.wave)
        emulator.check_console(text)
    else:
        result = emulator.run(image.wave, board=image.board)
        text = result.console
    columns, rows = emulator.table(text)
    click.echo(emulator.draw([row[columns.index("y")] for row in rows]))
    click.echo(f"{len(rows)} inferences, engine {image.engine}")
    if result and result.instructions:
        counts = result.instructions
        click.echo(
            f"{result.median_instructions:,.0f} instructions per inference "
            f"(median; {min(counts):,} to {max(counts):,})"
        )
        click.echo(f"stack {result.stack_bytes:,} bytes, arena {result.arena_used or 0:,} bytes")


@firmware.command()
@_choices_of_a_build
@click.option(
    "--csv",
    "target",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="The file to write: a header such as q_in,q_out, then a line per input.",
)
def sweep(target, **choices):
    """Feed an int8 model every input there is; write its answers as CSV."""
    from workshop_utils import emulator, firmware, paths

    image = firmware.build(**choices)
    if image.board == "host":
        text = firmware.run_program(image.sweep)
        emulator.check_console(text)
    else:
        text = emulator.run(image.sweep, count=False, board=image.board).console
    columns, rows = emulator.table(text)
    lines = [",".join(columns), *(",".join(str(code) for code in row) for row in rows)]
    paths.write(target, "\n".join(lines) + "\n")
    click.echo(f"{len(rows)} inputs and their answers are in {target}")


@firmware.command()
@_choices_of_compiling
@_choices_of_a_wave
@_real_board
@click.option(
    "--drive",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The board's drive (default: looked for).",
)
@click.option(
    "--program",
    type=click.Choice(["wave", "sweep"]),
    default="wave",
    show_default=True,
    help="The application, or the one that prints every answer of the model.",
)
def flash(board, drive, program, **choices):
    """Compile the firmware and copy it onto the drive of a board that is plugged in."""
    from workshop_utils import firmware
    from workshop_utils import flash as flashing

    board = boards.find_real(board)
    # Before it takes time to compile.
    drive = flashing.confirm(drive, board) if drive else flashing.find(board)
    image = firmware.build(board=board.name, **choices)
    click.echo(flashing.flash(image.file(program), board, drive))


def _is_live():
    """Whether somebody looks at the output as it comes."""
    return sys.stdout.isatty()


@firmware.command()
@_real_board
@click.option("--port", metavar="PORT", help="The serial port (default: looked for).")
@click.option("--check", is_flag=True, help="Compare what the board prints with TFLM's answers.")
@click.option("--cycles", type=click.IntRange(min=1), help="End after that many turns.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after that time.")
@_model_option
def monitor(board, port, check, cycles, seconds, model):
    """Show live what a board prints; a table of numbers where the output is no terminal.

    It ends with the program on the board, after --cycles or --seconds, or with Ctrl-C; with
    --check after one turn if nothing else is said.
    """
    from workshop_utils import firmware
    from workshop_utils import monitor as monitoring

    board = boards.find_real(board)
    content = firmware.model_bytes(model) if check else None
    if check and not (cycles or seconds):
        cycles = 1
    live = _is_live()

    def show(line, columns, row):
        click.echo(monitoring.picture(columns, row) if live and row else line)

    record = monitoring.Record()
    with monitoring.connection(board, port) as opened, suppress(KeyboardInterrupt):
        monitoring.read(opened, board, show, cycles or 0, seconds or 0, record=record)
    if record.skipped:
        click.echo(f"{record.skipped:,} lines made no sense and were skipped", err=True)
    if check:
        comparison = monitoring.compare(record, content)
        click.echo(comparison.text)
        if comparison.first:
            raise WorkshopError(f"The board does not print what it should: {comparison.first}.")


class _Default(_Group):
    """A group whose command `run` may be left out."""

    def parse_args(self, ctx, args):
        if args and args[0] not in (*self.commands, "-h", "--help"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


@main.group("sweep", cls=_Default)
def sweep_of_runs():
    """Run the course's path many times: workshop sweep SPEC.yml --output DIR.

    `workshop sweep run --help` says how, `workshop sweep report DIR` makes pictures of it.
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
@click.option("--workers", type=click.IntRange(1, 64), help="Processes (default: one a core).")
@click.option("--scheduler", metavar="ADDRESS", help="Use the Dask scheduler at this address.")
@click.option("--resume", is_flag=True, help="Go on with a sweep that was interrupted.")
@click.option("--yes", is_flag=True, help="Do more than 500 runs.")
def run_sweep(spec, output, workers, scheduler, resume, yes):
    """Train, convert, build and emulate a model for every run that SPEC.yml describes.

    \b
    mode: grid                  # every combination; or random, with runs: 50 and seed: 1
    parameters:
      SEED: {min: 1, max: 5}    # also: SAMPLES, NOISE, EPOCHS, BATCH_SIZE, REPRESENTATIVE
      NEURONS: [4, 8, 16]       # in each hidden layer
      LAYERS: [1, 2]            # hidden ones
      per_channel: [false, true]
    """
    from workshop_utils import sweep, sweep_spec

    plan = sweep_spec.read(spec, confirmed=yes)
    click.echo(f"{len(plan.runs)} runs")
    try:
        rows = sweep.execute(plan, output, workers, scheduler, resume, click.echo)
    except KeyboardInterrupt:
        click.echo("Stopped. What has ended is in the table; --resume goes on.", err=True)
        sys.exit(130)
    failed = sum(row["status"] != "ok" for row in rows)
    click.echo(f"{len(rows) - failed} runs ended well, {failed} failed: {output / sweep.TABLE}")
    if failed == len(rows):
        raise WorkshopError(f"No run succeeded; the last one said: {rows[-1]['error']}")


@sweep_of_runs.command("report")
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def report_sweep(folder):
    """Make pictures of a sweep: a notebook and a page in DIR."""
    from workshop_utils import sweep_report

    notebook, page = sweep_report.make(folder)
    click.echo(f"The report is {page}, and as a notebook {notebook}")


if __name__ == "__main__":
    main()
