"""Counting instructions the slow way, to compare the emulator's with."""

from workshop_utils import emulator
from workshop_utils.device import elf


def it_block(core, address):
    """Addresses of the instructions that the IT instruction at `address` makes conditional."""
    word = int.from_bytes(core.mem_read(address, 2), "little")
    if word >> 8 != 0xBF or not word & 15:
        return []
    addresses, position = [], address + 2
    for _ in range(4 - ((word & -word).bit_length() - 1)):  # the lowest 1 of the mask ends it
        addresses.append(position)
        wide = core.mem_read(position + 1, 1)[0] >= 0xE8
        position += 4 if wide else 2
    return addresses


def count_by_single_steps(image):
    """What `emulator.run` counts, by looking at every instruction that is executed.

    Unicorn does not report instructions whose condition fails; they are fetched and take their
    cycle nonetheless, so each IT instruction counts for those after it.
    """
    machine = emulator.Machine(elf.Elf(image))
    entry = min(machine.image.functions("6engine7Predict"))
    counts, back, conditional = [], [None], set()

    def step(core, address, size, data):
        if address == back[0]:
            back[0] = None
        if address == entry and back[0] is None:
            back[0] = core.reg_read(machine.arm.UC_ARM_REG_LR) & ~1
            counts.append(0)
        if back[0] is not None:
            block = it_block(core, address)
            conditional.update(block)
            counts[-1] += len(block) + (address not in conditional)

    machine.core.hook_add(machine.unicorn.UC_HOOK_CODE, step)
    machine.run()
    return counts
