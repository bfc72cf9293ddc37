// Raspberry Pi Pico: an RP2040, of whose two Cortex-M0+ the second one stays asleep. The console is
// UART0 on pins GP0 (transmit) and GP1 (receive); the LED is on GPIO25.
//
// Clocks: the boot ROM leaves everything on the ring oscillator, whose frequency is a matter of
// luck. Here the board's 12 MHz crystal takes over:
//
//     crystal, XOSC, 12 MHz --> clk_ref --> clk_sys (core, SysTick, PWM) --> clk_peri (UART0)
//
// The PLL would make 125 MHz of it; an inference takes about half a millisecond without.
//
// Source: RP2040 datasheet, 2.14.3 (resets), 2.15.7 (clocks), 2.16.7 (crystal oscillator), 2.19.6
// (IO bank 0), 4.2.8 (UART), 4.5.3 (PWM); 2.1.2 (a register's alias at +0x3000 clears bits).
// Sections are those of the edition of 2025; older ones count chapter 2 differently.

#include "boards/board.h"

#include "boards/common/cortex_m.h"

namespace {

using board::Register;

constexpr uint32_t kClockHz = 12000000;
constexpr uint32_t kBaud = 115200;

constexpr uint32_t kClearAlias = 0x3000;

// Crystal oscillator
constexpr uint32_t kXosc = 0x40024000;
constexpr uint32_t kXoscCtrl = kXosc + 0x00;
constexpr uint32_t kXoscStatus = kXosc + 0x04;
constexpr uint32_t kXoscStartup = kXosc + 0x0c;
constexpr uint32_t kXosc1To15Mhz = 0xaa0;
constexpr uint32_t kXoscEnable = 0xfab << 12;
constexpr uint32_t kXoscStable = 1u << 31;

// Clocks
constexpr uint32_t kClocks = 0x40008000;
constexpr uint32_t kClkRefCtrl = kClocks + 0x30;
constexpr uint32_t kClkRefSelected = kClocks + 0x38;
constexpr uint32_t kClkSysCtrl = kClocks + 0x3c;
constexpr uint32_t kClkSysSelected = kClocks + 0x44;
constexpr uint32_t kClkPeriCtrl = kClocks + 0x48;
constexpr uint32_t kRefFromXosc = 2;
constexpr uint32_t kSysFromRef = 0;
constexpr uint32_t kPeriEnable = 1 << 11;  // with AUXSRC 0: from clk_sys

// Resets
constexpr uint32_t kResets = 0x4000c000;
constexpr uint32_t kReset = kResets + 0x0;
constexpr uint32_t kResetDone = kResets + 0x8;
constexpr uint32_t kIoBank0 = 1 << 5;
constexpr uint32_t kPadsBank0 = 1 << 8;
constexpr uint32_t kPwm = 1 << 14;
constexpr uint32_t kUart0 = 1 << 22;

// IO bank 0: which peripheral has a pin.
constexpr uint32_t kIo = 0x40014000;
constexpr uint32_t kGpio0Ctrl = kIo + 0x004;
constexpr uint32_t kGpio1Ctrl = kIo + 0x00c;
constexpr uint32_t kGpio25Ctrl = kIo + 0x0cc;
constexpr uint32_t kFunctionUart = 2;
constexpr uint32_t kFunctionPwm = 4;

// UART0, Arm's PL011
constexpr uint32_t kUart = 0x40034000;
constexpr uint32_t kUartData = kUart + 0x00;          // UARTDR
constexpr uint32_t kUartFlags = kUart + 0x18;         // UARTFR
constexpr uint32_t kUartDivider = kUart + 0x24;       // UARTIBRD
constexpr uint32_t kUartDivider64ths = kUart + 0x28;  // UARTFBRD
constexpr uint32_t kUartLineControl = kUart + 0x2c;   // UARTLCR_H
constexpr uint32_t kUartControl = kUart + 0x30;       // UARTCR
constexpr uint32_t kTransmitterFull = 1 << 5;
constexpr uint32_t kEightBits = 3 << 5;
constexpr uint32_t kFifo = 1 << 4;
constexpr uint32_t kUartEnable = 1 << 0;
constexpr uint32_t kTransmitEnable = 1 << 8;
constexpr uint32_t kReceiveEnable = 1 << 9;

// PWM: GPIO25 is output B of slice 4.
constexpr uint32_t kSlice4 = 0x40050000 + 0x50;
constexpr uint32_t kPwmCsr = kSlice4 + 0x00;
constexpr uint32_t kPwmDiv = kSlice4 + 0x04;
constexpr uint32_t kPwmCc = kSlice4 + 0x0c;
constexpr uint32_t kPwmTop = kSlice4 + 0x10;
constexpr uint32_t kPwmEnable = 1 << 0;

void StartClocks() {
  // The crystal gets a millisecond to start, counted in 256 of its periods.
  Register(kXoscStartup) = (kClockHz / 1000 + 128) / 256;
  Register(kXoscCtrl) = kXosc1To15Mhz | kXoscEnable;
  board::WaitForBits(kXoscStatus, kXoscStable);
  // SELECTED has a bit for each source, and only that of the source in use is set.
  Register(kClkSysCtrl) = kSysFromRef;
  board::WaitForBits(kClkSysSelected, 1 << kSysFromRef);
  Register(kClkRefCtrl) = kRefFromXosc;
  board::WaitForBits(kClkRefSelected, 1 << kRefFromXosc);
  Register(kClkPeriCtrl) = kPeriEnable;
}

void TakeOutOfReset(uint32_t peripherals) {
  Register(kReset + kClearAlias) = peripherals;
  while ((Register(kResetDone) & peripherals) != peripherals) {
  }
}

void StartConsole() {
  // Clock / (16 * baud) in 64ths, rounded. Writing the line control register
  // makes the dividers take effect.
  constexpr uint32_t kDivider = (kClockHz * 4 + kBaud / 2) / kBaud;
  Register(kUartDivider) = kDivider / 64;
  Register(kUartDivider64ths) = kDivider % 64;
  Register(kUartLineControl) = kEightBits | kFifo;
  Register(kUartControl) = kUartEnable | kTransmitEnable | kReceiveEnable;
  Register(kGpio0Ctrl) = kFunctionUart;
  Register(kGpio1Ctrl) = kFunctionUart;
}

// 12 MHz / 16 / 255: the LED goes on and off 2,900 times a second.
void StartLed() {
  Register(kPwmDiv) = 16 << 4;
  Register(kPwmTop) = 254;
  Register(kPwmCc) = 0;
  Register(kPwmCsr) = kPwmEnable;
  Register(kGpio25Ctrl) = kFunctionPwm;
}

}  // namespace

namespace board {

void Init() {
  TakeOutOfReset(kIoBank0 | kPadsBank0 | kPwm);
  StartLed();
  StartSysTick(kClockHz);
  StartClocks();
  TakeOutOfReset(kUart0);  // which is not done before its clock is there
  StartConsole();
  console_is_ready = true;
}

void Write(char character) {
  while ((Register(kUartFlags) & kTransmitterFull) != 0) {
  }
  Register(kUartData) = static_cast<uint8_t>(character);
}

// On while the counter, 0 to 254, is below this. Output B is the upper half of the register.
void SetLed(uint8_t brightness) { Register(kPwmCc) = static_cast<uint32_t>(brightness) << 16; }

void WaitForTick() { WaitForSysTick(); }

}  // namespace board
