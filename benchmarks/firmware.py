"""What the firmware costs: by board and compiler, and by engine, beside what others use.

    .venv/bin/python benchmarks/firmware.py [--model FILE.tflite [--keras FILE.keras]]
    .venv/bin/python benchmarks/firmware.py --peers --tflm FOLDER... [--csv]

The first table has the project's engines on every board, the second one network with every engine.
--peers adds emlearn, which is fetched into a temporary folder, and TFLM as it is installed in the
folders of --tflm, or else of TFLM_ROOT: include/ and lib/libtensorflow-microlite.a, one for each
core and each kind of kernels. --csv stores both tables in notebooks/data, where the documents get
them from: benchmarks/readme.py brings those up to date. Engines that were not measured this time
keep their rows. The Arduino's rows need what ./install.sh --test brings.

Flash and RAM are in bytes, RAM is static data, arena and stack. The images run in Unicorn, with the
registers that workshop_utils/device/chips.py plays, the sketches in simavr. Instructions, of an Uno
clock cycles, are medians of 256 inputs: of the step from int8 to int8, and from float to float.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import engines

from workshop_utils import emulator, files, firmware, paths
from workshop_utils.device.chips import CHIPS
from workshop_utils.paths import Home

DATA = paths.NOTEBOOKS_DIR / "data"
BOARDS_CSV, ENGINES_CSV = DATA / "boards.csv", DATA / "engines.csv"
BOARD_COLUMNS = ("board", "engine", "compiler", "flash", "model", "ram", "step", "inference")


def board_rows(model):
    """Rows of BOARD_COLUMNS: whole images with the project's own engines."""
    toolchains = ["zig"] + ["gcc"] * bool(shutil.which("arm-none-eabi-gcc"))
    with tempfile.TemporaryDirectory(prefix="workshop-") as folder:
        return [
            board_row(board, engine, toolchain, optimize, model, Home(Path(folder)))
            for engine in ("compact", "generated")
            for board in CHIPS
            for toolchain in toolchains
            for optimize in (("-O2", "-O3") if board == "emulator" else ("-O2",))
        ]


def board_row(board, engine, toolchain, optimize, model, home):
    """One row: builds the firmware, and runs it."""
    image = firmware.build(board, engine, toolchain, model, optimize, cycles=2, home=home)
    wave, sweep = (emulator.run(elf, board=board) for elf in (image.wave, image.sweep))
    costs = firmware.costs(image.wave, wave)
    return (
        board,
        engine,
        f"{toolchain} {optimize}",
        costs["flash"],
        firmware.sizes(image.wave)["model"],
        costs["ram"],
        round(sweep.median_instructions),
        round(costs["instructions"]),
    )


def as_text(lines):
    """A table in columns, numbers with their thousands marked and to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in lines]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    is_number = [isinstance(cell, (int, float)) for cell in lines[-1]]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, is_number, strict=True)
        ).rstrip()
        for row in cells
    )


def main():
    """Print the tables, and store them if that is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", action="store_true", help="measure TFLM and emlearn too")
    parser.add_argument("--csv", action="store_true", help="store the tables in notebooks/data")
    parser.add_argument("--model", type=Path, help="a .tflite file; by default notebook 05's")
    parser.add_argument("--keras", type=Path, help="the same network before its conversion")
    parser.add_argument(
        "--tflm",
        type=Path,
        nargs="+",
        default=[Path(root) for root in [os.environ.get("TFLM_ROOT")] if root],
        help="installed TFLMs; by default TFLM_ROOT",
    )
    options = parser.parse_args()
    keras = options.keras if options.model else paths.REFERENCE_DIR / "model.keras"
    network = engines.Network(options.model or paths.REFERENCE_DIR / "model.tflite", keras)
    rows, missing = engines.measure(network, options.peers, options.tflm)
    boards = [BOARD_COLUMNS, *board_rows(network.tflite)]
    print(as_text(boards), as_text(engines.lines(rows)), *missing, sep="\n\n")
    if options.csv:
        if ENGINES_CSV.exists():
            rows = engines.merged(engines.from_csv(ENGINES_CSV.read_text()), rows)
        files.write(BOARDS_CSV, engines.to_csv(boards))
        files.write(ENGINES_CSV, engines.to_csv(engines.lines(rows)))


if __name__ == "__main__":
    main()
