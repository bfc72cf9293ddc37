// What boards with a Cortex-M have in common: registers at addresses, and the core's own timer.

#ifndef BOARDS_COMMON_CORTEX_M_H_
#define BOARDS_COMMON_CORTEX_M_H_

#include <stdint.h>

namespace board {

// Inferences per second. With 100 for one turn of the sine, a turn takes two seconds: fast enough
// to see that something moves, slow enough to see what.
constexpr uint32_t kTickHz = 50;

// Whether Write() can be called: Init() sets it where the console is ready. Before that, the
// console would be waited for in vain. The LED and the ticks are started first, so that a fault on
// the way can be seen.
extern bool console_is_ready;

inline volatile uint32_t& Register(uint32_t address) {
  return *reinterpret_cast<volatile uint32_t*>(address);
}

// Waits until at least one of the bits is set; for "ready" flags.
inline void WaitForBits(uint32_t address, uint32_t bits) {
  while ((Register(address) & bits) == 0) {
  }
}

// SysTick, a down-counter of 24 bits. ARMv6-M Architecture Reference Manual, B3.3; ARMv7-M, B3.3.
constexpr uint32_t kSysTickControl = 0xe000e010;  // SYST_CSR
constexpr uint32_t kSysTickReload = 0xe000e014;   // SYST_RVR
constexpr uint32_t kSysTickValue = 0xe000e018;    // SYST_CVR; writing clears it
constexpr uint32_t kSysTickEnable = 1 << 0;
constexpr uint32_t kSysTickCoreClock = 1 << 2;
constexpr uint32_t kSysTickReached = 1 << 16;  // reached zero since the last look

// clock_hz: of the core; at most 800 MHz, or the counter is too short.
inline void StartSysTick(uint32_t clock_hz, uint32_t tick_hz = kTickHz) {
  Register(kSysTickReload) = clock_hz / tick_hz - 1;
  Register(kSysTickValue) = 0;
  Register(kSysTickControl) = kSysTickCoreClock | kSysTickEnable;
}

// Waits until it has reached zero once more.
inline void WaitForSysTick() { WaitForBits(kSysTickControl, kSysTickReached); }

}  // namespace board

#endif  // BOARDS_COMMON_CORTEX_M_H_
