import hashlib
import re
import shutil
import subprocess

import pytest

from workshop_utils import c_source, paths
from workshop_utils.errors import MissingArtifact, WorkshopError

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
DUMP = """
#include <cstdint>
#include <cstdio>
#include "model.h"
int main() {
  if (reinterpret_cast<std::uintptr_t>(g_model) % 16 != 0) return 1;
  return std::fwrite(g_model, 1, g_model_len, stdout) == g_model_len ? 0 : 2;
}
"""


def test_there_and_back(int8_tflite, tmp_path):
    path = c_source.write(int8_tflite, tmp_path / "model.cc")
    assert c_source.read(path) == int8_tflite


@pytest.mark.parametrize("length", [8, 11, 12, 13, 24])
def test_there_and_back_at_the_ends_of_rows(length):
    data = (b"\x00\x00\x00\x00TFL3" + bytes(range(256)))[:length]
    assert c_source.from_c_source(c_source.to_c_source(data)) == data


def test_says_what_it_is(int8_tflite):
    text = c_source.to_c_source(int8_tflite)
    assert text == c_source.to_c_source(int8_tflite)
    assert "workshop_utils.c_source" in text and "Do not edit" in text
    assert hashlib.sha256(int8_tflite).hexdigest() in text
    assert f"{len(int8_tflite)} bytes" in text
    assert "alignas(16) const unsigned char g_model[] = {" in text
    assert f"const unsigned int g_model_len = {len(int8_tflite)};" in text
    assert max(map(len, text.splitlines())) <= 100
    assert text.isascii()


@pytest.mark.skipif(COMPILER is None, reason="no C++ compiler here")
def test_a_compiler_finds_the_same_bytes(int8_tflite, tmp_path):
    c_source.write(int8_tflite, tmp_path / "model.cc")
    (tmp_path / "dump.cc").write_text(DUMP)
    include = paths.PROJECT / "firmware" / "model"
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", include]
    subprocess.run(
        [COMPILER, *flags, "model.cc", "dump.cc", "-o", "dump"], cwd=tmp_path, check=True
    )
    dumped = subprocess.run([tmp_path / "dump"], capture_output=True, check=True).stdout
    assert dumped == int8_tflite


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\x1c\x00\x00\x00TFLX0000", b"PK\x03\x04" * 10])
def test_bytes_that_are_no_model(data):
    with pytest.raises(WorkshopError, match="not a TensorFlow Lite model"):
        c_source.to_c_source(data)


def edits(text):
    row = re.search(r"  0x.*\n", text)[0]
    return {
        "a byte": text.replace("0x54, 0x46", "0x55, 0x46"),
        "a row removed": text.replace(row, "", 1),
        "a row twice": text.replace(row, row + row, 1),
        "a byte too large": text.replace("0x54, 0x46", "0x154, 0x46"),
        "a word in it": text.replace("0x54, 0x46", "foo, 0x46"),
        "another length": re.sub(r"g_model_len = \d+", "g_model_len = 12", text),
        "empty array": re.sub(r"\{[^}]*\}", "{\n}", text),
    }


@pytest.mark.parametrize("edit", edits("  0x00,\n").keys())
def test_edited_by_hand(int8_tflite, edit):
    text = c_source.to_c_source(int8_tflite)
    edited = edits(text)[edit]
    assert edited != text
    with pytest.raises(WorkshopError, match=r"changed by hand; run notebook 06_microcontroller"):
        c_source.from_c_source(edited)


@pytest.mark.parametrize("keep", [0, 100, 2000])
def test_cut_off(int8_tflite, keep):
    with pytest.raises(WorkshopError, match=r"not a whole model\.cc"):
        c_source.from_c_source(c_source.to_c_source(int8_tflite)[:keep])


def test_windows_line_ends_do_not_matter(int8_tflite):
    text = c_source.to_c_source(int8_tflite).replace("\n", "\r\n")
    assert c_source.from_c_source(text) == int8_tflite


def test_missing_file(tmp_path):
    with pytest.raises(MissingArtifact):
        c_source.read(tmp_path / "model.cc")


def test_a_bad_model_leaves_the_old_file(int8_tflite, tmp_path):
    path = c_source.write(int8_tflite, tmp_path / "model.cc")
    with pytest.raises(WorkshopError):
        c_source.write(b"nonsense", path)
    assert c_source.read(path) == int8_tflite
