// Fully connected layers in int8, on any core:
//
//   output[row] = bias[row] + sum over columns of weights[row][column] * (input[column] + offset)
//
// scaled to the output's codes. Cores with the DSP extension multiply four columns at a time.

#include "engine/compact/kernels/fully_connected.h"

// As on Cortex-M4, M7 and M33. GCC has these functions since its version 10.
#if defined(__ARM_FEATURE_SIMD32) && defined(__has_builtin)
#if __has_builtin(__builtin_arm_smlad)
#define HAS_SIMD
#endif
#endif

namespace engine {
namespace {

#ifdef HAS_SIMD

constexpr int32_t kAtOnce = 4;

// SXTB16 widens bytes 0 and 2 of a word to 16 bits, after a rotation bytes 1 and 3; SXTAB16 adds
// that to another word's halves; SMLAD adds two products to a sum.
inline int32_t Rotated(uint32_t word) { return static_cast<int32_t>(word >> 8 | word << 24); }

// offset: in both halves of the word.
inline uint32_t AddProducts(uint32_t sum, const uint8_t* weights, const int8_t* input,
                            int32_t offset) {
  const uint32_t w = Load(weights);
  const uint32_t x = Load(reinterpret_cast<const uint8_t*>(input));
  const int32_t even = __builtin_arm_smlad(__builtin_arm_sxtb16(static_cast<int32_t>(w)),
                                           __builtin_arm_sxtab16(offset, static_cast<int32_t>(x)),
                                           static_cast<int32_t>(sum));
  return static_cast<uint32_t>(__builtin_arm_smlad(
      __builtin_arm_sxtb16(Rotated(w)), __builtin_arm_sxtab16(offset, Rotated(x)), even));
}

inline int8_t Saturate(int32_t value) { return static_cast<int8_t>(__builtin_arm_ssat(value, 8)); }

#else

inline int8_t Saturate(int32_t value) {
  const int32_t least = value < -128 ? -128 : value;
  return static_cast<int8_t>(least > 127 ? 127 : least);
}

#endif

}  // namespace

void FullyConnectedInt8(const Layer& layer, const int8_t* input, int8_t* output) {
  const uint8_t* weights = layer.weights;
  const uint8_t* bias = layer.bias;
  const uint8_t* multiplier = reinterpret_cast<const uint8_t*>(layer.multipliers);
  const uint32_t multiplier_step = layer.multiplier_step;
  const int32_t zero_point = layer.output_zero_point;
#ifdef HAS_SIMD
  const int8_t* const end = input + layer.columns;
  const uint32_t rest = layer.columns % kAtOnce;
  const int32_t offsets =
      static_cast<int32_t>(static_cast<uint16_t>(layer.input_offset) * 0x10001u);
  const int32_t offset = static_cast<int16_t>(offsets);
#else
  const int32_t offset = layer.input_offset;
  const uint32_t rest = layer.columns;
#endif
  uint32_t rows = layer.rows;
  do {
    // Sums wrap around, as the reference's do; hence unsigned.
    uint32_t sum = Load(bias);
    const int8_t* x = input;
#ifdef HAS_SIMD
    for (; end - x >= kAtOnce; x += kAtOnce, weights += kAtOnce) {
      sum = AddProducts(sum, weights, x, offsets);
    }
#endif
    for (uint32_t left = rest; left > 0; --left) {
      const int32_t w = static_cast<int8_t>(*weights++);
      sum += static_cast<uint32_t>(w * (*x++ + offset));
    }
    const int32_t scaled = Scale(sum, *reinterpret_cast<const Multiplier*>(multiplier));
    *output++ = Saturate(
        static_cast<int32_t>(static_cast<uint32_t>(scaled) + static_cast<uint32_t>(zero_point)));
    bias += 4;
    multiplier += multiplier_step;
  } while (--rows > 0);
}

}  // namespace engine
