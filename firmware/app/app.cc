#include "app/app.h"

#include "app/console.h"
#include "boards/board.h"
#include "model/model.h"
#include "runtime/nearest.h"

namespace app {

namespace {

// What the build decides: see CMakeLists.txt.
constexpr float kInputFrom = INPUT_FROM, kInputTo = INPUT_TO;
constexpr float kOutputFrom = OUTPUT_FROM, kOutputTo = OUTPUT_TO;
static_assert(kInputFrom < kInputTo && kOutputFrom < kOutputTo, "a range must have a width");

}  // namespace

float Input(uint32_t step, uint32_t count) {
  constexpr float kWidth = kInputTo - kInputFrom;
  return kInputFrom + kWidth * static_cast<float>(step) / static_cast<float>(count);
}

uint8_t Brightness(float value) {
  constexpr float kLevels = 255.0f / (kOutputTo - kOutputFrom);
  const int32_t level = Nearest((value - kOutputFrom) * kLevels);
  if (level < 0) return 0;
  return level > 255 ? 255 : static_cast<uint8_t>(level);
}

void Start() {
  board::Init();
  size_t length;
  uint8_t* const arena = board::Arena(&length);
  if (engine::Init(g_model, g_model_len, arena, length) != engine::Status::kOk) {
    Halt(engine::Reason());
  }
  Print("# engine ");
  Print(engine::Name());
  Print(": arena ");
  PrintInteger(static_cast<int32_t>(engine::GetInfo().arena_used));
  Print(" bytes\n");
}

void Halt(const char* reason) {
  Print("# stopped: ");
  Print(reason);
  Print("\n");
  board::Stop(1);
}

}  // namespace app
