"""The engines side by side: one network, one application, one chip, and each engine in turn.

For benchmarks/firmware.py. What is compared with the project's own engines, the peers, is in
peers/: TFLM where somebody has built it, and emlearn, which is fetched into a temporary folder.
Each becomes an engine of the firmware, so that all of them are compiled, run and counted alike.
"""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import astuple, dataclass, fields
from datetime import date
from functools import cache
from pathlib import Path
from statistics import median

import numpy as np

from workshop_utils import emulator, files, firmware, inference, paths, plain_c
from workshop_utils.device import compiling, console
from workshop_utils.paths import Home

PEERS = Path(__file__).parent / "peers"
TESTS = paths.PROJECT / "tests"
CORES = {"Cortex-M4": "emulator", "Cortex-M0+": "pico"}  # and the board that has it
UNO = "AVR (Arduino Uno)"
OPTIMIZATIONS = ("-O2", "-O3")
EMLEARN_PIN = PEERS / "emlearn" / "requirements.txt"
EMLEARN = f"emlearn {re.search(r'^emlearn==([0-9.]+)', EMLEARN_PIN.read_text(), re.M)[1]}, float32"
INPUTS = 256  # of the wave, one turn of the sine


@dataclass(frozen=True)
class Row:
    """What a network costs with an engine.

    flash: bytes of engine, model and what they call. image: the same with application and
    start-up. ram: bytes of the whole program, static data, arena and stack. step: from int8 to
    int8, inference: from float to float, medians of 256 inputs, in the unit. error: mean squared,
    of one turn, to the sine. equal: how many of 256 answers are TFLM's. date: of the measurement.
    """

    core: str
    engine: str
    compiler: str
    flash: int
    image: int
    ram: int
    step: int
    inference: int
    unit: str
    error: float
    equal: int
    date: str


@dataclass(frozen=True)
class Network:
    """The same network as int8 flatbuffer and, for emlearn, as .keras file or None."""

    tflite: Path
    keras: Path | None


def lines(rows):
    """The rows as a table: the names of the columns, and a tuple of cells for each row."""
    return [tuple(field.name for field in fields(Row)), *map(astuple, rows)]


def to_csv(table):
    """A table's text as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue()


def from_csv(text):
    """The rows whose `lines` became a text."""
    return [
        Row(**{field.name: field.type(line[field.name]) for field in fields(Row)})
        for line in csv.DictReader(text.splitlines())
    ]


def merged(former, rows):
    """The rows, and of former ones those of cores and engines that were not measured again."""

    def subject(row):
        return row.core, re.sub(r" [\d.]+", "", row.engine)  # whatever its version

    again = set(map(subject, rows))
    kept = [row for row in former if subject(row) not in again]
    return sorted([*rows, *kept], key=lambda row: [*CORES, UNO].index(row.core))


@cache
def version(compiler):
    return _said(compiler, "-dumpversion").strip()


def squared_error(pairs):
    """The mean squared error of (x, y, ...) to the sine, to five digits after the point."""
    x, y = np.array(pairs, np.float64).T[:2]
    return round(float(np.mean((y - np.sin(x)) ** 2)), 5)


def measure(network, with_peers, tflm_roots=()):
    """All rows, and a sentence for each of those that cannot be had."""
    rows, missing = [], []
    with tempfile.TemporaryDirectory(prefix="workshop-") as folder:
        home = Home(Path(folder))
        if shutil.which("arm-none-eabi-gcc") is None:
            missing.append("Cortex-M: arm-none-eabi-gcc is not installed.")
        else:
            builds = {core: own_builds() for core in CORES}
            if with_peers:
                missing += add_tflm(builds, tflm_roots) + add_emlearn(builds, network, home)
            for core, engines in builds.items():
                for engine, optimize, build in engines:
                    image = build(CORES[core], optimize, network, home)
                    rows.append(on_arm(core, engine, optimize, image, network))
        uno_rows, reason = on_uno(network, with_peers, home)
    return rows + uno_rows, missing + reason


# ---- On a Cortex-M


def own_builds():
    """[(engine, optimization, function that builds it)] of the project's own engines."""
    return [
        (engine, optimize, own_build(engine))
        for engine in ("compact", "generated")
        for optimize in OPTIMIZATIONS
    ]


def own_build(engine):
    def build(board, optimize, network, home):
        return firmware.build(
            board,
            engine,
            "gcc",
            network.tflite,
            optimize,
            inferences_per_cycle=INPUTS,
            cycles=1,
            home=home,
        )

    return build


def peer_build(folder, **settings):
    """The function that builds the firmware with the engine of a folder, here one of peers/."""

    def build(board, optimize, network, home):
        target = home.firmware_build_dir / f"{board}-{folder.name}"
        target.mkdir(parents=True, exist_ok=True)
        source = target / "model.cc"
        files.write(source, firmware.c_source.to_c_source(network.tflite.read_bytes()))
        tools = compiling.programs("gcc")
        defined = {
            "BOARD": board,
            "ENGINE": folder,
            "OPTIMIZE": optimize,
            "INFERENCES_PER_CYCLE": INPUTS,
            "CYCLES": 1,
            "MODEL_CC": source,
            "ENGINE_FLOAT32": "OFF",
            "CMAKE_MAKE_PROGRAM": tools["ninja"],
            **settings,
        }
        compiling.compile(tools["cmake"], "emulator-gcc", target, defined, paths.FIRMWARE_DIR)
        return firmware.Image(target / "wave.elf", target / "sweep.elf", board, folder.name, "gcc")

    return build


def on_arm(core, engine, optimize, image, network):
    """The row of an image."""
    wave, sweep = (emulator.run(elf, board=image.board) for elf in (image.wave, image.sweep))
    costs, taken = firmware.costs(image.wave, wave), firmware.sizes(image.wave)
    return Row(
        core,
        engine,
        f"gcc {version('arm-none-eabi-gcc')} {optimize}",
        costs["flash"] - taken["application"] - taken["start-up"],
        costs["flash"],
        costs["ram"],
        round(sweep.median_instructions),
        round(costs["instructions"]),
        "instructions",
        squared_error(console.table(wave.console)[1]),
        equal_answers(console.table(sweep.console)[1], network),
        date.today().isoformat(),
    )


def equal_answers(rows, network):
    """How many of the 256 rows (code, answer) are those of TFLM, or of LiteRT where that is not."""
    codes, answers = np.array(rows, np.int64).T[:2]
    content = network.tflite.read_bytes()
    expected = inference.invoke(content, codes.astype(np.int8), inference.best_runtime())
    return int(np.count_nonzero(expected == answers))


# ---- Peers


def add_tflm(builds, roots):
    """Add TFLM to the builds of its core; returns sentences on what is missing."""
    for root in roots:
        core, kernels = look_at_tflm(root)
        build = peer_build(PEERS / "tflm", TFLM_ROOT=root.resolve())
        builds[core].append((f"TFLM, {kernels}", "-O2", build))
    return [] if roots else ["TFLM: neither --tflm nor TFLM_ROOT names an installed one."]


def look_at_tflm(root):
    """(core, kernels) of an installed TFLM, as its library says."""
    library = root / "lib" / "libtensorflow-microlite.a"
    symbols = _said("arm-none-eabi-nm", library)
    core = "Cortex-M0+" if "v6S-M" in _said("arm-none-eabi-readelf", "-A", library) else "Cortex-M4"
    return core, "CMSIS-NN" if "arm_fully_connected" in symbols else "reference kernels"


def _said(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: {done.stderr[-1000:]}")
    return done.stdout


CONVERT = """
import sys, emlearn, keras
model = keras.models.load_model(sys.argv[1])
emlearn.convert(model, method="loadable", return_type="regressor").save(
    file="emlearn_sine.h", name="sine")
"""


def add_emlearn(builds, network, home):
    """Fetch emlearn, convert the network and add it; returns sentences on what is missing."""
    if network.keras is None:
        return ["emlearn: it converts .keras files, and --keras names none."]
    folder = emlearn_headers(network, home)
    for engines in builds.values():
        for optimize in OPTIMIZATIONS:
            build = peer_build(PEERS / "emlearn", NETWORK=folder)
            engines.append((EMLEARN, optimize, build))
    return []


def emlearn_headers(network, home):
    """A folder with emlearn's header of the network, its own headers and network.h."""
    site, folder = home.path / "emlearn" / "site", home.path / "emlearn" / "headers"
    if folder.is_dir():
        return folder
    folder.mkdir(parents=True)
    _said(
        *(sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--no-deps"),
        *("--require-hashes", "--target", site, "-r", EMLEARN_PIN),
    )
    environment = os.environ | {"PYTHONPATH": str(site), "TF_CPP_MIN_LOG_LEVEL": "3"}
    keras = network.keras.resolve()
    _said(sys.executable, "-c", CONVERT, keras, cwd=folder, env=environment)
    for header in (site / "emlearn").glob("*.h"):
        shutil.copy(header, folder)
    content = network.tflite.read_bytes()
    files.write(folder / "network.h", plain_c.header(content, "network"))
    return folder


# ---- On an Arduino Uno

SKETCH = """
#include "answers.h"

extern uint8_t __heap_start;

static uint32_t cycles() {  // since begin()
  const uint16_t count = TCNT1;
  return 8 * (count + (TIFR1 & _BV(TOV1) && count < 0x8000 ? 65536UL : 0));
}

static void begin() {
  noInterrupts();
  TCNT1 = 0;
  TIFR1 = _BV(TOV1);
}

void setup() {
  for (uint8_t *free = &__heap_start; free < (uint8_t *)SP - 16; ++free) *free = 0xa5;
  Serial.begin(115200);
  TCCR1A = 0;
  TCCR1B = _BV(CS11);  // counts every eighth cycle
  Serial.println(F("q_in,q_out,step,x,y,inference"));
  for (int i = 0; i < 256; ++i) {
    volatile int8_t code = (int8_t)(i - 128), answer;
    volatile float x = 6.2831853f * (float)i / 256.0f, y;
    begin();
    answer = step(code);
    const uint32_t first = cycles();
    interrupts();
    begin();
    y = predict(x);
    const uint32_t second = cycles();
    interrupts();
    Serial.print(code); Serial.print(',');
    Serial.print(answer); Serial.print(',');
    Serial.print(first); Serial.print(',');
    Serial.print(x, 6); Serial.print(',');
    Serial.print(y, 6); Serial.print(',');
    Serial.println(second);
  }
  const uint8_t *free = &__heap_start;
  while (*free == 0xa5) ++free;
  Serial.print(F("# stack ")); Serial.println(RAMEND + 1 - (uint16_t)free);
  Serial.println(F("# end"));
}

void loop() {}
"""

# What the sketch calls, for each engine. The first does nothing, and is there to be subtracted.
ANSWERS = {
    "none": """
static int8_t step(int8_t code) { return code; }
static float predict(float x) { return x; }
""",
    "generated": """
#include "network.h"
static int8_t step(int8_t code) { int8_t answer; network_run(&code, &answer); return answer; }
static float predict(float x) { return network_predict(x); }
""",
    EMLEARN: """
#include "emlearn_sine.h"
#include "network.h"
static float predict(float x) { return sine_regress1(&x, 1); }
static int8_t step(int8_t code) {
  const float x = (float)(code - NETWORK_INPUT_ZERO_POINT) * NETWORK_INPUT_SCALE;
  const float steps = predict(x) / NETWORK_OUTPUT_SCALE + NETWORK_OUTPUT_ZERO_POINT;
  return (int8_t)constrain(steps < 0.0f ? steps - 0.5f : steps + 0.5f, -128.0f, 127.0f);
}
""",
}


def on_uno(network, with_peers, home):
    """The rows of an emulated Uno, and sentences on what is missing."""
    sys.path.append(str(TESTS))
    try:
        import avr
        import pytest

        avr.require("simavr")
    except ImportError:
        return [], [f"{UNO}: pytest is missing, which ./install.sh --test brings."]
    except pytest.skip.Exception as reason:
        return [], [f"{UNO}: {reason}."]
    engines = ["generated"] + [EMLEARN] * bool(with_peers and network.keras)
    core = home.path / "uno"
    core.mkdir()
    avr.build_core(core)
    images = {engine: uno_image(avr, engine, network, home, core) for engine in ["none", *engines]}
    (empty, _), *_ = map(avr.sizes, images.values())
    return [
        uno_row(engine, images[engine], avr.sizes(images[engine]), empty, avr, network)
        for engine in engines
    ], []


def uno_image(avr, engine, network, home, core):
    """The path of the sketch's image with an engine."""
    folder = home.path / f"uno-{engine.partition(' ')[0]}"
    if engine == EMLEARN:
        shutil.copytree(emlearn_headers(network, home), folder)
    else:
        folder.mkdir()
        content = network.tflite.read_bytes()
        files.write(folder / "network.h", plain_c.header(content, "network"))
    files.write(folder / "answers.h", ANSWERS[engine])
    sketch = folder / f"{folder.name}.ino"
    files.write(sketch, SKETCH)
    return avr.build_sketch(sketch, core, folder)


def uno_row(engine, image, sizes, empty, avr, network):
    """The row of a sketch. empty: the flash of the sketch without a network."""
    flash, ram = sizes
    printed = avr.on_simavr(image, timeout=600)
    table = [line.split(",") for line in printed.splitlines() if line.count(",") == 5]
    lines = np.array(table[1:], np.float64)
    stack = next(int(line.split()[2]) for line in printed.splitlines() if "# stack" in line)
    return Row(
        UNO,
        engine,
        f"avr-gcc {version('avr-gcc')} -Os",
        flash - empty,
        flash,
        ram + stack,
        round(median(lines[:, 2])),
        round(median(lines[:, 5])),
        "cycles",
        squared_error(lines[:, 3:5]),
        equal_answers(lines[:, :2], network),
        date.today().isoformat(),
    )
