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

// What an accumulator is multiplied by: q / 2^31 / 2^(right + 1), where q is a Q31 number, a
// fraction of 31 bits from 0.5 to 1, which TFLM calls the quantized multiplier.
struct Multiplier {
  uint32_t value;  // 2 * q, since the kernel takes the upper word of a product: 2^31 or more, even
  int32_t right;   // what is shifted, less one: -1 is by nothing, -31, the least, to the left by 30
};

// input_scale * weight_scale / output_scale as TFLM computes it, in double, where the product of
// two float32 is exact. (Before autumn 2026, TFLM rounded that product to float32 where one scale
// serves a whole tensor.) Without double arithmetic, which would cost a small core two kilobytes of
// flash. The scales are the bits of float32 numbers. Returns false if one of them is not positive,
// finite and normal, or if the multiplier is out of range.
bool QuantizeMultiplier(uint32_t input_scale, uint32_t weight_scale, uint32_t output_scale,
                        Multiplier* multiplier);

// accumulator * value / 2^32, to the nearest integer.
inline int32_t UpperWord(uint32_t accumulator, uint32_t value) {
  // As a signed number, `value` is less by 2^32, which adds the accumulator to the upper word.
  const int64_t product = int64_t{static_cast<int32_t>(accumulator)} * static_cast<int32_t>(value);
  const uint64_t rest = static_cast<uint64_t>(accumulator) << 32 | 0x80000000;
  return static_cast<int32_t>((static_cast<uint64_t>(product) + rest) >> 32);
}

// accumulator * multiplier, rounded twice: the product with the Q31 number to an integer, and that,
// shifted right, to an integer again, halves away from zero.
inline int32_t Scale(uint32_t accumulator, const Multiplier& multiplier) {
  const int32_t right = multiplier.right;
  if (__builtin_expect(right < 0 || right > 30, false)) {
    // To the left, the reference wraps around. Far to the right, it leaves nothing.
    return right > 0 ? 0 : UpperWord(accumulator << (-1 - right), multiplier.value);
  }
  const int32_t high = UpperWord(accumulator, multiplier.value);
  // Less one for negative numbers, halves go the right way. No overflow: |high| is below 2^31.
  return (((high + (high >> 31)) >> right) + 1) >> 1;
}

}  // namespace engine

#endif  // ENGINE_COMPACT_ARITHMETIC_H_
