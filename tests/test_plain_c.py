"""A network as plain C: it answers as TFLM does, everywhere, and is as small as it says."""

import re
import shutil
import subprocess

import numpy as np
import plain
import pytest
import qemu
import tflite_factory as factory
from proof import PROOF

from workshop_utils import c_source, inference, paths, plain_c
from workshop_utils.errors import WorkshopError

OWN = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
KINDS = ("NONE", "RELU", "RELU6")


def random_models():
    """50 models of random shape, activations, zero points and scales."""
    rng, found = np.random.default_rng(7), []
    for seed in range(50):
        widths = rng.integers(1, 21, rng.integers(2, 6))
        widths[0], widths[-1] = rng.integers(1, 6), rng.integers(1, 4)
        found.append(
            factory.random_int8(
                1000 + seed,
                tuple(map(int, widths)),
                gain=float(np.exp(rng.uniform(-1, 3))),
                per_channel=bool(rng.integers(2)),
                activations=tuple(rng.choice(KINDS, 3).tolist()),
                bias=bool(rng.integers(4)),
                zero_points=tuple(rng.integers(-128, 128, 4).tolist()),
                output_scales=tuple(np.exp(rng.uniform(-5, -1, 2)).tolist()),
            )
        )
    return found


MODELS = {"own": OWN, **PROOF, **{f"random {n}": m for n, m in enumerate(random_models())}}


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    """All models, in four programs: {their names: Program}."""
    names = list(MODELS)
    folder = tmp_path_factory.mktemp("plain")
    return {
        tuple(names[part::4]): plain.Program(
            folder / f"{part}", [MODELS[name] for name in names[part::4]]
        )
        for part in range(4)
    }


def wrong(programs, run):
    """The names of the models that a function of a Program answers otherwise than TFLM, and how
    many inputs there were."""
    names = [
        names[number]
        for names, program in programs.items()
        for number in program.wrong(run(program))
    ]
    return names, sum(len(rows) for program in programs.values() for rows in program.rows)


# ---- Its answers


@pytest.mark.parametrize("compiler", plain.host_compilers())
def test_every_answer_on_this_computer_is_tflms(programs, compiler, record_property):
    """With the compiler's strictest warnings as errors, and nothing that C leaves undefined."""
    names, inputs = wrong(programs, lambda one: one.on_host(plain.host_compilers()[compiler]))
    assert names == [] and inputs > 30_000
    record_property(f"equal to TFLM (plain C, {compiler})", inputs)


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0"])
def test_every_answer_on_a_core_is_tflms(programs, core, toolchain, record_property):
    if toolchain == "gcc":
        qemu.require("arm-none-eabi-gcc")
    names, inputs = wrong(programs, lambda one: one.on_core(core, toolchain))
    assert names == []
    record_property(f"equal to TFLM (plain C, {core}, {toolchain})", inputs)


def test_the_models_take_both_ways_from_a_sum_to_a_code():
    chain = [layer for content in MODELS.values() for layer in plain_c.layers(content)]
    for narrow in (True, False):
        for per_channel in (True, False):
            assert any((one.is_narrow, one.per_channel) == (narrow, per_channel) for one in chain)
    shifts = {shift for layer in chain for _, shift in layer.multipliers if not layer.is_narrow}
    assert max(shifts) > 5 and 0 in shifts and min(shifts) == -31
    assert any((0, 0) in layer.multipliers for layer in chain)
    assert any(layer.largest_sum > 2**30 for layer in chain)


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_pairs_of_words_are_read_from_even_addresses(tmp_path, toolchain):
    """Cortex-M4 reads a word from anywhere, but two words at once from multiples of four only."""
    if toolchain == "gcc":
        qemu.require("arm-none-eabi-gcc")
    models = [PROOF[name] for name in ("sine 7-6-5-3", "sine 2-16-16-1", "random 5-1 without bias")]
    program = plain.Program(tmp_path, models)
    odd, sizes = [], set()

    def look(machine, address, size):
        sizes.add(size)
        if address % size and machine.reads_several_words():
            odd.append(hex(address))

    assert program.wrong(program.on_core("cortex-m4", toolchain, "-O3", look)) == []
    assert odd == [] and 4 in sizes


def test_real_numbers_become_the_codes_of_the_course(tmp_path):
    """NAME_quantize as inference.quantize, and NAME_predict as inference.predict."""
    x = np.concatenate([np.linspace(-1, 8, 4001), [0, -0.0, 1e-30, 1e9, -1e9, 3.4e38, -3.4e38]])
    x = x.astype(np.float32)
    power = factory.edited(OWN, factory.setter("subgraphs.0.tensors.0.quantization.scale", [2**-5]))
    zero = factory.edited(
        power, factory.setter("subgraphs.0.tensors.0.quantization.zeroPoint", [3])
    )
    for content in (OWN, power, zero):
        (tmp_path / "model.h").write_text(plain_c.header(content))
        (tmp_path / "main.c").write_text(
            '#include <stdio.h>\n#include "model.h"\nint main(void) { float x;\n'
            "while (fread(&x, 4, 1, stdin) == 1) { const float y = model_predict(x);\n"
            "const int8_t code = model_quantize(x); fwrite(&code, 1, 1, stdout);\n"
            "fwrite(&y, 4, 1, stdout); } return 0; }\n"
        )
        command = next(iter(plain.host_compilers().values()))
        plain.compile_c([*command, *plain.STRICT, tmp_path / "main.c", "-o", tmp_path / "a.exe"])
        values = np.concatenate([x, np.arange(-300, 300, dtype=np.float32) / 64])
        source, target = inference.details(content)
        codes = inference.quantize(values, *source["quantization"])
        answers = plain.expected(content, codes[:, None])[:, 0]
        done = subprocess.run(
            [tmp_path / "a.exe"],
            input=values.tobytes() + np.float32(np.nan).tobytes(),
            capture_output=True,
            check=True,
        )
        printed = np.frombuffer(done.stdout, np.dtype([("code", "i1"), ("y", "<f4")]))
        assert np.array_equal(printed["code"][:-1], codes)
        assert printed["code"][-1] == -128  # for what is no number
        real = inference.dequantize(answers, *target["quantization"])
        assert np.array_equal(printed["y"][:-1], real)


def test_c_and_cpp_and_two_models_in_one_program(tmp_path):
    qemu.require("gcc", "g++")
    models = {"one": OWN, "two_2": PROOF["sine 7-6-5-3 per channel"]}
    for name, content in models.items():
        (tmp_path / f"{name}.h").write_text(plain_c.header(content, name))
    both = '#include "one.h"\n#include "two_2.h"\n#include "one.h"\n'
    (tmp_path / "a.c").write_text(
        f"{both}int from_c(int8_t x);\nint from_c(int8_t x) {{ int8_t y; one_run(&x, &y); "
        "return y; }\n"
    )
    (tmp_path / "b.cc").write_text(
        f'#include <cstdio>\n{both}extern "C" int from_c(int8_t x);\n'
        "int main() { int8_t x = 3, y, in[7] = {1, 2, 3}, out[3]; one_run(&x, &y);\n"
        'two_2_run(in, out); std::printf("%d %d %d %d %d", from_c(x), y, out[0], out[1], out[2]); }'
    )
    plain.compile_c(
        ["gcc", "-std=c99", *plain.STRICT, "-c", "-o", tmp_path / "a.o", tmp_path / "a.c"]
    )
    plain.compile_c(
        [
            "g++",
            "-std=c++11",
            *plain.STRICT,
            tmp_path / "b.cc",
            tmp_path / "a.o",
            "-o",
            tmp_path / "ab",
        ]
    )
    printed = subprocess.run([tmp_path / "ab"], capture_output=True, text=True).stdout.split()
    one = plain.expected(OWN, np.array([[3]], np.int8))[0].tolist()
    two = plain.expected(models["two_2"], np.array([[1, 2, 3, 0, 0, 0, 0]], np.int8))[0].tolist()
    assert list(map(int, printed)) == [*one, *one, *two]


@pytest.mark.parametrize("compiler", plain.host_compilers())
def test_a_compiler_without_the_functions_takes_the_plain_loop(tmp_path, compiler):
    """As GCC before version 10 does on a Cortex-M4: it says SIMD32, and has no function for it."""
    command = [*plain.host_compilers()[compiler], "-D__ARM_FEATURE_SIMD32=1"]
    program = plain.Program(tmp_path, [OWN, PROOF["sine 7-6-5-3 per channel"]])
    assert not program.wrong(program.on_host(command))


def test_a_model_of_many_values(tmp_path):
    """More than a sweep of the firmware takes."""
    compiler = next(iter(plain.host_compilers().values()))
    models = [factory.random_int8(1, (300, 5, 70)), factory.random_int8(2, (65, 1))]
    program = plain.Program(tmp_path, models)
    assert not program.wrong(program.on_host(compiler))


# ---- What it costs


@pytest.fixture
def compiled(tmp_path):
    """f(core, optimization) -> (bytes of flash, Core) of the project's own model, by gcc."""
    qemu.require("arm-none-eabi-gcc", "arm-none-eabi-size")
    (tmp_path / "model.h").write_text(plain_c.header(OWN))
    source = tmp_path / "run.c"
    source.write_text(
        '#include "model.h"\nvoid run(const int8_t *in, int8_t *out);\n'
        "void run(const int8_t *in, int8_t *out) { model_run(in, out); }\n"
    )

    def compile_it(core, optimize):
        command = [*plain.compiler_of(core, "gcc"), "-std=c99", optimize, "-ffreestanding"]
        made, image = tmp_path / "run.o", tmp_path / "run.elf"
        plain.compile_c([*command, "-fno-unwind-tables", "-c", source, "-o", made])
        plain.compile_c([*command, "-nostdlib", "-Wl,-e,run", made, "-o", image, "-lgcc"])
        printed = subprocess.run(["arm-none-eabi-size", made], capture_output=True, text=True)
        text, data, bss = map(int, printed.stdout.splitlines()[1].split()[:3])
        assert (data, bss) == (0, 0)
        return text, plain.Core(image, core)

    return compile_it


@pytest.mark.parametrize("optimize", ["-O2", "-Os"])
def test_its_flash(compiled, optimize):
    assert compiled("cortex-m4", optimize)[0] <= 800


@pytest.mark.parametrize("core, most", [("cortex-m4", 900), ("cortex-m0", 3000)])
def test_its_instructions(compiled, core, most):
    _, machine = compiled(core, "-O3")
    machine.count()
    right, counts = plain.expected(OWN, inference.every_code(1)), []
    for code, (answer,) in zip(inference.every_code(1), right, strict=True):
        machine.call("run", code.tobytes(), 1)
        counts.append(machine.instructions)
        assert np.frombuffer(machine.output, np.int8) == answer
    assert 500 < min(counts) <= max(counts) <= most


# ---- The text


def test_a_reader_finds_what_it_is():
    said = "Tested: 256 of 256 inputs are answered as TFLM answers them."
    text = plain_c.header(OWN, "sine", said)
    head = text[: text.index("#ifndef")]
    for part in ("1 -> 16 -> 16 -> 1", f"{len(OWN):,} bytes", "420 bytes", "sine_run()", said):
        assert part in head
    assert re.search(r"SHA-256 [0-9a-f]{64}\.", head)
    assert re.findall("#include .*", text) == ["#include <stdint.h>", "#include <avr/pgmspace.h>"]
    code = [line for line in text.splitlines() if re.match(r" *[^ /#{]", line) and line != "};"]
    assert len(code) <= 100


@pytest.mark.parametrize("name", ["m", "sine", "a23456789_123456789_1234"])
def test_no_line_is_longer_than_a_hundred(name):
    for content in list(MODELS.values())[::6]:
        assert max(map(len, plain_c.header(content, name).splitlines())) <= 100


def test_the_same_model_makes_the_same_bytes():
    assert plain_c.header(OWN, "a") == plain_c.header(bytes(OWN), "a") != plain_c.header(OWN, "b")


@pytest.mark.parametrize(
    "name", ["", "Model", "2a", "a-b", "a b", "stdint", "math", "print", "a__b", "a_", "_a", "ä",
             "a" * 25, "a\n", "features", "wire", "aux"]
)  # fmt: skip
def test_names_that_cannot_be(name):
    with pytest.raises(WorkshopError, match=r"^The model cannot be called .* in C: take up to 24"):
        plain_c.header(OWN, name)


# ---- What it refuses

BAD = {name: content for name, (content, _) in factory.bad_models().items()}


@pytest.mark.parametrize("name", BAD)
def test_bad_models_are_refused_in_one_sentence(name):
    with pytest.raises(WorkshopError) as caught:
        plain_c.header(BAD[name])
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "content, sentence",
    [
        (BAD["GELU"], r"^The operator GELU is not built in; .*, so take relu as activation\.$"),
        (BAD["TANH"], r"^Layer 1's activation is TANH; the engine has NONE, RELU, RELU6\.$"),
        (
            next(iter(factory.float_models().values())),
            r"^The model computes in float32, and plain C is made of int8 models: set .* again\.$",
        ),
        (
            factory.with_ends(OWN, "FLOAT32", "FLOAT32"),
            r"^The model computes in int8, but its input is float32 and its output is float32: set",
        ),
    ],
)
def test_a_refusal_names_the_place(content, sentence):
    with pytest.raises(WorkshopError, match=sentence):
        plain_c.layers(content)


def test_what_is_cut_off_or_changed_is_refused_or_answered():
    """No other exception comes out of it."""
    rng, refused = np.random.default_rng(1), 0
    for length in range(0, len(OWN), 41):
        with pytest.raises(WorkshopError):
            plain_c.header(OWN[:length])
    for _ in range(300):
        damaged = bytearray(OWN)
        for place in rng.integers(0, len(OWN), 3):
            damaged[place] = rng.integers(256)
        try:
            plain_c.header(bytes(damaged))
        except WorkshopError as error:
            assert "\n" not in str(error)
            refused += 1
    assert refused > 50


# ---- The test that the command makes


def test_it_is_tested_before_it_is_written(home, monkeypatch):
    judge = {"tflm": "TensorFlow Lite for Microcontrollers", "litert": "LiteRT"}
    who = judge[inference.best_runtime()]
    said = f"Tested: 256 of 256 inputs are answered as {who} answers them."
    assert plain_c.tested(OWN, "sine") == said
    several = PROOF["sine 7-6-5-3"]
    assert plain_c.tested(several).startswith("Tested: 512 of 512 inputs")
    other = plain_c.header(PROOF["sine 1-8-1"])
    monkeypatch.setattr(plain_c, "header", lambda content, name: other)
    with pytest.raises(WorkshopError, match=r"^The model was not exported: .* \d+ of 256 inputs"):
        plain_c.tested(OWN)
    monkeypatch.setattr(plain_c, "header", lambda content, name: "damaged")
    with pytest.raises(WorkshopError, match=r"^The model as plain C was not tested: "):
        plain_c.tested(OWN)


def test_it_needs_nothing_but_what_is_installed(home, monkeypatch):
    """The compiler comes as a Python package: no program of the system is asked."""
    monkeypatch.setenv("PATH", str(home.path))
    assert shutil.which("gcc") is None and plain_c.tested(OWN).startswith("Tested: 256 of 256")
    assert not list(home.path.glob("*.h"))
