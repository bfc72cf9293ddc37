// From reset to main() on any Cortex-M, what happens when the program goes wrong, and the two
// functions of board.h that are the same on every board with one LED or more.
//
// Sources: ARMv7-M Architecture Reference Manual, B1.5 (exceptions, vector table) and B3.2.20
// (coprocessor access); ARMv6-M Architecture Reference Manual, B1.5.

#include "app/console.h"
#include "boards/board.h"
#include "boards/common/cortex_m.h"

int main();

extern "C" {

// From the linker script.
extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];
extern uint8_t arena_start[], arena_end[];

[[noreturn]] void ResetHandler();
[[noreturn]] void FaultHandler();
[[noreturn, gnu::used]] void ReportFault(const uint32_t* frame);
}

namespace {

using Handler = void (*)();

struct VectorTable {
  const void* initial_stack;
  Handler reset;
  Handler exceptions[14];  // NMI to SysTick; all mean that something went wrong
};

// Interrupts stay off, so the table ends where theirs would begin.
[[gnu::section(".vectors"), gnu::used]] const VectorTable kVectors = {
    stack_top,
    ResetHandler,
    {FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler,
     FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler,
     FaultHandler, FaultHandler}};

}  // namespace

extern "C" {

void ResetHandler() {
#if defined(BOARD_PREPARES_CHIP)
  board::PrepareChip();
#endif
  board::console_is_ready = false;  // before anything can fail; RAM may hold what was before
#if defined(__ARM_FP)
  // The compiler may use the FPU anywhere, so it is switched on first: CPACR, CP10 and CP11.
  board::Register(0xe000ed88) = board::Register(0xe000ed88) | 0xfu << 20;
  __asm__ volatile("dsb\n isb" ::: "memory");
#endif
  const uint32_t* from = data_load;
  for (uint32_t* to = data_start; to < data_end;) *to++ = *from++;
  for (uint32_t* to = bss_start; to < bss_end;) *to++ = 0;
  main();
  board::Stop(0);
}

// The core has pushed r0-r3, r12, lr, pc and xpsr; their address becomes the argument. It is a
// call because ARMv6-M's plain branch does not reach far; nothing returns here.
[[gnu::naked]] void FaultHandler() {
  __asm__ volatile(
      "mrs r0, msp\n"
      "bl ReportFault\n");
}

void ReportFault(const uint32_t* frame) {
  if (board::console_is_ready) {
    app::Print("# fault: at ");
    app::PrintHexadecimal(frame[6]);
    app::Print("\n");
  }
  board::Stop(2);
}

}  // extern "C"

namespace board {

bool console_is_ready;

uint8_t* Arena(size_t* length) {
  *length = static_cast<size_t>(arena_end - arena_start);
  return arena_start;
}

void Stop(int exit_code) {
  // After a failure the LED blinks, half a second on, half a second off, for ever.
  for (uint8_t brightness = 255;; brightness = static_cast<uint8_t>(~brightness)) {
    if (exit_code != 0) SetLed(brightness);
    for (uint32_t tick = 0; tick < kTickHz / 2; ++tick) WaitForTick();
  }
}

}  // namespace board
