// Fully connected layers, in int8 and in float32.
//
// Source: tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h and
// reference/fully_connected.h in the tflite-micro repository, whose results these equal.

#ifndef ENGINE_COMPACT_FULLY_CONNECTED_H_
#define ENGINE_COMPACT_FULLY_CONNECTED_H_

#include <stdint.h>

#include "engine/compact/arithmetic.h"

namespace engine {

// What the fast path of a layer multiplies, adds and shifts by.
struct Plain {
  int32_t multiplier;
  uint32_t shift;
  int32_t offset;  // half a step, and the zero point
  int32_t zero_point;
};

// One layer, prepared. weights[row][column] and bias[row] stay in the model, at any alignment.
struct Layer {
  const uint8_t* weights;
  const uint8_t* bias;  // int32 or float32
  uint32_t bias_step;   // 4; or 0, and one zero serves every row
  uint32_t rows;        // outputs
  uint32_t columns;     // inputs
  // int8 only:
  Multiplier multiplier;
  const Multiplier* multipliers;  // one per row
  uint32_t multiplier_step;       // 1; or 0, and `multiplier` serves every row
  int16_t output_zero_point;
  int16_t output_min, output_max;  // the activation function's limits, as int8 codes
  bool is_plain;                   // the fast path gives the same
  Plain plain;
  // float32 only:
  float float_min, float_max;
};

// Between layers, values of int8 models are kept as int16 with the zero point taken off, four to a
// group, in the order in which the inner loop wants them. Where value number i lies:
constexpr uint32_t Place(uint32_t i) {
  // SXTB16 widens bytes 0 and 2 of a word, and bytes 1 and 3 after a rotation.
  return (i & ~3u) | (i & 1) << 1 | (i >> 1 & 1);
}

// A word at any address: one instruction where the core can, bytes where it cannot.
inline uint32_t Load(const uint8_t* address) {
  uint32_t word;
  __builtin_memcpy(&word, address, 4);
  return word;
}

inline uint32_t Bias(const Layer& layer, uint32_t row) {
  return Load(layer.bias + layer.bias_step * row);
}

// Sets is_plain and plain. The fast path is exact if no accumulator can reach 2^30 whatever weights
// and input are, the shift is to the right, and the activation clips at int8's own limits only.
void PreparePlain(Layer* layer);

// Both buffers are aligned to 4 bytes and as long as the next multiple of four values.
void FullyConnectedInt8(const Layer& layer, const int16_t* input, int16_t* output);

void FullyConnectedFloat(const Layer& layer, const float* input, float* output);

}  // namespace engine

#endif  // ENGINE_COMPACT_FULLY_CONNECTED_H_
