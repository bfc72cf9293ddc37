"""Copying onto a board's drive, with a folder that plays the drive."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from workshop_utils import firmware
from workshop_utils.cli import main
from workshop_utils.device import boards, flash
from workshop_utils.errors import WorkshopError

V1, V2, PICO, PICO2, NUCLEO = map(
    boards.find, ("microbit-v1", "microbit-v2", "pico", "pico2", "nucleo-l476rg")
)
CONTENT = bytes(range(256)) * 600

# What the drives hold, as far as anybody looks at it. Sources: DAPLink's vfs_user.c and the
# micro:bit's support pages; info_uf2.txt of the RP2040's boot ROM and of the RP2350's;
# what mbed-ls reads of ST-LINK.
DETAILS = """\
# DAPLink Firmware - see https://mbed.com/daplink\r
Unique ID: {code}360254764e450044500b00000035000000009796990b\r
HIC ID: 9796990b\r
Auto Reset: 1\r
Daplink Mode: {mode}\r
Interface Version: 0255\r
Remount count: 0\r
"""
IDENTITY = {
    "microbit-v1": {"DETAILS.TXT": DETAILS.format(code="9900", mode="Interface")},
    "microbit-v2": {"DETAILS.TXT": DETAILS.format(code="9904", mode="Interface")},
    "pico": {
        "INFO_UF2.TXT": "UF2 Bootloader v3.0\r\nModel: Raspberry Pi RP2\r\nBoard-ID: RPI-RP2\r\n"
    },
    "pico2": {
        "INFO_UF2.TXT": "UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n"
    },
    "nucleo-l476rg": {
        "DETAILS.TXT": "Version: 0221\r\nBuild:   Jul 13 2017 16:12:20\r\n",
        "MBED.HTM": '<meta http-equiv="refresh" content="0; '
        'url=http://mbed.org/device/?code=07650221066DFF535155878281"/>\r\n',
    },
}
FAIL = "error: Flash algorithm write command FAILURE\r\ntype: target\r\n"


def fill(drive, files):
    drive.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (drive / name).write_bytes(text.encode())
    return drive


@pytest.fixture
def drive(tmp_path):
    """A function that makes the drive of a board."""
    return lambda board: fill(tmp_path / "drives" / board.labels[0], IDENTITY[board.name])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "wave"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def play(monkeypatch):
    """A function that takes what happens in each second that passes from then on."""

    def script(*events):
        events, now = list(events), [0.0]

        def sleep(seconds):
            now[0] += 1
            if events:
                events.pop(0)()

        monkeypatch.setattr(flash, "time", SimpleNamespace(sleep=sleep, monotonic=lambda: now[0]))

    return script


def nothing():
    pass


# ---- It works


def taken(drive, board, seen):
    """The board has the whole file and takes its drive away."""

    def event():
        (copied,) = [path for path in drive.iterdir() if path.suffix == board.suffix]
        seen.append(copied.read_bytes())
        shutil.rmtree(drive)

    return event


@pytest.mark.parametrize("board", [V1, V2, NUCLEO], ids=lambda board: board.name)
def test_the_drive_goes_and_comes_back(drive, file, play, board):
    path, seen = drive(board), []
    play(nothing, taken(path, board, seen), nothing, lambda: drive(board))
    assert flash.flash(file, board, path) == f"The {board.title} took the file and runs it."
    assert seen == [CONTENT]


@pytest.mark.parametrize("board", [PICO, PICO2], ids=lambda board: board.name)
def test_a_pico_goes_and_stays_away(drive, file, play, board):
    path, seen = drive(board), []
    play(nothing, taken(path, board, seen))
    assert flash.flash(file, board, path) == f"The {board.title} took the file and starts it."
    assert seen == [CONTENT]


def test_a_mount_point_that_stays_as_an_empty_folder(drive, file, play):
    path, seen = drive(PICO), []
    gone = taken(path, PICO, seen)
    play(lambda: (gone(), path.mkdir()))
    assert "took the file" in flash.flash(file, PICO, path)


def test_a_remount_too_quick_to_be_seen(drive, file, play):
    path = drive(V2)
    play(lambda: (path / "workshop.hex").unlink())
    assert flash.flash(file, V2, path) == "The micro:bit v2 took the file and runs it."


def test_a_drive_that_does_not_come_back_is_said(drive, file, play):
    path, seen = drive(V1), []
    play(taken(path, V1, seen))
    assert "did not bring it back within 15 seconds" in flash.flash(file, V1, path)


# ---- It does not


def test_a_board_that_never_takes_the_file(drive, file, play):
    path = drive(PICO)
    play()
    with pytest.raises(WorkshopError, match=r"did not take .* within 60 seconds: .*BOOTSEL"):
        flash.flash(file, PICO, path)


@pytest.mark.parametrize("name", ["FAIL.TXT", "fail.txt"])
def test_fail_txt_after_the_drive_came_back(drive, file, play, name):
    path, seen = drive(V2), []
    play(taken(path, V2, seen), lambda: fill(path, {**IDENTITY[V2.name], name: FAIL}))
    with pytest.raises(WorkshopError) as caught:
        flash.flash(file, V2, path)
    assert str(caught.value) == (
        "The micro:bit v2 did not take the file; its FAIL.TXT says: error: Flash algorithm write "
        "command FAILURE, type: target."
    )


def test_fail_txt_while_the_drive_stays(drive, file, play):
    path = drive(NUCLEO)
    said = "The interface firmware FAILED to reset/halt the target MCU\r\n"
    play(nothing, lambda: fill(path, {"FAIL.TXT": said}))
    with pytest.raises(WorkshopError, match=r"FAIL\.TXT says: The interface .* target MCU\.$"):
        flash.flash(file, NUCLEO, path)


def test_an_old_report_is_not_taken_for_a_new_one(drive, file, play):
    path, seen = drive(V2), []
    fill(path, {"FAIL.TXT": FAIL, "ASSERT.TXT": "Assert\r\nFile: x.c\r\n"})
    back = {**IDENTITY[V2.name], "ASSERT.TXT": "Assert\r\nFile: x.c\r\n"}
    play(nothing, taken(path, V2, seen), lambda: fill(path, back))
    assert "took the file" in flash.flash(file, V2, path)


def test_the_same_failure_again_is_noticed(drive, file, play):
    path, seen = drive(V2), []
    fill(path, {"FAIL.TXT": FAIL})
    play(taken(path, V2, seen), lambda: fill(path, {**IDENTITY[V2.name], "FAIL.TXT": FAIL}))
    with pytest.raises(WorkshopError, match=r"FAIL\.TXT says: error: Flash algorithm"):
        flash.flash(file, V2, path)


def broken_write(monkeypatch, number, after=0, then=lambda: None):
    """Let writing raise an error, after so many bytes; then() happens to the drive meanwhile."""
    real = flash.Path.open

    def opened(path, mode="r", *arguments, **options):
        if "w" not in mode:
            return real(path, mode, *arguments, **options)
        if after < 0:
            raise OSError(number, os.strerror(number))
        handle = real(path, mode, *arguments, **options)
        left = [after]

        class Handle:
            fileno = handle.fileno

            def __enter__(self):
                return self

            def __exit__(self, *_):
                handle.close()

            def write(self, content):
                part = content[: left[0]]
                if not part:
                    then()
                    raise OSError(number, os.strerror(number))
                left[0] -= len(part)
                return handle.write(part)

        return Handle()

    monkeypatch.setattr(flash.Path, "open", opened)


def test_unplugged_in_the_middle(drive, file, play, monkeypatch):
    path = drive(V1)
    play()
    broken_write(monkeypatch, errno.EIO, 70_000, lambda: shutil.rmtree(path))
    with pytest.raises(WorkshopError) as caught:
        flash.flash(file, V1, path)
    assert str(caught.value) == (
        "The micro:bit v1 was unplugged or restarted while the file was copied (70,000 of 153,600 "
        "bytes): plug it in and repeat the command."
    )


def test_a_drive_that_is_full(drive, file, play, monkeypatch):
    path = drive(NUCLEO)
    fill(path, {"FAIL.TXT": "The interface firmware FAILED to reset/halt the target MCU\r\n"})
    play()
    broken_write(monkeypatch, errno.ENOSPC, 12_000)
    with pytest.raises(WorkshopError, match=r"is full: .* 153,600 bytes .* FAILED to reset/halt"):
        flash.flash(file, NUCLEO, path)
    assert not (path / "workshop.bin").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_drive_that_is_read_only(drive, file, play, monkeypatch, number):
    path = drive(PICO)
    play()
    broken_write(monkeypatch, number, -1)
    with pytest.raises(WorkshopError, match=r"^The drive .*RPI-RP2 is read-only here: unplug"):
        flash.flash(file, PICO, path)


def test_another_error_is_passed_on(drive, file, play, monkeypatch):
    path = drive(PICO)
    play()
    broken_write(monkeypatch, errno.EINVAL, -1)
    with pytest.raises(WorkshopError, match=r"^Cannot write to the drive .*: Invalid argument\."):
        flash.flash(file, PICO, path)


@pytest.mark.parametrize("board", [V2, PICO], ids=lambda board: board.name)
def test_a_board_that_restarts_before_the_last_flush(drive, file, play, monkeypatch, board):
    path = drive(board)
    play(nothing, lambda: fill(path, IDENTITY[board.name]))

    def fsync(handle):
        shutil.rmtree(path)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fsync)
    said = flash.flash(file, board, path)
    assert ("left while the last bytes" if board is PICO else "took the file") in said


def test_a_file_that_is_not_there(drive, tmp_path):
    with pytest.raises(WorkshopError, match=r"^Cannot read .*none: No such file"):
        flash.flash(tmp_path / "none", PICO, drive(PICO))


# ---- Never onto another drive


def untouched(path, before):
    return {entry.name: entry.read_bytes() for entry in path.iterdir()} == before


@pytest.mark.parametrize("board", [V1, V2, PICO, PICO2, NUCLEO], ids=lambda board: board.name)
@pytest.mark.parametrize("other", [V1, V2, PICO, PICO2, NUCLEO], ids=lambda board: board.name)
def test_only_its_own_drive_is_a_boards(drive, file, board, other):
    path = drive(other)
    if board is other:
        assert flash.confirm(path, board) == path
        return
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    with pytest.raises(WorkshopError, match=rf"is the drive of a {other.title}, not of a "):
        flash.flash(file, board, path)
    assert untouched(path, before)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "there is no DETAILS.TXT or MICROBIT.HTM that says so"),
        ({"DETAILS.TXT": "Version: 0221\n"}, "there is no DETAILS.TXT or MICROBIT.HTM that says"),
        ({"DETAILS.TXT": "Unique ID: 0240000029164e45\n"}, "DETAILS.TXT says 0240"),
        ({"INFO_UF2.TXT": "Board-ID: SAMD21G18A-Arcade-v0\n"}, "there is no DETAILS.TXT"),
    ],
)
def test_a_drive_of_something_else_stays_as_it_is(tmp_path, file, files, said):
    path = fill(tmp_path / "MICROBIT", files)
    before = {entry.name: entry.read_bytes() for entry in path.iterdir()}
    with pytest.raises(WorkshopError, match=rf"not the drive of a micro:bit v2: {said}.*; nothing"):
        flash.flash(file, V2, path)
    assert untouched(path, before)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
@pytest.mark.parametrize("kind", ["pipe", "folder", "huge", "binary"])
def test_a_description_that_is_none_keeps_nobody_waiting(tmp_path, file, kind):
    path = tmp_path / "INFO_UF2.TXT"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as stream:
            stream.write(bytes(range(256)) * 100)
            stream.truncate(10_000_000_000 if kind == "huge" else None)
    with pytest.raises(WorkshopError, match=r"there is no INFO_UF2\.TXT that says so"):
        flash.flash(file, boards.find("pico"), tmp_path, timeout=1)


def test_an_old_microbit_says_it_in_its_page(tmp_path):
    page = '<script>window.location.replace("https://microbit.org/device/?code=9901");</script>'
    path = fill(tmp_path / "MICROBIT", {"MICROBIT.HTM": page, "DETAILS.TXT": "Version: 0234"})
    assert flash.confirm(path, V1) == path


def test_names_in_small_letters(tmp_path):
    path = fill(tmp_path / "rpi", {"info_uf2.txt": "Board-ID: RPI-RP2\n"})
    assert flash.confirm(path, PICO) == path


def test_a_microbit_in_maintenance_mode(tmp_path, file):
    details = DETAILS.format(code="9904", mode="Bootloader")
    path = fill(tmp_path / "MAINTENANCE", {"DETAILS.TXT": details})
    with pytest.raises(WorkshopError, match=r"in maintenance mode.* without touching the reset"):
        flash.flash(file, V2, path)


# ---- Finding the drive


@pytest.fixture
def mounted(monkeypatch, tmp_path):
    """A function that says what is mounted."""

    def mount(**drives):
        found = [fill(tmp_path / "media" / label, files) for label, files in drives.items()]
        monkeypatch.setattr(flash, "mounted", lambda: found)
        return found

    return mount


def test_find_takes_the_one_that_is_this_board(mounted):
    _, pico, _ = mounted(
        MICROBIT=IDENTITY["microbit-v2"], RPI=IDENTITY["pico"], STICK={"holiday.txt": "x"}
    )
    assert flash.find(PICO) == pico


def test_find_without_a_drive_says_how_to_bring_it_up(mounted):
    mounted(STICK={})
    with pytest.raises(WorkshopError) as caught:
        flash.find(PICO)
    assert str(caught.value) == (
        "There is no drive of a Raspberry Pi Pico here: hold its BOOTSEL button down while you "
        "plug it in, then let go; a drive named RPI-RP2 appears. If it is there already, give its "
        "path with --drive."
    )


def test_find_names_what_is_there_instead(mounted):
    mounted(MICROBIT=IDENTITY["microbit-v2"])
    with pytest.raises(WorkshopError, match=r"no drive of a micro:bit v1 here \(.* micro:bit v2\)"):
        flash.find(V1)
    mounted(MICROBIT=IDENTITY["microbit-v1"])
    assert flash.find(V1).name == "MICROBIT"


def test_find_does_not_trust_a_name(mounted):
    mounted(MICROBIT={"notes.txt": "a memory stick"})
    with pytest.raises(WorkshopError, match=r"MICROBIT is named like it, but does not say which"):
        flash.find(V1)


def test_find_with_two_of_them_asks(mounted):
    mounted(MICROBIT=IDENTITY["microbit-v2"], MICROBIT1=IDENTITY["microbit-v2"])
    with pytest.raises(WorkshopError, match=r"There are 2 drives .*MICROBIT and .*MICROBIT1; say"):
        flash.find(V2)


def test_a_hint_for_wsl(mounted, monkeypatch):
    mounted()
    monkeypatch.setenv("WSL_DISTRO_NAME", "Debian")
    with pytest.raises(WorkshopError, match=r"sudo mount -t drvfs D: /mnt/d\.$"):
        flash.find(NUCLEO)


def test_fat_mounts():
    text = (
        "/dev/sda1 / ext4 rw 0 0\n"
        "/dev/sdb1 /media/me/MICROBIT vfat rw,nosuid 0 0\n"
        "/dev/sdc1 /media/me/MY\\040BOARD vfat rw 0 0\n"
        "tmpfs /run tmpfs rw 0 0\n\n"
    )
    assert list(map(str, flash.fat_mounts(text))) == ["/media/me/MICROBIT", "/media/me/MY BOARD"]


def test_mounted_are_folders_of_this_machine():
    assert all(path.is_absolute() for path in flash.mounted())


# ---- The command


def workshop(*arguments):
    return CliRunner().invoke(main, ["firmware", "flash", *map(str, arguments)])


@pytest.fixture
def built(monkeypatch, file):
    """Plays the build: where its files are, and what was asked of it."""
    asked = []

    def build(**choices):
        asked.append(choices)
        for name, suffix in (("wave", ".uf2"), ("sweep", ".uf2")):
            file.with_name(name).with_suffix(suffix).write_bytes(name.encode() * 100)
        elves = (file.with_name(f"{name}.elf") for name in ("wave", "sweep"))
        return firmware.Image(*elves, choices["board"], "compact", "zig")

    monkeypatch.setattr(firmware, "build", build)
    return asked


@pytest.mark.parametrize("program", ["wave", "sweep"])
def test_the_command_builds_and_copies(drive, built, play, program):
    path, seen = drive(PICO), []
    play(taken(path, PICO, seen))
    result = workshop("--board", "pico", "--drive", path, "--program", program, "--optimize", "-Os")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "The Raspberry Pi Pico took the file and starts it.\n"
    assert seen == [program.encode() * 100]
    assert built[0]["board"] == "pico" and built[0]["optimize"] == "-Os"


def test_the_command_looks_at_the_drive_before_it_builds(drive, built):
    result = workshop("--board", "pico", "--drive", drive(V1))
    assert result.exit_code == 1 and result.stdout == "" and not built
    assert "is the drive of a micro:bit v1" in result.stderr and result.stderr.count("\n") == 1


def test_the_command_finds_the_drive_or_does_not_build(drive, built, play, monkeypatch):
    path, seen = drive(PICO), []
    monkeypatch.setattr(flash, "mounted", lambda: [path])
    play(taken(path, PICO, seen))
    assert workshop("--board", "pico").exit_code == 0 and len(seen) == len(built) == 1
    result = workshop("--board", "pico")
    assert result.exit_code == 1 and "BOOTSEL" in result.stderr and len(built) == 1


def test_the_command_needs_a_board_that_has_a_drive():
    assert workshop().exit_code == 2
    assert workshop("--board", "emulator").exit_code == 2
    assert {"--board", "--drive", "--program", "--model"} <= set(workshop("--help").stdout.split())
