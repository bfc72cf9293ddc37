// A neural network as plain C: 1 -> 16 -> 16 -> 1 values, in int8.
//
// Made by `workshop export c` from a TensorFlow Lite model of 3,464 bytes,
// SHA-256 025a811ecac3e968415f402b286b8e4faf942e1f45c8946259549023fb545b2b.
// Do not edit: make it anew. Its numbers take 612 bytes, and what flows between layers takes 32
// bytes of stack.
//
// model_run() takes and gives int8 codes, each of which stands for (code - zero point) * scale;
// model_predict() takes and gives real numbers. What they read and what they write must not
// overlap. Sums are rounded as TensorFlow Lite for Microcontrollers rounds them. This is C99 and
// C++11, and nothing in it changes while it runs.

#ifndef MODEL_H_
#define MODEL_H_

#include <stdint.h>

#ifdef __AVR__  // keeps constants in flash and reads them with instructions of their own
#include <avr/pgmspace.h>
#define MODEL_FLASH PROGMEM
#define MODEL_INT8(pointer) ((int8_t)pgm_read_byte(pointer))
#define MODEL_INT32(pointer) ((int32_t)pgm_read_dword(pointer))
#else
#define MODEL_FLASH
#define MODEL_INT8(pointer) (*(pointer))
#define MODEL_INT32(pointer) (*(pointer))
#endif
#if defined(__ARM_FEATURE_SIMD32) && defined(__has_builtin)  // as on Cortex-M4, M7 and M33
#if __has_builtin(__builtin_arm_smlad)  // not in GCC before 10, which Arduino's older cores bring
#define MODEL_SIMD
#endif
#endif
#ifdef MODEL_SIMD
#define MODEL_ALIGNED __attribute__((aligned(4)))
typedef uint32_t model_word __attribute__((may_alias));
#else
#define MODEL_ALIGNED
#endif

#define MODEL_INPUTS 1
#define MODEL_OUTPUTS 1
#define MODEL_INPUT_SCALE 3.6313725f
#define MODEL_INPUT_ZERO_POINT (-128)
#define MODEL_OUTPUT_SCALE 0.4633646f
#define MODEL_OUTPUT_ZERO_POINT (-86)

// A line per neuron: its bias, which the zero point of its inputs is folded into, in layers with
// a scale per neuron its multiplier and shifts, and its weights.
static const struct {
  int32_t bias;
  int32_t multiplier;
  int8_t weights[1];
  int8_t shift;
} model_layer1[16] MODEL_FLASH = {
    {-10826, 1289875817, {-127}, 6},
    {14057, 1340665310, {127}, 7},
    {13994, 1163474267, {127}, 6},
    {-14751, 1896825240, {-127}, 8},
    {-5535, 1708429444, {-127}, 6},
    {-15590, 1528425411, {-127}, 7},
    {-20981, 1835481149, {-127}, 10},
    {-1262, 1632154047, {-127}, 6},
    {487, 1882395798, {127}, 7},
    {8457, 1971362117, {-127}, 9},
    {-13033, 1565339922, {127}, 7},
    {16192, 1102432216, {-127}, 7},
    {-43991, 1862527085, {127}, 10},
    {-8325, 2093731175, {-127}, 10},
    {-45530, 1753738837, {-127}, 11},
    {16196, 1470895062, {-127}, 7},
};
static const struct {
  int32_t bias;
  int32_t multiplier;
  int8_t weights[16];
  int8_t shift;
} model_layer2[16] MODEL_FLASH = {
    {-1437, 2062135537, {23, -55, 75, 41, 114, -4, 62, -127, -117, 22, 69, -82, 2, 10, 89, -108},
     8},
    {948, 1795350638, {-47, 56, -36, -28, -6, 1, -8, 11, 50, 13, 127, -100, -35, -13, 57, 25}, 7},
    {5271, 1740697873, {-29, 1, 97, -127, -55, -96, 53, -45, 84, 26, 71, 10, -21, 42, -27, 20}, 7},
    {26656, 1678930303, {10, 32, 76, 0, 73, 33, -45, -75, -2, 127, 106, -63, -20, -41, 78, -75}, 7},
    {-10039, 2087304426, {-82, 78, 122, 13, -114, 21, -56, -50, -27, 20, 62, -127, -59, 58, 50,
                          71}, 8},
    {34660, 1276380952, {111, -72, -127, 65, 75, 73, -27, 34, -17, 76, 42, -25, 5, 32, 5, 29}, 6},
    {49167, 1337019158, {121, 22, -38, 97, 108, 85, -48, 59, -40, 1, -127, 86, 61, -2, 45, -12}, 7},
    {-6085, 1219951894, {53, -58, -127, 17, 43, 43, -17, 7, -9, -2, 27, -2, -24, 0, 24, -10}, 5},
    {-44582, 2051374495, {-58, -29, 75, 64, -107, 70, -63, -72, 21, 6, 117, -127, -38, -48, -84,
                          -3}, 8},
    {-84760, 1099500508, {-38, -127, -12, -18, -78, -117, -45, -21, -105, -76, 96, 42, -117, 65,
                          -67, -20}, 7},
    {-64640, 1809746300, {-23, -127, -41, 23, -42, -14, -126, -33, 59, -65, 71, 34, -107, -90, 66,
                          -90}, 8},
    {-52388, 1442089611, {12, 44, 32, -82, -104, -96, -72, -43, -127, 68, -68, 66, -98, 81, 45,
                          -39}, 7},
    {45563, 2087794370, {127, -79, 2, 76, 87, 16, -31, 27, 54, -7, -77, 31, 22, 51, 27, 17}, 7},
    {44522, 1267576849, {81, -9, 127, 48, -109, -70, 18, -17, 86, 97, 111, -107, 84, 52, -36, -20},
     7},
    {-65806, 2029676155, {-105, -39, 61, -97, -95, -127, 31, -6, -31, -81, -2, 86, 48, -78, -60,
                          25}, 8},
    {11671, 1153740123, {127, 10, 0, -25, 55, -7, -8, 66, 4, -20, -102, -9, -64, -24, 29, 59}, 6},
};
static const struct {
  int32_t bias;
  int8_t weights[16];
} model_layer3[1] MODEL_FLASH = {
    {29360, {-8, -23, -109, -78, -29, 52, 22, 127, -26, -22, -70, -10, 56, -89, 4, 91}},
};

// The bias plus the inputs times the weights. It wraps around at 32 bits, as TFLM's does.
static inline int32_t model_sum(int32_t bias, const int8_t *weights, const int8_t *inputs,
                                int count) {
  uint32_t sum = (uint32_t)bias;
  int i = 0;
#ifdef MODEL_SIMD
  // Four products at a time. SXTB16 widens bytes 0 and 2 of a word to 16 bits, SMLAD adds two
  // products. Bytes 1 and 3 of the weights stay where they are, which makes products of 256 times
  // the size.
  int32_t even = bias, odd = 0;
  for (; i + 4 <= count; i += 4) {
    const uint32_t w = *(const model_word *)(const void *)(weights + i);
    const uint32_t x = *(const model_word *)(const void *)(inputs + i);
    const int32_t x02 = __builtin_arm_sxtb16((int32_t)x);
    const int32_t x13 = __builtin_arm_sxtb16((int32_t)(x >> 8 | x << 24));
    even = __builtin_arm_smlad(__builtin_arm_sxtb16((int32_t)w), x02, even);
    odd = __builtin_arm_smlad((int32_t)(w & 0xff00ff00), x13, odd);
  }
  sum = (uint32_t)even + (uint32_t)(odd >> 8);
#endif
#ifdef __AVR__  // multiplies 8 bits at a time, so what it widens is the product
  for (; i < count; ++i) {
    const uint16_t product = (uint16_t)(MODEL_INT8(weights + i) * inputs[i]);
    sum += product;
    if (product >= 0x8000) sum -= 0x10000;
  }
#else
  for (; i < count; ++i) sum += (uint32_t)(weights[i] * inputs[i]);
#endif
  return (int32_t)sum;
}

static inline int8_t model_clip(int32_t code, int low, int high) {
#ifdef MODEL_SIMD
  code = (int32_t)__builtin_arm_ssat(code, 8);
  if (low == -128 && high == 127) return (int8_t)code;
#endif
  return (int8_t)(code < low ? low : code > high ? high : code);
}

// A sum as a code: times multiplier / 2^31 to the nearest integer, then divided by 2^shift to the
// nearest, halves away from zero, plus the zero point. For sums below 2^22.
static inline int8_t model_code(int32_t sum, int32_t multiplier, int shift, int zero_point,
                                int low, int high) {
  const int32_t add = (2 * (int32_t)zero_point + 1) * ((int32_t)1 << (shift - 1));
#if defined(__AVR__) || defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_8M_BASE__)
  // These cores multiply few bits at a time; and what RELU is going to clip needs no multiplying.
  if (sum < 0 && low == zero_point) return (int8_t)low;
  const int32_t sum_high = sum >> 8, sum_low = sum & 0xff;
  const int32_t multiplier_high = multiplier >> 15, multiplier_low = multiplier & 0x7fff;
  const int32_t third = sum_high * multiplier_low + ((sum_low * multiplier_low) >> 8);
  const int32_t second = sum_low * multiplier_high + (third >> 7);
  const int32_t first = sum_high * multiplier_high + ((second + 0x8000) >> 8);
  const int32_t product = (first >> 8) + add;
#else
  const int64_t rounding = (int64_t)add * 4294967296 + 2147483648;
  const int32_t product = (int32_t)(((int64_t)(sum * 2) * multiplier + rounding) >> 32);
#endif
  return model_clip((product + (sum >> 31)) >> shift, low, high);
}

// One inference: 1 code in, 1 code out.
static inline void model_run(const int8_t *input, int8_t *output) {
  int8_t layer1[16] MODEL_ALIGNED;
  for (int i = 0; i < 16; ++i) {
    const int32_t sum = model_sum(MODEL_INT32(&model_layer1[i].bias), model_layer1[i].weights,
                                  input, 1);
    layer1[i] = model_code(sum, MODEL_INT32(&model_layer1[i].multiplier),
                           MODEL_INT8(&model_layer1[i].shift), -128, -128, 127);
  }
  int8_t layer2[16] MODEL_ALIGNED;
  for (int i = 0; i < 16; ++i) {
    const int32_t sum = model_sum(MODEL_INT32(&model_layer2[i].bias), model_layer2[i].weights,
                                  layer1, 16);
    layer2[i] = model_code(sum, MODEL_INT32(&model_layer2[i].multiplier),
                           MODEL_INT8(&model_layer2[i].shift), -128, -128, 127);
  }
  for (int i = 0; i < 1; ++i) {
    const int32_t sum = model_sum(MODEL_INT32(&model_layer3[i].bias), model_layer3[i].weights,
                                  layer2, 16);
    output[i] = model_code(sum, 1226491631, 8, -86, -128, 127);
  }
}

// A real number's code: the nearest, of two as near the even one; the end of the range for what is
// outside; the lowest for NaN.
static inline int8_t model_quantize(float value) {
  const float steps = value / MODEL_INPUT_SCALE;
  if (!(steps > 0.0f)) return -128;
  if (steps >= 255.0f) return 127;
  int code = (int)steps;
  const float rest = steps - (float)code;
  if (rest > 0.5f || (rest == 0.5f && code % 2 != 0)) ++code;
  if (rest < -0.5f || (rest == -0.5f && code % 2 != 0)) --code;
  return (int8_t)(code + MODEL_INPUT_ZERO_POINT);
}

static inline float model_dequantize(int8_t code) {
  return (float)(code - MODEL_OUTPUT_ZERO_POINT) * MODEL_OUTPUT_SCALE;
}

// The same in real numbers.
static inline float model_predict(float value) {
  const int8_t input = model_quantize(value);
  int8_t output;
  model_run(&input, &output);
  return model_dequantize(output);
}

#endif  // MODEL_H_
