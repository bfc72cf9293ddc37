"""workshop model: what is shown of a model, against the schema's own classes and TFLM."""

import json

import numpy as np
import pytest
import tflite_factory as factory
from click.testing import CliRunner

from workshop_utils import c_source, describe, paths
from workshop_utils.cli import main
from workshop_utils.device import boards, compiling

REFERENCE = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)


def workshop(*arguments):
    return CliRunner().invoke(main, ["model", *map(str, arguments)])


def shown(tmp_path, content, *options):
    (tmp_path / "m.tflite").write_bytes(content)
    return workshop(tmp_path / "m.tflite", *options)


def test_what_is_said_is_what_the_schema_says():
    graph = factory.schema.ModelT.InitFromPackedBuf(REFERENCE).subgraphs[0]
    found = describe.model(REFERENCE)
    assert found["type"] == "int8" and found["problem"] is None and found["remarks"] == []
    assert found["bytes"] == len(REFERENCE) == sum(found["parts"].values())
    for side, (index,) in (("inputs", graph.inputs), ("outputs", graph.outputs)):
        (end,), tensor = found[side], graph.tensors[index]
        scale, zero_point = tensor.quantization.scale[0], tensor.quantization.zeroPoint[0]
        assert (end["type"], end["shape"]) == ("int8", [1, 1])
        assert (end["scale"], end["zero_point"]) == (scale, zero_point)
        codes = np.array([-128, 127])
        assert end["covers"] == pytest.approx((codes - zero_point) * scale)
    assert [layer["parameters"] for layer in found["layers"]] == [32, 272, 17]
    assert [layer["activation"] for layer in found["layers"]] == ["RELU", "RELU", "NONE"]
    for layer, operator in zip(found["layers"], graph.operators, strict=True):
        weights, output = graph.tensors[operator.inputs[1]], graph.tensors[operator.outputs[0]]
        assert layer["weights"] == weights.shape.tolist()
        assert layer["weight_scales"] == weights.quantization.scale.tolist()
        assert layer["scale"] == output.quantization.scale[0]
        assert (layer["inputs"], layer["outputs"]) == (
            [[1, layer["weights"][1]]],
            [[1, layer["weights"][0]]],
        )


def test_everything_here_runs_the_courses_own_model():
    found = describe.model(REFERENCE)
    assert found["engines"] == dict.fromkeys(compiling.ENGINES)
    assert found["programs"] == dict.fromkeys(compiling.PROGRAMS)
    assert found["boards"] == dict.fromkeys(boards.BOARDS)


def test_what_runs_where():
    floats = describe.model(factory.fully_connected(factory.sine_layers((1, 4, 1)), "float32"))
    assert floats["engines"]["generated"].startswith("The model computes in float32, and plain C")
    assert floats["programs"]["wave"] is None and "int8" in floats["programs"]["sweep"]
    assert floats["remarks"] and floats["problem"] is None
    wide = describe.model(factory.random_int8(1, (1, 9000, 1)))
    assert wide["boards"]["microbit-v1"].startswith("The engine needs ")
    assert wide["boards"]["emulator"] is None


def test_the_command_shows_it(tmp_path):
    result = shown(tmp_path, REFERENCE)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("int8, 2,736 bytes\n")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[0] for row in rows if "FULLY_CONNECTED" in row] == ["1", "2", "3"]
    assert "weights 288 bytes, biases 132 bytes, description 2,316 bytes" in result.stdout
    assert "engines that run it: compact, generated, tflm" in result.stdout
    assert json.loads(shown(tmp_path, REFERENCE, "--json").stdout) == describe.model(REFERENCE)
    source = c_source.write(REFERENCE, tmp_path / "m.cc")
    assert workshop(source).stdout == result.stdout


STRANGE = {
    "GELU": factory.followed_by(REFERENCE, "GELU"),
    "inference_input_type": factory.with_ends(REFERENCE, "FLOAT32", "FLOAT32"),
    "2 input tensors": factory.edited(REFERENCE, factory.setter("subgraphs.0.inputs", [0, 1])),
    "scale that is no positive": factory.edited(
        REFERENCE, factory.setter("subgraphs.0.tensors.0.quantization.scale", [float("nan")])
    ),
}


@pytest.mark.parametrize("word", STRANGE)
def test_what_nothing_runs_is_shown_and_one_sentence(tmp_path, word):
    result = shown(tmp_path, STRANGE[word])
    assert result.exit_code == 1 and word in result.stderr and result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ") and "engines that run it: none" in result.stdout
    result = shown(tmp_path, STRANGE[word], "--json")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    found = json.loads(result.stdout, parse_constant=refuse)
    assert result.exit_code == 1 and word in found["problem"]
    assert not any(value is None for value in found["boards"].values())


def test_what_is_no_model_is_one_sentence(tmp_path):
    for content, sentence in ((b"", "is empty"), (REFERENCE[:900], "is damaged or cut off")):
        result = shown(tmp_path, content)
        assert (result.exit_code, result.stdout) == (1, "") and sentence in result.stderr
        assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1
    result = workshop(tmp_path / "none.tflite")
    assert result.exit_code == 1 and "No such file" in result.stderr


def test_a_model_of_many_values_becomes_plain_c_and_no_program_of_the_firmware():
    found = describe.model(factory.random_int8(1, (300, 5, 70)))
    assert found["problem"] is None
    assert [name for name, reason in found["engines"].items() if reason is None] == ["generated"]
    assert all(found["programs"].values()) and all(found["boards"].values())
