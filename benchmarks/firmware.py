"""What the firmware costs: flash, RAM and instructions per inference, for each compiler.

    .venv/bin/python benchmarks/firmware.py [--model FILE.tflite]

By default the model is the one that comes with the firmware, notebook 05's. TFLM's figures beside
ours were measured once, outside of this project, as the last lines say.
"""

import argparse
import os
import shutil
import tempfile
from pathlib import Path

COLUMNS = ("engine", "compiler", "flash", "of it model", "RAM", "raw step", "with real numbers")
TFLM = (
    ("TFLM", "gcc -O2", 27_600, 2_700, 2_900, 5_300, None),
    ("TFLM", "gcc -Os", 24_400, 2_700, 2_900, 7_760, None),
)
NOTE = """\
Flash and RAM in bytes; RAM is static data, arena and stack. Instructions per inference, the median
of all 256 inputs: of the raw int8 step (engine::Invoke), and from radians to value
(engine::Predict). Our flash includes application and start-up, TFLM's does not.
TFLM: reference kernels at commit 90b983c2b, error texts stripped, GCC 12.2, an arena of 2 kB, run
in QEMU's mps2-an386; rounded."""


def measure(toolchain, optimize, model):
    """One row of the table for the compact engine."""
    from workshop_utils import emulator, firmware

    image = firmware.build(toolchain=toolchain, optimize=optimize, model=model)
    wave, sweep = emulator.run(image.wave), emulator.run(image.sweep)
    taken = firmware.sizes(image.wave)
    memory = firmware.ram_bytes(taken) + wave.arena_used + wave.stack_bytes
    return (
        "compact",
        f"{toolchain} {optimize}",
        firmware.flash_bytes(taken),
        taken["model"],
        memory,
        sweep.median_instructions,
        wave.median_instructions,
    )


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="a .tflite file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["WORKSHOP_HOME"] = home
        toolchains = ["zig"] + ["gcc"] * bool(shutil.which("arm-none-eabi-gcc"))
        rows = [
            measure(toolchain, optimize, options.model)
            for toolchain in toolchains
            for optimize in ("-O2", "-Os")
        ]
    for row in (COLUMNS, *rows, *TFLM):
        cells = [f"{cell:,.0f}" if isinstance(cell, (int, float)) else cell or "-" for cell in row]
        print(f"{cells[0]:<8} {cells[1]:<9}" + "".join(f"{cell:>18}" for cell in cells[2:]))
    print(NOTE)
    if len(toolchains) == 1:
        print("arm-none-eabi-gcc is not installed, so its rows are missing.")


if __name__ == "__main__":
    main()
