// Text and numbers on the board's console.

#ifndef APP_CONSOLE_H_
#define APP_CONSOLE_H_

#include <stdint.h>

namespace app {

void Print(const char* text);

void PrintInteger(int32_t number);

// Eight digits.
void PrintHexadecimal(uint32_t number);

// Six digits after the point; what does not fit into +-2147 is printed as that.
void PrintFixed(float number);

}  // namespace app

#endif  // APP_CONSOLE_H_
