"""The boards that the firmware is built for: memory, file to copy, drive and serial port.

A board is a folder of firmware/boards/ with a board.toml, whose name is the board's. What makes,
checks and copies files and what reads the console looks things up here, and so knows no board by
name.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from workshop_utils import paths
from workshop_utils.errors import WorkshopError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BAUD = 115_200  # every board's console: 8 data bits, no parity, 1 stop bit
FOLDER = paths.FIRMWARE_DIR / "boards"
DESCRIPTION = "board.toml"
SUFFIXES = (".hex", ".uf2", ".bin")  # of what a drive takes; images makes them


class Memory(NamedTuple):
    """A piece of the address space, in bytes."""

    start: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.size

    def holds(self, address: int, size: int = 1) -> bool:
        """Whether `size` bytes from `address` on lie inside."""
        return self.start <= address and address + size <= self.end


@dataclass(frozen=True)
class Board:
    """What is to be known of a board. All but name and folder are lines of its board.toml.

    name: on the command line. folder: of the firmware's, with the board's sources. title: in
    sentences. core: the same, for tables. clock: of the core as the firmware sets it, Hz; 0 if not
    known. flash, ram: Memory, None on the host. boot_bytes: what lies in flash before the vector
    table, with a checksum at its end. image_type: flags of the image definition without which the
    boot ROM would not start an image; 0 if it needs none.

    Of a board with a drive: suffix: of the file that is copied onto it, one of SUFFIXES; empty if
    there is no drive. uf2_family: the chip's number in UF2 files.
    labels: what the drive is called. identity: ((file, pattern), ...), where the drive says which
    board it belongs to: the first one found counts, and group 1 of the pattern is the board's
    code. codes: what that may be. ports: ((vendor, product), ...) of the USB chip behind the
    serial port. bring_up: how to make the drive appear. wiring: what the console needs besides
    the USB cable, empty if nothing.
    """

    name: str
    folder: Path
    title: str
    core: str
    clock: int
    flash: Memory | None = None
    ram: Memory | None = None
    boot_bytes: int = 0
    image_type: int = 0
    suffix: str = ""
    uf2_family: int = 0
    labels: tuple[str, ...] = ()
    identity: tuple[tuple[str, str], ...] = ()
    codes: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    bring_up: str = ""
    wiring: str = ""


# ---- From board.toml to Board


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("no text")
    return value


def _suffix(value: Any) -> str:
    if value not in SUFFIXES:
        raise ValueError(f"not one of {', '.join(SUFFIXES)}")
    return str(value)


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:  # a bool is no number
        raise ValueError("not a whole number, 0 or more")
    return value


def _memory(value: Any) -> Memory:
    if not isinstance(value, dict) or set(value) != {"start", "size"}:
        raise ValueError("no table of start and size")
    return Memory(_number(value["start"]), _number(value["size"]))


def _pattern(value: Any) -> str:
    try:
        groups = re.compile(_text(value)).groups
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    if groups != 1:
        raise ValueError("no regular expression with one group")
    return str(value)


def _list_of(read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read_all(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError("no list")
        return tuple(read(item) for item in value)

    return read_all


def _pair_of(*read: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    def read_both(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(read):
            raise ValueError("no list of pairs")
        return tuple(function(item) for function, item in zip(read, value, strict=True))

    return read_both


_NEEDED = {"title": _text, "core": _text, "clock": _number}
_MEMORIES = {"flash": _memory, "ram": _memory}
_DRIVE = {
    "suffix": _suffix,
    "labels": _list_of(_text),
    "identity": _list_of(_pair_of(_text, _pattern)),
    "codes": _list_of(_text),
    "ports": _list_of(_pair_of(_number, _number)),
    "bring_up": _text,
}
_READERS: dict[str, Callable[[Any], Any]] = {
    **_NEEDED,
    **_MEMORIES,
    **_DRIVE,
    "boot_bytes": _number,
    "image_type": _number,
    "uf2_family": _number,
    "wiring": _text,
}


def read(folder: Path) -> Board:
    """The Board that a folder describes.

    Raises WorkshopError, a sentence with the file's name, if the description is missing or damaged.
    """
    file = folder / DESCRIPTION
    try:
        said = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise WorkshopError(f"Cannot read {paths.display_path(file)}: {error.strerror}.") from error
    except ValueError as error:  # of TOML, or of UTF-8
        raise WorkshopError(f"{paths.display_path(file)} is damaged: {error}.") from error
    needed = set(_NEEDED)
    if said.keys() & (_DRIVE.keys() | {"uf2_family", "boot_bytes", "image_type"}):
        needed |= _DRIVE.keys() | _MEMORIES.keys()
    if said.get("suffix") == ".uf2":
        needed |= {"uf2_family"}
    if said.keys() & _MEMORIES.keys():
        needed |= _MEMORIES.keys()
    if missing := sorted(needed - said.keys()):
        raise WorkshopError(
            f"{paths.display_path(file)} is damaged: it lacks {', '.join(missing)}."
        )
    values = {}
    for key, value in said.items():
        if key not in _READERS:
            raise WorkshopError(
                f"{paths.display_path(file)} is damaged: {key} has no meaning in it."
            )
        try:
            values[key] = _READERS[key](value)
        except ValueError as error:
            raise WorkshopError(
                f"{paths.display_path(file)} is damaged: {key} is {error}."
            ) from error
    return Board(name=folder.name, folder=folder, **values)


def _read_all() -> tuple[dict[str, Board], dict[str, WorkshopError]]:
    """The boards whose description is whole, and what is wrong with the others, by name."""
    found, damaged = {}, {}
    for file in sorted(FOLDER.glob(f"*/{DESCRIPTION}")):
        try:
            found[file.parent.name] = read(file.parent)
        except WorkshopError as error:
            damaged[file.parent.name] = error
    return found, damaged


# By the names that the commands take. One damaged description is in nobody's way but its board's.
BOARDS, DAMAGED = _read_all()
NAMES = tuple(sorted([*BOARDS, *DAMAGED]))
# The boards that one can hold, those with a drive to copy to.
REAL = tuple(name for name in NAMES if name in DAMAGED or BOARDS[name].suffix)
# Whatever is behind a serial port that is named, such as an Arduino.
UNNAMED = Board("", FOLDER, "board", "", 0)


# ---- Looking them up


def find(name: str) -> Board:
    """The Board of that name.

    Raises WorkshopError: with the names if there is none, or with what is damaged or missing.
    """
    paths.require_course(paths.FIRMWARE_DIR)
    if name in DAMAGED:
        raise DAMAGED[name]
    if name not in BOARDS:
        raise WorkshopError(f"There is no board {name!r}; choose one of {', '.join(NAMES)}.")
    return BOARDS[name]


def find_real(name: str) -> Board:
    """The same for boards that one can hold."""
    board = find(name)
    if not board.suffix:
        raise WorkshopError(
            f"The board {name} has no drive and no serial port; choose one of {', '.join(REAL)}."
        )
    return board


def code_in(texts: Mapping[str, str], board: Board) -> tuple[str, str] | tuple[None, None]:
    """What a board's drive says it is: (code, name of the file that says so), else (None, None).

    texts: {name of a file in capitals: its text}.
    """
    for file, pattern in board.identity:
        found = re.search(pattern, texts.get(file, ""), re.MULTILINE)
        if found:
            return found[1].upper(), file
    return None, None


def recognize(texts: Mapping[str, str]) -> Board | None:
    """The Board whose drive holds these files; None if it is none of those that are known.

    texts: {name of a file in capitals: its text}.
    """
    for board in BOARDS.values():
        if code_in(texts, board)[0] in board.codes:
            return board
    return None
