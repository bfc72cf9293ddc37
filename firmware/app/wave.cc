// The application: it goes through its range of inputs again and again, one turn of the sine if
// nothing else is said, with a line and an LED brightness for each.

#include "app/app.h"
#include "app/console.h"
#include "boards/board.h"

namespace {

constexpr uint32_t kInferencesPerCycle = INFERENCES_PER_CYCLE;
constexpr uint32_t kCycles = CYCLES;  // 0: for ever

void Step(uint32_t step) {
  const float x = app::Input(step, kInferencesPerCycle);
  float y;
  if (engine::Predict(x, &y) != engine::Status::kOk) app::Halt(engine::Reason());
  const uint8_t led = app::Brightness(y);
  board::SetLed(led);
  app::PrintFixed(x);
  board::Write(',');
  app::PrintFixed(y);
  board::Write(',');
  app::PrintInteger(led);
  board::Write('\n');
}

}  // namespace

int main() {
  app::Start();
  app::Print("x,y,led\n");
  for (uint32_t cycle = 0; kCycles == 0 || cycle < kCycles; ++cycle) {
    for (uint32_t step = 0; step < kInferencesPerCycle; ++step) {
      board::WaitForTick();
      Step(step);
    }
  }
  app::Print("# end\n");
  board::Stop(0);
}
