// Every answer of an int8 model, for comparison with another runtime: all 256 codes of a single
// input, or a fixed sequence of pseudo-random codes for several.

#include "app/app.h"
#include "app/console.h"
#include "boards/board.h"

namespace {

constexpr uint32_t kMostValues = 64;
constexpr uint32_t kVectors = 512;  // for several inputs

// "name", or "name0", "name1", ... if there are several, with commas between.
void PrintHeader(const char* name, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) app::Print(",");
    app::Print(name);
    if (count > 1) app::PrintInteger(static_cast<int32_t>(i));
  }
}

void PrintCodes(const int8_t* codes, uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (i > 0) app::Print(",");
    app::PrintInteger(codes[i]);
  }
}

// A linear congruential generator; the constants are those of Numerical Recipes.
int8_t NextCode() {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return static_cast<int8_t>(state >> 24);
}

}  // namespace

int main() {
  app::Start();
  const engine::Info& info = engine::GetInfo();
  if (!info.is_int8) app::Halt("a sweep needs an int8 model");
  if (info.inputs > kMostValues || info.outputs > kMostValues) {
    app::Halt("a sweep takes 64 inputs and 64 outputs at most");
  }
  PrintHeader("q_in", info.inputs);
  app::Print(",");
  PrintHeader("q_out", info.outputs);
  app::Print("\n");
  const bool single = info.inputs == 1;
  for (uint32_t vector = 0; vector < (single ? 256 : kVectors); ++vector) {
    int8_t input[kMostValues], output[kMostValues];
    for (uint32_t i = 0; i < info.inputs; ++i) {
      input[i] = single ? static_cast<int8_t>(static_cast<int32_t>(vector) - 128) : NextCode();
    }
    if (engine::Invoke(input, output) != engine::Status::kOk) app::Halt(engine::Reason());
    PrintCodes(input, info.inputs);
    app::Print(",");
    PrintCodes(output, info.outputs);
    app::Print("\n");
  }
  app::Print("# end\n");
  board::Stop(0);
}
