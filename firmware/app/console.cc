#include "app/console.h"

#include "boards/board.h"
#include "runtime/nearest.h"

namespace app {
namespace {

constexpr uint32_t kNoPoint = 0xffffffff;

// At least `least` characters, one of which is a point in front of the last `point` digits.
[[gnu::noinline]] void PrintDigits(uint32_t number, uint32_t base, uint32_t least,
                                   uint32_t point = kNoPoint) {
  char characters[11];
  uint32_t count = 0;
  do {
    if (count == point) characters[count++] = '.';
    const uint32_t digit = number % base;
    characters[count++] = static_cast<char>(digit + (digit < 10 ? '0' : 'a' - 10));
    number /= base;
  } while (number > 0 || count < least);
  while (count > 0) board::Write(characters[--count]);
}

[[gnu::noinline]] void PrintSigned(int32_t number, uint32_t least, uint32_t point) {
  uint32_t magnitude = static_cast<uint32_t>(number);
  if (number < 0) {
    board::Write('-');
    magnitude = 0 - magnitude;
  }
  PrintDigits(magnitude, 10, least, point);
}

}  // namespace

void Print(const char* text) {
  while (*text != '\0') board::Write(*text++);
}

void PrintInteger(int32_t number) { PrintSigned(number, 1, kNoPoint); }

void PrintHexadecimal(uint32_t number) { PrintDigits(number, 16, 8); }

void PrintFixed(float number) {
  PrintSigned(Nearest(number * 1000000.0f), 8, 6);
}

}  // namespace app
