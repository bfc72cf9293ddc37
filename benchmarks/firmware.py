"""What the firmware costs: flash, RAM and instructions per inference, by compiler and board.

    .venv/bin/python benchmarks/firmware.py [--model FILE.tflite]

By default the model is the one that comes with the firmware, notebook 05's. TFLM's figures beside
ours were measured once, outside of this project, as the last lines say.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from workshop_utils import emulator, firmware
from workshop_utils.device.chips import CHIPS
from workshop_utils.paths import Home

COLUMNS = (
    "board",
    "engine",
    "compiler",
    "flash",
    "of it model",
    "RAM",
    "raw step",
    "with real numbers",
)
TFLM = (
    ("emulator", "TFLM", "gcc -O2", 27_600, 2_700, 2_900, 5_300, None),
    ("emulator", "TFLM", "gcc -Os", 24_400, 2_700, 2_900, 7_760, None),
)
NOTE = """\
Flash and RAM in bytes; RAM is static data, arena and stack. Instructions per inference, the median
of all 256 inputs: of the raw int8 step (engine::Invoke), and from radians to value
(engine::Predict). Our flash includes application and start-up, TFLM's does not. The boards'
images run in Unicorn, with the registers that workshop_utils/device/chips.py plays: microbit-v1
and pico on a Cortex-M0, which has neither FPU nor DSP instructions, pico2 on a Cortex-M33, the
others on a Cortex-M4F.
TFLM: reference kernels at commit 90b983c2b, error texts stripped, GCC 12.2, an arena of 2 kB, run
in QEMU's mps2-an386; rounded."""


def measure(board, toolchain, optimize, model, home):
    """One row of the table for the compact engine."""
    image = firmware.build(
        board=board, toolchain=toolchain, optimize=optimize, model=model, cycles=2, home=home
    )
    wave, sweep = (emulator.run(elf, board=board) for elf in (image.wave, image.sweep))
    costs = firmware.costs(image.wave, wave)
    return (
        board,
        "compact",
        f"{toolchain} {optimize}",
        costs["flash"],
        firmware.sizes(image.wave)["model"],
        costs["ram"],
        sweep.median_instructions,
        costs["instructions"],
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a .tflite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        toolchains = ["zig"] + ["gcc"] * bool(shutil.which("arm-none-eabi-gcc"))
        rows = [
            measure(board, toolchain, optimize, options.model, Home(Path(home)))
            for board in CHIPS
            for toolchain in toolchains
            for optimize in (("-O2", "-Os") if board == "emulator" else ("-O2",))
        ]
    for row in (COLUMNS, *rows, *TFLM):
        cells = [f"{cell:,.0f}" if isinstance(cell, (int, float)) else cell or "-" for cell in row]
        names = f"{cells[0]:<14}{cells[1]:<8} {cells[2]:<9}"
        print(names + "".join(f"{cell:>18}" for cell in cells[3:]))
    print(NOTE)
    if len(toolchains) == 1:
        print("arm-none-eabi-gcc is not installed, so its rows are missing.")


if __name__ == "__main__":
    main()
