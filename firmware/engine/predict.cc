// Real numbers in and out: what every engine does alike around its raw step.

#include "engine/options.h"
#include "engine/predictor.h"
#include "runtime/nearest.h"

namespace engine {

int8_t Quantize(float real, float scale, int32_t zero_point) {
  int32_t steps = Nearest(real / scale);
#if defined(__thumb2__) && defined(__ARM_FEATURE_DSP)
  __asm__("qadd %0, %0, %1\n ssat %0, #8, %0" : "+r"(steps) : "r"(zero_point));
#else
  // No sum can leave int32 from here, and what is clipped here would be so after adding too.
  if (steps > 512) steps = 512;
  if (steps < -512) steps = -512;
  steps += zero_point;
  if (steps > 127) steps = 127;
  if (steps < -128) steps = -128;
#endif
  return static_cast<int8_t>(steps);
}

Status Predict(float x, float* y) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  if ((~bits & 0x7f800000) == 0) {
    return Refuse(Status::kInputOutOfRange, "input not finite");
  }
  const Info& info = GetInfo();
  // Without a model there is no input; then the raw step refuses.
  if (info.inputs * info.outputs > 1) {
    return Refuse(Status::kNotScalar, "not one input and output");
  }
#if ENGINE_FLOAT32
  if (!info.is_int8) return InvokeFloat(&x, y);
#endif
  const int8_t input = Quantize(x, info.input_scale, info.input_zero_point);
  int8_t output = 0;
  const Status status = Invoke(&input, &output);
  *y = static_cast<float>(output - info.output_zero_point) * info.output_scale;
  return status;
}

}  // namespace engine
