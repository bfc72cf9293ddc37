// The first 256 bytes of the Pico's flash. After reset flash cannot be executed yet: the boot ROM
// reads these bytes slowly, checks that the last four are the CRC of the others, copies them to
// RAM and jumps there. What they have to do is to make the flash appear at 0x10000000 (XIP), and
// to start the firmware that follows, by its vector table.
//
// That is a handful of writes to registers, so the stage is a loop over a table of them. It is
// given as machine code, because then the compiler can compute the CRC too.
//
// Every access that misses the cache of 16 KB becomes a plain read, command 03h, which any serial
// flash understands. Reading four bits at a time would be some four times faster, and would take
// commands of the particular flash chip; the firmware fits into the cache anyway.
//
// Source: RP2040 datasheet (sections of the edition of 2025), 2.8.1 (boot sequence, CRC), 4.10
// (SSI); W25Q16JV datasheet, 8.2 (read data, 03h, up to 50 MHz); ARMv6-M Architecture Reference
// Manual, A6.7 (encodings), B3.2.5 (VTOR).

#include <stdint.h>

namespace {

constexpr uint32_t kBytes = 256;
constexpr uint32_t kFlash = 0x10000000;

constexpr uint16_t kCode[] = {
    0xa005,          //         adr   r0, table
    0x2307,          //         movs  r3, #7         the number of writes
    0xc806,          // next:   ldmia r0!, {r1, r2}  address, value
    0x600a,          //         str   r2, [r1]
    0x3b01,          //         subs  r3, #1
    0xd1fb,          //         bne   next
    0x6800,          //         ldr   r0, [r0]       the word behind the table: the vector table
    0xc806,          //         ldmia r0!, {r1, r2}  initial stack, reset handler
    0xf381, 0x8808,  //         msr   msp, r1
    0x4710,          //         bx    r2
    0xbf00,          //         nop                  table: is aligned to 4 bytes
};

// 4.10.13: the SSI, which talks to the flash.
constexpr uint32_t kSsi = 0x18000000;
constexpr uint32_t kSsiCtrlr0 = kSsi + 0x00;
constexpr uint32_t kSsiCtrlr1 = kSsi + 0x04;
constexpr uint32_t kSsiEnable = kSsi + 0x08;
constexpr uint32_t kSsiBaudRate = kSsi + 0x14;
constexpr uint32_t kSsiSpiCtrlr0 = kSsi + 0xf4;
constexpr uint32_t kVectorTableOffset = 0xe000ed08;

constexpr uint32_t kFrameOf32Bits = 31 << 16;   // DFS_32
constexpr uint32_t kReadAfterWrite = 3 << 8;    // TMOD: send command and address, receive the data
constexpr uint32_t kCommandRead = 0x03u << 24;  // XIP_CMD
constexpr uint32_t kCommandOf8Bits = 2 << 8;    // INST_L
constexpr uint32_t kAddressOf24Bits = 6 << 2;   // ADDR_L, in units of 4 bits

constexpr uint32_t kWrites[][2] = {
    {kSsiEnable, 0},    // it can only be configured while it is off
    {kSsiBaudRate, 2},  // half the core's clock, the fastest there is
    {kSsiCtrlr0, kFrameOf32Bits | kReadAfterWrite},
    {kSsiSpiCtrlr0, kCommandRead | kCommandOf8Bits | kAddressOf24Bits},
    {kSsiCtrlr1, 0},  // one frame for each access
    {kSsiEnable, 1},
    {kVectorTableOffset, kFlash + kBytes},
};

struct Stage {
  uint32_t words[kBytes / 4];
};

// CRC-32 with the polynomial 0x04c11db7, from all ones, highest bit first, not inverted at the end.
constexpr uint32_t Crc(const uint32_t* words, uint32_t count) {
  uint32_t crc = 0xffffffff;
  for (uint32_t i = 0; i < 4 * count; ++i) {
    crc ^= (words[i / 4] >> 8 * (i % 4)) << 24;
    for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ (crc >> 31 != 0 ? 0x04c11db7 : 0);
  }
  return crc;
}

constexpr Stage MakeStage() {
  Stage stage = {};
  uint32_t* word = stage.words;
  for (uint32_t i = 0; i < sizeof(kCode) / 2; i += 2) {
    *word++ = kCode[i] | static_cast<uint32_t>(kCode[i + 1]) << 16;
  }
  for (const auto& write : kWrites) {
    *word++ = write[0];
    *word++ = write[1];
  }
  *word++ = kFlash + kBytes;
  stage.words[kBytes / 4 - 1] = Crc(stage.words, kBytes / 4 - 1);
  return stage;
}

static_assert(kCode[1] == (0x2300 | sizeof(kWrites) / sizeof(kWrites[0])), "count of the writes");
static_assert(sizeof(kCode) == 4 + 4 * (kCode[0] & 0xff), "address of the table");

[[gnu::section(".boot_stage"), gnu::used]] constexpr Stage kBootStage = MakeStage();

}  // namespace
