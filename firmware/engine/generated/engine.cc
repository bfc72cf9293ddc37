// The interface on a network as plain C: what there is to decide was decided when it was made, so
// there is nothing to read, to check or to allocate.

#include "engine/predictor.h"
#include "network.h"  // made from the model, in the build's folder

namespace engine {
namespace {

const char* reason = "";

}  // namespace

Status Init(const uint8_t*, size_t, uint8_t*, size_t) {
  reason = "";
  return Status::kOk;
}

Status Invoke(const int8_t* input, int8_t* output) {
  reason = "";
  network_run(input, output);
  return Status::kOk;
}

Status InvokeFloat(const float*, float*) {
  return Refuse(Status::kUnsupportedModel, "the model has another type");
}

const Info& GetInfo() {
  static constexpr Info kInfo = {
      NETWORK_INPUTS,
      NETWORK_OUTPUTS,
      0,
      true,
      NETWORK_INPUT_SCALE,
      NETWORK_OUTPUT_SCALE,
      NETWORK_INPUT_ZERO_POINT,
      NETWORK_OUTPUT_ZERO_POINT,
  };
  return kInfo;
}

const char* Name() { return "generated"; }

Status Refuse(Status status, const char* text) {
  reason = text;
  return status;
}

const char* Reason() { return reason; }

}  // namespace engine
