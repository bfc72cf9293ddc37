// The interface on a function of one number: what a formula or a table would take in a network's
// place, in the same application and with the same arithmetic around it.

#include "engine/predictor.h"
#include "function.h"  // float function(float), in the build's folder

namespace engine {
namespace {

const char* reason = "";

}  // namespace

Status Init(const uint8_t*, size_t, uint8_t*, size_t) {
  reason = "";
  return Status::kOk;
}

Status Invoke(const int8_t*, int8_t*) {
  return Refuse(Status::kUnsupportedModel, "a function is no int8 model");
}

Status InvokeFloat(const float* input, float* output) {
  reason = "";
  *output = function(*input);
  return Status::kOk;
}

const Info& GetInfo() {
  static constexpr Info kInfo = {1, 1, 0, false, 0, 0, 0, 0};
  return kInfo;
}

const char* Name() { return "function"; }

Status Refuse(Status status, const char* text) {
  reason = text;
  return status;
}

const char* Reason() { return reason; }

}  // namespace engine
