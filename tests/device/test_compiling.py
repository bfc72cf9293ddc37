"""How a build is asked for, and what is said of one that failed."""

import json
import os
import re
import subprocess
import sys

import pytest
import qemu

from workshop_utils import paths
from workshop_utils.device import compiling
from workshop_utils.errors import WorkshopError


def test_zigs_cache_lies_with_the_builds_or_where_zigs_own_variable_says(tmp_path, monkeypatch):
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR")
    names = ("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR")
    assert {compiling.environment(tmp_path)[name] for name in names} == {
        str(tmp_path / "zig-cache")
    }
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", "/elsewhere")
    assert {compiling.environment(tmp_path)[name] for name in names} == {"/elsewhere"}


@pytest.mark.parametrize("linker", ["zig", "gcc"])
def test_the_linkers_word_on_a_full_flash_is_understood(tmp_path, linker):
    if linker == "gcc":
        qemu.require("arm-none-eabi-g++")
        compiler = ["arm-none-eabi-g++", "-mcpu=cortex-m4", "-mthumb", "-nostartfiles"]
    else:
        compiler = [sys.executable, "-m", "ziglang", "c++", "-mcpu=cortex_m4", "-fno-unwind-tables"]
        compiler += ["-target", "thumb-freestanding-eabi"]
    (tmp_path / "large.cc").write_text('extern "C" const char model[5000] = {1};')
    (tmp_path / "script.ld").write_text(
        "MEMORY { FLASH (rx) : ORIGIN = 0, LENGTH = 4000 }\n"
        "SECTIONS { .model : { *(.rodata*) } > FLASH  /DISCARD/ : { *(.ARM*) } }"
    )
    said = subprocess.run(
        [*compiler, "-nostdlib", "-Wl,-T,script.ld", "-Wl,-e,model", "large.cc", "-o", "large.elf"],
        cwd=tmp_path,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": "zig", "ZIG_LOCAL_CACHE_DIR": "zig"},
        capture_output=True,
        text=True,
    )
    assert said.returncode
    sentence = compiling.explain(said.stdout + said.stderr)
    assert re.match(
        "The firmware does not fit: it needs (1,000 bytes )?more than the board's", sentence
    )
    assert "an image built before stays as it was" in sentence


@pytest.mark.parametrize(
    "said",
    [
        "x.cc:1:1: fatal error: error writing to /tmp/x.s: No space left on device\n",
        "error: unable to build: NoSpaceLeft\n",
        "ninja: error: WriteFile(build.ninja): Disk quota exceeded\n",
    ],
)
def test_a_disk_that_fills_up_while_compiling(said):
    sentence = compiling.explain(said)
    assert sentence.startswith(
        "The firmware was not built because the disk is full; an image built b"
    )


@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("", "the compiler said nothing"),
        ("[1/2] Building\nKilled\n", "Killed"),
        ("a.cc:3: undefined reference to `f'\ncollect2: error: ld returned 1", "undefined refe"),
        ("/usr/bin/../arm/ld: RAM is full\ncollect2: error: ld returned 1", "built: RAM is full;"),
        ("CMake Error at CMakeLists.txt:3 (message):\n  No\n  engine.\n\n-- Bad\n", "No engine;"),
        ("ninja: error: 'model.cc', needed by 'model.o', missing\n", "'model.cc', needed by"),
    ],
)
def test_explain(said, part):
    sentence = compiling.explain(said, paths.FIRMWARE_BUILD_DIR / "build.log")
    assert part in sentence and "\n" not in sentence and "build.log" in sentence


def test_zigs_flags_are_those_of_the_toolchain_files(tmp_path, monkeypatch):
    flags = compiling.zig_flags("cortex-m4")
    assert flags[:2] == ["-target", "thumb-freestanding-eabihf"]
    assert "-mcpu=cortex_m4+vfp4d16sp" in flags and "-fno-sanitize=undefined" in flags
    assert not any('"' in flag or "$" in flag for flag in flags)
    assert compiling.zig_flags("cortex-m0") != flags
    with pytest.raises(WorkshopError, match=r"cortex-m99\.cmake is missing or damaged: "):
        compiling.zig_flags("cortex-m99")


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        (("toaster", "compact", "zig", "-O2"), "There is no board 'toaster'; choose one of "),
        (
            ("pico", "steam", "zig", "-O2"),
            "There is no engine 'steam'; choose one of compact",
        ),
        (("pico", "compact", "tcc", "-O2"), "There is no toolchain 'tcc'; choose one of zig, gcc"),
        (
            ("pico", "compact", "zig", "-O9"),
            "There is no optimization '-O9'; choose one of -O2",
        ),
        (("host", "compact", "gcc", "-O2"), "The board host is not built with gcc"),
    ],
)
def test_choices_that_cannot_be(choices, sentence):
    with pytest.raises(WorkshopError, match=f"^{sentence}"):
        compiling.preset(*choices)


def test_each_toolchain_has_its_preset():
    zig, gcc = (compiling.preset("pico", "tflm", name, "-Os") for name in ("zig", "gcc"))
    assert zig != gcc and compiling.preset("host", "compact", "zig", "-O2") == zig


def test_only_gcc_asks_for_a_compiler_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    found = compiling.programs("zig")
    assert set(found) == {"cmake", "ninja", "zig"} and all(map(os.path.isfile, found.values()))
    with pytest.raises(WorkshopError, match=r"there is no arm-none-eabi-g\+\+ on this machine"):
        compiling.programs("gcc")
    monkeypatch.setitem(sys.modules, "ninja", None)
    with pytest.raises(WorkshopError, match=r"package ninja, which is missing; in a terminal:\n"):
        compiling.programs("zig")


def test_tflms_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TFLM_ROOT", raising=False)
    with pytest.raises(WorkshopError, match="set the environment variable TFLM_ROOT"):
        compiling.tflm_root()
    monkeypatch.setenv("TFLM_ROOT", str(tmp_path))
    with pytest.raises(WorkshopError, match=r"but there is no include/tensorflow/.* in it"):
        compiling.tflm_root()
    (tmp_path / compiling.TFLM_HEADER).parent.mkdir(parents=True)
    (tmp_path / compiling.TFLM_HEADER).write_text("")
    assert compiling.tflm_root() == tmp_path.resolve()


def test_the_first_error_counts_and_many_bytes_are_added_up():
    said = "a.cc:1:2: error: no 'x'\na.cc:9:9: error: no 'y'\n"
    assert compiling.explain(said).startswith(
        "The firmware was not built: a.cc:1:2: error: no 'x'; "
    )
    full = "ld.lld: error: section will not fit in region 'RAM': overflowed by {} bytes\n"
    sentence = compiling.explain(full.format(20) + full.format(1300))
    assert "it needs 1,300 bytes more than the board's RAM has" in sentence


def test_a_build_is_configured_again_only_if_something_changed(tmp_path):
    sources, folder = tmp_path / "sources", tmp_path / "build"
    sources.mkdir()
    folder.mkdir()
    preset = {"name": "small", "generator": "Ninja"}
    presets = {"version": 3, "configurePresets": [preset]}
    (sources / "CMakePresets.json").write_text(json.dumps(presets))
    (sources / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\n"
        "project(small NONE)\n"
        'file(APPEND "${CMAKE_BINARY_DIR}/words" "${WORD} ")\n'
    )
    tools = compiling.programs("zig")

    def words(word):
        settings = {"CMAKE_MAKE_PROGRAM": tools["ninja"].as_posix(), "WORD": word}
        compiling.compile(tools["cmake"], "small", folder, settings, sources)
        return (folder / "words").read_text().split()

    assert words("one") == words("one") == ["one"]
    assert words("two") == ["one", "two"]
    (folder / "build.ninja").unlink()
    assert words("two") == ["one", "two", "two"]
