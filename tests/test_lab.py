"""The lab's copy of the firmware: broken as asked, and the firmware itself left alone."""

import numpy as np
import pytest
import tflite_factory

from workshop_utils import c_source, emulator, firmware, lab, paths
from workshop_utils.errors import WorkshopError

PREDICT = "engine/predict.cc"


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory):
    """Builds go to a temporary folder."""
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKSHOP_HOME", str(folder))
        yield folder


@pytest.fixture(scope="module")
def model():
    return c_source.read(paths.FIRMWARE_REFERENCE_MODEL)


def answers(image):
    return emulator.run(image.wave, count=False).inferences


def test_without_edits_it_is_the_firmware(model):
    copy = lab.build(model)
    ours = firmware.build(cycles=1)
    assert copy.wave != ours.wave and copy.sweep != ours.sweep
    assert answers(copy).equals(answers(ours))


def test_an_edit_is_in_one_build_only(model):
    before = {file: file.read_bytes() for file in paths.FIRMWARE_DIR.rglob("*") if file.is_file()}
    cast = (PREDICT, "Quantize(x, info.input_scale, info.input_zero_point)", "int8_t{0}")
    assert np.unique(answers(lab.build(model, [cast]))["y"]).size == 1
    assert np.unique(answers(lab.build(model))["y"]).size > 50
    assert before == {f: f.read_bytes() for f in paths.FIRMWARE_DIR.rglob("*") if f.is_file()}


def test_a_model_cc_is_compiled_as_it_stands(model):
    text = c_source.to_c_source(model).replace("0x54, 0x46, 0x4c", "0x54, 0x46, 0x4d")
    with pytest.raises(WorkshopError, match=r"stopped: no TensorFlow Lite 3 model\."):
        emulator.run(lab.build(text).wave)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("operatorCodes.0.builtinCode", tflite_factory.Operator.CONV_2D, "operator .*"),
        ("subgraphs.0.tensors.0.type", tflite_factory.Type.INT16, "tensor type INT16"),
        ("subgraphs.0.tensors.0.type", tflite_factory.Type.UINT8, "tensor type UINT8"),
    ],
)
def test_what_the_engine_does_not_know_stops_both_programs_on_the_chip(path, value, named):
    good = tflite_factory.quantized(tflite_factory.sine_layers((1, 4, 1)))
    if path.startswith("operatorCodes"):
        number = tflite_factory.setter("operatorCodes.0.deprecatedBuiltinCode", value)
        good = tflite_factory.edited(good, number)
    strange = tflite_factory.edited(good, tflite_factory.setter(path, value))
    image = lab.build(strange)
    for program in (image.wave, image.sweep):
        with pytest.raises(WorkshopError, match=rf"^The firmware stopped: unsupported {named}\.$"):
            emulator.run(program)


def test_a_foreign_model_cc_as_it_stands_says_what_to_change(model):
    own = c_source.to_c_source(model)
    plain = own.replace("alignas(16) const ", "").replace("const unsigned int", "unsigned int")
    plain = plain.replace('#include "model.h"', "")
    assert answers(lab.build(plain)).equals(answers(lab.build(own)))  # in RAM, but it works
    for text, sentence in (
        (
            plain.replace("g_model", "model_tflite"),
            "must define g_model and g_model_len, .* rename",
        ),
        (
            own.replace('#include "model.h"', ""),
            r"must include \"model\.h\": without it C\+\+ keeps",
        ),
    ):
        with pytest.raises(WorkshopError, match=f"was not built: .*{sentence}"):
            lab.build(text)


@pytest.mark.parametrize(
    "edit", [(PREDICT, "no such text", ""), (PREDICT, "float", ""), ("no/file.cc", "x", "")]
)
def test_an_edit_that_does_not_fit_is_refused(model, edit):
    with pytest.raises(WorkshopError, match=rf"firmware/{edit[0]} does not contain"):
        lab.build(model, [edit])


def test_an_edit_that_does_not_compile_is_one_sentence(model):
    with pytest.raises(WorkshopError, match=r"was not built: .*error"):
        lab.build(model, [(PREDICT, "Quantize(x,", "Quantise(x,")])


# What notebook 08 says about the emulator and alignment.
@pytest.mark.parametrize(
    ("core", "code"),
    [
        pytest.param("M4", "0168", id="M4, ldr r1, [r0]"),
        pytest.param("M4", "d0e90012", id="M4, ldrd r1, r2, [r0]"),
        pytest.param("M4", "90e80600", id="M4, ldm r0, {r1, r2}"),
        pytest.param("M0", "0168", id="M0, ldr r1, [r0]"),
    ],
)
def test_the_emulated_core_loads_from_odd_addresses(core, code):
    import unicorn
    from unicorn import arm_const

    mode = unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, mode)
    machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_CORTEX_{core}"))
    machine.mem_map(0, 0x1000)
    machine.mem_write(0, bytes.fromhex(code))
    machine.mem_write(0x101, bytes(range(1, 17)))
    machine.reg_write(arm_const.UC_ARM_REG_R0, 0x101)
    machine.emu_start(1, len(code) // 2)
    assert machine.reg_read(arm_const.UC_ARM_REG_R1) == 0x04030201
