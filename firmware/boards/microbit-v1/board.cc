// micro:bit v1: an nRF51822. Source: the board's schematic (V1.3 and V1.5), which has three rows of
// nine LEDs, two of them missing.
//
// Of what the maker's start-up code mends, these chips need one thing. The product anomalies 26
// (peripherals are off) and 59 (the debugger finds flash protected) are those of revisions 1 and 2,
// 76 is the nRF51802's, and every micro:bit v1 has an nRF51822-QFAA of revision 3; what mends 26
// would take a part of its peripherals away. Source: Nordic's MDK, system_nrf51.c, nrf51_erratas.h
// and gcc_startup_nrf51.S; micro:bit hardware documentation, 1.3 and 1.5.

#include "boards/common/cortex_m.h"
#include "boards/common/microbit.h"

namespace board {
namespace {

constexpr uint8_t kRowPins[] = {13, 14, 15};
constexpr uint8_t kColumnPins[] = {4, 5, 6, 7, 8, 9, 10, 11, 12};

// nRF51 Series Reference Manual v3.0, chapter 12 (POWER).
constexpr uint32_t kRamOn = 0x40000524;  // RAMON
constexpr uint32_t kBothBlocks = 3;      // ONRAM0, ONRAM1: 8 KB each

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

// A reset by the debugger leaves off what the program before has switched off. The stack is in the
// second block.
void PrepareChip() { Register(kRamOn) = Register(kRamOn) | kBothBlocks; }

}  // namespace board
