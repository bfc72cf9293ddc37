import sys

import numpy as np
import pytest
import tflite_factory

from workshop_utils import inference
from workshop_utils.errors import TflmUnavailable, WorkshopError

needs_tflm = pytest.mark.skipif(
    inference.tflm_problem() is not None, reason=str(inference.tflm_problem())
)


def test_details_are_what_litert_says(int8_tflite, float_tflite):
    from ai_edge_litert.interpreter import Interpreter

    for content in (int8_tflite, float_tflite):
        interpreter = Interpreter(model_content=content)
        wanted = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
        for found, said in zip(inference.details(content), wanted, strict=True):
            assert found["name"] == said["name"] and found["dtype"] == said["dtype"]
            assert found["quantization"] == said["quantization"]
            assert found["shape"].tolist() == said["shape"].tolist()


def test_a_model_of_a_type_that_has_no_arrays():
    content = tflite_factory.quantized(tflite_factory.sine_layers((1, 4, 1)))
    to_int4 = tflite_factory.setter("subgraphs.0.tensors.0.type", tflite_factory.Type.INT4)
    with pytest.raises(WorkshopError, match=r"^The model's tensor input is INT4; convert it again"):
        inference.details(tflite_factory.edited(content, to_int4))


def test_the_arithmetic_of_quantization_is_here_too():
    assert inference.quantize([0.26], 0.1, 0).tolist() == [3]
    assert inference.dequantize([3], 0.5, 1).tolist() == [1.0]


def test_keras_and_tflite_float_equal_a_forward_pass(model, float_tflite, dataset, forward):
    expected = forward(model.get_weights(), dataset.x_test)
    assert np.allclose(model.predict(dataset.x_test, verbose=0).ravel(), expected, atol=1e-5)
    predicted = inference.predict(float_tflite, dataset.x_test)
    assert predicted.dtype == np.float32 and predicted.shape == dataset.x_test.shape
    assert np.allclose(predicted, expected, atol=1e-5)


@needs_tflm
def test_float_on_tflm_equals_a_forward_pass(model, float_tflite, dataset, forward):
    expected = forward(model.get_weights(), dataset.x_test)
    assert np.allclose(inference.predict(float_tflite, dataset.x_test, "tflm"), expected, atol=1e-5)


def test_int8_stays_close_to_float(int8_tflite, float_tflite, dataset):
    float_answers = inference.predict(float_tflite, dataset.x_test)
    int8_answers = inference.predict(int8_tflite, dataset.x_test)
    assert np.sqrt(np.mean((float_answers - int8_answers) ** 2)) < 0.06


@needs_tflm
def test_tflm_answers_as_its_own_interpreter_does(int8_tflite):
    from tflite_micro.python.tflite_micro import runtime

    interpreter = runtime.Interpreter.from_bytes(int8_tflite)
    expected = []
    codes = np.arange(-128, 128).astype(np.int8)
    for code in codes:
        interpreter.set_input(np.array([[code]], np.int8), 0)
        interpreter.invoke()
        expected.append(interpreter.get_output(0).item())
    answers = inference.invoke(int8_tflite, codes, "tflm")
    assert answers.dtype == np.int8
    assert answers.tolist() == expected
    assert len(set(expected)) > 50, "The model answers nearly the same to everything."


@needs_tflm
def test_the_best_runtime_is_the_chips():
    assert inference.best_runtime() == "tflm"


@needs_tflm
def test_litert_and_tflm_are_relatives(int8_tflite):
    codes = np.arange(-128, 128).astype(np.int8)
    answers = [
        inference.invoke(int8_tflite, codes, name).astype(int) for name in ("litert", "tflm")
    ]
    assert np.abs(answers[0] - answers[1]).max() <= 2


def test_evaluate_is_the_mean_squared_error(float_tflite, dataset):
    expected = np.mean((inference.predict(float_tflite, dataset.x_test) - dataset.y_test) ** 2)
    assert inference.evaluate(float_tflite, dataset.x_test, dataset.y_test) == pytest.approx(
        expected
    )


@pytest.mark.parametrize("cut", [0, 4, 7, 100, -1])
def test_truncated_models(int8_tflite, dataset, cut):
    for runtime in inference.RUNTIMES:
        with pytest.raises(
            WorkshopError, match=r"^The model is (empty|damaged or cut off|no Tens)"
        ):
            inference.predict(int8_tflite[:cut], dataset.x_test, runtime)


def test_foreign_bytes():
    with pytest.raises(WorkshopError, match=r"05_tensorflow_lite\.ipynb"):
        inference.details(b"GIF89a, surely not a model" * 50)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ([], "shape"),
        ([[1.0, 2.0]], "of 1, but .* of 2: x has the shape"),
        ([np.nan], "NaN"),
        (3.0, "shape"),
    ],
)
def test_bad_x(int8_tflite, float_tflite, x, words):
    for tflite in (int8_tflite, float_tflite):
        with pytest.raises(WorkshopError, match=words):
            inference.predict(tflite, np.array(x, np.float32))


def test_raw_values_of_the_wrong_kind(int8_tflite):
    with pytest.raises(WorkshopError, match="input is int8, but got float64: quantize"):
        inference.invoke(int8_tflite, np.array([0.5]))


def test_unknown_runtime(int8_tflite, dataset):
    with pytest.raises(WorkshopError, match="no runtime 'gpu'"):
        inference.predict(int8_tflite, dataset.x_test, "gpu")


def test_x_and_y_of_different_length(int8_tflite, dataset):
    with pytest.raises(WorkshopError, match="equally long"):
        inference.evaluate(int8_tflite, dataset.x_test, dataset.y_test[1:])


def test_without_tflm_a_sentence_says_so(monkeypatch, int8_tflite, dataset):
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)
    assert "Linux on x86-64" in inference.tflm_problem()
    assert inference.best_runtime() == "litert"
    with pytest.raises(TflmUnavailable, match="no Python package for this machine"):
        inference.predict(int8_tflite, dataset.x_test, "tflm")


# ---- What a runtime cannot run


def test_models_with_other_ends():
    """float32 at the ends of an int8 model is run; other ends are said to be what they are."""
    good = tflite_factory.quantized(tflite_factory.sine_layers((1, 8, 1)))
    x = np.linspace(0, 6, 20, dtype=np.float32)
    wanted = inference.predict(good, x)
    floats = tflite_factory.with_ends(good, "FLOAT32", "FLOAT32")
    assert np.allclose(inference.predict(floats, x), wanted, atol=1e-6)
    for ends in (("UINT8", "UINT8"), ("INT8", "FLOAT32"), ("FLOAT32", "INT8")):
        with pytest.raises(
            WorkshopError, match=r"^The model computes in int8, but its .* tf\.int8"
        ):
            inference.predict(tflite_factory.with_ends(good, *ends), x)


def test_raw_values_of_a_type_that_predict_has_no_use_for():
    good = tflite_factory.quantized(tflite_factory.sine_layers((1, 8, 1)))
    with pytest.raises(WorkshopError, match=r"^The model's input is uint8, but got float32\.$"):
        inference.invoke(tflite_factory.with_ends(good, "UINT8", "UINT8"), np.float32([1, 2]))


def of_one_row():
    """A model that ends with RESHAPE to one value, which LiteRT cannot give several rows."""
    good = tflite_factory.fully_connected(tflite_factory.sine_layers((1, 8, 1)), "float32")

    def edit(model):
        graph, schema = model.subgraphs[0], tflite_factory.schema
        model.buffers.append(schema.BufferT(np.int32([1]).tobytes()))
        shape = schema.TensorT([1], tflite_factory.Type.INT32, len(model.buffers) - 1, "shape")
        graph.tensors += [shape, schema.TensorT([1], tflite_factory.Type.FLOAT32, 0, "y")]
        count = len(graph.tensors)
        step = tflite_factory.another_operator(
            model, "RESHAPE", [*graph.outputs, count - 2], [count - 1]
        )
        graph.operators.append(step)
        graph.outputs = [count - 1]

    return tflite_factory.edited(good, edit)


def test_litert_says_why_it_cannot_run_a_model():
    with pytest.raises(WorkshopError, match=r"^LiteRT cannot run this model: .*RESHAPE.*\.$"):
        inference.predict(of_one_row(), np.float32([1, 2, 3]))


@needs_tflm
def test_tflm_says_why_it_cannot_run_a_model(capfd):
    good = tflite_factory.quantized(tflite_factory.sine_layers((1, 8, 1)))
    gelu = tflite_factory.followed_by(good, "GELU")
    with pytest.raises(
        WorkshopError, match=r"^TFLM cannot run this model: .*'?GELU'?.*\.$"
    ) as caught:
        inference.invoke(gelu, np.int8([1, 2]), "tflm")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("runtime", ["litert", pytest.param("tflm", marks=needs_tflm)])
def test_a_model_of_two_inputs(runtime):
    """Quantized, its input has one scale for both of its values."""
    content = tflite_factory.quantized(tflite_factory.sine_layers((2, 5, 1)))
    (scale, zero_point), target = (end["quantization"] for end in inference.details(content))
    x = np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32)
    codes = np.clip(np.round(x / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
    expected = inference.invoke_rows(content, codes, runtime)[:, 0]
    assert inference.predict(content, x, runtime) == pytest.approx(
        (expected.astype(float) - target[1]) * target[0], abs=1e-5
    )
    assert inference.evaluate(content, x, np.zeros(20), runtime) > 0
    with pytest.raises(WorkshopError, match="one input value"):
        inference.invoke(content, codes[:, 0], runtime)
