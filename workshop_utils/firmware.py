"""Build the firmware with a model in it, and see what it takes. Introduced in notebook 06.

CMake and Ninja drive the compiler; all three come as Python packages, and so nothing else has to
be installed. What is built stays in the home's `firmware_build_dir`; an image takes its place in
`firmware_images_dir` when all of it is done.
"""

import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workshop_utils import c_source, files, paths, plain_c
from workshop_utils.device import (
    boards,
    compiling,
    console,
    diagnosis,
    images,
    preflight,
    processes,
    ranges,
    tflite,
)
from workshop_utils.device.elf import Elf
from workshop_utils.device.ranges import Ranges
from workshop_utils.errors import WorkshopError, require_int
from workshop_utils.paths import Home

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from workshop_utils.emulator import Result
    from workshop_utils.measurements import Measurements

PROGRAMS = compiling.PROGRAMS

# The image's sections, and what the course calls them. Flash also holds what .data begins with.
FLASH_SECTIONS = {
    "application": ".app",
    "engine": ".engine",
    "model": ".model",
    "start-up": ".startup",
    "runtime": ".runtime",
    "data": ".data",
}
RAM_SECTIONS = {"data": ".data", "bss": ".bss"}

_BUSY = "Another build is at work in {}; wait until it has ended."
_BUSY_TIMEOUT = 900  # seconds, as long as a build may take


@dataclass(frozen=True)
class Image:
    """A finished build. wave: the application. sweep: prints every answer of an int8 model."""

    wave: Path
    sweep: Path
    board: str
    engine: str
    toolchain: str

    def file(self, program: str = "wave") -> Path:
        """The file of a program ('wave' or 'sweep') that is copied onto the board's drive."""
        elf = {"wave": self.wave, "sweep": self.sweep}[program]
        return elf.with_suffix(boards.find_real(self.board).suffix)


def check_parameters(inferences_per_cycle: Any, cycles: Any) -> None:
    """Raise WorkshopError, naming the parameter, unless notebook 06 can show such a run."""
    require_int("INFERENCES_PER_CYCLE", inferences_per_cycle, 1, 1000)
    require_int("CYCLES", cycles, 1, 10)


def build(
    board: str = "emulator",
    engine: str = "compact",
    toolchain: str | None = None,
    model: Path | str | None = None,
    optimize: str = "-O2",
    inferences_per_cycle: int = 100,
    cycles: int | None = None,
    sources: Path | str | None = None,
    home: Home | None = None,
    program: str | None = None,
    function: str | None = None,
    data: "Measurements | Ranges | None" = None,
) -> Image:
    """Compile the firmware and put its images in place. Returns an Image.

    board: a name of device.boards; 'host' makes a program for this computer. engine: 'compact',
    'generated' (the model as plain C, in place of an engine that reads it) or 'tflm'. toolchain:
    'zig' or 'gcc' (arm-none-eabi); None takes zig. model: path of a .tflite file, or of C source
    with a model in it; None takes what notebook 06 wrote, or else the model that comes with the
    project. cycles: how often the application goes through its range of inputs; 0 runs for ever,
    None is the board's own choice. sources: folder of another copy of the firmware. Its
    model/model.cc is compiled as it stands; its images are named after the folder and leave the
    others alone. home: where to build; None takes WORKSHOP_HOME. program: 'wave' or 'sweep', the
    one that is wanted, which must be able to run the model; None asks that of either. function: C
    that defines `float function(float)`, such as a formula or a table; with the engine 'function'
    it takes the model's place, and of the Image only the wave runs. data: measurements or Ranges,
    what the application goes through and its LED shows; None as for `ranges_of`. Two builds at a
    time in one folder wait for one another.
    Raises WorkshopError if something is missing, or if the build fails; former images then stay.
    """
    home = home or paths.home()
    toolchain = toolchain or "zig"
    preset = compiling.preset(board, engine, toolchain, optimize)
    if (engine == compiling.FUNCTION) != (function is not None):
        raise WorkshopError("The engine 'function' needs a function, and no other one takes one.")
    if inferences_per_cycle < 1 or (cycles is not None and cycles < 0):
        raise WorkshopError("There must be 1 or more inferences per cycle, and 0 or more cycles.")
    settings: dict[str, object] = {
        "BOARD": boards.find(board).folder.name,
        "ENGINE": engine,
        "OPTIMIZE": optimize,
        "INFERENCES_PER_CYCLE": inferences_per_cycle,
    }
    if cycles is not None:  # or else the board's own, of its board.cmake
        settings["CYCLES"] = cycles
    tools = compiling.programs(toolchain)
    settings["CMAKE_MAKE_PROGRAM"] = tools["ninja"].as_posix()
    if "zig" in tools:
        settings["ZIG"] = tools["zig"].as_posix()
    if engine == "tflm":
        settings["TFLM_ROOT"] = compiling.tflm_root().as_posix()
    # Apart from the course's own images, which a report looks at
    variant = Path(sources).name if sources else "data" if hasattr(data, "names") else None
    folder = home.firmware_build_dir / _name(board, engine, toolchain, variant)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise compiling.cannot_build(folder, error) from error
    with files.locked(folder / ".lock", _BUSY.format(folder), _BUSY_TIMEOUT):
        source, content = Path(sources or "") / "model" / "model.cc", None
        if sources is None and function is None:
            source, content = folder / "model.cc", model_bytes(model, home)
        parsed = None if content is None else tflite.parse(content)
        settings.update(_ranges(parsed, _meant(data, model, home)).settings)
        if content is not None:
            preflight.check(content, boards.find(board), engine, program)
        if function is not None:
            _write_if_new(folder / "function.h", function)
            settings["NETWORK"] = folder.as_posix()
        elif engine == "generated":
            network = plain_c.header(content or c_source.read(source), "network")
            _write_if_new(folder / "network.h", network)
            settings["NETWORK"] = folder.as_posix()
        else:
            if content is not None:
                # Written anew: what another tool wrote has other names, and no alignment.
                _write_if_new(source, c_source.to_c_source(content))
            settings["MODEL_CC"] = source.as_posix()
        is_int8 = content is not None and diagnosis.is_int8(tflite.parse(content))
        settings["ENGINE_FLOAT32"] = "OFF" if is_int8 or engine == "generated" else "ON"
        compiling.compile(
            tools["cmake"], preset, folder, settings, Path(sources or paths.FIRMWARE_DIR)
        )
        if content and board in boards.REAL and engine != "generated":
            image = Elf(folder / "wave.elf")
            preflight.check_arena(content, image, boards.find(board), engine)
        return _put_in_place(folder, locate(board, engine, toolchain, variant, home))


def locate(
    board: str = "emulator",
    engine: str = "compact",
    toolchain: str = "zig",
    variant: str | None = None,
    home: Home | None = None,
) -> Image:
    """The Image that `build` makes of the same choices, whether it is there or not.

    variant: the name of the folder with other sources; 'data' of a build for measurements.
    """
    folder = (home or paths.home()).firmware_images_dir
    name = _name(board, engine, toolchain, variant)
    wave, sweep = (folder / f"{name}-{program}{_suffix(board)}" for program in PROGRAMS)
    return Image(wave, sweep, board, engine, toolchain)


def _name(board: str, engine: str, toolchain: str, variant: str | None) -> str:
    """What a build's folder is called, and its images begin with."""
    name = f"{board}-{engine}-{toolchain}"
    return f"{variant}-{name}" if variant else name


def _suffix(board: str) -> str:
    return compiling.EXE if board == "host" else ".elf"


def sizes(image: Path | str) -> dict[str, int]:
    """What an image for a microcontroller takes: {part: bytes}.

    image: path of an ELF file. The parts are the keys of FLASH_SECTIONS and of RAM_SECTIONS, and
    'other' for what is in no section of these. Flash is `flash_bytes`, RAM `ram_bytes` of it;
    neither stack nor arena are in RAM's figure, they show when the image runs.
    Raises WorkshopError if it is no image.
    """
    known = {section: part for part, section in {**FLASH_SECTIONS, **RAM_SECTIONS}.items()}
    taken = dict.fromkeys([*known.values(), "other"], 0)
    for name, (_, size, _) in Elf(image).sections.items():
        if name not in (".arena", ".stack"):
            taken[known.get(name, "other")] += size
    return taken


def flash_bytes(taken: Mapping[str, int]) -> int:
    """Total flash, of what `sizes` returned."""
    return sum(taken[part] for part in (*FLASH_SECTIONS, "other"))


def ram_bytes(taken: Mapping[str, int]) -> int:
    """Total static RAM, of what `sizes` returned."""
    return sum(taken[part] for part in RAM_SECTIONS)


def costs(wave: Path | str, result: "Result") -> dict[str, Any]:
    """What the application costs on a board: {'flash', 'ram', 'instructions'}.

    wave: path of its image. result: what `emulator.run` returned for it. flash and ram in bytes,
    ram with arena and stack; instructions per inference, the median.
    """
    taken = sizes(wave)
    return {
        "flash": flash_bytes(taken),
        "ram": ram_bytes(taken) + (result.arena_used or 0) + result.stack_bytes,
        "instructions": result.median_instructions,
    }


def equal_answers(sweep: Path | str, tflite_model: bytes, runtime: str) -> int:
    """How many of a chip's answers, 256 of one input, equal those of a runtime on this computer.

    sweep: path of an image, run on the emulator. tflite_model: flatbuffer of the model in it, int8.
    Of several inputs there are 512 rows of answers. runtime: as for `inference.invoke`.
    """
    from workshop_utils import emulator

    return equal_rows(emulator.run(sweep, count=False).console, tflite_model, runtime)


def equal_rows(printed: str, tflite_model: bytes, runtime: str) -> int:
    """The same for what a sweep has printed, text."""
    import numpy as np

    from workshop_utils import inference

    columns, rows = console.table(printed)
    inputs = sum(name.startswith("q_in") for name in columns)
    codes = inference.every_code(inputs)
    expected = np.hstack([codes, inference.invoke_rows(tflite_model, codes, runtime)])
    on_chip = np.array(rows)
    if on_chip.shape != expected.shape:
        raise WorkshopError("The firmware holds another model, with other inputs or outputs.")
    return int(np.count_nonzero((on_chip == expected).all(axis=1)))


def answers(image: Image, tflite_model: bytes, x: "ArrayLike") -> "NDArray[np.float32]":
    """What the firmware's own codes answer to real inputs, without a runtime of this computer.

    image: of the emulator, a board or the host; its program sweep is run once. tflite_model:
    flatbuffer of the model in it, int8 with one input and one output. x: shape (n,), in the units
    of the model's data. Returns float32, (n,).
    """
    import numpy as np

    from workshop_utils import inference

    source, target = inference.details(tflite_model)
    columns, rows = console.table(run(image, "sweep"))
    of_code = np.array([row[columns.index("q_out")] for row in rows])
    codes = inference.quantize(x, *source["quantization"]).astype(int)
    return inference.dequantize(of_code[codes + 128], *target["quantization"])


def run(image: Image, program: str = "wave") -> str:
    """What a program, 'wave' or 'sweep', prints on the emulated board or on the host: text.

    Raises WorkshopError like `emulator.run` and `run_program`.
    """
    from workshop_utils import emulator

    path = {"wave": image.wave, "sweep": image.sweep}[program]
    if image.board != "host":
        return emulator.run(path, count=False, board=image.board).console
    text = run_program(path)
    console.check_console(text)
    return text


def run_program(program: Path | str, timeout: float = 60) -> str:
    """Run a program of the board 'host'; returns what it printed, text.

    timeout: seconds. Raises WorkshopError if it does not start, end or survive.
    """
    try:
        with files.os_errors_as(f"Cannot run {program}"):
            code, text = processes.run([program], timeout)
    except subprocess.TimeoutExpired as error:
        raise WorkshopError(
            f"The firmware hangs: after {timeout} seconds {Path(program).name} is not at its end."
        ) from error
    if code < 0 or (code and "# " not in text):
        raise WorkshopError(f"The firmware crashed: {Path(program).name} ended with code {code}.")
    return text


# ---- What a build needs


def model_bytes(model: Path | str | None = None, home: Home | None = None) -> bytes:
    """The model that a build takes (flatbuffer, bytes).

    model: path of a .tflite file, or of C or C++ source with a model in it; None, and home, as for
    `build`. Raises WorkshopError, which names the file, if it cannot be read or is something else.
    """
    if model is None:
        return c_source.read(_written_source(home or paths.home()))
    content = files.read_model(model)
    if tflite.foreign(content) is None:
        try:
            tflite.parse(content)
        except WorkshopError as error:
            raise WorkshopError(
                f"{paths.display_path(model)} is a TensorFlow Lite model that is damaged or cut "
                "off; fetch or make it again."
            ) from error
        return content
    return c_source.from_bytes(content, paths.display_path(model))


def ranges_of(
    model: Path | str | None = None,
    home: Home | None = None,
    data: "Measurements | Ranges | None" = None,
) -> Ranges:
    """What the application goes through, as a build decides it: a `device.ranges.Ranges`.

    model, home: as for `model_bytes`. data: measurements of one input decide it; without, the
    course's own model goes through a turn of the sine, and so does any other whose input covers
    that; else it is what the model's ends cover.
    Raises WorkshopError if data and model do not go together.
    """
    data = _meant(data, model, home or paths.home())
    if isinstance(data, Ranges):
        return data
    return _ranges(tflite.parse(model_bytes(model, home)), data)


def _meant(
    data: "Measurements | Ranges | None", model: Path | str | None, home: Home
) -> "Measurements | Ranges | None":
    """The data, or what goes without saying: that the course's own model, however it was
    calibrated, is for the sine."""
    is_course = model is None and home.own_notebook is None
    return ranges.SINE if data is None and is_course else data


def _ranges(model: tflite.Model | None, data: "Measurements | Ranges | None") -> Ranges:
    """model: None where it is not known."""
    if isinstance(data, Ranges):
        return data
    if model is not None and not (model.inputs and model.outputs):
        model = None  # pre-flight has a sentence on that
    if data is None:
        return ranges.SINE if model is None else ranges.of_model(model)
    (*spans, _), wanted = _spans(data), 1
    if model is not None:
        wanted, outputs = (model.tensors[ends[0]].size for ends in (model.inputs, model.outputs))
        if outputs != 1:
            raise WorkshopError(f"The model gives {outputs:,} values, and the data has one output.")
    if len(spans) != wanted:
        names = ", ".join(name for name, _, _ in spans)
        raise WorkshopError(
            f"The data has {len(spans):,} input{'s' * (len(spans) > 1)} ({names}), and the model "
            f"takes {wanted:,}."
        )
    # Of several inputs there is no wave, and so nothing to go through.
    return ranges.of_data(data.x, data.y) if wanted == 1 else ranges.SINE


def _spans(data: "Measurements") -> list[diagnosis.Span]:
    """Each column of the measurements, the output's last, and from where to where it goes."""
    columns = [*data.x.reshape(len(data.x), -1).T, data.y]
    return [
        (name, float(column.min()), float(column.max()))
        for name, column in zip(data.names, columns, strict=True)
    ]


def remarks(
    model: Path | str | None = None,
    home: Home | None = None,
    data: "Measurements | None" = None,
) -> list[str]:
    """What whoever builds with a model should know although it runs: a list of sentences.

    model, home: as for `model_bytes`, which must be able to read it. data: what it is meant for, if
    that is not the sine.
    """
    spans = None if data is None else _spans(data)
    found = diagnosis.remarks(tflite.parse(model_bytes(model, home)), spans)
    source = _written_source(home or paths.home()) if model is None else Path(model)
    content = files.read_model(source)
    if tflite.foreign(content) and c_source.lacks_const(content):
        found.append(
            f"{paths.display_path(source)} declares its array without const, which would put the "
            "model into RAM; this build adds it, and other projects need it in the file."
        )
    return found


def _written_source(home: Home) -> Path:
    """The model.cc that notebook 06 wrote, or else the project's own; the one and only model of a
    project of one's own. Raises MissingArtifact if its notebook has not made it yet."""
    if home.own_notebook:
        return home.require(home.sensor_dir / "model.cc")
    written = home.firmware_model
    return written if written.is_file() else paths.FIRMWARE_REFERENCE_MODEL


def _write_if_new(path: Path, text: str) -> None:
    """Write a source file. An unchanged one keeps its date, and so is not compiled again."""
    if not (path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text):
        files.write(path, text)


# ---- The build


def _put_in_place(folder: Path, image: Image) -> Image:
    """Copy the programs out of the build's folder, with the files for the board's drive if it has
    one; all or none."""
    board = boards.find(image.board)
    with ExitStack() as stack:
        for program, target in zip(PROGRAMS, (image.wave, image.sweep), strict=True):
            built = folder / f"{program}{_suffix(board.name)}"
            shutil.copyfile(built, stack.enter_context(files.replacing(target)))
            if board.suffix:
                temporary = stack.enter_context(files.replacing(image.file(program)))
                temporary.write_bytes(images.encoded(Elf(built), board))
    if board.name == "host":
        for target in (image.wave, image.sweep):
            target.chmod(0o755)
    return image
