// libFuzzer target: whatever bytes come as a model, Init() refuses them with a reason, or the
// inferences stay inside model and arena, and give the same answers whatever the memory held.
//
//   clang++ -std=c++17 -g -O1 -fsanitize=fuzzer,address,undefined -Ifirmware
//     firmware/tests/fuzz_engine.cc firmware/engine/{,compact/,compact/kernels/fully_connected}*.cc
//     -o fuzz_engine
//
// The input is a model and four bytes: where the model lies, where the arena lies, and the arena's
// length in units of 16 bytes, 0 for kArena. The largest arena is enough for layers whose sizes in
// bytes leave 32 bits.

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <memory>
#include <vector>

#include "engine/compact/limits.h"
#include "engine/predictor.h"

namespace {

using engine::GetInfo;
using engine::Status;

constexpr size_t kArena = 16 * 1024;
constexpr size_t kControls = 4;

void Check(bool holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "does not hold: %s (reason: %s)\n", what, engine::Reason());
  abort();
}

// A call's status, after a look at the reason.
Status Said(Status status) {
  Check((*engine::Reason() == '\0') == (status == Status::kOk), "a reason if and only if refused");
  return status;
}

// A heap block of exactly `size` bytes behind `offset` others, so that ASan sees what lies outside.
struct Block {
  Block(size_t size, size_t offset, uint8_t filling)
      : memory(new uint8_t[size + offset]), begin(memory.get() + offset) {
    memset(memory.get(), filling, size + offset);
  }
  std::unique_ptr<uint8_t[]> memory;
  uint8_t* begin;
};

template <typename T>
std::vector<T> Infer(Status (*invoke)(const T*, T*), uint8_t filling) {
  const engine::Info& info = GetInfo();
  std::vector<T> answers;
  for (int round = 0; round < 3; ++round) {
    Block input(info.inputs * sizeof(T), 0, 0), output(info.outputs * sizeof(T), 0, filling);
    T* values = reinterpret_cast<T*>(input.begin);
    for (uint32_t i = 0; i < info.inputs; ++i) {
      values[i] = static_cast<T>(static_cast<int>(i * 37 + round * 127) % 256 - 128);
    }
    T* results = reinterpret_cast<T*>(output.begin);
    Check(Said(invoke(values, results)) == Status::kOk, "an accepted model infers");
    answers.insert(answers.end(), results, results + info.outputs);
  }
  return answers;
}

// The answers' bytes, for a model and an arena full of `filling`; empty if Init() refuses.
std::vector<uint8_t> Run(const uint8_t* model, size_t length, uint8_t* arena, size_t arena_length,
                         uint8_t filling) {
  memset(arena, filling, arena_length);
  const Status status = Said(engine::Init(model, length, arena, arena_length));
  float value = 0;
  int8_t code = 0;
  if (status != Status::kOk) {
    Check(Said(engine::Predict(1, &value)) == Status::kNotInitialized,
          "a refused model does not predict");
    Check(Said(engine::Invoke(&code, &code)) == Status::kNotInitialized,
          "a refused model does not run");
    return {};
  }
  const engine::Info info = GetInfo();
  Check(info.inputs > 0 && info.outputs > 0 && info.arena_used <= arena_length, "plausible Info");
  Check(info.inputs <= engine::kMostValues && info.outputs <= engine::kMostValues, "narrow enough");
  std::vector<uint8_t> bytes;
  if (info.is_int8) {
    const std::vector<int8_t> answers = Infer<int8_t>(engine::Invoke, filling);
    bytes.assign(answers.begin(), answers.end());
    float wrong_type = 0;
    Check(Said(engine::InvokeFloat(&wrong_type, &wrong_type)) != Status::kOk,
          "int8 is not float32");
  } else {
    const std::vector<float> answers = Infer<float>(engine::InvokeFloat, filling);
    bytes.resize(answers.size() * sizeof(float));
    memcpy(bytes.data(), answers.data(), bytes.size());
    Check(Said(engine::Invoke(&code, &code)) != Status::kOk, "float32 is not int8");
  }
  const bool scalar = info.inputs == 1 && info.outputs == 1;
  // Not a number: refused, and no reason is left behind for what follows.
  Check(Said(engine::Predict(__builtin_nanf(""), &value)) == Status::kInputOutOfRange, "NaN");
  const Status predicted = Said(engine::Predict(1.5f, &value));
  Check(predicted == (scalar ? Status::kOk : Status::kNotScalar), "Predict() for scalars only");
  bytes.push_back(1);  // not empty
  Check(Said(engine::Init(model, length, arena, arena_length)) == Status::kOk, "accepted again");
  return bytes;
}

}  // namespace

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

// Inserted or deleted bytes move everything behind them, so that offsets lead astray and the model
// is refused at once. Three times out of four, one number of 1, 2, 4 or 8 bytes changes in place.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  const size_t width = size_t{1} << (seed >> 2 & 3);
  if (seed % 4 == 0 || size < width) return LLVMFuzzerMutate(data, size, max_size);
  const size_t place = (seed >> 4) % (size / width) * width;
  LLVMFuzzerMutate(data + place, width, width);
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kControls) return -1;
  const size_t length = size - kControls;
  const uint8_t* controls = data + length;
  const size_t asked = (controls[2] | controls[3] << 8) * 16;
  const size_t arena_length = asked == 0 ? kArena : asked;
  Block model(length, controls[0] % 16, 0), arena(arena_length, controls[1] % 16, 0);
  if (length > 0) memcpy(model.begin, data, length);
  const auto first = Run(model.begin, length, arena.begin, arena_length, 0x00);
  if (first.empty()) return 0;
  const auto second = Run(model.begin, length, arena.begin, arena_length, 0xff);
  Check(first == second, "answers depend on the model only");
  Check(memcmp(model.begin, data, length) == 0, "the model is not written to");
  return 0;
}
