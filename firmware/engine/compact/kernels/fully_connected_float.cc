#include "engine/compact/kernels/fully_connected.h"

#if ENGINE_FLOAT32

namespace engine {

void FullyConnectedFloat(const Layer& layer, const float* input, float* output) {
  const uint8_t* weight = layer.weights;
  const uint8_t* bias = layer.bias;
  for (uint32_t row = 0; row < layer.rows; ++row, bias += 4) {
    float sum = 0;
    for (uint32_t column = 0; column < layer.columns; ++column, weight += 4) {
      sum += FloatFromBits(Load(weight)) * input[column];
    }
    sum += FloatFromBits(Load(bias));
    // As std::max and std::min do it: what is not a number stays so.
    sum = sum < layer.float_min ? layer.float_min : sum;
    output[row] = layer.float_max < sum ? layer.float_max : sum;
  }
}

}  // namespace engine

#endif
