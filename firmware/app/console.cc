#include "app/console.h"

#include "boards/board.h"
#include "runtime/nearest.h"

namespace app {
namespace {

constexpr uint32_t kNoPoint = 0xffffffff;

// At least `least` digits, with a point in front of the last `point`. Decimal numbers have a sign.
[[gnu::noinline]] void PrintDigits(uint32_t number, uint32_t base, uint32_t least, uint32_t point) {
  if (base == 10 && static_cast<int32_t>(number) < 0) {
    board::Write('-');
    number = 0 - number;
  }
  char text[12];  // ten digits, the point and the end
  char* begin = text + sizeof(text) - 1;
  *begin = '\0';
  uint32_t count = 0;
  do {
    if (count++ == point) *--begin = '.';
    const uint32_t digit = number % base;
    *--begin = static_cast<char>(digit + (digit < 10 ? '0' : 'a' - 10));
    number /= base;
  } while (number > 0 || count < least);
  Print(begin);
}

}  // namespace

void Print(const char* text) {
  while (*text != '\0') board::Write(*text++);
}

void PrintInteger(int32_t number) { PrintDigits(static_cast<uint32_t>(number), 10, 1, kNoPoint); }

void PrintHexadecimal(uint32_t number) { PrintDigits(number, 16, 8, kNoPoint); }

void PrintFixed(float number) {
  PrintDigits(static_cast<uint32_t>(Nearest(number * 1000000.0f)), 10, 7, 6);
}

}  // namespace app
