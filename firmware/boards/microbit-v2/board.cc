// micro:bit v2: an nRF52833. Source: the board's schematic (V2.0 and V2.2).
//
// From revision 2 on, the chip locks its debug port at each reset, and the interface chip, which
// writes the flash, could get in only by erasing everything. The port stays open if two things say
// so: UICR.APPROTECT, which is kept like flash, and APPROTECT.DISABLE, which the program writes
// after each reset. So this program hands on what UICR says, and leaves UICR alone. Source:
// nRF52833 Product Specification v1.5, 4.4 (FICR), 4.5 (UICR), 4.8 (debug); Nordic's MDK,
// system_nrf52_approtect.h and nrf52_erratas.h (configuration 249).

#include "boards/common/cortex_m.h"
#include "boards/common/microbit.h"

namespace board {
namespace {

constexpr uint8_t kRowPins[] = {21, 22, 15, 24, 19};
constexpr uint8_t kColumnPins[] = {28, 11, 31, 32 + 5, 30};

constexpr uint32_t kPart = 0x10000130;      // where the maker's code looks: 0x0d is the nRF52833
constexpr uint32_t kRevision = 0x10000134;  // 0 and 1 do not lock
constexpr uint32_t kNrf52833 = 0x0d;
constexpr uint32_t kFirstThatLocks = 2;
constexpr uint32_t kUserProtection = 0x10001208;     // UICR.APPROTECT
constexpr uint32_t kProtectionDisable = 0x40000558;  // APPROTECT.DISABLE; 0x5a opens the port

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

void PrepareChip() {
  if (Register(kPart) == kNrf52833 && Register(kRevision) >= kFirstThatLocks) {
    Register(kProtectionDisable) = Register(kUserProtection);
  }
}

}  // namespace board
