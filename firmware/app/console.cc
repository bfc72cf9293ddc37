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
  constexpr int32_t kLimit = 1 << 25;  // from there on, float32 knows no single millionths
  const int32_t millionths = Nearest(number * 1000000.0f);
  if (millionths > -kLimit && millionths < kLimit) {
    PrintDigits(static_cast<uint32_t>(millionths), 10, 7, 6);
    return;
  }
  // 2^exponent is the highest power of two in it, 2^5 or more, so its fraction has 18 bits at most.
  uint32_t bits;
  __builtin_memcpy(&bits, &number, 4);
  if (bits >> 31 != 0) board::Write('-');
  uint32_t exponent = (bits >> 23 & 0xff) - 127;
  uint32_t mantissa = bits << 8 | 0x80000000;
  if (exponent > 30) {
    exponent = 30;
    mantissa = 0xfffffffe;  // INT32_MAX, and no fraction
  }
  PrintInteger(static_cast<int32_t>(mantissa >> (31 - exponent)));
  board::Write('.');
  const uint32_t fraction = mantissa << (exponent + 1) >> 14;
  PrintDigits((fraction * 15625 + 2048) >> 12, 10, 6, kNoPoint);  // 10^6 / 2^18 = 15625 / 2^12
}

}  // namespace app
