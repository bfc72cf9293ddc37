"""The emulated board, on small programs that do one thing each."""

import os
import random
import re
import signal
import struct
import subprocess
import sys

import numpy as np
import pytest
import qemu
from single_steps import count_by_single_steps

from workshop_utils import emulator
from workshop_utils.device import elf
from workshop_utils.errors import WorkshopError

LINKER_SCRIPT = """
SECTIONS {
  . = 0;
  .text : { KEEP(*(.vectors)) *(.text* .rodata*) }
  .bss 0x20000000 (NOLOAD) : { *(.bss*) }
  /DISCARD/ : { *(.ARM.exidx*) }
}
"""

# Each PROGRAM can be where the reset vector points to.
SOURCE = r"""
#include <stdint.h>
#define PROGRAM(name) extern "C" [[gnu::used, noreturn]] void name()
#define STOP for (;;) __asm__ volatile("")

volatile uint32_t& Register(uint32_t address) { return *(volatile uint32_t*)address; }

namespace board {
[[gnu::noinline]] void Enable() { Register(0x40004008) = 1; }
[[gnu::noinline]] void Print(const char* text) {
  for (; *text; ++text) {
    while (Register(0x40004004) & 1) {}
    Register(0x40004000) = (uint8_t)*text;
  }
}
}  // namespace board

extern "C" [[gnu::noinline]] void* memset(void* to, int value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) ((volatile uint8_t*)to)[i] = (uint8_t)value;
  return to;
}

namespace engine {
namespace {
[[gnu::noinline]] int Lost(uint32_t address) { return Register(address); }
}  // namespace
// Longer than a page and than Unicorn's longest block.
[[gnu::naked]] void Straight() {
  __asm__ volatile(".rept 700\n nop\n add.w r0, r0, #0\n .endr\n bx lr");
}
[[gnu::noinline]] int Invoke(const int8_t* in, int8_t* out) {
  __asm__ volatile("");
  *out = *in / 2;
  return 0;
}
// Loops, calls, early returns, conditional and 32-bit instructions, and a long straight piece.
[[gnu::noinline]] int Predict(float x, float* y) {
  static uint8_t room[200];
  int n = (int)x;
  if (n == 0) return 1;
  memset(room, n, n);
  float sum = 0;
  for (int i = 0; i < n; ++i) {
    if (room[i] & 1) sum += 1.5f; else sum *= 0.5f;
    __asm__ volatile("cmp %0, #5\n ite lt\n addlt %0, %0, #0\n addge.w %0, %0, #0" : "+r"(n));
  }
  Straight();
  *y = sum;
  return Invoke((int8_t*)room, (int8_t*)room);
}
}  // namespace engine
using namespace board;

PROGRAM(reads_nowhere) { Enable(); engine::Lost(0x30000000); STOP; }
PROGRAM(writes_nowhere) { Enable(); Register(0x50000000) = 1; STOP; }
PROGRAM(writes_flash) { Enable(); Register(0x100) = 1; STOP; }
PROGRAM(traps) { Enable(); __asm__ volatile("udf #1"); STOP; }
PROGRAM(undefined) { Enable(); __asm__ volatile(".short 0xffff, 0xffff"); STOP; }
PROGRAM(calls_supervisor) { Enable(); __asm__ volatile("svc #1"); STOP; }
PROGRAM(jumps_to_ram) { Enable(); ((void (*)())0x20000001)(); STOP; }
PROGRAM(jumps_nowhere) { Enable(); ((void (*)())0x70000001)(); STOP; }
PROGRAM(hangs) { Enable(); Print("x,y,led\n"); STOP; }
PROGRAM(sleeps) { Enable(); for (;;) __asm__ volatile("wfi"); }
PROGRAM(takes_long) {
  Enable();
  Print("x,y,led\n");
  for (int line = 0; line < 40; ++line) {
    for (volatile int step = 0; step < 400; step = step + 1) {}
    Print("0.000000,-0.250000,96\n");
  }
  Print("# end\n");
  STOP;
}
PROGRAM(babbles) { Enable(); for (;;) Print("x,y,led\n"); }
PROGRAM(forgets_uart) { Print("# end\n"); STOP; }
PROGRAM(stops) { Enable(); Print("# stopped: operator CONV_2D is not supported\n"); STOP; }
PROGRAM(says_fault) { Enable(); Print("# fault: at 00001234\n"); STOP; }
PROGRAM(ends) {
  Enable();
  Print("# engine compact: arena 160 bytes\nx,y,led\n0.000000,-0.250000,96\n# end\n");
  Print("nobody reads this\n");
  STOP;
}
PROGRAM(prints_bytes) { Enable(); Print("\xff\xfe\n# end\n"); STOP; }
PROGRAM(blinks) {
  Enable();
  for (int i = 0; i < 300; i += 50) Register(0x4002F004) = i;
  Print("# end\n");
  STOP;
}
PROGRAM(ticks) {
  Enable();
  if (Register(0xE000E010) >> 16 & 1) Print("# stopped: a tick before SysTick is on\n");
  Register(0xE000E014) = 2499;
  Register(0xE000E018) = 0;
  Register(0xE000E010) = 5;
  for (int i = 0; i < 100; ++i) while (!(Register(0xE000E010) >> 16 & 1)) {}
  Print("# end\n");
  STOP;
}
PROGRAM(uses_fpu) {
  Register(0xE000ED88) = Register(0xE000ED88) | 0xF00000;
  __asm__ volatile("dsb\n isb");
  Enable();
  volatile float x = 3.0f;
  Print(x * x / 2.0f == 4.5f ? "# end\n" : "# stopped: the FPU is wrong\n");
  STOP;
}
PROGRAM(uses_stack) {
  Enable();
  volatile uint8_t room[1000];
  for (int i = 0; i < 1000; ++i) room[i] = 1;
  Print("# end\n");
  STOP;
}
PROGRAM(predicts) {
  Register(0xE000ED88) = Register(0xE000ED88) | 0xF00000;
  Enable();
  float y;
  for (int i = 0; i < 150; i += 7) engine::Predict((float)i, &y);
  Print("# end\n");
  STOP;
}
PROGRAM(predicts_and_prints) {
  Register(0xE000ED88) = Register(0xE000ED88) | 0xF00000;
  Enable();
  Print("x,y,led\n");
  float y;
  for (int i = 0; i < 150; i += 7) {
    engine::Predict((float)i, &y);
    Print("0.000000,-0.250000,96\n");
  }
  Print("# end\n");
  STOP;
}
PROGRAM(invokes) {
  Enable();
  int8_t codes[2];
  for (int i = 0; i < 10; ++i) engine::Invoke(codes, codes + 1);
  Print("# end\n");
  STOP;
}
extern "C" [[gnu::section(".vectors"), gnu::used]] extern const unsigned vectors[2];
const unsigned vectors[2] = {0x20001000, 0};
"""


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """All programs in one image without a reset vector, compiled with zig: its path."""
    folder = tmp_path_factory.mktemp("programs")
    (folder / "programs.cc").write_text(SOURCE)
    (folder / "script.ld").write_text(LINKER_SCRIPT)
    options = (
        "-target thumb-freestanding-eabihf -mcpu=cortex_m4+vfp4d16sp -O2 -fno-sanitize=all -w "
        "-fno-unwind-tables -fno-builtin -nostdlib -Wl,--no-gc-sections -Wl,-T,script.ld "
        "-Wl,-e,ends programs.cc -o programs.elf"
    )
    subprocess.run(
        [sys.executable, "-m", "ziglang", "c++", *options.split()],
        cwd=folder,
        env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": "zig", "ZIG_LOCAL_CACHE_DIR": "zig"},
        check=True,
    )
    return folder / "programs.elf"


@pytest.fixture
def program(compiled, tmp_path):
    """A function: the image whose reset vector points to the program of that name."""

    def choose(name):
        from elftools.elf.elffile import ELFFile

        content = bytearray(compiled.read_bytes())
        with compiled.open("rb") as file:
            start = next(ELFFile(file).iter_segments(type="PT_LOAD"))["p_offset"]
        struct.pack_into("<I", content, start + 4, elf.Elf(compiled).symbols[name] | 1)
        image = tmp_path / f"{name}.elf"
        image.write_bytes(content)
        return image

    return choose


# ---- How programs end


def test_a_program_runs_to_its_end_mark_and_no_further(program):
    result = emulator.run(program("ends"))
    assert result.console.endswith("0.000000,-0.250000,96\n# end\n")
    assert result.arena_used == 160
    assert result.inferences.to_dict("list") == {"x": [0.0], "y": [-0.25], "led": [96]}
    assert result.instructions == [] and result.median_instructions is None


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("reads_nowhere", r"in engine::Lost at 0x\w+: it read from 0x30000000, where .* nothing"),
        ("writes_nowhere", r"in writes_nowhere at .*: it wrote to 0x50000000, where .* nothing"),
        ("writes_flash", r"in writes_flash at .*: it wrote to 0x00000100, which is flash"),
        ("traps", r"in traps at .*: it came to a trap or an undefined instruction"),
        ("undefined", r"in undefined at .*: it came to a trap or an undefined instruction"),
        ("calls_supervisor", r"in calls_supervisor at .*: it raised an exception"),
        ("jumps_to_ram", r"at .*, called from jumps_to_ram: it jumped to 0x20000000, which is RAM"),
        (
            "jumps_nowhere",
            r"at .*, called from jumps_nowhere: it jumped to 0x70000000, where .* nothing",
        ),
        ("says_fault", r"at 00001234"),
    ],
)
def test_a_fault_is_one_sentence_with_the_function(program, name, sentence):
    with pytest.raises(WorkshopError, match=f"^The firmware faulted:? {sentence}[^\n]*\\.$"):
        emulator.run(program(name))


@pytest.mark.parametrize("name", ["hangs", "sleeps"])
def test_a_program_that_hangs_is_stopped_and_located(program, name):
    with pytest.raises(WorkshopError, match=rf"hangs: after 100,000 instructions .* in {name} at"):
        emulator.run(program(name), instruction_limit=100_000)


def test_a_program_that_takes_long_and_prints_meanwhile_does_not_hang(program):
    result = emulator.run(program("takes_long"), instruction_limit=16_000)
    assert len(result.inferences) == 40


def test_a_long_run_says_how_long_it_takes_and_a_short_one_says_nothing(
    program, capsys, monkeypatch
):
    image = program("takes_long")
    emulator.run(image, count=False, inferences=40)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(emulator, "SILENT_SECONDS", 0)
    emulator.run(image, count=False)
    assert "Emulating: 40 inferences so far" in capsys.readouterr().err
    emulator.run(image, count=False, inferences=40)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "Emulating: 1 inferences so far" and len(said) == 40
    assert re.fullmatch(r"Emulating: 2 of 40 inferences, about \d+ s left", said[1]), said
    assert said[-1].startswith("Emulating: 40 of 40 inferences, about 0 s")


def test_it_says_less_and_less(program, capsys, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(emulator.time, "process_time", lambda: next(clock))
    monkeypatch.setattr(emulator, "SILENT_SECONDS", 5)
    emulator.run(program("takes_long"), count=False, inferences=40)
    said = [line.split()[1] for line in capsys.readouterr().err.splitlines()]
    assert said == ["5", "10", "20", "40"]


def test_counting_says_how_long_it_takes(program, capsys, monkeypatch):
    monkeypatch.setattr(emulator, "SILENT_SECONDS", 0)
    emulator.run(program("predicts_and_prints"))
    said = capsys.readouterr().err
    assert "Emulating, pass 1 of 2: 22 inferences so far\n" in said
    assert re.search(
        r"Counting instructions, pass 2 of 2: 11 of 22 inferences, about \d+ s left\n", said
    )


@pytest.mark.skipif(not hasattr(signal, "SIGVTALRM"), reason="this system has no such signal")
def test_a_signal_stops_it_wherever_it_is(program):
    """Python drops what is raised while Unicorn calls back."""
    machine = emulator.Machine(elf.Elf(program("babbles")))

    def ring(number, frame):
        raise TimeoutError(number)

    before = signal.signal(signal.SIGVTALRM, ring)
    try:
        for tenth in range(1, 6):
            signal.setitimer(signal.ITIMER_VIRTUAL, 0.02 * tenth)  # of this process's own time
            with pytest.raises(TimeoutError):
                machine.run(1_000_000_000)
            assert signal.getsignal(signal.SIGVTALRM) is ring and not machine.finished
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def test_a_program_that_never_stops_printing_hangs(program, monkeypatch):
    monkeypatch.setattr(emulator, "CONSOLE_LIMIT", 5_000)
    with pytest.raises(WorkshopError, match=r"hangs: after 10,000 instructions"):
        emulator.run(program("babbles"), instruction_limit=10_000)


def test_a_uart_that_is_not_enabled_prints_nothing(program):
    with pytest.raises(WorkshopError, match=r"hangs.*6 characters went to a UART .* not enabled"):
        emulator.run(program("forgets_uart"), instruction_limit=100_000)


def test_the_firmwares_own_reason_is_passed_on(program):
    with pytest.raises(WorkshopError, match=r"^The firmware stopped: operator CONV_2D is not supp"):
        emulator.run(program("stops"))


def test_bytes_that_are_no_text_do_no_harm(program):
    result = emulator.run(program("prints_bytes"))
    with pytest.raises(WorkshopError, match=r"^Line 1 of the firmware's console"):
        _ = result.inferences


# ---- What the board has


def test_the_led_remembers_every_brightness(program):
    led = emulator.run(program("blinks")).led
    assert led.dtype == np.uint8 and led.tolist() == [0, 50, 100, 150, 200, 250]


@pytest.mark.parametrize("name", ["ticks", "uses_fpu"])
def test_ticks_come_and_floats_are_computed(program, name):
    assert emulator.run(program(name)).console == "# end\n"


@pytest.mark.parametrize("name", ["ends", "ticks", "uses_fpu", "stops"])
def test_qemu_prints_the_same(program, name):
    image = program(name)
    machine = emulator.Machine(elf.Elf(image))
    machine.run()
    assert qemu.run(image) == machine.console


def test_the_stack_is_measured(program):
    plain, deep = (emulator.run(program(name)).stack_bytes for name in ("ends", "uses_stack"))
    assert plain < 64 and 1000 <= deep < 1100


# ---- Counting


def test_counting_by_blocks_is_counting_instructions(program):
    image = program("predicts")
    counts = emulator.run(image).instructions
    assert len(counts) == 22 and len(set(counts)) == 22
    assert counts == count_by_single_steps(image)


def test_a_call_inside_a_measured_one_is_not_counted_twice(program):
    result = emulator.run(program("invokes"))
    assert len(result.instructions) == 10
    assert result.median_instructions == result.instructions[0] < 20


def test_counting_can_be_left_out(program):
    assert emulator.run(program("predicts"), count=False).instructions == []


def test_count_instructions():
    # nop; add.w r0, r0, #0; b.n; vmul.f32 s0, s0, s0; nop
    code = bytes.fromhex("00bf 00f1 0000 fee7 20ee 000a 00bf")
    assert emulator.count_instructions(code) == 5
    assert emulator.count_instructions(b"") == 0


# ---- Images


def test_a_missing_unicorn_is_one_sentence(program, monkeypatch):
    image = program("ends")
    monkeypatch.setitem(sys.modules, "unicorn", None)
    with pytest.raises(WorkshopError, match=r"unicorn, which is missing; in a terminal:\n"):
        emulator.run(image)


def test_files_that_are_no_image(program, tmp_path):
    good = program("ends").read_bytes()
    x86 = bytearray(good)
    x86[18] = 62  # the machine in the ELF header
    for content, sentence in [
        (b"", "not a whole ELF image"),
        (b"#!/bin/sh\n", "not a whole ELF image"),
        (good[:200], "not a whole ELF image"),
        (good[: len(good) // 2], "not a whole ELF image"),
        (bytes(x86), "not a program for Arm Cortex-M"),
    ]:
        (tmp_path / "bad.elf").write_bytes(content)
        with pytest.raises(WorkshopError, match=rf"^bad\.elf is {sentence}\.$"):
            emulator.run(tmp_path / "bad.elf")
    for path in (tmp_path, tmp_path / "nothing.elf"):
        with pytest.raises(WorkshopError, match=r"^Cannot read the image"):
            emulator.run(path)


def test_an_image_without_vector_table(compiled):
    with pytest.raises(WorkshopError, match=r"does not begin with a vector table"):
        emulator.run(compiled)


def test_an_image_for_another_memory_map(compiled, tmp_path):
    content = bytearray(compiled.read_bytes())
    headers = struct.unpack_from("<I", content, 28)[0]  # the first program header's
    struct.pack_into("<I", content, headers + 12, 0x08000000)  # load address
    (tmp_path / "stm32.elf").write_bytes(content)
    with pytest.raises(WorkshopError, match=r"stm32\.elf has \d+ bytes for the address 0x08000000"):
        emulator.run(tmp_path / "stm32.elf")


def test_damaged_images_are_refused_or_run(program, tmp_path):
    good, chance = program("ends").read_bytes(), random.Random(1)
    headers = range(52 + 3 * 32)
    for number in range(100):
        damaged = bytearray(good)
        for _ in range(1 + number % 3):
            damaged[chance.choice(headers)] ^= 1 << chance.randrange(8)
        (tmp_path / "damaged.elf").write_bytes(damaged)
        try:
            emulator.run(tmp_path / "damaged.elf", instruction_limit=10_000, count=False)
        except WorkshopError as error:
            assert "\n" not in str(error)
