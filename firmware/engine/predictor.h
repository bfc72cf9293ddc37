// The one interface that the application knows of an inference engine.
//
// Two engines implement it: compact/ (no dependency) and tflm/ (TensorFlow Lite for
// Microcontrollers). Which one is linked is decided when the firmware is built, so there are no
// virtual calls and there is one model at a time.

#ifndef ENGINE_PREDICTOR_H_
#define ENGINE_PREDICTOR_H_

#include <stddef.h>
#include <stdint.h>

namespace engine {

// Why a call did not do its job. Reason() says it in words.
enum class Status : uint8_t {
  kOk,
  kNotInitialized,    // Init() was not called, or failed
  kMalformedModel,    // an offset, a length or a size in the model leads outside of it
  kUnsupportedModel,  // a whole model, but with an operator, a type or a shape not built in
  kArenaTooSmall,     // the model needs more working memory than the board gives
  kNotScalar,         // Predict() needs one input and one output value
  kInputOutOfRange,   // not a finite number
};

// What an initialized model looks like and what it takes.
struct Info {
  uint32_t inputs;      // values per inference that go in
  uint32_t outputs;     // values per inference that come out
  uint32_t arena_used;  // bytes of the arena
  bool is_int8;         // int8 model; else float32
  float input_scale;    // int8: real = (q - zero_point) * scale
  float output_scale;
  int32_t input_zero_point;
  int32_t output_zero_point;
};

// Takes a TensorFlow Lite flatbuffer, which stays where it is, and working memory, the arena.
// Both must outlive the engine's use. Nothing in the model is trusted: a model that cannot be run
// is refused, with a reason.
Status Init(const uint8_t* model, size_t model_length, uint8_t* arena, size_t arena_length);

// One inference in real units, those of the data that the model was trained on. For int8 models it
// quantizes the input (round to nearest, ties to even, then clip) and dequantizes the output, as
// the course does in Python. For models with one input and one output value.
Status Predict(float x, float* y);

// The raw step of an int8 model: info.inputs codes in, info.outputs codes out.
Status Invoke(const int8_t* input, int8_t* output);

// The same for a float32 model.
Status InvokeFloat(const float* input, float* output);

// What the last Init() found. Meaningful after kOk only.
const Info& GetInfo();

// Why the last call did not do its job, for a person: "unsupported operator CONV_2D". Empty after
// kOk, whatever was before.
const char* Reason();

// Notes a reason and returns the status. For what the engines share; an app has no need of it.
Status Refuse(Status status, const char* reason);

// "compact" or "tflm".
const char* Name();

}  // namespace engine

#endif  // ENGINE_PREDICTOR_H_
