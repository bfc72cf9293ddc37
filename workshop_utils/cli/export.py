"""Commands for a model alone: what it is, and how it gets elsewhere."""

import sys
from pathlib import Path

import click

from workshop_utils.cli.base import Group, echo, model_option, together


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def model(file: Path, as_json: bool) -> None:
    """Show what a model is, and what can run it.

    FILE is a .tflite file, or C source of one. It fails if no engine here can run the model.
    """
    import json

    from workshop_utils import describe, firmware

    found = describe.model(firmware.model_bytes(file))
    echo(json.dumps(found, indent=1) if as_json else describe.text(found))
    if found["problem"]:
        echo(f"Error: {found['problem']}", err=True)
        sys.exit(1)


@click.group(cls=Group, short_help="Carry a model to any chip.")
def export() -> None:
    """Carry a model to any chip: as one C header, or as an Arduino library."""


_choices = together(
    model_option,
    click.option(
        "--output",
        required=True,
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        help="The folder to write into.",
    ),
    click.option(
        "--name",
        default="model",
        show_default=True,
        help="What the names in C begin with, so that two models fit into one program.",
    ),
)


@export.command("c", short_help="Write an int8 model as plain C: DIR/model.h.")
@_choices
def as_c(model: Path | None, output: Path, name: str) -> None:
    """Write an int8 model as plain C: DIR/model.h, after a test of its answers."""
    from workshop_utils import files, firmware, plain_c

    content = firmware.model_bytes(model)
    target = output / f"{name}.h"
    files.write(target, plain_c.header(content, name, plain_c.tested(content, name)))
    echo(f"The network is {target}: call {name}_run() or {name}_predict().")


@export.command("arduino", short_help="Write an int8 model as an Arduino library.")
@_choices
def as_arduino(model: Path | None, output: Path, name: str) -> None:
    """Write an int8 model as a library for the Arduino IDE and PlatformIO: a folder and a ZIP."""
    from workshop_utils import arduino, firmware, plain_c

    content = firmware.model_bytes(model)
    library = arduino.export(content, output, name, plain_c.tested(content, name))
    echo(
        f"The library is {library.archive} (Sketch, Include Library, Add .ZIP Library), and as a "
        f"folder {library.folder}."
    )
