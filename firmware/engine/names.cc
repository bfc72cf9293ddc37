#include "engine/names.h"

namespace engine {
namespace {

// For an operator the key is 1 + its number in the schema, for a type 255 - its number there; there
// are no operators with numbers so high.
const char kNames[] =
    "\001ADD\0"
    "\004CONV_2D\0"
    "\005DEPTHWISE_CONV_2D\0"
    "\007DEQUANTIZE\0"
    "\017LOGISTIC\0"
    "\023MUL\0"
    "\024RELU\0"
    "\027RESHAPE\0"
    "\032SOFTMAX\0"
    "\035TANH\0"
    "\041CUSTOM\0"
    "\163QUANTIZE\0"
    "\377FLOAT32\0"
    "\376FLOAT16\0"
    "\375INT32\0"
    "\374UINT8\0"
    "\373INT64\0"
    "\370INT16\0"
    "\366INT8\0";

}  // namespace

[[gnu::noinline]] const char* FindText(const char* list, uint32_t key) {
  while (*list != '\0') {
    const uint32_t found = static_cast<uint8_t>(*list++);
    if (found == key) return list;
    while (*list++ != '\0') {
    }
  }
  return nullptr;
}

const char* OperatorName(uint32_t code) { return FindText(kNames, 1 + code); }

const char* TypeName(uint32_t type) { return FindText(kNames, 255 - type); }

}  // namespace engine
