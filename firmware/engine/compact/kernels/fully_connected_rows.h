// The plain kernel: int8 rows of a fully connected layer, in C++ for any core.
//
//   output[row] = bias[row] + sum over columns of weights[row][column] * (input[column] - zero
//   point)
//
// scaled to the output's codes. It is a header because the Cortex-M0 leaves it the last rows.

#ifndef ENGINE_COMPACT_KERNELS_FULLY_CONNECTED_ROWS_H_
#define ENGINE_COMPACT_KERNELS_FULLY_CONNECTED_ROWS_H_

#include "engine/compact/kernels/fully_connected.h"

namespace engine {

// From `row` on.
inline void FullyConnectedRowsInt8(const Layer& layer, uint32_t row, const int8_t* input,
                                   int8_t* output) {
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

}  // namespace engine

#endif  // ENGINE_COMPACT_KERNELS_FULLY_CONNECTED_ROWS_H_
