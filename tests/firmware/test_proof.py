"""The proof: the firmware answers like TFLM, built by two compilers, run by two emulators.

All inputs of all models of tflite_factory.proof_models(), and of the project's own. test_engine.py
shows that these models take every path of the arithmetic, and proves the same on the desktop. What
was proved stands in the last lines of pytest's output.
"""

import numpy as np
import pytest
import qemu
import reference
import tflite_factory as factory
from proof import PROOF, tflm, traces

from workshop_utils import c_source, emulator, firmware, inference, paths
from workshop_utils.device import console

OWN = "the project's own"
NO_TFLM = inference.tflm_problem()


def on_unicorn(image):
    return emulator.run(image, count=False).console


PAIRS = {"zig, Unicorn": ("zig", on_unicorn), "gcc, QEMU": ("gcc", qemu.run)}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """f(toolchain, tflite) -> path of an image. A model costs the compilation of its model.cc."""
    home = tmp_path_factory.mktemp("proof")

    def build(toolchain, tflite):
        model = home / "model.tflite"
        model.write_bytes(tflite)
        return firmware.build(toolchain=toolchain, model=model).sweep

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_HOME", str(home))
        yield build


def expected(name, tflite, inputs):
    """TFLM's answers; without TFLM those of its arithmetic in Python (see tests/proof.py)."""
    if NO_TFLM is None:
        return tflm(tflite, inputs)
    return traces(name)[-1].codes if name in PROOF else reference.run(tflite, inputs)[-1].codes


@pytest.mark.parametrize("name", [OWN, *PROOF])
@pytest.mark.parametrize("pair", PAIRS)
def test_every_answer_is_tflms(pair, name, sweep, record_property):
    toolchain, run = PAIRS[pair]
    if toolchain == "gcc":
        qemu.require("arm-none-eabi-g++", "qemu-system-arm")
    tflite = c_source.read(paths.FIRMWARE_REFERENCE_MODEL) if name == OWN else PROOF[name]
    inputs = factory.input_grid(tflite)
    answers = expected(name, tflite, inputs)
    columns, rows = console.table(run(sweep(toolchain, tflite)))
    assert len(columns) == inputs.shape[1] + answers.shape[1] and len(rows) == len(inputs)
    printed = np.array(rows)
    assert np.array_equal(printed[:, : inputs.shape[1]], inputs), "other inputs than here"
    wrong = (printed[:, inputs.shape[1] :] != answers).any(axis=1).sum()
    assert wrong == 0, f"{wrong} of {len(inputs)} answers differ"
    judge = "TFLM" if NO_TFLM is None else "tests/reference.py"
    record_property(f"equal to {judge} ({pair})", len(inputs))
