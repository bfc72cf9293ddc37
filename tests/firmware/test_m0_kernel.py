"""The kernel for Cortex-M0, called by itself: any layer, any scale, against TFLM's arithmetic."""

import random
import struct

import pytest

from workshop_utils import emulator
from workshop_utils.device.chips import CHIPS
from workshop_utils.device.elf import Elf

RAM, END = 0x20000000, 0x00000100
CASES = 400


def wrap(value):
    """The int32 that has the same 32 bits."""
    return (value + 2**31) % 2**32 - 2**31


def scale(accumulator, value, left, right):
    """TFLM's two roundings, with integers of any length (tests/reference.py's sources)."""
    high = (wrap(accumulator << left) * (value >> 1) + (1 << 30)) >> 31
    if right == 0:
        return high
    magnitude = (abs(high) + (1 << right - 1)) >> right  # halves away from zero
    return magnitude if high >= 0 else -magnitude


def layers():
    """Random layers: per channel or not, with or without bias, scales of any size."""
    source = random.Random(1)
    for number in range(CASES):
        rows, columns = source.choice((1, 3, 4, 5, 7, 8, 16)), source.choice((1, 2, 3, 4, 16, 17))
        per_channel, has_bias = source.random() < 0.5, source.random() < 0.8
        largest = source.choice((10, 2**15, 2**24, 2**31 - 1))
        multipliers = []
        for _ in range(rows if per_channel else 1):
            left = source.choice((0, 0, 0, source.randint(1, 30)))
            right = 0 if left else source.choice((0, 1, source.randint(2, 12), 31, 32, 33, 63))
            value = source.choice((2**31, 2**32 - 2, 2 * source.randint(2**30, 2**31 - 1)))
            multipliers.append((value, left, right))
        yield {
            "rows": rows,
            "columns": columns,
            "weights": [source.randint(-128, 127) for _ in range(rows * columns)],
            "input": [source.randint(-128, 127) for _ in range(columns)],
            "bias": [source.randint(-largest - 1, largest) for _ in range(rows if has_bias else 1)],
            "multipliers": multipliers,
            "offset": source.randint(-127, 128),
            "zero_point": source.randint(-128, 127),
            "bias_at": 0x1000 + (number % 4 if number % 3 == 0 else 0),
        }


def expected(layer):
    columns, found = layer["columns"], []
    for row in range(layer["rows"]):
        weights = layer["weights"][row * columns : (row + 1) * columns]
        pairs = zip(weights, layer["input"], strict=True)
        total = sum(weight * (value + layer["offset"]) for weight, value in pairs)
        bias = layer["bias"][row % len(layer["bias"])]
        multiplier = layer["multipliers"][row % len(layer["multipliers"])]
        code = wrap(scale(wrap(total + bias), *multiplier) + layer["zero_point"])
        found.append(max(-128, min(127, code)))
    return found


@pytest.mark.parametrize("toolchain", ["zig", "gcc"])
def test_any_layer_is_scaled_as_tflm_does(build, toolchain):
    image = Elf(build("microbit-v1", toolchain).sweep)
    (function,) = image.functions("18FullyConnectedInt8")
    machine = emulator.Machine(image, CHIPS["microbit-v1"]())
    core, arm = machine.core, machine.arm
    saved = [getattr(arm, f"UC_ARM_REG_R{number}") for number in range(4, 12)]
    for layer in layers():
        places = {
            "multipliers": 0x800,
            "bias": layer["bias_at"],
            "weights": 0x1801,
            "input": 0x2403,
        }
        offset = (layer["offset"] & 0xFFFF) * 0x10001
        steps = [12 * (len(layer["multipliers"]) > 1), 4 * (len(layer["bias"]) > 1)]
        words = [RAM + places[name] for name in ("weights", "bias", "multipliers")]
        words += [layer["columns"], offset, layer["zero_point"] & 0xFFFFFFFF]
        words += [steps[0], layer["rows"], steps[1]]
        core.mem_write(RAM, struct.pack("<9I", *words))
        core.mem_write(
            RAM + places["weights"], struct.pack(f"{len(layer['weights'])}b", *layer["weights"])
        )
        core.mem_write(RAM + places["input"], struct.pack(f"{layer['columns']}b", *layer["input"]))
        core.mem_write(RAM + places["bias"], struct.pack(f"<{len(layer['bias'])}i", *layer["bias"]))
        for number, multiplier in enumerate(layer["multipliers"]):
            core.mem_write(
                RAM + places["multipliers"] + 12 * number, struct.pack("<3I", *multiplier)
            )
        core.mem_write(RAM + 0x3000, b"\x55" * 32)
        for register, value in enumerate((RAM, RAM + places["input"], RAM + 0x3000)):
            core.reg_write(getattr(arm, f"UC_ARM_REG_R{register}"), value)
        for number, register in enumerate(saved):
            core.reg_write(register, 0x1234 + number)
        core.reg_write(arm.UC_ARM_REG_SP, RAM + 0x4000)
        core.reg_write(arm.UC_ARM_REG_LR, END | 1)
        core.emu_start(function | 1, END)
        output = core.mem_read(RAM + 0x3000, layer["rows"] + 1)
        assert list(struct.unpack(f"{layer['rows']}b", output[:-1])) == expected(layer), layer
        assert output[-1] == 0x55
        # What belongs to the caller is as it was.
        assert [core.reg_read(register) for register in saved] == [0x1234 + i for i in range(8)]
        assert core.reg_read(arm.UC_ARM_REG_SP) == RAM + 0x4000
