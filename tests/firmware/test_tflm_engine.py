"""The engine tflm on QEMU, linked with an installed TFLM: TFLM_ROOT says where that is."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import qemu
import tflite_factory as factory

from workshop_utils import c_source, emulator, firmware, inference, paths
from workshop_utils.device import console

FIRMWARE = Path(__file__).resolve().parents[2] / "firmware"
TFLM_ROOT = os.environ.get("TFLM_ROOT", "")
CASES = {
    "sine": factory.proof_models()["sine 1-16-16-1"],
    "one layer": factory.proof_models()["sine 1-1"],
    "per channel": factory.proof_models()["random overdriven per channel"],
    "float32": factory.float_models()["1-16-16-1 RELU"],
} | {f"bad: {name}": model for name, (model, _) in factory.bad_models().items()}

# A program instead of the sweep, for what an app never does. A line for each case: the reason for
# which it is refused; or what it needs, the least arena with which it is accepted, how many lengths
# and places of the arena gave an answer where they should not or the other way round, and how many
# bytes outside of the arena were changed. 0 to 1023 is where a null pointer would write to.
PROBE = """
#include <string.h>
#include "app/console.h"
#include "boards/board.h"
#include "cases.h"
#include "engine/predictor.h"
using engine::Status;

namespace {
constexpr uint32_t kMargin = 64, kRoom = 1 << 18;
alignas(16) uint8_t memory[kRoom];
uint8_t vectors[1024], bytes[4096], answer[4096], first[4096];

Status Infer(uint8_t* to) {
  return engine::GetInfo().is_int8 ? engine::Invoke((int8_t*)bytes, (int8_t*)to)
                                   : engine::InvokeFloat((float*)bytes, (float*)to);
}

// How many bytes around the arena, and at address 0, are not as they were.
uint32_t Damage(uint32_t offset, uint32_t length) {
  const volatile uint8_t* volatile zero = nullptr;
  uint32_t damage = 0;
  for (uint32_t i = 0; i < sizeof(vectors); ++i) damage += zero[i] != vectors[i];
  for (uint32_t i = 0; i < kMargin; ++i) damage += memory[offset + i] != 0xa5;
  for (uint32_t i = 0; i < kMargin; ++i) damage += memory[offset + kMargin + length + i] != 0xa5;
  return damage;
}

Status Init(const Case& test, uint32_t offset, uint32_t length) {
  memset(memory, 0xa5, offset + length + 2 * kMargin);
  return engine::Init(test.model, test.length, memory + offset + kMargin, length);
}

void Print(const char* name, uint32_t number) {
  app::Print(name);
  app::PrintInteger((int32_t)number);
}

void Probe(const Case& test) {
  app::Print(test.name);
  if (Init(test, 0, kRoom - 2 * kMargin) != Status::kOk) {
    app::Print(" | refused: ");
    app::Print(engine::Reason());
    if (engine::GetInfo().inputs != 0 || Infer(answer) != Status::kNotInitialized) app::Print("?");
    app::Print("\\n");
    return;
  }
  const uint32_t need = engine::GetInfo().arena_used;
  uint32_t least = 0, wrong = Infer(first) != Status::kOk, damage = 0;
  for (uint32_t length = 0; length < need + 64 && test.is_good; ++length) {
    const Status status = Init(test, 0, length);
    if (status == Status::kOk && least == 0) least = length;
    wrong += status != (length < need ? Status::kArenaTooSmall : Status::kOk);
    damage += Damage(0, length);
  }
  for (uint32_t offset = 0; offset < 32; ++offset) {
    wrong += Init(test, offset, need + 15) != Status::kOk || Infer(answer) != Status::kOk;
    wrong += memcmp(first, answer, sizeof(answer)) != 0;
    damage += Damage(offset, need + 15);
  }
  Print(" | need=", need);
  Print(" least=", least);
  Print(" wrong=", wrong);
  Print(" damage=", damage);
  app::Print("\\n");
}
}  // namespace

int main() {
  board::Init();
  const volatile uint8_t* volatile zero = nullptr;
  for (uint32_t i = 0; i < sizeof(vectors); ++i) vectors[i] = zero[i];
  if (Infer(answer) != Status::kNotInitialized) app::Print("ran without Init()\\n");
  for (const Case& test : kCases) Probe(test);
  app::Print("# end\\n");
  board::Stop(0);
}
"""


def configure(folder, *settings, preset="emulator-gcc", source=FIRMWARE):
    """Run CMake's first step. Returns what it says and whether it was content."""
    cmake = [sys.executable, "-m", "cmake", "--preset", preset, "-S", source, "-B", folder]
    environment = {name: value for name, value in os.environ.items() if name != "TFLM_ROOT"}
    result = subprocess.run(
        [*cmake, "-DENGINE=tflm", *settings],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
    )
    return " ".join((result.stdout + result.stderr).split()), result.returncode == 0


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """f(optimize, source=FIRMWARE, verifier="OFF") -> folder with the images, each built once."""
    if not TFLM_ROOT:
        pytest.skip("TFLM_ROOT is not set: it is to name an installed TFLM for hard float")
    qemu.require("arm-none-eabi-g++", "qemu-system-arm")
    folders = {}

    def run(optimize, source=FIRMWARE, verifier="OFF"):
        if (optimize, source, verifier) not in folders:
            folder = tmp_path_factory.mktemp("tflm")
            model = f"-DMODEL_CC={paths.FIRMWARE_REFERENCE_MODEL}"
            settings = (f"-DTFLM_ROOT={TFLM_ROOT}", f"-DOPTIMIZE={optimize}", model)
            verify = f"-DTFLM_VERIFIER={verifier}"
            said, done = configure(folder, *settings, verify, source=source)
            assert done, said
            command = [sys.executable, "-m", "cmake", "--build", folder]
            result = subprocess.run(command, capture_output=True, text=True)
            assert result.returncode == 0, result.stdout + result.stderr
            folders[optimize, source, verifier] = folder
        return folders[optimize, source, verifier]

    return run


@pytest.fixture(scope="module")
def probed(build, tmp_path_factory):
    """What PROBE prints for each case, {name: text}."""
    copy = tmp_path_factory.mktemp("probe") / "firmware"
    shutil.copytree(FIRMWARE, copy, ignore=shutil.ignore_patterns("build", "images"))
    (copy / "app" / "sweep.cc").write_text(PROBE)
    arrays, rows = [], []
    for number, (name, model) in enumerate(CASES.items()):
        numbers = ",".join(map(str, model)) or "0"
        arrays.append(f"alignas(16) const uint8_t kModel{number}[] = {{{numbers}}};")
        is_good = str(not name.startswith("bad: ")).lower()
        rows.append(f'{{"{name}", kModel{number}, {len(model)}, {is_good}}},')
    struct = "struct Case { const char* name; const uint8_t* model; size_t length; bool is_good; };"
    text = [*arrays, struct, "const Case kCases[] = {", *rows, "};"]
    (copy / "cases.h").write_text("\n".join(text))
    images = build("-Os", copy, verifier="ON")
    lines = qemu.run(images / "sweep.elf").splitlines()
    assert lines.pop() == "# end", lines[-1]
    return dict(line.split(" | ") for line in lines)


# ---- Without TFLM


@pytest.mark.parametrize("root", ["", "/nowhere"])
def test_without_tflm_configuring_ends_with_one_sentence(tmp_path, root):
    said, done = configure(tmp_path, f"-DTFLM_ROOT={root}")
    assert not done
    sentence = (
        "ENGINE=tflm needs TFLM_ROOT, the folder of an installed TFLM (include/ and "
        f"lib/libtensorflow-microlite.a), but it is '{root}'."
    )
    assert sentence in said and said.count("CMake Error") == 1


@pytest.mark.parametrize("preset", ["emulator", "host"])
def test_zig_does_not_build_tflm(tmp_path, preset):
    said, done = configure(tmp_path, preset=preset)
    assert not done and said.count("CMake Error") == 1
    assert re.search(r"ENGINE=tflm needs [^.]*: take the preset emulator-gcc\.", said)


# ---- With TFLM


@pytest.mark.parametrize("optimize, verifier", [("-Os", "OFF"), ("-O2", "OFF"), ("-O2", "ON")])
def test_all_256_answers_are_those_of_the_python_package(build, optimize, verifier):
    if problem := inference.tflm_problem():
        pytest.skip(problem)
    codes = np.arange(-128, 128).astype(np.int8)
    model = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
    expected = np.column_stack([codes, inference.invoke(model, codes, "tflm")])
    image = build(optimize, verifier=verifier) / "sweep.elf"
    printed = qemu.run(image)
    _, rows = console.table(printed)
    assert printed.startswith("# engine tflm: arena ")
    np.testing.assert_array_equal(rows, expected)
    assert emulator.run(image, count=False).console == printed


@pytest.mark.parametrize("optimize", ["-Os", "-O2"])
def test_the_verifier_is_an_option_that_costs_flash_alone(build, optimize):
    without, with_it = (
        firmware.sizes(build(optimize, verifier=choice) / "wave.elf") for choice in ("OFF", "ON")
    )
    changed = {part for part in without if without[part] != with_it[part]}
    assert changed <= {"engine", "bss"} and with_it["bss"] - without["bss"] < 16
    assert 8_000 < with_it["engine"] - without["engine"] < 30_000


def test_nothing_waits_for_a_constructor_that_nobody_calls(build):
    objects = list((build("-Os") / "CMakeFiles" / "engine.dir").rglob("engine.cc.obj"))
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-h", *objects], capture_output=True, text=True, check=True
    ).stdout
    assert ".text" in listing and ".init_array" not in listing


@pytest.mark.parametrize("name", ["sine", "one layer", "per channel", "float32"])
def test_the_arena_it_asks_for_is_the_least_and_nothing_else_is_written(probed, name):
    figures = dict(figure.split("=") for figure in probed[name].split())
    assert figures["least"] == figures["need"] and figures["wrong"] == figures["damage"] == "0"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("CONV_2D", "TFLM found operator CONV_2D, which is not built in"),
        ("custom operator", "TFLM found operator CUSTOM, which is not built in"),
        ("scale 0", "a scale is no positive number"),
        ("two subgraphs", "TFLM found more or less than one subgraph"),
        ("two input tensors", "TFLM found more or less than one input or output"),
        ("version 2", "TFLM has another schema version"),
        ("weights too short", "the model is damaged or cut off"),
        ("nothing", "this is no TensorFlow Lite model"),
    ],
)
def test_refusals_have_a_reason(probed, name, reason):
    assert probed[f"bad: {name}"] == f"refused: {reason}"
