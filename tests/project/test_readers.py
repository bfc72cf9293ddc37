"""Whoever reads a file from outside ends with a sentence, soon, whatever is in the file.

What means harm to one kind of file alone is tried where its reader is tested.
"""

import os
import random
import struct
import zipfile

import pytest
from hostile import refusals

if not hasattr(os, "mkfifo"):
    pytest.skip("the system has no pipes with names", allow_module_level=True)

ELF = struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0, 52, 52, 0, 52, 32, 65535, 40, 65535, 65534)
LETTERS = "abcdefghijklm"
FILES = {
    "aliases": "".join(
        f"{one}: &{one} [{', '.join([f'*{before}' if before else '1'] * 9)}]\n"
        for before, one in zip(["", *LETTERS], LETTERS, strict=False)
    ).encode(),
    "array": b"const unsigned char a[] = {" + b"0x1," * 2_000_000,
    "braces": b"a[]={" * 300_000,
    "brackets": b"[" * 100_000,
    "cell": b'run,status\n1,"' + b"x" * 5_000_000 + b'"\n',
    "columns": ",".join(f"c{number}" for number in range(100_000)).encode(),
    "digits": b'{"a": ' + b"9" * 6000 + b"}",
    "empty": b"",
    "ELF": b"\x7fELF\x01\x01\x01" + bytes(9) + ELF + bytes(10_000),
    "keys": b"{" + b",".join(b'"%d": 1' % number for number in range(90_000)) + b"}",
    "lines": b"\n" * 2_000_000,
    "model": struct.pack("<I", 16) + b"TFL3" + b"\xff" * 1000,
    "quotes": b'"' * 1_000_001,
    "random": random.Random(1).randbytes(5000),
    "rows": b"run,status,error\n" + b"1,ok,\n" * 300_000,
    "UTF-16": b"\xff\xfe{",
}
READERS = {
    "dataset": ("from workshop_utils import data", "data.load(path)"),
    "description of a sweep": ("from workshop_utils.sweeps import spec", "spec.read(path)"),
    "image": ("from workshop_utils.device import elf", "elf.Elf(path)"),
    "measurements": ("from workshop_utils import measurements", "measurements.read(path)"),
    "model": (
        "from workshop_utils import firmware\nfrom workshop_utils.device import tflite",
        "tflite.parse(firmware.model_bytes(path))",
    ),
    "notebook": ("from workshop_utils import files", "files.read_notebook(path)"),
    "record": ("from workshop_utils.running import records", "records.read(path)"),
    "source": ("from workshop_utils import c_source", "c_source.read(path)"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    with (folder / "zeros").open("wb") as file:
        file.truncate(70 << 20)
    with zipfile.ZipFile(folder / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", bytes(200_000_000))
    os.mkfifo(folder / "pipe")
    (folder / "device").symlink_to("/dev/zero")
    (folder / "circle").symlink_to("circle")
    (folder / "folder").mkdir()
    return folder


@pytest.mark.parametrize("reader", READERS)
def test_a_hostile_file_is_one_sentence_within_seconds(reader, folder):
    refused = refusals(*READERS[reader], folder)
    assert len(refused.found) > 20
    for name in refused.found:
        sentence = refused.of(name)
        assert sentence and "\n" not in sentence and len(sentence) < 600, name
