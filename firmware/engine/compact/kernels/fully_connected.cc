// Fully connected layers in int8 for cores without a kernel of their own: plain C++ throughout.

#include "engine/compact/kernels/fully_connected_rows.h"

namespace engine {

void FullyConnectedInt8(const Layer& layer, const int8_t* input, int8_t* output) {
  FullyConnectedRowsInt8(layer, 0, input, output);
}

}  // namespace engine
