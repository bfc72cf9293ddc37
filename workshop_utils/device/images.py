"""From an ELF image to the file that a board's drive takes: Intel HEX, UF2 or plain binary.

Before a file is written, the image is compared with the board: whoever copies it would learn of a
mistake from a board that stays dark.
"""

import io
import struct
from pathlib import Path

from workshop_utils.device.boards import Board, Memory
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError, missing_package

_ERASED = b"\xff"  # what flash holds where nothing was written

# Source: UF2 specification (microsoft/uf2).
_UF2_BLOCK, _UF2_PAYLOAD = 512, 256
_UF2_MAGIC = 0x0A324655, 0x9E5D5157
_UF2_MAGIC_END = 0x0AB16F30
_UF2_FAMILY_IS_GIVEN = 0x00002000

# Source: RP2350 Datasheet, 5.9.5 (the least image definition there is, a block of 20 bytes).
_DEFINITION_PLACE = 4096  # how far from the beginning the boot ROM looks for one
_DEFINITION_BEGIN, _DEFINITION_LAST, _DEFINITION_END = 0xFFFFDED3, 0x000001FF, 0xAB123579


def encoded(image: Elf, board: Board) -> bytes:
    """The content of the file for the board's drive (bytes).

    image: an Elf. board: a Board that has a drive; its suffix says which format.
    Raises WorkshopError, with a sentence for each thing that does not fit the board.
    """
    check(image, board)
    start, content = flat(image)
    if board.suffix == ".hex":
        return to_hex(start, content)
    if board.suffix == ".uf2":
        return to_uf2(start, content, board.uf2_family)
    return content  # .bin: a drive puts it where flash begins


def flat(image: Elf) -> tuple[int, bytes]:
    """What is to be put into flash, as one piece: (address, bytes); gaps are as flash is erased.

    image: an Elf. The one piece matters for UF2: a boot ROM may erase a sector of 4 KiB when it
    sees the first of each 16 blocks, and so want them without gaps.
    """
    segments = sorted((address, content) for address, content in image.segments if content)
    start = segments[0][0]
    content = bytearray()
    for address, part in segments:
        content += _ERASED * (address - start - len(content)) + part
    return start, bytes(content)


def to_hex(start: int, content: bytes) -> bytes:
    """Intel HEX (bytes, text of ASCII) of `content` at address `start`."""
    try:
        from intelhex import IntelHex
    except ImportError as error:
        raise missing_package("Writing a .hex file", "intelhex") from error
    memory, text = IntelHex(), io.StringIO()
    memory.puts(start, content)
    memory.write_hex_file(text, eolstyle="CRLF")  # not the computer's own: one file everywhere
    return text.getvalue().encode("ascii")


def to_uf2(start: int, content: bytes, family: int) -> bytes:
    """UF2 (bytes) of `content` at address `start`, a multiple of 256, for a family of chips.

    family: the number that UF2's list gives to the chip; another chip's boot ROM skips the block.
    Blocks of 512 bytes carry 256 each; the last one is filled up.
    """
    content += _ERASED * (-len(content) % _UF2_PAYLOAD)
    count = len(content) // _UF2_PAYLOAD
    blocks = []
    for number in range(count):
        offset = number * _UF2_PAYLOAD
        head = struct.pack(
            "<8I",
            *_UF2_MAGIC,
            _UF2_FAMILY_IS_GIVEN,
            start + offset,
            _UF2_PAYLOAD,
            number,
            count,
            family,
        )
        block = head + content[offset : offset + _UF2_PAYLOAD]
        tail = struct.pack("<I", _UF2_MAGIC_END)
        blocks.append(block + bytes(_UF2_BLOCK - len(block) - len(tail)) + tail)
    return b"".join(blocks)


# ---- Does it fit the board?


def check(image: Elf, board: Board) -> None:
    """Raise WorkshopError, with a sentence for each thing of an Elf that does not fit a Board."""
    found = problems(image, board)
    if found:
        raise WorkshopError(f"{Path(image.path).name}: " + " ".join(found))


def problems(image: Elf, board: Board) -> list[str]:
    """What of an image does not fit the board: a list of sentences, empty if all does.

    board: with flash and RAM.
    """
    flash, _ = _memories(board)
    outside = [
        f"It has {len(content):,} bytes for the address 0x{address:08x}, which is no flash of the "
        f"{board.title} (0x{flash.start:08x} to 0x{flash.end - 1:08x})."
        for address, content in image.segments
        if content and not flash.holds(address)
    ]
    if outside:
        return outside
    if not any(content for _, content in image.segments):
        return ["There is nothing in it for the flash."]
    start, content = flat(image)
    found = []
    if start != flash.start:
        found.append(
            f"It begins at 0x{start:08x}, but the {board.title} starts what is at "
            f"0x{flash.start:08x}."
        )
    else:
        found += _problems_of_boot_stage(content, board) + _problems_of_vectors(content, board)
        if board.image_type and not has_definition(content, board.image_type):
            found.append(
                f"It has no image definition of the type 0x{board.image_type:04x} in its first "
                f"{_DEFINITION_PLACE:,} bytes, so the {board.title} would not start it."
            )
    if len(content) > flash.size:
        found.append(
            f"It takes {len(content):,} bytes of flash, and the {board.title} has {flash.size:,}."
        )
    return found + _problems_of_ram(image, board)


def _problems_of_boot_stage(content: bytes, board: Board) -> list[str]:
    """The RP2040's boot ROM runs the first 256 bytes only if their checksum is right.

    Source: RP2040 Datasheet, 2.8.1.3.1 (checksum).
    """
    if not board.boot_bytes:
        return []
    stage = content[: board.boot_bytes]
    if len(stage) < board.boot_bytes:
        return [f"It is shorter than the boot stage of {board.boot_bytes} bytes."]
    stored, right = int.from_bytes(stage[-4:], "little"), crc32(stage[:-4])
    if stored == right:
        return []
    return [
        f"The boot stage's checksum is 0x{stored:08x} and should be 0x{right:08x}, so the "
        f"{board.title} would not start it."
    ]


def has_definition(content: bytes | bytearray, image_type: int) -> bool:
    """Whether an image (bytes, from the beginning of flash) has a definition of that type.

    image_type: the flags, 16 bits. A block that leads on to another one does not count.
    """
    words = struct.pack(
        "<5I", _DEFINITION_BEGIN, image_type << 16 | 0x0142, _DEFINITION_LAST, 0, _DEFINITION_END
    )
    place = content.find(words, 0, _DEFINITION_PLACE)
    return place >= 0 and place % 4 == 0


def _problems_of_vectors(content: bytes, board: Board) -> list[str]:
    """The core takes its first stack and its first address from the vector table.

    Source: ARMv6-M and ARMv7-M Architecture Reference Manuals, B1.5 (vector table, reset).
    """
    flash, ram = _memories(board)
    table = content[board.boot_bytes : board.boot_bytes + 8]
    if len(table) < 8:
        return ["It has no vector table."]
    stack, reset = struct.unpack("<II", table)
    code = range(flash.start + board.boot_bytes, flash.start + len(content))
    found = []
    if not (ram.start < stack <= ram.end and stack % 4 == 0):
        found.append(
            f"The vector table puts the stack at 0x{stack:08x}, which is not in the RAM of the "
            f"{board.title} (0x{ram.start:08x} to 0x{ram.end - 1:08x})."
        )
    if not reset & 1:
        found.append(
            f"The vector table's reset handler, 0x{reset:08x}, is even, and so no Thumb code."
        )
    if reset & ~1 not in code:
        found.append(
            f"The vector table's reset handler, 0x{reset:08x}, is not in what is put into flash."
        )
    return found


def _problems_of_ram(image: Elf, board: Board) -> list[str]:
    flash, ram = _memories(board)
    found, taken = [], 0
    for name, (address, size, _) in image.sections.items():
        if flash.holds(address):
            continue
        taken += size
        if not ram.holds(address):
            found.append(
                f"Its section {name} is at 0x{address:08x}, where the {board.title} has neither "
                "flash nor RAM."
            )
        elif not ram.holds(address, size) and taken <= ram.size:
            found.append(f"Its section {name} reaches beyond the RAM of the {board.title}.")
    if taken > ram.size:
        found.append(f"It takes {taken:,} bytes of RAM, and the {board.title} has {ram.size:,}.")
    return found


def _memories(board: Board) -> tuple[Memory, Memory]:
    """Flash and RAM. Raises WorkshopError for the host, which has none of its own."""
    if board.flash is None or board.ram is None:
        raise WorkshopError(f"The {board.title} takes no image: it has no flash of its own.")
    return board.flash, board.ram


def crc32(data: bytes) -> int:
    """The checksum that the RP2040's boot ROM makes: polynomial 0x04c11db7, highest bit first,
    from 0xffffffff, not inverted. Known as CRC-32/MPEG-2."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
    return value
