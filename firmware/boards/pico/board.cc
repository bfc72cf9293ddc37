// Raspberry Pi Pico: an RP2040, with two Cortex-M0+.
//
// Source: RP2040 datasheet, 2.14.3 (resets), 2.15.7 (clocks), 2.16.7 (crystal oscillator), 2.19.6
// (IO bank 0), 4.2.8 (UART), 4.5.3 (PWM); 2.1.2 (a register's alias at +0x3000 clears bits).
// Sections are those of the edition of 2025; older ones count chapter 2 differently.

#include "boards/board.h"

#include "boards/common/pico.h"

namespace board {
namespace {

struct Rp2040 {
  static constexpr uint32_t kClocks = 0x40008000;
  static constexpr uint32_t kResets = 0x4000c000;
  static constexpr uint32_t kIo = 0x40014000;
  static constexpr uint32_t kXosc = 0x40024000;
  static constexpr uint32_t kUart = 0x40034000;
  static constexpr uint32_t kPwm = 0x40050000;
  static constexpr uint32_t kLedInReset = 1 << 5 | 1 << 8 | 1 << 14;  // IO_BANK0, PADS_BANK0, PWM
  static constexpr uint32_t kUartInReset = 1 << 22;
  static constexpr bool kIsolatesPads = false;
};

}  // namespace

void Init() { StartPico<Rp2040>(); }

void Write(char character) { WritePico<Rp2040>(character); }

void SetLed(uint8_t brightness) { SetPicoLed<Rp2040>(brightness); }

void WaitForTick() { WaitForSysTick(); }

}  // namespace board
