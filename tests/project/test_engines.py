"""The benchmark of engines: how its table is made, and what the stored one says."""

import re
import subprocess
from dataclasses import replace

import engines
import numpy as np
import pytest
import qemu

import firmware
from workshop_utils import inference, paths, plain_c
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home

STORED = engines.from_csv(firmware.ENGINES_CSV.read_text(encoding="utf-8"))
NETWORK = engines.Network(paths.REFERENCE_DIR / "model.tflite", None)


# ---- How it is made


def test_a_table_is_read_as_it_was_written():
    table = engines.lines(STORED)
    assert table[0][:3] == ("core", "engine", "compiler") and len(table) == len(STORED) + 1
    assert engines.from_csv(engines.to_csv(table)) == STORED


def test_what_was_measured_again_takes_the_place_of_all_its_rows():
    first = STORED[0]
    again = [row for row in STORED if (row.core, row.engine) == (first.core, first.engine)]
    new = replace(first, compiler="gcc 99 -O2", flash=1)
    merged = engines.merged(STORED, [new])
    assert merged[0] == new and len(merged) == len(STORED) - len(again) + 1
    assert not set(again) & set(merged) and {row.core for row in merged} == {
        row.core for row in STORED
    }


def test_another_version_takes_the_place_of_the_former():
    (first, *_), core = rows_of("Cortex-M4", "emlearn"), "Cortex-M4"
    newer = replace(first, engine="emlearn 99.0, float32")
    merged = engines.merged(STORED, [newer])
    assert [row for row in merged if "emlearn" in row.engine and row.core == core] == [newer]


def test_the_error_is_that_to_the_sine():
    x = np.linspace(0, 6, 50)
    assert engines.squared_error(np.column_stack([x, np.sin(x) + 0.1])) == 0.01


def test_answers_are_compared_with_tflms():
    codes = inference.every_code(1)
    right = inference.invoke(NETWORK.tflite.read_bytes(), codes, inference.best_runtime())
    rows = np.column_stack([codes, right]).astype(int)
    assert engines.equal_answers(rows, NETWORK) == 256
    rows[:3, 1] += 1
    assert engines.equal_answers(rows, NETWORK) == 253


def test_numbers_stand_to_the_right():
    assert firmware.as_text([("a", "bytes"), ("long", 1234)]) == "a     bytes\nlong  1,234"


@pytest.mark.parametrize(
    ("option", "function", "core", "kernels"),
    [
        ("-mcpu=cortex-m4", "Eval", "Cortex-M4", "reference kernels"),
        ("-mcpu=cortex-m0plus", "arm_fully_connected_s8", "Cortex-M0+", "CMSIS-NN"),
    ],
)
def test_a_library_says_what_it_is(tmp_path, option, function, core, kernels):
    qemu.require("arm-none-eabi-gcc")
    (tmp_path / "lib").mkdir()
    source, made = tmp_path / "kernel.c", tmp_path / "kernel.o"
    source.write_text(f"int {function}(void) {{ return 1; }}\n")
    subprocess.run(["arm-none-eabi-gcc", option, "-mthumb", "-c", source, "-o", made], check=True)
    library = tmp_path / "lib" / "libtensorflow-microlite.a"
    subprocess.run(["arm-none-eabi-ar", "rcs", library, made], check=True)
    assert engines.look_at_tflm(tmp_path) == (core, kernels)


def test_an_engine_from_elsewhere_is_measured_in_the_same_application(tmp_path):
    """One that gives back what it gets, with emlearn's wrapper around it."""
    qemu.require("arm-none-eabi-g++")
    folder = tmp_path / "echo"
    folder.mkdir()
    (folder / "emlearn_sine.h").write_text(
        "static float sine_regress1(const float *x, int) { return *x; }\n"
    )
    content = NETWORK.tflite.read_bytes()
    (folder / "network.h").write_text(plain_c.header(content, "network"))
    build = engines.peer_build(engines.PEERS / "emlearn", NETWORK=folder)
    image = build("emulator", "-O2", NETWORK, Home(tmp_path))
    row = engines.on_arm("Cortex-M4", "echo", "-O2", image, NETWORK)
    x = np.linspace(0, 2 * np.pi, 256, endpoint=False)
    assert row.error == pytest.approx(np.mean((x - np.sin(x)) ** 2), abs=1e-4)
    assert row.equal < 30 and 1 < row.inference < 20 < row.step
    assert 0 < row.flash < row.image - 500 and 0 < row.ram < 1000


def test_a_folder_without_an_engine_is_refused_in_one_sentence(tmp_path):
    qemu.require("arm-none-eabi-g++")
    build = engines.peer_build(tmp_path)
    with pytest.raises(WorkshopError, match=r"There is no engine '/.*engine\.cmake"):
        build("emulator", "-O2", NETWORK, Home(tmp_path))


# ---- What it says


def rows_of(core, engine):
    return [row for row in STORED if row.core == core and row.engine.startswith(engine)]


@pytest.mark.parametrize("core", [*engines.CORES, engines.UNO])
def test_generated_needs_less_than_emlearn(core):
    for what in ("flash", "ram", "inference"):
        ours, theirs = (
            [getattr(row, what) for row in rows_of(core, engine)]
            for engine in ("generated", "emlearn")
        )
        assert max(ours) < min(theirs), what


@pytest.mark.parametrize("core", engines.CORES)
def test_where_others_are_ahead_is_as_the_documents_say(core):
    compact, emlearn = rows_of(core, "compact")[0], rows_of(core, "emlearn")[0]
    assert emlearn.error < compact.error and emlearn.flash < compact.flash
    tflm = rows_of(core, "TFLM")
    assert {row.engine for row in tflm} == {"TFLM, reference kernels", "TFLM, CMSIS-NN"}
    assert all(row.inference > compact.inference and row.flash > compact.flash for row in tflm)


def test_int8_engines_answer_as_tflm_does():
    assert all(row.equal == 256 for row in STORED if "emlearn" not in row.engine)
    assert {row.core for row in STORED} == {*engines.CORES, engines.UNO}
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", row.date) for row in STORED)


def test_the_pinned_emlearn_is_the_one_in_the_table():
    assert rows_of("Cortex-M4", engines.EMLEARN)
