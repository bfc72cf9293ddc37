// What a Raspberry Pi Pico (RP2040) and a Pico 2 (RP2350) have in common, which is nearly all: the
// same peripherals at other addresses. Of two cores the second one stays asleep. The console is
// UART0 on pins GP0 (transmit) and GP1 (receive); the LED is on GPIO25.
//
// Clocks: the boot ROM leaves everything on the ring oscillator, whose frequency is a matter of
// luck. Here the board's 12 MHz crystal takes over:
//
//     crystal, XOSC, 12 MHz --> clk_ref --> clk_sys (core, SysTick, PWM) --> clk_peri (UART0)
//
// The PLL would make 125 or 150 MHz of it; an inference takes less than half a millisecond without.
//
// Sources: the board.cc of each board.

#ifndef BOARDS_COMMON_PICO_H_
#define BOARDS_COMMON_PICO_H_

#include <stdint.h>

#include "boards/common/cortex_m.h"

namespace board {

// Chip is a struct with the addresses of its peripherals, kClocks, kResets, kIo, kXosc, kUart and
// kPwm; the bits in RESETS of what the LED needs, kLedInReset, and of the UART, kUartInReset; and
// kIsolatesPads, whether a pin does nothing until its pad is connected, at kPads.

constexpr uint32_t kPicoClockHz = 12000000;
constexpr uint32_t kPicoBaud = 115200;
constexpr uint32_t kClearAlias = 0x3000;  // of a register: writing there clears bits

template <class Chip>
void StartPicoClocks() {
  constexpr uint32_t kOscillatorControl = Chip::kXosc + 0x00;
  constexpr uint32_t kOscillatorStatus = Chip::kXosc + 0x04;
  constexpr uint32_t kOscillatorStartup = Chip::kXosc + 0x0c;
  constexpr uint32_t kRefControl = Chip::kClocks + 0x30;
  constexpr uint32_t kRefSelected = Chip::kClocks + 0x38;
  constexpr uint32_t kSysControl = Chip::kClocks + 0x3c;
  constexpr uint32_t kSysSelected = Chip::kClocks + 0x44;
  constexpr uint32_t kPeriControl = Chip::kClocks + 0x48;
  constexpr uint32_t kFrom1To15Mhz = 0xaa0;
  constexpr uint32_t kOscillatorEnable = 0xfab << 12;
  constexpr uint32_t kStable = 1u << 31;
  constexpr uint32_t kRefFromCrystal = 2;
  constexpr uint32_t kSysSource = 1 << 0;
  constexpr uint32_t kSysFromRef = 0;
  constexpr uint32_t kPeriEnable = 1 << 11;  // with AUXSRC 0: from clk_sys

  // The crystal gets a millisecond to start, counted in 256 of its periods.
  Register(kOscillatorStartup) = (kPicoClockHz / 1000 + 128) / 256;
  Register(kOscillatorControl) = kFrom1To15Mhz | kOscillatorEnable;
  WaitForBits(kOscillatorStatus, kStable);
  // SELECTED has a bit for each source, and only that of the source in use is set. The source of
  // clk_sys is one bit, which goes alone: after reset an RP2350 takes clk_sys from the auxiliary
  // multiplexer, which must not change while it is in use, or the clock may stop.
  Register(kSysControl + kClearAlias) = kSysSource;
  WaitForBits(kSysSelected, 1 << kSysFromRef);
  Register(kRefControl) = kRefFromCrystal;
  WaitForBits(kRefSelected, 1 << kRefFromCrystal);
  Register(kPeriControl) = kPeriEnable;
}

template <class Chip>
void TakePicoOutOfReset(uint32_t peripherals) {
  constexpr uint32_t kDone = Chip::kResets + 0x8;
  Register(Chip::kResets + kClearAlias) = peripherals;
  while ((Register(kDone) & peripherals) != peripherals) {
  }
}

// Gives a pin to a peripheral. Where pads are isolated, they are connected once that is done.
template <class Chip>
void SetPicoFunction(uint32_t pin, uint32_t function) {
  constexpr uint32_t kPad = 1 << 6 | 1 << 4 | 1 << 2 | 1 << 1;  // IE; as reset: 4 mA, PDE, SCHMITT
  Register(Chip::kIo + 8 * pin + 4) = function;
  if constexpr (Chip::kIsolatesPads) Register(Chip::kPads + 4 * pin + 4) = kPad;
}

// UART0 is Arm's PL011.
template <class Chip>
void StartPicoConsole() {
  constexpr uint32_t kDivider = Chip::kUart + 0x24;       // UARTIBRD
  constexpr uint32_t kDivider64ths = Chip::kUart + 0x28;  // UARTFBRD
  constexpr uint32_t kLineControl = Chip::kUart + 0x2c;   // UARTLCR_H
  constexpr uint32_t kControl = Chip::kUart + 0x30;       // UARTCR
  constexpr uint32_t kEightBits = 3 << 5;
  constexpr uint32_t kFifo = 1 << 4;
  constexpr uint32_t kEnable = 1 << 0;
  constexpr uint32_t kTransmitEnable = 1 << 8;
  constexpr uint32_t kReceiveEnable = 1 << 9;
  constexpr uint32_t kFunctionUart = 2;

  // Clock / (16 * baud) in 64ths, rounded. Writing the line control register makes the dividers
  // take effect.
  constexpr uint32_t kDivision = (kPicoClockHz * 4 + kPicoBaud / 2) / kPicoBaud;
  Register(kDivider) = kDivision / 64;
  Register(kDivider64ths) = kDivision % 64;
  Register(kLineControl) = kEightBits | kFifo;
  Register(kControl) = kEnable | kTransmitEnable | kReceiveEnable;
  SetPicoFunction<Chip>(0, kFunctionUart);
  SetPicoFunction<Chip>(1, kFunctionUart);
}

// GPIO25 is output B of slice 4. On while the slice's counter, 0 to 254, is below the brightness;
// output B is the upper half of the register.
template <class Chip>
void SetPicoLed(uint8_t brightness) {
  Register(Chip::kPwm + 0x5c) = static_cast<uint32_t>(brightness) << 16;  // CH4_CC
}

// 12 MHz / 16 / 255: the LED goes on and off 2,900 times a second.
template <class Chip>
void StartPicoLed() {
  constexpr uint32_t kSlice = Chip::kPwm + 0x50;
  constexpr uint32_t kEnable = 1 << 0;
  constexpr uint32_t kLedPin = 25;
  constexpr uint32_t kFunctionPwm = 4;

  Register(kSlice + 0x04) = 16 << 4;  // DIV
  Register(kSlice + 0x10) = 254;      // TOP
  SetPicoLed<Chip>(0);
  Register(kSlice + 0x00) = kEnable;  // CSR
  SetPicoFunction<Chip>(kLedPin, kFunctionPwm);
}

template <class Chip>
void StartPico() {
  TakePicoOutOfReset<Chip>(Chip::kLedInReset);
  StartPicoLed<Chip>();
  StartSysTick(kPicoClockHz);
  StartPicoClocks<Chip>();
  TakePicoOutOfReset<Chip>(Chip::kUartInReset);  // which is not done before its clock is there
  StartPicoConsole<Chip>();
  console_is_ready = true;
}

template <class Chip>
void WritePico(char character) {
  constexpr uint32_t kData = Chip::kUart + 0x00;   // UARTDR
  constexpr uint32_t kFlags = Chip::kUart + 0x18;  // UARTFR
  constexpr uint32_t kTransmitterFull = 1 << 5;
  while ((Register(kFlags) & kTransmitterFull) != 0) {
  }
  Register(kData) = static_cast<uint8_t>(character);
}

}  // namespace board

#endif  // BOARDS_COMMON_PICO_H_
