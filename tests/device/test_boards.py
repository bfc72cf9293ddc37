"""The boards: names, memories, codes."""

import pytest

from workshop_utils.device import boards
from workshop_utils.errors import WorkshopError

REAL = [boards.BOARDS[name] for name in boards.REAL]


def test_names_and_memories_are_plausible():
    assert {"microbit-v1", "microbit-v2", "pico", "pico2", "nucleo-l476rg"} <= set(boards.REAL)
    for board in REAL:
        assert board.suffix in (".hex", ".uf2", ".bin") and board.ports and board.bring_up
        assert board.flash.size % 4096 == 0 and board.ram.start == 0x20000000
        assert not board.flash.holds(board.ram.start)


def test_no_code_belongs_to_two_boards():
    codes = [code for board in REAL for code in board.codes]
    assert len(set(codes)) == len(codes)


def test_memory():
    memory = boards.Memory(0x100, 0x10)
    assert memory.end == 0x110
    assert memory.holds(0x100) and memory.holds(0x100, 0x10) and memory.holds(0x10F)
    assert not (memory.holds(0x100, 0x11) or memory.holds(0x110) or memory.holds(0xFF))


def test_unknown_boards_and_boards_without_a_drive():
    with pytest.raises(WorkshopError, match=r"^There is no board 'toaster'; choose one of emu"):
        boards.find("toaster")
    with pytest.raises(WorkshopError, match=r"^The board host has no drive.* microbit-v1, "):
        boards.find_real("host")
