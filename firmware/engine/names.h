// Texts of one list: they take less flash than pointers to as many.

#ifndef ENGINE_NAMES_H_
#define ENGINE_NAMES_H_

#include <stdint.h>

namespace engine {

// The text behind the byte `key`, in a list of such bytes (none is 0) and texts that ends with an
// empty string; nullptr if there is none.
const char* FindText(const char* list, uint32_t key);

// The name of a builtin operator, or of a tensor type, of the TensorFlow Lite schema; nullptr for
// the rarer ones. Source: tensorflow/lite/schema/schema.fbs.
const char* OperatorName(uint32_t code);
const char* TypeName(uint32_t type);

}  // namespace engine

#endif  // ENGINE_NAMES_H_
