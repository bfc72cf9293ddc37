"""A model's flatbuffer, parsed: what it says, compared with the schema's own Python code."""

import base64
import gzip
import random
import re
import struct
import time

import numpy as np
import pytest
import tflite_factory
from hypothesis import given, settings
from hypothesis import strategies as st

from workshop_utils import c_source, paths, upstream
from workshop_utils.device import tflite
from workshop_utils.errors import WorkshopError

schema = upstream.tflite_schema()
REFERENCE = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
DAMAGED = "The model is damaged or cut off; run notebook 05_tensorflow_lite.ipynb again."
NO_MODEL = re.compile(
    r"The model is (empty|text|no TensorFlow Lite model|a TensorFlow Lite model of)"
)


def model(widths=(1, 4, 1), **choices):
    return tflite_factory.quantized(tflite_factory.sine_layers(widths), **choices)


def edited(content, path, value):
    """The parsed model after setting what a path like 'subgraphs.0.inputs' leads to."""
    return tflite.parse(tflite_factory.edited(content, tflite_factory.setter(path, value)))


def named(enumeration, number):
    (name,) = (name for name, value in vars(enumeration).items() if value == number)
    return name


# ---- What it says


def check_against_the_schema(content):
    """Every field of a Model, against what flatc's classes read."""
    parsed = tflite.parse(content)
    wanted = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    graph = wanted.subgraphs[0]
    assert parsed.content == content and parsed.version == wanted.version
    assert parsed.subgraphs == len(wanted.subgraphs)
    assert parsed.description == (wanted.description or b"").decode()
    assert parsed.inputs == tuple(graph.inputs) and parsed.outputs == tuple(graph.outputs)
    assert len(parsed.tensors) == len(graph.tensors)
    for index, (tensor, other) in enumerate(zip(parsed.tensors, graph.tensors, strict=True)):
        assert tensor.index == index and tensor.name == (other.name or b"").decode()
        assert tensor.shape == tuple(other.shape) and tensor.size == np.prod(other.shape)
        assert tensor.type == named(schema.TensorType, other.type)
        assert tensor.dtype == np.dtype(tensor.type.lower()) and not tensor.is_sparse
        quantization = other.quantization or schema.QuantizationParametersT()
        for ours, theirs in (
            (tensor.scales, quantization.scale),
            (tensor.zero_points, quantization.zeroPoint),
        ):
            assert ours == tuple(() if theirs is None else theirs)
        assert tensor.quantized_dimension == quantization.quantizedDimension
        data = wanted.buffers[other.buffer].data
        if data is None:
            assert tensor.data is None and tensor.offset is None and not tensor.has_all_data
        else:
            assert bytes(tensor.data) == bytes(data) and tensor.has_all_data
            assert content[tensor.offset : tensor.offset + len(data)] == bytes(data)
            assert tensor.values().shape == tensor.shape
            assert tensor.values().tobytes() == bytes(data)
    for operator, other in zip(parsed.operators, graph.operators, strict=True):
        code = wanted.operatorCodes[other.opcodeIndex]
        assert operator.name == named(schema.BuiltinOperator, code.builtinCode)
        assert operator.version == code.version and not operator.is_custom
        assert operator.inputs == tuple(other.inputs)
        assert operator.outputs == tuple(other.outputs)
        fused = other.builtinOptions.fusedActivationFunction
        assert operator.activation == named(schema.ActivationFunctionType, fused)


@pytest.mark.parametrize(
    "content",
    [
        REFERENCE,
        model((1, 16, 9, 1), per_channel=True),
        model((2, 5, 3)),
        tflite_factory.fully_connected(tflite_factory.sine_layers((1, 7, 1), "RELU6"), "float32"),
    ],
    ids=["reference", "per channel", "two inputs", "float32"],
)
def test_it_says_what_the_schemas_own_code_says(content):
    check_against_the_schema(content)


def test_the_converters_own_models_too(int8_tflite, float_tflite):
    for content in (int8_tflite, float_tflite):
        check_against_the_schema(content)


@pytest.mark.parametrize("name", tflite_factory.odd_models()[1])
def test_models_written_in_unusual_ways_say_the_same(name):
    plain, odd = tflite_factory.odd_models()
    wanted, found = tflite.parse(plain), tflite.parse(odd[name])
    for one, other in zip(wanted.operators, found.operators, strict=True):
        assert (one.name, one.activation) == (other.name, other.activation)
        for i, j in zip(one.inputs, other.inputs, strict=True):
            first, second = wanted.tensors[i], found.tensors[j]
            assert (first.size, first.shape[-1:]) == (second.size, second.shape[-1:])
            assert (first.type, first.scales) == (second.type, second.scales)
            assert first.data == second.data


def test_a_model_can_be_parsed_from_any_kind_of_bytes():
    assert tflite.parse(bytearray(REFERENCE)) is tflite.parse(REFERENCE)
    assert tflite.parse(memoryview(REFERENCE)) is tflite.parse(REFERENCE)


def test_nobody_changes_a_model_for_those_who_ask_for_it_next():
    parsed = tflite.parse(model())
    for part, name in [
        (parsed, "tensors"),
        (parsed.tensors[0], "type"),
        (parsed.operators[0], "name"),
    ]:
        with pytest.raises(AttributeError):
            setattr(part, name, None)
    assert tflite.parse(model()).tensors[0].type == "INT8"


def test_operators_are_called_by_name():
    def names(code, custom=None):
        def edit(content):
            content.operatorCodes[0].builtinCode = code
            content.operatorCodes[0].deprecatedBuiltinCode = min(code, 127)
            content.operatorCodes[0].customCode = custom

        (operator, *_) = tflite.parse(tflite_factory.edited(model(), edit)).operators
        return operator.name, operator.is_custom

    assert names(3) == ("CONV_2D", False)
    assert names(150) == ("GELU", False)
    assert names(9999) == ("9999", False)
    assert names(32) == ("CUSTOM", True)
    assert names(32, "FlexErf") == ("FlexErf", True)
    assert names(32, "two\nlines\x1b[31m") == ("two?lines?[31m", True)


def test_an_optional_input_may_be_left_out():
    layers = tflite_factory.sine_layers((1, 8, 1), bias=False)
    (first, _) = tflite.parse(tflite_factory.quantized(layers)).operators
    assert len(first.inputs) == 3 and first.inputs[2] == -1


def test_activations_and_options():
    operators = "subgraphs.0.operators"
    assert tflite.parse(model()).operators[0].activation == "RELU"
    fused = f"{operators}.0.builtinOptions.fusedActivationFunction"
    assert edited(model(), fused, 2).operators[0].activation == "RELU_N1_TO_1"
    assert edited(model(), fused, 93).operators[0].activation == "93"
    shuffled = edited(model(), f"{operators}.0.builtinOptions.weightsFormat", 1)
    assert shuffled.operators[0].options["weightsFormat"] == 1
    bare = edited(model(), f"{operators}.0.builtinOptions", None).operators[0]
    assert bare.activation == "NONE" and dict(bare.options) == {}


def test_options_of_every_kind_are_plain_values():
    def edit(content):
        operator = content.subgraphs[0].operators[0]
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
        operator.builtinOptions = schema.ReshapeOptionsT(newShape=[1, 1])
        other = content.subgraphs[0].operators[1]
        other.builtinOptionsType = schema.BuiltinOptions.VarHandleOptions
        other.builtinOptions = schema.VarHandleOptionsT(container="c", sharedName="s\t")

    first, second = tflite.parse(tflite_factory.edited(model(), edit)).operators
    assert first.options == {"newShape": (1, 1)} and first.activation == "NONE"
    assert second.options == {"container": "c", "sharedName": "s?"}


def test_types_without_a_counterpart_in_numpy():
    tensor = edited(model(), "subgraphs.0.tensors.1.type", tflite_factory.Type.INT4).tensors[1]
    assert tensor.type == "INT4" and tensor.dtype is None and not tensor.has_all_data
    with pytest.raises(WorkshopError, match=r"^The values of tensor 1 are not all in the model\.$"):
        tensor.values()
    assert edited(model(), "subgraphs.0.tensors.1.type", 99).tensors[1].type == "99"


def test_values_that_are_not_all_there():
    shape = "subgraphs.0.tensors.1.shape"
    for wrong in ([4, 2], [3, 1], [-4, -1], [4, -1, -1], []):
        assert not edited(model(), shape, wrong).tensors[1].has_all_data
    with pytest.raises(WorkshopError, match="tensor 0 are not all in the model"):
        tflite.parse(model()).tensors[0].values()
    with pytest.raises(ValueError, match="read-only"):
        tflite.parse(model()).tensors[1].values()[0] = 1


def test_quantization_is_the_pair_or_none():
    parsed = tflite.parse(model((1, 4, 1), per_channel=True))
    source, target = parsed.ends
    assert source.quantization == (source.scales[0], source.zero_points[0])
    assert source.scales[0] > 0 and target.index == parsed.outputs[0]
    assert len(parsed.tensors[1].scales) == 4
    assert parsed.tensors[1].quantization == (0.0, 0)
    floats = tflite_factory.fully_connected(tflite_factory.sine_layers((1, 4, 1)), "float32")
    assert tflite.parse(floats).ends[0].quantization == (0.0, 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("subgraphs.0.inputs", [0, 3]),
        ("subgraphs.0.outputs", []),
        ("subgraphs.0.tensors.6.shape", [0]),
    ],
)
def test_ends_are_one_tensor_each(path, value):
    parsed = edited(model(), path, value)
    with pytest.raises(WorkshopError, match=r"^The model must have one input tensor and one"):
        _ = parsed.ends


# ---- Its arithmetic


@pytest.mark.parametrize(
    ("value", "scale", "zero_point", "expected"),
    [
        (0, 0.1, 3, 3),
        (0.26, 0.1, 0, 3),  # cutting off would give 2
        (-0.26, 0.1, 0, -3),
        (2 * np.pi, 0.0245, -128, 127),  # would wrap to -128 without clipping
        (-1e9, 0.1, 0, -128),
        (1e9, 0.1, 0, 127),
    ],
)
def test_quantize(value, scale, zero_point, expected):
    q = tflite.quantize([value], scale, zero_point)
    assert q.dtype == np.int8 and q.tolist() == [expected]


def test_there_and_back_is_off_by_half_a_step_at_most():
    x = np.linspace(-1, 1, 999, dtype=np.float32)
    back = tflite.dequantize(tflite.quantize(x, 0.01, 5), 0.01, 5)
    assert back.dtype == np.float32
    assert np.abs(back - x).max() <= 0.005 + 1e-6


def test_back_and_there_is_exact_for_every_code():
    codes = np.arange(-128, 128).astype(np.int8)
    assert np.array_equal(tflite.quantize(tflite.dequantize(codes, 0.3, -7), 0.3, -7), codes)


def test_shapes_stay():
    assert tflite.quantize(np.zeros((2, 3)), 1, 0).shape == (2, 3)
    assert tflite.dequantize(np.zeros((2, 3), np.int8), 1, 0).shape == (2, 3)


@pytest.mark.parametrize("scale", [0, -0.1, float("nan"), float("inf")])
def test_bad_scale(scale):
    with pytest.raises(ValueError, match="must be a positive number"):
        tflite.quantize([1.0], scale, 0)
    with pytest.raises(ValueError, match="must be a positive number"):
        tflite.dequantize([1], scale, 0)


def test_values_that_int8_cannot_say():
    with pytest.raises(ValueError, match="NaN or infinity"):
        tflite.quantize([1.0, np.nan], 0.1, 0)


@pytest.mark.parametrize(
    "real, pair",
    [
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (0.75, (3 * 2**29, 0)),
        (1 - 2.0**-40, (2**30, 1)),
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),
        (2.0**29, (2**30, 30)),
    ],
)
def test_quantize_multiplier(real, pair):
    assert tflite.quantize_multiplier(real) == pair


def test_a_multiplier_that_is_too_large():
    with pytest.raises(WorkshopError, match="too far apart"):
        tflite.quantize_multiplier(2.0**30)


# ---- Another one of it


def test_an_edit_changes_what_it_says_and_nothing_else():
    def edit(content):
        content.description = "another"
        content.subgraphs[0].tensors[1].name = "renamed"

    before, after = tflite.parse(REFERENCE), tflite.parse(tflite.edited(REFERENCE, edit))
    assert after.description == "another" and after.tensors[1].name == "renamed"
    assert after.operators == before.operators
    for one, other in zip(before.tensors, after.tensors, strict=True):
        assert (one.shape, one.type, one.scales, one.data) == (
            other.shape,
            other.type,
            other.scales,
            other.data,
        )
        assert other.offset is None or other.offset % 16 == 0
    with pytest.raises(WorkshopError, match=r"^The model is text and holds no Tens"):
        tflite.edited(b"nonsense" * 9, edit)


# ---- Damage


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("subgraphs", []),
        ("subgraphs.0.inputs", [99]),
        ("subgraphs.0.inputs", [-1]),
        ("subgraphs.0.outputs", [7]),
        ("subgraphs.0.operators.0.inputs", [0, 99, 2]),
        ("subgraphs.0.operators.0.inputs", [0, 1, -2]),
        ("subgraphs.0.operators.1.outputs", [7]),
        ("subgraphs.0.operators.1.opcodeIndex", 1),
        ("operatorCodes", None),
        ("subgraphs.0.tensors.1.buffer", 99),
        ("buffers", None),
        ("subgraphs.0.tensors.0.shape", [1] * 65),
    ],
)
def test_models_that_contradict_themselves(path, value):
    with pytest.raises(WorkshopError) as caught:
        edited(model(), path, value)
    assert str(caught.value) == DAMAGED


def test_what_only_an_engine_asks_for_is_no_damage():
    assert edited(model(), "version", 2).version == 2
    assert edited(model(), "subgraphs.0.operators", []).operators == ()
    assert edited(model(), "subgraphs.0.tensors.0.shape", [1] * 64).tensors[0].size == 1


KERAS = (paths.REFERENCE_DIR / "model.keras").read_bytes()
OTHER_FILES = {
    "is empty; fetch or make it again": b"",
    "is a Git LFS pointer, not the model itself; run git lfs pull": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 2736\n"
    ),
    "is a web page (HTML), not a TensorFlow Lite model; download": b"\n<!DOCTYPE html><html>",
    "is a TensorFlow Lite model as base64 text; decode it first": base64.encodebytes(REFERENCE),
    "is a hex dump of a TensorFlow Lite model; turn it back": b"00000000: 1c00 0000 5446 4c33",
    "is a Keras file (.keras), not a TFLite model; convert it as notebook 5 does": KERAS,
    "is a ZIP archive; unpack it first": b"PK\x03\x04" + bytes(99),
    "is an HDF5 file, such as Keras wrote (.h5); convert it": b"\x89HDF\r\n\x1a\n" + bytes(99),
    "is compressed with gzip; unpack it first": gzip.compress(REFERENCE),
    "is a program (ELF); name the model instead": b"\x7fELF" + bytes(99),
    "is a TensorFlow Lite model of another version than 3": b"\x1c\0\0\0TFL2" * 9,
    "is text and holds no TensorFlow Lite model": b"nonsense" * 9,
    "is no TensorFlow Lite model: its mark 'TFL3' is missing": bytes(999),
}


@pytest.mark.parametrize("looks", OTHER_FILES)
def test_bytes_that_are_no_model_are_said_to_be_what_they_look_like(looks):
    content = OTHER_FILES[looks]
    with pytest.raises(WorkshopError) as caught:
        tflite.parse(content)
    assert str(caught.value).startswith(f"The model {looks}") and str(caught.value).endswith(".")
    assert str(caught.value) == f"The model {tflite.foreign(content)}"


def test_bytes_with_the_mark_alone_are_damaged():
    assert tflite.foreign(REFERENCE) is None
    with pytest.raises(WorkshopError) as caught:
        tflite.parse(b"\x1c\0\0\0TFL3" * 9)
    assert str(caught.value) == DAMAGED


def is_model_or_sentence(content):
    """Whether parse gives a model, in bounded time; if not, it must be the one sentence."""
    began = time.process_time()
    try:
        parsed = tflite.parse(content)
    except WorkshopError as error:
        assert str(error) == DAMAGED or NO_MODEL.match(str(error))
        parsed = None
    assert time.process_time() - began < 5
    if parsed:
        for operator in parsed.operators:
            assert {*operator.inputs, *operator.outputs} <= set(range(-1, len(parsed.tensors)))
        for tensor in parsed.tensors:
            assert tensor.name.isprintable() and isinstance(tensor.size, int)
            assert tensor.data is None or len(tensor.data) <= len(content)
            if tensor.has_all_data:
                assert tensor.values().shape == tensor.shape
    return parsed is not None


def test_every_cut_is_seen():
    """Whatever is cut off: a model's first bytes lead to its last ones."""
    whole = [length for length in range(len(REFERENCE)) if is_model_or_sentence(REFERENCE[:length])]
    assert whole == []


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(REFERENCE) - 1), st.integers(0, 7)), max_size=8))
def test_any_bits_may_flip(flips):
    content = bytearray(REFERENCE)
    for position, bit in flips:
        content[position] ^= 1 << bit
    is_model_or_sentence(bytes(content))


@settings(deadline=None)
@given(st.integers(0, len(REFERENCE) - 4), st.integers(0, 2**32 - 1))
def test_any_offset_may_lead_anywhere(position, value):
    word = struct.pack("<I", value)
    is_model_or_sentence(REFERENCE[:position] + word + REFERENCE[position + 4 :])


@settings(deadline=None)
@given(st.binary(max_size=300), st.integers(0, 40))
def test_any_bytes_behind_the_mark(noise, root):
    is_model_or_sentence(struct.pack("<I", root) + tflite.MARK + noise)


def test_much_damage_is_told_from_none():
    dice, models = random.Random(1), 0
    for _ in range(2000):
        content = bytearray(REFERENCE)
        for _ in range(dice.choice([1, 3, 20])):
            content[dice.randrange(len(content))] = dice.choice([0, 1, 127, 128, 255])
        models += is_model_or_sentence(bytes(content))
    assert 200 < models < 1800


def test_an_offset_cannot_lead_to_before_the_first_byte():
    """Where Python would count from the end, and find there what it looks for."""
    (root,) = struct.unpack_from("<I", REFERENCE, 0)
    (back,) = struct.unpack_from("<i", REFERENCE, root)
    (size,) = struct.unpack_from("<H", REFERENCE, root - back)
    fields = REFERENCE[root - back : root - back + size]
    content = bytearray(REFERENCE + fields)
    struct.pack_into("<i", content, root, root + size)
    assert not is_model_or_sentence(bytes(content))


def test_a_small_file_cannot_claim_to_be_a_large_model():
    """50,000 tensors that are one and the same, with a name of 200,000 letters."""
    import flatbuffers

    builder = flatbuffers.Builder(0)
    name = builder.CreateString("x" * 200_000)
    schema.TensorStart(builder)
    schema.TensorAddName(builder, name)
    tensor = schema.TensorEnd(builder)

    def vector(start, table, count):
        start(builder, count)
        for _ in range(count):
            builder.PrependUOffsetTRelative(table)
        return builder.EndVector()

    tensors = vector(schema.SubGraphStartTensorsVector, tensor, 50_000)
    schema.SubGraphStart(builder)
    schema.SubGraphAddTensors(builder, tensors)
    graphs = vector(schema.ModelStartSubgraphsVector, schema.SubGraphEnd(builder), 1)
    schema.ModelStart(builder)
    schema.ModelAddSubgraphs(builder, graphs)
    builder.Finish(schema.ModelEnd(builder), tflite.MARK)
    assert not is_model_or_sentence(bytes(builder.Output()))


def test_a_large_model_is_read_without_copying_its_weights():
    wide = [tflite_factory.Layer(np.ones((4000, 1), np.int8)) for _ in range(1)]
    wide.append(tflite_factory.Layer(np.ones((1000, 4000), np.int8)))
    content = tflite_factory.fully_connected(wide)
    began = time.process_time()
    weights = tflite.parse(content).tensors[3]
    assert time.process_time() - began < 1
    assert weights.values().base is not None and weights.size == 4_000_000
