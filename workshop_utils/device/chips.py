"""The chips of the boards, as far as the firmware sees them: memory, and what registers do.

The emulator runs the core and asks here about everything else. A register does what the manual
says of it, as far as the firmware depends on that: a UART is silent until it is enabled, clocked,
out of reset and connected to its pin; an oscillator is ready after it was started. Everything else
remembers what was written to it. Time costs nothing: whatever is waited for has happened.

Sources are the documents that the firmware's board.cc files name.
"""

from collections.abc import Mapping
from typing import ClassVar

from workshop_utils.device.boards import find
from workshop_utils.device.images import crc32
from workshop_utils.errors import WorkshopError

_SYSTEM = 0xE000E000  # of every Cortex-M; ARMv7-M and ARMv6-M Architecture Reference Manuals, B3
_SYSTICK = _SYSTEM + 0x10  # bit 0: it is on; bit 16: the tick was reached since the last look


class Chip:
    """Base of the chips. An object is a chip after reset.

    board: its name; flash and ram, each a Memory, are those of its board.toml, and WorkshopError
    says what is wrong with that. core: Unicorn's name of it. pages: (address, bytes) of registers.
    vectors: address of the vector table. writes: [(address, value)], all since reset. printed: what
    came out of the UART, bytearray. lost: how many characters did not. led: each brightness set.
    """

    board: ClassVar[str]
    core = "CORTEX_M4"
    pages: tuple[tuple[int, int], ...] = ()
    vectors = 0x00000000
    reset_values: ClassVar[Mapping[int, int]] = {}

    def __init__(self) -> None:
        described = find(self.board)
        if described.flash is None or described.ram is None:
            raise WorkshopError(f"The {described.title} has no chip of its own.")
        self.flash, self.ram = described.flash, described.ram
        self.registers = dict(self.reset_values)
        self.writes: list[tuple[int, int]] = []
        self.printed, self.lost = bytearray(), 0
        self.led: list[int] = []

    def read(self, address: int) -> int:
        """What the core reads from a register."""
        value = self.registers.get(address, 0)
        return value | 1 << 16 if address == _SYSTICK and value & 1 else value

    def write(self, address: int, value: int) -> None:
        """The core writes to a register."""
        self.writes.append((address, value))
        self.registers[address] = value

    def transmit(self, value: int, is_ready: object) -> None:
        """A character for the console, which is lost if the UART is not ready for it."""
        if is_ready:
            self.printed.append(value & 0xFF)
        else:
            self.lost += 1

    def can_execute_flash(self) -> bool:
        """Whether flash can be read now."""
        return True

    def vector_table(self, flash: bytes | bytearray) -> tuple[int, int]:
        """Initial stack and reset handler, of the bytes that flash begins with."""
        offset = self.vectors - self.flash[0]
        stack, reset = (flash[offset + i : offset + i + 4] for i in (0, 4))
        return int.from_bytes(stack, "little"), int.from_bytes(reset, "little")

    def start(self, flash: bytes | bytearray) -> tuple[int, int, dict[int, bytes]]:
        """What runs first after reset: (stack, entry, {address: bytes put there})."""
        return (*self.vector_table(flash), {})


class An386(Chip):
    """Arm's MPS2 board with its AN386 image."""

    board = "emulator"
    uart = 0x40004000  # data; state at +4, bit 0: full, never here; control at +8, bit 0: on
    leds = 0x4002F004
    pages = ((uart, 0x1000), (0x4002F000, 0x1000), (_SYSTEM, 0x1000))

    def read(self, address: int) -> int:
        return 0 if address == self.uart + 4 else super().read(address)

    def write(self, address: int, value: int) -> None:
        super().write(address, value)
        if address == self.leds:
            self.led.append(value & 0xFF)
        elif address == self.uart:
            self.transmit(value, self.registers.get(self.uart + 8, 0) & 1)


class Nrf51822(Chip):
    """Nordic nRF51822, of the micro:bit v1. It has no SysTick."""

    core = "CORTEX_M0"
    board = "microbit-v1"
    clock, uart, timer = 0x40000000, 0x40002000, 0x40008000
    ports: tuple[int, ...] = (0x50000000,)
    pages: tuple[tuple[int, int], ...] = (
        (clock, 0x1000),
        (uart, 0x1000),
        (timer, 0x1000),
        (0x50000000, 0x1000),
    )
    transmit_pin = 24
    is_counting = False
    reset_values: ClassVar[Mapping[int, int]] = {uart + 0x50C: 0xFFFFFFFF}  # no pin is connected

    def read(self, address: int) -> int:
        if address == self.timer + 0x140:  # EVENTS_COMPARE[0]
            return int(self.is_counting)
        return super().read(address)

    def write(self, address: int, value: int) -> None:
        super().write(address, value)
        if address == self.clock and value == 1:  # TASKS_HFCLKSTART: EVENTS_HFCLKSTARTED
            self.registers[self.clock + 0x100] = 1
        elif address == self.timer and value == 1:  # TASKS_START
            self.is_counting = True
        elif address == self.uart + 0x51C:  # TXD
            self.transmit(value, self._can_transmit())
            self.registers[self.uart + 0x11C] = 1  # EVENTS_TXDRDY
        for port in self.ports:
            self._drive(port, address, value)

    def _can_transmit(self) -> bool:
        """Crystal, ENABLE, STARTTX, PSELTXD and BAUDRATE."""
        wanted = {0x500: 4, 0x008: 1, 0x50C: self.transmit_pin, 0x524: 0x01D7E000}
        return self.registers.get(self.clock + 0x100) == 1 and all(
            self.registers.get(self.uart + offset) == value for offset, value in wanted.items()
        )

    def _drive(self, port: int, address: int, value: int) -> None:
        """OUTSET and OUTCLR change OUT, DIRSET changes DIR."""
        change = {
            port + 0x508: (0x504, value, 0),
            port + 0x50C: (0x504, 0, value),
            port + 0x518: (0x514, value, 0),
        }
        if address in change:
            register, on, off = change[address]
            before = self.registers.get(port + register, 0)
            self.registers[port + register] = (before | on) & ~off


class Nrf52833(Nrf51822):
    """Nordic nRF52833, of the micro:bit v2: the same registers, and a second port."""

    core = "CORTEX_M4"
    board = "microbit-v2"
    pages = (*Nrf51822.pages, (_SYSTEM, 0x1000))
    ports = (0x50000000, 0x50000300)
    transmit_pin = 6


class Stm32L476(Chip):
    """ST STM32L476RG, of the Nucleo-L476RG. A peripheral without a clock takes no notice."""

    board = "nucleo-l476rg"
    vectors = 0x08000000
    rcc, port_a, usart2, tim2 = 0x40021000, 0x48000000, 0x40004400, 0x40000000
    pages = (
        (tim2, 0x1000),
        (0x40004000, 0x1000),
        (rcc, 0x1000),
        (port_a, 0x1000),
        (_SYSTEM, 0x1000),
    )
    # The clock is MSI; pins of port A are analog, but for those of the debugger.
    reset_values: ClassVar[Mapping[int, int]] = {
        rcc: 0x63,
        rcc + 0x88: 0,
        port_a: 0xABFFFFFF,
        usart2 + 0x1C: 0x20000C0,
    }
    enables = ((port_a, 0x4C, 0), (tim2, 0x58, 0), (usart2, 0x58, 17))

    def read(self, address: int) -> int:
        value = super().read(address)
        if address == self.rcc:  # CR: HSIRDY follows HSION
            return value | 1 << 10 if value & 1 << 8 else value
        if address == self.rcc + 0x08:  # CFGR: SWS follows SW
            return value & ~0xC | (value & 3) << 2
        return value

    def write(self, address: int, value: int) -> None:
        for start, register, bit in self.enables:
            off = not self.registers.get(self.rcc + register, 0) >> bit & 1
            if off and start <= address < start + 0x400:
                return
        if address == self.rcc + 0x08 and value & 3 == 1 and not self.read(self.rcc) & 1 << 10:
            return  # CFGR: HSI16 is not ready
        super().write(address, value)
        if address == self.tim2 + 0x34:  # CCR1
            self.led.append(value & 0xFF)
        elif address == self.usart2 + 0x28:  # TDR
            at_16_mhz = self.read(self.rcc + 0x08) & 0xC == 4
            baud = at_16_mhz and self.registers.get(self.usart2 + 0x0C) == 139
            enabled = self.registers.get(self.usart2, 0) & 0b1001 == 0b1001  # CR1: TE, UE
            self.transmit(value, baud and enabled and self.function(2) == 7)

    def function(self, pin: int) -> int | None:
        """The alternate function of a pin of port A, 0 to 7; None if it has none."""
        is_alternate = self.registers[self.port_a] >> 2 * pin & 3 == 2
        return self.registers.get(self.port_a + 0x20, 0) >> 4 * pin & 15 if is_alternate else None


class Rp2040(Chip):
    """Raspberry Pi RP2040, of the Pico, with its boot ROM's part. Held in reset, nothing works."""

    core = "CORTEX_M0"
    board = "pico"
    vectors = 0x10000100
    boot_copy = 0x20041F00  # where the boot ROM puts flash's first 256 bytes, in SRAM5
    ssi, clocks, resets, io, xosc = 0x18000000, 0x40008000, 0x4000C000, 0x40014000, 0x40024000
    uart, pwm = 0x40034000, 0x40050000
    pages = (
        (ssi, 0x1000),
        (clocks, 0x4000),
        (resets, 0x4000),
        (io, 0x4000),
        (xosc, 0x4000),
        (uart, 0x4000),
        (pwm, 0x4000),
        (_SYSTEM, 0x1000),
    )
    reset_values: ClassVar[Mapping[int, int]] = {resets: 0x01FFFFFF, ssi + 8: 1}
    reset_bits: ClassVar = {io: 5, pwm: 14, uart: 22}

    def read(self, address: int) -> int:
        value = super().read(address)
        if address == self.xosc + 4:  # STATUS: STABLE
            return 1 << 31 if self.registers.get(self.xosc) == 0xFABAA0 else 0
        if address in (self.clocks + 0x38, self.clocks + 0x44):  # SELECTED, of CTRL 8 bytes before
            return 1 << (self.registers.get(address - 8, 0) & 3)
        if address == self.resets + 8:  # RESET_DONE
            unclocked = 0 if self.registers.get(self.clocks + 0x48) else 1 << 22  # UART0
            return ~self.registers[self.resets] & 0x01FFFFFF & ~unclocked
        return value

    def write(self, address: int, value: int) -> None:
        if address & 0xF0003000 == 0x40003000:  # the alias that clears bits
            self.writes.append((address, value))
            self.registers[address - 0x3000] = self.registers.get(address - 0x3000, 0) & ~value
            return
        for start, bit in self.reset_bits.items():
            if start <= address < start + 0x4000 and self.registers[self.resets] >> bit & 1:
                return
        is_setting = address in (self.ssi, self.ssi + 4, self.ssi + 0x14, self.ssi + 0xF4)
        if is_setting and self.registers[self.ssi + 8] & 1:
            return  # the boot ROM has left it on, and on it takes no settings
        super().write(address, value)
        if address == self.pwm + 0x5C:  # CC of slice 4, whose output B is the LED
            self.led.append(value >> 16)
        elif address == self.uart:
            self.transmit(value, self._can_transmit())

    def _can_transmit(self) -> bool:
        """From the crystal by way of clk_ref and clk_sys; divider, format, enables; pin GP0."""
        registers = self.registers.get
        clocked = (
            self.read(self.xosc + 4) != 0
            and registers(self.clocks + 0x30) == 2
            and registers(self.clocks + 0x3C, 0) == 0
            and registers(self.clocks + 0x48) == 1 << 11
        )
        divider = 64 * registers(self.uart + 0x24, 0) + registers(self.uart + 0x28, 0)
        set_up = divider == round(12e6 / 16 / 115200 * 64) and registers(self.uart + 0x2C) == 0x70
        return (
            clocked
            and set_up
            and registers(self.uart + 0x30, 0) & 0x101 == 0x101
            and (registers(self.io + 4) == 2)
        )

    def can_execute_flash(self) -> bool:
        """Whether the SSI turns accesses to flash into reads: command 03h, 24 bits of address."""
        wanted = {0x08: 1, 0x00: 31 << 16 | 3 << 8, 0xF4: 0x03000218, 0x04: 0}
        registers = {offset: self.registers.get(self.ssi + offset) for offset in wanted}
        divider = self.registers.get(self.ssi + 0x14, 0)
        return registers == wanted and divider >= 2 and divider % 2 == 0

    def start(self, flash: bytes | bytearray) -> tuple[int, int, dict[int, bytes]]:
        """The boot ROM checks flash's first 256 bytes, copies them to RAM and jumps there."""
        stage = bytes(flash[:256])
        if len(stage) < 256 or crc32(stage[:252]) != int.from_bytes(stage[252:], "little"):
            raise WorkshopError("The Pico would not start: its boot stage's CRC is wrong.")
        return self.boot_copy, self.boot_copy | 1, {self.boot_copy: stage}


# By the names of their boards.
CHIPS: dict[str, type[Chip]] = {
    chip.board: chip for chip in (An386, Nrf51822, Nrf52833, Rp2040, Stm32L476)
}


def of(board: str) -> Chip:
    """The chip of a board, after reset. Raises WorkshopError if nothing here plays it."""
    if board not in CHIPS:
        raise WorkshopError(
            f"There is no emulated chip for the board {find(board).name} yet: the emulator plays "
            f"{', '.join(CHIPS)}, and step 3 of firmware/BOARDS.md says how to add another one."
        )
    return CHIPS[board]()
