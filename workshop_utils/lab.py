"""Break the firmware on purpose: a copy of it, with mistakes in it. Introduced in notebook 07."""

from collections.abc import Sequence
from typing import Any

from workshop_utils import c_source, files, firmware, paths
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home


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
