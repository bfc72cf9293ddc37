// Fully connected layers in int8 for cores with Thumb-2 and the DSP extension: Cortex-M4 and
// Cortex-M7. Results equal the plain kernel's.

#include <stddef.h>

#include "engine/compact/kernels/fully_connected.h"

namespace engine {

static_assert(offsetof(Layer, weights) == 0 && offsetof(Layer, columns) == 12 &&
                  offsetof(Layer, output_zero_point) == 20 && offsetof(Layer, bias_step) == 32 &&
                  sizeof(Multiplier) == 12,
              "where the instructions below look for them");

// This is where an inference is spent; it takes all 14 registers, and compilers run out of them.
// Two rows at a time share the loads of the inputs: the first of the two is summed up in r4, the
// second in r5. The first of an odd number of rows is its own partner.
//
//   r0  weights of the first row, r1 bytes from there to the second's
//   r3  columns to go, r7 their inputs, r8 what is added to each input
//   r11 bias of the first row, r12 its multiplier, lr its output
//   sp  what each pair begins with: bytes between its biases (4 or 0), columns, input, r8;
//       and needs in the end: output zero point, step of multipliers, end of output; step of bias
//
// Four products take four instructions: SXTB16 widens bytes 0 and 2 of a word to 16 bits, and bytes
// 1 and 3 after a rotation; SMLAD adds two products.
//
// The scaling, in which TFLM rounds twice, begins with sum * q / 2^31 for a Q31 number q. The
// multiplier's word is 2 * q, which as a signed number is 2 * q - 2^32. So SMMLAR adds the sum
// itself to sum * (2 * q - 2^32) / 2^32, and rounds. Then 1 is taken from negative numbers, so that
// halves are rounded away from zero; ASRS leaves in the carry what it shifted out last, to be
// added. If it shifts by nothing, the carry is still that of the ADDS, which is the 1 that was
// taken.
[[gnu::naked]] void FullyConnectedInt8(const Layer&, const int8_t*, int8_t*) {
  // clang-format off
#define FINISH(sum)                       \
  "ldm r12, {r2, r3, r6}\n"               \
  "add r12, r8\n"                         \
  "lsls " sum ", " sum ", r3\n"           \
  "smmlar " sum ", " sum ", r2, " sum "\n"\
  "adds " sum ", " sum ", " sum ", asr #31\n" \
  "asrs " sum ", " sum ", r6\n"           \
  "adcs " sum ", " sum ", r7\n"           \
  "ssat " sum ", #8, " sum "\n"           \
  "strb " sum ", [lr], #1\n"
  __asm__ volatile(
      "push {r4-r11, lr}\n"
      "ldm r0!, {r10, r11, r12}\n"
      "ldm r0, {r3, r5, r6, r7, r8, r9}\n"
      "mov r0, r10\n"
      "mov lr, r2\n"
      "mov r4, r1\n"
      "mov r1, r3\n"
      "mov r2, r9\n"
      "tst r8, #1\n"
      "itt ne\n"
      "movne r1, #0\n"
      "movne r2, #0\n"
      "add r8, lr\n"
      "push {r2-r9}\n"

      "1:\n"  // the next pair
      "ldm sp, {r2, r3, r7, r8}\n"
      "ldr r4, [r11]\n"
      "ldr r5, [r11, r2]\n"
      "add r11, r11, r2, lsl #1\n"
      "subs r3, #4\n"
      "bmi 3f\n"
      "2:\n"  // four columns
      "ldr r6, [r7], #4\n"
      "sxtab16 r9, r8, r6\n"
      "sxtab16 r10, r8, r6, ror #8\n"
      "ldr r2, [r0, r1]\n"
      "sxtb16 r6, r2\n"
      "smlad r5, r6, r9, r5\n"
      "sxtb16 r6, r2, ror #8\n"
      "smlad r5, r6, r10, r5\n"
      "ldr r2, [r0], #4\n"
      "sxtb16 r6, r2\n"
      "smlad r4, r6, r9, r4\n"
      "sxtb16 r6, r2, ror #8\n"
      "smlad r4, r6, r10, r4\n"
      "subs r3, #4\n"
      "bpl 2b\n"
      "3:\n"
      "adds r3, #4\n"
      "beq 5f\n"
      "4:\n"  // one column
      "ldrsb r6, [r7], #1\n"
      "add r6, r8\n"
      "ldrsb r2, [r0, r1]\n"
      "smlabb r5, r2, r6, r5\n"
      "ldrsb r2, [r0], #1\n"
      "smlabb r4, r2, r6, r4\n"
      "subs r3, #1\n"
      "bne 4b\n"

      "5:\n"
      "add r0, r1\n"
      "ldrd r7, r8, [sp, #16]\n"
      "ldr r9, [sp, #24]\n"
      FINISH("r4")
      "cbz r1, 7f\n"
      FINISH("r5")
      "6:\n"
      "cmp lr, r9\n"
      "bne 1b\n"
      "add sp, #32\n"
      "pop {r4-r11, pc}\n"

      "7:\n"  // after the odd row
      "ldr r1, [sp, #4]\n"
      "ldr r2, [sp, #28]\n"
      "str r2, [sp]\n"
      "add r11, r2\n"
      "b 6b\n");
#undef FINISH
  // clang-format on
}

}  // namespace engine
