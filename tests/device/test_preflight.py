"""What is said of a model and a board before anything is compiled: nothing, or one sentence."""

import re
import subprocess
import sys

import numpy as np
import pytest
import tflite_factory

from workshop_utils import c_source, emulator, firmware, paths
from workshop_utils.device import boards, preflight, tflite
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError

V1, V2 = map(boards.find, ("microbit-v1", "microbit-v2"))
ENGINES = ("compact", "tflm")


@pytest.fixture(scope="module")
def reference():
    """The project's own model, int8, bytes."""
    return c_source.read(paths.FIRMWARE_REFERENCE_MODEL)


def problem(content, board, engine="compact"):
    return preflight.problem(tflite.parse(content), board, engine)


def layers(*widths):
    return tflite_factory.sine_layers(widths)


GOOD = {
    "int8": lambda: tflite_factory.quantized(layers(1, 16, 16, 1)),
    "int8 per channel": lambda: tflite_factory.quantized(layers(1, 16, 9, 1), per_channel=True),
    "float32": lambda: tflite_factory.fully_connected(layers(1, 7, 1), "float32"),
    "no bias": lambda: tflite_factory.quantized(
        tflite_factory.sine_layers((1, 8, 1), "RELU6", bias=False)
    ),
    "wide": lambda: tflite_factory.quantized(layers(1, 61, 5, 1)),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("engine", ENGINES)
def test_models_that_the_engines_run_pass(name, engine):
    for board in boards.BOARDS.values():
        preflight.check(GOOD[name](), board, engine)


def test_the_converters_own_models_pass(int8_tflite, float_tflite):
    for content in (int8_tflite, float_tflite):
        for board in boards.BOARDS.values():
            preflight.check(content, board)
            preflight.check(content, board, "tflm")


@pytest.mark.parametrize("name", boards.NAMES)
def test_every_board_refuses_what_the_engine_does_not_run(name):
    strange = tflite_factory.followed_by(GOOD["int8"](), "TANH")
    for engine in ENGINES:
        with pytest.raises(WorkshopError, match=r"^The operator TANH is not built in; "):
            preflight.check(strange, boards.find(name), engine)
    several = tflite_factory.quantized(layers(2, 4, 3))
    preflight.check(several, boards.find(name))
    preflight.check(several, boards.find(name), program="sweep")
    with pytest.raises(WorkshopError, match=r"^The model's input has 2 values, and the applicati"):
        preflight.check(several, boards.find(name), program="wave")


# ---- Memory


def test_a_model_larger_than_the_flash(reference):
    large = reference + bytes(256 << 10)
    assert problem(large, V1) == (
        f"The model does not fit: it has {len(large):,} bytes, and the flash of the micro:bit v1 "
        "has 262,144; take narrower layers."
    )
    assert problem(large, V2) is None
    assert problem(large, V1, "generated") is None
    tight = reference + bytes((256 << 10) - len(reference) - 3000)
    assert "259,144 bytes, the firmware around it at least 3,500, and" in problem(tight, V1)


def test_a_model_that_needs_more_ram_than_there_is():
    first = tflite_factory.Layer(np.ones((3000, 1), np.int8), weight_scales=[0.01] * 3000)
    wide = tflite_factory.fully_connected(
        [first, tflite_factory.Layer(np.ones((1, 3000), np.int8))]
    )
    sentence = r"needs 42,\d\d\d bytes of RAM .* micro:bit v1 has 16,384; take narrower layers\.$"
    assert re.search(sentence, problem(wide, V1))
    assert problem(wide, V2) is None


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.mark.parametrize("name", ["int8 per channel", "float32", "wide", "no bias"])
def test_the_arena_is_what_the_firmware_says_it_is(shared_home, monkeypatch, tmp_path, name):
    monkeypatch.setenv("WORKSHOP_HOME", str(shared_home))
    content = GOOD[name]()
    (tmp_path / "m.tflite").write_bytes(content)
    image = firmware.build(model=tmp_path / "m.tflite", cycles=1, inferences_per_cycle=1)
    assert emulator.run(image.wave, count=False).arena_used == preflight.arena_bytes(content)
    taken = firmware.sizes(image.wave)
    around = firmware.flash_bytes(taken) - taken["model"]
    assert around > preflight.FLASH_AROUND["compact"]  # a bound from below


def test_an_image_that_leaves_too_little_ram(reference, tmp_path):
    needed = preflight.arena_bytes(reference)
    image = Elf.__new__(Elf)
    image.symbols = {"arena_start": 0x20000100, "arena_end": 0x20000100 + needed}
    preflight.check_arena(reference, image, V1)
    image.symbols["arena_end"] -= 1
    with pytest.raises(WorkshopError, match=rf"needs {needed} bytes .* {needed - 1} are left"):
        preflight.check_arena(reference, image, V1)
    preflight.check_arena(reference, image, V1, "tflm")


def test_it_does_not_import_tensorflow():
    code = (
        "import sys; from workshop_utils import c_source, paths;"
        "from workshop_utils.device import boards, preflight;"
        "model = c_source.read(paths.FIRMWARE_REFERENCE_MODEL);"
        "preflight.check(model, boards.BOARDS['pico'], 'tflm');"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=paths.PROJECT)
