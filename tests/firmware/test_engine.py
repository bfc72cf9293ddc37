"""The firmware's engine on the desktop: equal to TFLM to the bit, and never fooled by a model."""

import re

import host
import numpy as np
import pytest
import reference
import tflite_factory as factory
from proof import PROOF, tflm, traces

from workshop_utils import inference
from workshop_utils.device import limits

SOURCES = [
    "tests/engine_runner.cc",
    *sorted(host.FIRMWARE.glob("engine/*.cc")),
    *sorted(host.FIRMWARE.glob("engine/compact/*.cc")),
    *sorted(host.FIRMWARE.glob("engine/compact/kernels/fully_connected*.cc")),
]
FLOATS, BAD = factory.float_models(), factory.bad_models()
TUTORIAL, TUTORIAL_FLOAT = PROOF["sine 1-16-16-1"], FLOATS["1-16-16-1 RELU"]
PLAIN, ODD = factory.odd_models()
ODD = ODD | factory.ranked_models()
OVERLOOKED = factory.overlooked_models()

needs_tflm = pytest.mark.skipif(
    inference.tflm_problem() is not None, reason=str(inference.tflm_problem())
)


# ------------------------------------------------------------------ the engine, and whom to ask


@pytest.fixture(scope="session")
def runner(tmp_path_factory):
    """f(*arguments, stdin=b'') runs engine_runner, with sanitizers where the compiler has them."""
    program = tmp_path_factory.mktemp("engine") / "engine_runner.exe"
    host.build(program, SOURCES)

    def run(*arguments, stdin=b""):
        result = host.run(program, *arguments, stdin=stdin)
        assert result.returncode in (0, 2, 3, 4), result.stderr.decode()
        return result

    return run


@pytest.fixture
def answers(runner, tmp_path):
    """f(tflite, inputs) -> the engine's raw outputs, shape (n, outputs)."""

    def run(tflite, inputs):
        path = tmp_path / "model.tflite"
        path.write_bytes(tflite)
        result = runner(path, stdin=inputs.tobytes())
        assert result.returncode == 0, result.stderr.decode()
        return np.frombuffer(result.stdout, inputs.dtype).reshape(len(inputs), -1)

    return run


@pytest.fixture
def mode(runner, tmp_path):
    """f('--places', tflite) -> the figures that the mode prints, a dict."""

    def run(name, tflite):
        path = tmp_path / "model.tflite"
        path.write_bytes(tflite)
        result = runner(name, path)
        assert result.returncode == 0, result.stderr.decode()
        return dict(pair.split("=") for pair in result.stdout.decode().split())

    return run


@pytest.fixture
def refusal(runner, tmp_path):
    """f(tflite, *arguments) -> the reason for which Init() refuses the model."""

    def run(tflite, *arguments):
        path = tmp_path / "model.tflite"
        path.write_bytes(tflite)
        result = runner(path, *arguments)
        assert result.returncode == 3, "was not refused"
        return result.stderr.decode().strip()

    return run


def litert_reference(tflite, inputs):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=tflite, experimental_op_resolver_type=OpResolverType.BUILTIN_REF
    )
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, inputs.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source, inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


# ------------------------------------------------------------------ int8, to the bit


@pytest.mark.parametrize("name", PROOF)
def test_equal_to_reference(name, answers):
    actual = answers(PROOF[name], factory.input_grid(PROOF[name]))
    assert np.array_equal(actual, traces(name)[-1].codes)


@needs_tflm
@pytest.mark.parametrize("name", PROOF)
def test_equal_to_tflm(name, answers, record_property):
    inputs = factory.input_grid(PROOF[name])
    expected = tflm(PROOF[name], inputs)
    assert np.array_equal(answers(PROOF[name], inputs), expected)
    assert np.array_equal(traces(name)[-1].codes, expected), "the reference itself is wrong"
    record_property("equal to TFLM (desktop)", len(inputs))


@needs_tflm
@pytest.mark.parametrize("per_channel", [False, True])
def test_converted_models_are_equal_to_tflm(per_channel, model, dataset, answers):
    from workshop_utils import convert

    tflite = convert.to_int8(model, dataset.x_train[:500], per_channel=per_channel)
    inputs = factory.input_grid(tflite)
    assert np.array_equal(answers(tflite, inputs), tflm(tflite, inputs))


def _layers():
    return [trace for name in PROOF for trace in traces(name)]


def _clamps(activation, high):
    """Layers with this activation in which its own limit, inside of int8, cut a value."""
    for layer in _layers():
        if layer.activation == getattr(factory.Activation, activation):
            low, top = layer.limits
            cut = (layer.unclamped > top) if high else (layer.unclamped < low)
            yield cut.any() and (top < 127 if high else low > -128)


def _halves(down):
    """Results exactly between two integers, above or below zero, in the last rounding."""
    for layer in _layers():
        for (significand, shift), sums in zip(layer.multipliers, layer.accumulators.T, strict=True):
            high = (sums * 2 ** max(shift, 0) * significand + 2**30) >> 31
            half = high % 2 ** max(-shift, 0) == 2 ** (-shift - 1) if shift < 0 else high > high
            yield (half & (high < 0 if down else high > 0)).any()


def _shifts(low, high):
    return (low <= shift <= high for layer in _layers() for _, shift in layer.multipliers)


def _sums(low, high):
    return (
        (low <= abs(layer.accumulators)) & (abs(layer.accumulators) < high) for layer in _layers()
    )


PATHS = {
    "NONE stops at -128": lambda: (layer.unclamped < -128 for layer in _layers()),
    "NONE stops at 127": lambda: (layer.unclamped > 127 for layer in _layers()),
    "RELU stops at its zero point": lambda: _clamps("RELU", high=False),
    "RELU6 stops at its zero point": lambda: _clamps("RELU6", high=False),
    "RELU6 stops at 6": lambda: _clamps("RELU6", high=True),
    "far to the left": lambda: _shifts(6, 30),
    "to the left": lambda: _shifts(1, 5),
    "no shift": lambda: _shifts(0, 0),
    "to the right": lambda: _shifts(-22, -1),
    "far to the right": lambda: _shifts(-30, -23),
    "31 to the right": lambda: _shifts(-31, -31),
    "nothing left": lambda: (m == (0, 0) for layer in _layers() for m in layer.multipliers),
    "multiplier rounded up": lambda: (
        m == (2**30, s) for layer in _layers() for m in layer.multipliers for s in [m[1]]
    ),
    "scales of their own": lambda: (len(set(layer.multipliers)) > 1 for layer in _layers()),
    "one scale for all": lambda: (
        len(layer.multipliers) > 1 and len(set(layer.multipliers)) == 1 for layer in _layers()
    ),
    "halves above zero": lambda: _halves(down=False),
    "halves below zero": lambda: _halves(down=True),
    "small sums": lambda: _sums(0, 2**16),
    "sums of 2**30": lambda: _sums(2**30, 2**31),
    "sums of 2**30 and a short shift": lambda: (
        shift > -23 and (abs(layer.accumulators) >= 2**30).any()
        for layer in _layers()
        if len(set(layer.multipliers)) == 1 and (shift := layer.multipliers[0][1]) < 0
    ),
    "sums near 2**31": lambda: _sums(2**31 - 2**27, 2**31),
}


@pytest.mark.parametrize("path", PATHS)
def test_the_proof_takes_every_path(path):
    """Else equality would say nothing about that path."""
    assert np.sum([np.any(taken) for taken in PATHS[path]()]) >= 2


def test_the_proof_tells_wrong_multipliers_apart(monkeypatch):
    """A multiplier that is off in its last bits, or rounded to float32, gives itself away."""
    names = ["razor -24", "razor -25", "razor per channel -24"]
    right = {name: traces(name)[-1].codes for name in names}
    original = reference.quantize_multiplier

    def last_bit(real):
        significand, shift = original(real)
        return significand + 1, shift

    for wrong in (last_bit, lambda real: original(float(np.float32(real)))):
        monkeypatch.setattr(reference, "quantize_multiplier", wrong)
        for name, codes in right.items():
            wrong_codes = reference.run(PROOF[name], factory.input_grid(PROOF[name]))[-1].codes
            assert (wrong_codes != codes).any()


@pytest.mark.parametrize("name", ODD)
def test_odd_models_answer_like_the_plain_one(name, answers):
    inputs = factory.input_grid(PLAIN)
    assert np.array_equal(answers(ODD[name], inputs), answers(PLAIN, inputs))


@needs_tflm
@pytest.mark.parametrize("name", OVERLOOKED)
def test_what_tflm_overlooks_makes_no_difference(name, answers):
    inputs = factory.input_grid(PLAIN)
    assert np.array_equal(answers(OVERLOOKED[name], inputs), tflm(OVERLOOKED[name], inputs))


@pytest.mark.parametrize("kind", [0, factory.schema.BuiltinOptions.SVDFOptions])
def test_without_options_there_is_no_activation(kind, answers):
    """What TFLM does when the options' type is missing or wrong."""
    operators = "subgraphs.0.operators"
    model = PROOF["random RELU"]  # with zero points other than -128, so that RELU matters
    unlike, plain, inputs = model, model, factory.input_grid(model)
    for i in range(3):
        path = f"{operators}.{i}.builtinOptions"
        unlike = factory.edited(unlike, factory.setter(f"{path}Type", kind))
        plain = factory.edited(plain, factory.setter(f"{path}.fusedActivationFunction", 0))
    assert np.array_equal(answers(unlike, inputs), answers(plain, inputs))
    assert not np.array_equal(answers(plain, inputs), answers(model, inputs))


# ------------------------------------------------------------------ float32


@pytest.mark.parametrize("name", FLOATS)
def test_float32_is_within_a_millionth(name, answers):
    details = factory.schema.Model.GetRootAs(FLOATS[name]).Subgraphs(0).Tensors(0)
    rng = np.random.default_rng(1)
    inputs = rng.uniform(-4, 10, (500, details.Shape(1))).astype(np.float32)
    expected = litert_reference(FLOATS[name], inputs)
    np.testing.assert_allclose(answers(FLOATS[name], inputs), expected, rtol=1e-6, atol=1e-30)


# What is odd about float32. Each of it is a weight of the first input, a bias, or an input.
SPECIAL = np.array([np.nan, np.inf, -np.inf, 3e38, -3e38, -0.0, 1e-45, -1e-45, 1], np.float32)


@pytest.mark.parametrize("place", ["weights", "bias", "inputs"])
@pytest.mark.parametrize("activation", factory.ACTIVATIONS)
def test_float32_that_is_no_number_or_too_large(activation, place, answers):
    """Like TFLM's std::min(std::max(x, low), high), to the bit: NaN stays NaN, and -0 stays -0."""
    rng = np.random.default_rng(1)
    weights = rng.choice(np.float32([1, -1, 0.0, -0.0]), (len(SPECIAL), 2))
    bias = rng.choice(np.float32([0.0, -0.0]), len(SPECIAL))
    if place == "weights":
        weights[:, 0] = SPECIAL
    if place == "bias":
        bias = SPECIAL
    tflite = factory.fully_connected([factory.Layer(weights, bias, activation)], "float32")
    inputs = np.float32([(a, b) for a in SPECIAL for b in (1, -0.0)])
    largest = np.finfo(np.float32).max
    low, high = np.float32(np.clip(factory.ACTIVATIONS[activation], -largest, largest))
    with np.errstate(all="ignore"):
        sums = np.float32(0) + inputs[:, :1] * weights[:, 0]
        sums = sums + inputs[:, 1:] * weights[:, 1] + bias
    expected = np.where(sums < low, low, sums)
    expected = np.where(high < expected, high, expected)
    assert np.isnan(expected).any() and (expected == high).any()
    assert _bits(answers(tflite, inputs)) == _bits(expected)
    if inference.tflm_problem() is None:
        assert _bits(tflm(tflite, inputs)) == _bits(expected), "the reference itself is wrong"


def _bits(values):
    """Bit patterns, all NaN alike: of those, C++ leaves open which one comes out."""
    return np.where(np.isnan(values), np.float32(np.nan), values).view(np.uint32).tolist()


@needs_tflm
@pytest.mark.parametrize("name", FLOATS)
def test_float32_is_equal_to_tflm(name, answers):
    details = factory.schema.Model.GetRootAs(FLOATS[name]).Subgraphs(0).Tensors(0)
    rng = np.random.default_rng(2)
    inputs = rng.uniform(-4, 10, (100, details.Shape(1))).astype(np.float32)
    assert _bits(answers(FLOATS[name], inputs)) == _bits(tflm(FLOATS[name], inputs))


def test_a_build_without_float32(tmp_path):
    program, path = tmp_path / "int8_only.exe", tmp_path / "model.tflite"
    host.build(program, SOURCES, "-DENGINE_FLOAT32=0")
    inputs = factory.input_grid(TUTORIAL)
    path.write_bytes(TUTORIAL)
    result = host.run(program, path, stdin=inputs.tobytes())
    assert np.frombuffer(result.stdout, np.int8).tolist() == [
        code for (code,) in traces("sine 1-16-16-1")[-1].codes
    ]
    path.write_bytes(TUTORIAL_FLOAT)
    result = host.run(program, path)
    assert result.returncode == 3
    assert result.stderr == b"unsupported tensor type FLOAT32\n"


# ------------------------------------------------------------------ radians in, values out

RADIANS = np.concatenate([np.linspace(-1, 8, 999), [0, -0.0, 1e-30, 1e9, -1e9, 3.4e38, -3.4e38]])


def test_predict_int8(runner, tmp_path):
    """Like the course's quantize and dequantize around the raw step, in float32."""
    path, x = tmp_path / "model.tflite", RADIANS.astype(np.float32)
    # A scale that is a power of two makes ties in the rounding.
    half = factory.edited(
        TUTORIAL, factory.setter("subgraphs.0.tensors.0.quantization.scale", [2**-5])
    )
    for tflite in (TUTORIAL, half):
        path.write_bytes(tflite)
        if tflite is half:
            x = (np.arange(-300, 300) / 64).astype(np.float32)
        graph = factory.schema.Model.GetRootAs(tflite).Subgraphs(0)
        ends = [graph.Tensors(i).Quantization() for i in (graph.Inputs(0), graph.Outputs(0))]
        (s_in, z_in), (s_out, z_out) = ((q.Scale(0), q.ZeroPoint(0)) for q in ends)
        with np.errstate(over="ignore"):
            inputs = inference.quantize(x, s_in, z_in)[:, None]
        codes = reference.run(tflite, inputs)[-1].codes
        result = runner("--predict", path, stdin=x.tobytes())
        assert result.returncode == 0, result.stderr.decode()
        expected = inference.dequantize(codes[:, 0], s_out, z_out)
        assert np.array_equal(np.frombuffer(result.stdout, np.float32), expected)


def test_predict_float32(runner, tmp_path, answers):
    path, x = tmp_path / "float.tflite", np.linspace(0, 6, 50, dtype=np.float32)
    path.write_bytes(TUTORIAL_FLOAT)
    result = runner("--predict", path, stdin=x.tobytes())
    assert result.stdout == answers(TUTORIAL_FLOAT, x[:, None]).tobytes()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tflite", [TUTORIAL, TUTORIAL_FLOAT], ids=["int8", "float32"])
def test_predict_refuses_what_is_not_finite(runner, tmp_path, tflite, value):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite)
    result = runner("--predict", path, stdin=np.float32(value).tobytes())
    assert result.returncode == 4 and b"finite" in result.stderr


@pytest.mark.parametrize("name", ["sine 2-16-16-1", "sine 1-16-2"])
def test_predict_refuses_what_is_no_scalar(runner, tmp_path, name):
    path = tmp_path / "model.tflite"
    path.write_bytes(PROOF[name])
    result = runner("--predict", path, stdin=np.float32(1).tobytes())
    assert result.returncode == 4 and b"one" in result.stderr


@pytest.mark.parametrize("number", range(7))
def test_the_engine_has_the_activations_that_its_limits_name(runner, tmp_path, number):
    path = tmp_path / "model.tflite"
    name = "subgraphs.0.operators.0.builtinOptions.fusedActivationFunction"
    path.write_bytes(factory.edited(TUTORIAL, factory.setter(name, number)))
    assert (runner(path).returncode == 0) == (number in limits.activations())


@pytest.mark.parametrize("tflite", [TUTORIAL, TUTORIAL_FLOAT], ids=["int8", "float32"])
def test_there_is_a_reason_if_and_only_if_a_call_was_refused(runner, tmp_path, tflite):
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite)
    lines = runner("--reasons", path).stdout.decode().splitlines()
    said = [re.fullmatch(r"(.*): (\d) '(.*)'", line).groups() for line in lines]
    refused = {
        "before Init",
        "Predict NaN",
        "other type",
        "Predict infinity",
        "damaged",
        "no arena",
    }
    calls = [call for call, *_ in said]
    assert len(calls) == 13 and refused < set(calls)
    for number, (call, status, reason) in enumerate(said):
        # After a model that was refused there is none to predict with.
        expected = call in refused or calls[number - 1] == "damaged"
        assert (status != "0") == bool(reason) == expected, (call, status, reason)


def test_info(mode):
    info = mode("--info", TUTORIAL)
    graph = factory.schema.Model.GetRootAs(TUTORIAL).Subgraphs(0)
    assert (info["inputs"], info["outputs"], info["is_int8"]) == ("1", "1", "1")
    for side, index in (("input", graph.Inputs(0)), ("output", graph.Outputs(0))):
        quantization = graph.Tensors(index).Quantization()
        assert np.float32(info[f"{side}_scale"]) == np.float32(quantization.Scale(0))
        assert int(info[f"{side}_zero_point"]) == quantization.ZeroPoint(0)


# ------------------------------------------------------------------ bad models


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused_with_a_reason(name, refusal):
    tflite, blame = BAD[name]
    reason = refusal(tflite)
    assert re.search(blame, reason) and len(reason.splitlines()) == 1 and reason


def test_sizes_that_wrap_around_are_refused(refusal):
    """32768 * 32768 weights of 4 bytes are 0 bytes in 32 bits: as many as there are."""
    assert refusal(factory.wide_float(32768)) == "unsupported shape"
    assert refusal(factory.wide_float(1024)) == "damaged model"


@pytest.mark.parametrize("tflite", [TUTORIAL, TUTORIAL_FLOAT, ODD["a signature, metadata"]])
def test_every_beginning_is_refused_or_answered(tflite, mode):
    result = mode("--truncations", tflite)
    assert int(result["answered"]) + int(result["refused"]) == len(tflite)
    assert int(result["refused"]) > len(tflite) / 2


@pytest.mark.parametrize("name", ["sine 1-1", "sine 7-6-5-3 per channel", "sine 1-64-64-64-1"])
def test_arena_is_refused_below_the_need_only(name, mode, refusal):
    result = mode("--arenas", PROOF[name])
    assert (result["answered_with_less"], result["answered"], result["different"]) == (
        "0",
        "1",
        "0",
    )
    assert "memory" in refusal(PROOF[name], int(result["need"]) - 1)


def test_arena_of_float32(mode):
    result = mode("--arenas", FLOATS["2-33-17-1 RELU"])
    assert (result["answered_with_less"], result["answered"], result["different"]) == (
        "0",
        "1",
        "0",
    )


@pytest.mark.parametrize("tflite", [PLAIN, TUTORIAL_FLOAT], ids=["int8", "float32"])
def test_at_any_address(tflite, mode):
    """An answer, if it is given, is the same as that from an aligned model and arena."""
    result = mode("--places", tflite)
    assert result["different"] == "0" != result["answered"]


def test_no_model_at_all(runner, tmp_path):
    assert runner(tmp_path / "missing.tflite").returncode == 2
