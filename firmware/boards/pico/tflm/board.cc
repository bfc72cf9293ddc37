// Raspberry Pi Pico by way of its SDK: the same console, LED and pace as ../board.cc.

#include "boards/board.h"

#include <hardware/gpio.h>
#include <hardware/pwm.h>
#include <hardware/uart.h>
#include <pico/time.h>

namespace {

constexpr uint32_t kBaud = 115200;
constexpr uint32_t kTransmitPin = 0;
constexpr uint32_t kReceivePin = 1;
constexpr uint32_t kLedPin = 25;
constexpr int64_t kTickMicroseconds = 20000;

alignas(16) uint8_t arena[16384];
absolute_time_t next_tick;

}  // namespace

namespace board {

void Init() {
  uart_init(uart0, kBaud);
  gpio_set_function(kTransmitPin, GPIO_FUNC_UART);
  gpio_set_function(kReceivePin, GPIO_FUNC_UART);
  pwm_config config = pwm_get_default_config();
  pwm_config_set_clkdiv_int(&config, 16);
  pwm_config_set_wrap(&config, 254);
  pwm_init(pwm_gpio_to_slice_num(kLedPin), &config, true);
  gpio_set_function(kLedPin, GPIO_FUNC_PWM);
  next_tick = get_absolute_time();
}

void Write(char character) { uart_putc_raw(uart0, character); }

void SetLed(uint8_t brightness) { pwm_set_gpio_level(kLedPin, brightness); }

void WaitForTick() {
  next_tick = delayed_by_us(next_tick, kTickMicroseconds);
  busy_wait_until(next_tick);
}

uint8_t* Arena(size_t* length) {
  *length = sizeof(arena);
  return arena;
}

void Stop(int exit_code) {
  // After a failure the LED blinks, half a second on, half a second off, for ever.
  for (uint8_t brightness = 255;; brightness = static_cast<uint8_t>(~brightness)) {
    if (exit_code != 0) SetLed(brightness);
    busy_wait_ms(500);
  }
}

}  // namespace board
