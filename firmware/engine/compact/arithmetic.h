// The arithmetic by which quantized layers are scaled, to the bit that of TensorFlow Lite for
// Microcontrollers' reference kernels.
//
// Sources, in the tflite-micro repository: tensorflow/lite/kernels/kernel_util.cc (multiplier of a
// tensor), micro/kernels/fully_connected_common.cc (multiplier of a channel),
// kernels/internal/quantization_util.cc (quantized multiplier), kernels/internal/common.cc
// (scaling with two roundings).

#ifndef ENGINE_COMPACT_ARITHMETIC_H_
#define ENGINE_COMPACT_ARITHMETIC_H_

#include <stdint.h>

namespace engine {

inline float FloatFromBits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

inline uint32_t BitsOfFloat(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  return bits;
}

// What an accumulator is multiplied by: q / 2^31 * 2^left / 2^right, where q is a Q31 number, a
// fraction of 31 bits from 0.5 to 1, which TFLM calls the quantized multiplier. One of the shifts
// is 0, or both are. The kernels in assembler read the three words in this order.
struct Multiplier {
  uint32_t value;  // 2 * q, since the kernels take the upper word of a product: 2^31 or more, even
  uint32_t left;   // 30 at most
  uint32_t right;  // 63 at most; from 32 on, that leaves 0 of everything
};

// input_scale * weight_scale / output_scale as TFLM computes it, in double, where the product of
// two float32 is exact. (Before autumn 2026, TFLM rounded that product to float32 where one scale
// serves a whole tensor.) Without double arithmetic, which would cost a small core two kilobytes of
// flash. The scales are the bits of float32 numbers. Returns false if one of them is not positive,
// finite and normal, or if the multiplier is out of range.
bool QuantizeMultiplier(uint32_t input_scale, uint32_t weight_scale, uint32_t output_scale,
                        Multiplier* multiplier);

// accumulator * multiplier, rounded twice: the product with the Q31 number to an integer, and that,
// shifted right, to an integer again, halves away from zero.
inline int32_t Scale(int32_t accumulator, const Multiplier& multiplier) {
  // Unsigned, because the reference wraps around here.
  const int32_t shifted =
      static_cast<int32_t>(static_cast<uint32_t>(accumulator) << multiplier.left);
  const int64_t product = static_cast<int64_t>(shifted) * (multiplier.value >> 1);
  const int32_t high = static_cast<int32_t>((product + (1 << 30)) >> 31);
  if (multiplier.right == 0) return high;
  // Less one for negative numbers, halves go the right way. No overflow: |high| is below 2^31.
  const int64_t lowered = high - (high < 0 ? 1 : 0);
  return static_cast<int32_t>(((lowered >> (multiplier.right - 1)) + 1) >> 1);
}

}  // namespace engine

#endif  // ENGINE_COMPACT_ARITHMETIC_H_
