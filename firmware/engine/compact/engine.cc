// The compact engine: reads a TensorFlow Lite flatbuffer in place and runs chains of fully
// connected layers, with results that equal TensorFlow Lite for Microcontrollers' to the bit.

#include "engine/compact/flatbuffer.h"
#include "engine/compact/kernels/fully_connected.h"
#include "engine/compact/limits.h"
#include "engine/names.h"
#include "engine/options.h"
#include "engine/predictor.h"

namespace engine {
namespace {

using flatbuffer::Count;
using flatbuffer::Get;
using flatbuffer::Table;
using flatbuffer::Word;

// Fields of the tables in tensorflow/lite/schema/schema.fbs, as far as they matter.
constexpr uint32_t kVersion = Field(0, kWord), kOperatorCodes = Field(1, kChild),
                   kSubgraphs = Field(2, kChild), kBuffers = Field(4, kChild);
constexpr uint32_t kDeprecatedBuiltinCode = Field(0, kByte), kBuiltinCode = Field(3, kWord);
constexpr uint32_t kTensors = Field(0, kChild), kGraphInputs = Field(1, kChild),
                   kGraphOutputs = Field(2, kChild), kOperators = Field(3, kChild);
constexpr uint32_t kShape = Field(0, kChild), kType = Field(1, kByte), kBuffer = Field(2, kWord),
                   kQuantization = Field(4, kChild), kIsVariable = Field(5, kByte);
constexpr uint32_t kData = Field(0, kChild);
constexpr uint32_t kScale = Field(2, kChild), kZeroPoint = Field(3, kChild),
                   kQuantizedDimension = Field(6, kWord);
constexpr uint32_t kOpcodeIndex = Field(0, kWord), kInputs = Field(1, kChild),
                   kOutputs = Field(2, kChild), kOptionsType = Field(3, kByte),
                   kOptions = Field(4, kChild), kCustomOptions = Field(5, kChild),
                   kIntermediates = Field(8, kChild);
constexpr uint32_t kActivation = Field(0, kByte), kWeightsFormat = Field(1, kByte),
                   kBiasType = Field(4, kByte);

// Values in the schema.
constexpr uint32_t kSchemaVersion = 3, kIdentifier = 0x334c4654;  // "TFL3"
constexpr uint32_t kFullyConnected = 9, kFullyConnectedOptions = 8;
constexpr uint32_t kFloat32 = 0, kInt32 = 2, kInt8 = 9;
constexpr uint32_t kNoTensor = 0xffffffff;

// Reasons. The upper four bits are the status.
enum Reason : uint32_t {
  kDamaged = 0x20,
  kNoModel,
  kOperator = 0x30,
  kTensorType,
  kActivationFunction,
  kGraph,
  kWidth,
  kScaling,
  kUnknownOptions,
  kMemory = 0x40,
  kFirstNamed = kOperator,
  kLastNamed = kActivationFunction,
};
static_assert(static_cast<uint32_t>(Status::kMalformedModel) == kDamaged >> 4 &&
                  static_cast<uint32_t>(Status::kUnsupportedModel) == kOperator >> 4 &&
                  static_cast<uint32_t>(Status::kArenaTooSmall) == kMemory >> 4,
              "as in predictor.h");
const char kReasons[] =
    "\x20"
    "damaged model\0"
    "\x21"
    "no TensorFlow Lite 3 model\0"
    "\x30"
    "operator \0"
    "\x31"
    "tensor type \0"
    "\x32"
    "activation \0"
    "\x33"
    "graph: no chain\0"
    "\x34"
    "shape\0"
    "\x35"
    "quantization\0"
    "\x36"
    "options\0"
    "\x40"
    "too little memory\0";

// Everything about the model that was taken last; what grows with the model is in the arena. All
// zeros, no inputs and no layers above all, means that there is none.
struct State {
  Info info;
  Layer* layers;
  uint8_t* values;      // what flows between layers: two buffers, in turn
  uint32_t value_step;  // bytes from one to the other
  Status status;
  // For Init() only.
  uint8_t* arena;
  uint32_t arena_left;
  uint32_t codes, tensors, buffers;  // the model's vectors
#if ENGINE_FLOAT32
  uint32_t type;  // int8 or float32, throughout
#else
  static constexpr uint32_t type = kInt8;
#endif
  uint32_t current;  // the tensor that the next operator must read
  // Of the tensor that was read last:
  uint32_t shape, data, scales;
  float scale;  // the first one
  int32_t zero_point;
  char reason[64];  // longer than all reasons in this file, with a prefix and a name
};
State state;

[[gnu::noinline]] char* Append(char* to, const char* text) {
  while ((*to = *text++) != '\0') ++to;
  return to;
}

// Notes what went wrong, unless something already did. After that, the loader reads on, but only
// zeros. number: of an operator, type or activation function; its name is said if it has one.
[[gnu::noinline]] void Fail(uint32_t reason, uint32_t number = 0) {
  if (state.status != Status::kOk) return;
  if (!flatbuffer::IsOpen()) reason = kDamaged;  // then the rest is a consequence
  flatbuffer::Close();
  state.status = static_cast<Status>(reason >> 4);
  char* to = state.reason;
  if (state.status == Status::kUnsupportedModel) to = Append(to, "unsupported ");
  to = Append(to, FindText(kReasons, reason));
  if (reason - kFirstNamed > kLastNamed - kFirstNamed) return;
  const char* name = nullptr;
  if (reason == kOperator) name = OperatorName(number);
  if (reason == kTensorType) name = TypeName(number);
  char digits[11];
  if (name == nullptr) {
    char* digit = digits + 10;
    *digit = '\0';
    do {
      *--digit = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    name = digit;
  }
  Append(to, name);
}

// Memory from the arena, aligned like a Layer; nullptr when there is not enough.
[[gnu::noinline]] void* Allocate(uint32_t bytes) {
  bytes = (bytes + alignof(Layer) - 1) & ~static_cast<uint32_t>(alignof(Layer) - 1);
  if (bytes > state.arena_left) {
    Fail(kMemory);
    return nullptr;
  }
  uint8_t* const memory = state.arena;
  state.arena += bytes;
  state.arena_left -= bytes;
  state.info.arena_used += bytes;
  return memory;
}

[[gnu::noinline]] uint32_t OnlyWord(uint32_t vector) {
  if (Count(vector) != 1) Fail(kGraph);
  return Word(vector, 0);
}

[[gnu::noinline]] void ReadTensor(uint32_t index, uint32_t type) {
  const uint32_t table = Table(state.tensors, index);
  const uint32_t found = Get(table, kType);
  if (found != type) Fail(kTensorType, found);
  if (Get(table, kIsVariable) != 0) Fail(kGraph);  // TFLM would set it to 0, weights too
  state.shape = Get(table, kShape);
  if (Count(state.shape) > kMostDimensions) Fail(kWidth);
  state.data = Get(Table(state.buffers, Get(table, kBuffer)), kData);
  // Scales without zero points are none, and the other way round, for TFLM too.
  const uint32_t quantization = Get(table, kQuantization);
  const uint32_t zero_points = Get(quantization, kZeroPoint);
  state.scales = Count(zero_points) == 0 ? 0 : Get(quantization, kScale);
  state.scale = 0;
  if (Count(state.scales) == 0) return;
  state.scale = FloatFromBits(Word(state.scales, 0));
  if (type != kInt8) return;
  // Zero points are 64 bits wide, of which TFLM takes 32 too. A weight's are all the same.
  const int32_t zero_point = static_cast<int32_t>(Word(zero_points, 0));
  state.zero_point = static_cast<int8_t>(zero_point);
  if (state.zero_point != zero_point || Get(quantization, kQuantizedDimension) != 0) {
    Fail(kScaling);
  }
}

// The tensor that flows on now: the model's input, or a layer's output. As long as no other layer
// follows, it is the model's output. It has one row, whatever its rank, and no data in the model.
[[gnu::noinline]] void ReadValues(uint32_t index) {
  ReadTensor(index, state.type);
  state.current = index;
  const uint32_t shape = state.shape;
  uint32_t width = Count(shape) != 0;  // a scalar has none
  for (uint32_t i = 0; i < Count(shape); ++i) {
    if (width != 1) Fail(kWidth);
    width = Word(shape, i);
  }
  if (width - 1 >= kMostValues) Fail(kWidth);
  if (Count(state.data) != 0) Fail(kGraph);
  Info& info = state.info;
  info.outputs = width;
  if (state.type != kInt8) return;
  info.output_scale = state.scale;
  info.output_zero_point = state.zero_point;
}

void SetActivation(uint32_t activation, Layer* layer) {
  const bool clips = activation != kActivationNone;
  const bool at_six = activation == kActivationRelu6;
  if (clips && !at_six && activation != kActivationRelu) Fail(kActivationFunction, activation);
#if ENGINE_FLOAT32
  constexpr float kFloatMax = 3.402823466e+38f;
  layer->float_min = clips ? 0 : -kFloatMax;
  layer->float_max = at_six ? 6 : kFloatMax;
#endif
  const int32_t zero_point = state.info.output_zero_point;
  layer->output_zero_point = zero_point;
  layer->min = clips ? zero_point : -128;  // the code of 0
  layer->max = 127;
  if (!at_six || state.type != kInt8) return;
  // The code of 6, halves rounded up; no more than 255 steps make a difference. Compared by their
  // bits, since the scale is not checked yet: those of negative numbers and of NaN are above.
  const float half_steps = 12 / state.info.output_scale;
  const uint32_t bits = BitsOfFloat(half_steps);
  if (bits >= BitsOfFloat(4294967296.0f)) Fail(kScaling);  // TFLM counts the steps in an int32
  if (bits >= BitsOfFloat(512)) return;
  const int32_t highest = zero_point + ((static_cast<int32_t>(half_steps) + 1) >> 1);
  if (highest < 127) layer->max = highest;
}

// For the weights that were read last.
void SetMultipliers(uint32_t input_scale, Layer* layer) {
  const uint32_t scales = state.scales;
  const uint32_t count = Count(scales);
  layer->multiplier_step = count == 1 ? 0 : sizeof(Multiplier);
  if ((count != 1 && count != layer->rows) || state.zero_point != 0) Fail(kScaling);
  Multiplier* multipliers = static_cast<Multiplier*>(Allocate(count * sizeof(Multiplier)));
  layer->multipliers = multipliers;
  for (uint32_t i = 0; i < Count(scales); ++i) {
    if (!QuantizeMultiplier(input_scale, Word(scales, i), BitsOfFloat(state.info.output_scale),
                            multipliers++)) {
      Fail(kScaling);
    }
  }
}

void ReadLayer(uint32_t op, Layer* layer) {
  const uint32_t inputs = Get(op, kInputs);
  const uint32_t output = OnlyWord(Get(op, kOutputs));
  if (Word(inputs, 0) != state.current || output == state.current || Count(inputs) > 3) {
    Fail(kGraph);
  }
  const Info& info = state.info;
  const uint32_t type = state.type;
  const uint32_t size = type == kInt8 ? 1 : 4;
  const float input_scale = info.output_scale;
  layer->input_offset = static_cast<uint16_t>(-info.output_zero_point) * 0x10001u;
  const uint32_t columns = info.outputs;
  layer->columns = columns;
  ReadValues(output);
  const uint32_t rows = info.outputs;
  layer->rows = rows;
  if (state.value_step < rows * size) state.value_step = rows * size;

  ReadTensor(Word(inputs, 1), type);
  const uint32_t shape = state.shape;
  // Rows and columns have 16 bits at most, so only the factor 4 could wrap around.
  const uint32_t weights = rows * columns;
  if (Count(shape) != 2 || Word(shape, 0) != rows || Word(shape, 1) != columns ||
      weights >> 30 != 0) {
    Fail(kWidth);
  }
  layer->weights = flatbuffer::Bytes(state.data, weights * size);
  const uint32_t options = Get(op, kOptionsType) == kFullyConnectedOptions ? Get(op, kOptions) : 0;
  // Shuffled weights, a type that TFLM does not know, or what is for other operators.
  if (Get(options, kWeightsFormat) != 0 || Get(options, kBiasType) > kInt8 ||
      Get(op, kCustomOptions) != 0 || Count(Get(op, kIntermediates)) != 0) {
    Fail(kUnknownOptions);
  }
  SetActivation(Get(options, kActivation), layer);
  if (type == kInt8) SetMultipliers(BitsOfFloat(input_scale), layer);

  static const uint8_t kZero[4] = {};
  layer->bias = kZero;
  layer->bias_step = 0;
  if (Count(inputs) < 3 || Word(inputs, 2) == kNoTensor) return;
  const float product = input_scale * state.scale;
  ReadTensor(Word(inputs, 2), type == kInt8 ? kInt32 : kFloat32);
  layer->bias = flatbuffer::Bytes(state.data, 4 * rows);
  layer->bias_step = 4;
  if (type != kInt8 || layer->multiplier_step != 0) return;
  // A bias counts in steps of input times weight. TFLM bears a difference of 0.02 output steps.
  // Here it is a bit less, so that float32 is enough to see it: the product may be off by 2^-24.
  const float error = product * 0x1p-23f, difference = product - state.scale;
  if (!(__builtin_fabsf(difference) + error <= 0.0199f * info.output_scale)) Fail(kScaling);
}

void Load() {
  const uint32_t root = flatbuffer::Read(0, 4);
  if (flatbuffer::Read(4, 4) != kIdentifier || Get(root, kVersion) != kSchemaVersion) {
    Fail(kNoModel);
  }
  state.codes = Get(root, kOperatorCodes);
  state.buffers = Get(root, kBuffers);
  const uint32_t subgraphs = Get(root, kSubgraphs);
  const uint32_t graph = subgraphs + 4 + OnlyWord(subgraphs);
  state.tensors = Get(graph, kTensors);
  const uint32_t input = OnlyWord(Get(graph, kGraphInputs));
#if ENGINE_FLOAT32
  state.type = kInt8;
  // What the input's type is, all others' must be.
  if (Get(Table(state.tensors, input), kType) == kFloat32) state.type = kFloat32;
#endif
  ReadValues(input);
  Info& info = state.info;
  info.is_int8 = state.type == kInt8;
  info.input_scale = info.output_scale;
  info.input_zero_point = info.output_zero_point;
  const uint32_t inputs = info.outputs;
  Layer** place = &state.layers;
  const uint32_t operators = Get(graph, kOperators);
  for (uint32_t i = 0; i < Count(operators); ++i) {
    const uint32_t op = Table(operators, i);
    const uint32_t code = Table(state.codes, Get(op, kOpcodeIndex));
    // Which of the two it is depends on the converter's age; the other one is smaller.
    uint32_t builtin = Get(code, kDeprecatedBuiltinCode);
    const uint32_t newer = Get(code, kBuiltinCode);
    if (builtin < newer) builtin = newer;
    if (builtin != kFullyConnected) Fail(kOperator, builtin);
    Layer* const layer = static_cast<Layer*>(Allocate(sizeof(Layer)));
    if (layer == nullptr) break;
    *place = layer;
    layer->next = nullptr;
    place = &layer->next;
    ReadLayer(op, layer);
  }
  if (state.current != OnlyWord(Get(graph, kGraphOutputs)) || state.layers == nullptr) {
    Fail(kGraph);
  }
  state.values = static_cast<uint8_t*>(Allocate(2 * state.value_step));
  if (!flatbuffer::IsOpen()) return Fail(kDamaged);
  info.inputs = inputs;
}

// Mostly, the activation function's limits are those of int8, where the results stop anyway.
inline void ApplyLimits(const Layer& layer, int8_t* values) {
  if (layer.max - layer.min == 255) return;
  for (uint32_t i = layer.rows; i-- > 0;) {
    int32_t value = values[i];
    if (value < layer.min) value = layer.min;
    if (value > layer.max) value = layer.max;
    values[i] = static_cast<int8_t>(value);
  }
}

// One inference, from and to raw values of the type that was asked for.
inline Status Run(bool wants_int8, const void* input, void* output) {
  if (state.info.inputs == 0) return Refuse(Status::kNotInitialized, "no model yet");
#if ENGINE_FLOAT32
  if (state.info.is_int8 != wants_int8) {
    return Refuse(Status::kUnsupportedModel, "the model has another type");
  }
#endif
  state.reason[0] = '\0';
  uint32_t offset = 0;
  const Layer* layer = state.layers;
  do {
    void* const to = layer->next == nullptr ? output : state.values + offset;
    offset ^= state.value_step;
    if (wants_int8) {
      FullyConnectedInt8(*layer, static_cast<const int8_t*>(input), static_cast<int8_t*>(to));
      ApplyLimits(*layer, static_cast<int8_t*>(to));
    } else {
      FullyConnectedFloat(*layer, static_cast<const float*>(input), static_cast<float*>(to));
    }
    input = to;
    layer = layer->next;
  } while (layer != nullptr);
  return Status::kOk;
}

// A length that has 32 bits.
uint32_t Clip(size_t length) {
  constexpr uint32_t kMost = 0xffffffff;
  return length > kMost ? kMost : static_cast<uint32_t>(length);
}

}  // namespace

Status Init(const uint8_t* model, size_t model_length, uint8_t* arena, size_t arena_length) {
  state.info.inputs = 0;
  state.info.arena_used = 0;
  state.layers = nullptr;
  state.value_step = 0;
  state.status = Status::kOk;
  state.reason[0] = '\0';
  // Aligned, whatever the caller gives.
  const size_t skip = -reinterpret_cast<uintptr_t>(arena) & (alignof(Layer) - 1);
  state.arena = arena + skip;
  state.arena_left = Clip(arena_length > skip ? arena_length - skip : 0);
  flatbuffer::Open(model, Clip(model_length));
  Load();
  return state.status;
}

Status Invoke(const int8_t* input, int8_t* output) { return Run(true, input, output); }

#if ENGINE_FLOAT32
Status InvokeFloat(const float* input, float* output) { return Run(false, input, output); }
#else
Status InvokeFloat(const float*, float*) {
  return Refuse(Status::kUnsupportedModel, "float32 is not built in");
}
#endif

const Info& GetInfo() { return state.info; }

const char* Name() { return "compact"; }

Status Refuse(Status status, const char* reason) {
  Append(state.reason, reason);
  return status;
}

const char* Reason() { return state.reason; }

}  // namespace engine
