"""ELF images: what is loaded where, which function is where, and files that are none."""

import random
import struct
import sys
import zlib

import elf_factory
import pytest

from workshop_utils.device.elf import Elf, demangle
from workshop_utils.errors import WorkshopError

SYMBOLS = [
    ("_ZN6engine4InitEPKhj", 0x101, 8, True),
    ("_ZN6engine7PredictEfPf", 0x109, 20, True),
    ("Empty", 0x201, 0, True),
    ("arena_start", 0x20000100, 0, False),
]


@pytest.fixture
def image(tmp_path):
    """A function that makes an Elf out of what elf_factory.elf takes."""

    def make(*parts, **more):
        path = tmp_path / "image.elf"
        path.write_bytes(elf_factory.elf(*parts, **more))
        return Elf(path)

    return make


def test_what_is_in_memory_at_reset_and_what_takes_room(image):
    made = image([(0, b"code"), (0x20000000, b"data!")], [(".bss", 0x20000010, 400)])
    assert made.segments == [(0, b"code"), (0x20000000, b"data!")]
    assert made.sections == {
        ".part0": (0, 4, True),
        ".part1": (0x20000000, 5, True),
        ".bss": (0x20000010, 400, False),
    }
    assert made.path.name == "image.elf"


def test_functions_are_found_by_address_and_by_part_of_a_name(image):
    made = image([(0x100, bytes(300))], symbols=SYMBOLS)
    assert made.symbols["arena_start"] == 0x20000100
    assert made.function_at(0x100) == made.function_at(0x107) == "engine::Init"
    assert made.function_at(0x108) == made.function_at(0x11B) == "engine::Predict"
    assert made.function_at(0x11C) is None and made.function_at(0xFF) is None
    # One without a size has at least an instruction.
    assert made.function_at(0x200) == made.function_at(0x201) == "Empty"
    assert made.function_at(0x202) is None and made.function_at(0x20000100) is None
    assert made.functions("6engine7Predict", "5Reset") == {0x108}
    assert made.functions("engine") == {0x100, 0x108} and made.functions("arena") == set()


def test_an_image_without_symbols(image):
    made = image([(0, b"code")])
    assert made.function_at(0) is None and made.functions("a") == set()


def test_a_missing_pyelftools_is_one_sentence(image, monkeypatch):
    monkeypatch.setitem(sys.modules, "elftools.elf.elffile", None)
    with pytest.raises(WorkshopError, match=r"pyelftools, which is missing; in a terminal:\n"):
        image([(0, b"code")])


def test_files_that_are_no_image(tmp_path):
    good = elf_factory.elf([(0, bytes(100))], symbols=SYMBOLS)
    x86, big_endian = bytearray(good), bytearray(good)
    x86[18] = 62  # the machine in the ELF header
    big_endian[5], big_endian[18:20] = 2, b"\0\x28"
    for content, sentence in [
        (b"", "not a whole ELF image"),
        (b"#!/bin/sh\n", "not a whole ELF image"),
        (good[:90], "not a whole ELF image"),
        (good[: len(good) // 2], "not a whole ELF image"),
        (elf_factory.elf([]), "not a whole ELF image"),  # nothing to load
        (bytes(x86), "not a program for Arm Cortex-M"),
    ]:
        (tmp_path / "bad.elf").write_bytes(content)
        with pytest.raises(WorkshopError, match=rf"^bad\.elf is {sentence}\.$"):
            Elf(tmp_path / "bad.elf")
    (tmp_path / "bad.elf").write_bytes(big_endian)
    with pytest.raises(WorkshopError, match=r"^bad\.elf is not a"):
        Elf(tmp_path / "bad.elf")
    for path in (tmp_path, tmp_path / "nothing.elf"):
        with pytest.raises(WorkshopError, match=r"^Cannot read the image .*: (Is a|No such|Perm)"):
            Elf(path)


TYPE, FLAGS, OFFSET, SIZE, LINK, ENTRY = 1, 2, 4, 5, 6, 9  # words of a section's header
NOBITS, COMPRESSED, HUGE = 8, 0x800, 0xFFFFFFF0


@pytest.mark.parametrize(
    "fields",
    [
        {ENTRY: 24, SIZE: 48},
        {ENTRY: 8},
        {LINK: 1},
        {LINK: 99},
        {TYPE: NOBITS},
        {TYPE: NOBITS, SIZE: HUGE},
        {SIZE: HUGE},
        {OFFSET: HUGE},
    ],
    ids=str,
)
def test_a_table_of_symbols_that_is_none(tmp_path, fields):
    damaged = changed(elf_factory.elf([(0, bytes(100))], symbols=SYMBOLS), -2, fields)
    (tmp_path / "bad.elf").write_bytes(damaged)
    with pytest.raises(WorkshopError, match=r"^bad\.elf is not a whole ELF image\.$"):
        Elf(tmp_path / "bad.elf")


def test_little_that_claims_to_be_much(tmp_path):
    """Nothing is unpacked, no section without content filled in, no part copied again and again."""
    good = elf_factory.elf([(0, bytes(100))], symbols=SYMBOLS)
    unpacked = zlib.compress(bytes(2_000_000), 9)
    packed = struct.pack("<3I", 1, 2_000_000, 1) + unpacked
    section = {FLAGS: COMPRESSED, OFFSET: len(good), SIZE: len(packed)}
    place, size = struct.unpack_from("<2I", good, _header(good, -1) + 4 * OFFSET)
    names = good[place : place + size] + b"x" * 1_000_000 + b"\0"
    table = b"".join(struct.pack("<3I2BH", size + one, 1, 0, 2, 0, 1) for one in range(2000))
    named = changed(good, -2, {OFFSET: len(good), SIZE: len(table)}) + table
    named = changed(named, -1, {OFFSET: len(named), SIZE: len(names)}) + names
    for content in (changed(good, -2, section) + packed, named):
        (tmp_path / "bad.elf").write_bytes(content)
        with pytest.raises(WorkshopError, match=r"^bad\.elf is not a whole ELF image\.$"):
            Elf(tmp_path / "bad.elf")
    again = bytearray(elf_factory.elf([(0, bytes(1_000_000))] * 100))
    for number in range(100):
        struct.pack_into("<I", again, 52 + 32 * number + 4, 52 + 32 * 100)
    (tmp_path / "bad.elf").write_bytes(again[:2_000_000])
    with pytest.raises(WorkshopError, match=r"^bad\.elf is not a whole ELF image\.$"):
        Elf(tmp_path / "bad.elf")


def changed(image, number, fields):
    """The image with other words in a section's header: -2 is the symbols', -1 that of names."""
    image = bytearray(image)
    for word, value in fields.items():
        struct.pack_into("<I", image, _header(image, number) + 4 * word, value)
    return bytes(image)


def _header(image, number):
    begin, count = struct.unpack_from("<I12xH", image, 32)
    return begin + 40 * (count + number)


def test_damaged_images_are_read_or_refused_in_one_sentence(tmp_path):
    good, chance = elf_factory.elf([(0, bytes(100))], symbols=SYMBOLS), random.Random(1)
    refused = 0
    for number in range(1000):
        damaged = bytearray(good)
        for _ in range(1 + number % 3):
            damaged[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
        (tmp_path / "damaged.elf").write_bytes(damaged)
        try:
            Elf(tmp_path / "damaged.elf")
        except WorkshopError as error:
            assert "\n" not in str(error)
            refused += 1
    assert 100 < refused < 900


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("_ZN6engine4InitEPKhjPhj", "engine::Init"),
        ("_ZN6engine12_GLOBAL__N_18ReadByteEv", "engine::ReadByte"),
        ("_ZN6engine12_GLOBAL__N_1L3AddEii", "engine::Add"),
        ("_ZNK4flat5Table5FieldEt.isra.0", "flat::Table::Field"),
        ("_Z5Resetv", "Reset"),
        ("_ZL5Resetv", "Reset"),
        ("main", "main"),
        ("__aeabi_memcpy4", "__aeabi_memcpy4"),
        ("_ZN6engine3MaxIfEET_S1_S1_", "engine::Max"),
        ("_Zli2kmy", "_Zli2kmy"),
        ("_Z", "_Z"),
        ("", ""),
    ],
)
def test_demangle(mangled, name):
    assert demangle(mangled) == name
