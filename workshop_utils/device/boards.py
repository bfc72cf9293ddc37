"""The boards that the firmware is built for: memory, file to copy, drive and serial port.

One table, `BOARDS`, by the names that the commands take. What makes, checks and copies files and
what reads the console looks things up here, and so knows no board by name.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

from workshop_utils.errors import WorkshopError

BAUD = 115_200  # every board's console: 8 data bits, no parity, 1 stop bit

# Chips between USB and a UART, as (vendor, product). A Pico's console comes out of two pins, so it
# takes one of these: Raspberry Pi's Debug Probe (also as the earlier Picoprobe) or an adapter with
# a chip of FTDI, Silicon Labs, WCH or Prolific.
_ADAPTERS = (
    (0x2E8A, 0x000C),
    (0x2E8A, 0x0004),
    (0x0403, 0x6001),
    (0x10C4, 0xEA60),
    (0x1A86, 0x7523),
    (0x067B, 0x2303),
)
# DAPLink's interface chip on both micro:bits; ST-LINK/V2-1 with and without a drive.
_DAPLINK = ((0x0D28, 0x0204),)
_ST_LINK = ((0x0483, 0x374B), (0x0483, 0x3752))

# Where a drive says which board it belongs to: a file, and a pattern of which group 1 is the
# board's code. DAPLink's and ST-LINK's codes are the four digits that Arm gave to the board.
_UF2_IDENTITY = (("INFO_UF2.TXT", r"^Board-ID:[ \t]*(\S+)"),)
_DAPLINK_IDENTITY = (
    ("DETAILS.TXT", r"^Unique ID:[ \t]*([0-9A-Fa-f]{4})"),
    ("MICROBIT.HTM", r"[?&](?:code|id)=([0-9A-Fa-f]{4})"),  # before DAPLink 0240
)
_ST_LINK_IDENTITY = (("MBED.HTM", r"[?&](?:code|auth)=([0-9A-Fa-f]{4})"),)


class Memory(NamedTuple):
    """A piece of the address space, in bytes."""

    start: int
    size: int

    @property
    def end(self):
        return self.start + self.size

    def holds(self, address, size=1):
        """Whether `size` bytes from `address` on lie inside."""
        return self.start <= address and address + size <= self.end


@dataclass(frozen=True)
class Board:
    """What is to be known of a board.

    name: on the command line, and the preset in firmware/CMakePresets.json. title: in sentences.
    flash, ram: Memory, None on the host. clock: of the core as the firmware sets it, Hz; 0 if not
    known. suffix: of the file that is copied onto the board's drive; empty if there is no drive.
    boot_bytes: what lies in flash before the vector table. labels: what the drive is called.
    identity: ((file, pattern), ...), the first one found counts; codes: what group 1 of the
    pattern may be. ports: ((vendor, product), ...) of the chip behind the serial port. bring_up:
    how to make the drive appear. wiring: what the console needs besides the USB cable, empty if
    nothing.
    """

    name: str
    title: str
    core: str
    flash: Memory | None
    ram: Memory | None
    clock: int
    suffix: str = ""
    boot_bytes: int = 0
    labels: tuple = ()
    identity: tuple = ()
    codes: tuple = ()
    ports: tuple = ()
    bring_up: str = ""
    wiring: str = ""


_MICROBIT_BRING_UP = (
    "plug it in with a USB cable that carries data, without touching the reset button"
)

BOARDS = {
    board.name: board
    for board in (
        Board(  # Arm Application Note 386
            name="emulator",
            title="emulated board",
            core="Cortex-M4F",
            flash=Memory(0x00000000, 4 << 20),
            ram=Memory(0x20000000, 4 << 20),
            clock=25_000_000,
        ),
        Board(
            name="host",
            title="computer",
            core="this computer's",
            flash=None,
            ram=None,
            clock=0,
        ),
        Board(  # nRF51822 Product Specification; the micro:bit's hardware documentation
            name="microbit-v1",
            title="micro:bit v1",
            core="Cortex-M0",
            flash=Memory(0x00000000, 256 << 10),
            ram=Memory(0x20000000, 16 << 10),
            clock=16_000_000,
            suffix=".hex",
            labels=("MICROBIT",),
            identity=_DAPLINK_IDENTITY,
            codes=("9900", "9901"),
            ports=_DAPLINK,
            bring_up=_MICROBIT_BRING_UP,
        ),
        Board(  # nRF52833 Product Specification; the micro:bit's hardware documentation
            name="microbit-v2",
            title="micro:bit v2",
            core="Cortex-M4F",
            flash=Memory(0x00000000, 512 << 10),
            ram=Memory(0x20000000, 128 << 10),
            clock=64_000_000,
            suffix=".hex",
            labels=("MICROBIT",),
            identity=_DAPLINK_IDENTITY,
            codes=("9903", "9904", "9905", "9906"),
            ports=_DAPLINK,
            bring_up=_MICROBIT_BRING_UP,
        ),
        Board(  # RP2040 Datasheet, 2.6 (memory), 2.8 (boot stage, drive); Pico Datasheet (flash)
            name="pico",
            title="Raspberry Pi Pico",
            core="Cortex-M0+",
            flash=Memory(0x10000000, 2 << 20),
            ram=Memory(0x20000000, 264 << 10),
            clock=12_000_000,
            suffix=".uf2",
            boot_bytes=256,
            labels=("RPI-RP2",),
            identity=_UF2_IDENTITY,
            codes=("RPI-RP2",),
            ports=_ADAPTERS,
            bring_up="hold its BOOTSEL button down while you plug it in, then let go",
            wiring=(
                "connect GP0 (pin 1) to the RX of a USB-to-serial adapter of 3.3 V, and GND (pin "
                "3) to its GND"
            ),
        ),
        Board(  # ST DS10198, 5 (memory); UM1724, 6.2 (ST-LINK/V2-1)
            name="nucleo-l476rg",
            title="Nucleo-L476RG",
            core="Cortex-M4F",
            flash=Memory(0x08000000, 1 << 20),
            ram=Memory(0x20000000, 96 << 10),
            clock=16_000_000,
            suffix=".bin",
            labels=("NODE_L476RG", "NOD_L476RG"),
            identity=_ST_LINK_IDENTITY,
            codes=("0765",),
            ports=_ST_LINK,
            bring_up=(
                "plug its ST-LINK side in (CN1) with a USB cable that carries data, both jumpers "
                "of CN2 on and JP5 on U5V"
            ),
        ),
    )
}

# The boards that one can hold, those with a drive to copy to.
REAL = tuple(name for name, board in BOARDS.items() if board.suffix)


def find(name):
    """The Board of that name. Raises WorkshopError, which lists the names, if there is none."""
    if name not in BOARDS:
        raise WorkshopError(f"There is no board {name!r}; choose one of {', '.join(BOARDS)}.")
    return BOARDS[name]


def find_real(name):
    """The same for boards that one can hold."""
    if find(name).suffix == "":
        raise WorkshopError(
            f"The board {name} has no drive and no serial port; choose one of {', '.join(REAL)}."
        )
    return BOARDS[name]


def code_in(texts, board):
    """What a board's drive says it is: (code, name of the file that says so), else (None, None).

    texts: {name of a file in capitals: its text}.
    """
    for file, pattern in board.identity:
        found = re.search(pattern, texts.get(file, ""), re.MULTILINE)
        if found:
            return found[1].upper(), file
    return None, None


def recognize(texts):
    """The Board whose drive holds these files; None if it is none of the table's.

    texts: {name of a file in capitals: its text}.
    """
    for name in REAL:
        if code_in(texts, BOARDS[name])[0] in BOARDS[name].codes:
            return BOARDS[name]
    return None
