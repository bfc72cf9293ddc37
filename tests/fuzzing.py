"""Models with something wrong, for the compact engine: does it stay inside, does it answer as TFLM?

Two ways. libFuzzer with firmware/tests/fuzz_engine.cc changes bytes and looks at what the compiled
code does, quickly; it knows what must never happen, and not what is right. The comparison changes
models as their maker could, too, and asks TFLM about each one that the engine accepts: TFLM has to
accept it and to give the same answers, to the bit. TFLM reads only whole flatbuffers, on trust; so
of one that is damaged somewhere, in a place that the engine has no need of, it is not asked.
tools/fuzz_engine.py runs both for long.
"""

import multiprocessing
import os
import random
import re
import shutil
import struct
import subprocess
from collections import Counter
from functools import cache

import host
import numpy as np
import tflite_factory as factory
from patience import HUNG

ENGINE = [
    *sorted(host.FIRMWARE.glob("engine/*.cc")),
    *sorted(host.FIRMWARE.glob("engine/compact/*.cc")),
    *sorted(host.FIRMWARE.glob("engine/compact/kernels/fully_connected*.cc")),
]
REGRESSIONS = sorted((host.FIRMWARE / "tests" / "regressions").glob("*.bin"))
LONGEST = 4096  # bytes of an input

# ---- libFuzzer

_FLAGS = ["-std=c++17", "-g", "-O1", "-ffp-contract=off", "-fno-sanitize-recover=all"]


def build(program):
    """Compile the target. Returns why that was not possible, or None."""
    clang = shutil.which("clang++")
    if clang is None:
        return "Fuzzing needs clang++, which is not here."
    sources = [host.FIRMWARE / "tests" / "fuzz_engine.cc", *ENGINE]
    command = [clang, *_FLAGS, "-fsanitize=fuzzer,address,undefined", "-I", host.FIRMWARE, *sources]
    result = subprocess.run([*command, "-o", program], capture_output=True, text=True)
    if result.returncode != 0 and re.search(r"fuzzer|unsupported|cannot find", result.stderr):
        return f"This clang++ has no libFuzzer: {result.stderr.splitlines()[0]}"
    assert result.returncode == 0, result.stderr
    return None


def write_corpus(folder):
    """The factory's smaller models, good and bad, each with the target's four control bytes."""
    folder.mkdir()
    for number, tflite in enumerate(models()):
        (folder / f"{number}").write_bytes(tflite + bytes(4))
    for number, width in enumerate((1024, 32767, 32768, 65535)):
        (folder / f"wide-{number}").write_bytes(factory.wide_float(width) + b"\0\0\xff\xff")


@cache
def models():
    """The factory's smaller models, good and bad ones, bytes."""
    plain, odd = factory.odd_models()
    odd = odd | factory.ranked_models()
    bad = [tflite for tflite, _ in factory.bad_models().values()]
    kinds = [factory.proof_models(), factory.float_models(), odd, factory.overlooked_models()]
    found = [plain, *bad, *(tflite for kind in kinds for tflite in kind.values())]
    return [tflite for tflite in found if len(tflite) + 4 <= LONGEST]


def fuzz(program, *arguments):
    """The finished process."""
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
    command = [program, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=program.parent
    )


def executions(result):
    """How many inputs a process that was started with -print_final_stats=1 has tried."""
    return int(re.search(r"number_of_executed_units:\s*(\d+)", result.stderr)[1])


# ---- Comparison with TFLM

_NUMBERS = [-1, 0, 1, 2, 3, 5, 6, 7, 9, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**16, 2**31 - 1]
_REALS = [0.0, -0.0, 1.0, 1e-45, 1e-30, 3e38, 6 / 2**31, float("nan"), float("inf"), -float("inf")]


def mutated(content, rng):
    """A model with one to three changes: in its bytes, or in what its tables say."""
    changes = rng.choice((1, 1, 2, 3))
    if rng.random() < 0.5:
        try:
            return factory.edited(
                content, lambda model: [_change(model, rng) for _ in range(changes)]
            )
        except Exception:  # too odd to be written, or to be read in the first place
            pass
    content = bytearray(content)
    for _ in range(changes):
        width = rng.choice([width for width in (1, 2, 4, 8) if width <= len(content)] or [0])
        place = rng.randrange(len(content) // width) * width if width else 0
        new = rng.choice([*_NUMBERS, int.from_bytes(content[place : place + width], "little") ^ 1])
        new = new & (1 << 8 * width) - 1
        if width == 4 and rng.random() < 0.2:
            (new,) = struct.unpack("<I", struct.pack("<f", rng.choice(_REALS)))
        content[place : place + width] = new.to_bytes(width, "little")
    return bytes(content)


def _change(item, rng):
    """One change somewhere below an object of the schema's classes, or in a list of them."""
    if isinstance(item, list) and item:
        place = rng.randrange(len(item))
        chance = rng.random()
        if chance < 0.05:
            del item[place]
        elif chance < 0.1:
            item.append(item[place])
        else:
            item[place] = _changed(item[place], rng)
    elif names := list(getattr(item, "__dict__", ())):
        name = rng.choice(names)
        setattr(item, name, _changed(getattr(item, name), rng))


def _changed(value, rng):
    """What takes the place of a value: itself, changed inside, if it holds others."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (bytes, str)) or rng.random() < 0.02:
        return None
    if value is None:
        return rng.choice(([], [1], [0.5], b"\0", 1))
    if isinstance(value, float):
        return rng.choice([*_REALS, value * rng.choice((0.5, 0.999, 1.0001, 1.1, 1e3, 1e-9))])
    if isinstance(value, int):
        return rng.choice([*_NUMBERS, value - 1, value + 1])
    _change(value, rng)
    return value


def differences(program, seeds):
    """Try one mutated model per seed.

    program: engine_runner. Returns (a Counter of 'models', 'accepted' and, of these, 'whole' ones,
    [(seed, sentence)]).
    """
    bases, found, counts = models(), [], Counter()
    with _Tflm() as tflm:
        tried = []
        for seed in seeds:
            rng = random.Random(seed)
            tried.append((seed, mutated(rng.choice(bases), rng)))
        for (seed, tflite), answer in zip(tried, _engine(program, tried), strict=True):
            counts["models"] += 1
            if answer is None:
                continue
            counts["accepted"] += 1
            if not _is_whole(tflite):
                continue
            counts["whole"] += 1
            if (said := tflm.disagrees(tflite, answer)) and (said := tflm.again(tflite, answer)):
                found.append((seed, said))
    return counts, found


def _is_whole(tflite):
    """Whether all that is in the flatbuffer can be read."""
    try:
        factory.schema.ModelT.InitFromPackedBuf(tflite)
    except Exception:  # of many kinds; the schema's classes check nothing themselves
        return False
    return True


def _engine(program, tried):
    """What the engine answers to each model: None, or (inputs, outputs, type, answers)."""
    path = program.parent / "models.bin"
    path.write_bytes(b"".join(struct.pack("<I", len(model)) + model for _, model in tried))
    result = host.run(program, "--many", path)
    said, at, answers = result.stdout, 0, []
    while at < len(said):
        accepted, at = said[at], at + 1
        if not accepted:
            answers.append(None)
            continue
        inputs, outputs, is_int8 = struct.unpack_from("<III", said, at)
        kind = np.dtype(np.int8 if is_int8 else np.float32)
        values = np.frombuffer(said, kind, 4 * outputs, at + 12)
        answers.append((inputs, outputs, kind, values))
        at += 12 + values.nbytes
    if result.returncode != 0:
        seed, _ = tried[len(answers)]
        raise AssertionError(f"The engine fails, seed {seed}: {result.stderr.decode()[-2000:]}")
    return answers


def _fixed_inputs(inputs, kind):
    """What InferFixed() of engine_runner.cc feeds, shape (4, inputs)."""
    i, j = np.arange(4)[:, None], np.arange(inputs)
    if kind == np.int8:
        return (85 * i + 31 * j).astype(np.uint8).view(np.int8)
    return np.float32(i) - np.float32(1.5) * np.float32(j + 1)


class _Tflm:
    """TFLM in a process of its own, since it trusts models and may take the process with it."""

    def __enter__(self):
        from tflite_micro.python.tflite_micro import runtime

        # The package reads all of the model in Python first, names and all; TFLM does not.
        runtime.count_resource_variables = lambda _: 0
        self._runtime, self._process = runtime, None
        return self

    def __exit__(self, *_):
        self._stop()

    def again(self, tflite, answer):
        """`disagrees` of a process that has not seen another model: what an earlier one broke
        does not count."""
        self._stop()
        return self.disagrees(tflite, answer)

    def disagrees(self, tflite, answer):
        """In what TFLM differs from the engine's answer, a few words; None if in nothing."""
        inputs, outputs, kind, values = answer
        if self._process is None:
            self._start()
        try:
            self._pipe.send((tflite, inputs, kind))
            said = self._pipe.recv() if self._pipe.poll(HUNG) else "TFLM hangs"
        except (EOFError, ConnectionError):
            said = "TFLM crashes"
        if isinstance(said, str):
            self._stop()
            return said
        if said.dtype != kind or said.shape != (4, outputs):
            return f"TFLM has outputs of the shape {said.shape}, {said.dtype}"
        theirs, ours = (_without_nan(array.ravel()) for array in (said, values))
        return None if theirs == ours else f"TFLM answers {said.ravel()[:8]}, not {values[:8]}"

    def _start(self):
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=self._serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def _stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None

    def _serve(self, pipe):
        self._pipe.close()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # it writes its reasons there
        while True:
            tflite, inputs, kind = pipe.recv()
            try:
                pipe.send(self._run(tflite, _fixed_inputs(inputs, kind)))
            except Exception as error:
                pipe.send(f"TFLM refuses: {error}")

    def _run(self, tflite, rows):
        interpreter = self._runtime.Interpreter.from_bytes(tflite, arena_size=1 << 20)
        shape, outputs = interpreter.get_input_details(0)["shape"], []
        for row in rows:
            interpreter.set_input(row.reshape(shape), 0)
            interpreter.invoke()
            outputs.append(interpreter.get_output(0).ravel().copy())
        return np.array(outputs)


def _without_nan(values):
    """The bytes, all NaN alike: C++ leaves open which of them comes out."""
    if values.dtype == np.float32:
        values = np.where(np.isnan(values), np.float32(np.nan), values)
    return values.tobytes()
