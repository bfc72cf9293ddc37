#include "engine/compact/arithmetic.h"

namespace engine {
namespace {

// A normal float32 is Mantissa() * 2^(exponent - 150), by its bits.
uint32_t Mantissa(uint32_t bits) { return (bits & 0x7fffff) | 0x800000; }

// Also false for a negative one, which counts its sign to the exponent.
bool IsNormal(uint32_t bits) { return (bits >> 23) - 1 < 254; }

}  // namespace

bool QuantizeMultiplier(uint32_t input_scale, uint32_t weight_scale, uint32_t output_scale,
                        Multiplier* multiplier) {
  if (!IsNormal(input_scale) || !IsNormal(weight_scale) || !IsNormal(output_scale)) return false;
  // Long division, bit by bit, until there are 31. Both numbers are shifted so that the divisor is
  // a high word.
  uint64_t rest = (static_cast<uint64_t>(Mantissa(input_scale)) * Mantissa(weight_scale)) << 8;
  const uint32_t divisor = Mantissa(output_scale);
  int32_t shift = static_cast<int32_t>((input_scale >> 23) + (weight_scale >> 23)) -
                  static_cast<int32_t>(output_scale >> 23) - 94;
  uint32_t quotient = 0;
  do {
    quotient <<= 1;
    if (rest >> 32 >= divisor) {
      rest -= static_cast<uint64_t>(divisor) << 32;
      quotient |= 1;
    }
    rest <<= 1;
    --shift;
  } while (quotient >> 30 == 0);
  // TFLM rounds to the 53 bits of a double, ties to even, and then to 31 bits, ties upwards. Of the
  // 23 bits that go, 0111...1 is all that the first rounding lifts over the second one's limit (it
  // is a tie of an odd number, or more). So what remains is rounded up from 1/2 - 1/2^23 on.
  if (rest >= divisor * 0xfffffc00ull) ++quotient;
  uint32_t value = quotient << 1;  // of the Q31 number
  if (value == 0) {                // rounded up to 2^32
    value = 1u << 31;
    ++shift;
  }
  *multiplier = {value, -1 - shift};
  return shift <= 30;
}

}  // namespace engine
