"""The boards, without boards: emulated cores, and registers that do what the manuals say.

Three emulators take part. Unicorn runs every image, with the registers of `chips`, which is as
strict as the manuals are: what is not clocked, not enabled or still in reset stays silent. QEMU
runs the micro:bit v1's and the code of the Pico 2's core, and rp2040js the Pico's, from the very
file that one copies to the board.
"""

import binascii
import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import qemu
from elftools.elf.elffile import ELFFile
from patience import HUNG

from workshop_utils import c_source, emulator, firmware, inference, paths
from workshop_utils.device import boards, console, images
from workshop_utils.device.chips import CHIPS
from workshop_utils.device.elf import Elf
from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home

BOARDS = boards.REAL
INFERENCES = 40  # of the waves that `build` makes


@pytest.fixture(scope="module")
def expected():
    """TFLM's answers to all 256 codes."""
    if problem := inference.tflm_problem():
        pytest.skip(problem)
    model = c_source.read(paths.FIRMWARE_REFERENCE_MODEL)
    codes = np.arange(-128, 128).astype(np.int8)
    return list(zip(codes, inference.invoke(model, codes, "tflm"), strict=True))


def answers(printed):
    columns, rows = console.table(printed)
    assert columns == ["q_in", "q_out"]
    return rows


def run(image, board):
    """The chip after the image has run to its end."""
    machine = emulator.Machine(Elf(image), CHIPS[board]())
    machine.run(emulator.INSTRUCTION_LIMIT)
    assert machine.finished, machine.console[-200:]
    return machine.chip


# ---- One answer


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize("board", BOARDS)
def test_every_answer_is_tflms(build, expected, board, toolchain):
    chip = run(build(board, toolchain).sweep, board)
    assert answers(chip.printed.decode()) == expected
    assert chip.lost == 0


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_microbit_v1_in_qemu_equals_tflm(build, expected, toolchain):
    qemu.require("qemu-system-arm")
    printed = qemu.run(build("microbit-v1", toolchain).sweep, machine="microbit")
    assert answers(printed) == expected


AN505 = {  # the emulated board's folder for another of Arm's MPS2 images, with a Cortex-M33
    "board.cc": {"0x40004000": "0x50200000", "0x4002f004": "0x50302000"},
    "linker.ld": {"ORIGIN = 0x00000000": "ORIGIN = 0x10000000", "0x20000000": "0x38000000"},
    "board.cmake": {"cortex-m4": "cortex-m33"},
}


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_the_pico_2s_core_in_qemu_equals_tflm(tmp_path, expected, toolchain):
    """QEMU has no RP2350, but its core, with other memory and another UART around it."""
    qemu.require("qemu-system-arm", *(["arm-none-eabi-g++"] if toolchain == "gcc" else []))
    ignored = shutil.ignore_patterns("build", "images")
    sources = tmp_path / "an505"
    shutil.copytree(paths.FIRMWARE_DIR, sources, ignore=ignored)
    for name, changes in AN505.items():
        file = sources / "boards" / "emulator" / name
        text = file.read_text(encoding="utf-8")
        for said, instead in changes.items():
            assert text.count(said) == 1
            text = text.replace(said, instead)
        file.write_text(text, encoding="utf-8")
    shutil.copy(paths.FIRMWARE_REFERENCE_MODEL, sources / "model" / "model.cc")
    image = firmware.build(toolchain=toolchain, sources=sources, home=Home(tmp_path))
    assert answers(qemu.run(image.sweep, machine="mps2-an505")) == expected


@pytest.fixture(scope="module")
def rp2040js():
    """The folder in which rp2040js is installed.

    It works out the clocks from their registers, so that a wrong one shows as a wrong baud rate and
    a wrong pace. (rp2040py, its port to Python, runs everything at 125 MHz whatever they say.)
    """
    qemu.require("node")
    folder = os.environ.get("RP2040JS_HOME")
    if not folder and shutil.which("npm"):
        found = subprocess.run(["npm", "root", "--global"], capture_output=True, text=True)
        folder = str(Path(found.stdout.strip()).parent) if found.returncode == 0 else ""
    package = Path(folder or "nowhere") / "node_modules" / "rp2040js" / "package.json"
    if not package.is_file():
        pytest.skip("rp2040js is not installed: npm install rp2040js, and set RP2040JS_HOME")
    return package.parents[2]


@pytest.fixture(scope="module")
def in_rp2040js(rp2040js, build):
    """A function: (console, facts) of one of the Pico's programs, from its UF2 file."""

    def start(program):
        file = build("pico").file(program)
        script = Path(__file__).with_name("rp2040.mjs")
        result = subprocess.run(
            ["node", script, rp2040js, file], capture_output=True, text=True, timeout=HUNG
        )
        assert result.returncode == 0, result.stderr
        return result.stdout, json.loads(result.stderr.splitlines()[-1])

    return start


def test_the_picos_uf2_in_rp2040js_equals_tflm(in_rp2040js, expected):
    printed, facts = in_rp2040js("sweep")
    assert answers(printed) == expected
    assert facts["baud"] == pytest.approx(115200, rel=0.01)


def test_the_picos_wave_keeps_the_pace_of_board_h(in_rp2040js):
    printed, facts = in_rp2040js("wave")
    assert len(console.table(printed)[1]) == INFERENCES
    assert facts["seconds"] == pytest.approx(INFERENCES / 50, rel=0.05)


# ---- What is written to registers at the start, in order. Values are written out, not computed
# from the firmware's constants. Sections: see the firmware's board.cc files.

FPU = [("CPACR: CP10, CP11 (ARMv7-M, B3.2.20)", 0xE000ED88, 0x00F00000)]


def nrf(prepared, *pins):
    """The nRF chips' sequence.

    prepared: what comes before everything else; pins: the writes to the ports. These differ.
    """
    return [
        *prepared,
        *pins[1],
        ("BITMODE: 16 bits (nRF51 18, nRF52833 6.28)", 0x40008508, 0),
        ("PRESCALER: 16 MHz / 2^4", 0x40008510, 4),
        ("CC[0]: 1,333 microseconds", 0x40008540, 1333),
        ("SHORTS: COMPARE0 to CLEAR", 0x40008200, 1),
        ("TASKS_START", 0x40008000, 1),
        ("EVENTS_HFCLKSTARTED, cleared (nRF51 13, nRF52833 5.4)", 0x40000100, 0),
        ("TASKS_HFCLKSTART: the crystal", 0x40000000, 1),
        *pins[0],
        ("BAUDRATE: 115200", 0x40002524, 0x01D7E000),
        ("ENABLE", 0x40002500, 4),
        ("TASKS_STARTTX", 0x40002008, 1),
    ]


def each(name, addresses_and_bits):
    return [(name, address, 1 << bit) for address, bit in addresses_and_bits]


def transmit_pin(pin):
    """Driven high before the UART has it (nRF51 29.2, nRF52833 UART pin configuration)."""
    return [
        ("OUTSET: the line at rest", 0x50000508, 1 << pin),
        ("DIRSET", 0x50000518, 1 << pin),
        ("PSELTXD", 0x4000250C, pin),
    ]


def leds(rows, columns):
    """Rows low and columns high, dark, before they become outputs; pins as (port, bit)."""
    start = (0x50000000, 0x50000300)

    def at(offset, pins):
        return [(start[port] + offset, bit) for port, bit in pins]

    return [
        *each("OUTCLR: rows", at(0x50C, rows)),
        *each("DIRSET: rows", at(0x518, rows)),
        *each("OUTSET: columns", at(0x508, columns)),
        *each("DIRSET: columns", at(0x518, columns)),
    ]


V1_ROWS = [(0, pin) for pin in (13, 14, 15)]
V1_COLUMNS = [(0, pin) for pin in (4, 5, 6, 7, 8, 9, 10, 11, 12)]
V2_ROWS = [(0, pin) for pin in (21, 22, 15, 24, 19)]
V2_COLUMNS = [(0, 28), (0, 11), (0, 31), (1, 5), (0, 30)]

# The UARTs' data registers.
DATA = {
    "emulator": 0x40004000,
    "microbit-v1": 0x4000251C,
    "microbit-v2": 0x4000251C,
    "nucleo-l476rg": 0x40004428,
    "pico": 0x40034000,
    "pico2": 0x40070000,
}
PRESCRIBED = {
    "microbit-v1": nrf(
        [("RAMON: both blocks (nRF51 12)", 0x40000524, 3)],
        transmit_pin(24),
        leds(V1_ROWS, V1_COLUMNS),
    ),
    "microbit-v2": nrf(
        [("APPROTECT.DISABLE: what UICR says (nRF52833 4.8)", 0x40000558, 0xFFFFFF5A), *FPU],
        transmit_pin(6),
        leds(V2_ROWS, V2_COLUMNS),
    ),
    "nucleo-l476rg": [
        *FPU,
        ("RCC_AHB2ENR: GPIOA (RM0351, 6.4)", 0x4002104C, 1),
        ("RCC_APB1ENR1: USART2, TIM2", 0x40021058, 0x20001),
        ("TIM2_PSC (RM0351, 31)", 0x40000028, 15),
        ("TIM2_ARR", 0x4000002C, 254),
        ("TIM2_CCR1: dark", 0x40000034, 0),
        ("TIM2_CCMR1: PWM mode 1 with preload", 0x40000018, 0x68),
        ("TIM2_CCER: CC1E", 0x40000020, 1),
        ("TIM2_EGR: UG loads the prescaler", 0x40000014, 1),
        ("TIM2_CR1: CEN", 0x40000000, 1),
        ("GPIOA_AFRL: PA5 is AF1, TIM2_CH1 (RM0351, 8)", 0x48000020, 0x100000),
        ("GPIOA_MODER: PA5 alternate", 0x48000000, 0xABFFFBFF),
        ("SYST_RVR: 16 MHz / 50 (ARMv7-M, B3.3)", 0xE000E014, 319999),
        ("SYST_CVR", 0xE000E018, 0),
        ("SYST_CSR: core clock, on", 0xE000E010, 5),
        ("RCC_CR: HSION beside MSI", 0x40021000, 0x163),
        ("RCC_CFGR: SW = HSI16", 0x40021008, 1),
        ("GPIOA_AFRL: PA2 is AF7, USART2_TX", 0x48000020, 0x100700),
        ("GPIOA_MODER: PA2 alternate", 0x48000000, 0xABFFFBEF),
        ("GPIOA_AFRL: PA3 is AF7, USART2_RX", 0x48000020, 0x107700),
        ("GPIOA_MODER: PA3 alternate", 0x48000000, 0xABFFFBAF),
        ("USART2_BRR: 16 MHz / 115200, before UE (RM0351, 40)", 0x4000440C, 139),
        ("USART2_CR1: TE, RE, UE", 0x40004400, 0xD),
    ],
    "pico": [
        ("SSIENR: off, or it takes no settings (4.10.13)", 0x18000008, 0),
        ("BAUDR: half of clk_sys", 0x18000014, 2),
        ("CTRLR0: 32 bits, EEPROM read", 0x18000000, 0x001F0300),
        ("SPI_CTRLR0: command 03h of 8 bits, address of 24", 0x180000F4, 0x03000218),
        ("CTRLR1: one frame", 0x18000004, 0),
        ("SSIENR: on", 0x18000008, 1),
        ("VTOR (ARMv6-M, B3.2.5)", 0xE000ED08, 0x10000100),
        ("RESET, clearing alias: IO_BANK0, PADS_BANK0, PWM (2.14.3)", 0x4000F000, 0x4120),
        ("CH4_DIV: 16 (4.5.3)", 0x40050054, 0x100),
        ("CH4_TOP", 0x40050060, 254),
        ("CH4_CC: dark", 0x4005005C, 0),
        ("CH4_CSR: EN", 0x40050050, 1),
        ("GPIO25_CTRL: PWM 4 B (2.19.6)", 0x400140CC, 4),
        ("SYST_RVR: 12 MHz / 50 (ARMv6-M, B3.3)", 0xE000E014, 239999),
        ("SYST_CVR", 0xE000E018, 0),
        ("SYST_CSR: core clock, on", 0xE000E010, 5),
        ("XOSC_STARTUP: 1 ms (2.16.7)", 0x4002400C, 47),
        ("XOSC_CTRL: 1 to 15 MHz, on", 0x40024000, 0xFABAA0),
        ("CLK_SYS_CTRL, clearing alias: SRC is clk_ref (2.15.7)", 0x4000B03C, 1),
        ("CLK_REF_CTRL: XOSC", 0x40008030, 2),
        ("CLK_PERI_CTRL: on, from clk_sys", 0x40008048, 0x800),
        ("RESET, clearing alias: UART0, which now has its clock", 0x4000F000, 0x400000),
        ("UARTIBRD: 12 MHz / 16 / 115200 = 6.51 (4.2.7)", 0x40034024, 6),
        ("UARTFBRD: 0.51 * 64", 0x40034028, 33),
        ("UARTLCR_H: 8 bits, FIFO; takes over the divider", 0x4003402C, 0x70),
        ("UARTCR: UARTEN, TXE, RXE", 0x40034030, 0x301),
        ("GPIO0_CTRL: UART0 TX", 0x40014004, 2),
        ("GPIO1_CTRL: UART0 RX", 0x4001400C, 2),
    ],
    "pico2": [
        ("VTOR (ARMv8-M, D1.2)", 0xE000ED08, 0x10000000),
        *FPU,
        ("RESET, clearing alias: IO_BANK0, PADS_BANK0, PWM (7.5.3)", 0x40023000, 0x10240),
        ("CH4_DIV: 16 (12.5.3)", 0x400A8054, 0x100),
        ("CH4_TOP", 0x400A8060, 254),
        ("CH4_CC: dark", 0x400A805C, 0),
        ("CH4_CSR: EN", 0x400A8050, 1),
        ("GPIO25_CTRL: PWM 4 B (9.11.1)", 0x400280CC, 4),
        ("GPIO25: no longer isolated, once it has its function (9.7)", 0x40038068, 0x56),
        ("SYST_RVR: 12 MHz / 50 (ARMv8-M, D1.2)", 0xE000E014, 239999),
        ("SYST_CVR", 0xE000E018, 0),
        ("SYST_CSR: core clock, on", 0xE000E010, 5),
        ("XOSC_STARTUP: 1 ms (8.2.8)", 0x4004800C, 47),
        ("XOSC_CTRL: 1 to 15 MHz, on", 0x40048000, 0xFABAA0),
        ("CLK_SYS_CTRL, clearing alias: SRC is clk_ref, AUXSRC as it was (8.1.7)", 0x4001303C, 1),
        ("CLK_REF_CTRL: XOSC", 0x40010030, 2),
        ("CLK_PERI_CTRL: on, from clk_sys", 0x40010048, 0x800),
        ("RESET, clearing alias: UART0, which now has its clock", 0x40023000, 0x4000000),
        ("UARTIBRD: 12 MHz / 16 / 115200 = 6.51 (12.1.7)", 0x40070024, 6),
        ("UARTFBRD: 0.51 * 64", 0x40070028, 33),
        ("UARTLCR_H: 8 bits, FIFO; takes over the divider", 0x4007002C, 0x70),
        ("UARTCR: UARTEN, TXE, RXE", 0x40070030, 0x301),
        ("GPIO0_CTRL: UART0 TX", 0x40028004, 2),
        ("GPIO0: no longer isolated, once it has its function", 0x40038004, 0x56),
        ("GPIO1_CTRL: UART0 RX", 0x4002800C, 2),
        ("GPIO1: no longer isolated", 0x40038008, 0x56),
    ],
}


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize("board", BOARDS)
def test_the_start_writes_what_the_manual_prescribes_in_that_order(build, board, toolchain):
    writes = run(build(board, toolchain).sweep, board).writes
    prescribed = PRESCRIBED[board]
    for (name, *wanted), written in zip(prescribed, writes, strict=False):
        assert written == tuple(wanted), f"{name}: {[hex(number) for number in written]}"
    # What comes next is the first character; the nRF's event is cleared before it.
    rest = [address for address, _ in writes[len(prescribed) :] if address != 0x4000211C]
    assert rest[0] == DATA[board]


@pytest.mark.parametrize("board", CHIPS)
def test_a_uart_that_nobody_has_set_up_prints_nothing(board):
    chip = CHIPS[board]()
    chip.write(DATA[board], ord("x"))
    assert not chip.printed


# Registers without which no character gets out.
NEEDED = {
    "microbit-v1": (0x40000000, 0x40002008, 0x40002500, 0x4000250C, 0x40002524),
    "microbit-v2": (0x40000000, 0x40002008, 0x40002500, 0x4000250C, 0x40002524),
    "nucleo-l476rg": (
        *(0x40021000, 0x40021008, 0x4002104C, 0x40021058, 0x48000000, 0x48000020),
        *(0x40004400, 0x4000440C),
    ),
    "pico": (
        *(0x40024000, 0x40008030, 0x40008048, 0x4000F000, 0x40014004),
        *(0x40034024, 0x40034028, 0x4003402C, 0x40034030),
    ),
    "pico2": (
        *(0x40048000, 0x4001303C, 0x40010030, 0x40010048, 0x40023000, 0x40028004, 0x40038004),
        *(0x40070024, 0x40070028, 0x4007002C, 0x40070030),
    ),
}


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_stays_silent_if_any_of_the_start_is_left_out(board):
    """The emulated registers depend on each other, or the images' answers would prove little."""
    for left_out in (None, *NEEDED[board]):
        chip = CHIPS[board]()
        for _, address, value in PRESCRIBED[board]:
            if address != left_out:
                chip.write(address, value)
        chip.write(DATA[board], ord("x"))
        assert bytes(chip.printed) == (b"" if left_out else b"x"), left_out


@pytest.mark.parametrize("board", ["nucleo-l476rg", "pico", "pico2"])
def test_the_tick_counts_the_clock_of_board_toml(build, board):
    written = dict(run(build(board).sweep, board).writes)
    assert (written[0xE000E014] + 1) * 50 == boards.find(board).clock


def test_the_source_of_a_clock_and_its_auxiliary_source_do_not_change_at_once():
    """An RP2350 starts from the auxiliary one; writing 0 would stop the clock (8.1.3)."""
    for changed, instead, is_heard in (
        (0x4001303C, (0x4001303C, 1), True),
        (0x4001303C, (0x4001003C, 0), False),
        (0x4001303C, (0x4001003C, 0x40), True),
    ):
        chip = CHIPS["pico2"]()
        for _, address, value in PRESCRIBED["pico2"]:
            chip.write(*(instead if address == changed else (address, value)))
        chip.write(DATA["pico2"], ord("x"))
        assert bool(chip.printed) == is_heard


# ---- What the makers' start-up code does for certain revisions


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize(
    "revision, user, says",
    [
        (2, 0xFFFFFF5A, True),  # opens the port
        (3, 0xFFFFFF5A, True),
        (2, 0xFFFFFFFF, False),  # erased: on this revision that locks
        (2, 0xFFFFFF00, False),  # locked on purpose, and nobody unlocks it
        (1, 0xFFFFFF5A, None),  # has no such register
        (0, 0xFFFFFFFF, None),
    ],
)
def test_a_microbit_v2_leaves_its_debug_port_as_uicr_says(build, toolchain, revision, user, says):
    chip = CHIPS["microbit-v2"]()
    chip.registers.update({0x10000134: revision, 0x10001208: user})
    assert not (says and chip.debug_port_is_open())
    machine = emulator.Machine(Elf(build("microbit-v2", toolchain).sweep), chip)
    machine.run(emulator.INSTRUCTION_LIMIT)
    assert machine.finished
    written = [value for address, value in chip.writes if address == 0x40000558]
    assert written == ([] if says is None else [user])
    assert says is None or chip.debug_port_is_open() == says
    assert not any(0x10000000 <= address < 0x10002000 for address, _ in chip.writes)


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_a_microbit_v1_whose_ram_is_off_switches_it_on_before_it_relies_on_it(
    build, expected, toolchain
):
    """Until then RAM forgets what is written to it."""
    chip = CHIPS["microbit-v1"]()
    chip.registers[0x40000524] = 0
    machine = emulator.Machine(Elf(build("microbit-v1", toolchain).sweep), chip)
    write = chip.write

    def forgetful(address, value):
        if address == 0x40000524:
            machine.core.mem_write(chip.ram.start, b"\x99" * chip.ram.size)
        write(address, value)

    chip.write = forgetful
    machine.run(emulator.INSTRUCTION_LIMIT)
    assert answers(machine.console) == expected and chip.registers[0x40000524] == 3


# ---- The LED


@pytest.mark.parametrize("board", ["pico", "pico2", "nucleo-l476rg"])
def test_the_pulse_width_is_the_brightness(build, board):
    result = emulator.run(build(board).wave, board=board)
    assert result.matrix.shape == (0, 5, 5)
    assert result.led.tolist() == [0, *result.inferences.led]  # dark before the first one
    assert len(result.instructions) == INFERENCES


# Which LED, (x, y), a row and a column of the wiring lead to. Source: the schematics.
V1_WIRING = (
    ((0, 0), (2, 0), (4, 0), (4, 3), (3, 3), (2, 3), (1, 3), (0, 3), (1, 2)),
    ((4, 2), (0, 2), (2, 2), (1, 0), (3, 0), (3, 4), (1, 4), None, None),
    ((2, 4), (4, 4), (0, 4), (0, 1), (1, 1), (2, 1), (3, 1), (4, 1), (3, 2)),
)
V2_WIRING = tuple(tuple((x, y) for x in range(5)) for y in range(5))
OUT = {0x50000508: (0, True), 0x5000050C: (0, False), 0x50000808: (1, True), 0x5000080C: (1, False)}


def turns(writes, rows, columns, wiring):
    """What shines whenever a row's pin was switched on: a list of (row, set of (x, y))."""
    level, found = {}, []
    for address, value in writes:
        if address not in OUT:
            continue
        port, is_high = OUT[address]
        pin = (port, value.bit_length() - 1)
        assert value == 1 << pin[1]
        level[pin] = is_high
        if is_high and pin in rows:
            assert [row for row in rows if level[row]] == [pin]  # one at a time
            lit = [number for number, column in enumerate(columns) if not level[column]]
            row = rows.index(pin)
            found.append((row, {wiring[row][number] for number in lit}))
    return found


LEDS = {
    "microbit-v1": (V1_ROWS, V1_COLUMNS, V1_WIRING),
    "microbit-v2": (V2_ROWS, V2_COLUMNS, V2_WIRING),
}


@pytest.mark.parametrize("board", LEDS)
def test_the_wave_runs_over_the_microbits_leds(build, board):
    rows, columns, wiring = LEDS[board]
    chip = run(build(board).wave, board)
    led = [row[2] for row in console.table(chip.printed.decode())[1]]
    found = turns(chip.writes, rows, columns, wiring)
    assert len(found) == 15 * INFERENCES
    levels = [0] * 5
    for tick in range(INFERENCES):
        if tick > 0:
            if tick % 10 == 0:
                levels = [*levels[1:], 0]
            levels[4] = led[tick - 1] * 5 // 256
        during = found[15 * tick : 15 * tick + 15]
        # Each row is on equally often, and together they show a dot in each column.
        assert {row: 15 // len(rows) for row in range(len(rows))} == {
            row: sum(row == other for other, _ in during) for row in range(len(rows))
        }
        dots = set.union(*(lit for _, lit in during))
        assert dots == {(x, 4 - level) for x, level in enumerate(levels)}
    # What the emulator says of it, which notebook 6 draws.
    matrix = emulator.run(build(board).wave, board=board, count=False).matrix
    assert matrix.shape == (INFERENCES, 5, 5) and matrix.dtype == np.float32
    shares = np.zeros_like(matrix)
    for number, (_, lit) in enumerate(found):
        for x, y in lit:
            shares[number // 15, y, x] += 1 / 15
    assert np.allclose(matrix, shares) and matrix.max() == pytest.approx(1 / len(rows))


# ---- The image


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
@pytest.mark.parametrize("board", ["microbit-v1", "pico"])
def test_a_cortex_m0_gets_no_unaligned_access(build, board, toolchain):
    """Unicorn would let it pass; the core would fault (ARMv6-M, A3.2)."""
    machine = emulator.Machine(Elf(build(board, toolchain).sweep), CHIPS[board]())
    unaligned = []

    def look(core, access, address, size, value, data):
        if address % size:
            unaligned.append((hex(address), size, machine.place()))

    unicorn = machine.unicorn
    machine.core.hook_add(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, look)
    machine.run(emulator.INSTRUCTION_LIMIT)
    assert machine.finished and not unaligned


@pytest.mark.parametrize("board", BOARDS)
def test_the_image_fits_and_each_byte_belongs_to_a_part(build, board):
    image = build(board).wave
    taken = firmware.sizes(image)
    chip = CHIPS[board]()
    flash, ram = chip.flash, chip.ram
    assert taken["other"] == 0
    assert 5_000 < firmware.flash_bytes(taken) < 16_000 < flash[1]
    symbols = Elf(image).symbols
    assert symbols["stack_top"] == sum(ram)
    assert symbols["arena_end"] - symbols["arena_start"] > 8_000


def test_the_picos_boot_stage_is_256_bytes_with_the_crc_that_the_boot_rom_wants(build):
    content = b"".join(part for _, part in sorted(Elf(build("pico").wave).segments))
    stage, crc = content[:252], int.from_bytes(content[252:256], "little")
    # The boot ROM's CRC runs from the highest bit, binascii's from the lowest, inverted at the end.
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in stage)
    other = binascii.crc32(mirrored) ^ 0xFFFFFFFF
    assert crc == int(f"{other:032b}"[::-1], 2)
    stack, reset = (int.from_bytes(content[i : i + 4], "little") for i in (256, 260))
    assert stack == 0x20042000 and 0x10000100 < reset < 0x10010000 and reset & 1


def tampered(image, target, position, content):
    """A copy of an image with other bytes at an address."""
    everything = bytearray(Path(image).read_bytes())
    with Path(image).open("rb") as file:
        for segment in ELFFile(file).iter_segments(type="PT_LOAD"):
            offset = position - segment["p_paddr"]
            if 0 <= offset < segment["p_filesz"]:
                start = segment["p_offset"] + offset
                everything[start : start + len(content)] = content
    target.write_bytes(everything)
    return target


def test_a_pico_2_whose_image_definition_is_damaged_does_not_start(build, tmp_path):
    image = build("pico2").sweep
    content = b"".join(part for _, part in sorted(Elf(image).segments))
    words = struct.pack("<5I", 0xFFFFDED3, 0x10210142, 0x000001FF, 0, 0xAB123579)
    place = content.index(words)
    assert place % 4 == 0 and place + len(words) <= 4096
    for offset in range(len(words)):
        wrong = bytes([words[offset] ^ 0x10])
        damaged = tampered(image, tmp_path / "x.elf", 0x10000000 + place + offset, wrong)
        with pytest.raises(WorkshopError, match="finds no image definition"):
            emulator.run(damaged, board="pico2")
        with pytest.raises(WorkshopError, match=r"no image definition of the type 0x1021 in its"):
            images.encoded(Elf(damaged), boards.find("pico2"))


def test_a_boot_stage_with_a_wrong_crc_does_not_start(build, tmp_path):
    image = tampered(build("pico").sweep, tmp_path / "x.elf", 0x10000010, b"\x00")
    with pytest.raises(WorkshopError, match="boot stage's CRC is wrong"):
        emulator.run(image, board="pico")


def test_flash_is_not_there_before_the_boot_stage_has_set_up_the_ssi(build, tmp_path):
    image = build("pico").sweep
    content = bytearray(b"".join(part for _, part in sorted(Elf(image).segments))[:252])
    place = content.index((0x180000F4).to_bytes(4, "little")) + 4
    content[place : place + 4] = (0x0B000218).to_bytes(4, "little")  # another command
    mirrored = bytes(int(f"{byte:08b}"[::-1], 2) for byte in content)
    crc = int(f"{binascii.crc32(mirrored) ^ 0xFFFFFFFF:032b}"[::-1], 2)
    content += crc.to_bytes(4, "little")
    image = tampered(image, tmp_path / "x.elf", 0x10000000, content)
    with pytest.raises(WorkshopError, match="read from 0x10000100, where this board has nothing"):
        emulator.run(image, board="pico")


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_a_fault_is_reported_on_the_console(build, tmp_path, toolchain):
    """On a Cortex-M0, which has one kind of fault for everything."""
    qemu.require("qemu-system-arm")
    image = build("microbit-v1", toolchain).sweep
    (address,) = Elf(image).functions("6engine6InvokeE")
    undefined = (0xDE00).to_bytes(2, "little")
    printed = qemu.run(tampered(image, tmp_path / "x.elf", address, undefined), machine="microbit")
    assert printed.endswith(f"# fault: at {address:08x}\n")


@pytest.mark.parametrize("console_is_up", [False, True])
@pytest.mark.parametrize("board", CHIPS)
def test_a_fault_blinks_and_waits_for_no_console_that_is_not_up(build, board, console_is_up):
    """The fault is one of the bus: at the console's first character, or at the first of its
    registers that is written to."""
    image = build(board).sweep
    machine = emulator.Machine(Elf(image), CHIPS[board]())
    core, arm, chip = machine.core, machine.arm, machine.chip
    data = DATA[board]
    places = (data, data + 3) if console_is_up else (data & ~0xFFF, data | 0xFFF)
    hook = core.hook_add(
        machine.unicorn.UC_HOOK_MEM_WRITE, lambda *_: core.emu_stop(), None, *places
    )
    machine.run(emulator.INSTRUCTION_LIMIT)
    core.hook_del(hook)
    fault = core.reg_read(arm.UC_ARM_REG_PC)
    # What the core does: a frame of eight words, whose seventh is the place, and the handler.
    frame = core.reg_read(arm.UC_ARM_REG_SP) - 32
    core.mem_write(frame, b"".join(word.to_bytes(4, "little") for word in [0] * 6 + [fault, 0]))
    core.reg_write(arm.UC_ARM_REG_SP, frame)
    (handler,) = Elf(image).functions("FaultHandler")
    before = len(chip.writes), bytes(chip.printed), chip.lost
    core.emu_start(handler | 1, 0xFFFFFFFE, count=1_000_000)
    printed = chip.printed[len(before[1]) :].decode()
    assert printed == (f"# fault: at {fault:08x}\n" if console_is_up else "")
    assert chip.lost == before[2]
    if board.startswith("microbit"):
        rows, columns, wiring = LEDS[board]
        shown = [lit for _, lit in turns(chip.writes[before[0] :], rows, columns, wiring)]
        heights = {y for lit in shown for x, y in lit if x == 4}
        assert heights == {0, 4}  # on the right, up and down
    else:
        assert chip.led[-4:] in ([255, 0, 255, 0], [0, 255, 0, 255])
