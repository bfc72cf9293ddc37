"""Run an image on an emulated Cortex-M: what it printed and what it cost. From notebook 06.

Unicorn emulates the core; what lies around it, memory and the few registers that the firmware
uses, is in `chips`. By default that is Arm's MPS2 board with its AN386 image. Time costs nothing:
the next tick is always due.
"""

import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop_utils.device import chips, console
from workshop_utils.device.chips import Chip
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError, missing_package
from workshop_utils.progress import Pace, time_left

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

INSTRUCTION_LIMIT = 200_000_000  # two cycles of the course's firmware take about 1,000,000
CONSOLE_LIMIT = 1_000_000  # characters; the longest wave that can be asked for has 300,000
SILENT_SECONDS = 10  # of computing; then it says how far it is, and again after twice the time

_MEASURED_FUNCTIONS = ("6engine7Predict", "6engine6InvokeE")  # parts of mangled names
_UNTOUCHED = b"\xa5"  # what RAM holds before the program writes to it


@dataclass
class Result:
    """What a run left behind.

    console: all that the program printed, text. led: each brightness that it set, uint8, (n,).
    instructions: executed in each call of engine::Predict (in a sweep: engine::Invoke), list of
    int; empty if they were not counted. stack_bytes: how far down the stack was written to.
    matrix: of a board with 5 x 5 LEDs, the share of the time that each of them shone while the
    board waited for a line of its console, float32, (lines, 5, 5) from the top left; else (0, 5,
    5). One row at a time is on, so no share is above 1 / rows.
    """

    console: str
    led: "NDArray[np.uint8]"
    instructions: list[int]
    stack_bytes: int
    matrix: "NDArray[np.float32]"

    @cached_property
    def inferences(self) -> "pd.DataFrame":
        """What `parse_console` makes of the console: a pandas DataFrame."""
        return console.parse_console(self.console)

    @property
    def median_instructions(self) -> float | None:
        """The median of `instructions`; None if they were not counted."""
        from statistics import median

        return median(self.instructions) if self.instructions else None

    @property
    def arena_used(self) -> int | None:
        """Bytes of the arena that the engine says it uses; None if it says nothing."""
        said = re.search(r"^# engine .*: arena (\d+) bytes", self.console, re.MULTILINE)
        return int(said[1]) if said else None


def run(
    elf: Path | str,
    instruction_limit: int = INSTRUCTION_LIMIT,
    count: bool = True,
    board: str = "emulator",
    inferences: int | None = None,
) -> Result:
    """Run an image from reset until it prints '# end'. Returns a Result.

    elf: path. instruction_limit: a program that has executed that many, is not at its end, and
    prints nothing more in a quarter of that again, hangs. count: also count the instructions of
    each inference, in a second run that repeats the first one exactly and is slower, because every
    jump is looked at. board: one of chips.CHIPS. inferences: how many there will be, if that is
    known; a run that takes long says on stderr how far it is, and how much longer it takes.
    Raises WorkshopError if the file is no image for this board; if the program faults, hangs or
    says that it stopped; and if Unicorn is not installed.
    """
    import numpy as np

    image = Elf(elf)
    progress = _Progress("Emulating" + ", pass 1 of 2" * count, inferences)
    machine = _run_while_it_prints(image, board, instruction_limit, progress)
    if not machine.finished:
        raise WorkshopError(
            f"The firmware hangs: after {instruction_limit:,} instructions it has not printed "
            f"{console.END!r} and is {machine.place()}{machine.lost_characters()}."
        )
    console.check_console(machine.console)
    counting = _Progress("Counting instructions, pass 2 of 2", progress.done)
    return Result(
        console=machine.console,
        led=np.array(machine.chip.led, dtype=np.uint8),
        instructions=_count(image, chips.of(board), counting) if count else [],
        stack_bytes=machine.stack_bytes(),
        matrix=_exposed(machine.chip),
    )


def _exposed(chip: Chip) -> "NDArray[np.float32]":
    """What eyes make of the turns of a matrix of LEDs: see Result.matrix."""
    import numpy as np

    if not chip.shown:
        return np.zeros((0, 5, 5), np.float32)
    printed, lit = np.array(chip.shown).T
    shines = (lit[:, np.newaxis] >> np.arange(25) & 1).reshape(-1, 5, 5)
    _, starts = np.unique(printed, return_index=True)  # a wait prints nothing
    turns = np.diff([*starts, len(printed)])
    shares = np.add.reduceat(shines, starts) / turns[:, np.newaxis, np.newaxis]
    return shares.astype(np.float32)


def _run_while_it_prints(
    image: Elf, board: str, limit: int, progress: Callable[[str], None]
) -> "Machine":
    """The machine after a run from reset, long enough for a large model and many inferences.

    Unicorn does not say how many instructions ago a character was printed. So a program that is not
    at its end goes on for a quarter of the limit: if it has printed more by then, it was only slow,
    and goes on for another limit, and so on.
    """
    machine = Machine(image, chips.of(board), progress)
    machine.run(limit)
    printed, more = -1, limit // 4
    while not machine.finished and printed < len(machine.chip.printed) <= CONSOLE_LIMIT:
        printed = len(machine.chip.printed)
        machine.go_on(more)
        more = limit
    return machine


class _Progress:
    """Counts inferences, and says on stderr how far a long run is: seldom; of a short one never.

    total: how many there will be; None if only the header of the table may tell. The time is this
    process's own, so that what is said does not depend on who else uses the machine.
    """

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total, self.done = what, total, 0
        self._pace = Pace(0)
        self._began, self._wait = time.process_time(), SILENT_SECONDS

    def __call__(self, line: str) -> None:
        """The program has printed this line."""
        if console.HEADER.fullmatch(line.rstrip()):
            self.total = self.total or console.answers(line)
            self._pace = Pace(self.total or 0)
        if line[:1] not in console.ROWS_BEGIN:
            return
        self.done += 1
        left = self._pace.mark(self.done)
        if time.process_time() - self._began < self._wait:
            return
        self._wait *= 2
        far = f"{self.done:,} inferences so far"
        if self.total and left is not None:
            far = f"{self.done:,} of {self.total:,} inferences, about {time_left(left)}"
        print(f"{self.what}: {far}", file=sys.stderr, flush=True)


@contextmanager
def _signals_after(stop: Callable[[], None]) -> Iterator[None]:
    """Let a signal, such as Ctrl-C, stop what the block does, and handle it after the block.

    Python would handle it as soon as Unicorn calls back, and drop the exception that this raises.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in that one.
        return
    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        stop()

    handlers = {}
    for one in signal.valid_signals():
        if callable(handler := signal.getsignal(one)):
            handlers[int(one)] = handler
    for number in handlers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in noted:
            handlers[number](number, None)


# ---- The board


class Machine:
    """A core with the memory and the registers of a chip, as they are after reset."""

    def __init__(
        self, image: Elf, chip: Chip | None = None, heard: Callable[[str], None] | None = None
    ) -> None:
        """chip: None takes the emulated board's. heard: is called with each line that it prints.

        Raises WorkshopError if the image does not fit the chip.
        core: Unicorn's, for hooks; unicorn and arm: its modules with the constants for them.
        """
        chip = chip or chips.of("emulator")
        self.image, self.chip, self.finished, self._heard = image, chip, False, heard
        self._refused: str | None = None
        self._seen, self._has_flash = 0, False
        self.unicorn, self.arm = _import_unicorn()
        mode = self.unicorn.UC_MODE_THUMB | self.unicorn.UC_MODE_MCLASS
        self.core = self.unicorn.Uc(self.unicorn.UC_ARCH_ARM, mode)
        self.core.ctl_set_cpu_model(getattr(self.arm, f"UC_CPU_ARM_{chip.core}"))
        self._load()
        self._map_memory()

    def _load(self) -> None:
        """See whether the image fits into flash, and find out where to start."""
        start, size = self.chip.flash
        flash = bytearray(size)
        for address, content in self.image.segments:
            if content and not (start <= address and address + len(content) <= start + size):
                raise WorkshopError(
                    f"{self.image.path.name} has {len(content)} bytes for the address "
                    f"0x{address:08x}, where the emulated board has no memory for them."
                )
            flash[address - start : address - start + len(content)] = content
        self._stack_top, reset = self.chip.vector_table(flash)
        ram, ram_size = self.chip.ram
        in_ram = ram < self._stack_top <= ram + ram_size
        if not in_ram or not reset & 1 or not start <= reset < start + size:
            raise WorkshopError(
                f"{self.image.path.name} does not begin with a vector table for this board."
            )
        self._first = self.chip.start(flash)

    def _map_memory(self) -> None:
        unicorn, core = self.unicorn, self.core
        start, size = self.chip.ram
        core.mem_map(start, size, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        core.mem_write(start, _UNTOUCHED * size)
        for address, content in self._first[2].items():  # code in RAM, on a page of its own
            core.mem_protect(address & ~0xFFF, 0x1000)
            core.mem_write(address, content)
        if self.chip.can_execute_flash():
            self._map_flash()
        for page, size in self.chip.pages:
            core.mmio_map(page, size, self._read, page, self._write, page)
        core.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._refuse)

    def _map_flash(self) -> None:
        self._has_flash = True
        start, size = self.chip.flash
        self.core.mem_map(start, size, self.unicorn.UC_PROT_READ | self.unicorn.UC_PROT_EXEC)
        for address, content in self.image.segments:  # the rest is zero
            if content:
                self.core.mem_write(address, content)

    # Unicorn calls these.

    def _read(self, core: Any, offset: int, size: int, page: int) -> int:
        return self.chip.read(page + offset)

    def _write(self, core: Any, offset: int, size: int, value: int, page: int) -> None:
        self.chip.write(page + offset, value)
        printed = self.chip.printed
        if len(printed) > self._seen:
            self._seen = len(printed)
            if not printed.endswith(b"\n"):
                return
            line = self._last_line()
            if line.startswith(console.LAST_LINES):
                self.finished = True
                core.emu_stop()
            elif self._heard:
                self._heard(line)

    def _refuse(
        self, core: Any, access: int, address: int, size: int, value: int, data: Any
    ) -> bool:
        """Note an access to memory that is not there or not for that; the core then stops."""
        unicorn = self.unicorn
        start, bytes_of_flash = self.chip.flash
        in_flash = start <= address < start + bytes_of_flash
        if in_flash and not self._has_flash and self.chip.can_execute_flash():
            self._map_flash()
            return True
        if access in (unicorn.UC_MEM_FETCH_UNMAPPED, unicorn.UC_MEM_FETCH_PROT):
            verb, protected = "jumped to", "which is RAM and not code"
        elif access in (unicorn.UC_MEM_WRITE_UNMAPPED, unicorn.UC_MEM_WRITE_PROT):
            verb, protected = "wrote to", "which is flash"
        else:
            verb, protected = "read from", "which is not for reading"
        there = access in (unicorn.UC_MEM_FETCH_PROT, unicorn.UC_MEM_WRITE_PROT)
        place = protected if there else "where this board has nothing"
        self._refused = f"it {verb} 0x{address:08x}, {place}"
        return False

    # What it is asked for

    @property
    def console(self) -> str:
        return self.chip.printed.decode("utf-8", errors="replace")

    def _last_line(self) -> str:
        printed = self.chip.printed
        return printed[printed.rfind(b"\n", 0, -1) + 1 :].decode("latin-1")

    def run(self, instruction_limit: int = 0) -> None:
        """From reset until '# end' or until the limit; 0: no limit. WorkshopError for a fault."""
        stack, entry, _ = self._first
        self.core.reg_write(self.arm.UC_ARM_REG_SP, stack)
        self._start(entry, instruction_limit)

    def go_on(self, instruction_limit: int) -> None:
        """From where the limit has stopped it, as `run`."""
        self._start(self.core.reg_read(self.arm.UC_ARM_REG_PC) | 1, instruction_limit)

    def _start(self, address: int, instruction_limit: int) -> None:
        unicorn = self.unicorn
        try:
            with _signals_after(self.core.emu_stop):
                self.core.emu_start(address, 0xFFFFFFFE, count=instruction_limit)
        except unicorn.UcError as error:
            reasons = {
                unicorn.UC_ERR_INSN_INVALID: "it came to a trap or an undefined instruction",
                unicorn.UC_ERR_EXCEPTION: "it raised an exception that nothing handles",
            }
            reason = self._refused or reasons.get(error.errno, f"Unicorn says {error}")
            raise WorkshopError(f"The firmware faulted {self.place()}: {reason}.") from error

    def place(self) -> str:
        """Where the core is, in words."""
        address = self.core.reg_read(self.arm.UC_ARM_REG_PC) & ~1
        name = self.image.function_at(address)
        if name:
            return f"in {name} at 0x{address:08x}"
        call = (self.core.reg_read(self.arm.UC_ARM_REG_LR) & ~1) - 2
        caller = self.image.function_at(call)
        return f"at 0x{address:08x}" + (f", called from {caller}" if caller else "")

    def lost_characters(self) -> str:
        """Half a sentence on what was written to a UART that was off, if anything was."""
        lost = self.chip.lost
        return f"; {lost} characters went to a UART that is not enabled" if lost else ""

    def stack_bytes(self) -> int:
        """From the top of the stack down to the lowest word that was written."""
        ends = [start + size for start, size, _ in self.image.sections.values()]
        floor = max((end for end in ends if end <= self._stack_top), default=0)
        floor = max(self.image.symbols.get("arena_end", floor), self.chip.ram[0])
        if floor >= self._stack_top:
            return 0
        stack = self.core.mem_read(floor, self._stack_top - floor)
        return (len(stack.lstrip(_UNTOUCHED)) + 3) // 4 * 4


def _import_unicorn() -> tuple[Any, Any]:
    try:
        import unicorn
        from unicorn import arm_const
    except ImportError as error:
        raise missing_package("Emulating a chip", "unicorn") from error
    return unicorn, arm_const


# ---- Counting


def _count(image: Elf, chip: Chip, progress: Callable[[str], None] | None = None) -> list[int]:
    """Instructions executed in each call of a measured function; runs the image once more.

    Counting begins where such a function is entered and ends where it returns to, so what it
    calls counts too. Unicorn reports each straight piece of code before executing it.
    """
    entries = image.functions(*_MEASURED_FUNCTIONS)
    if not entries:
        return []
    machine = Machine(image, chip, progress)
    known: dict[tuple[int, int], int] = {}
    counts: list[int] = []
    running, back = 0, None
    link_register = machine.arm.UC_ARM_REG_LR

    def enter(core: Any, address: int, size: int, data: Any) -> None:
        nonlocal running, back
        if address == back:
            counts.append(running)
            back = None
        if back is None:
            if address not in entries:
                return
            running, back = 0, core.reg_read(link_register) & ~1
        if (address, size) not in known:
            known[address, size] = count_instructions(core.mem_read(address, size))
        running += known[address, size]

    machine.core.hook_add(machine.unicorn.UC_HOOK_BLOCK, enter)
    machine.run()
    return counts


def count_instructions(code: bytes) -> int:
    """How many Thumb instructions `code` (bytes, whole instructions) holds.

    A halfword whose top five bits are 11101, 11110 or 11111 begins an instruction of 32 bits.
    Source: ARMv7-M Architecture Reference Manual, A5.1.
    """
    count = position = 0
    while position < len(code):
        position += 4 if code[position + 1] >> 3 in (0b11101, 0b11110, 0b11111) else 2
        count += 1
    return count
