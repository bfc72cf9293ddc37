#include "engine/compact/fully_connected.h"

namespace engine {
namespace {

inline uint32_t Product(uint8_t weight, int32_t value) {
  return static_cast<uint32_t>(static_cast<int8_t>(weight) * value);
}

// The sums of four rows. They wrap around, as the reference's do; hence unsigned.
struct Sums {
  uint32_t row0, row1, row2, row3;
};

#if defined(__ARM_FEATURE_DSP)

// Four products in four instructions: the weights' bytes 0 and 2, then 1 and 3, are widened to
// pairs of 16 bits and multiplied with the pairs of inputs that Place() put there.
inline uint32_t AddFour(uint32_t sum, const uint8_t* weights, const int16_t* values) {
  const uint32_t word = Load(weights);
  const uint32_t even = Load(reinterpret_cast<const uint8_t*>(values));
  const uint32_t odd = Load(reinterpret_cast<const uint8_t*>(values + 2));
  uint32_t wide;
  __asm__("sxtb16 %0, %1" : "=r"(wide) : "r"(word));
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(wide), "r"(even));
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(wide) : "r"(word));
  __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(wide), "r"(odd));
  return sum;
}

// Adds the products of `groups` times four columns, and returns the rest of the weights. Four rows,
// which lie `step` bytes apart, share the loads of the inputs. This is where most of an inference
// is spent, and it takes 12 registers; compilers run out of them and go to the stack.
inline const uint8_t* AddFourRows(const uint8_t* weights, uint32_t step, uint32_t groups,
                                  const int16_t* values, Sums* sums) {
  uint32_t even, odd, word, wide;
  __asm__(
      "1:\n"
      "ldr %[even], [%[values]], #4\n"
      "ldr %[odd], [%[values]], #4\n"
      "ldr %[word], [%[weights], %[step]]\n"
      "sxtb16 %[wide], %[word]\n"
      "smlad %[sum1], %[wide], %[even], %[sum1]\n"
      "sxtb16 %[word], %[word], ror #8\n"
      "smlad %[sum1], %[word], %[odd], %[sum1]\n"
      "ldr %[word], [%[weights], %[step], lsl #1]\n"
      "sxtb16 %[wide], %[word]\n"
      "smlad %[sum2], %[wide], %[even], %[sum2]\n"
      "sxtb16 %[word], %[word], ror #8\n"
      "smlad %[sum2], %[word], %[odd], %[sum2]\n"
      "add %[word], %[weights], %[step]\n"
      "ldr %[word], [%[word], %[step], lsl #1]\n"
      "sxtb16 %[wide], %[word]\n"
      "smlad %[sum3], %[wide], %[even], %[sum3]\n"
      "sxtb16 %[word], %[word], ror #8\n"
      "smlad %[sum3], %[word], %[odd], %[sum3]\n"
      "ldr %[word], [%[weights]], #4\n"
      "sxtb16 %[wide], %[word]\n"
      "smlad %[sum0], %[wide], %[even], %[sum0]\n"
      "sxtb16 %[word], %[word], ror #8\n"
      "smlad %[sum0], %[word], %[odd], %[sum0]\n"
      "subs %[groups], %[groups], #1\n"
      "bne 1b\n"
      : [weights] "+r"(weights), [values] "+r"(values), [groups] "+r"(groups),
        [sum0] "+r"(sums->row0), [sum1] "+r"(sums->row1), [sum2] "+r"(sums->row2),
        [sum3] "+r"(sums->row3), [even] "=&r"(even), [odd] "=&r"(odd), [word] "=&r"(word),
        [wide] "=&r"(wide)
      : [step] "r"(step)
      : "cc", "memory");
  return weights;
}

// The same for one column: what is left of them.
inline const uint8_t* AddColumn(const uint8_t* weights, uint32_t step, int32_t value, Sums* sums) {
  uint32_t weight;
  __asm__(
      "ldrsb %[weight], [%[weights], %[step]]\n"
      "smlabb %[sum1], %[weight], %[value], %[sum1]\n"
      "ldrsb %[weight], [%[weights], %[step], lsl #1]\n"
      "smlabb %[sum2], %[weight], %[value], %[sum2]\n"
      "add %[weight], %[weights], %[step]\n"
      "ldrsb %[weight], [%[weight], %[step], lsl #1]\n"
      "smlabb %[sum3], %[weight], %[value], %[sum3]\n"
      "ldrsb %[weight], [%[weights]], #1\n"
      "smlabb %[sum0], %[weight], %[value], %[sum0]\n"
      : [weights] "+r"(weights), [sum0] "+r"(sums->row0), [sum1] "+r"(sums->row1),
        [sum2] "+r"(sums->row2), [sum3] "+r"(sums->row3), [weight] "=&r"(weight)
      : [step] "r"(step), [value] "r"(value)
      : "memory");
  return weights;
}

// value * multiplier / 2^31, rounded to nearest, halves upwards, for |value| < 2^30.
[[gnu::always_inline]] inline int32_t MultiplyHigh(int32_t value, int32_t multiplier) {
  int32_t high;
  __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(value * 2), "r"(multiplier));
  return high;
}

inline int32_t ClipToInt8(int32_t value) {
  __asm__("ssat %0, #8, %0" : "+r"(value));
  return value;
}

#else

// The same for other cores.

inline uint32_t AddFour(uint32_t sum, const uint8_t* weights, const int16_t* values) {
  for (uint32_t i = 0; i < 4; ++i) sum += Product(weights[i], values[Place(i)]);
  return sum;
}

inline const uint8_t* AddColumn(const uint8_t* weights, uint32_t step, int32_t value, Sums* sums) {
  sums->row0 += Product(weights[0], value);
  sums->row1 += Product(weights[step], value);
  sums->row2 += Product(weights[2 * step], value);
  sums->row3 += Product(weights[3 * step], value);
  return weights + 1;
}

inline const uint8_t* AddFourRows(const uint8_t* weights, uint32_t step, uint32_t groups,
                                  const int16_t* values, Sums* sums) {
  for (uint32_t i = 0; i < 4 * groups; ++i) {
    weights = AddColumn(weights, step, values[Place(i)], sums);
  }
  return weights;
}

inline int32_t MultiplyHigh(int32_t value, int32_t multiplier) {
  return static_cast<int32_t>((static_cast<int64_t>(value) * multiplier + (1 << 30)) >> 31);
}

inline int32_t ClipToInt8(int32_t value) {
  if (value > 127) return 127;
  return value < -128 ? -128 : value;
}

#endif

// From a sum to an output, with both of TFLM's roundings: MultiplyHigh() is the first. For the
// second, half a step is added before the shift, less one for negative numbers, so that halves are
// rounded away from zero.
[[gnu::always_inline]] inline int16_t FinishPlain(const Plain& plain, uint32_t sum) {
  const int32_t high = MultiplyHigh(static_cast<int32_t>(sum), plain.multiplier);
  const int32_t value = (high + (high >> 31) + plain.offset) >> plain.shift;
  return static_cast<int16_t>(ClipToInt8(value) - plain.zero_point);
}

#if defined(__ARM_FEATURE_DSP)

// The same for four rows, stored as a group.
inline void FinishFourRows(const Plain& plain, Sums sums, int16_t* output) {
  uint32_t rounded;
// clang-format off
#define FINISH(sum)                             \
  "lsl " sum ", " sum ", #1\n"                  \
  "smmulr " sum ", " sum ", %[multiplier]\n"    \
  "add %[rounded], " sum ", %[offset]\n"        \
  "add " sum ", %[rounded], " sum ", asr #31\n" \
  "asr " sum ", " sum ", %[shift]\n"            \
  "ssat " sum ", #8, " sum "\n"                 \
  "sub " sum ", " sum ", %[zero_point]\n"
  // clang-format on
  __asm__ volatile(
      FINISH("%[sum0]") FINISH("%[sum1]") FINISH("%[sum2]") FINISH("%[sum3]")
      "pkhbt %[sum0], %[sum0], %[sum2], lsl #16\n"
      "pkhbt %[sum1], %[sum1], %[sum3], lsl #16\n"
      "strd %[sum0], %[sum1], [%[output]]\n"
      : [sum0] "+r"(sums.row0), [sum1] "+r"(sums.row1), [sum2] "+r"(sums.row2),
        [sum3] "+r"(sums.row3), [rounded] "=&r"(rounded)
      : [multiplier] "r"(plain.multiplier), [shift] "r"(plain.shift), [offset] "r"(plain.offset),
        [zero_point] "r"(plain.zero_point), [output] "r"(output)
      : "memory");
#undef FINISH
}

#else

inline void FinishFourRows(const Plain& plain, Sums sums, int16_t* output) {
  output[Place(0)] = FinishPlain(plain, sums.row0);
  output[Place(1)] = FinishPlain(plain, sums.row1);
  output[Place(2)] = FinishPlain(plain, sums.row2);
  output[Place(3)] = FinishPlain(plain, sums.row3);
}

#endif

// One row's sum.
inline uint32_t SumRow(const Layer& layer, const uint8_t* weights, uint32_t bias,
                       const int16_t* values) {
  uint32_t sum = bias;
  uint32_t columns = layer.columns;
  for (; columns >= 4; columns -= 4, weights += 4, values += 4) {
    sum = AddFour(sum, weights, values);
  }
  for (uint32_t i = 0; i < columns; ++i) sum += Product(weights[i], values[Place(i)]);
  return sum;
}

// From a sum to an output, whatever the layer is.
[[gnu::noinline]] int16_t FinishAny(const Layer& layer, uint32_t row, uint32_t sum) {
  const Multiplier multiplier = layer.multipliers[row * layer.multiplier_step];
  // The zero point is added after scaling, with wrap-around, as in the reference.
  const uint32_t scaled = static_cast<uint32_t>(Scale(static_cast<int32_t>(sum), multiplier)) +
                          static_cast<uint32_t>(static_cast<int32_t>(layer.output_zero_point));
  int32_t value = static_cast<int32_t>(scaled);
  if (value < layer.output_min) value = layer.output_min;
  if (value > layer.output_max) value = layer.output_max;
  return static_cast<int16_t>(value - layer.output_zero_point);
}

}  // namespace

void FullyConnectedInt8(const Layer& layer, const int16_t* input, int16_t* output) {
  const uint32_t columns = layer.columns;
  const uint8_t* weights = layer.weights;
  const uint32_t rest = columns & 3;
  const int16_t* const last_group = input + (columns - rest);
  uint32_t row = 0;
  for (; row + 4 <= layer.rows; row += 4) {
    const uint8_t* const bias = layer.bias + row * layer.bias_step;
    const uint32_t step = layer.bias_step;
    Sums sums = {Load(bias), Load(bias + step), Load(bias + 2 * step), Load(bias + 3 * step)};
    if (columns >= 4) weights = AddFourRows(weights, columns, columns >> 2, input, &sums);
    if (rest > 0) weights = AddColumn(weights, columns, last_group[0], &sums);
    for (uint32_t i = 1; i < rest; ++i) {
      weights = AddColumn(weights, columns, last_group[Place(i)], &sums);
    }
    weights += 3 * columns;
    if (layer.is_plain) {
      FinishFourRows(layer.plain, sums, output + row);
      continue;
    }
    const uint32_t each[4] = {sums.row0, sums.row1, sums.row2, sums.row3};
    for (uint32_t i = 0; i < 4; ++i) {
      output[row + Place(i)] = FinishAny(layer, row + i, each[i]);
    }
  }
  // The rows that are left, one by one.
  for (; row < layer.rows; ++row, weights += columns) {
    const uint32_t sum = SumRow(layer, weights, Bias(layer, row), input);
    output[Place(row)] =
        layer.is_plain ? FinishPlain(layer.plain, sum) : FinishAny(layer, row, sum);
  }
}

}  // namespace engine
