"""ELF images for a Cortex-M: what to load where, and which function is where."""

import io
import re
import struct
from bisect import bisect_right
from pathlib import Path
from typing import Any

from workshop_utils import files
from workshop_utils.errors import WorkshopError, missing_package

_MOST_BYTES = 64_000_000  # of an image, with all that is for debuggers
_ALLOCATED = 2  # section flag SHF_ALLOC: it takes memory when the program runs
_SYMBOL = struct.Struct("<IIIBBH")  # name, value, size, type and binding, visibility, section
_FUNCTION, _UNDEFINED = 2, 0  # a symbol's type STT_FUNC, and the section SHN_UNDEF


class Elf:
    """What the course wants to know of an ELF file.

    segments: [(load address, bytes)], what is in memory at reset. sections: {name: (address,
    bytes, whether the file holds the content)}. symbols: {name: value}.
    """

    path: Path
    segments: list[tuple[int, bytes]]
    sections: dict[str, tuple[int, int, bool]]
    symbols: dict[str, int]

    def __init__(self, path: Path | str) -> None:
        """path: of the file. Raises WorkshopError if it is not a whole ELF file for Cortex-M."""
        try:
            from elftools.common.exceptions import ELFError
            from elftools.construct import ConstructError
            from elftools.elf.elffile import ELFFile
        except ImportError as error:
            raise missing_package("Reading an image", "pyelftools") from error
        self.path = Path(path)
        try:
            with files.os_errors_as(f"Cannot read the image {self.path}"):
                if self.path.is_fifo() or self.path.is_char_device():
                    raise WorkshopError(f"{self.path} is no image but a device or a pipe.")
                with self.path.open("rb") as file:
                    elf = ELFFile(io.BytesIO(file.read(_MOST_BYTES)))
            if elf["e_machine"] != "EM_ARM" or elf.elfclass != 32 or not elf.little_endian:
                raise WorkshopError(f"{self.path.name} is not a program for Arm Cortex-M.")
            self.segments = _segments(elf)
            self.sections = _sections(elf)
            self.symbols, self._functions = _symbols(elf)
        except WorkshopError:
            raise
        except _broken(ELFError, ConstructError) as error:
            raise WorkshopError(f"{self.path.name} is not a whole ELF image.") from error

    def function_at(self, address: int) -> str | None:
        """The readable name of the function at `address`, such as 'engine::Init'; None if none."""
        found = bisect_right(self._functions, (address, float("inf"), "")) - 1
        if found < 0:
            return None
        start, size, name = self._functions[found]
        return demangle(name) if address < start + max(size, 2) else None

    def functions(self, *parts: str) -> set[int]:
        """Addresses of the functions whose mangled names contain one of `parts`, a set."""
        return {start for start, _, name in self._functions if any(part in name for part in parts)}


def _broken(*errors: type[Exception]) -> tuple[type[Exception], ...]:
    """What pyelftools raises for a file that is not what its header says."""
    return (*errors, ValueError, LookupError, AttributeError, TypeError, struct.error)


def _segments(elf: Any) -> list[tuple[int, bytes]]:
    segments: list[tuple[int, bytes]] = []
    loaded = 0
    for segment in elf.iter_segments(type="PT_LOAD"):
        loaded += segment["p_filesz"]
        if loaded > _MOST_BYTES:
            raise ValueError("the segments are more than the file")
        content = segment.data()
        if len(content) != segment["p_filesz"]:
            raise ValueError("the file is shorter than its header says")
        segments.append((segment["p_paddr"], content))
    if not segments:
        raise ValueError("there is nothing to load")
    return segments


def _sections(elf: Any) -> dict[str, tuple[int, int, bool]]:
    return {
        section.name: (section["sh_addr"], section["sh_size"], section["sh_type"] != "SHT_NOBITS")
        for section in elf.iter_sections()
        if section["sh_flags"] & _ALLOCATED and section["sh_size"]
    }


def _symbols(elf: Any) -> tuple[dict[str, int], list[tuple[int, int, str]]]:
    """All symbols, {name: value}, and the functions, sorted: [(address, bytes, name)]."""
    table = elf.get_section_by_name(".symtab")
    if not table:
        return {}, []
    if table["sh_type"] != "SHT_SYMTAB" or table["sh_entsize"] != _SYMBOL.size:
        raise ValueError("that is no table of symbols")
    entries, names = _content(table), _content(elf.get_section(table["sh_link"]))
    every, functions, characters = {}, [], 0
    # At once: pyelftools' own iter_symbols takes ten times as long.
    for start, value, size, info, _, section in _SYMBOL.iter_unpack(entries):
        name = names[start : names.index(0, start)].decode(errors="replace")
        characters += len(name)
        if characters > _MOST_BYTES:
            raise ValueError("the names are the same long ones again and again")
        every[name] = value
        if info & 0xF == _FUNCTION and section != _UNDEFINED:
            # Bit 0 of a function's value says Thumb; it is no part of the address.
            functions.append((value & ~1, size, name))
    return every, sorted(functions)


def _content(section: Any) -> bytes:
    """What the file has of a section: no zeros that it has not, and nothing unpacked."""
    section.stream.seek(section["sh_offset"])
    content: bytes = section.stream.read(section["sh_size"])
    if len(content) != section["sh_size"]:
        raise ValueError("the file is shorter than its section says")
    return content


def demangle(name: str) -> str:
    """'_ZN6engine4InitEPKhj' to 'engine::Init': the name without its arguments.

    Good for plain functions in namespaces; other names come back as they are.
    Source: Itanium C++ ABI, 5.1.
    """
    nested = name.startswith("_ZN")
    found = re.match(r"_ZN[VKr]*" if nested else r"_Z", name)
    parts, rest = [], name[found.end() :] if found else ""
    while length := re.match(r"L?(\d+)", rest):
        end = length.end() + int(length[1])
        parts.append(rest[length.end() : end])
        rest = rest[end:]
        if not nested:
            break
    return "::".join(part for part in parts if part != "_GLOBAL__N_1") or name
