// What a board has to offer. A board knows nothing of models; the app knows nothing of registers.

#ifndef BOARDS_BOARD_H_
#define BOARDS_BOARD_H_

#include <stddef.h>
#include <stdint.h>

namespace board {

// Clocks, console and LED, once, before anything else.
void Init();

// One character to the console. Waits until the console can take it.
void Write(char character);

// 0 is dark, 255 is as bright as the LED gets.
void SetLed(uint8_t brightness);

// Returns when it is time for the next inference.
void WaitForTick();

// Memory that nobody else uses, for the engine. Aligned to 16 bytes.
uint8_t* Arena(size_t* length);

// The program has said what it had to say. Stops for good; where someone started it, it returns
// to them with this exit code. After a failure the LED shows it.
[[noreturn]] void Stop(int exit_code);

}  // namespace board

#endif  // BOARDS_BOARD_H_
