"""The firmware, built and run: two compilers, two emulators and the desktop, one answer."""

import errno
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import bincopy
import click
import numpy as np
import pytest
import qemu
import tflite_factory
from click.testing import CliRunner
from elftools.elf.elffile import ELFFile
from patience import HUNG
from single_steps import count_by_single_steps
from uf2utils.file import UF2File

from workshop_utils import c_source, emulator, firmware, inference, measurements, paths
from workshop_utils.cli import main
from workshop_utils.device import boards, compiling, console, flash, images, ranges
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError

WORKSHOP = [sys.executable, "-m", "workshop_utils.cli"]


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """What these tests build, so that only the first build takes its time."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def home(shared_home, monkeypatch):
    monkeypatch.setenv("WORKSHOP_HOME", str(shared_home))
    yield shared_home
    (shared_home / "firmware" / "model" / "model.cc").unlink(missing_ok=True)


@pytest.fixture
def fresh_home(tmp_path, monkeypatch):
    """A home of the test's own."""
    monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def model():
    """The model that the firmware has when notebook 06 has not run: int8, bytes."""
    return c_source.read(paths.FIRMWARE_REFERENCE_MODEL)


@pytest.fixture(scope="module")
def expected(model):
    """TFLM's answers to all 256 codes."""
    if problem := inference.tflm_problem():
        pytest.skip(problem)
    codes = np.arange(-128, 128).astype(np.int8)
    return list(zip(codes, inference.invoke(model, codes, "tflm"), strict=True))


def files_below(folder):
    return {path for path in folder.rglob("*") if "zig-cache" not in path.parts}


# ---- One answer


def answers(printed):
    columns, rows = console.table(printed)
    assert columns == ["q_in", "q_out"]
    return rows


def test_zig_on_unicorn_equals_tflm(home, expected):
    result = emulator.run(firmware.build().sweep)
    assert answers(result.console) == expected
    assert len(result.instructions) == 256


def test_zig_on_qemu_equals_tflm(home, expected):
    qemu.require("qemu-system-arm")
    assert answers(qemu.run(firmware.build().sweep)) == expected


def test_gcc_on_unicorn_and_on_qemu_equals_tflm(home, expected):
    qemu.require("arm-none-eabi-g++", "qemu-system-arm")
    image = firmware.build(toolchain="gcc").sweep
    assert answers(emulator.run(image).console) == expected
    assert answers(qemu.run(image)) == expected


def test_the_desktop_program_equals_tflm(home, expected):
    assert answers(firmware.run_program(firmware.build("host").sweep)) == expected


def test_the_wave_is_the_models_and_the_same_everywhere(home, model, expected):
    consoles = {}
    image = firmware.build(inferences_per_cycle=50, cycles=3)
    consoles["zig, Unicorn"] = emulator.run(image.wave).console
    if shutil.which("qemu-system-arm"):
        consoles["zig, QEMU"] = qemu.run(image.wave)
    if shutil.which("arm-none-eabi-g++"):
        image = firmware.build(toolchain="gcc", inferences_per_cycle=50, cycles=3)
        consoles["gcc, Unicorn"] = emulator.run(image.wave).console
    tables = {name: console.table(printed)[1] for name, printed in consoles.items()}
    assert all(rows == tables["zig, Unicorn"] for rows in tables.values()), tables.keys()

    wave = console.parse_console(consoles["zig, Unicorn"])
    assert len(wave) == 150
    x = np.float32(2 * np.pi) * np.arange(50, dtype=np.float32) / np.float32(50)
    np.testing.assert_allclose(wave.x, np.tile(x, 3), atol=2e-6)
    np.testing.assert_allclose(wave.y, np.tile(inference.predict(model, x, "tflm"), 3), atol=1e-6)
    np.testing.assert_array_equal(wave.led, np.floor((wave.y + 1) * 127.5 + 0.5).clip(0, 255))


def test_the_led_register_and_the_instruction_counts_match_the_lines(home):
    result = emulator.run(firmware.build(inferences_per_cycle=20, cycles=1).wave)
    assert result.led.tolist() == result.inferences.led.tolist()
    assert len(result.instructions) == 20
    assert 300 < result.median_instructions < 10_000
    assert 0 < result.stack_bytes < 4096 and 0 < result.arena_used < 4096


def test_counting_real_firmware_by_blocks_is_counting_instructions(home):
    image = firmware.build(inferences_per_cycle=20, cycles=1).wave
    assert emulator.run(image).instructions == count_by_single_steps(image)


# ---- Sizes


def test_sizes_add_up_to_the_image(home, model):
    image = firmware.build().wave
    taken = firmware.sizes(image)
    assert taken["other"] == 0 and len(model) <= taken["model"] < len(model) + 32
    assert all(taken[part] > 0 for part in ("application", "engine", "start-up"))
    with image.open("rb") as file:
        segments = list(ELFFile(file).iter_segments(type="PT_LOAD"))
        in_file = sum(segment["p_filesz"] for segment in segments)
        in_ram = sum(s["p_memsz"] for s in segments if s["p_vaddr"] >= 0x20000000)
    assert in_file - 64 <= firmware.flash_bytes(taken) <= in_file  # the rest aligns the parts
    assert firmware.ram_bytes(taken) == in_ram


def test_a_larger_model_shows_in_its_part_alone(home, model, tmp_path):
    before = firmware.sizes(firmware.build().wave)
    larger = tmp_path / "larger.tflite"
    larger.write_bytes(model + bytes(1000))
    after = firmware.sizes(firmware.build(model=larger).wave)
    assert {part for part in after if after[part] != before[part]} == {"model"}
    assert 990 <= after["model"] - before["model"] <= 1010


# ---- Which model, which folder


def test_the_model_is_the_given_one_or_the_notebooks_or_the_projects(home, model, tmp_path):
    def outputs(**choice):
        return [row[-1] for row in answers(emulator.run(firmware.build(**choice).sweep).console)]

    models = [
        tflite_factory.quantized(tflite_factory.sine_layers((1, 4, 1), seed=seed))
        for seed in (1, 2)
    ]
    given = tmp_path / "given.tflite"
    given.write_bytes(models[0])
    projects = outputs()
    c_source.write(models[1], paths.FIRMWARE_MODEL)
    notebooks = outputs()
    assert len({tuple(projects), tuple(notebooks), tuple(outputs(model=given))}) == 3
    assert notebooks == outputs()


def test_several_inputs_get_numbered_columns(home, tmp_path):
    several = tmp_path / "several.tflite"
    several.write_bytes(tflite_factory.quantized(tflite_factory.sine_layers((2, 4, 1))))
    image = firmware.build(model=several)
    columns, rows = console.table(emulator.run(image.sweep).console)
    assert columns == ["q_in0", "q_in1", "q_out"] and len(rows) > 256
    with pytest.raises(WorkshopError, match=r"^The firmware stopped: .+\.$"):
        emulator.run(image.wave)


def test_building_again_compiles_nothing(home):
    firmware.build()
    folder = paths.FIRMWARE_BUILD_DIR / "emulator-compact-zig"
    before = (folder / ".ninja_log").read_bytes()
    firmware.build()
    assert (folder / ".ninja_log").read_bytes() == before


def test_other_values_compile_their_part_and_make_what_a_new_folder_makes(
    home, tmp_path_factory, tmp_path
):
    floats = tmp_path / "floats.tflite"
    layers = tflite_factory.sine_layers((1, 4, 1))
    floats.write_bytes(tflite_factory.fully_connected(layers, "float32"))
    last = {
        "cycles": 3,
        "inferences_per_cycle": 7,
        "optimize": "-Os",
        "model": floats,
        "data": ranges.Ranges((0, 1), (2, 3)),
    }

    def made(**choices):
        image = firmware.build(**choices)
        return image.wave.read_bytes(), image.sweep.read_bytes()

    def objects():
        found = (paths.FIRMWARE_BUILD_DIR / "emulator-compact-zig").rglob("*.cc.o*")
        return {(path.name, path.stat().st_mtime_ns) for path in found}

    first, before = made(), objects()
    assert made(cycles=3) != first
    assert {name.partition(".")[0] for name, _ in objects() - before} == {"wave"}
    changed = made(**last)
    assert made() == first
    assert changed == made(**last, home=paths.Home(tmp_path_factory.mktemp("home")))


def test_a_build_stays_in_its_folders(fresh_home):
    sources = files_below(paths.FIRMWARE_DIR)
    image = firmware.build()
    assert files_below(paths.FIRMWARE_DIR) == sources
    images = fresh_home / "firmware" / "images"
    assert set(images.iterdir()) == {image.wave, image.sweep}
    assert image.wave.name == "emulator-compact-zig-wave.elf"
    assert set((fresh_home / "firmware").iterdir()) == {images, paths.FIRMWARE_BUILD_DIR}


def test_a_folder_with_a_space_and_settings_for_something_else(fresh_home, monkeypatch):
    monkeypatch.setenv("WORKSHOP_HOME", str(fresh_home / "my course"))
    for name in ("CXXFLAGS", "LDFLAGS", "CXX", "CMAKE_GENERATOR"):
        monkeypatch.setenv(name, "-no-such-thing")
    monkeypatch.delenv("HOME", raising=False)
    assert emulator.run(firmware.build().wave, count=False).led.size == 200


# ---- Bad input


@pytest.mark.parametrize(
    ("body", "right"),
    [
        ("return 2.0f * x - 1.0f;", lambda x: 2 * x - 1),
        ("return __builtin_logf(1.0f + x);", np.log1p),  # of the compiler's library
    ],
)
@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_a_function_takes_the_models_place(home, toolchain, body, right):
    if toolchain == "gcc":
        qemu.require("arm-none-eabi-g++")
    text = f"static float function(float x) {{ {body} }}\n"
    image = firmware.build(engine="function", function=text, toolchain=toolchain)
    result = emulator.run(image.wave)
    x, y = (result.inferences[name].to_numpy() for name in ("x", "y"))
    assert np.allclose(y, right(x), atol=1e-5)
    assert firmware.costs(image.wave, result)["instructions"] > 0


@pytest.mark.parametrize("choice", [{"engine": "function"}, {"function": "static float f;"}])
def test_a_function_and_its_engine_belong_together(home, choice):
    with pytest.raises(WorkshopError, match="needs a function, and no other one takes one"):
        firmware.build(**choice)


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"board": "toaster"}, "There is no board 'toaster'; choose one of emulator, host"),
        ({"engine": "steam"}, "There is no engine 'steam'; choose one of compact, generated, tflm"),
        ({"toolchain": "tcc"}, "There is no toolchain 'tcc'; choose one of zig, gcc"),
        ({"optimize": "-O9"}, "There is no optimization '-O9'"),
        ({"board": "host", "toolchain": "gcc"}, "The board host is not built with gcc"),
        ({"cycles": -1}, "0 or more cycles"),
        ({"inferences_per_cycle": 0}, "1 or more inferences"),
        ({"model": "/no/such/model.tflite"}, "Cannot read the model /no/such/model.tflite: No su"),
        ({"model": "/"}, "Cannot read the model /: Is a directory"),
        (
            {"model": paths.PROJECT / "LICENSE"},
            "LICENSE is text and holds no TensorFlow Lite model",
        ),
    ],
)
def test_choices_that_cannot_be(home, choice, sentence):
    with pytest.raises(WorkshopError) as caught:
        firmware.build(**choice)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("package", ["cmake", "ninja", "ziglang"])
def test_a_missing_package_is_one_sentence(home, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        WorkshopError, match=rf"package {package}, which is missing; in a terminal:\n"
    ):
        firmware.build()


def test_a_missing_gcc_is_one_sentence_and_zig_needs_none(home, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkshopError, match=r"no arm-none-eabi-g\+\+ .* apt install gcc-arm-none"):
        firmware.build(toolchain="gcc")
    assert firmware.build().toolchain == "zig"


def test_tflm_without_its_folder(home, monkeypatch, tmp_path):
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    with pytest.raises(WorkshopError, match=r"^The engine tflm needs .* TFLM_ROOT .* compact\.$"):
        firmware.build(engine="tflm")
    monkeypatch.setenv("TFLM_ROOT", str(tmp_path))
    with pytest.raises(WorkshopError, match=r"^TFLM_ROOT is .* no include/tensorflow/"):
        firmware.build(engine="tflm")


def test_a_model_changed_by_hand_is_refused(home, model):
    c_source.write(model, paths.FIRMWARE_MODEL)
    text = paths.FIRMWARE_MODEL.read_text()
    paths.FIRMWARE_MODEL.write_text(text.replace("0x54, 0x46", "0x54, 0x47"))
    with pytest.raises(
        WorkshopError,
        match=r"^firmware/model/model\.cc does not match its SHA-256, so it was changed by hand",
    ):
        firmware.build()


def test_a_model_larger_than_the_flash(home, model, tmp_path):
    large = tmp_path / "large.tflite"
    large.write_bytes(model + bytes(boards.BOARDS["emulator"].flash.size))
    with pytest.raises(WorkshopError, match=r"^The model does not fit: it has 4,19\d,\d+ bytes"):
        firmware.build(model=large)


@pytest.fixture
def broken_sources(fresh_home, monkeypatch):
    """A former image, and since then a mistake in the application's source."""
    image = firmware.build()
    sources = fresh_home / "sources"
    shutil.copytree(paths.FIRMWARE_DIR, sources, ignore=shutil.ignore_patterns("build", "images"))
    monkeypatch.setattr(paths, "FIRMWARE_DIR", sources)
    with (sources / "app" / "wave.cc").open("a") as file:
        file.write("int forgotten = a_mistake;\nint another = b_mistake;\n")
    return image


def test_a_compile_error_names_the_line_and_the_log_and_keeps_the_image(fresh_home, broken_sources):
    former = broken_sources.wave.read_bytes()
    with pytest.raises(WorkshopError) as caught:
        firmware.build()
    sentence = str(caught.value)
    assert "wave.cc:" in sentence and "'a_mistake'" in sentence and "\n" not in sentence
    log = "firmware/build/emulator-compact-zig/build.log"
    assert sentence.endswith(f"The whole log is {log}.")
    assert "'b_mistake'" in (fresh_home / log).read_text()
    assert broken_sources.wave.read_bytes() == former


def test_a_mistake_in_the_cmake_files(broken_sources):
    with (paths.FIRMWARE_DIR / "CMakeLists.txt").open("a") as file:
        file.write('message(FATAL_ERROR "This is what is wrong.")\n')
    with pytest.raises(WorkshopError, match=r"not built: This is what is wrong; an image"):
        firmware.build()


def test_a_full_disk_keeps_the_former_images(home, monkeypatch):
    image = firmware.build()
    former = files_below(paths.FIRMWARE_IMAGES_DIR), image.wave.read_bytes()
    copied = []

    def copy_until_full(source, target):
        copied.append(target)
        Path(target).write_bytes(b"half of the ne")
        if len(copied) == 2:  # The second image is the one that does not fit.
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", copy_until_full)
    with pytest.raises(WorkshopError, match=r"^Cannot write .*sweep\.elf: No space left on device"):
        firmware.build()
    assert (files_below(paths.FIRMWARE_IMAGES_DIR), image.wave.read_bytes()) == former


def test_a_build_folder_that_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.setenv("WORKSHOP_HOME", str(tmp_path))
    (tmp_path / "firmware").write_text("a file where a folder should be")
    with pytest.raises(WorkshopError, match=r"^Cannot build in firmware/build/.*an image built"):
        firmware.build()


def test_a_damaged_build_folder_heals(fresh_home):
    firmware.build()
    folder = paths.FIRMWARE_BUILD_DIR / "emulator-compact-zig"
    (folder / "CMakeCache.txt").write_text("nonsense")
    (folder / "build.ninja").unlink()
    (folder / "wave.elf").write_bytes(b"half")
    assert emulator.run(firmware.build().wave, count=False).led.size == 200


@pytest.mark.parametrize("board", ["emulator", "host", "pico"])
def test_a_model_that_the_engine_does_not_run_is_refused_on_every_board(
    home, model, tmp_path, board
):
    strange = tmp_path / "strange.tflite"
    strange.write_bytes(tflite_factory.with_ends(model, "FLOAT32", "FLOAT32"))
    with pytest.raises(WorkshopError, match=r"^The model computes in int8, but its input is float"):
        firmware.build(board, model=strange)


# ---- Models as C source


def xxd(content, name="model_tflite"):
    """What xxd -i writes: another name, no const, no alignment."""
    cells = ", ".join(f"0x{byte:02x}" for byte in content)
    return (
        f"unsigned char {name}[] = {{\n  {cells}\n}};\nunsigned int {name}_len = {len(content)};\n"
    )


def test_c_source_of_another_tool_is_a_model_too(home, expected, tmp_path):
    other = tflite_factory.quantized(tflite_factory.sine_layers((1, 4, 1)))
    source, flatbuffer = tmp_path / "sine.cc", tmp_path / "sine.tflite"
    source.write_text(xxd(other))
    flatbuffer.write_bytes(other)
    assert firmware.model_bytes(source) == other
    image = firmware.build(model=source)
    assert firmware.equal_answers(image.sweep, other, "tflm") == 256
    assert firmware.sizes(image.wave)["model"] >= len(other)  # in flash, whatever the source says
    (remark,) = firmware.remarks(source)
    assert remark.startswith(f"{source} declares its array without const, which would put the mo")
    assert firmware.remarks(flatbuffer) == firmware.remarks() == []


def test_a_foreign_model_cc_in_the_courses_place_is_built(home):
    other = tflite_factory.quantized(tflite_factory.sine_layers((1, 4, 1)))
    paths.FIRMWARE_MODEL.parent.mkdir(parents=True, exist_ok=True)
    paths.FIRMWARE_MODEL.write_text(xxd(other, "g_model"))
    image = firmware.build()
    assert firmware.equal_answers(image.sweep, other, "tflm") == 256
    assert "without const" in firmware.remarks()[0]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", r"x\.tflite is empty; "),
        (b"version https://git-lfs.github.com/spec/v1\n", r"x\.tflite is a Git LFS pointer, not"),
        (b"<!DOCTYPE html><script>x[0] = {1}</script>", r"x\.tflite is a web page \(HTML\), not"),
        (b"const int x[] = {1, 2};", r"x\.tflite has no TensorFlow Lite model in x: its mark"),
    ],
)
def test_a_file_that_is_no_model_is_said_to_be_what_it_looks_like(tmp_path, content, sentence):
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    for call in (firmware.model_bytes, lambda path: firmware.build(model=path)):
        with pytest.raises(WorkshopError, match=sentence):
            call(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_a_pipe_or_a_huge_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WorkshopError, match=r"pipe: it is no file but a device or a pipe\.$"):
        firmware.model_bytes(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(WorkshopError, match=r"huge is too large for a model here: it has 2,147,48"):
        firmware.model_bytes(tmp_path / "huge")


@pytest.mark.parametrize("board", ["emulator", "pico"])
def test_a_model_of_several_values_is_for_the_sweep(home, expected, tmp_path, board):
    several = tmp_path / "several.tflite"
    several.write_bytes(tflite_factory.quantized(tflite_factory.sine_layers((3, 5, 2))))
    with pytest.raises(
        WorkshopError, match=r"^The model's input has 3 values, and the application"
    ):
        firmware.build(board, model=several, program="wave")
    image = firmware.build(board, model=several, program="sweep")
    text = emulator.run(image.sweep, count=False, board=board).console
    columns, rows = console.table(text)
    assert columns == ["q_in0", "q_in1", "q_in2", "q_out0", "q_out1"] and len(rows) == 512
    codes = inference.every_code(3)
    assert np.array_equal(np.array(rows)[:, :3], codes)
    expected = inference.invoke_rows(several.read_bytes(), codes, "tflm")
    assert np.array_equal(np.array(rows)[:, 3:], expected)


# ---- Where images are, and what they cost


def test_an_image_is_where_build_puts_it(home, tmp_path):
    assert firmware.build() == firmware.locate()
    placed = firmware.locate("host", "tflm", "gcc", "copy", paths.Home(tmp_path))
    name = f"copy-host-tflm-gcc-wave{compiling.EXE}"
    assert placed.wave == tmp_path / "firmware" / "images" / name
    assert (placed.board, placed.engine, placed.toolchain) == ("host", "tflm", "gcc")


def test_the_file_for_the_drive_lies_beside_the_image(home):
    pico = firmware.locate("pico")
    assert pico.file() == pico.wave.with_suffix(".uf2")
    assert pico.file("sweep") == pico.sweep.with_suffix(".uf2")
    with pytest.raises(WorkshopError, match="The board emulator has no drive"):
        firmware.locate().file()


def test_costs_and_equal_answers(home, model, expected):
    image = firmware.build()
    result = emulator.run(image.wave)
    found, taken = firmware.costs(image.wave, result), firmware.sizes(image.wave)
    assert found["flash"] == sum(taken.values()) - taken["bss"]
    assert found["ram"] == taken["data"] + taken["bss"] + result.arena_used + result.stack_bytes
    assert found["instructions"] == np.median(result.instructions)
    assert firmware.equal_answers(image.sweep, model, "tflm") == 256
    other = tflite_factory.quantized(tflite_factory.sine_layers((1, 4, 1)))
    codes = np.arange(-128, 128).astype(np.int8)
    answers = np.array([answer for _, answer in expected])
    wanted = int(np.sum(inference.invoke(other, codes, "tflm") == answers))
    assert firmware.equal_answers(image.sweep, other, "tflm") == wanted < 256


def test_the_kernel_for_float32_is_left_out_for_int8_alone(home, model, tmp_path):
    def options(content):
        (tmp_path / "m.tflite").write_bytes(content)
        firmware.build(model=tmp_path / "m.tflite")
        cache = paths.FIRMWARE_BUILD_DIR / "emulator-compact-zig" / "CMakeCache.txt"
        return re.search(r"ENGINE_FLOAT32:\w+=(\w+)", cache.read_text())[1]

    floats = tflite_factory.fully_connected(tflite_factory.sine_layers((1, 4, 1)), "float32")
    assert [options(content) for content in (model, floats)] == ["OFF", "ON"]


@pytest.mark.parametrize(
    ("inferences", "cycles", "sentence"),
    [
        (0, 1, "INFERENCES_PER_CYCLE is 0, but must be from 1 to 1,000"),
        (1001, 1, "INFERENCES_PER_CYCLE is 1001"),
        (1, 0, "CYCLES is 0, but must be from 1 to 10"),
        (1, 11, "CYCLES is 11"),
    ],
)
def test_parameters_of_notebook_6(inferences, cycles, sentence):
    firmware.check_parameters(1, 10)
    firmware.check_parameters(1000, 1)
    with pytest.raises(WorkshopError, match=sentence):
        firmware.check_parameters(inferences, cycles)


# ---- The files for a board's drive


@pytest.mark.parametrize(
    "board", [boards.BOARDS[name] for name in boards.REAL], ids=lambda b: b.name
)
def test_the_real_firmwares_files_hold_its_images(shared_home, monkeypatch, board):
    monkeypatch.setenv("WORKSHOP_HOME", str(shared_home))
    made = firmware.build(board.name)
    for name in firmware.PROGRAMS:
        file = made.file(name)
        if board.suffix == ".hex":
            read = bincopy.BinFile()
            read.add_ihex(file.read_text(encoding="ascii"))
            start, content = read.minimum_address, bytes(read.as_binary())
        elif board.suffix == ".uf2":
            blocks = list(UF2File(str(file)))
            start = blocks[0].header.address
            content = b"".join(bytes(block.payload[:256]) for block in blocks)
        else:
            start, content = board.flash.start, file.read_bytes()
        # Against the ELF as pyelftools reads it.
        with getattr(made, name).open("rb") as elf:
            parts = [
                (part["p_paddr"], part.data()) for part in ELFFile(elf).iter_segments("PT_LOAD")
            ]
        assert start == board.flash.start
        for address, part in parts:
            assert content[address - start :][: len(part)] == part
        last = max(address + len(part) for address, part in parts if part) - start
        assert len(content) - last in range(256 if board.suffix == ".uf2" else 1)


@pytest.fixture
def toy(shared_home, monkeypatch):
    """A board with a drive whose firmware is the emulated board's."""
    monkeypatch.setenv("WORKSHOP_HOME", str(shared_home))
    microbit = boards.BOARDS["microbit-v2"]
    emulated = boards.BOARDS["emulator"]
    memory = {"flash": emulated.flash, "ram": emulated.ram}
    board = replace(microbit, name="toy", title="toy", folder=emulated.folder, **memory)
    monkeypatch.setitem(boards.BOARDS, "toy", board)
    monkeypatch.setattr(boards, "REAL", (*boards.REAL, "toy"))
    return board


def test_a_build_leaves_the_file_to_copy(toy):
    made = firmware.build("toy")
    for name in ("wave", "sweep"):
        file = made.file(name)
        assert file.parent == paths.FIRMWARE_IMAGES_DIR and file.suffix == ".hex"
        read = bincopy.BinFile()
        read.add_ihex(file.read_text(encoding="ascii"))
        start, content = images.flat(Elf(getattr(made, name)))
        assert (read.minimum_address, bytes(read.as_binary())) == (start, content)
        assert len(content) > 5000
    assert not list(paths.FIRMWARE_IMAGES_DIR.glob(".*"))


def test_a_build_for_a_board_says_what_to_copy(toy, monkeypatch):
    made = firmware.build("toy")
    monkeypatch.setattr(firmware, "build", lambda **choices: made)
    result = CliRunner().invoke(main, ["firmware", "build"])
    assert result.exit_code == 0, result.stderr
    assert "The file to copy is firmware/images/toy-compact-zig-wave.hex" in result.stdout


def test_an_image_that_does_not_fit_keeps_the_former_files(toy, monkeypatch):
    former = firmware.build("toy").file().read_bytes()
    small = replace(toy, ram=boards.Memory(0x20000000, 4096))
    monkeypatch.setitem(boards.BOARDS, "toy", small)
    with pytest.raises(WorkshopError, match=r"wave\.elf: The vector table puts the stack at 0x204"):
        firmware.build("toy", inferences_per_cycle=7)
    assert firmware.locate("toy").file().read_bytes() == former


def test_a_model_that_does_not_suit_is_refused_before_anything_is_compiled(toy, tmp_path):
    wide = tmp_path / "wide.tflite"
    wide.write_bytes(tflite_factory.quantized(tflite_factory.sine_layers((65, 4, 1))))
    log = paths.FIRMWARE_BUILD_DIR / "toy-compact-zig" / "build.log"
    before = log.read_bytes() if log.exists() else None
    with pytest.raises(WorkshopError, match=r"^The model's input has 65 values"):
        firmware.build("toy", model=wide)
    assert (log.read_bytes() if log.exists() else None) == before


# ---- Programs of the desktop


@pytest.mark.skipif(os.name == "nt", reason="Windows runs no shell scripts")
@pytest.mark.parametrize(
    ("script", "timeout", "sentence"),
    [
        ("exec sleep 3600", 1, "hangs: after 1 seconds"),
        ("kill -SEGV $$", HUNG, "crashed: program ended with code -11"),
        ("exit 3", HUNG, "crashed: program ended with code 3"),
    ],
)
def test_desktop_programs_that_go_wrong(tmp_path, script, timeout, sentence):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(WorkshopError, match=sentence):
        firmware.run_program(program, timeout)
    program.chmod(0o644)
    with pytest.raises(WorkshopError, match=r"^Cannot run .*program: "):
        firmware.run_program(program)


# ---- The command


def workshop(*arguments):
    return CliRunner().invoke(main, ["firmware", *map(str, arguments)])


def test_build_prints_flash_and_ram(home):
    result = workshop("build", "--optimize", "-Os")
    assert result.exit_code == 0 and result.stderr == ""
    lines = dict(line.split()[:2] for line in result.stdout.splitlines() if line.startswith("  "))
    assert int(lines["model"].replace(",", "")) > 2000
    assert {"application", "engine", "model", "start-up", "runtime", "bss"} <= lines.keys()
    assert "firmware/images/emulator-compact-zig-wave.elf" in result.stdout


@pytest.mark.parametrize("board", ["emulator", "host"])
def test_run_draws_the_wave(home, board):
    result = workshop("run", "--board", board, "--cycles", 1, "--inferences-per-cycle", 60)
    assert result.exit_code == 0 and result.stderr == "" and result.stdout.isascii()
    assert "60 inferences" in result.stdout and result.stdout.count("*") >= 40
    assert ("instructions per inference" in result.stdout) == (board == "emulator")


@pytest.mark.parametrize("board", ["emulator", "host"])
def test_sweep_writes_every_answer(home, tmp_path, expected, board):
    target = tmp_path / "deep" / "sweep.csv"
    result = workshop("sweep", "--csv", target, "--board", board)
    assert result.exit_code == 0, result.stderr
    lines = target.read_text().splitlines()
    assert lines[0] == "q_in,q_out"
    assert [tuple(map(int, line.split(","))) for line in lines[1:]] == expected


def test_a_sweep_of_a_float_model_writes_nothing(home, tmp_path):
    model = tmp_path / "float.tflite"
    layers = tflite_factory.sine_layers((1, 4, 1))
    model.write_bytes(tflite_factory.fully_connected(layers, "float32"))
    result = workshop("sweep", "--csv", tmp_path / "sweep.csv", "--model", model)
    assert result.exit_code == 1 and result.stdout == ""
    assert result.stderr.startswith("Error: A sweep needs an int8 model, and this one computes in ")
    assert not (tmp_path / "sweep.csv").exists()
    result = workshop("run", "--model", model)
    assert result.exit_code == 0
    assert result.stderr.startswith("Note: The model is float32 throughout: nothing in it is quan")


def error_to_the_sine(stdout):
    return float(re.search(r"^mean squared error to the sine (\S+)$", stdout, re.MULTILINE)[1])


def test_run_says_how_far_the_wave_is_from_the_sine(home, expected, model, tmp_path):
    result = workshop("run")
    x = np.arange(200) % 100 * 2 * np.pi / 100
    error = np.mean((inference.predict(model, x, "tflm") - np.sin(x)) ** 2)
    assert result.stderr == "" and error_to_the_sine(result.stdout) == pytest.approx(error, rel=0.1)

    def one_tenth(content):
        end = content.subgraphs[0].tensors[content.subgraphs[0].inputs[0]].quantization
        end.scale = [end.scale[0] / 10]

    narrow = tmp_path / "narrow.tflite"
    narrow.write_bytes(tflite_factory.edited(model, one_tenth))
    result = workshop("run", "--model", narrow)
    assert result.exit_code == 0 and error_to_the_sine(result.stdout) > 0.1
    assert re.search(
        r"^Note: The model's input covers about 0 to 0\.6\d+, and the course's sine is 0 to 6\.28",
        result.stderr,
    )


# ---- Curves of other than the sine


@pytest.fixture(scope="module")
def thermistor(tmp_path_factory, model):
    """A model and measurements of one input: the network in other units, and its noisy answers.

    Returns the paths of the two, and x and y of the good rows.
    """
    folder = tmp_path_factory.mktemp("thermistor")
    content = tflite_factory.in_units(model, 128, 32)
    (folder / "model.tflite").write_bytes(content)
    rng = np.random.default_rng(1)
    x = np.sort(np.rint(rng.uniform(20, 780, 300)).astype(np.float32))
    y = inference.predict(content, x) + rng.normal(0, 0.5, x.size).astype(np.float32)
    rows = [f"{a:.0f},{b:.3f}" for a, b in zip(x, y, strict=True)]
    rows.insert(100, "401,ERR")
    text = "\n".join(["adc (code),temperature (°C)", *rows]) + "\n"
    (folder / "data.csv").write_text(text, encoding="utf-8")
    return folder / "model.tflite", folder / "data.csv", x, np.float32(np.round(y, 3))


BUILDS = [
    ("emulator", "zig", "compact"),
    ("emulator", "gcc", "generated"),
    ("host", "zig", "compact"),
]
BUILDS += [(board, "zig", "compact") for board in boards.REAL]


@pytest.mark.parametrize(("board", "toolchain", "engine"), BUILDS)
def test_measurements_decide_what_every_board_goes_through(
    home, thermistor, board, toolchain, engine
):
    if toolchain == "gcc":
        qemu.require("arm-none-eabi-g++")
    path, csv, x, y = thermistor
    data = measurements.read(csv)
    image = firmware.build(
        board, engine, toolchain, path, cycles=1, inferences_per_cycle=40, data=data
    )
    _, rows = console.table(firmware.run(image))
    x_chip, y_chip, led = np.array(rows).T
    low, high = x.min(), x.max()
    np.testing.assert_allclose(x_chip, np.linspace(low, high, 40, endpoint=False), rtol=1e-6)
    expected = inference.predict(path.read_bytes(), x_chip, inference.best_runtime())
    np.testing.assert_allclose(y_chip, expected, atol=1e-5)
    np.testing.assert_allclose(led, (y_chip - y.min()) / np.ptp(y) * 255, atol=0.51)


def test_a_model_of_other_ends_goes_through_them_without_measurements(home, thermistor):
    path = thermistor[0]
    through = firmware.ranges_of(path)
    result = emulator.run(firmware.build(model=path, cycles=1).wave).inferences
    assert result.x.iloc[0] == pytest.approx(through.x[0], abs=1e-5)
    assert result.x.iloc[-1] == pytest.approx(through.x[1] * 0.99, rel=1e-5)
    assert result.led.min() < 10 and result.led.max() > 245
    assert firmware.ranges_of() == ranges.SINE


def test_a_function_goes_through_measurements_too(home, thermistor):
    data = measurements.read(thermistor[1])
    text = "static float function(float x) { return 3000.0f - 4.0f * x; }\n"
    image = firmware.build(engine="function", function=text, data=data)
    printed = emulator.run(image.wave).inferences
    assert printed.x.min() == data.x.min() and printed.y.max() == 3000 - 4 * data.x.min()
    # As plain numbers, beside measurements.
    chosen = ranges.Ranges((0, 1), (2900, 3000))
    image = firmware.build(engine="function", function=text, data=chosen, cycles=1)
    printed = emulator.run(image.wave).inferences
    assert printed.led.iloc[0] == 255 and printed.y.iloc[50] == 2998


def test_the_chips_own_answers_to_real_numbers(home, thermistor):
    if problem := inference.tflm_problem():
        pytest.skip(problem)
    path, _, x, _ = thermistor
    values = np.concatenate([x, np.float32([-1e9, 0, 1e9])])
    for board in ("emulator", "host"):
        image = firmware.build(board, model=path)
        found = firmware.answers(image, path.read_bytes(), values)
        assert np.array_equal(found, inference.predict(path.read_bytes(), values, "tflm"))


ERROR = (
    r"^root mean squared error on the data (\S+)( .+)? \(mean squared error (\S+)\), "
    r"(\S+) rows, (.+)$"
)


def error_on_data(stdout):
    root, unit, mean, rows, whose = re.search(ERROR, stdout, re.MULTILINE).groups()
    return float(root), unit, float(mean), rows, whose


@pytest.mark.parametrize("board", ["emulator", "host", "microbit-v1"])
def test_run_measures_the_chips_answers_on_data(home, thermistor, board):
    path, csv, x, y = thermistor
    result = workshop("run", "--model", path, "--data", csv, "--board", board)
    assert result.exit_code == 0, result.stderr
    (note,) = result.stderr.splitlines()
    assert note.startswith("Note: a row was left out; line 102: temperature is 'ERR', ")
    answers = inference.predict(path.read_bytes(), x, inference.best_runtime())
    error = np.mean((answers - y) ** 2)
    root, unit, mean, rows, whose = error_on_data(result.stdout)
    assert (mean, root) == (pytest.approx(error, rel=0.005), pytest.approx(error**0.5, rel=0.005))
    assert (unit, rows, whose) == (" °C", "300", "the chip's own answers")
    top, *drawn = result.stdout.splitlines()
    assert top.split() == ["temperature", "in", "°C"] and "sine" not in result.stdout
    assert drawn[15].split() == [f"{x.min():g}", "adc", "in", "code", f"{x.max():g}"]
    assert drawn[0].split()[0] == f"{y.max():.4g}" and drawn[14].split()[0] == f"{y.min():.4g}"


def test_run_notes_data_that_the_model_does_not_cover(home, model, thermistor, tmp_path):
    (tmp_path / "sine.tflite").write_bytes(model)
    result = workshop("run", "--model", tmp_path / "sine.tflite", "--data", thermistor[1])
    assert result.exit_code == 0
    assert re.search(
        r"^Note: The model's input covers about 0 to 6\.\d, and the data's adc is 2\d to 7\d\d, of "
        r"which the rest is cut off: take all of the data",
        result.stderr,
        re.MULTILINE,
    )
    assert error_on_data(result.stdout)[0] > 10


def test_a_float_model_is_measured_by_a_runtime_and_says_so(home, thermistor, tmp_path):
    layers = tflite_factory.sine_layers((1, 4, 1))
    path, csv = tmp_path / "float.tflite", tmp_path / "data.csv"
    path.write_bytes(tflite_factory.fully_connected(layers, "float32"))
    x = np.linspace(1, 5, 50, dtype=np.float32)
    y = inference.predict(path.read_bytes(), x) + np.float32(0.25)
    rows = "\n".join(f"{a},{b}" for a, b in zip(x, y, strict=True))
    csv.write_text(f"angle,height\n{rows}\n")
    result = workshop("run", "--model", path, "--data", csv)
    root, unit, mean, rows, whose = error_on_data(result.stdout)
    assert (root, mean) == (pytest.approx(0.25, 0.01), pytest.approx(0.0625, 0.01))
    assert (unit, rows) == (None, "50") and whose.endswith("'s answers on this computer")
    assert result.stdout.splitlines()[16].split() == ["1", "angle", "5"]


@pytest.fixture(scope="module")
def humidity(tmp_path_factory):
    """A model of two inputs, and measurements that are its answers, 0.5 off."""
    folder = tmp_path_factory.mktemp("humidity")
    content = tflite_factory.quantized(tflite_factory.sine_layers((2, 8, 1)))
    (folder / "model.tflite").write_bytes(content)
    rows = np.random.default_rng(1).uniform(0, 3, (200, 2)).astype(np.float32)
    y = inference.predict(content, rows) + np.float32(0.5)
    lines = [f"{a},{b},{c}" for (a, b), c in zip(rows, y, strict=True)]
    text = "\n".join(["raw (V),temperature (°C),humidity (%)", *lines]) + "\n"
    (folder / "data.csv").write_text(text, encoding="utf-8")
    return folder / "model.tflite", folder / "data.csv"


@pytest.mark.parametrize("board", ["emulator", "host"])
def test_several_inputs_are_proved_equal_and_then_measured(home, humidity, board):
    if problem := inference.tflm_problem():
        pytest.skip(problem)
    path, csv = humidity
    result = workshop("run", "--model", path, "--data", csv, "--board", board)
    assert result.exit_code == 0, result.stderr
    assert "512 inferences, engine compact\n512 of 512 equal to TFLM's answers" in result.stdout
    root, unit, mean, rows, whose = error_on_data(result.stdout)
    assert (root, mean) == (pytest.approx(0.5, 0.02), pytest.approx(0.25, 0.04))
    assert (unit, rows, whose) == (" %", "200", "TFLM's answers on this computer")
    assert ("instructions per inference" in result.stdout) == (board == "emulator")


def test_answers_that_are_not_the_models_fail(home, humidity, monkeypatch):
    if problem := inference.tflm_problem():
        pytest.skip(problem)
    path, csv = humidity
    original = emulator.run

    def one_off(*arguments, **options):
        result = original(*arguments, **options)
        *rows, last, end = result.console.splitlines()
        other = ",".join([*last.split(",")[:-1], str(-int(last.split(",")[-1]) or 1)])
        return replace(result, console="\n".join([*rows, other, end]))

    monkeypatch.setattr(emulator, "run", one_off)
    result = workshop("run", "--model", path, "--data", csv)
    assert result.exit_code == 1 and "511 of 512 equal to TFLM's answers" in result.stdout
    sentence = "Error: The firmware does not answer as the model does, to the bit.\n"
    assert result.stderr.endswith(sentence)  # after a note on the model


def test_data_and_model_must_fit(home, thermistor, humidity, tmp_path):
    (one, one_csv, *_), (two, two_csv) = thermistor, humidity
    two_outputs = tmp_path / "two.tflite"
    two_outputs.write_bytes(tflite_factory.quantized(tflite_factory.sine_layers((1, 4, 2))))
    cases = {
        (one, two_csv): "The data has 2 inputs (raw, temperature), and the model takes 1.",
        (two, one_csv): "The data has 1 input (adc), and the model takes 2.",
        (two_outputs, one_csv): "The model gives 2 values, and the data has one output.",
    }
    for (path, csv), sentence in cases.items():
        for command in ("run", "build"):
            result = workshop(command, "--model", path, "--data", csv)
            assert result.exit_code == 1 and result.stdout == ""
            assert result.stderr.splitlines()[-1] == f"Error: {sentence}"


def test_build_and_flash_take_data(home, thermistor, toy, tmp_path, monkeypatch):
    path, csv, x, _ = thermistor
    assert workshop("build", "--model", path, "--data", csv, "--cycles", 1).exit_code == 0
    wave = emulator.run(firmware.locate(variant="data").wave).inferences
    assert wave.x.min() == x.min() and wave.x.max() > 0.98 * x.max()
    (tmp_path / "DETAILS.TXT").write_text("Unique ID: 9904")
    sent = []
    monkeypatch.setattr(flash, "confirm", lambda drive, board: drive)
    monkeypatch.setattr(flash, "flash", lambda file, board, drive: sent.append(file) or "Done.")
    monkeypatch.setattr(click.Choice, "convert", lambda self, value, *_: value)  # the toy's name
    options = ["--board", "toy", "--drive", tmp_path, "--model", path, "--cycles", 1]
    result = workshop("flash", *options, "--data", csv)
    assert result.exit_code == 0, result.stderr
    image = firmware.locate("toy", variant="data")
    assert sent == [image.file()]
    assert emulator.run(image.wave).inferences.x.min() == x.min()


def test_a_file_that_holds_no_measurements_is_one_sentence(home, tmp_path):
    (tmp_path / "bad.csv").write_text("a,b\nx,y\n" * 30)
    for command in ("run", "build"):
        for file in ("bad.csv", "none.csv"):
            result = workshop(command, "--data", tmp_path / file)
            assert result.exit_code == 1 and result.stderr.count("\n") == 1
            assert file in result.stderr and result.stdout == ""


def test_failures_are_one_sentence_on_stderr(home, tmp_path):
    for arguments in (["build", "--model", tmp_path / "none.tflite"], ["run", "--model", tmp_path]):
        result = workshop(*arguments)
        assert result.exit_code == 1 and result.stdout == ""
        assert result.stderr.startswith("Error: Cannot read the model") and (
            result.stderr.count("\n") == 1
        )
    assert workshop("build", "--board", "toaster").exit_code == 2
    assert workshop("sweep").exit_code == 2


def test_help_names_every_option():
    assert {"build", "run", "sweep"} <= set(workshop("--help").stdout.split())
    common = {"--model", "--board", "--engine", "--toolchain", "--optimize"}
    wave = {"--cycles", "--inferences-per-cycle", "--data"}
    for command, own in (("build", wave), ("run", wave), ("sweep", {"--csv"})):
        assert common | own <= set(workshop(command, "--help").stdout.split())


def test_as_a_process_with_a_home_of_its_own(shared_home, tmp_path):
    sources = files_below(paths.FIRMWARE_DIR)
    environment = {**os.environ, "WORKSHOP_HOME": str(shared_home)}
    environment.pop("HOME", None)
    target = tmp_path / "sweep.csv"
    result = subprocess.run(
        [*WORKSHOP, "firmware", "sweep", "--csv", target],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert len(target.read_text().splitlines()) == 257
    assert files_below(paths.FIRMWARE_DIR) == sources
