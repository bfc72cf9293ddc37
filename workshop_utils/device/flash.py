"""Copy firmware onto the drive that a board shows, and see whether the board took it.

The drive is no disk: a chip on the board makes one up, programs what is written to it, and drops
off the bus when it is done. So the file is written in place, without a temporary name, and never
to a drive of which the identity file does not say that it is this board.
"""

import errno
import os
import re
import string
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from workshop_utils import files
from workshop_utils.device import boards
from workshop_utils.device.boards import Board
from workshop_utils.errors import WorkshopError

TIMEOUT = 60  # seconds for the board to take the file; a micro:bit v1 needs some 10
BACK_TIMEOUT = 15  # seconds for the drive to come back
_POLL = 0.1
_CHUNK = 64 << 10
_REPORTS = ("FAIL.TXT", "ASSERT.TXT")  # what DAPLink and ST-LINK leave when something went wrong
_TEXT_LIMIT = 4096
_GONE = (errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.EIO, errno.ENOTCONN, errno.ESTALE)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def flash(
    file: Path | str,
    board: Board,
    drive: Path | str | None = None,
    timeout: float = TIMEOUT,
    back_timeout: float = BACK_TIMEOUT,
) -> str:
    """Copy `file` to the board's drive and wait until the board took it. Returns what happened.

    file: path. board: a Board that has a drive. drive: path of it; None looks for it. timeout,
    back_timeout: seconds, see above. The return value is a sentence.
    Raises WorkshopError: no such drive or not this board's; full or read-only; unplugged; the
    board did not take the file in time, or left a report of what went wrong.
    """
    with files.os_errors_as(f"Cannot read {file}"):
        content = Path(file).read_bytes()
    place = find(board) if drive is None else confirm(Path(drive), board)
    before = _reports(place)
    target = place / f"workshop{board.suffix}"
    ended = _copy(content, target, board)
    return _wait(target, board, before, ended, timeout, back_timeout)


# ---- Which drive


def find(board: Board) -> Path:
    """The path of the board's drive. WorkshopError if there is none, or more than one."""
    others, named, found = [], [], []
    for drive in mounted():
        texts = _identity_files(drive)
        recognized = boards.recognize(texts)
        if recognized is board:
            found.append(drive)
        elif recognized is not None:
            others.append(f"{drive} is a {recognized.title}")
        elif drive.name in board.labels:
            named.append(f"{drive} is named like it, but does not say which board it is")
    if len(found) > 1:
        listed = " and ".join(map(str, found))
        raise WorkshopError(
            f"There are {len(found)} drives of a {board.title}, {listed}; say which one with "
            "--drive, or unplug the other."
        )
    if not found:
        seen = "".join(f" ({'; '.join([*others, *named])})" if others or named else "")
        raise WorkshopError(
            f"There is no drive of a {board.title} here{seen}: {board.bring_up}; a drive named "
            f"{board.labels[0]} appears. If it is there already, give its path with --drive"
            f"{_wsl_hint()}."
        )
    return confirm(found[0], board)


def confirm(drive: Path, board: Board) -> Path:
    """`drive`, if it is the board's and takes firmware. WorkshopError, which says what it is."""
    if not _exists(drive):
        raise WorkshopError(f"There is no drive {drive}: {board.bring_up}.")
    texts = _identity_files(drive)
    recognized = boards.recognize(texts)
    if recognized is None:
        code, file = boards.code_in(texts, board)
        wanted = " or ".join(dict.fromkeys(name for name, _ in board.identity))
        says = f"{file} says {code}" if code else f"there is no {wanted} that says so"
        raise WorkshopError(
            f"{drive} is not the drive of a {board.title}: {says}; nothing was written."
        )
    if recognized is not board:
        raise WorkshopError(
            f"{drive} is the drive of a {recognized.title}, not of a {board.title}; take "
            f"--board {recognized.name}. Nothing was written."
        )
    if re.search(r"^Daplink Mode:\s*Bootloader", texts.get("DETAILS.TXT", ""), re.MULTILINE):
        raise WorkshopError(
            f"The {board.title} is in maintenance mode, where it takes firmware for its USB chip "
            "only: unplug it and plug it in again without touching the reset button."
        )
    return drive


def mounted() -> list[Path]:
    """Folders that may be a board's drive, a list of paths: what the system has mounted.

    Linux: what is mounted with a FAT file system, and what lies where desktops mount; macOS:
    /Volumes; Windows: drives D: and on; WSL: Windows' drives below /mnt.
    """
    if os.name == "nt":
        return [Path(f"{letter}:\\") for letter in string.ascii_uppercase[3:] if _is_drive(letter)]
    if sys.platform == "darwin":
        return _folders("/Volumes/*")
    found: list[Path] = []
    with suppress(OSError):
        found = fat_mounts(Path("/proc/mounts").read_text(encoding="utf-8", errors="replace"))
    for pattern in ("/media/*", "/media/*/*", "/run/media/*/*", "/mnt/[d-z]"):
        found += _folders(pattern)
    with suppress(OSError):
        found = [path.resolve() for path in found]
    return list(dict.fromkeys(found))


def fat_mounts(text: str) -> list[Path]:
    """The mount points with a FAT file system, of the text of /proc/mounts: a list of paths."""
    found = []
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) > 2 and fields[2] in ("vfat", "msdos", "fuseblk", "exfat"):
            # Blanks and the like stand there as \040.
            path = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1])
            found.append(Path(path))
    return found


def _folders(pattern: str) -> list[Path]:
    root = Path(pattern[: pattern.index("*") if "*" in pattern else pattern.index("[")])
    try:
        return sorted(path for path in root.glob(pattern[len(str(root)) + 1 :]) if path.is_dir())
    except OSError:
        return []


def _is_drive(letter: str) -> bool:
    with suppress(OSError):
        return Path(f"{letter}:\\").exists()
    return False


def _wsl_hint() -> str:
    if os.environ.get("WSL_DISTRO_NAME"):
        return "; in WSL a USB drive has to be mounted first: sudo mount -t drvfs D: /mnt/d"
    return ""


def _identity_files(drive: Path) -> dict[str, str]:
    """{name in capitals: text} of the files by which boards are told apart."""
    wanted = {name for board in boards.BOARDS.values() for name, _ in board.identity}
    return _texts(drive, wanted)


def _reports(drive: Path) -> dict[str, str]:
    """{name: text} of what the board left on the drive about something that went wrong."""
    return _texts(drive, _REPORTS)


def _texts(drive: Path, wanted: Collection[str]) -> dict[str, str]:
    """{name in capitals: text} of those of the wanted files that are there and can be read.

    FAT knows no case, but what shows it does.
    """
    texts = {}
    with suppress(OSError):
        for path in sorted(one for one in drive.iterdir() if one.name.upper() in wanted):
            if path.is_file():  # and not a pipe, which would keep us waiting
                with suppress(OSError), path.open("rb") as file:
                    text = file.read(_TEXT_LIMIT).decode("utf-8", errors="replace")
                    texts[path.name.upper()] = "\n".join(text.splitlines())
    return texts


# ---- Copying


def _copy(content: bytes, target: Path, board: Board) -> bool:
    """Write the file. Returns whether the drive stayed until all was written and flushed."""
    written = 0
    try:
        with target.open("wb", buffering=0) as file:
            while written < len(content):
                written += file.write(content[written : written + _CHUNK])
            os.fsync(file.fileno())
    except OSError as error:
        drive = target.parent
        if _is_gone(drive, board) or error.errno in _GONE:
            # With all of it written this is how a board looks that already restarts.
            if written == len(content) and _is_gone(drive, board):
                return False
            raise WorkshopError(
                f"The {board.title} was unplugged or restarted while the file was copied "
                f"({written:,} of {len(content):,} bytes): plug it in and repeat the command."
            ) from error
        with suppress(OSError):
            target.unlink(missing_ok=True)
        raise WorkshopError(_reason(error, drive, board, len(content))) from error
    return True


def _reason(error: OSError, drive: Path, board: Board, size: int) -> str:
    if error.errno in (errno.ENOSPC, errno.EFBIG):
        said = "; ".join(_one_line(text) for text in _reports(drive).values())
        because = f", and the board says: {said}" if said else ""
        return (
            f"The drive {drive} is full: it does not take the {size:,} bytes of the file{because}; "
            "unplug the board, plug it in again and repeat the command."
        )
    if error.errno in _READ_ONLY:
        return (
            f"The drive {drive} is read-only here: unplug the {board.title} and plug it in again, "
            "and see that you may write to the drive."
        )
    return f"Cannot write to the drive {drive}: {error.strerror or error}."


def _one_line(text: str) -> str:
    return ", ".join(line.strip().rstrip(".") for line in text.splitlines() if line.strip())


# ---- Did the board take it?


def _wait(
    target: Path,
    board: Board,
    before: Mapping[str, str],
    stayed: bool,
    timeout: float,
    back_timeout: float,
) -> str:
    """Watch the drive until it is clear what became of the file. Returns a sentence."""
    drive, deadline = target.parent, time.monotonic() + timeout
    gone = not stayed
    restarts = board.suffix == ".uf2"  # and then has no drive as long as the program runs
    while not gone and (restarts or _exists(target)):
        _complain(board, _new(_reports(drive), before))
        if time.monotonic() > deadline:
            raise WorkshopError(
                f"The {board.title} did not take the file within {timeout:g} seconds: unplug it, "
                f"{board.bring_up}, and repeat the command."
            )
        time.sleep(_POLL)
        gone = _is_gone(drive, board)
    if restarts:
        if not stayed:
            return (
                f"The {board.title} left while the last bytes were written. It does so when it "
                "starts the program; if its LED stays dark, repeat the command."
            )
        return f"The {board.title} took the file and starts it."
    deadline = time.monotonic() + back_timeout
    while _is_gone(drive, board):
        if time.monotonic() > deadline:
            return (
                f"The {board.title} took its drive away, as it does when it has a file, but did "
                f"not bring it back within {back_timeout:g} seconds, so whether it left a FAIL.TXT "
                "cannot be seen; if the LED stays dark, repeat the command."
            )
        time.sleep(_POLL)
    reports = _reports(drive)
    # ASSERT.TXT stays from one time to the next, FAIL.TXT speaks of the last file.
    _complain(board, _new(reports, {k: v for k, v in before.items() if k != "FAIL.TXT"}))
    return f"The {board.title} took the file and runs it."


def _is_gone(drive: Path, board: Board) -> bool:
    """Whether the drive is not there, or what is there is only the folder it was mounted on."""
    return boards.recognize(_identity_files(drive)) is not board


def _exists(path: Path) -> bool:
    with suppress(OSError):  # such as an input/output error, of a drive that is about to go
        return path.exists()
    return False


def _new(reports: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in reports.items() if before.get(name) != text}


def _complain(board: Board, reports: Mapping[str, str]) -> None:
    if reports:
        name, text = next(iter(reports.items()))
        raise WorkshopError(
            f"The {board.title} did not take the file; its {name} says: "
            f"{_one_line(text) or 'nothing'}."
        )
