// What is done once for a layer, and the kernel that is not meant to be fast: compiled for size.

#include "engine/compact/fully_connected.h"

namespace engine {

void PreparePlain(Layer* layer) {
  layer->is_plain = false;
  const int32_t shift = layer->multiplier.shift;
  if (layer->multiplier_step != 0 || shift > -1 || shift < -22) return;
  if (layer->output_min != -128 || layer->output_max != 127) return;
  // A weight is within 128, an input less its zero point within 255. This is below 2^31.
  const uint32_t products = layer->columns * (128 * 255);
  for (uint32_t row = 0; row < layer->rows; ++row) {
    const uint32_t bias = Bias(*layer, row);
    const uint32_t magnitude = static_cast<int32_t>(bias) < 0 ? 0 - bias : bias;
    if (magnitude + products >= 1 << 30) return;
  }
  const uint32_t right = static_cast<uint32_t>(-shift);
  const int32_t zero_point = layer->output_zero_point;
  layer->plain = {layer->multiplier.value, right, (1 << (right - 1)) + zero_point * (1 << right),
                  zero_point};
  layer->is_plain = true;
}

void FullyConnectedFloat(const Layer& layer, const float* input, float* output) {
  const uint8_t* weight = layer.weights;
  for (uint32_t row = 0; row < layer.rows; ++row) {
    float sum = 0;
    for (uint32_t column = 0; column < layer.columns; ++column, weight += 4) {
      sum += FloatFromBits(Load(weight)) * input[column];
    }
    sum += FloatFromBits(Bias(layer, row));
    sum = sum > layer.float_min ? sum : layer.float_min;
    output[row] = sum < layer.float_max ? sum : layer.float_max;
  }
}

}  // namespace engine
