"""The emulated chips: which boards have one, and what is said where there is none."""

import dataclasses

import pytest

from workshop_utils.device import boards, chips
from workshop_utils.errors import WorkshopError


@pytest.mark.parametrize("board", chips.CHIPS)
def test_each_object_is_a_chip_after_reset(board):
    used = chips.of(board)
    used.write(used.pages[0][0] + 0xF00, 7)
    fresh = chips.of(board)
    assert used.writes and not fresh.writes and fresh.registers == type(fresh).reset_values
    assert (fresh.flash, fresh.ram) == (boards.find(board).flash, boards.find(board).ram)


def test_the_tick_of_a_core_counts_once_it_is_on():
    chip = chips.of("emulator")
    assert chip.read(0xE000E010) == 0
    chip.write(0xE000E010, 5)
    assert chip.read(0xE000E010) == 5 | 1 << 16


def test_a_character_for_a_uart_that_is_not_ready_is_lost():
    chip = chips.of("microbit-v1")
    chip.write(chip.uart + 0x51C, ord("x"))
    assert (bytes(chip.printed), chip.lost) == (b"", 1)


def test_a_board_without_an_emulated_chip_gets_one_sentence(monkeypatch):
    yours = dataclasses.replace(boards.find("nucleo-l476rg"), name="yours")
    monkeypatch.setitem(boards.BOARDS, "yours", yours)
    sentence = r"^There is no emulated chip for the board yours yet: .*step 3 of firmware/BOARDS"
    with pytest.raises(WorkshopError, match=sentence):
        chips.of("yours")
    with pytest.raises(WorkshopError, match=r"^There is no board 'toaster'"):
        chips.of("toaster")


def test_a_damaged_board_is_in_no_other_chips_way(monkeypatch):
    others = {name: board for name, board in boards.BOARDS.items() if name != "pico"}
    monkeypatch.setattr(boards, "BOARDS", others)  # put back, it would be the last one
    monkeypatch.setitem(boards.DAMAGED, "pico", WorkshopError("pico/board.toml is damaged: x."))
    assert chips.of("emulator").flash.size
    with pytest.raises(WorkshopError, match="is damaged"):
        chips.of("pico")
