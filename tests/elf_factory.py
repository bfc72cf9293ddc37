"""Small ELF images of chosen bytes at chosen addresses, without a compiler."""

import struct

_HEADER, _PROGRAM, _SECTION = 52, 32, 40
_ARM, _PROGBITS, _STRTAB, _NOBITS, _ALLOC = 40, 1, 3, 8, 2


def elf(segments, variables=()):
    """The file's bytes.

    segments: [(address, bytes)], each also a section .part0, .part1, ... variables: [(name,
    address, size)], sections without content, as .bss is.
    """
    names = b"\0" + b"".join(f".part{i}\0".encode() for i in range(len(segments)))
    places = [1 + names[1:].index(f".part{i}".encode()) for i in range(len(segments))]
    for name, _, _ in variables:
        places.append(len(names))
        names += name.encode() + b"\0"
    places.append(len(names))
    names += b".shstrtab\0"
    begin = position = _HEADER + _PROGRAM * len(segments)
    programs, sections, body = b"", bytes(_SECTION), b""
    for place, (address, content) in zip(places, segments, strict=False):
        size = len(content)
        programs += struct.pack("<8I", 1, position, address, address, size, size, 5, 4)
        sections += _section(place, _PROGBITS, _ALLOC, address, position, size)
        body += content
        position += size
    for place, (_, address, size) in zip(places[len(segments) :], variables, strict=False):
        sections += _section(place, _NOBITS, _ALLOC, address, position, size)
    sections += _section(places[-1], _STRTAB, 0, 0, position, len(names))
    count = len(sections) // _SECTION
    header = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHI", 2, _ARM, 1)
    header += struct.pack("<3I", 0, _HEADER, position + len(names)) + struct.pack(
        "<I6H", 0, _HEADER, _PROGRAM, len(segments), _SECTION, count, count - 1
    )
    assert begin == len(header + programs)
    return header + programs + body + names + sections


def _section(name, kind, flags, address, offset, size):
    return struct.pack("<10I", name, kind, flags, address, offset, size, 0, 0, 1, 0)
