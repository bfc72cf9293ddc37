#include "engine/compact/arithmetic.h"

namespace engine {
namespace {

// A normal float32 is Mantissa() * 2^Exponent().
uint32_t Mantissa(float value) { return (BitsOfFloat(value) & 0x7fffff) | 0x800000; }

int32_t Exponent(float value) { return static_cast<int32_t>(BitsOfFloat(value) >> 23) - 150; }

}  // namespace

bool IsScale(float scale) {
  const uint32_t exponent = BitsOfFloat(scale) >> 23;  // with the sign: negative ones are above 255
  return exponent - 1 < 254;
}

bool QuantizeMultiplier(float input_scale, float weight_scale, float output_scale,
                        Multiplier* multiplier) {
  if (!IsScale(input_scale) || !IsScale(weight_scale) || !IsScale(output_scale)) return false;
  uint64_t remainder = static_cast<uint64_t>(Mantissa(input_scale)) * Mantissa(weight_scale);
  const uint64_t divisor = static_cast<uint64_t>(Mantissa(output_scale)) << 24;
  int32_t shift = Exponent(input_scale) + Exponent(weight_scale) - Exponent(output_scale) + 25 + 54;
  // Long division, bit by bit, until there are the 53 bits of a double and one more.
  uint64_t quotient = 0;
  do {
    quotient <<= 1;
    if (remainder >= divisor) {
      remainder -= divisor;
      quotient |= 1;
    }
    remainder <<= 1;
    --shift;
  } while (quotient >> 53 == 0);
  // TFLM rounds to the 53 bits, ties to even, and then to 31 bits, ties upwards. Of the 23 bits to
  // go, 0111...1 is all that the first rounding lifts over the second one's limit (it is a tie of
  // an odd number, or more), so both are one.
  const uint32_t value = static_cast<uint32_t>((quotient + (1 << 22) + 1) >> 23);
  // Rounding can give 2^31.
  const uint32_t carry = value >> 31;
  shift += static_cast<int32_t>(carry);
  *multiplier = {static_cast<int32_t>(value >> carry), shift};
  if (shift < -31) *multiplier = {0, 0};  // too small for anything to be left
  return shift <= 30;
}

}  // namespace engine
