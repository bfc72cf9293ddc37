"""A board is a folder of firmware/boards/: what it says, and what is said of a damaged one."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from workshop_utils import paths
from workshop_utils.device import boards
from workshop_utils.device.chips import CHIPS
from workshop_utils.errors import WorkshopError

WHOLE = (paths.FIRMWARE_DIR / "boards" / "pico" / "board.toml").read_text(encoding="utf-8")
EVERY = pytest.mark.parametrize("board", boards.BOARDS.values(), ids=lambda board: board.name)


@pytest.fixture
def describe(tmp_path):
    """f(text) -> the Board of a folder with that board.toml."""

    def read(text):
        folder = tmp_path / "toy"
        folder.mkdir(exist_ok=True)
        if isinstance(text, str):
            text = text.encode("utf-8")
        (folder / "board.toml").write_bytes(text)
        return boards.read(folder)

    return read


def test_all_folders_are_whole():
    assert not boards.DAMAGED and set(boards.NAMES) == set(boards.BOARDS)
    with_sources = {file.parent.name for file in boards.FOLDER.glob("*/board.cc")}
    assert with_sources == set(boards.NAMES)


@EVERY
def test_a_folder_has_what_cmake_and_people_need(board):
    cmake = (board.folder / "board.cmake").read_text(encoding="utf-8")
    core = re.search(r"set\(core (\S+)\)", cmake)[1]
    assert (paths.FIRMWARE_DIR / "cmake" / "cores" / f"{core}.cmake").is_file()
    # A board to hold goes on for ever; where somebody waits for the end, there is one.
    assert re.search(r"set\(default_cycles (\d)\)", cmake)[1] == ("0" if board.suffix else "2")
    if board.suffix:
        page = (board.folder / "README.md").read_text(encoding="utf-8")
        assert page.startswith(f"# {board.title}\n")
        assert f"`{board.suffix}`" in page and board.labels[0] in page


@EVERY
def test_linker_script_and_description_tell_of_the_same_memory(board):
    script = board.folder / "linker.ld"
    if board.flash is None:
        assert not script.exists()
        return
    found = re.findall(
        r"(\w+) \(\w+\) : ORIGIN = (\w+), LENGTH = (\d+)([KM])", script.read_text(encoding="utf-8")
    )
    unit = {"K": 1 << 10, "M": 1 << 20}
    said = {name: (int(start, 16), int(size) * unit[k]) for name, start, size, k in found}
    assert said == {"FLASH": board.flash, "RAM": board.ram}


@EVERY
def test_an_emulated_chip_has_the_memory_of_its_board(board):
    if board.flash is not None:
        chip = CHIPS[board.name]()
        assert (chip.flash, chip.ram) == (board.flash, board.ram)


def test_the_index_leads_to_every_page():
    index = (paths.FIRMWARE_DIR / "BOARDS.md").read_text(encoding="utf-8")
    for name in boards.REAL:
        assert f"(boards/{name}/README.md)" in index
        row = re.search(rf"^\| \[`{name}`\].*$", index, re.MULTILINE)[0]
        board = boards.find(name)
        assert board.core in row and board.suffix in row and f"{board.clock // 10**6} MHz" in row


def test_a_copy_of_a_folder_is_another_board(describe):
    board = describe(WHOLE)
    assert board.name == "toy" and board.title == "Raspberry Pi Pico"
    assert board.flash == (0x10000000, 2 << 20) and board.uf2_family == 0xE48BFF56


@pytest.mark.parametrize(
    "line, instead, sentence",
    [
        ('title = "Raspberry Pi Pico"', "", "it lacks title"),
        ('title = "Raspberry Pi Pico"', "title = 5", "title is no text"),
        ('title = "Raspberry Pi Pico"', 'title = ""', "title is no text"),
        ("clock = 12_000_000", "clock = true", "clock is not a whole number, 0 or more"),
        ("clock = 12_000_000", "clock = -1", "clock is not a whole number, 0 or more"),
        ("boot_bytes = 256", "boot_byte = 256", "boot_byte has no meaning in it"),
        ('suffix = ".uf2"', 'suffix = ".exe"', "suffix is not one of .hex, .uf2, .bin"),
        ('suffix = ".uf2"', "suffix = [1]", "suffix is not one of .hex, .uf2, .bin"),
        ('suffix = ".uf2"', "", "it lacks suffix"),
        ("uf2_family = 0xE48B_FF56", "", "it lacks uf2_family"),
        ("ram = { start = 0x2000_0000, size = 0x4_2000 }", "", "it lacks ram"),
        ("size = 0x4_2000 }", "length = 1 }", "ram is no table of start and size"),
        ('labels = ["RPI-RP2"]', "labels = []", "labels is no list"),
        ('labels = ["RPI-RP2"]', 'labels = "RPI-RP2"', "labels is no list"),
        ("    [0x2E8A, 0x000C],\n", "    [0x2E8A],\n", "ports is no list of pairs"),
        ("(\\S+)", "(\\S+", "identity is no regular expression: "),
        ("(\\S+)", "\\S+", "identity is no regular expression with one group"),
        ('title = "Rasp', "title = Rasp", "Invalid value"),
    ],
)
def test_a_damaged_description_gets_one_sentence_with_its_name(
    describe, tmp_path, line, instead, sentence
):
    assert WHOLE.count(line) == 1
    with pytest.raises(WorkshopError) as caught:
        describe(WHOLE.replace(line, instead))
    said = str(caught.value)
    assert "toy/board.toml is damaged: " in said and sentence in said
    assert said.endswith(".") and "\n" not in said


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x00", b""])
def test_any_bytes_get_one_sentence(describe, content):
    with pytest.raises(WorkshopError, match=r"^.*toy/board\.toml is damaged: .*\.$"):
        describe(content)


def test_a_description_that_cannot_be_read(tmp_path):
    (tmp_path / "toy" / "board.toml").mkdir(parents=True)
    with pytest.raises(WorkshopError, match=r"^Cannot read .*board\.toml: .+\.$"):
        boards.read(tmp_path / "toy")


def test_one_damaged_folder_is_in_nobodys_way_but_its_boards(tmp_path, monkeypatch):
    for name in ("pico", "emulator"):
        shutil.copytree(boards.FOLDER / name, tmp_path / name)
    (tmp_path / "pico" / "board.toml").write_text("title = ")
    monkeypatch.setattr(boards, "FOLDER", tmp_path)
    found, damaged = boards._read_all()
    assert list(found) == ["emulator"] and list(damaged) == ["pico"]
    monkeypatch.setattr(boards, "BOARDS", found)
    monkeypatch.setattr(boards, "DAMAGED", damaged)
    assert boards.find("emulator").title == "emulated board"
    for look_up in (boards.find, boards.find_real):
        with pytest.raises(WorkshopError, match=r"pico/board\.toml is damaged"):
            look_up("pico")


def test_a_board_of_ones_own_by_the_recipe(tmp_path, tmp_path_factory):
    """firmware/BOARDS.md, "A board of your own": a folder is all that a build needs."""
    ignored = shutil.ignore_patterns("build", "images", "__pycache__")
    for part in ("workshop_utils", "firmware"):
        shutil.copytree(paths.PROJECT / part, tmp_path / part, ignore=ignored)
    (tmp_path / "firmware" / "model" / "model.cc").unlink(missing_ok=True)
    folder = tmp_path / "firmware" / "boards" / "yours"
    shutil.copytree(folder.with_name("nucleo-l476rg"), folder)
    for name, text, instead in (
        ("board.toml", 'title = "Nucleo-L476RG"', 'title = "board of yours"'),
        (
            "board.toml",
            "start = 0x0800_0000, size = 0x10_0000",
            "start = 0x4_0000, size = 0x8_0000",
        ),
        ("board.toml", 'suffix = ".bin"', 'suffix = ".uf2"\nuf2_family = 0x1234_5678'),
        ("linker.ld", "ORIGIN = 0x08000000, LENGTH = 1M", "ORIGIN = 0x00040000, LENGTH = 512K"),
    ):
        said = (folder / name).read_text(encoding="utf-8")
        assert said.count(text) == 1
        (folder / name).write_text(said.replace(text, instead), encoding="utf-8")

    def workshop(*arguments):
        command = [sys.executable, "-m", "workshop_utils.cli", "firmware", *arguments]
        environment = {**os.environ, "WORKSHOP_HOME": str(home), "PYTHONPATH": str(tmp_path)}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )

    home = tmp_path_factory.mktemp("home")
    built = workshop("build", "--board", "yours")
    assert built.returncode == 0, built.stderr
    (file,) = home.rglob("yours-compact-zig-wave.uf2")
    block = file.read_bytes()[:512]
    assert block[12:16] == (0x40000).to_bytes(4, "little")  # where it goes
    assert block[28:32] == (0x12345678).to_bytes(4, "little")  # for whom
    assert "yours" in workshop("flash", "--help").stdout
    for command in (["run"], ["sweep", "--csv", str(tmp_path / "answers.csv")]):
        no_chip = workshop(*command, "--board", "yours")
        assert no_chip.returncode == 1 and "no emulated chip for the board yours" in no_chip.stderr
        assert no_chip.stderr.count("\n") == 1

    (folder / "board.toml").write_text("title = ", encoding="utf-8")
    refused = workshop("build", "--board", "yours")
    assert refused.returncode == 1 and "boards/yours/board.toml is damaged: " in refused.stderr
    assert "Traceback" not in refused.stderr and refused.stderr.count("\n") == 1
    assert workshop("--help").returncode == 0
