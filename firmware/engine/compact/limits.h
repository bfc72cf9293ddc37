// What the compact engine takes, and the memory that it needs for it. This is the one place of
// these numbers: the engine holds itself to them, and workshop_utils/device/diagnosis.py reads them
// here, to say on the desktop what would not run. So each of them is one line and a plain number.

#ifndef ENGINE_COMPACT_LIMITS_H_
#define ENGINE_COMPACT_LIMITS_H_

#include <stdint.h>

namespace engine {

// Values that a layer takes or gives, at most.
constexpr uint32_t kMostValues = 65535;

// Dimensions of a tensor, at most: what TFLM has room for.
constexpr uint32_t kMostDimensions = 6;

// Activation functions, by their numbers in the TensorFlow Lite schema. SetActivation() in
// engine.cc says what they do.
constexpr uint32_t kActivationNone = 0;
constexpr uint32_t kActivationRelu = 1;
constexpr uint32_t kActivationRelu6 = 3;

// Bytes of the arena on a core of 32 bits: a prepared layer in a build for int8 alone, the same in
// one for float32 too, and the multiplier of a tensor or channel.
constexpr uint32_t kInt8LayerBytes = 44;
constexpr uint32_t kFloat32LayerBytes = 52;
constexpr uint32_t kMultiplierBytes = 8;

}  // namespace engine

#endif  // ENGINE_COMPACT_LIMITS_H_
