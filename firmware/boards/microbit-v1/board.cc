// micro:bit v1: an nRF51822. Source: the board's schematic (V1.3 and V1.5), which has three rows of
// nine LEDs, two of them missing.

#include "boards/common/microbit.h"

namespace board {
namespace {

constexpr uint8_t kRowPins[] = {13, 14, 15};
constexpr uint8_t kColumnPins[] = {4, 5, 6, 7, 8, 9, 10, 11, 12};

}  // namespace

const Matrix kMatrix = {kRowPins,
                        sizeof(kRowPins),
                        kColumnPins,
                        sizeof(kColumnPins),
                        {{0x00, 0x13, 0x01, 0x14, 0x02},
                         {0x23, 0x24, 0x25, 0x26, 0x27},
                         {0x11, 0x08, 0x12, 0x28, 0x10},
                         {0x07, 0x06, 0x05, 0x04, 0x03},
                         {0x22, 0x16, 0x20, 0x15, 0x21}}};

const uint32_t kTransmitPin = 24;

}  // namespace board
