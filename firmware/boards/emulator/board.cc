// Arm MPS2 with the AN386 image: a Cortex-M4 with its FPU at 25 MHz. Unicorn and QEMU both play it.
//
// Sources: Arm Application Note 386, memory map and clocks; Cortex-M System Design Kit Technical
// Reference Manual, APB UART; MPS2 Technical Reference Manual, serial communication controller;
// ARMv7-M Architecture Reference Manual, B3.2 and B3.3 (system control, SysTick).

#include "boards/board.h"

#include "boards/common/cortex_m.h"

namespace {

constexpr uint32_t kClockHz = 25000000;
constexpr uint32_t kBaud = 115200;
constexpr uint32_t kTicks = 1000;  // a second: nobody's eyes have to follow

// CMSDK APB UART 0
constexpr uint32_t kUart = 0x40004000;
constexpr uint32_t kUartData = kUart + 0x00;
constexpr uint32_t kUartState = kUart + 0x04;
constexpr uint32_t kUartControl = kUart + 0x08;
constexpr uint32_t kUartBaudDivider = kUart + 0x10;
constexpr uint32_t kUartTransmitterFull = 1 << 0;
constexpr uint32_t kUartTransmitterEnable = 1 << 0;

// Serial communication controller: bits 7 to 0 of CFG_REG1 are the board's eight user LEDs. Here
// they show the brightness as a number; a board with one LED dims that instead.
constexpr uint32_t kLeds = 0x4002f004;

}  // namespace

namespace board {

void Init() {
  StartSysTick(kClockHz, kTicks);
  Register(kUartBaudDivider) = kClockHz / kBaud;
  Register(kUartControl) = kUartTransmitterEnable;
  console_is_ready = true;
}

void Write(char character) {
  while ((Register(kUartState) & kUartTransmitterFull) != 0) {
  }
  Register(kUartData) = static_cast<uint8_t>(character);
}

void SetLed(uint8_t brightness) { Register(kLeds) = brightness; }

void WaitForTick() { WaitForSysTick(); }

}  // namespace board
