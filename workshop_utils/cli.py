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


# The options that `firmware build`, `run` and `sweep` have in common.
_choices_of_a_build = _together(
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
    click.option(
        "--board",
        type=click.Choice(
            ["emulator", "host", "microbit-v1", "microbit-v2", "pico", "nucleo-l476rg"]
        ),
        default="emulator",
        show_default=True,
        help="An emulated Cortex-M4, this computer, or a board to hold in the hand.",
    ),
    click.option(
        "--model",
        type=click.Path(path_type=Path),
        metavar="FILE.tflite",
        help="The model (default: the one that notebook 06 wrote, else the project's own).",
    ),
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
    inferences = choices["cycles"] * choices["inferences_per_cycle"]
    if image.board == "host":
        result, text = None, firmware.run_program(image.wave)
        emulator.check_console(text)
    else:
        limit = emulator.INSTRUCTION_LIMIT + inferences * emulator.INSTRUCTIONS_PER_INFERENCE
        result = emulator.run(image.wave, limit, board=image.board)
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


if __name__ == "__main__":
    main()
