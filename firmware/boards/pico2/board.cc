// Raspberry Pi Pico 2: an RP2350, here with its Cortex-M33; it has two of them, and two RISC-V
// cores that stay asleep.
//
// No boot stage is needed: the boot ROM itself makes the flash appear at 0x10000000, and starts
// what has an image definition, a block of five words, in its first 4 KB. The block names no entry
// point, so the image begins with its vector table.
//
// Source: RP2350 datasheet, 5.9.3 and 5.9.5 (image definition), 7.5.3 (resets), 8.1.7 (clocks),
// 8.2.8 (crystal oscillator), 9.7 and 9.11 (IO bank 0, pads and their isolation), 12.1.8 (UART),
// 12.5.3 (PWM), 2.1.3 (a register's alias at +0x3000 clears bits).

#include "boards/board.h"

#include "boards/common/pico.h"

namespace board {
namespace {

struct Rp2350 {
  static constexpr uint32_t kClocks = 0x40010000;
  static constexpr uint32_t kResets = 0x40020000;
  static constexpr uint32_t kIo = 0x40028000;
  static constexpr uint32_t kPads = 0x40038000;
  static constexpr uint32_t kXosc = 0x40048000;
  static constexpr uint32_t kUart = 0x40070000;
  static constexpr uint32_t kPwm = 0x400a8000;
  static constexpr uint32_t kLedInReset = 1 << 6 | 1 << 9 | 1 << 16;  // IO_BANK0, PADS_BANK0, PWM
  static constexpr uint32_t kUartInReset = 1 << 26;
  static constexpr bool kIsolatesPads = true;
};

constexpr uint32_t kExecutable = 1 << 0;
constexpr uint32_t kSecure = 2 << 4;
constexpr uint32_t kArm = 0 << 8;
constexpr uint32_t kRp2350 = 1 << 12;

[[gnu::section(".image_definition"), gnu::used]] const uint32_t kImageDefinition[] = {
    0xffffded3,                                                      // here it begins
    (kExecutable | kSecure | kArm | kRp2350) << 16 | 1 << 8 | 0x42,  // IMAGE_TYPE, of one word
    1 << 8 | 0xff,                                                   // LAST, after one word
    0,                                                               // no other block
    0xab123579,                                                      // here it ends
};

constexpr uint32_t kVectorTableOffset = 0xe000ed08;  // VTOR
constexpr uint32_t kFlash = 0x10000000;

}  // namespace

// The boot ROM does so too; a debugger that starts the program does not.
void PrepareChip() { Register(kVectorTableOffset) = kFlash; }

void Init() { StartPico<Rp2350>(); }

void Write(char character) { WritePico<Rp2350>(character); }

void SetLed(uint8_t brightness) { SetPicoLed<Rp2350>(brightness); }

void WaitForTick() { WaitForSysTick(); }

}  // namespace board
