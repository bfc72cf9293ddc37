// The nearest integer: what the C library's lrintf() would do, where there is no C library.

#ifndef RUNTIME_NEAREST_H_
#define RUNTIME_NEAREST_H_

#include <stdint.h>

// Halves go to the even neighbour. What an int32 cannot hold becomes the nearest that it can, and
// NaN becomes 0.
inline int32_t Nearest(float value) {
#if defined(__thumb2__) && defined(__ARM_FP) && (__ARM_FP & 4)
  __asm__("vcvtr.s32.f32 %0, %0" : "+t"(value));
  int32_t nearest;
  __builtin_memcpy(&nearest, &value, 4);
  return nearest;
#else
  constexpr float kLimit = 2147483648.0f, kWhole = 8388608.0f;
  if (value != value) return 0;
  if (value >= kLimit) return INT32_MAX;
  if (value < -kLimit) return INT32_MIN;
  // From 2^23 on, a float32 has no fraction; below, adding 2^23 leaves no room for one.
  if (value > 0 && value < kWhole) value = (value + kWhole) - kWhole;
  if (value < 0 && value > -kWhole) value = (value - kWhole) + kWhole;
  return static_cast<int32_t>(value);
#endif
}

#endif  // RUNTIME_NEAREST_H_
