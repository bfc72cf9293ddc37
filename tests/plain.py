"""Many models as plain C in few programs, for this computer and for emulated cores. For tests only.

A program has one function, all(inputs, outputs), which answers every row of every model.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import reference
import tflite_factory as factory
from patience import HUNG
from proof import tflm

from workshop_utils import emulator, inference, plain_c
from workshop_utils.device import compiling
from workshop_utils.device.elf import Elf

STRICT = ["-Wall", "-Wextra", "-Werror", "-Wpedantic", "-Wconversion", "-Wsign-conversion"]
STRICT += ["-Wshadow", "-Wundef", "-Wcast-qual", "-Wcast-align"]
UNDEFINED = ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
ZIG = [sys.executable, "-m", "ziglang", "cc"]

_MAIN = """
#include <stdio.h>
static int8_t inputs[{inputs}], outputs[{outputs}];
int main(void) {{
  if (fread(inputs, 1, sizeof inputs, stdin) != sizeof inputs) return 2;
  all(inputs, outputs);
  return fwrite(outputs, 1, sizeof outputs, stdout) != sizeof outputs;
}}
"""

# What compilers call where loops copy and clear. The empty assembler keeps them from calling it in
# these loops too.
_MEMORY = """
void *memcpy(void *to, const void *from, __SIZE_TYPE__ size);
void *memset(void *to, int value, __SIZE_TYPE__ size);
void *memcpy(void *to, const void *from, __SIZE_TYPE__ size) {
  for (__SIZE_TYPE__ i = 0; i < size; ++i) {
    ((char *)to)[i] = ((const char *)from)[i];
    __asm__ volatile("");
  }
  return to;
}
void *memset(void *to, int value, __SIZE_TYPE__ size) {
  for (__SIZE_TYPE__ i = 0; i < size; ++i) {
    ((char *)to)[i] = (char)value;
    __asm__ volatile("");
  }
  return to;
}
"""


def expected(content, rows):
    """TFLM's answers, or those of its arithmetic in Python where there is no TFLM."""
    if inference.tflm_problem() is None:
        return tflm(content, rows)
    return reference.run(content, rows)[-1].codes


class Program:
    """The source of all(), of models that are given as bytes, in a folder."""

    def __init__(self, folder: Path, models):
        self.folder, self.models = folder, list(models)
        folder.mkdir(parents=True, exist_ok=True)
        self.rows = [factory.input_grid(content) for content in self.models]
        calls = []
        for number, (content, rows) in enumerate(zip(self.models, self.rows, strict=True)):
            name = f"m{number}"
            (folder / f"{name}.h").write_text(plain_c.header(content, name))
            calls.append(
                f"  for (int i = 0; i < {len(rows)}; ++i) {{ {name}_run(in, out); "
                f"in += {name.upper()}_INPUTS; out += {name.upper()}_OUTPUTS; }}"
            )
        includes = [f'#include "m{number}.h"' for number in range(len(self.models))]
        lines = [*includes, "void all(const int8_t *in, int8_t *out);"]
        lines += ["void all(const int8_t *in, int8_t *out) {", *calls, "}"]
        self.source = folder / "all.c"
        self.source.write_text("\n".join(lines))
        self.inputs = b"".join(rows.tobytes() for rows in self.rows)
        self.widths = [plain_c.layers(content)[-1].rows for content in self.models]
        self._expected = None
        self.size = sum(
            len(rows) * width for rows, width in zip(self.rows, self.widths, strict=True)
        )

    def on_host(self, compiler):
        """The answers of all models, a list, of a program for this computer."""
        program = self.folder / "all.exe"
        main = _MAIN.format(inputs=len(self.inputs), outputs=self.size)
        source = self.folder / "host.c"
        source.write_text(self.source.read_text() + main)
        compile_c([*compiler, *STRICT, source, "-o", program])
        done = subprocess.run([program], input=self.inputs, capture_output=True, timeout=HUNG)
        assert done.returncode == 0, done.stderr.decode()[:2000]
        return self._split(done.stdout)

    def on_core(self, core, toolchain, optimize="-O2", watch=None):
        """The same on an emulated core, 'cortex-m4' or 'cortex-m0', from an odd address."""
        machine = Core(self.image(core, toolchain, optimize), core, watch)
        machine.call("all", self.inputs, self.size)
        return self._split(machine.output)

    def image(self, core, toolchain, optimize):
        """The path of an image for a core."""
        source, image = self.folder / "core.c", self.folder / f"{core}-{toolchain}.elf"
        source.write_text(self.source.read_text() + _MEMORY)
        command = [*compiler_of(core, toolchain), "-std=c99", *STRICT, optimize]
        command += ["-ffreestanding", "-nostdlib", "-Wl,-e,all", source, "-o", image]
        compile_c([*command, "-lgcc" if toolchain == "gcc" else "-rtlib=compiler-rt"])
        return image

    def wrong(self, answers):
        """The numbers of the models of which an answer is not TFLM's."""
        if self._expected is None:
            self._expected = list(map(expected, self.models, self.rows))
        return [
            number
            for number, right in enumerate(self._expected)
            if not np.array_equal(answers[number], right)
        ]

    def _split(self, content):
        codes, found = np.frombuffer(content, np.int8), []
        for rows, width in zip(self.rows, self.widths, strict=True):
            count = len(rows) * width
            found.append(codes[:count].reshape(len(rows), width))
            codes = codes[count:]
        return found


def compile_c(command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:3000]


def host_compilers():
    """{name: command} for this computer: gcc as C, clang as C++; zig where neither is installed.

    clang takes minutes to optimize what its sanitizer adds; zig is a clang that optimizes, for the
    emulated cores.
    """
    found = {
        name: command
        for name, command in {
            "gcc": ["gcc", "-std=c99", "-O0", *UNDEFINED, "-fsanitize=address"],
            "clang": ["clang++", "-x", "c++", "-std=c++11", "-O0", *UNDEFINED],
        }.items()
        if shutil.which(command[0])
    }
    return found or {"zig": [*ZIG, "-std=c99", "-fsanitize=undefined"]}


def compiler_of(core, toolchain):
    """The command that compiles C for a core."""
    if toolchain == "gcc":
        options = {
            "cortex-m4": ["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
            "cortex-m0": ["-mcpu=cortex-m0plus", "-mfloat-abi=soft"],
        }[core]
        return ["arm-none-eabi-gcc", "-mthumb", *options]
    return [*ZIG, *compiling.zig_flags(core)]


class Core:
    """An emulated core with an image in its memory, whose functions can be called."""

    _INPUT, _OUTPUT, _STACK, _END = 0x20000001, 0x20100000, 0x20300000, 0x30000000

    def __init__(self, image, core, watch=None):
        """watch: is called with the Core, the address and the size of each read from memory."""
        import unicorn
        from unicorn import arm_const as arm

        self.arm = arm
        model = {"cortex-m4": arm.UC_CPU_ARM_CORTEX_M4, "cortex-m0": arm.UC_CPU_ARM_CORTEX_M0}
        self.uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(model[core])
        self.image = Elf(image)
        self.uc.mem_map(0, 0x1000000)
        self.uc.mem_map(0x20000000, 0x400000)
        self.uc.mem_map(self._END, 0x1000)
        for address, content in self.image.segments:
            self.uc.mem_write(address, content)
        self.instructions = 0

        def count(uc, address, size, data):
            self.instructions += emulator.count_instructions(uc.mem_read(address, size))

        def read(uc, access, address, size, value, data):
            watch(self, address, size)

        self._hooks = unicorn, count
        if watch:
            self.uc.hook_add(unicorn.UC_HOOK_MEM_READ, read)

    def reads_several_words(self):
        """Whether the instruction that is executed is an LDRD or an LDM of 32 bits, or an LDM.

        Source: ARMv7-M Architecture Reference Manual, A5.2 and A5.3.5, A5.3.6.
        """
        place = self.uc.reg_read(self.arm.UC_ARM_REG_PC) & ~1
        code = int.from_bytes(self.uc.mem_read(place, 2), "little")
        return code >> 9 == 0b1110100 or code >> 11 == 0b11001

    def count(self):
        """From here on, count instructions."""
        unicorn, count = self._hooks
        self.uc.hook_add(unicorn.UC_HOOK_BLOCK, count)

    def call(self, function, inputs, outputs):
        """Call function(const int8_t *, int8_t *). outputs: how many bytes it writes."""
        arm = self.arm
        self.uc.mem_write(self._INPUT, inputs)
        self.instructions = 0
        for register, value in (
            (arm.UC_ARM_REG_R0, self._INPUT),
            (arm.UC_ARM_REG_R1, self._OUTPUT),
            (arm.UC_ARM_REG_SP, self._STACK),
            (arm.UC_ARM_REG_LR, self._END | 1),
        ):
            self.uc.reg_write(register, value)
        self.uc.emu_start(self.image.symbols[function] | 1, self._END)
        self.output = bytes(self.uc.mem_read(self._OUTPUT, outputs))
