"""What is said of a model before anything is compiled: nothing, or all that does not fit."""

import random
import re
import subprocess
import sys

import numpy as np
import pytest
import tflite_factory
from reference import ACTIVATIONS

from workshop_utils import c_source, emulator, firmware, paths
from workshop_utils.device import boards, preflight, tflite
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError

V1, V2, PICO, NUCLEO = map(boards.find, ("microbit-v1", "microbit-v2", "pico", "nucleo-l476rg"))
ENGINES = ("compact", "tflm")
Type = tflite_factory.Type


@pytest.fixture(scope="module")
def reference():
    """The project's own model, int8, bytes."""
    return c_source.read(paths.FIRMWARE_REFERENCE_MODEL)


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
    content = GOOD[name]()
    source = c_source.to_c_source(content)
    for board in boards.BOARDS.values():
        assert preflight.problems(content, board, engine, source) == []


def test_the_converters_own_models_pass(int8_tflite, float_tflite):
    for content in (int8_tflite, float_tflite):
        for board in boards.BOARDS.values():
            assert preflight.problems(content, board) == []
            assert preflight.problems(content, board, "tflm") == []


# ---- Each thing that does not fit


def edited(edit):
    return lambda content: tflite_factory.edited(content, edit)


def set_type(tensor, name):
    def edit(model):
        model.subgraphs[0].tensors[tensor].type = getattr(Type, name)

    return edited(edit)


def quantize(tensor, **values):
    def edit(model):
        for name, value in values.items():
            setattr(model.subgraphs[0].tensors[tensor].quantization, name, value)

    return edited(edit)


def operator(number, version=1):
    def edit(model):
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.version = version

    return edited(edit)


def in_graph(change):
    return edited(lambda model: change(model.subgraphs[0]))


def set_shape(tensor, shape):
    def edit(model):
        model.subgraphs[0].tensors[tensor].shape = shape

    return edited(edit)


def set_activation(number):
    def edit(model):
        model.subgraphs[0].operators[0].builtinOptions.fusedActivationFunction = number

    return edited(edit)


def set_version(model):
    model.version = 2


def lose_data(model):
    model.buffers[model.subgraphs[0].tensors[1].buffer].data = None


# The tensors of a model of layers 1 to 4 to 1, as the factory numbers them.
INPUT, WEIGHTS, BIAS, MIDDLE, OUTPUT = 0, 1, 2, 3, 6


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (set_type(INPUT, "UINT8"), r"^The model's input is UINT8; the engine takes INT8 and FLOAT"),
        (set_type(INPUT, "FLOAT32"), r"^The model's input is FLOAT32 and its output INT8; both"),
        (set_type(MIDDLE, "INT16"), r"^Layer 1's output is INT16 and should be INT8"),
        (set_type(WEIGHTS, "INT4"), r"^Layer 1's weights are INT4 and should be INT8"),
        (set_type(BIAS, "INT64"), r"^Layer 1's bias is INT64 and should be INT32"),
        (operator(3, 5), r"^The operator CONV_2D \(version 5\) is not built in"),
        (operator(9, 14), r"^The operator FULLY_CONNECTED is of version 14, newer than version 12"),
        (operator(9999), r"^The operator 9999 \(version 1\) is not built in"),
        (quantize(WEIGHTS, scale=[]), r"^Layer 1's weights have no scale or no zero point"),
        (quantize(WEIGHTS, scale=[0.1, 0.2]), r"^Layer 1's weights have 2 scales, neither 1 nor 4"),
        (quantize(MIDDLE, scale=[0.1, 0.2]), r"^Layer 1's output has 2 scales instead of one"),
        (quantize(MIDDLE, scale=[0.0]), r"^Layer 1's output has a scale that is no positive"),
        (quantize(INPUT, scale=[float("nan")]), r"^Layer 1's input has a scale that is no positi"),
        (quantize(WEIGHTS, zeroPoint=[3]), r"^Layer 1's weights have a zero point other than 0"),
        (quantize(OUTPUT, zeroPoint=[300]), r"^Layer 2's output has a zero point outside of int8"),
        (
            quantize(WEIGHTS, scale=[0.1] * 4, zeroPoint=[0] * 4, quantizedDimension=1),
            r"^Layer 1's weights are quantized along inputs",
        ),
        (set_shape(INPUT, [1, 2]), r"^The model's input has 2 values, and the application gives"),
        (set_shape(MIDDLE, [2, 4]), r"^Layer 1's output is a batch, of shape \(2, 4\)"),
        (set_shape(WEIGHTS, [1, 4]), r"^Layer 1's weights have the shape \(1, 4\), which does not"),
        (
            set_activation(4),
            rf"^Layer 1's activation is TANH; the engine has {', '.join(ACTIVATIONS)}\.",
        ),
        (set_activation(93), r"^Layer 1's activation is 93"),
        (edited(set_version), r"^The model is of schema version 2, and the engine reads version 3"),
        (edited(lose_data), r"^Layer 1's weights are not in the model"),
        (in_graph(lambda graph: graph.operators.clear()), r"^The model has no operator"),
        (
            in_graph(lambda graph: setattr(graph, "inputs", [0, 3])),
            r"^The model has 2 input tensors instead",
        ),
        (edited(lambda model: model.subgraphs.append(model.subgraphs[0])), r"has 2 subgraphs inst"),
        (in_graph(lambda graph: setattr(graph, "inputs", [99])), r"^The model is damaged or cut"),
        (lambda content: content[: len(content) // 2], r"^The model is damaged or cut off; run no"),
        (lambda content: b"nonsense" * 9, r"^The model is damaged or cut off"),
    ],
)
def test_each_thing_is_a_sentence(change, sentence):
    content = change(tflite_factory.quantized(layers(1, 4, 1)))
    found = preflight.problems(content, V2)
    assert any(re.search(sentence, said) for said in found), found
    assert all(said.endswith(".") and "\n" not in said for said in found)
    with pytest.raises(WorkshopError):
        preflight.check(content, V2)


def test_all_of_it_is_said_at_once():
    def edit(model):
        model.operatorCodes[0].version = 13
        tensors = model.subgraphs[0].tensors
        tensors[MIDDLE].quantization.scale = [0.1, 0.2]
        tensors[BIAS].type = Type.INT64

    content = tflite_factory.edited(tflite_factory.quantized(layers(1, 4, 1)), edit)
    with pytest.raises(WorkshopError) as caught:
        preflight.check(content, NUCLEO)
    first, *rest = str(caught.value).splitlines()
    assert first == "The model cannot run on the Nucleo-L476RG:"
    assert len(rest) >= 3 and all(line.startswith("- ") and line.endswith(".") for line in rest)
    for part in ("version 13", "2 scales", "INT64"):
        assert any(part in line for line in rest)


def test_the_emulated_board_is_where_the_engine_itself_refuses():
    content = operator(3)(tflite_factory.quantized(layers(1, 4, 1)))
    for name in ("emulator", "host"):
        assert preflight.problems(content, boards.BOARDS[name]) == []


# ---- Memory


def test_a_model_larger_than_the_flash(reference):
    large = reference + bytes(256 << 10)
    (sentence,) = preflight.problems(large, V1)
    assert sentence == (
        f"The model does not fit: it has {len(large):,} bytes, and the board's flash has 262,144."
    )
    assert preflight.problems(large, V2) == []
    tight = reference + bytes((256 << 10) - len(reference) - 3000)
    (sentence,) = preflight.problems(tight, V1)
    assert "259,144 bytes, the firmware around it at least 3,500, and" in sentence


def test_a_model_that_needs_more_ram_than_there_is():
    first = tflite_factory.Layer(np.ones((3000, 1), np.int8), weight_scales=[0.01] * 3000)
    wide = tflite_factory.fully_connected(
        [first, tflite_factory.Layer(np.ones((1, 3000), np.int8))]
    )
    (sentence,) = preflight.problems(wide, V1)
    assert re.search(r"needs 42,\d\d\d bytes of RAM .* micro:bit v1 has 16,384\.$", sentence)
    assert preflight.problems(wide, V2) == []


@pytest.fixture(scope="module")
def shared_home(home_with_cache):
    return home_with_cache()


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


# ---- model.cc and alignment


@pytest.mark.parametrize("says", ["", "alignas(8) ", "alignas(4) "])
def test_model_cc_without_alignment(reference, says):
    text = c_source.to_c_source(reference)
    assert preflight.problems(reference, V1, source=text) == []
    (sentence,) = preflight.problems(reference, V1, source=text.replace("alignas(16) ", says))
    what = f"to {says[8]} bytes" if says else "to nothing"
    assert sentence.startswith(f"In model.cc g_model is aligned {what} and must be to 16; run ")


def test_biases_at_odd_places_are_for_the_compact_engine_only():
    content = tflite_factory.quantized(layers(1, 4, 1))
    shifted = bytearray(content)
    place = tflite.parse(content).tensors[BIAS].offset
    assert place % 4 == 0 and content[place - 4 : place] == (16).to_bytes(4, "little")
    # Append the vector once more, two bytes further than a multiple of four, and point there.
    new = len(shifted) + (2 - len(shifted)) % 4
    shifted += bytes(new - len(shifted)) + content[place - 4 : place + 16]
    (pointer,) = (
        at
        for at in range(0, len(content) - 4, 4)
        if at != place - 4 and at + int.from_bytes(content[at : at + 4], "little") == place - 4
    )
    shifted[pointer : pointer + 4] = (new - pointer).to_bytes(4, "little")
    assert preflight.problems(bytes(shifted), V1) == []
    (sentence,) = preflight.problems(bytes(shifted), V1, "tflm")
    assert sentence == (
        f"Layer 1's bias lies at byte {new + 4:,} of the model, which is no multiple of 4."
    )


# ---- Anything


def test_any_damage_is_said_in_sentences(reference):
    dice = random.Random(1)
    said = 0
    for _ in range(400):
        content = bytearray(reference)
        for _ in range(dice.choice([1, 3, 20])):
            content[dice.randrange(len(content))] = dice.randrange(256)
        if dice.random() < 0.2:
            content = content[: dice.randrange(len(content))]
        found = preflight.problems(bytes(content), PICO, dice.choice(ENGINES))
        assert all(sentence.endswith(".") for sentence in found)
        said += bool(found)
    assert said > 100


def test_it_does_not_import_tensorflow():
    code = (
        "import sys; from workshop_utils import c_source, paths;"
        "from workshop_utils.device import boards, preflight;"
        "model = c_source.read(paths.FIRMWARE_REFERENCE_MODEL);"
        "assert preflight.problems(model, boards.BOARDS['pico'], 'tflm') == [];"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=paths.PROJECT)
