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

// What an accumulator is multiplied by: value * 2^(shift - 31), value in [2^30, 2^31) or 0.
struct Multiplier {
  int32_t value;
  int32_t shift;  // -31 ... 30; positive is to the left
};

// Whether this is a scale to work with: positive, finite and normal.
bool IsScale(float scale);

// input_scale * weight_scale / output_scale as TFLM computes it, in double, where the product of
// two float32 is exact. (Before autumn 2026, TFLM rounded that product to float32 where one scale
// serves a whole tensor.) Without double arithmetic, which would cost a small core two kilobytes of
// flash. Returns false if a scale is none, or the multiplier is out of range.
bool QuantizeMultiplier(float input_scale, float weight_scale, float output_scale,
                        Multiplier* multiplier);

// accumulator * multiplier, rounded twice: to 31 fractional bits, then to an integer.
inline int32_t Scale(int32_t accumulator, Multiplier multiplier) {
  const uint32_t left = multiplier.shift > 0 ? static_cast<uint32_t>(multiplier.shift) : 0;
  const uint32_t right = multiplier.shift > 0 ? 0 : static_cast<uint32_t>(-multiplier.shift);
  // Unsigned, because the reference wraps around here.
  const int32_t shifted = static_cast<int32_t>(static_cast<uint32_t>(accumulator) << left);
  const int64_t product = static_cast<int64_t>(shifted) * multiplier.value;
  const int32_t high = static_cast<int32_t>((product + (1 << 30)) >> 31);
  const uint32_t mask = (1u << right) - 1;
  const uint32_t rest = static_cast<uint32_t>(high) & mask;
  const uint32_t threshold = (mask >> 1) + (high < 0 ? 1 : 0);
  return (high >> right) + (rest > threshold ? 1 : 0);
}

}  // namespace engine

#endif  // ENGINE_COMPACT_ARITHMETIC_H_
