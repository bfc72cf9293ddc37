// What both programs, wave and sweep, share.

#ifndef APP_APP_H_
#define APP_APP_H_

#include <stdint.h>

#include "engine/predictor.h"

namespace app {

// Inputs of one cycle: x runs over [INPUT_FROM, INPUT_TO) in `count` equal steps. step is in
// [0, count).
float Input(uint32_t step, uint32_t count);

// How bright the LED is for a predicted value: OUTPUT_FROM is dark, OUTPUT_TO is brightest, linear
// in between.
uint8_t Brightness(float value);

// Brings up the board and the engine with the model that is linked in, and says so on the console.
// Does not return if the engine refuses the model.
void Start();

// Says why on the console, as "# stopped: ...", and stops.
[[noreturn]] void Halt(const char* reason);

}  // namespace app

#endif  // APP_APP_H_
