"""TensorFlow Lite models at work: quantize, predict and evaluate. Introduced in notebook 05.

Two runtimes: LiteRT, the interpreter for desktops and phones, and TFLM, TensorFlow Lite for
Microcontrollers, the one whose arithmetic runs on the chip. LiteRT runs without delegates here,
because its optimized kernels round differently again.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workshop_utils import quiet
from workshop_utils.device import diagnosis, tflite
from workshop_utils.device.tflite import dequantize as dequantize
from workshop_utils.device.tflite import quantize as quantize
from workshop_utils.errors import TflmUnavailable, WorkshopError

TITLES = {"litert": "LiteRT", "tflm": "TFLM"}
RUNTIMES = tuple(TITLES)


def predict(tflite_model: bytes, x: ArrayLike, runtime: str = "litert") -> NDArray[np.float32]:
    """Predictions of a model with one output value, in real units.

    tflite_model: flatbuffer, bytes. x: float32, shape (n,), or (n, inputs) for a model of several
    input values. runtime: 'litert' or 'tflm'. An int8 model gets its input quantized and its output
    dequantized. Returns float32, (n,). Raises WorkshopError for a damaged model, one whose ends are
    neither int8 nor float32, or x; TflmUnavailable where TFLM has no package.
    """
    x = np.asarray(x, dtype=np.float32)
    if x.ndim not in (1, 2) or x.size == 0:
        raise WorkshopError(
            f"x must have the shape (n,) or (n, inputs) with n at least 1, but has {x.shape}."
        )
    source, target = details(tflite_model)
    inputs, outputs = (int([1, *end["shape"]][-1]) for end in (source, target))
    rows = x.reshape(len(x), -1)
    if rows.shape[1] != inputs or outputs != 1:
        raise WorkshopError(
            f"The model makes {outputs} value(s) of {inputs}, but one is to be made of "
            f"{rows.shape[1]}: x has the shape {x.shape}."
        )
    if (source["dtype"], target["dtype"]) not in ((np.int8, np.int8), (np.float32, np.float32)):
        found = diagnosis.problem(tflite.parse(tflite_model))
        raise WorkshopError(found or "The model's ends are of two types; convert it again.")
    if source["dtype"] == np.int8:
        codes = invoke_rows(tflite_model, quantize(rows, *source["quantization"]), runtime)
        return dequantize(codes.reshape(-1), *target["quantization"])
    if not np.isfinite(x).all():
        raise WorkshopError("x contains NaN or infinity; remove those samples first.")
    return invoke_rows(tflite_model, rows, runtime).reshape(-1)


def evaluate(tflite_model: bytes, x: ArrayLike, y: ArrayLike, runtime: str = "litert") -> float:
    """Mean squared error of the model's predictions for x against y.

    x: shape (n,) or (n, inputs). y: shape (n,).
    """
    y = np.asarray(y, dtype=np.float32)
    if y.shape != np.shape(x)[:1]:
        raise WorkshopError(f"x and y must be equally long, but are {np.shape(x)} and {y.shape}.")
    return float(np.mean((predict(tflite_model, x, runtime) - y) ** 2))


def invoke(tflite_model: bytes, inputs: ArrayLike, runtime: str = "litert") -> NDArray[Any]:
    """Raw outputs for raw inputs, without quantizing anything.

    inputs: shape (n,), of the input tensor's dtype (int8 or float32). Returns (n,), of the output
    tensor's dtype. Raises like `predict`, and WorkshopError if the dtype does not fit.
    """
    source, target = details(tflite_model)
    if source["shape"].prod() != 1 or target["shape"].prod() != 1:
        raise WorkshopError("The model must have one input value and one output value.")
    inputs = np.asarray(inputs)
    if inputs.dtype != source["dtype"]:
        is_int8 = source["dtype"] == np.int8
        cure = ": quantize the values first, or use predict, which does" if is_int8 else ""
        raise WorkshopError(
            f"The model's input is {np.dtype(source['dtype'])}, but got {inputs.dtype}{cure}."
        )
    return invoke_rows(tflite_model, inputs.reshape(-1, 1), runtime).reshape(-1)


def invoke_rows(tflite_model: bytes, rows: NDArray[Any], runtime: str = "litert") -> NDArray[Any]:
    """Raw outputs of a model with any number of values at its ends, one inference per row.

    rows: shape (n, inputs), of the input tensor's dtype. Returns (n, outputs). Raises WorkshopError
    if the runtime cannot run the model; TflmUnavailable where TFLM has no package.
    """
    if runtime not in RUNTIMES:
        raise WorkshopError(f"There is no runtime {runtime!r}; choose one of {RUNTIMES}.")
    run = _invoke_litert if runtime == "litert" else _invoke_tflm
    return run(bytes(tflite_model), rows)


def every_code(inputs: int) -> NDArray[np.int8]:
    """What a sweep feeds an int8 model, shape (n, inputs): of one input all 256 codes.

    Of several, 512 rows of a linear congruential generator, those that the firmware's sweep takes;
    its constants are those of Numerical Recipes.
    """
    if inputs == 1:
        return np.arange(-128, 128).astype(np.int8)[:, None]
    state, codes = 1, np.empty(512 * inputs, np.uint8)
    for index in range(codes.size):
        state = (state * 1664525 + 1013904223) % 2**32
        codes[index] = state >> 24
    return codes.view(np.int8).reshape(512, inputs)


def details(tflite_model: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the model says of its input and its output tensor: two dicts.

    'name', 'dtype', 'shape' and 'quantization', the pair (scale, zero point).
    Raises WorkshopError if the bytes are not a whole TFLite model with one input and one output.
    """
    source, target = tflite.parse(tflite_model).ends
    return _details(source), _details(target)


def _details(tensor: tflite.Tensor) -> dict[str, Any]:
    if tensor.dtype is None:
        raise WorkshopError(f"The model's tensor {tensor.name} is {tensor.type}; convert it again.")
    shape = np.array(tensor.shape)
    quantization = tensor.quantization
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": shape,
        "quantization": quantization,
    }


def _cannot(runtime: str, said: str) -> WorkshopError:
    """The runtime's own reason, of one line or several, as a sentence."""
    lines = [line.strip().rstrip(".") for line in said.splitlines()]
    return WorkshopError(f"{runtime} cannot run this model: {'; '.join(filter(None, lines))}.")


def _invoke_litert(tflite_model: bytes, inputs: NDArray[Any]) -> NDArray[Any]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    tflite.parse(tflite_model)  # LiteRT trusts what it reads
    try:
        interpreter = Interpreter(
            model_content=tflite_model,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        source = interpreter.get_input_details()[0]["index"]
        interpreter.resize_tensor_input(source, inputs.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source, inputs)
        interpreter.invoke()
    except (ValueError, RuntimeError) as error:
        raise _cannot("LiteRT", str(error)) from error
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


def _invoke_tflm(tflite_model: bytes, inputs: NDArray[Any]) -> NDArray[Any]:
    """One inference per input, as on the chip: TFLM has no batches."""
    runtime = _tflm_runtime()
    said: list[str] = []  # TFLM prints its reasons
    outputs = []
    try:
        with quiet.held() as said:
            interpreter = runtime.Interpreter.from_bytes(tflite_model)
            for row in inputs:
                interpreter.set_input(row[None], 0)
                interpreter.invoke()
                outputs.append(interpreter.get_output(0)[0])
    except (ValueError, RuntimeError, struct.error) as error:
        raise _cannot("TFLM", "\n".join(said).strip() or str(error)) from error
    return np.array(outputs)


def tflm_problem() -> str | None:
    """Why TFLM cannot run here, in one sentence; None if it can."""
    try:
        _tflm_runtime()
    except TflmUnavailable as problem:
        return str(problem)
    return None


def best_runtime() -> str:
    """'tflm', whose answers are the chip's bit for bit, or 'litert' where TFLM cannot run."""
    return "litert" if tflm_problem() else "tflm"


def _tflm_runtime() -> Any:
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError as error:
        raise TflmUnavailable(
            "TensorFlow Lite for Microcontrollers has no Python package for this machine (there "
            "are wheels for Linux on x86-64 only), so the steps that need it are left out."
        ) from error
    return runtime
