"""The library for the Arduino IDE and PlatformIO: its form, and its sketches on emulated Unos."""

import configparser
import json
import re
import shutil
import subprocess
import zipfile

import avr
import draw_serial
import numpy as np
import plain
import pytest
import qemu
import tflite_factory as factory
from proof import PROOF

from workshop_utils import arduino, c_source, inference, paths, plain_c
from workshop_utils.device import console, ranges, tflite
from workshop_utils.errors import WorkshopError

OWN = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
SEVERAL = PROOF["sine 7-6-5-3 per channel"]


@pytest.fixture
def library(tmp_path):
    return arduino.export(OWN, tmp_path, "sine_model", "Tested: yes.")


# ---- Its form


def test_the_layout_is_that_of_the_specification(library):
    """https://arduino.github.io/arduino-cli/latest/library-specification/"""
    with zipfile.ZipFile(library.archive) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
        texts = {name: archive.read(name).decode() for name in names}
    assert {name.split("/")[0] for name in names} == {"SineModel"}, "One folder, of its name"
    inside = {name.removeprefix("SineModel/") for name in names}
    assert inside == {
        "library.properties",
        "library.json",
        "src/sine_model.h",
        "examples/Answers/Answers.ino",
        "examples/Answers/platformio.ini",
        "examples/Wave/Wave.ino",
        "examples/Wave/platformio.ini",
    }
    for name, text in texts.items():
        path = library.folder.parent / name
        assert path.read_text() == text and text.endswith("\n") and text.isascii()
    assert "// Tested: yes." in texts["SineModel/src/sine_model.h"]


def test_library_properties(library):
    lines = (library.folder / "library.properties").read_text().splitlines()
    found = dict(line.split("=", 1) for line in lines)
    assert set(found) == {
        *("name", "version", "author", "maintainer", "sentence", "paragraph"),
        *("category", "url", "architectures", "includes"),
    }
    # Letters, digits, spaces and a few signs, a letter or digit first, 63 characters at most.
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,62}", found["name"])
    assert not found["name"].startswith("Arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["category"] == "Data Processing" and found["architectures"] == "*"
    assert found["includes"] == "sine_model.h" and found["url"].startswith("https://")
    assert all(found.values())


def test_library_json(library):
    found = json.loads((library.folder / "library.json").read_text())
    assert re.fullmatch(r"[A-Za-z0-9][\w -]{0,49}", found["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["version"])
    assert found["headers"] == "sine_model.h"
    assert (library.folder / "src" / found["headers"]).is_file()
    assert found["frameworks"] == found["platforms"] == "*" and found["authors"][0]["name"]


def test_platformio_ini(library):
    for example in ("Answers", "Wave"):
        found = configparser.ConfigParser()
        assert found.read(library.folder / "examples" / example / "platformio.ini")
        boards = {name.partition(":")[2] for name in found.sections() if ":" in name}
        assert boards == {"uno", "nano33ble", "esp32dev", "pico"}
        assert all(
            found[f"env:{name}"]["board"] == name and found[f"env:{name}"]["platform"]
            for name in boards
        )
        assert found["env"]["monitor_speed"] == "115200"
        link = found["env"]["lib_deps"].removeprefix("symlink://")
        folder = (library.folder / "examples" / example / link).resolve()
        assert (folder / "library.json").is_file()


def test_the_same_model_makes_the_same_bytes(library, tmp_path):
    again = arduino.export(OWN, tmp_path / "again", "sine_model", "Tested: yes.")
    assert again.archive.read_bytes() == library.archive.read_bytes()


def test_several_values_make_one_example(tmp_path):
    made = arduino.contents(SEVERAL)
    assert {path.split("/")[1] for path in made if path.startswith("examples/")} == {"Answers"}
    assert "q_in0,q_in1,q_in2,q_in3,q_in4,q_in5,q_in6,q_out0,q_out1,q_out2" in "".join(
        made.values()
    )


def test_a_former_example_of_a_curve_goes(library):
    again = arduino.export(SEVERAL, library.folder.parent, "sine_model")
    sketches = [path.name for path in library.folder.rglob("*.ino")]
    assert again.folder == library.folder and sketches == ["Answers.ino"]


@pytest.mark.parametrize(
    "name, wanted",
    [("model", "Model"), ("sine_model", "SineModel"), ("net_2", "Net_2"), ("net2", "Net2")],
)
def test_library_name(name, wanted):
    assert arduino.library_name(name) == wanted


def test_a_former_header_goes_and_what_is_not_ours_stays(tmp_path):
    folder = arduino.export(OWN, tmp_path, "sine_model").folder
    headers = folder / "src"
    (headers / "sine_model.h").rename(headers / "former.h")
    (headers / "mine.h").write_text("// mine")
    arduino.export(OWN, tmp_path, "sine_model")
    assert {path.name for path in headers.iterdir()} == {"mine.h", "sine_model.h"}


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "Model").mkdir()
    (tmp_path / "Model" / "mine.txt").write_text("mine")
    with pytest.raises(WorkshopError, match=r"Model is there already and no library"):
        arduino.export(OWN, tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == ["Model", "mine.txt"]


def test_a_former_library_stays_when_a_model_is_refused(library):
    former = library.archive.read_bytes()
    with pytest.raises(WorkshopError, match="computes in float32"):
        arduino.export(
            next(iter(factory.float_models().values())), library.folder.parent, "sine_model"
        )
    assert library.archive.read_bytes() == former
    arduino.export(PROOF["sine 1-8-1"], library.folder.parent, "sine_model")
    assert library.archive.read_bytes() != former


# ---- On an emulated Uno


@pytest.fixture(scope="module")
def core(tmp_path_factory):
    avr.require()
    return avr.build_core(tmp_path_factory.mktemp("core"))


@pytest.fixture
def sketch(core, tmp_path):
    """f(model, example) -> the image of an example of the model's library."""

    def build(content, example="Answers"):
        folder = arduino.export(content, tmp_path).folder
        return avr.build_sketch(
            folder / "examples" / example / f"{example}.ino", core, folder / "src"
        )

    return build


EMULATORS = {"simavr": avr.on_simavr, "qemu-system-avr": avr.on_qemu}


@pytest.mark.parametrize("emulator", EMULATORS)
@pytest.mark.parametrize("name", ["own", "sine 7-6-5-3 per channel", "random steep per channel"])
def test_every_answer_of_an_uno_is_tflms(sketch, emulator, name, record_property):
    """The Arduino core, its Serial, and a sketch: nothing here is played."""
    avr.require(emulator)
    content = PROOF.get(name, OWN)
    columns, rows = console.table(EMULATORS[emulator](sketch(content)))
    codes = inference.every_code(plain_c.layers(content)[0].columns)
    assert len(rows) == len(codes) in (256, 512)
    assert np.array_equal(np.array(rows), np.hstack([codes, plain.expected(content, codes)]))
    assert len(columns) == len(rows[0])
    record_property(f"equal to TFLM (Arduino Uno, {emulator})", len(rows))


@pytest.mark.parametrize("language", ["c -std=c99", "c++ -std=c++11"])
def test_16_bits_are_enough_for_an_int(tmp_path, language):
    """The compiler's strictest warnings on a chip whose int has 16 bits."""
    qemu.require("avr-gcc")
    names = [*list(PROOF)[::9], "sine 7-6-5-3 per channel", "left to the brim"]
    program = plain.Program(tmp_path, [PROOF[name] for name in names])
    kind, standard = language.split()
    command = ["avr-gcc", "-mmcu=atmega328p", "-x", kind, standard, "-Os", *plain.STRICT]
    plain.compile_c([*command, "-c", program.source, "-o", tmp_path / "all.o"])


def test_what_a_sketch_takes(sketch):
    """Core, Serial and network together."""
    flash, ram = avr.sizes(sketch(OWN))
    assert 420 < flash <= 4500 and 100 < ram <= 250


def test_the_wave_on_an_uno_is_the_picture_in_the_docs(sketch):
    avr.require("simavr")
    values = draw_serial.read(avr.some_lines_of_simavr(sketch(OWN, "Wave"), 110))
    _, target = inference.details(OWN)
    x = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    wanted = inference.predict(OWN, x.astype(np.float32), inference.best_runtime())
    # Serial.println() writes two decimals.
    np.testing.assert_allclose(
        np.array(values, float), wanted, atol=0.0051 + target["quantization"][0]
    )
    picture = paths.PROJECT / "docs" / "arduino.svg"
    assert picture.read_text(encoding="utf-8") == draw_serial.draw(values)


def test_the_wave_of_another_curve_goes_through_what_its_ends_cover(sketch):
    avr.require("simavr")
    curve = factory.in_units(OWN, 128, 32)
    values = draw_serial.read(avr.some_lines_of_simavr(sketch(curve, "Wave"), 110))
    low, high = ranges.covered(tflite.parse(curve).ends[0])
    x = np.linspace(low, high, 100, endpoint=False).astype(np.float32)
    wanted = inference.predict(curve, x, inference.best_runtime())
    np.testing.assert_allclose(np.array(values, float), wanted, atol=0.0051 + 32 * 0.009)
    assert np.ptp(wanted) > 60


def test_its_cycles(counts):
    """An Uno's timer counts the cycles of all 256 inferences: below 5 ms at 16 MHz."""
    assert max(counts) < 80_000


def test_the_page_says_what_an_uno_needs(sketch, counts):
    page = (paths.PROJECT / "docs" / "arduino.md").read_text(encoding="utf-8")
    version = subprocess.check_output(["avr-gcc", "-dumpversion"], text=True).strip()
    if f"avr-gcc {version};" not in page:
        pytest.skip(f"the page's figures are of another compiler than avr-gcc {version}")
    answers, wave = (avr.sizes(sketch(OWN, example)) for example in ("Answers", "Wave"))
    median, most = round(np.median(counts)), max(counts)
    for said in (
        f"with the Arduino core and Serial | {answers[0]:,} |",
        f"RAM, without the stack | {answers[1]:,} |",
        f"takes {wave[0]:,} and {wave[1]:,}. One inference takes {median:,} clock cycles "
        f"(median; {most:,} at most), or {median / 16e3:.1f} ms at 16 MHz",
    ):
        assert said in page


@pytest.fixture(scope="module")
def counts(core, tmp_path_factory):
    avr.require("simavr")
    return cycles(core, tmp_path_factory.mktemp("cycles"))


def cycles(core, folder):
    """The clock cycles of an inference of the project's own model, for each of its 256 inputs."""
    library = arduino.export(OWN, folder).folder
    example = folder / "Cycles.ino"
    example.write_text(CYCLES)
    printed = avr.on_simavr(avr.build_sketch(example, core, library / "src"))
    counts = [int(line) for line in printed.splitlines() if line.isdecimal()]
    assert len(counts) == 256
    return counts


CYCLES = """
#include <model.h>

void setup() {
  Serial.begin(115200);
  TCCR1A = 0;
  TCCR1B = _BV(CS10);  // counts each cycle
  for (int code = -128; code < 128; ++code) {
    const int8_t input = (int8_t)code;
    volatile int8_t result;
    int8_t output;
    noInterrupts();
    TIFR1 = _BV(TOV1);
    const uint16_t before = TCNT1;
    model_run(&input, &output);
    result = output;
    const uint16_t after = TCNT1;
    const bool wrapped = (TIFR1 & _BV(TOV1)) && after >= before;
    interrupts();
    (void)result;
    Serial.println((uint16_t)(after - before) + (wrapped ? 65536UL : 0));
  }
  Serial.println(F("# end"));
}

void loop() {}
"""


# ---- On other cores


STAND_IN = """
#pragma once
#include <stdint.h>
#define F(text) text
#define OUTPUT 1
#define LED_BUILTIN 13
struct Port {
  void begin(long);
  operator bool();
  template <class T> void print(T);
  template <class T> void println(T);
  void println();
};
extern Port Serial;
void pinMode(int, int);
void analogWrite(int, int);
void delay(int);
"""


@pytest.mark.parametrize("core_name", ["cortex-m4", "cortex-m0"])
@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_the_examples_compile_for_other_cores(tmp_path, core_name, toolchain):
    if toolchain == "gcc":
        qemu.require("arm-none-eabi-g++")
    (tmp_path / "Arduino.h").write_text(STAND_IN)
    for content, examples in ((OWN, ("Answers", "Wave")), (SEVERAL, ("Answers",))):
        folder = arduino.export(content, tmp_path).folder
        for example in examples:
            source = tmp_path / f"{example}.cpp"
            sketch_text = (folder / "examples" / example / f"{example}.ino").read_text()
            source.write_text(f"#include <Arduino.h>\n{sketch_text}")
            command = [*plain.compiler_of(core_name, toolchain), "-x", "c++", "-std=gnu++11"]
            command += ["-ffreestanding", "-Os", "-Wall", "-Wextra", "-Werror", "-c", source]
            includes = [f"-I{tmp_path}", f"-I{folder / 'src'}"]
            plain.compile_c([*command, *includes, "-o", source.with_suffix(".o")])


def test_what_is_missing_is_said(monkeypatch, tmp_path):
    """Whoever has no compiler for AVR sees tests that were skipped, and why."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert shutil.which("avr-gcc") is None
    with pytest.raises(pytest.skip.Exception, match="avr-gcc is not installed"):
        avr.require()
