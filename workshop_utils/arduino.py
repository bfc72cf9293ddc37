"""A network as a library for the Arduino IDE and for PlatformIO, with examples.

Source: Arduino library specification (library.properties, src, examples; a ZIP that the IDE imports
holds one folder of the library's name); PlatformIO's library.json.
"""

import io
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from workshop_utils import files, plain_c
from workshop_utils.device import ranges, tflite
from workshop_utils.errors import WorkshopError

AUTHOR = "The workshop's attendees"
EXAMPLES = ("Answers", "Wave")  # the second one is for a curve: one input, one output


@dataclass(frozen=True)
class Library:
    """What `export` wrote. folder: the library as files. archive: the same as a ZIP."""

    folder: Path
    archive: Path


def contents(content: bytes, name: str = "model", tested: str = "") -> dict[str, str]:
    """The library's files, {path in its folder: text}.

    content, name, tested: as for `plain_c.header`, which they become; raises as that does.
    """
    chain = plain_c.layers(content)
    through = ranges.of_model(tflite.parse(content))
    inputs, outputs = chain[0].columns, chain[-1].rows
    values = {
        "name": name,
        "NAME": name.upper(),
        "library": library_name(name),
        "author": AUTHOR,
        "shape": plain_c.shape(chain),
        "data_bytes": f"{plain_c.data_bytes(chain):,}",
        "inputs": inputs,
        "range": {name: plain_c.c_float(value) for name, value in through.settings.items()},
        "header": ",".join([*_columns("q_in", inputs), *_columns("q_out", outputs)]),
    }
    texts = {f"src/{name}.h": plain_c.header(content, name, tested)}
    for path in ("library.properties", "library.json"):
        texts[path] = plain_c.render(f"arduino/{path}.j2", **values)
    examples = EXAMPLES if (inputs, outputs) == (1, 1) else EXAMPLES[:1]
    for example in examples:
        sketch, settings = _files_of(example)
        texts[sketch] = plain_c.render(f"arduino/{example}.ino.j2", **values)
        texts[settings] = plain_c.render("arduino/platformio.ini.j2", **values)
    return texts


def _files_of(example: str) -> tuple[str, str]:
    return f"examples/{example}/{example}.ino", f"examples/{example}/platformio.ini"


def library_name(name: str) -> str:
    """What the library is called: sine_model becomes SineModel; net_2 is Net_2, and net2 Net2."""
    return re.sub(r"(?:^|_)([a-z])", lambda letter: letter[1].upper(), name)


def _is_made(path: Path) -> bool:
    """Whether a header is one of ours, and not one that somebody put beside it."""
    return "// Made by `workshop export c`" in path.read_text("utf-8", errors="replace")


def _columns(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}{number}" for number in range(count)]


def export(content: bytes, output: Path, name: str = "model", tested: str = "") -> Library:
    """Write the library into the folder `output`: as a folder, and as a ZIP beside it.

    Files of a former export are replaced; of its files, examples and headers that this one does not
    have are removed.
    Raises WorkshopError as `contents`, if a file cannot be written, and if there is a folder of
    that name that is no such library.
    """
    texts = contents(content, name, tested)
    folder = Path(output) / library_name(name)
    if folder.exists() and not (folder / "library.properties").is_file():
        raise WorkshopError(f"{folder} is there already and no library; choose another folder.")
    for path, text in texts.items():
        files.write(folder / path, text)
    with files.os_errors_as(f"Cannot write {folder}"):
        former = {folder / path for example in EXAMPLES for path in _files_of(example)}
        former |= {path for path in folder.glob("src/*.h") if _is_made(path)}
        for left in former - {folder / path for path in texts}:
            left.unlink(missing_ok=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, text in sorted(texts.items()):
            # A fixed date, so that the same model makes the same file.
            entry = zipfile.ZipInfo(f"{folder.name}/{path}", (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return Library(folder, files.write(folder.with_suffix(".zip"), packed.getvalue()))
