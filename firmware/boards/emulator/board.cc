// Arm MPS2 with the AN386 image: a Cortex-M4 with its FPU at 25 MHz. Unicorn and QEMU both play it.
//
// Sources: Arm Application Note 386, memory map and clocks; Cortex-M System Design Kit Technical
// Reference Manual, APB UART; MPS2 Technical Reference Manual, serial communication controller;
// ARMv7-M Architecture Reference Manual, B3.2 and B3.3 (system control, SysTick).

#include "boards/board.h"

namespace {

constexpr uint32_t kClockHz = 25000000;
constexpr uint32_t kBaud = 115200;
constexpr uint32_t kTickHz = 1000;

volatile uint32_t& Register(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

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

// SysTick
constexpr uint32_t kSysTickControl = 0xe000e010;
constexpr uint32_t kSysTickReload = 0xe000e014;
constexpr uint32_t kSysTickValue = 0xe000e018;
constexpr uint32_t kSysTickCoreClock = 1 << 2;
constexpr uint32_t kSysTickEnable = 1 << 0;
constexpr uint32_t kSysTickReached = 1 << 16;

extern "C" uint8_t arena_start[], arena_end[];  // from the linker script

}  // namespace

namespace board {

void Init() {
  Register(kUartBaudDivider) = kClockHz / kBaud;
  Register(kUartControl) = kUartTransmitterEnable;
  Register(kSysTickReload) = kClockHz / kTickHz - 1;
  Register(kSysTickValue) = 0;
  Register(kSysTickControl) = kSysTickCoreClock | kSysTickEnable;
}

void Write(char character) {
  while ((Register(kUartState) & kUartTransmitterFull) != 0) {
  }
  Register(kUartData) = static_cast<uint8_t>(character);
}

void SetLed(uint8_t brightness) { Register(kLeds) = brightness; }

void WaitForTick() {
  while ((Register(kSysTickControl) & kSysTickReached) == 0) {
  }
}

uint8_t* Arena(size_t* length) {
  *length = static_cast<size_t>(arena_end - arena_start);
  return arena_start;
}

void Stop(int exit_code) {
  // After a failure: half of the LEDs, then the other half, for ever.
  for (uint8_t pattern = 0x0f;; pattern = static_cast<uint8_t>(~pattern)) {
    if (exit_code != 0) SetLed(pattern);
    for (uint32_t tick = 0; tick < kTickHz / 2; ++tick) WaitForTick();
  }
}

}  // namespace board
