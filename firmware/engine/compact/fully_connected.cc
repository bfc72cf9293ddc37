#include "engine/compact/fully_connected.h"

#include <stddef.h>

namespace engine {

#if defined(__thumb2__) && defined(__ARM_FEATURE_DSP)

static_assert(offsetof(Layer, weights) == 0 && offsetof(Layer, columns) == 12 &&
                  offsetof(Layer, output_zero_point) == 20 && offsetof(Layer, bias_step) == 32 &&
                  sizeof(Multiplier) == 12,
              "where the instructions below look for them");

// This is where an inference is spent; it takes all 14
// registers, and compilers run out of them. Two rows at a time share the loads of the inputs: the
// first of the two is summed up in r4, the second in r5. The first of an odd number of rows is its
// own partner.
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
// The scaling, in which TFLM rounds twice: SMMLAR adds the sum itself to sum * (value - 2^32) /
// 2^32 (the value is above 2^31, which as a signed number is that), and rounds. Then 1 is taken
// from negative numbers, so that halves are rounded away from zero; ASRS leaves in the carry what
// it shifted out last, to be added. If it shifts by nothing, the carry is still that of the ADDS,
// which is the 1 that was taken.
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

#else

namespace {

#if defined(__thumb__) && !defined(__thumb2__)

// The same for ARMv6-M, Cortex-M0 and Cortex-M0+, where most instructions see eight registers: four
// rows at a time share the loads of the inputs. `fours` counts such groups of rows, from the first
// row on; the biases must be aligned to 4 bytes.
//
//   r0, r3, r4, r5  where the four rows of weights end, r1 where the inputs do
//   r2   from -columns up to zero
//   r8-r11  the sums, since ADD and MOV see these registers too
//   r12  what is added to each input
//   sp   the layer's first nine words, with the output in place of `rows`; input; fours
//
// The scaling takes the upper half of a product of 64 bits, rounded, which is put together from
// four products of halves (Knuth, The Art of Computer Programming, 4.3.1, algorithm M):
//
//   r7   rows to go, r8 their multipliers, r10 the step of these, lr output
//   r9   output zero point
//   r11  0x8000, half of what is cut off
//
// ASRS and ADCS round as above. A result that is not the sign extension of its lowest byte is
// clipped: 127, inverted if it is negative.
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

#else

uint32_t MultiplyAndScaleMost(const Layer&, const int8_t*, int8_t*) { return 0; }

#endif

}  // namespace

// The same for other cores, and for the rows that are left.
void FullyConnectedInt8(const Layer& layer, const int8_t* input, int8_t* output) {
  uint32_t row = MultiplyAndScaleMost(layer, input, output);
  const int32_t offset = static_cast<int16_t>(layer.input_offset);
  const uint8_t* weights = layer.weights + row * layer.columns;
  const uint8_t* bias = layer.bias + row * layer.bias_step;
  const uint8_t* multiplier =
      reinterpret_cast<const uint8_t*>(layer.multipliers) + row * layer.multiplier_step;
  for (; row < layer.rows; ++row) {
    // Sums wrap around, as the reference's do; hence unsigned.
    uint32_t sum = Load(bias);
    for (uint32_t column = 0; column < layer.columns; ++column) {
      sum += static_cast<uint32_t>(static_cast<int8_t>(*weights++) * (input[column] + offset));
    }
    const int32_t scaled =
        Scale(static_cast<int32_t>(sum), *reinterpret_cast<const Multiplier*>(multiplier));
    const int32_t value = static_cast<int32_t>(static_cast<uint32_t>(scaled) +
                                               static_cast<uint32_t>(layer.output_zero_point));
    const int32_t least = value < -128 ? -128 : value;
    output[row] = static_cast<int8_t>(least > 127 ? 127 : least);
    bias += layer.bias_step;
    multiplier += layer.multiplier_step;
  }
}

#endif

}  // namespace engine
