// How a micro:bit's pins are wired: what the two versions of the board differ in.

#ifndef BOARDS_COMMON_MICROBIT_H_
#define BOARDS_COMMON_MICROBIT_H_

#include <stdint.h>

namespace board {

constexpr uint32_t kSide = 5;  // LEDs in each direction

// Pins are numbered through: 32 * port + pin. An LED lights up when its row's pin is high and its
// column's pin is low. Rows and columns of the wiring need not be those that one sees.
struct Matrix {
  const uint8_t* row_pins;
  uint32_t rows;
  const uint8_t* column_pins;
  uint32_t columns;
  // Of the LED in line y from the top, place x from the left: 16 * row + column.
  uint8_t wiring[kSide][kSide];
};

// Both are defined in the board.cc of each version.
extern const Matrix kMatrix;
extern const uint32_t kTransmitPin;  // the UART's, to the interface chip

}  // namespace board

#endif  // BOARDS_COMMON_MICROBIT_H_
