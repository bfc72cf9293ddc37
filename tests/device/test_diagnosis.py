"""What a model is, and the one sentence on what keeps it from running: its cause and its cure."""

import random
import re
import warnings

import host
import numpy as np
import pytest
import tflite_factory as factory
from reference import ACTIVATIONS

from workshop_utils import c_source, paths
from workshop_utils.device import diagnosis, ranges, tflite
from workshop_utils.errors import WorkshopError

Type = factory.Type
ENGINES = ("compact", "tflm")
REFERENCE = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
BOTH = "set converter.inference_input_type and converter.inference_output_type to tf.int8"


def layers(*widths, **choices):
    return factory.sine_layers(widths, **choices)


def problem(content, *choices):
    return diagnosis.problem(tflite.parse(content), *choices)


GOOD = {
    "int8": factory.quantized(layers(1, 16, 16, 1)),
    "int8 per channel": factory.quantized(layers(1, 16, 9, 1), per_channel=True),
    "float32": factory.fully_connected(layers(1, 7, 1), "float32"),
    "no bias": factory.quantized(layers(1, 8, 1, activation="RELU6", bias=False)),
    "wide": factory.quantized(layers(1, 61, 5, 1)),
}


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("engine", ENGINES)
def test_models_that_the_engines_run_have_no_problem(name, engine):
    assert problem(GOOD[name], engine) is None
    assert diagnosis.check(GOOD[name], engine).content == GOOD[name]


def test_the_converters_own_models_have_none(int8_tflite, float_tflite):
    for content in (int8_tflite, float_tflite):
        assert [problem(content, engine) for engine in ENGINES] == [None, None]
    assert problem(int8_tflite, "generated") is None


# ---- How the converter was called


@pytest.fixture(scope="module")
def converted(model):
    """f(**settings) -> what TensorFlow's converter makes of the course's model with them."""
    import tensorflow as tf

    from workshop_utils import quiet

    def convert(ops=None, supported=None, dataset=True, **settings):
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if dataset:
            rows = np.linspace(0, 2 * np.pi, 200, dtype=np.float32)[:, None]
            converter.representative_dataset = lambda: ([row[None]] for row in rows)
        if ops:
            converter.target_spec.supported_ops = [getattr(tf.lite.OpsSet, ops)]
        if supported:
            converter.target_spec.supported_types = [supported]
        for name, value in settings.items():
            setattr(converter, name, value)
        with quiet.output(), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # statistics that are not needed
            return converter.convert()

    return convert


def test_what_the_converter_makes_when_it_is_not_told(converted):
    import tensorflow as tf

    int8 = {"ops": "TFLITE_BUILTINS_INT8"}
    kinds = {
        "int8, float32 at its ends": (converted(**int8), rf"float32 and .* float32: {BOTH}, and"),
        "int8, uint8 at its ends": (
            converted(**int8, inference_input_type=tf.uint8, inference_output_type=tf.uint8),
            rf"^The model computes in int8, but its input is uint8 and its output is uint8: {BOTH}",
        ),
        "int16 with weights in int8, float32 at its ends": (
            converted("EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8"),
            r"^The model computes in int16 with weights in int8, .*TFLITE_BUILTINS_INT8, and set",
        ),
        "float32, with weights in float16": (
            converted(dataset=False, supported=tf.float16),
            r"^The model has its weights in float16, .* leave converter\.target_spec\.supported_t",
        ),
    }
    for kind, (content, sentence) in kinds.items():
        assert diagnosis.kind(tflite.parse(content)) == kind
        found = problem(content)
        assert re.search(sentence, found) and found.endswith(".") and found.count(". ") == 0


def test_dynamic_range_without_data_is_float32_and_says_so(converted):
    parsed = tflite.parse(converted(dataset=False))
    assert diagnosis.problem(parsed) is None and diagnosis.kind(parsed) == "float32"
    (remark,) = diagnosis.remarks(parsed)
    assert remark == "The model is float32 throughout: nothing in it is quantized, and so it runs."


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ("FLOAT32", "INT8", "input is float32: set converter.inference_input_type to tf.int8"),
        ("INT8", "FLOAT32", "output is float32: set converter.inference_output_type to tf.int8"),
        ("UINT8", "FLOAT32", f"its input is uint8 and its output is float32: {BOTH}"),
        ("INT16", "INT16", f"its input is int16 and its output is int16: {BOTH}"),
    ],
)
@pytest.mark.parametrize("widths", [(1, 4, 1), (1, *[8] * 9, 1)])
def test_one_end_or_both_is_one_sentence_for_any_number_of_layers(source, target, sentence, widths):
    content = factory.with_ends(factory.quantized(layers(*widths)), source, target)
    found = problem(content)
    assert found.startswith("The model computes in int8, but ") and sentence in found
    assert found.endswith(", and convert it again.") and "\n" not in found


def test_hybrid_and_uint8_models():
    floats = factory.fully_connected(layers(1, 4, 1), "float32")
    hybrid = factory.edited(floats, lambda model: set_types(model, (1, 4), Type.INT8))
    assert diagnosis.kind(tflite.parse(hybrid)) == "hybrid: values in float32, weights in int8"
    assert re.search(r"^The model is hybrid, with weights in int8 and .*\(dynamic", problem(hybrid))
    old = factory.edited(GOOD["int8"], lambda model: set_types(model, range(10), Type.UINT8))
    assert diagnosis.kind(tflite.parse(old)) == "uint8"
    assert problem(old).startswith("The model computes in uint8, as converters before TensorFlow 2")


def set_types(model, numbers, kind):
    for number in numbers:
        model.subgraphs[0].tensors[number].type = kind


# ---- Operators by name


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["GELU"], r"^The operator GELU is not built in; .*, so take relu as activation\.$"),
        (["RELU"], r"^The operator RELU is .* put the activation into the Dense layer itself"),
        (["RESHAPE"], r"^The operator RESHAPE is .* keep the shape \(batch, values\) from input"),
        (["CONV_2D", "ADD", "ADD"], r"^The operators CONV_2D and ADD are .* build the network of"),
        (["TANH", "ADD"], r"^The operators TANH and ADD are .* so build the network of Dense la"),
        (["FlexErf"], r"^The operator FlexErf \(a custom one\) is not built in; the engine runs"),
        (["QUANTIZE"], r"^The model computes in int8, with QUANTIZE between, and the engine"),
    ],
)
def test_an_operator_that_is_not_built_in_is_named(names, sentence):
    content = factory.followed_by(GOOD["int8"], *names)
    assert re.search(sentence, problem(content))


def test_every_operator_of_the_schema_has_a_name():
    names = [name for name in vars(factory.Operator) if name.isupper()]
    assert len(names) > 200
    for name in set(names) - {"FULLY_CONNECTED", "QUANTIZE", "DEQUANTIZE", "CUSTOM"}:
        number = getattr(factory.Operator, name)
        found = problem(factory.edited(GOOD["int8"], operator(number)))
        assert found.startswith(f"The operator {name} is not built in; "), found


def test_a_custom_operators_long_name_is_cut():
    found = problem(factory.followed_by(GOOD["int8"], "x" * 999))
    assert len(found) < 200


# ---- Each other thing that does not fit


def edited(edit):
    return lambda content: factory.edited(content, edit)


def set_type(tensor, name):
    return edited(lambda model: set_types(model, [tensor], getattr(Type, name)))


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

    return edit


def in_graph(change):
    return edited(lambda model: change(model.subgraphs[0]))


def set_shape(tensor, shape):
    return edited(factory.setter(f"subgraphs.0.tensors.{tensor}.shape", shape))


def set_options(**values):
    def edit(model):
        for name, value in values.items():
            setattr(model.subgraphs[0].operators[0].builtinOptions, name, value)

    return edited(edit)


def lose_data(model):
    model.buffers[model.subgraphs[0].tensors[1].buffer].data = None


def give_data(model):
    tensors = model.subgraphs[0].tensors
    tensors[MIDDLE].buffer = tensors[WEIGHTS].buffer


# The tensors of a model of layers 1 to 4 to 1, as the factory numbers them.
INPUT, WEIGHTS, BIAS, MIDDLE, OUTPUT = 0, 1, 2, 3, 6


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (set_type(INPUT, "BOOL"), r"^The model's input is BOOL, and the engine takes INT8"),
        (set_type(MIDDLE, "INT16"), r"^The model computes in int16"),
        (set_type(MIDDLE, "INT32"), r"^Layer 1's output is INT32 and should be INT8; the engine"),
        (set_type(WEIGHTS, "INT4"), r"^Layer 1's weights are INT4 and should be INT8"),
        (set_type(BIAS, "INT64"), r"^Layer 1's bias is INT64 and should be INT32"),
        (edited(operator(9, 14)), r"^The operator FULLY_CONNECTED is of version 14, newer than v"),
        (edited(operator(9999)), r"^The operator 9999 is not built in"),
        (quantize(WEIGHTS, scale=[]), r"^Layer 1's weights have no scale or no zero point"),
        (quantize(WEIGHTS, scale=[0.1, 0.2]), r"^Layer 1's weights have 2 scales, neither 1 nor 4"),
        (quantize(MIDDLE, scale=[0.1, 0.2]), r"^Layer 1's output has 2 scales instead of one"),
        (quantize(MIDDLE, scale=[0.0]), r"^Layer 1's output has a scale that is no positive"),
        (quantize(INPUT, scale=[float("nan")]), r"^Layer 1's input has a scale that is no positi"),
        (quantize(WEIGHTS, scale=[1e30]), r"^Layer 1's scales are too far apart: its multiplier"),
        (quantize(WEIGHTS, zeroPoint=[3]), r"^Layer 1's weights have a zero point other than 0"),
        (quantize(OUTPUT, zeroPoint=[300]), r"^Layer 2's output has a zero point outside of int8"),
        (quantize(BIAS, scale=[1.0]), r"^Layer 1's bias has the scale 1, and that of the input ti"),
        (
            quantize(WEIGHTS, scale=[0.1] * 4, zeroPoint=[0] * 4, quantizedDimension=1),
            r"^Layer 1's weights are quantized along inputs",
        ),
        (
            set_shape(INPUT, [32, 1]),
            r"^The model's input has the shape \(32, 1\), a fixed batch, a",
        ),
        (set_shape(INPUT, []), r"^The model's input has the shape \(\), a scalar, and the engine"),
        (set_shape(OUTPUT, [2, 1, 1]), r"^The model's output has the shape .*, more than one row,"),
        (
            set_shape(INPUT, [1, 0]),
            r"^The model's input has the shape \(1, 0\), and the engine tak",
        ),
        (set_shape(MIDDLE, [2, 4]), r"^Layer 1's output has the shape \(2, 4\), a fixed batch"),
        (set_shape(WEIGHTS, [1, 4]), r"^Layer 1's weights have the shape \(1, 4\), which does not"),
        (
            set_shape(WEIGHTS, [4]),
            r"^Layer 1's weights have the shape \(4,\), which does not fit 1",
        ),
        (
            set_shape(BIAS, [3]),
            r"^Layer 1's bias has the shape \(3,\), which does not fit 4 outputs",
        ),
        (
            set_options(fusedActivationFunction=4),
            rf"^Layer 1's activation is TANH; the engine has {', '.join(ACTIVATIONS)}\.",
        ),
        (set_options(fusedActivationFunction=93), r"^Layer 1's activation is 93"),
        (set_options(weightsFormat=1), r"^Layer 1's weights are shuffled"),
        (set_options(quantizedBiasType=17), r"^Layer 1 has options that the engine does not know"),
        (set_options(quantizedBiasType=-1), r"^Layer 1 has options that the engine does not know"),
        (
            in_graph(lambda graph: setattr(graph.operators[0], "customOptions", [1])),
            r"^Layer 1 has options that the engine does not know",
        ),
        (
            in_graph(lambda graph: setattr(graph.operators[0], "intermediates", [1])),
            r"^Layer 1 has options that the engine does not know",
        ),
        (
            edited(factory.setter("version", 2)),
            r"^The model is of schema version 2, and the engine",
        ),
        (
            edited(factory.setter("subgraphs.0.tensors.1.isVariable", True)),
            r"^Layer 1's weights are variable, a state to keep",
        ),
        (edited(lose_data), r"^Layer 1's weights are not in the model"),
        (edited(give_data), r"^Layer 1's output has data of its own in the file"),
        (in_graph(lambda graph: graph.operators.clear()), r"^The model has no operator"),
        (
            in_graph(lambda graph: setattr(graph, "inputs", [0, 3])),
            r"^The model has 2 input tensors instead of one; make it one tensor",
        ),
        (
            in_graph(lambda graph: setattr(graph, "outputs", [3])),
            r"^The model's last layer does not make its output",
        ),
        (
            in_graph(lambda graph: graph.operators.reverse()),
            r"^Layer 1 does not follow on the one before, and .* keras\.Sequential does",
        ),
        (edited(lambda model: model.subgraphs.append(model.subgraphs[0])), r"has 2 subgraphs inst"),
    ],
)
def test_each_thing_is_a_sentence(change, sentence):
    content = change(factory.quantized(layers(1, 4, 1)))
    found = problem(content)
    assert found and re.search(sentence, found), found
    assert found.endswith(".") and "\n" not in found
    with pytest.raises(WorkshopError) as caught:
        diagnosis.check(content)
    assert str(caught.value) == found


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_no_numbers(value):
    network = layers(1, 4, 1)
    network[1].weights[0, 2] = value
    found = problem(factory.fully_connected(network, "float32"))
    assert found.startswith("Layer 2's weights have a value that is no number (NaN) or infinite")


def test_rows_of_any_rank_are_rows():
    for shape in ([1], [1, 1, 1]):
        assert problem(set_shape(INPUT, shape)(factory.quantized(layers(1, 4, 1)))) is None


def test_biases_at_odd_places_are_for_the_compact_engine_only():
    content = factory.quantized(layers(1, 4, 1))
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
    assert problem(bytes(shifted)) is None
    assert problem(bytes(shifted), "tflm") == (
        f"Layer 1's bias lies at byte {new + 4:,} of the model, which is no multiple of 4."
    )


# ---- What it is wanted for


def test_each_program_has_its_condition():
    several, wide = (factory.quantized(layers(*widths)) for widths in ((2, 4, 3), (65, 4, 1)))
    floats, both = GOOD["float32"], GOOD["int8"]
    for content in (several, wide, floats, both):
        assert (problem(content, "compact", "wave") is None) == (content in (floats, both))
        assert (problem(content, "compact", "sweep") is None) == (content in (several, both))
        assert (problem(content) is None) == (content != wide)
    assert problem(several, "compact", "wave") == (
        "The model's input has 2 values, and the application gives and takes one; the program "
        "sweep takes more."
    )
    assert "has 65 values at an end, and a sweep takes 64 at most" in problem(
        wide, "compact", "sweep"
    )
    assert problem(floats, "compact", "sweep").startswith("A sweep needs an int8 model, and this")
    assert problem(floats, "generated").startswith("The model computes in float32, and plain C is")


def test_a_sweep_takes_what_its_program_takes():
    source = (paths.FIRMWARE_DIR / "app" / "sweep.cc").read_text()
    (most,) = map(int, re.findall(r"kMostValues = (\d+);", source))
    content = factory.quantized(layers(most, 2, 1))
    assert problem(content, "compact", "sweep") is None


# ---- What runs and deserves a remark


@pytest.mark.parametrize(
    ("low", "high", "remark"),
    [
        (0, 2 * np.pi, None),
        (0, 6.2, None),
        (-1, 7, None),
        (
            0,
            1,
            r"^The model's input covers about 0 to 1, and the course's sine is 0 to 6\.28, of",
        ),
        (
            1,
            7,
            r"^The model's input covers about 0\.99 to 7, and the course's sine is 0 to 6\.28",
        ),
        (
            -np.pi,
            np.pi,
            r"^The model's input covers about -3\.\d to 3\.\d, and the course's sine is 0",
        ),
        (
            0,
            360,
            r"^The model's input covers about 0 to 360, and .* 0 to 6\.28, .* 5 of 256 codes: take",
        ),
    ],
)
def test_the_range_that_an_input_covers(low, high, remark):
    scale = (high - low) / 255
    change = quantize(INPUT, scale=[scale], zeroPoint=[round(-128 - low / scale)])
    parsed = tflite.parse(change(GOOD["int8"]))
    assert ranges.covered(parsed.tensors[0]) == pytest.approx((low, high), abs=scale)
    found = diagnosis.remarks(parsed)
    assert found == [] if remark is None else re.search(remark, *found)
    assert all("--data FILE.csv" in sentence for sentence in found)


@pytest.mark.parametrize(
    ("low", "high", "remark"),
    [
        (0, 1023, None),
        (-100, 1100, None),
        (
            0,
            900,
            r"^The model's input covers about 0 to 9\d\d, and the data's adc is 0 to 1023, of",
        ),
        (
            0,
            6.3,
            r"^The model's input covers about 0 to 6\.3, and .* of which the rest is cut off: t",
        ),
        (
            0,
            9000,
            r"^The model's input covers about 0 to 9\d\d\d, and .* for which that leaves 30 of",
        ),
    ],
)
def test_the_range_that_measurements_need(low, high, remark):
    scale = (high - low) / 255
    change = quantize(INPUT, scale=[scale], zeroPoint=[round(-128 - low / scale)])
    spans = [("adc", 0.0, 1023.0), ("charge", -1.0, 1.0)]
    found = diagnosis.remarks(tflite.parse(change(GOOD["int8"])), spans)
    assert found == [] if remark is None else re.search(remark, *found)
    assert not any("sine" in sentence for sentence in found)


def test_each_of_several_inputs_needs_its_range():
    parsed = tflite.parse(factory.quantized(layers(3, 4, 1)))
    low, high = ranges.covered(parsed.tensors[parsed.inputs[0]])
    spans = [("raw", low, high), ("temperature", -20.0, 60.0), ("pressure", 0.0, 0.2)]
    output = ("humidity", *ranges.covered(parsed.tensors[parsed.outputs[0]]))
    temperature, pressure = diagnosis.remarks(parsed, [*spans, output])
    assert "the data's temperature is -20 to 60, of which the rest is cut off: take" in temperature
    assert re.search(r"the data's pressure is 0 to 0\.2, for which that leaves \d+ of", pressure)
    assert pressure.endswith("its inputs share one scale, so bring them to like ranges before.")
    assert diagnosis.remarks(parsed) == []


@pytest.mark.parametrize(
    ("low", "high", "remark"),
    [
        (-1, 1, None),
        (
            -1,
            40,
            r"^The model's output covers about -1.* to 1.*, and the data's charge is -1 to 40, of",
        ),
        (0, 0.2, r"is 0 to 0\.2, for which that leaves \d\d of 256 codes: take all of the data"),
    ],
)
def test_the_range_that_an_output_needs(low, high, remark):
    reach = ranges.covered(tflite.parse(GOOD["int8"]).ends[0])
    found = diagnosis.remarks(tflite.parse(GOOD["int8"]), [("x", *reach), ("charge", low, high)])
    assert found == [] if remark is None else re.search(remark, *found)


def test_the_bytes_by_part_are_all_of_them():
    parsed = tflite.parse(REFERENCE)
    parts = diagnosis.parts(parsed)
    assert parts["weights"] == 16 + 256 + 16 and parts["biases"] == 4 * (16 + 16 + 1)
    assert sum(parts.values()) == len(REFERENCE)


# ---- The same as the engine says


@pytest.fixture(scope="module")
def accepts(tmp_path_factory):
    """f(tflite) -> whether the compact engine accepts the model, on this computer."""
    folder = tmp_path_factory.mktemp("engine")
    program = folder / "engine_runner.exe"
    sources = [host.FIRMWARE / "tests" / "engine_runner.cc"]
    for pattern in ("*.cc", "compact/*.cc", "compact/kernels/fully_connected*.cc"):
        sources += sorted(host.FIRMWARE.glob(f"engine/{pattern}"))
    host.build(program, sources)

    def run(content):
        (folder / "model.tflite").write_bytes(content)
        code = host.run(program, "--info", folder / "model.tflite").returncode
        assert code in (0, 3)
        return code == 0

    return run


# Refused on the desktop alone: what no converter writes, and what an engine cannot see.
STRICTER = (
    r"of version|sparse|zero point other|has the shape|not in the model|lies at byte|no number|"
    r"zero point outside|a sweep takes|application gives|damaged or cut off"
)


def test_what_is_refused_here_is_what_the_engine_refuses(accepts):
    for name, content in GOOD.items():
        assert accepts(content), name
    for name, (content, _) in factory.bad_models().items():
        try:
            found = problem(content)
        except WorkshopError as error:
            found = str(error)
        assert (found is not None) and not accepts(content), name


def test_mutated_models_are_judged_as_the_engine_judges_them(accepts):
    """Whatever passes here must run; what is refused here and runs there is stricter on purpose."""
    dice, passed, refused = random.Random(1), 0, 0
    starts = [GOOD["int8"], GOOD["int8 per channel"], GOOD["float32"], REFERENCE]
    for _ in range(300):
        content = bytearray(dice.choice(starts))
        for _ in range(dice.choice([1, 1, 3, 10])):
            place = dice.randrange(len(content))
            content[place] = dice.choice([0, 1, 255, dice.randrange(256)])
        try:
            found = problem(bytes(content))
        except WorkshopError as error:
            found = str(error)
        if found is None:
            assert accepts(bytes(content))
            passed += 1
        elif accepts(bytes(content)):
            assert re.search(STRICTER, found), found
        refused += found is not None
    assert passed > 50 and refused > 50


def test_any_damage_is_said_in_one_sentence():
    dice, said = random.Random(1), 0
    for _ in range(400):
        content = bytearray(REFERENCE)
        for _ in range(dice.choice([1, 3, 20])):
            content[dice.randrange(len(content))] = dice.randrange(256)
        try:
            diagnosis.check(bytes(content), dice.choice((*ENGINES, "generated")))
        except WorkshopError as error:
            assert str(error).endswith(".") and "\n" not in str(error)
            said += 1
    assert said > 100
