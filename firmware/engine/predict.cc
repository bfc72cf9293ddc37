// Radians in, value out: what every engine does alike around its raw step.

#include <float.h>

#include "engine/predictor.h"

namespace engine {
namespace {

// To the nearest integer, ties to even, as a float: above 2^22 a float32 has no fraction left to
// round, and below, adding and subtracting 1.5 * 2^23 leaves it no room for one.
float RoundToEven(float value) {
  constexpr float kLimit = 4194304.0f, kMagic = 12582912.0f;
  if (value > kLimit || value < -kLimit) return value;
  return (value + kMagic) - kMagic;
}

}  // namespace

int8_t Quantize(float real, float scale, int32_t zero_point) {
  const float steps = RoundToEven(real / scale) + static_cast<float>(zero_point);
  if (steps > 127.0f) return 127;
  if (steps < -128.0f) return -128;
  return static_cast<int8_t>(static_cast<int32_t>(steps));
}

Status Predict(float radians, float* value) {
  const Info& info = GetInfo();
  if (info.inputs == 0) return Refuse(Status::kNotInitialized, "Init() has not accepted a model");
  // Written so that NaN fails too.
  if (!(radians >= -FLT_MAX && radians <= FLT_MAX)) {
    return Refuse(Status::kInputOutOfRange, "the input is not a finite number");
  }
  if (info.inputs != 1 || info.outputs != 1) {
    return Refuse(Status::kNotScalar, "Predict() needs one input and one output value");
  }
  if (!info.is_int8) return InvokeFloat(&radians, value);
  const int8_t input = Quantize(radians, info.input_scale, info.input_zero_point);
  int8_t output;
  const Status status = Invoke(&input, &output);
  if (status != Status::kOk) return status;
  *value = static_cast<float>(output - info.output_zero_point) * info.output_scale;
  return Status::kOk;
}

}  // namespace engine
