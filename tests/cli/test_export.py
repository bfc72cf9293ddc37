"""workshop export: files that are whole or not there, and refusals in one sentence."""

import tflite_factory as factory
from click.testing import CliRunner

from workshop_utils import c_source, paths, plain_c
from workshop_utils.cli import main

OWN = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
FLOATS = next(iter(factory.float_models().values()))


def export(*arguments):
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


def test_c_writes_a_tested_header(home):
    folder = home.path / "out"
    result = export("c", "--output", folder, "--name", "sine")
    assert result.exit_code == 0, result.stderr
    assert [path.name for path in folder.iterdir()] == ["sine.h"]
    text = (folder / "sine.h").read_text()
    (tested,) = [line for line in text.splitlines() if line.startswith("// Tested: 256 of 256 ")]
    assert text == plain_c.header(OWN, "sine", tested.removeprefix("// "))
    assert result.stdout == (
        f"The network is {folder / 'sine.h'}: call sine_run() or sine_predict().\n"
    )


def test_arduino_writes_a_folder_and_a_zip(home, tmp_path):
    model = tmp_path / "other.tflite"
    model.write_bytes(factory.quantized(factory.sine_layers((1, 8, 1))))
    folder = home.path / "out"
    result = export("arduino", "--model", model, "--output", folder, "--name", "sine_model")
    assert result.exit_code == 0, result.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["SineModel", "SineModel.zip"]
    assert "Tested: 256 of 256" in (folder / "SineModel" / "src" / "sine_model.h").read_text()
    assert str(folder / "SineModel.zip") in result.stdout and "Add .ZIP Library" in result.stdout


def test_a_refusal_writes_nothing_and_keeps_what_was_there(home, tmp_path):
    model, folder = tmp_path / "floats.tflite", home.path / "out"
    model.write_bytes(FLOATS)
    for kind in ("c", "arduino"):
        result = export(kind, "--model", model, "--output", folder)
        assert result.exit_code == 1 and result.stdout == ""
        assert result.stderr.startswith(
            "Error: The model computes in float32, and plain C is made of int8 models: set "
        )
        assert not folder.exists()
    folder.mkdir()
    (folder / "model.h").write_text("a former one")
    assert export("c", "--model", model, "--output", folder).exit_code == 1
    assert (folder / "model.h").read_text() == "a former one"


def test_what_cannot_be_asked_for(home, tmp_path):
    damaged, folder = tmp_path / "damaged.tflite", tmp_path / "out"
    damaged.write_bytes(OWN[:900])
    for arguments in (
        ["--name", "Sine"],
        ["--model", tmp_path / "none.tflite"],
        ["--model", damaged],
    ):
        for kind in ("c", "arduino"):
            result = export(kind, "--output", folder, *arguments)
            assert result.exit_code == 1 and result.stderr.count("\n") == 1
            assert result.stderr.startswith("Error: ") and not folder.exists()
    assert export("c").exit_code == 2  # without --output
