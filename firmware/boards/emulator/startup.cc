// From reset to main() on a Cortex-M4, and what happens when the program goes wrong.
//
// Sources: ARMv7-M Architecture Reference Manual, B1.5 (exceptions, vector table) and B3.2.20
// (coprocessor access).

#include <stdint.h>

#include "app/console.h"
#include "boards/board.h"

int main();

extern "C" {

// From the linker script.
extern uint32_t stack_top[], data_start[], data_end[], data_load[], bss_start[], bss_end[];

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

[[gnu::section(".vectors"), gnu::used]] const VectorTable kVectors = {
    stack_top,
    ResetHandler,
    {FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler,
     FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler, FaultHandler,
     FaultHandler, FaultHandler}};

}  // namespace

extern "C" {

void ResetHandler() {
  // The compiler may use the FPU anywhere, so it is switched on first.
  volatile uint32_t* const coprocessor_access = reinterpret_cast<volatile uint32_t*>(0xe000ed88);
  *coprocessor_access = *coprocessor_access | 0xfu << 20;
  __asm__ volatile("dsb\n isb" ::: "memory");
  const uint32_t* from = data_load;
  for (uint32_t* to = data_start; to < data_end;) *to++ = *from++;
  for (uint32_t* to = bss_start; to < bss_end;) *to++ = 0;
  main();
  board::Stop(0);
}

// The core has pushed r0-r3, r12, lr, pc and xpsr; their address becomes the argument.
[[gnu::naked]] void FaultHandler() {
  __asm__ volatile(
      "mrs r0, msp\n"
      "b ReportFault\n");
}

void ReportFault(const uint32_t* frame) {
  app::Print("# fault: at ");
  app::PrintHexadecimal(frame[6]);
  app::Print("\n");
  board::Stop(2);
}

}  // extern "C"
