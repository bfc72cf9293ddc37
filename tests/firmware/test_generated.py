"""The engine `generated`: the firmware with the model as plain C, on its boards."""

import numpy as np
import plain
import pytest
import qemu
import tflite_factory as factory
from proof import PROOF

from workshop_utils import c_source, emulator, firmware, paths
from workshop_utils.device import boards, console
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home

OWN = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
MODELS = {
    "own": OWN,
    **{
        name: PROOF[name]
        for name in ("sine 7-6-5-3 per channel", "random steep per channel", "random RELU6")
    },
}
COMBINATIONS = [
    (board, toolchain)
    for board in ("emulator", "microbit-v1", "pico")
    for toolchain in ("zig", "gcc")
]


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """f(model, board, toolchain, ...) -> Image."""
    home, models = Home(tmp_path_factory.mktemp("home")), tmp_path_factory.mktemp("models")

    def build(content, board="emulator", toolchain="zig", **choices):
        if toolchain == "gcc":
            qemu.require("arm-none-eabi-g++")
        model = models / "model.tflite"
        model.write_bytes(content)
        choices = {"engine": "generated", "cycles": 1, "inferences_per_cycle": 40, **choices}
        return firmware.build(board, toolchain=toolchain, model=model, home=home, **choices)

    return build


def judged(content, printed):
    """How many lines of a sweep are wrong, and how many there are."""
    inputs = factory.input_grid(content)
    wanted = np.hstack([inputs, plain.expected(content, inputs)])
    rows = np.array(console.table(printed)[1])
    assert rows.shape == wanted.shape
    return int((rows != wanted).any(axis=1).sum()), len(rows)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("board, toolchain", COMBINATIONS)
def test_every_answer_is_tflms(generated, board, toolchain, name, record_property):
    image = generated(MODELS[name], board, toolchain)
    printed = emulator.run(image.sweep, count=False, board=board).console
    wrong, count = judged(MODELS[name], printed)
    assert wrong == 0
    if board == "emulator" and toolchain == "gcc":
        qemu.require("qemu-system-arm")
        assert judged(MODELS[name], qemu.run(image.sweep)) == (0, count)
    record_property(f"equal to TFLM (engine generated, {board}, {toolchain})", count)


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_what_the_image_takes(generated, toolchain):
    image = generated(OWN, toolchain=toolchain)
    taken = firmware.sizes(image.wave)
    assert 1500 < firmware.flash_bytes(taken) <= 2200
    assert taken["other"] == 0 and all(taken[part] > 0 for part in ("engine", "start-up"))
    # Its 420 bytes of numbers, and what lies between them.
    assert 420 <= taken["model"] <= 480
    result = emulator.run(image.wave)
    assert "# engine generated" in result.console
    assert result.stack_bytes < 300 and not result.arena_used


def test_at_o3_it_is_quicker(generated):
    quick = emulator.run(generated(OWN, toolchain="gcc", optimize="-O3").sweep)
    small = emulator.run(generated(OWN, toolchain="gcc").sweep)
    assert quick.median_instructions <= 950 < small.median_instructions


def test_the_model_of_the_other_engine_is_the_flatbuffer_alone(generated):
    taken = firmware.sizes(generated(OWN, engine="compact").wave)
    assert taken["model"] == len(OWN) + 4


def test_a_model_that_it_cannot_make_is_refused_and_the_image_stays(generated):
    image = generated(OWN)
    former = image.wave.read_bytes()
    floats = next(iter(factory.float_models().values()))
    with pytest.raises(WorkshopError, match=r"^The model computes in float32, and plain C"):
        generated(floats)
    assert image.wave.read_bytes() == former
    assert Elf(image.wave).functions("6engine7Predict")


def test_it_is_an_engine_for_every_board(generated):
    """At least as far as to an image that fits."""
    for board in boards.REAL:
        assert generated(OWN, board).file().is_file()
