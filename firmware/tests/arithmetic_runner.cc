// The scaling of quantized layers by itself, for the tests. stdin: lines of an input's, a weight's
// and an output's scale, as the bits of float32, and an accumulator. stdout, for each: what the
// multiplier is and the scaled accumulator, or "none". Exit code 2: stdin holds nothing.

#include <inttypes.h>
#include <stdio.h>

#include "engine/compact/arithmetic.h"

int main() {
  uint32_t input, weight, output;
  int32_t accumulator;
  int lines = 0;
  while (scanf("%" SCNu32 " %" SCNu32 " %" SCNu32 " %" SCNd32, &input, &weight, &output,
               &accumulator) == 4) {
    ++lines;
    engine::Multiplier multiplier;
    if (engine::QuantizeMultiplier(input, weight, output, &multiplier)) {
      // As TFLM keeps it: 31 bits, and one shift. What leaves 0 of everything, TFLM makes 0.
      const bool vanishes = multiplier.right > 30;
      printf("%" PRIu32 " %" PRId32 " %" PRId32 "\n", vanishes ? 0 : multiplier.value >> 1,
             vanishes ? 0 : -1 - multiplier.right,
             engine::Scale(static_cast<uint32_t>(accumulator), multiplier));
    } else {
      puts("none");
    }
  }
  return lines > 0 ? 0 : 2;
}
