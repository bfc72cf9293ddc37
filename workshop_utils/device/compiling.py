"""Call CMake, Ninja and the compiler for the firmware, and say in one sentence why they failed.

All of them come as Python packages, and so nothing else has to be installed.
"""

import importlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workshop_utils import files, paths
from workshop_utils.device import boards, processes
from workshop_utils.errors import WorkshopError, missing_package

ENGINES = ("compact", "generated", "tflm")
FUNCTION = "function"  # an engine without a model, see `firmware.build`

TOOLCHAINS = ("zig", "gcc")

OPTIMIZATIONS = ("-O2", "-Os", "-O3")

PROGRAMS = ("wave", "sweep")  # the application, and what prints every answer of a model

TFLM_HEADER = "include/tensorflow/lite/micro/micro_interpreter.h"

EXE = ".exe" if os.name == "nt" else ""

_CMAKE = paths.FIRMWARE_DIR / "cmake"

_PRESETS = {"zig": "emulator", "gcc": "emulator-gcc"}  # for any board

# What CMake and the compilers would take from a shell that is set up for something else.
_FOREIGN = re.compile(
    r"CC|CXX|(C|CXX|CPP|LD|ASM|MAKE)FLAGS|(C|CPLUS)_INCLUDE_PATH|CPATH|LIBRARY_PATH|DESTDIR|"
    r"CMAKE_(GENERATOR.*|TOOLCHAIN_FILE|BUILD_TYPE|.*_COMPILER|.*_FLAGS)"
)

# Settings that change a part of the firmware at most: what they leave alone is not compiled again.
_VALUE = re.compile(r"-D(CYCLES|INFERENCES_PER_CYCLE|OPTIMIZE|ENGINE_FLOAT32|(IN|OUT)PUT_\w+)=")

_BUILD_TIMEOUT = 900  # seconds; the first build of all takes Zig some


def preset(board: str, engine: str, toolchain: str, optimize: str) -> str:
    """CMake's preset for a build, after a look at the choices; WorkshopError if one is none."""
    spec = boards.find(board)
    for what, chosen, choices in (
        ("engine", engine, (*ENGINES, FUNCTION)),
        ("toolchain", toolchain, TOOLCHAINS),
        ("optimization", optimize, OPTIMIZATIONS),
    ):
        if chosen not in choices:
            raise WorkshopError(
                f"There is no {what} {chosen!r}; choose one of {', '.join(choices)}."
            )
    if toolchain == "gcc" and spec.flash is None:
        raise WorkshopError(
            f"The board {board} is not built with {toolchain}: arm-none-eabi-gcc compiles for "
            "microcontrollers only; leave the toolchain out."
        )
    return _PRESETS[toolchain]


def programs(toolchain: str) -> dict[str, Path]:
    """{name: path} of the programs that a build runs. WorkshopError if one is missing."""
    tools = {
        "cmake": _from_package("cmake", lambda package: Path(package.CMAKE_BIN_DIR) / "cmake"),
        "ninja": _from_package("ninja", lambda package: Path(package.BIN_DIR) / "ninja"),
    }
    if toolchain == "zig":
        tools["zig"] = _from_package(
            "ziglang", lambda package: Path(package.__file__).parent / "zig"
        )
    elif shutil.which("arm-none-eabi-g++") is None:
        raise WorkshopError(
            "The toolchain gcc was asked for, but there is no arm-none-eabi-g++ on this machine; "
            "install it (on Debian and Ubuntu: sudo apt install gcc-arm-none-eabi), or leave the "
            "toolchain out to build with zig."
        )
    return tools


def _from_package(name: str, locate: Callable[[Any], Path]) -> Path:
    try:
        program: Path | None = locate(importlib.import_module(name))
    except ImportError:
        program = None
    if program is None or not program.with_name(program.name + EXE).is_file():
        raise missing_package("Building the firmware", name)
    return program.with_name(program.name + EXE)


def tflm_root() -> Path:
    """The folder that TFLM_ROOT names. WorkshopError if there is no TFLM in it."""
    root = os.environ.get("TFLM_ROOT")
    if not root:
        raise WorkshopError(
            "The engine tflm needs an installed TensorFlow Lite for Microcontrollers: set the "
            "environment variable TFLM_ROOT to its folder (include/ and lib/), or take the engine "
            "compact."
        )
    if not (Path(root) / TFLM_HEADER).is_file():
        raise WorkshopError(f"TFLM_ROOT is {root}, but there is no {TFLM_HEADER} in it.")
    return Path(root).resolve()


def zig_flags(core: str) -> list[str]:
    """The compiler flags for a core, such as 'cortex-m4', of the firmware's toolchain files.

    Raises WorkshopError if they are not where they should be.
    """
    return [
        *_quoted(_CMAKE / "cores" / f"{core}.cmake", r"set\(zig_options \"(.*?)\""),
        *_quoted(_CMAKE / "zig.cmake", r"FLAGS_INIT\s+\"\$\{zig_options\} (.*?)\""),
    ]


def _quoted(file: Path, pattern: str) -> list[str]:
    """The words of what group 1 of the pattern finds in a file."""
    try:
        found = re.search(pattern, file.read_text(encoding="utf-8"))
    except OSError:
        found = None
    if not found:
        raise WorkshopError(f"{paths.display_path(file)} is missing or damaged: it names no flags.")
    return found[1].split()


def compile(
    cmake: Path, preset: str, folder: Path, settings: Mapping[str, object], sources: Path
) -> None:
    """Configure (if anything changed) and build in `folder`.

    settings: CMake's variables. sources: folder of the CMakeLists.txt. Raises WorkshopError, which
    says why it failed; build.log in the folder then has all of it.
    """
    definitions = [f"-D{name}={value}" for name, value in settings.items()]
    where = ["-S", str(sources), "-B", str(folder)]
    configure = [str(cmake), "--fresh", "--preset", preset, *where, *definitions]
    try:
        (folder / "build.log").unlink(missing_ok=True)
        stamp = folder / "configured.txt"
        done = stamp.read_text(encoding="utf-8") if stamp.is_file() else ""
        if done != "\n".join(configure) or not (folder / "build.ninja").is_file():
            stamp.unlink(missing_ok=True)
            if not _reconfigured(done.split("\n"), configure, folder, sources):
                _step(configure, folder, sources)
            files.write(stamp, "\n".join(configure))
        _step([str(cmake), "--build", str(folder)], folder, sources)
    except OSError as error:
        if isinstance(error, WorkshopError):
            raise
        raise cannot_build(folder, error) from error


def _reconfigured(before: list[str], now: list[str], folder: Path, sources: Path) -> bool:
    """Configure again what was configured before; False if it has to be done afresh.

    before, now: the words of the two commands, which begin with cmake and --fresh.
    """
    if [word for word in before if not _VALUE.match(word)] != [
        word for word in now if not _VALUE.match(word)
    ]:
        return False
    names = [match[1] for match in map(_VALUE.match, before) if match]
    try:
        _step([now[0], *[f"-U{name}" for name in names], *now[2:]], folder, sources)
    except WorkshopError:
        return False  # as in a damaged folder
    return True


def cannot_build(folder: Path, error: OSError) -> WorkshopError:
    """The sentence for a folder that cannot be written to."""
    return WorkshopError(
        f"Cannot build in {paths.display_path(folder)}: {error.strerror or error}; an image built "
        "before stays as it was."
    )


def _step(command: list[str], folder: Path, sources: Path) -> None:
    """Run one program of the build and add what it says to the log."""
    log = folder / "build.log"
    try:
        code, said = processes.run(
            command, _BUILD_TIMEOUT, cwd=sources, env=environment(folder.parent)
        )
    except subprocess.TimeoutExpired as error:
        raise WorkshopError(
            f"The build was stopped: it took more than {_BUILD_TIMEOUT} seconds."
        ) from error
    if code:
        raise WorkshopError(explain(said, _append(log, command, said)))
    _append(log, command, said)


def environment(build_dir: Path) -> dict[str, str]:
    """What compilers see of the environment: nothing foreign, and where Zig's cache is.

    That is in the builds' folder, or where Zig's own variable ZIG_GLOBAL_CACHE_DIR says.
    """
    own = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    cache = own.get("ZIG_GLOBAL_CACHE_DIR") or str(build_dir / "zig-cache")
    return own | {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache, "LC_ALL": "C"}


def _append(log: Path, command: list[str], said: str) -> Path | None:
    """Add to the log. Returns its path; None if that fails, as on a full disk."""
    try:
        with log.open("a", encoding="utf-8", errors="surrogateescape") as file:
            file.write(f"$ {' '.join(command)}\n{said}\n")
    except OSError:
        return None
    return log


def explain(said: str, log: Path | None = None) -> str:
    """One sentence on why a build failed, from what CMake, Ninja, compiler and linker said.

    said: text. log: path of the whole of it, None if there is no such file.
    """
    kept = "an image built before stays as it was"
    # GNU ld: "section `.model' will not fit in region `FLASH'", and mostly "region `FLASH'
    # overflowed by 1000 bytes"; LLD: "will not fit in region 'FLASH': overflowed by 1000 bytes".
    full = re.search(r"(?:fit in|ld:) region [`'](\w+)'", said)
    if full:
        memory = "flash" if full[1] == "FLASH" else full[1]
        excess = max(map(int, re.findall(r"overflowed by (\d+) bytes", said)), default=0)
        much = f"{excess:,} bytes more" if excess else "more"
        return (
            f"The firmware does not fit: it needs {much} than the board's {memory} has, so take a "
            f"smaller model or optimize with -Os; {kept}."
        )
    if re.search(r"No space left|NoSpaceLeft|ENOSPC|Disk quota exceeded|DiskQuota", said):
        return f"The firmware was not built because the disk is full; {kept}."
    more = f" The whole log is {paths.display_path(log)}." if log else ""
    return f"The firmware was not built: {_first_error(said)}; {kept}.{more}"


def _first_error(said: str) -> str:
    """The first line that names an error; later ones are mostly its consequences."""
    configuring = re.search(r"CMake Error[^\n]*:\n\s*((?:  [^\n]*\n)+)", said)
    if configuring:
        return " ".join(configuring[1].split()).rstrip(".")
    for pattern in (r"(error|Error): (?!ld returned|too many)", r"undefined|/ld: "):
        for line in said.splitlines():
            if re.search(pattern, line):
                return re.sub(r"^\S*/ld: ", "", line.strip()).rstrip(".")
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "the compiler said nothing"
