// Runs the UF2 file of a Pico in rp2040js, an emulator of the RP2040 with its peripherals, and
// prints what comes out of UART 0. Plays the boot ROM's part itself: the emulator has none.
//
//     node rp2040.mjs FOLDER FILE.uf2
//
// FOLDER is the one that has node_modules/rp2040js in it. The exit code is 0 if the program came
// to its end. On stderr: a line of JSON with the UART's baud rate, the instructions executed, and
// the seconds that a board would have taken.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [folder, file] = process.argv.slice(2);
const { RP2040, ConsoleLogger, LogLevel, SimulationClock, Simulator } = createRequire(
  join(folder, 'any.js'),
)('rp2040js');

const FLASH = 0x10000000;
const BOOT_COPY = 0x20041f00;
const MOST_INSTRUCTIONS = 200e6;

function fail(reason) {
  process.stderr.write(`${reason}\n`);
  process.exit(1);
}

// UF2 specification: blocks of 512 bytes with a header of 32.
function load(flash) {
  const content = readFileSync(file);
  const blocks = content.length / 512;
  for (let number = 0; number < blocks; ++number) {
    const word = (offset) => content.readUInt32LE(512 * number + offset);
    const magic = word(0) === 0x0a324655 && word(4) === 0x9e5d5157 && word(508) === 0x0ab16f30;
    const isForRp2040 = (word(8) & 0x2000) !== 0 && word(28) === 0xe48bff56;
    if (!magic || !isForRp2040) fail(`block ${number} is none of a UF2 file for the RP2040`);
    if (word(20) !== number || word(24) !== blocks) fail(`block ${number} has the wrong number`);
    const start = 512 * number + 32;
    flash.set(content.subarray(start, start + word(16)), word(12) - FLASH);
  }
}

// RP2040 datasheet, 2.8.1: the CRC of flash's first 252 bytes, highest bit first.
function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte << 24;
    for (let bit = 0; bit < 8; ++bit) value = (value << 1) ^ (value < 0 ? 0x04c11db7 : 0);
  }
  return value >>> 0;
}

const simulator = new Simulator();
const mcu = simulator.rp2040;
mcu.logger = new ConsoleLogger(LogLevel.Error, true);
load(mcu.flash);

const stage = mcu.flash.subarray(0, 256);
if (crc(stage.subarray(0, 252)) !== mcu.flashView.getUint32(252, true)) {
  fail('the boot ROM finds no boot stage: its CRC is wrong');
}
mcu.sram.set(stage, BOOT_COPY - 0x20000000);
mcu.core.SP = BOOT_COPY;
mcu.core.LR = 0;
mcu.core.PC = BOOT_COPY;

let text = '';
mcu.uart[0].onByte = (value) => (text += String.fromCharCode(value));
mcu.onBreak = (code) => fail(`the program came to a breakpoint, ${code}`);

const nanoseconds = 1e9 / 12e6;
let count = 0;
while (!/^# (end|stopped: .*|fault: .*)\n/m.test(text.slice(-100)) && count++ < MOST_INSTRUCTIONS) {
  simulator.clock.tick(mcu.core.executeInstruction() * nanoseconds);
}
process.stdout.write(text);
const result = { baud: mcu.uart[0].baudRate, instructions: count, seconds: mcu.clock.nanos / 1e9 };
process.stderr.write(`${JSON.stringify(result)}\n`);
process.exit(text.endsWith('# end\n') ? 0 : 1);
