"""TensorFlow Lite models at work: quantize, predict and evaluate. Introduced in notebook 05.

Two runtimes: LiteRT, the interpreter for desktops and phones, and TFLM, TensorFlow Lite for
Microcontrollers, the one whose arithmetic runs on the chip. LiteRT runs without delegates here,
because its optimized kernels round differently again.
"""

import struct

import numpy as np

from workshop_utils.errors import TflmUnavailable, WorkshopError

RUNTIMES = ("litert", "tflm")


def quantize(x, scale, zero_point):
    """Real values to int8: round(x / scale) + zero_point, clipped to [-128, 127].

    x: array of any shape, in the tensor's real units. Returns int8, same shape.
    Raises WorkshopError (a ValueError) if scale is not positive or x is not finite.
    Source: TensorFlow Lite 8-bit quantization specification.
    """
    _check_scale(scale)
    x = np.asarray(x, dtype=np.float32)
    if not np.isfinite(x).all():
        raise WorkshopError("Cannot quantize NaN or infinity: int8 has no code for them.")
    with np.errstate(over="ignore"):  # infinity is clipped as well
        steps = np.rint(x / np.float32(scale)) + zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


def dequantize(q, scale, zero_point):
    """int8 to real values: (q - zero_point) * scale.

    q: integers of any shape. Returns float32, same shape.
    Raises WorkshopError (a ValueError) if scale is not positive.
    Source: TensorFlow Lite 8-bit quantization specification.
    """
    _check_scale(scale)
    return (np.asarray(q, dtype=np.int32) - zero_point).astype(np.float32) * np.float32(scale)


def _check_scale(scale):
    if not (np.isfinite(scale) and scale > 0):
        raise WorkshopError(f"A quantization scale must be a positive number, but is {scale}.")


def predict(tflite_model, x, runtime="litert"):
    """Predictions of a model with one input and one output value, in real units.

    tflite_model: flatbuffer, bytes. x: float32, shape (n,). runtime: 'litert' or 'tflm'.
    An int8 model gets its input quantized and its output dequantized. Returns float32, (n,).
    Raises WorkshopError for a damaged model or x; TflmUnavailable where TFLM has no package.
    """
    x = np.asarray(x, dtype=np.float32)
    if x.ndim != 1 or x.size == 0:
        raise WorkshopError(f"x must have the shape (n,) with n at least 1, but has {x.shape}.")
    source, target = details(tflite_model)
    if source["dtype"] == np.int8:
        outputs = invoke(tflite_model, quantize(x, *source["quantization"]), runtime)
        return dequantize(outputs, *target["quantization"])
    if not np.isfinite(x).all():
        raise WorkshopError("x contains NaN or infinity; remove those samples first.")
    return invoke(tflite_model, x, runtime)


def evaluate(tflite_model, x, y, runtime="litert"):
    """Mean squared error of the model's predictions for x against y (both shape (n,))."""
    y = np.asarray(y, dtype=np.float32)
    if y.shape != np.shape(x):
        raise WorkshopError(f"x and y must be equally long, but are {np.shape(x)} and {y.shape}.")
    return float(np.mean((predict(tflite_model, x, runtime) - y) ** 2))


def invoke(tflite_model, inputs, runtime="litert"):
    """Raw outputs for raw inputs, without quantizing anything.

    inputs: shape (n,), of the input tensor's dtype (int8 or float32). Returns (n,), of the output
    tensor's dtype. Raises like `predict`, and WorkshopError if the dtype does not fit.
    """
    source, _ = details(tflite_model)
    inputs = np.asarray(inputs)
    if inputs.dtype != source["dtype"]:
        raise WorkshopError(
            f"The model's input is {np.dtype(source['dtype'])}, but got {inputs.dtype}: quantize "
            "the values first, or use predict, which does."
        )
    if runtime not in RUNTIMES:
        raise WorkshopError(f"There is no runtime {runtime!r}; choose one of {RUNTIMES}.")
    run = _invoke_litert if runtime == "litert" else _invoke_tflm
    return run(bytes(tflite_model), inputs.reshape(-1, 1)).reshape(-1)


def details(tflite_model):
    """What the model says of its input and its output tensor: two dicts, LiteRT's.

    'dtype', 'shape' and 'quantization', the pair (scale, zero point).
    Raises WorkshopError if the bytes are not a whole TFLite model with one input and one output.
    """
    interpreter = _litert(tflite_model)
    ends = interpreter.get_input_details(), interpreter.get_output_details()
    if any(len(end) != 1 or end[0]["shape"].prod() != 1 for end in ends):
        raise WorkshopError("The model must have one input value and one output value.")
    return ends[0][0], ends[1][0]


def _litert(tflite_model):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        return Interpreter(
            model_content=bytes(tflite_model),
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    except (ValueError, RuntimeError) as error:
        raise WorkshopError(
            f"These {len(tflite_model)} bytes are not a whole TensorFlow Lite model "
            f"({str(error).rstrip('.')}); run notebook 05_tensorflow_lite.ipynb again."
        ) from error


def _invoke_litert(tflite_model, inputs):
    interpreter = _litert(tflite_model)
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, inputs.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source, inputs)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def _invoke_tflm(tflite_model, inputs):
    """One inference an input, as on the chip: TFLM has no batches."""
    runtime = _tflm_runtime()
    try:
        interpreter = runtime.Interpreter.from_bytes(tflite_model)
    except (ValueError, RuntimeError, struct.error) as error:
        raise WorkshopError(f"TFLM cannot run this model: {error}") from error
    outputs = np.empty(inputs.shape, interpreter.get_output_details(0)["dtype"])
    for row, value in enumerate(inputs):
        interpreter.set_input(value[None], 0)
        interpreter.invoke()
        outputs[row] = interpreter.get_output(0)[0]
    return outputs


def tflm_problem():
    """Why TFLM cannot run here, in one sentence; None if it can."""
    try:
        _tflm_runtime()
    except TflmUnavailable as problem:
        return str(problem)
    return None


def _tflm_runtime():
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise TflmUnavailable(
            "TensorFlow Lite for Microcontrollers has no Python package for this machine (there "
            "are wheels for Linux on x86-64 only), so the steps that need it are left out."
        ) from error
    return runtime
