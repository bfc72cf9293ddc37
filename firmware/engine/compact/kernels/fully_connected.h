// Fully connected layers, in int8 and in float32.
//
// Source: tensorflow/lite/kernels/internal/reference/integer_ops/fully_connected.h and
// reference/fully_connected.h in the tflite-micro repository, whose results these equal.

#ifndef ENGINE_COMPACT_KERNELS_FULLY_CONNECTED_H_
#define ENGINE_COMPACT_KERNELS_FULLY_CONNECTED_H_

#include <stdint.h>

#include "engine/compact/arithmetic.h"
#include "engine/compact/limits.h"
#include "engine/options.h"

namespace engine {

// One layer, prepared. weights[row][column] and bias[row] stay in the model, at any alignment.
struct Layer {
  const uint8_t* weights;
  const uint8_t* bias;            // int32 or float32; zeros in the arena if the model has none
  const Multiplier* multipliers;  // int8: those of the rows
  uint32_t columns;               // inputs
  int32_t input_offset;           // int8: less the input's zero point
  int32_t output_zero_point;
  uint32_t multiplier_step;  // bytes to the next row's: or 0, and one serves every row
  uint32_t rows;             // outputs

  int32_t min, max;  // the activation function's limits: int8 codes
#if ENGINE_FLOAT32
  float float_min, float_max;  // or numbers
#endif
  Layer* next;  // nullptr: none
};
static_assert(sizeof(void*) != 4 ||
                  (sizeof(Layer) == (ENGINE_FLOAT32 ? kFloat32LayerBytes : kInt8LayerBytes) &&
                   sizeof(Multiplier) == kMultiplierBytes),
              "as in limits.h");

// A word at any address: one instruction where the core can, bytes where it cannot.
inline uint32_t Load(const uint8_t* address) {
  uint32_t word;
  __builtin_memcpy(&word, address, 4);
  return word;
}

// Results stop at the limits of int8, not yet at those of the activation function. Input and output
// must not overlap.
void FullyConnectedInt8(const Layer& layer, const int8_t* input, int8_t* output);

void FullyConnectedFloat(const Layer& layer, const float* input, float* output);

}  // namespace engine

#endif  // ENGINE_COMPACT_KERNELS_FULLY_CONNECTED_H_
