// Fully connected layers in int8 for ARMv6-M: Cortex-M0 and Cortex-M0+. Four rows at a time; those
// that are left, three at most, go the plain way.

#include "engine/compact/kernels/fully_connected_rows.h"

namespace engine {
namespace {

// Most instructions see eight registers only. Four rows at a time share the loads of the inputs.
// `fours` counts such groups of rows, from the first row on; the biases must be aligned to 4 bytes.
//
//   r0, r3, r4, r5  where the four rows of weights end, r1 where the inputs do
//   r2   from -columns up to zero
//   r8-r11  the sums, since ADD and MOV see these registers too
//   r12  what is added to each input
//   sp   the layer's first nine words, with the output in place of `rows`; input; fours
//
// The scaling, sum * q / 2^31 with a Q31 number q, takes the upper word of sum * 2 * q, a product
// of 64 bits, rounded. It is put together from four products of halves (Knuth, The Art of Computer
// Programming, 4.3.1, algorithm M):
//
//   r7   rows to go, r8 their multipliers, r10 the step of these, lr output
//   r9   output zero point
//   r11  0x8000, half of what is cut off
//
// ASRS and ADCS round as cortex_m4.cc says. A result that is not the sign extension of its lowest
// byte is clipped: 127, inverted if it is negative.
[[gnu::naked]] void MultiplyAndScaleFours(const Layer&, const int8_t*, int8_t*, uint32_t) {
  // clang-format off
  __asm__ volatile(
      ".syntax unified\n"
      "push {r4-r7, lr}\n"
      "mov r4, r8\n"
      "mov r5, r9\n"
      "mov r6, r10\n"
      "mov r7, r11\n"
      "push {r4-r7}\n"
      "sub sp, #44\n"
      "str r1, [sp, #36]\n"
      "str r3, [sp, #40]\n"
      "mov r1, sp\n"
      "ldmia r0!, {r3-r7}\n"
      "stmia r1!, {r3-r7}\n"
      "sxth r7, r7\n"
      "mov r12, r7\n"
      "ldmia r0!, {r4-r7}\n"
      "stmia r1!, {r4-r7}\n"
      "str r2, [sp, #28]\n"

      "1:\n"  // the next four rows
      "ldr r0, [sp, #4]\n"
      "ldr r1, [sp, #32]\n"
      "ldr r2, [r0]\n"
      "mov r8, r2\n"
      "ldr r2, [r0, r1]\n"
      "mov r9, r2\n"
      "adds r0, r0, r1\n"
      "adds r0, r0, r1\n"
      "ldr r2, [r0]\n"
      "mov r10, r2\n"
      "ldr r2, [r0, r1]\n"
      "mov r11, r2\n"
      "adds r0, r0, r1\n"
      "adds r0, r0, r1\n"
      "str r0, [sp, #4]\n"
      "ldr r2, [sp, #12]\n"
      "ldr r0, [sp]\n"
      "adds r0, r0, r2\n"
      "adds r3, r0, r2\n"
      "adds r4, r3, r2\n"
      "adds r5, r4, r2\n"
      "str r5, [sp]\n"
      "ldr r1, [sp, #36]\n"
      "adds r1, r1, r2\n"
      "rsbs r2, r2, #0\n"

      "2:\n"  // one column
      "ldrsb r6, [r1, r2]\n"
      "add r6, r12\n"
      "ldrsb r7, [r0, r2]\n"
      "muls r7, r6, r7\n"
      "add r8, r7\n"
      "ldrsb r7, [r3, r2]\n"
      "muls r7, r6, r7\n"
      "add r9, r7\n"
      "ldrsb r7, [r4, r2]\n"
      "muls r7, r6, r7\n"
      "add r10, r7\n"
      "ldrsb r7, [r5, r2]\n"
      "muls r7, r6, r7\n"
      "add r11, r7\n"
      "adds r2, #1\n"
      "bne 2b\n"

      "ldr r0, [sp, #8]\n"
      "ldr r1, [sp, #20]\n"
      "ldr r2, [sp, #24]\n"
      "ldr r3, [sp, #28]\n"
      "mov r4, r8\n"
      "mov r5, r9\n"
      "mov r6, r10\n"
      "mov r7, r11\n"
      "push {r4-r7}\n"
      "mov r8, r0\n"
      "mov r9, r1\n"
      "mov r10, r2\n"
      "mov lr, r3\n"
      "movs r0, #128\n"
      "lsls r0, r0, #8\n"
      "mov r11, r0\n"
      "movs r7, #4\n"

      "3:\n"  // one row's result
      "pop {r0}\n"
      "mov r6, r8\n"
      "add r8, r10\n"
      "ldmia r6!, {r3-r5}\n"
      "lsls r0, r0, r4\n"
      "uxth r1, r3\n"
      "asrs r3, r3, #16\n"
      "uxth r2, r0\n"
      "asrs r4, r0, #16\n"
      "movs r6, r1\n"
      "muls r6, r2, r6\n"
      "lsrs r6, r6, #16\n"
      "muls r1, r4, r1\n"
      "adds r1, r1, r6\n"
      "muls r2, r3, r2\n"
      "uxth r6, r1\n"
      "adds r2, r2, r6\n"
      "add r2, r11\n"
      "asrs r2, r2, #16\n"
      "asrs r1, r1, #16\n"
      "muls r3, r4, r3\n"
      "adds r0, r0, r1\n"
      "adds r0, r0, r2\n"
      "adds r0, r0, r3\n"
      "asrs r1, r0, #31\n"
      "mov r2, r9\n"
      "adds r0, r0, r1\n"
      "asrs r0, r5\n"
      "adcs r0, r2\n"
      "sxtb r1, r0\n"
      "cmp r0, r1\n"
      "beq 4f\n"
      "asrs r1, r0, #31\n"
      "movs r0, #127\n"
      "eors r0, r1\n"
      "4:\n"
      "mov r6, lr\n"
      "strb r0, [r6]\n"
      "adds r6, #1\n"
      "mov lr, r6\n"
      "subs r7, #1\n"
      "bne 3b\n"

      "str r6, [sp, #28]\n"
      "mov r0, r8\n"
      "str r0, [sp, #8]\n"
      "ldr r0, [sp, #40]\n"
      "subs r0, #1\n"
      "str r0, [sp, #40]\n"
      "beq 5f\n"
      "b 1b\n"
      "5:\n"
      "add sp, #44\n"
      "pop {r4-r7}\n"
      "mov r8, r4\n"
      "mov r9, r5\n"
      "mov r10, r6\n"
      "mov r11, r7\n"
      "pop {r4-r7, pc}\n");
  // clang-format on
}

// How many rows are done fast.
uint32_t MultiplyAndScaleMost(const Layer& layer, const int8_t* input, int8_t* output) {
  const uint32_t fours = layer.rows / 4;
  const bool is_aligned = (reinterpret_cast<uintptr_t>(layer.bias) & 3) == 0;
  if (fours == 0 || layer.columns == 0 || !is_aligned) return 0;
  MultiplyAndScaleFours(layer, input, output, fours);
  return 4 * fours;
}

}  // namespace

void FullyConnectedInt8(const Layer& layer, const int8_t* input, int8_t* output) {
  FullyConnectedRowsInt8(layer, MultiplyAndScaleMost(layer, input, output), input, output);
}

}  // namespace engine
