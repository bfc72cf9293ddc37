// The same application as a program on the desktop: the console is stdout, and there is no LED.

#include "boards/board.h"

#include <stdio.h>
#include <stdlib.h>

namespace {
alignas(16) uint8_t arena[1 << 20];
}

namespace board {

void Init() {}

void Write(char character) { putchar(character); }

void SetLed(uint8_t) {}

void WaitForTick() {}

uint8_t* Arena(size_t* length) {
  *length = sizeof(arena);
  return arena;
}

void Stop(int exit_code) { exit(exit_code); }

}  // namespace board
