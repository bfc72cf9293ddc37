"""Break the firmware on purpose: a copy of it, with mistakes in it. Introduced in notebook 08."""

from collections.abc import Sequence
from typing import Any

from workshop_utils import c_source, files, firmware, paths
from workshop_utils.device import tflite
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home

_PREDICT = "engine/predict.cc"
# Edits for `build`, each with a mistake that is made again and again.
ACCIDENTS = {
    "port": (
        (_PREDICT, "Nearest(real / scale)", "static_cast<int32_t>(real / scale)"),
        (_PREDICT, r"\n ssat %0, #8, %0", ""),  # the instruction that clips to 8 bits
    ),
    "colleague": (
        (
            _PREDICT,
            "Quantize(x, info.input_scale, info.input_zero_point)",
            "static_cast<int8_t>(x)",
        ),
    ),
    "seventh": ((_PREDICT, "* info.output_scale", "* info.input_scale"),),
}


def build(
    model: bytes | str,
    edits: Sequence[tuple[str, str, str]] = (),
    home: Home | None = None,
    **choices: Any,
) -> firmware.Image:
    """Compile a copy of the firmware after replacing texts in it. Returns a firmware.Image.

    model: flatbuffer, bytes; or the text of a model.cc, compiled as it stands. edits: a list of
    (file below firmware/, text, its replacement); the text must be there exactly once.
    home, choices: for `firmware.build`; without `cycles` the program makes one turn of the sine.
    The firmware itself, and images built of it, stay as they are.
    Raises WorkshopError if there is no such text, or if the build fails.
    """
    home = home or paths.home()
    copy = home.firmware_build_dir / "broken"
    # The mistakes of this lab are to be seen when the program runs, not when it is compiled.
    wanted = _sources([*edits, ("CMakeLists.txt", " -Werror", "")])
    wanted["model/model.cc"] = model if isinstance(model, str) else c_source.to_c_source(model)
    for name, text in wanted.items():
        file = copy / name
        # What is unchanged keeps its date and is not compiled again.
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            files.write(file, text)
    return firmware.build(sources=copy, home=home, **{"cycles": 1, **choices})


def by_mail(content: bytes) -> bytes:
    """A flatbuffer as it arrived: an accident of notebook 08."""
    return content[: len(content) // 2]


def seen_by_an_old_runtime(content: bytes) -> bytes:
    """A model as a TFLM from before June 2024 takes it: the first of each tensor's scales for all.

    content: flatbuffer. Returns one whose answers, on any runtime, are those of the old one.
    """

    def keep_first(model: Any) -> None:
        for tensor in model.subgraphs[0].tensors:
            tensor.quantization.scale = tensor.quantization.scale[:1]
            tensor.quantization.zeroPoint = tensor.quantization.zeroPoint[:1]

    return tflite.edited(content, keep_first)


def _sources(edits: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """{name: text} of all files that a build needs but the model, edited."""
    paths.require_course(paths.FIRMWARE_DIR)
    texts = {}
    for folder in ("app", "boards", "cmake", "engine", "model", "runtime", "."):
        top = paths.FIRMWARE_DIR / folder
        for file in top.rglob("*") if folder != "." else top.iterdir():
            if file.is_file() and file.name != "model.cc":
                name = file.relative_to(paths.FIRMWARE_DIR).as_posix()
                texts[name] = file.read_text(encoding="utf-8")
    for name, text, replacement in edits:
        if texts.get(name, "").count(text) != 1:
            raise WorkshopError(f"firmware/{name} does not contain {text!r} exactly once.")
        texts[name] = texts[name].replace(text, replacement)
    return texts
