"""Sketches compiled for an Arduino Uno as the IDE does it, and emulated Unos. For tests only.

The commands are those of the core's own platform.txt; where Debian puts the core is below.
"""

import re
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest
import qemu
from patience import HUNG

PLATFORM = Path("/usr/share/arduino/hardware/arduino/avr")

# The core's WString.cpp asks the compiler for what version 5.4 knows under another name only.
_OLD_COMPILER = "-DDECIMAL_DIG=__DECIMAL_DIG__"


def require(*programs):
    """Skip the test, with a reason, unless sketches can be compiled and the programs are there."""
    qemu.require("avr-gcc", "avr-g++", *programs)
    if not (PLATFORM / "platform.txt").is_file():
        pytest.skip(f"{PLATFORM}, the Arduino core for AVR, is not installed")


@cache
def _properties():
    lines = (PLATFORM / "platform.txt").read_text().splitlines()
    uno = re.findall(r"(?m)^uno\.(.*)$", (PLATFORM / "boards.txt").read_text())
    found = {"runtime.ide.version": "10819", "build.arch": "AVR", "archive_file": "core.a"}
    for line in [*lines, *uno]:
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name.strip()] = value.strip()
    return found | {"compiler.cpp.extra_flags": _OLD_COMPILER}


def _command(recipe, **values):
    """The words of one of the platform's recipes."""
    known = _properties() | {name.replace("__", "."): str(value) for name, value in values.items()}
    text, before = known[f"recipe.{recipe}.pattern"], None
    while text != before:
        text, before = re.sub(r"\{([\w.]+)\}", lambda name: known[name[1]], text), text
    return shlex.split(text)


def _run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]


def _compile(source, target, includes):
    recipe = {".c": "c.o", ".cpp": "cpp.o", ".S": "S.o"}[source.suffix]
    words = " ".join(f'"-I{folder}"' for folder in includes)
    _run(_command(recipe, includes=words, source_file=source, object_file=target))


def _core_folders():
    known = _properties()
    return [
        PLATFORM / "cores" / known["build.core"],
        PLATFORM / "variants" / known["build.variant"],
    ]


def build_core(folder):
    """The core, compiled into core.a in a folder, once for many sketches."""
    for source in sorted(_core_folders()[0].rglob("*")):
        if source.suffix in (".c", ".cpp", ".S"):
            target = folder / f"{source.name}.o"
            _compile(source, target, _core_folders())
            _run(_command("ar", archive_file_path=folder / "core.a", object_file=target))
    return folder


def build_sketch(sketch, core, library):
    """The path of a sketch's image. core: of `build_core`. library: its folder src.

    What the IDE makes of a sketch before it compiles: it includes Arduino.h, and declares all
    functions before the first one.
    """
    text = Path(sketch).read_text()
    functions = re.findall(r"(?m)^(\w[\w *]*\w[ *]+\w+\([^()]*\)) \{", text)
    first = text.index(functions[0])
    declared = "".join(f"{function};\n" for function in functions)
    source = core / f"{Path(sketch).name}.cpp"
    source.write_text(f"#include <Arduino.h>\n{text[:first]}{declared}{text[first:]}")
    made = source.with_suffix(".o")
    _compile(source, made, [*_core_folders(), library])
    name = Path(sketch).stem
    _run(
        _command("c.combine", build__path=core, build__project_name=name, object_files=f'"{made}"')
    )
    return core / f"{name}.elf"


def sizes(image):
    """(flash, RAM) in bytes, counted as the IDE does."""
    known = _properties()
    printed = subprocess.run(["avr-size", "-A", image], capture_output=True, text=True).stdout
    return tuple(
        sum(map(int, re.findall(f"(?m){known[name]}", printed)))
        for name in ("recipe.size.regex", "recipe.size.regex.data")
    )


def on_simavr(image, timeout=HUNG):
    """What the image prints on an emulated ATmega328P, up to the line with which it ends."""
    command = ["simavr", "-m", "atmega328p", "-f", "16000000", str(image)]
    return qemu.watch(command, timeout, _plain)


def _plain(line):
    """simavr colours each line, and shows control characters, here the line's end, as dots."""
    return re.sub(r"\x1b\[\d*m", "", line.rstrip("\n")).removesuffix("..") + "\n"


def on_qemu(image, timeout=HUNG):
    """The same in QEMU. Where an instruction that skips the next one is the last of a block, its
    version 7.2 hangs; one instruction per block has no such place."""
    known = subprocess.run(["qemu-system-avr", "-help"], capture_output=True, text=True).stdout
    single = ["-singlestep"] if "-singlestep" in known else ["-accel", "tcg,one-insn-per-tb=on"]
    command = ["qemu-system-avr", "-M", "uno", "-display", "none", "-monitor", "none", *single]
    return qemu.watch([*command, "-serial", "stdio", "-bios", str(image)], timeout)


def some_lines_of_simavr(image, count, timeout=HUNG):
    """The first lines that an image prints which does not end."""
    lines = []

    def clean(line):
        lines.append(_plain(line))
        return "# end" if len(lines) == count else lines[-1]

    qemu.watch(["simavr", "-m", "atmega328p", "-f", "16000000", str(image)], timeout, clean)
    return [line.rstrip("\n") for line in lines[:count]]
