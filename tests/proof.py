"""The models that the firmware's answers are proved with, and whom to ask for the right answers."""

from functools import cache

import numpy as np
import reference
import tflite_factory as factory

PROOF = factory.proof_models()


def tflm(tflite, inputs):
    """TFLM's own answers, raw, shape (n, outputs). inputs: raw, shape (n, inputs)."""
    from tflite_micro.python.tflite_micro import runtime

    interpreter, outputs = runtime.Interpreter.from_bytes(tflite), []
    for row in inputs:
        interpreter.set_input(row[None], 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0)[0])
    return np.array(outputs)


@cache
def traces(name):
    """What happens in each layer of a model of PROOF, for all inputs: see tests/reference.py."""
    return reference.run(PROOF[name], factory.input_grid(PROOF[name]))
