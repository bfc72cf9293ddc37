// TFLM as its examples use it, behind the firmware's interface: one operator, no check of the
// model. What firmware/engine/tflm adds to that, it adds for safety.

#include <string.h>

#include <new>

#include "engine/predictor.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

extern "C" void abort() { __builtin_trap(); }  // in place of newlib's, which needs a system

namespace engine {
namespace {

using Resolver = tflite::MicroMutableOpResolver<1>;

// Not as globals: nobody would call their constructors.
alignas(Resolver) uint8_t g_resolver[sizeof(Resolver)];
alignas(tflite::MicroInterpreter) uint8_t g_interpreter[sizeof(tflite::MicroInterpreter)];
tflite::MicroInterpreter* interpreter;
Info info;
const char* reason = "";

}  // namespace

Status Init(const uint8_t* model, size_t, uint8_t* arena, size_t arena_length) {
  auto* const resolver = new (g_resolver) Resolver();
  if (resolver->AddFullyConnected() != kTfLiteOk) {
    return Refuse(Status::kUnsupportedModel, "no operator");
  }
  interpreter = new (g_interpreter)
      tflite::MicroInterpreter(tflite::GetModel(model), *resolver, arena, arena_length);
  if (interpreter->AllocateTensors() != kTfLiteOk) {
    return Refuse(Status::kUnsupportedModel, "AllocateTensors failed");
  }
  const TfLiteTensor& input = *interpreter->input(0);
  const TfLiteTensor& output = *interpreter->output(0);
  info = {input.bytes,
          output.bytes,
          interpreter->arena_used_bytes(),
          true,
          input.params.scale,
          output.params.scale,
          input.params.zero_point,
          output.params.zero_point};
  return Status::kOk;
}

Status Invoke(const int8_t* input, int8_t* output) {
  memcpy(interpreter->input(0)->data.int8, input, info.inputs);
  if (interpreter->Invoke() != kTfLiteOk) return Refuse(Status::kUnsupportedModel, "Invoke failed");
  memcpy(output, interpreter->output(0)->data.int8, info.outputs);
  return Status::kOk;
}

Status InvokeFloat(const float*, float*) {
  return Refuse(Status::kUnsupportedModel, "the model is int8");
}

const Info& GetInfo() { return info; }

const char* Name() { return "tflm"; }

Status Refuse(Status status, const char* text) {
  reason = text;
  return status;
}

const char* Reason() { return reason; }

}  // namespace engine
