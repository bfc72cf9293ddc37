#include "engine/compact/names.h"

namespace engine {
namespace {

// In the order of tensorflow/lite/schema/schema.fbs. One string costs less flash than a table of
// pointers; an operator that does not occur next to dense layers takes its place as an empty name.
constexpr uint32_t kTypeCount = 10, kOperatorCount = 29;
const char kNames[] =
    "FLOAT32\0FLOAT16\0INT32\0UINT8\0INT64\0STRING\0BOOL\0INT16\0\0INT8\0"
    "ADD\0AVERAGE_POOL_2D\0CONCATENATION\0CONV_2D\0DEPTHWISE_CONV_2D\0\0DEQUANTIZE\0\0\0\0\0\0\0\0"
    "LOGISTIC\0\0LSTM\0MAX_POOL_2D\0MUL\0RELU\0\0RELU6\0RESHAPE\0\0\0SOFTMAX\0\0\0TANH";

// nullptr for an empty name.
const char* Nth(uint32_t index) {
  const char* name = kNames;
  for (; index > 0; --index) {
    while (*name++ != '\0') {
    }
  }
  return *name == '\0' ? nullptr : name;
}

}  // namespace

const char* OperatorName(uint32_t code) {
  return code < kOperatorCount ? Nth(kTypeCount + code) : nullptr;
}

const char* TypeName(uint32_t type) { return type < kTypeCount ? Nth(type) : nullptr; }

}  // namespace engine
