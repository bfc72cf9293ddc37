// BBC micro:bit: v1 with an nRF51822 (Cortex-M0), v2 with an nRF52833 (Cortex-M4 with FPU). The
// registers used here are the same in both chips. The console is UART 0, which the interface chip
// on the board passes on to USB. On the 5 x 5 LEDs the wave runs from right to left.
//
// Clocks: the core runs from an RC oscillator after reset, at 16 MHz (v1) or 64 MHz (v2). That is a
// per cent or more off, too much for a UART that has its own error, so the crystal is started; the
// chip switches over by itself. UART and TIMER0 take 16 MHz from it in both versions.
//
// Sources: nRF51 Series Reference Manual v3.0, chapters 13 (CLOCK), 14 (GPIO), 18 (TIMER) and 29
// (UART); nRF52833 Product Specification v1.5, 5.4 (CLOCK), 6.8 (GPIO), 6.28 (TIMER) and the
// registers of UART, which it calls deprecated and has kept.

#include "boards/common/microbit.h"

#include "boards/board.h"
#include "boards/common/cortex_m.h"

namespace board {
namespace {

constexpr uint32_t kClock = 0x40000000;
constexpr uint32_t kStartCrystal = kClock + 0x000;    // TASKS_HFCLKSTART
constexpr uint32_t kCrystalStarted = kClock + 0x100;  // EVENTS_HFCLKSTARTED

constexpr uint32_t kUart = 0x40002000;
constexpr uint32_t kStartTransmitter = kUart + 0x008;  // TASKS_STARTTX
constexpr uint32_t kTransmitted = kUart + 0x11c;       // EVENTS_TXDRDY
constexpr uint32_t kUartEnable = kUart + 0x500;
constexpr uint32_t kUartTransmitPin = kUart + 0x50c;  // PSELTXD, PSEL.TXD
constexpr uint32_t kUartData = kUart + 0x51c;         // TXD
constexpr uint32_t kUartBaudRate = kUart + 0x524;
constexpr uint32_t kUartEnabled = 4;
constexpr uint32_t kBaud115200 = 0x01d7e000;

constexpr uint32_t kTimer = 0x40008000;            // TIMER0
constexpr uint32_t kTimerStart = kTimer + 0x000;   // TASKS_START
constexpr uint32_t kTimerPassed = kTimer + 0x140;  // EVENTS_COMPARE[0]
constexpr uint32_t kTimerShorts = kTimer + 0x200;
constexpr uint32_t kTimerBits = kTimer + 0x508;  // BITMODE; 0 after reset: 16
constexpr uint32_t kTimerPrescaler = kTimer + 0x510;
constexpr uint32_t kTimerCompare = kTimer + 0x540;  // CC[0]
constexpr uint32_t kClearAtCompare = 1 << 0;        // SHORTS: COMPARE0_CLEAR
constexpr uint32_t kSixteenBits = 0;
constexpr uint32_t kOneMegahertz = 4;  // 16 MHz / 2^4

constexpr uint32_t kPort = 0x50000000;
constexpr uint32_t kPortStep = 0x300;  // P1 of the nRF52833
constexpr uint32_t kOutSet = 0x508;
constexpr uint32_t kOutClear = 0x50c;
constexpr uint32_t kDirectionSet = 0x518;  // DIRSET: to output

// The rows take turns. 15 turns are five for each of three rows, and three for each of five.
constexpr uint32_t kTurnsPerTick = 15;
constexpr uint32_t kMicrosecondsPerTurn = 1000000 / (kTickHz * kTurnsPerTick);

constexpr uint32_t kTicksPerStep = 10;  // of the wave to the left: half a turn of it is visible

uint8_t levels[kSide];  // the wave, from left to right; 0 is the lowest LED
uint32_t ticks_of_step;

void WritePin(uint32_t pin, uint32_t which) {
  Register(kPort + kPortStep * (pin / 32) + which) = 1u << pin % 32;
}

void WriteRows(uint32_t which) {
  for (uint32_t row = 0; row < kMatrix.rows; ++row) WritePin(kMatrix.row_pins[row], which);
}

void WriteColumns(uint32_t which) {
  for (uint32_t i = 0; i < kMatrix.columns; ++i) WritePin(kMatrix.column_pins[i], which);
}

void ShowRow(uint32_t row) {
  WriteRows(kOutClear);
  WriteColumns(kOutSet);
  for (uint32_t x = 0; x < kSide; ++x) {
    const uint32_t place = kMatrix.wiring[kSide - 1 - levels[x]][x];
    if (place / 16 == row) WritePin(kMatrix.column_pins[place % 16], kOutClear);
  }
  WritePin(kMatrix.row_pins[row], kOutSet);
}

}  // namespace

void Init() {
  WriteRows(kOutClear);
  WriteRows(kDirectionSet);
  WriteColumns(kOutSet);
  WriteColumns(kDirectionSet);

  Register(kTimerBits) = kSixteenBits;
  Register(kTimerPrescaler) = kOneMegahertz;
  Register(kTimerCompare) = kMicrosecondsPerTurn;
  Register(kTimerShorts) = kClearAtCompare;
  Register(kTimerStart) = 1;

  Register(kCrystalStarted) = 0;
  Register(kStartCrystal) = 1;
  WaitForBits(kCrystalStarted, 1);

  // The UART takes the pin over; high is the line at rest.
  WritePin(kTransmitPin, kOutSet);
  WritePin(kTransmitPin, kDirectionSet);
  Register(kUartTransmitPin) = kTransmitPin;
  Register(kUartBaudRate) = kBaud115200;
  Register(kUartEnable) = kUartEnabled;
  Register(kStartTransmitter) = 1;
  console_is_ready = true;
}

void Write(char character) {
  Register(kTransmitted) = 0;
  Register(kUartData) = static_cast<uint8_t>(character);
  WaitForBits(kTransmitted, 1);
}

// The brightness is the height of the newest dot, on the right.
void SetLed(uint8_t brightness) {
  if (++ticks_of_step == kTicksPerStep) {
    ticks_of_step = 0;
    for (uint32_t x = 1; x < kSide; ++x) levels[x - 1] = levels[x];
  }
  levels[kSide - 1] = static_cast<uint8_t>(brightness * kSide / 256);
}

// Shows the wave in the meantime. The nRF51822 has no SysTick, so TIMER0 counts. Between two calls
// the LEDs are dark, lest one row be brighter than the others.
void WaitForTick() {
  for (uint32_t turn = 0; turn < kTurnsPerTick; ++turn) {
    ShowRow(turn % kMatrix.rows);
    WaitForBits(kTimerPassed, 1);
    Register(kTimerPassed) = 0;
  }
  WriteRows(kOutClear);
}

}  // namespace board
