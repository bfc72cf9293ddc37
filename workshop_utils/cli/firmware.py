"""Commands for the firmware: build, run, sweep, flash, monitor."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workshop_utils.cli.base import echo, model_option, together
from workshop_utils.device import boards, compiling
from workshop_utils.errors import WorkshopError

if TYPE_CHECKING:
    from workshop_utils.emulator import Result
    from workshop_utils.firmware import Image
    from workshop_utils.measurements import Measurements


@click.group()
def firmware() -> None:
    """Build the firmware and run it on an emulated Cortex-M4."""
    from workshop_utils import paths

    paths.require_course(paths.FIRMWARE_DIR)  # Without it there are no boards to choose from.


def _measured(_: click.Context, __: click.Parameter, path: Path | None) -> "Measurements | None":
    """What stands in a file of measurements, without the rows that cannot be right."""
    if path is None:
        return None
    from workshop_utils import measurements

    data = measurements.without_outliers(measurements.read(path))
    if left := len(data.left_out):
        first = data.left_out.iloc[0]
        rows = "a row was" if left == 1 else f"{left:,} rows were"
        echo(f"Note: {rows} left out; line {first['line']}: {first['reason']}", err=True)
    return data


_data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    callback=_measured,
    metavar="FILE.csv",
    help="Measurements that the model is for, if that is no sine: a CSV with a header, inputs "
    "first, the output last.",
)

# How to compile: what `firmware build`, `run`, `sweep` and `flash` have in common.
_choices_of_compiling = together(
    click.option(
        "--optimize",
        type=click.Choice(compiling.OPTIMIZATIONS),
        default=compiling.OPTIMIZATIONS[0],
        show_default=True,
        help="Compile for speed (-O2, or more of it: -O3) or for size.",
    ),
    click.option(
        "--toolchain",
        type=click.Choice(compiling.TOOLCHAINS),
        default=compiling.TOOLCHAINS[0],
        show_default=True,
        help="The compiler: zig is a Python package, gcc is the arm-none-eabi-gcc installed.",
    ),
    click.option(
        "--engine",
        type=click.Choice(compiling.ENGINES),
        default=compiling.ENGINES[0],
        show_default=True,
        help="What runs the model: the project's own engine, the model as plain C, or TFLM.",
    ),
    model_option,
)

# The same with any board, for what needs none in the hand.
_choices_of_a_build = together(
    _choices_of_compiling,
    click.option(
        "--board",
        type=click.Choice(boards.NAMES),
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
_choices_of_a_wave = together(
    click.option(
        "--cycles",
        type=click.IntRange(min=1),
        help="How often it goes through its inputs, such as turns of the sine (default: 2; in an "
        "image for a real board, no end).",
    ),
    click.option(
        "--inferences-per-cycle",
        type=click.IntRange(min=1),
        default=100,
        show_default=True,
        help="Inferences for one turn.",
    ),
    _data_option,
)


def _built(**choices: Any) -> "Image":
    """`firmware.build`, which Ctrl-C ends with a sentence, and what is to be known of its model."""
    from workshop_utils import firmware

    try:
        image = firmware.build(**choices)
    except KeyboardInterrupt:
        echo("Stopped; an image built before stays as it was.", err=True)
        sys.exit(130)
    for remark in firmware.remarks(choices["model"], data=choices.get("data")):
        echo(f"Note: {remark}", err=True)
    return image


@firmware.command()
@_choices_of_a_build
@_choices_of_a_wave
def build(**choices: Any) -> None:
    """Compile the firmware; print what it takes of flash and RAM."""
    from workshop_utils import firmware, paths

    image = _built(**choices)
    if image.board == "host":
        echo(f"{'bytes':>25}")
        for program in (image.wave, image.sweep):
            echo(f"{program.stem.rpartition('-')[2]:<16}{program.stat().st_size:>9,}")
    else:
        taken = firmware.sizes(image.wave)
        _print_sizes("flash", taken, [*firmware.FLASH_SECTIONS, "other"])
        _print_sizes("RAM, with neither stack nor arena", taken, firmware.RAM_SECTIONS)
    images = (paths.display_path(program) for program in (image.wave, image.sweep))
    echo(f"The images are {' and '.join(images)}")
    if image.board in boards.REAL:
        echo(f"The file to copy is {paths.display_path(image.file())}")


def _print_sizes(memory: str, taken: Mapping[str, int], parts: Iterable[str]) -> None:
    echo(memory)
    for part in parts:
        if part != "other" or taken[part]:
            echo(f"  {part:<14}{taken[part]:>9,}")
    echo(f"  {'together':<14}{sum(taken[part] for part in parts):>9,} bytes")


@firmware.command("run")
@_choices_of_a_build
@_choices_of_a_wave
def run_firmware(data: "Measurements | None", **choices: Any) -> None:
    """Compile the firmware, run it, and show the curve that it makes.

    With --data also how far the model is from the measurements; a model of several inputs has no
    curve, and is compared with a runtime on this computer instead.
    """
    if data is not None and data.x.ndim > 1:
        _run_sweep(data, choices)
    else:
        _run_wave(data, choices)


def _run_wave(data: "Measurements | None", choices: dict[str, Any]) -> None:
    from workshop_utils import emulator, firmware
    from workshop_utils.device import console, ranges

    choices["cycles"] = choices["cycles"] or 2
    inferences = choices["inferences_per_cycle"]
    image = _built(program="wave", data=data, **choices)
    through = firmware.ranges_of(choices["model"], data=data)
    if image.board == "host":
        result, text = None, firmware.run(image)
    else:
        total = choices["cycles"] * inferences
        result = emulator.run(image.wave, board=image.board, inferences=total)
        text = result.console
    columns, rows = console.table(text)
    x, y = ([row[columns.index(name)] for row in rows] for name in ("x", "y"))
    if through == ranges.SINE and data is None:
        echo(console.draw(y))
    else:
        labels = (data.label(0), data.label(-1)) if data is not None else ("x", "y")
        echo(console.draw(y[:inferences], y=through.y, x=through.x, labels=labels))
    echo(f"{len(rows)} inferences, engine {image.engine}")
    if data is not None:
        _print_error(data, image, choices["model"])
    else:
        if through != ranges.SINE:  # else the curve's own points, which are the chip's too
            turn = [ranges.TURN * step / inferences for step in range(inferences)]
            model = firmware.model_bytes(choices["model"])
            x, y = turn, firmware.answers(image, model, turn).tolist()
        pairs = zip(x, y, strict=True)
        error = sum((made - math.sin(given)) ** 2 for given, made in pairs) / len(x)
        echo(f"mean squared error to the sine {error:.2g}")
    _print_costs(result)


def _run_sweep(data: "Measurements", choices: dict[str, Any]) -> None:
    """Of several inputs there is no curve: what the chip answers is compared instead."""
    from workshop_utils import emulator, firmware, inference

    image = _built(program="sweep", data=data, **choices)
    if image.board == "host":
        result, text = None, firmware.run(image, "sweep")
    else:
        result = emulator.run(image.sweep, board=image.board)
        text = result.console
    model, runtime = firmware.model_bytes(choices["model"]), inference.best_runtime()
    count = len(inference.every_code(data.x.shape[1]))
    equal = firmware.equal_rows(text, model, runtime)
    echo(f"{count} inferences, engine {image.engine}")
    echo(f"{equal} of {count} equal to {inference.TITLES[runtime]}'s answers")
    if runtime == "tflm" and equal < count:
        raise WorkshopError("The firmware does not answer as the model does, to the bit.")
    _print_error(data, image, choices["model"])
    _print_costs(result)


def _print_error(data: "Measurements", image: "Image", model: Path | None) -> None:
    """How far a model is from measurements, by the chip's own answers where it has them all."""
    import numpy as np

    from workshop_utils import firmware, inference
    from workshop_utils.device import diagnosis, tflite

    content = firmware.model_bytes(model)
    if diagnosis.is_int8(tflite.parse(content)) and data.x.ndim == 1:
        answers, whose = firmware.answers(image, content, data.x), "the chip's own answers"
    else:
        runtime = inference.best_runtime()
        answers = inference.predict(content, data.x, runtime)
        whose = f"{inference.TITLES[runtime]}'s answers on this computer"
    error = float(np.mean((answers.astype(np.float64) - data.y) ** 2))
    unit = f" {data.units[-1]}" if data.units[-1] else ""
    echo(
        f"root mean squared error on the data {math.sqrt(error):.3g}{unit} (mean squared error "
        f"{error:.3g}), {len(data.y):,} rows, {whose}"
    )


def _print_costs(result: "Result | None") -> None:
    if result is None or not result.instructions:
        return
    counts = result.instructions
    echo(
        f"{result.median_instructions:,.0f} instructions per inference "
        f"(median; {min(counts):,} to {max(counts):,})"
    )
    echo(f"stack {result.stack_bytes:,} bytes, arena {result.arena_used or 0:,} bytes")


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
def sweep(target: Path, **choices: Any) -> None:
    """Feed an int8 model every input; write its answers as CSV."""
    from workshop_utils import files, firmware
    from workshop_utils.device import console

    columns, rows = console.table(firmware.run(_built(program="sweep", **choices), "sweep"))
    lines = [",".join(columns), *(",".join(str(code) for code in row) for row in rows)]
    files.write(target, "\n".join(lines) + "\n")
    echo(f"{len(rows)} inputs and their answers are in {target}")


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
    type=click.Choice(compiling.PROGRAMS),
    default=compiling.PROGRAMS[0],
    show_default=True,
    help="The application, or the one that prints every answer of the model.",
)
def flash(board: str, drive: Path | None, program: str, **choices: Any) -> None:
    """Compile the firmware and copy it onto the drive of a board."""
    from workshop_utils.device import flash as flashing

    plugged = boards.find_real(board)
    # Before it takes time to compile.
    drive = flashing.confirm(drive, plugged) if drive else flashing.find(plugged)
    image = _built(board=plugged.name, program=program, **choices)
    echo(flashing.flash(image.file(program), plugged, drive))


def _is_live() -> bool:
    """Whether somebody looks at the output as it comes."""
    return sys.stdout.isatty()


@firmware.command(short_help="Show live what a board prints.")
@click.option(
    "--board",
    type=click.Choice(boards.REAL),
    help="The board that is plugged in; any other one is found by its --port.",
)
@click.option("--port", metavar="PORT", help="The serial port (default: the board's).")
@click.option("--check", is_flag=True, help="Compare what the board prints with TFLM's answers.")
@click.option("--cycles", type=click.IntRange(min=1), help="End after that many turns.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after that time.")
@model_option
@_data_option
def monitor(
    board: str | None,
    port: str | None,
    check: bool,
    cycles: int | None,
    seconds: float | None,
    model: Path | None,
    data: "Measurements | None",
) -> None:
    """Show live what a board prints; a table of numbers where the output is no terminal.

    It ends with the program on the board, after --cycles or --seconds, or with Ctrl-C; with
    --check after one turn if nothing else is said; --model and --data are for that, those that the
    board was flashed with.
    """
    from workshop_utils import firmware, inference
    from workshop_utils.device import monitor as monitoring

    if not (board or port):
        raise click.UsageError("Say which board it is with --board, or where it is with --port.")
    plugged = boards.find_real(board) if board else boards.UNNAMED
    content = firmware.model_bytes(model) if check else None
    if check and not (cycles or seconds):
        cycles = 1
    live = _is_live()

    def show(line: str, columns: list[str], row: Sequence[float] | None) -> None:
        echo(monitoring.picture(columns, row) if live and row else line)

    record = monitoring.Record()
    with monitoring.connection(plugged, port) as opened, suppress(KeyboardInterrupt):
        monitoring.read(opened, plugged, show, cycles or 0, seconds or 0, record=record)
    if record.skipped:
        echo(f"{record.skipped:,} lines made no sense and were skipped", err=True)
    if content is not None:
        runtime = inference.best_runtime()
        through = firmware.ranges_of(model, data=data)
        comparison = monitoring.compare(record, content, inference.invoke_rows, runtime, through)
        echo(comparison.text)
        if comparison.first:
            raise WorkshopError(f"The board does not print what it should: {comparison.first}.")
        if comparison.missing:
            raise WorkshopError(
                f"Not all answers came in: {comparison.missing:,} of the table's inputs are "
                "missing; run this again and press the board's reset button once it waits."
            )
