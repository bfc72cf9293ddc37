"""Keras model to TensorFlow Lite flatbuffer, without the converter's chatter.

Introduced in notebook 05, where the converter's options stand in plain sight.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from workshop_utils import quiet, upstream
from workshop_utils.data import MAX_SAMPLES
from workshop_utils.errors import WorkshopError, require_int

if TYPE_CHECKING:
    import keras


def to_float(model: keras.Model) -> bytes:
    """The model as a float32 TFLite flatbuffer (bytes)."""
    import tensorflow as tf

    return run(tf.lite.TFLiteConverter.from_keras_model(model))


def to_int8(
    model: keras.Model, x_representative: npt.ArrayLike, *, per_channel: bool = False
) -> bytes:
    """The model with int8 weights, activations, input and output, as a TFLite flatbuffer (bytes).

    x_representative: float32, shape (n,) or (n, inputs), typical inputs; the converter runs them
    through the model to learn the range of every tensor. per_channel: one weight scale per neuron
    instead of one per layer, for Dense layers (finer, larger, and needs TFLM from September 2024 or
    later).
    Raises WorkshopError if the inputs are empty or not finite.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    converter.representative_dataset = representative_dataset(x_representative)
    upstream.quantize_dense_layers(converter, per_channel)
    return run(converter)


def options() -> dict[str, Any]:
    """{name: default} of the choices that `to_int8` leaves. A sweep can vary each of them."""
    every = inspect.signature(to_int8).parameters.values()
    return {one.name: one.default for one in every if one.kind is one.KEYWORD_ONLY}


def representative_dataset(x: npt.ArrayLike) -> Callable[[], Iterator[list[Any]]]:
    """The generator function that a converter asks for: batches of one, float32, shape (1, inputs).

    x: shape (n,) or (n, inputs). Raises WorkshopError if x is empty or not finite.
    """
    x = np.atleast_1d(np.asarray(x, dtype=np.float32))
    if x.size == 0 or not np.isfinite(x).all():
        raise WorkshopError("The representative dataset must hold numbers, at least one, no NaN.")
    return lambda: ([row.reshape(1, -1)] for row in x)


def check_parameters(representative: Any) -> None:
    """Raise WorkshopError, naming it, unless REPRESENTATIVE samples can be shown to a converter."""
    require_int("REPRESENTATIVE", representative, 1, MAX_SAMPLES)


def run(converter: Any) -> bytes:
    """Call `converter.convert()` and hold back what it prints (temporary paths, tensor ids).

    converter: a tf.lite.TFLiteConverter. Returns the flatbuffer (bytes).
    """
    with quiet.output(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content: bytes = converter.convert()
    return content
