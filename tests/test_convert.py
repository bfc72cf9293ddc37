import numpy as np
import pytest

from workshop_utils import convert, data, inference, quiet, training
from workshop_utils.errors import WorkshopError
from workshop_utils.running import notebooks


def tensors(tflite):
    """(dtype, number of scales) of each tensor, read with LiteRT."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=tflite)
    return [
        (np.dtype(t["dtype"]), len(t["quantization_parameters"]["scales"]))
        for t in interpreter.get_tensor_details()
    ]


def test_float_model_is_float_throughout(float_tflite):
    assert {dtype for dtype, _ in tensors(float_tflite)} <= {np.dtype("float32"), np.dtype("int32")}


def test_int8_model_has_one_scale_per_tensor_and_no_float(int8_tflite):
    found = tensors(int8_tflite)
    assert {dtype for dtype, _ in found} == {np.dtype("int8"), np.dtype("int32")}
    assert {scales for _, scales in found} <= {0, 1}


def test_per_channel_on_request(model, dataset, int8_tflite):
    finer = convert.to_int8(model, dataset.x_train[:500], per_channel=True)
    assert 16 in {scales for _, scales in tensors(finer)}
    assert len(finer) > len(int8_tflite)


def test_the_input_scale_covers_the_representative_data(int8_tflite, dataset):
    source, _ = inference.details(int8_tflite)
    scale, zero_point = source["quantization"]
    lowest, highest = inference.dequantize([-128, 127], scale, zero_point)
    assert lowest <= dataset.x_train[:500].min() + scale
    assert highest >= dataset.x_train[:500].max() - scale


def test_same_model_same_bytes(model, dataset, int8_tflite):
    assert convert.to_int8(model, dataset.x_train[:500]) == int8_tflite


def test_notebook_05_converts_as_the_helper_does(model, dataset, int8_tflite):
    """The options that the notebook shows are the options that `to_int8` sets."""
    import tensorflow as tf

    notebook = notebooks.notebooks()["05"]
    names = {"tf": tf, "convert": convert, "model": model, "x_train": dataset.x_train}
    names |= notebooks.parameters(notebook)
    for cell in notebooks.tagged_source(notebook, "recipe"):
        exec(compile(cell, str(notebook), "exec"), names)
    assert names["model_tflite"] == int8_tflite


def test_the_options_are_what_to_int8_leaves_open():
    assert convert.options() == {"per_channel": False}


@pytest.mark.parametrize("representative", [0, data.MAX_SAMPLES + 1, 1.5, "all"])
def test_a_number_of_representative_samples_that_cannot_be(representative):
    with pytest.raises(WorkshopError, match=r"^REPRESENTATIVE is"):
        convert.check_parameters(representative)
    convert.check_parameters(1)
    convert.check_parameters(data.MAX_SAMPLES)


def test_silence(model, dataset, capfd):
    convert.to_float(model)
    convert.to_int8(model, dataset.x_train[:10])
    assert capfd.readouterr() == ("", "")


def test_what_was_held_back_is_shown_when_it_fails(capfd):
    with pytest.raises(RuntimeError), quiet.output():
        print("the clue")
        raise RuntimeError
    assert "the clue" in capfd.readouterr().err


@pytest.mark.parametrize("x", [[], [1.0, float("nan")]])
def test_bad_representative_data(model, x):
    with pytest.raises(WorkshopError, match="representative dataset"):
        convert.to_int8(model, x)


def test_a_model_of_two_inputs_goes_all_the_way():
    """From arrays of shape (n, 2) to int8 answers; the float model is checked by hand."""
    rng = np.random.default_rng(1)
    x = rng.uniform(0, 1, (300, 2)).astype(np.float32)
    parts = data.split(x, x[:, 0] * (1 - 0.5 * x[:, 1]))
    assert parts.x_train.shape == (180, 2) and parts.x_validate.shape == (60, 2)
    network = training.larger_network(1, 8, 1, inputs=2, span=(0, 1))
    training.fit(
        network,
        parts.x_train,
        parts.y_train,
        epochs=100,
        batch_size=16,
        validation_data=(parts.x_validate, parts.y_validate),
        verbose=False,
    )
    first, bias, last, end = network.get_weights()
    by_hand = np.maximum(parts.x_test @ first + bias, 0) @ last + end
    floats = convert.to_float(network)
    assert np.allclose(inference.predict(floats, parts.x_test), by_hand[:, 0], atol=1e-5)
    int8 = convert.to_int8(network, parts.x_train)
    assert np.abs(inference.predict(int8, parts.x_test) - by_hand[:, 0]).max() < 0.03
    error = inference.evaluate(int8, parts.x_test, parts.y_test)
    assert error == pytest.approx(
        np.mean((inference.predict(int8, parts.x_test) - parts.y_test) ** 2)
    )
    for wrong in (parts.x_test[:, 0], np.ones((5, 3))):
        with pytest.raises(WorkshopError, match=r"makes 1 value\(s\) of 2, but one is to be made"):
            inference.predict(int8, wrong)
