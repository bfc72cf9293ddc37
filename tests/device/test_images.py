"""Files for the drives of boards, read back by others' readers; and images that do not fit."""

import re
import shutil
import subprocess
import sys

import bincopy
import elf_factory
import numpy as np
import pytest
from uf2utils.file import UF2File

from workshop_utils.device import boards, images
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError

REAL = [boards.BOARDS[name] for name in boards.REAL]


@pytest.fixture
def image(tmp_path):
    """A function that makes an Elf out of segments."""

    def make(segments, variables=()):
        path = tmp_path / "image.elf"
        path.write_bytes(elf_factory.elf(segments, variables))
        return Elf(path)

    return make


def program(board, size=700, stack=None, reset=None):
    """Content for a board's flash that passes: boot stage, vector table, image definition, code."""
    code = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8).tobytes()
    stack = board.ram.end if stack is None else stack
    reset = (board.flash.start + board.boot_bytes + 9) if reset is None else reset
    vectors = stack.to_bytes(4, "little") + reset.to_bytes(4, "little")
    stage = code[: board.boot_bytes - 4] if board.boot_bytes else b""
    crc = images.crc32(stage).to_bytes(4, "little") if stage else b""
    return stage + crc + vectors + (DEFINITION if board.image_type else b"") + code


# RP2350 Datasheet, 5.9.5.1: "minimum Arm IMAGE_DEF".
DEFINITION = bytes.fromhex("d3deffff 42012110 ff010000 00000000 793512ab")


# ---- The formats


@pytest.mark.parametrize("size", [1, 255, 256, 257, 5000, 70_000])
def test_hex_is_what_was_put_in(size):
    content = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8).tobytes()
    for start in (0, 0x08000000, 0xFFF0):
        read = bincopy.BinFile()
        read.add_ihex(images.to_hex(start, content).decode("ascii"))
        assert read.minimum_address == start and bytes(read.as_binary()) == content


def test_hex_read_by_objcopy(tmp_path):
    if not (objcopy := shutil.which("arm-none-eabi-objcopy")):
        pytest.skip("there is no arm-none-eabi-objcopy on this machine")
    content = bytes(range(256)) * 300
    (tmp_path / "a.hex").write_bytes(images.to_hex(0, content))
    subprocess.run([objcopy, "-I", "ihex", "-O", "binary", "a.hex", "a.bin"], cwd=tmp_path, check=1)
    assert (tmp_path / "a.bin").read_bytes() == content


@pytest.mark.parametrize("size", [1, 255, 256, 257, 5000])
def test_uf2_is_what_was_put_in(tmp_path, size):
    content = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8).tobytes()
    (tmp_path / "a.uf2").write_bytes(images.to_uf2(0x10000000, content, 0xE48BFF56))
    blocks = list(UF2File(str(tmp_path / "a.uf2")))
    assert len(blocks) == -(-size // 256)
    assert [block.header.address for block in blocks] == [
        0x10000000 + 256 * i for i in range(len(blocks))
    ]
    assert [block.header.block_number for block in blocks] == list(range(len(blocks)))
    # What the RP2040's boot ROM asks of a block; see its datasheet, 2.8.4.2.
    assert {block.header.total_blocks for block in blocks} == {len(blocks)}
    assert {block.header.board_family for block in blocks} == {0xE48BFF56}
    assert {block.header.payload_size for block in blocks} == {256}
    assert {int(block.header.flags) for block in blocks} == {0x2000}
    payload = b"".join(bytes(block.payload[:256]) for block in blocks)
    assert payload == content + b"\xff" * (-size % 256)


def test_gaps_are_erased_flash(image):
    made = image([(0x08000010, b"later"), (0x08000000, b"first"), (0x20000000, b"")])
    assert images.flat(made) == (0x08000000, b"first" + b"\xff" * 11 + b"later")


def test_the_checksum_of_the_boot_stage():
    # The check value that catalogues of checksums give for CRC-32/MPEG-2.
    assert images.crc32(b"123456789") == 0x0376E6E7
    assert images.crc32(b"") == 0xFFFFFFFF


@pytest.mark.parametrize("board", REAL, ids=lambda board: board.name)
def test_every_boards_file_holds_the_program(image, tmp_path, board):
    content = program(board)
    made = image([(board.flash.start, content)], [(".bss", board.ram.start, 400)])
    assert images.problems(made, board) == []
    encoded = images.encoded(made, board)
    if board.suffix == ".bin":
        assert encoded == content
    elif board.suffix == ".hex":
        read = bincopy.BinFile()
        read.add_ihex(encoded.decode("ascii"))
        assert (read.minimum_address, bytes(read.as_binary())) == (board.flash.start, content)
    else:
        (tmp_path / "a.uf2").write_bytes(encoded)
        payload = b"".join(bytes(b.payload[:256]) for b in UF2File(str(tmp_path / "a.uf2")))
        assert payload[: len(content)] == content


def test_a_missing_intelhex_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "intelhex", None)
    with pytest.raises(
        WorkshopError, match=r"package intelhex, which is missing; in a terminal:\n"
    ):
        images.to_hex(0, b"1")


# ---- What does not fit

NUCLEO, PICO = boards.BOARDS["nucleo-l476rg"], boards.BOARDS["pico"]


@pytest.mark.parametrize(
    ("segments", "variables", "sentences"),
    [
        (
            [(0, program(NUCLEO))],
            (),
            [r"0x00000000, which is no flash of the Nucleo-L476RG \(0x08"],
        ),
        ([(0x08000100, program(NUCLEO))], (), ["begins at 0x08000100, .* starts .* 0x08000000"]),
        (
            [(0x08000000, program(NUCLEO, stack=0x10008000))],
            (),
            [r"stack at 0x10008000, which is not in the RAM .* \(0x20000000 to 0x20017fff\)"],
        ),
        ([(0x08000000, program(NUCLEO, stack=0x20000000))], (), ["stack at 0x20000000"]),
        ([(0x08000000, program(NUCLEO, stack=0x20000402))], (), ["stack at 0x20000402"]),
        ([(0x08000000, program(NUCLEO, reset=0x08000010))], (), ["0x08000010, is even"]),
        ([(0x08000000, program(NUCLEO, reset=0x08001001))], (), ["0x08001001, is not in what"]),
        ([(0x08000000, program(NUCLEO, reset=8))], (), ["is even", "is not in what is put into"]),
        ([(0x08000000, b"1234567")], (), ["no vector table"]),
        ([(0x08000000, b"")], (), ["nothing in it for the flash"]),
        (
            [(0x08000000, program(NUCLEO, 1 << 20))],
            (),
            ["takes 1,048,584 bytes of flash, .* 1,048,5"],
        ),
        (
            [(0x08000000, program(NUCLEO))],
            [(".bss", 0x20000000, 90_000), (".more", 0x20015F90, 10_000)],
            ["takes 100,000 bytes of RAM, and the Nucleo-L476RG has 98,304"],
        ),
        (
            [(0x08000000, program(NUCLEO))],
            [(".bss", 0x20017000, 8192)],
            [r"section \.bss reaches beyond the RAM"],
        ),
        (
            [(0x08000000, program(NUCLEO, stack=4))],
            [(".ccm", 0x10000000, 4)],
            ["stack at 0x00000004", r"section \.ccm is at 0x10000000, where"],
        ),
    ],
)
def test_each_thing_that_does_not_fit_is_a_sentence(image, segments, variables, sentences):
    made = image(segments, variables)
    found = images.problems(made, NUCLEO)
    assert len(found) == len(sentences), found
    for sentence, pattern in zip(found, sentences, strict=True):
        assert re.search(pattern, sentence) and sentence.endswith(".")
    with pytest.raises(WorkshopError, match=r"^image\.elf: "):
        images.encoded(made, NUCLEO)


def test_an_image_without_the_definition_that_its_board_wants(image):
    pico2 = boards.BOARDS["pico2"]
    vectors, code = program(pico2)[:8], program(pico2)[28:]
    far, further = bytes(4096 - 8 - 20), bytes(4096 - 8)
    for good in (DEFINITION + code, far + DEFINITION + code):
        assert images.problems(image([(0x10000000, vectors + good)]), pico2) == []
    risc_v = DEFINITION.replace(b"\x21\x10", b"\x01\x11")
    for bad in (code, risc_v + code, b"\0" + DEFINITION + code, further + DEFINITION + code):
        (sentence,) = images.problems(image([(0x10000000, vectors + bad)]), pico2)
        assert "no image definition of the type 0x1021 in its first 4,096 bytes" in sentence


def test_a_boot_stage_with_a_wrong_checksum(image):
    content = bytearray(program(PICO))
    content[10] ^= 1
    (sentence,) = images.problems(image([(0x10000000, bytes(content))]), PICO)
    assert re.search(
        r"checksum is 0x[0-9a-f]{8} and should be 0x[0-9a-f]{8}, so the Rasp", sentence
    )
    short = images.problems(image([(0x10000000, bytes(content[:200]))]), PICO)
    assert short == ["It is shorter than the boot stage of 256 bytes.", "It has no vector table."]
