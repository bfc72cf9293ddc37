// micro:bit v2: an nRF52833. Source: the board's schematic (V2.0 and V2.2).

#include "boards/common/microbit.h"

namespace board {
namespace {

constexpr uint8_t kRowPins[] = {21, 22, 15, 24, 19};
constexpr uint8_t kColumnPins[] = {28, 11, 31, 32 + 5, 30};

}  // namespace

const Matrix kMatrix = {kRowPins,
                        sizeof(kRowPins),
                        kColumnPins,
                        sizeof(kColumnPins),
                        {{0x00, 0x01, 0x02, 0x03, 0x04},
                         {0x10, 0x11, 0x12, 0x13, 0x14},
                         {0x20, 0x21, 0x22, 0x23, 0x24},
                         {0x30, 0x31, 0x32, 0x33, 0x34},
                         {0x40, 0x41, 0x42, 0x43, 0x44}}};

const uint32_t kTransmitPin = 6;

}  // namespace board
