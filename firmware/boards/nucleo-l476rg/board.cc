// ST Nucleo-L476RG: an STM32L476RG, a Cortex-M4 with FPU. Its console is USART2, which the ST-LINK
// on the same board passes on to USB; its LED is LD2.
//
// Clocks: after reset everything runs from MSI, an RC oscillator at 4 MHz. Here it is switched to
// HSI16, an RC oscillator at 16 MHz that the factory has trimmed to 1 %, close enough for a UART:
//
//     HSI16, 16 MHz --> SYSCLK --> HCLK (core, SysTick) --> PCLK1 (USART2, TIM2)
//
// with every prescaler at 1, its value after reset. At 16 MHz flash needs no wait states, so
// nothing else has to change. The PLL would make 80 MHz of it, which nobody would see.
//
// Sources: ST RM0351, chapters 6 (RCC), 8 (GPIO), 31 (TIM2 to TIM5) and 40 (USART); STM32L476xx
// datasheet DS10198, tables of alternate functions; UM1724, LD2 and the virtual COM port.

#include "boards/board.h"

#include "boards/common/cortex_m.h"

namespace {

using board::Register;

constexpr uint32_t kClockHz = 16000000;
constexpr uint32_t kBaud = 115200;

// RM0351, 6.4: RCC registers.
constexpr uint32_t kRcc = 0x40021000;
constexpr uint32_t kRccCr = kRcc + 0x00;
constexpr uint32_t kRccCfgr = kRcc + 0x08;
constexpr uint32_t kRccAhb2Enr = kRcc + 0x4c;
constexpr uint32_t kRccApb1Enr1 = kRcc + 0x58;
constexpr uint32_t kHsiOn = 1 << 8;
constexpr uint32_t kHsiReady = 1 << 10;
constexpr uint32_t kSwMask = 3 << 0;
constexpr uint32_t kSwHsi = 1 << 0;
constexpr uint32_t kSwsHsi = 1 << 2;
constexpr uint32_t kGpioAEnable = 1 << 0;
constexpr uint32_t kTim2Enable = 1 << 0;
constexpr uint32_t kUsart2Enable = 1 << 17;

// RM0351, chapter 8: two bits of MODER and four of AFRL for each pin.
constexpr uint32_t kGpioA = 0x48000000;
constexpr uint32_t kModer = kGpioA + 0x00;
constexpr uint32_t kAfrl = kGpioA + 0x20;
constexpr uint32_t kAlternate = 2;
constexpr uint32_t kTransmitPin = 2;  // USART2_TX is alternate function 7
constexpr uint32_t kReceivePin = 3;   // USART2_RX too
constexpr uint32_t kLedPin = 5;       // TIM2_CH1 is alternate function 1

// RM0351, chapter 40.
constexpr uint32_t kUsart2 = 0x40004400;
constexpr uint32_t kUsartCr1 = kUsart2 + 0x00;
constexpr uint32_t kUsartBrr = kUsart2 + 0x0c;
constexpr uint32_t kUsartIsr = kUsart2 + 0x1c;
constexpr uint32_t kUsartTdr = kUsart2 + 0x28;
constexpr uint32_t kUsartEnable = 1 << 0;
constexpr uint32_t kReceiverEnable = 1 << 2;
constexpr uint32_t kTransmitterEnable = 1 << 3;
constexpr uint32_t kTransmitterEmpty = 1 << 7;

// RM0351, chapter 31.
constexpr uint32_t kTim2 = 0x40000000;
constexpr uint32_t kTimCr1 = kTim2 + 0x00;
constexpr uint32_t kTimEgr = kTim2 + 0x14;
constexpr uint32_t kTimCcmr1 = kTim2 + 0x18;
constexpr uint32_t kTimCcer = kTim2 + 0x20;
constexpr uint32_t kTimPsc = kTim2 + 0x28;
constexpr uint32_t kTimArr = kTim2 + 0x2c;
constexpr uint32_t kTimCcr1 = kTim2 + 0x34;
constexpr uint32_t kCounterEnable = 1 << 0;
constexpr uint32_t kUpdate = 1 << 0;
constexpr uint32_t kPwmMode1 = 6 << 4;
constexpr uint32_t kPreload1 = 1 << 3;
constexpr uint32_t kOutput1Enable = 1 << 0;

void StartClock() {
  Register(kRccCr) = Register(kRccCr) | kHsiOn;
  board::WaitForBits(kRccCr, kHsiReady);
  Register(kRccCfgr) = (Register(kRccCfgr) & ~kSwMask) | kSwHsi;
  board::WaitForBits(kRccCfgr, kSwsHsi);
}

void StartPeripherals() {
  Register(kRccAhb2Enr) = Register(kRccAhb2Enr) | kGpioAEnable;
  Register(kRccApb1Enr1) = Register(kRccApb1Enr1) | kTim2Enable | kUsart2Enable;
  // A peripheral answers two cycles after its clock came on; reading back takes as long.
  const uint32_t read_back = Register(kRccApb1Enr1);
  static_cast<void>(read_back);
}

void SetFunction(uint32_t pin, uint32_t function) {
  Register(kAfrl) = (Register(kAfrl) & ~(15u << 4 * pin)) | function << 4 * pin;
  Register(kModer) = (Register(kModer) & ~(3u << 2 * pin)) | kAlternate << 2 * pin;
}

void StartConsole() {
  SetFunction(kTransmitPin, 7);
  SetFunction(kReceivePin, 7);
  Register(kUsartBrr) = (kClockHz + kBaud / 2) / kBaud;
  Register(kUsartCr1) = kTransmitterEnable | kReceiverEnable | kUsartEnable;
}

// 16 MHz / 16 / 255: the LED goes on and off 3,900 times a second.
void StartLed() {
  Register(kTimPsc) = 15;
  Register(kTimArr) = 254;
  Register(kTimCcr1) = 0;
  Register(kTimCcmr1) = kPwmMode1 | kPreload1;
  Register(kTimCcer) = kOutput1Enable;
  Register(kTimEgr) = kUpdate;  // the prescaler's preload takes effect
  Register(kTimCr1) = kCounterEnable;
  SetFunction(kLedPin, 1);
}

}  // namespace

namespace board {

void Init() {
  StartPeripherals();
  StartLed();
  StartSysTick(kClockHz);
  StartClock();
  StartConsole();
  console_is_ready = true;
}

void Write(char character) {
  WaitForBits(kUsartIsr, kTransmitterEmpty);
  Register(kUsartTdr) = static_cast<uint8_t>(character);
}

// On while the counter, 0 to 254, is below this.
void SetLed(uint8_t brightness) { Register(kTimCcr1) = brightness; }

void WaitForTick() { WaitForSysTick(); }

}  // namespace board
