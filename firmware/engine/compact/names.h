// Names for what a model may ask for and this engine does not have, for messages.

#ifndef ENGINE_COMPACT_NAMES_H_
#define ENGINE_COMPACT_NAMES_H_

#include <stdint.h>

namespace engine {

// The name of a builtin operator, or of a tensor type, of the TensorFlow Lite schema; nullptr for
// the rarer ones. Source: tensorflow/lite/schema/schema.fbs.
const char* OperatorName(uint32_t code);
const char* TypeName(uint32_t type);

}  // namespace engine

#endif  // ENGINE_COMPACT_NAMES_H_
