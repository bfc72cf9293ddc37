#include "app/console.h"

#include "boards/board.h"

namespace app {
namespace {

void PrintDigits(uint32_t number, int least) {
  char digits[10];
  int count = 0;
  for (; number > 0 || count < least; number /= 10) {
    digits[count++] = static_cast<char>('0' + number % 10);
  }
  while (count > 0) board::Write(digits[--count]);
}

}  // namespace

void Print(const char* text) {
  while (*text != '\0') board::Write(*text++);
}

void PrintInteger(int32_t number) {
  if (number < 0) board::Write('-');
  PrintDigits(number < 0 ? 0u - static_cast<uint32_t>(number) : static_cast<uint32_t>(number), 1);
}

void PrintFixed(float number) {
  constexpr float kLargest = 2147.0f;
  constexpr uint32_t kMillion = 1000000;
  const bool negative = number < 0;
  if (negative) number = -number;
  if (!(number < kLargest)) number = kLargest;
  const uint32_t millionths = static_cast<uint32_t>(number * static_cast<float>(kMillion) + 0.5f);
  if (negative && millionths > 0) board::Write('-');
  PrintDigits(millionths / kMillion, 1);
  board::Write('.');
  PrintDigits(millionths % kMillion, 6);
}

}  // namespace app
