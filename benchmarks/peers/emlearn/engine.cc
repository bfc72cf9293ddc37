// emlearn's network behind the firmware's interface. It takes and gives real numbers, so Predict()
// is one call; the codes of Invoke() are there to be compared with those of the int8 engines.

#include "emlearn_sine.h"
#include "engine/predictor.h"
#include "network.h"  // for the scales of the int8 model of the same network

namespace engine {

Status Init(const uint8_t*, size_t, uint8_t*, size_t) { return Status::kOk; }

Status Predict(float x, float* y) {
  *y = sine_regress1(&x, 1);
  return Status::kOk;
}

Status Invoke(const int8_t* input, int8_t* output) {
  const float x = static_cast<float>(*input - NETWORK_INPUT_ZERO_POINT) * NETWORK_INPUT_SCALE;
  const float steps = sine_regress1(&x, 1) / NETWORK_OUTPUT_SCALE + NETWORK_OUTPUT_ZERO_POINT;
  const float nearest = steps < 0.0f ? steps - 0.5f : steps + 0.5f;
  *output = static_cast<int8_t>(nearest < -128.0f ? -128.0f : nearest > 127.0f ? 127.0f : nearest);
  return Status::kOk;
}

Status InvokeFloat(const float* input, float* output) { return Predict(*input, output); }

const Info& GetInfo() {
  static constexpr Info kInfo = {
      1,
      1,
      0,
      true,
      NETWORK_INPUT_SCALE,
      NETWORK_OUTPUT_SCALE,
      NETWORK_INPUT_ZERO_POINT,
      NETWORK_OUTPUT_ZERO_POINT,
  };
  return kInfo;
}

const char* Name() { return "emlearn"; }

Status Refuse(Status status, const char*) { return status; }

const char* Reason() { return ""; }

}  // namespace engine
