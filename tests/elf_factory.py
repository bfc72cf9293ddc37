"""Small ELF images of chosen bytes at chosen addresses, without a compiler."""

import struct

_HEADER, _PROGRAM, _SECTION, _SYMBOL = 52, 32, 40, 16
_ARM, _PROGBITS, _SYMTAB, _STRTAB, _NOBITS, _ALLOC = 40, 1, 2, 3, 8, 2


def elf(segments, variables=(), symbols=()):
    """The file's bytes.

    segments: [(address, bytes)], each also a section .part0, .part1, ... variables: [(name,
    address, size)], sections without content, as .bss is. symbols: [(name, value, size, whether it
    is a function)].
    """
    names = b"\0" + b"".join(f".part{i}\0".encode() for i in range(len(segments)))
    places = [1 + names[1:].index(f".part{i}".encode()) for i in range(len(segments))]
    for name, _, _ in variables:
        places.append(len(names))
        names += name.encode() + b"\0"
    for name in (b".symtab", b".shstrtab"):
        places.append(len(names))
        names += name + b"\0"
    table = bytes(_SYMBOL)
    for name, value, size, is_function in symbols:
        table += struct.pack("<3I2BH", len(names), value, size, 2 if is_function else 0, 0, 1)
        names += name.encode() + b"\0"
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
    count = len(sections) // _SECTION + 2
    # Symbols take their names from the last section, too.
    sections += _section(places[-2], _SYMTAB, 0, 0, position, len(table), count - 1, _SYMBOL)
    sections += _section(places[-1], _STRTAB, 0, 0, position + len(table), len(names))
    header = b"\x7fELF\x01\x01\x01" + bytes(9) + struct.pack("<HHI", 2, _ARM, 1)
    header += struct.pack("<3I", 0, _HEADER, position + len(table + names)) + struct.pack(
        "<I6H", 0, _HEADER, _PROGRAM, len(segments), _SECTION, count, count - 1
    )
    assert begin == len(header + programs)
    return header + programs + body + table + names + sections


def _section(name, kind, flags, address, offset, size, link=0, entry=0):
    return struct.pack("<10I", name, kind, flags, address, offset, size, link, 0, 1, entry)
