// The compact engine: reads a TensorFlow Lite flatbuffer in place and runs chains of fully
// connected layers, with results that equal TensorFlow Lite for Microcontrollers' to the bit.

#include "engine/compact/flatbuffer.h"
#include "engine/compact/fully_connected.h"
#include "engine/compact/names.h"
#include "engine/predictor.h"

namespace engine {
namespace {

// Fields of the tables in tensorflow/lite/schema/schema.fbs, as far as they matter: their kinds,
// and below each the numbers of those that are used.
constexpr Kind kModelFields[] = {kWord, kWords, kWords, kSkip, kWords, kEnd};
enum { kVersion, kOperatorCodes, kSubgraphs, kBuffers = 4, kModelEnd };

constexpr Kind kOperatorCodeFields[] = {kByte, kSkip, kSkip, kWord, kEnd};
enum { kDeprecatedBuiltinCode, kBuiltinCode = 3, kOperatorCodeEnd };

constexpr Kind kSubgraphFields[] = {kWords, kWords, kWords, kWords, kEnd};
enum { kTensors, kSubgraphInputs, kSubgraphOutputs, kOperatorList, kSubgraphEnd };

constexpr Kind kTensorFields[] = {kWords, kByte, kWord, kSkip, kTable, kSkip, kTable, kEnd};
enum { kShape, kType, kBuffer, kQuantization = 4, kSparsity = 6, kTensorEnd };

constexpr Kind kBufferFields[] = {kBytes, kEnd};

constexpr Kind kQuantizationFields[] = {kSkip, kSkip, kWords, kLongs, kByte, kSkip, kWord, kEnd};
enum { kScale = 2, kZeroPoint, kDetailsType, kQuantizedDimension = 6, kQuantizationEnd };

constexpr Kind kOperatorFields[] = {kWord, kWords, kWords, kByte, kTable, kEnd};
enum { kOpcodeIndex, kInputs, kOutputs, kOptionsType, kOptions, kOperatorEnd };

constexpr Kind kFullyConnectedFields[] = {kByte, kByte, kEnd};
enum { kActivation, kWeightsFormat, kFullyConnectedEnd };

// Values in the schema.
constexpr uint32_t kSchemaVersion = 3, kIdentifier = 0x334c4654;  // "TFL3"
constexpr uint32_t kFullyConnected = 9, kFullyConnectedOptions = 8;
constexpr uint32_t kFloat32 = 0, kInt32 = 2, kInt8 = 9;
constexpr uint32_t kNone = 0, kRelu = 1, kRelu6 = 3;
constexpr uint32_t kNoTensor = 0xffffffff;

constexpr uint32_t kMaxWidth = 0xffff;
constexpr float kFloatMax = 3.402823466e+38f;

// Reasons with more than one cause.
constexpr const char* kThisQuantization = "this kind of quantization";
constexpr const char* kDamaged = "the model is damaged or cut off";
constexpr const char* kNoChain = "a network that is no chain of operators";

// Everything about the model that was taken last. Small; what grows with the model is in the arena.
// All zeros, no inputs above all, means that there is none.
struct State {
  Info info;
  Layer* layers;
  uint32_t layer_count;
  void* values[2];    // what flows between layers: one layer reads the first, writes the second
  const char* shown;  // what Reason() gives, if anything
  char reason[96];    // longer than all texts in this file, a name and a suffix
};
State state;

char* Append(char* to, const char* text) {
  while ((*to = *text++) != '\0') ++to;
  return to;
}

// What one tensor of the model says of itself.
struct Tensor {
  Value fields[kTensorEnd];
  Value data;
  Value quantization[kQuantizationEnd];
  float scale;  // the first one
  int32_t zero_point;
};

// Reads the model and prepares the layers. After a failure it may read on, always inside the
// model, but nothing that it reads is used.
class Loader {
 public:
  Loader(const uint8_t* model, uint32_t length, uint8_t* arena, uint32_t arena_length)
      : model_(model, length), arena_(arena), arena_left_(arena_length) {}

  Status Load();

 private:
  void Fail(Status status, const char* text, const char* name = "", uint32_t number = 0);
  void Unsupported(const char* text, const char* name = "", uint32_t number = 0);
  void Malformed();
  bool Failed();
  void* Allocate(uint32_t count, uint32_t size);
  void CheckOperator(uint32_t op);
  void ReadTensor(uint32_t index, uint32_t type, Tensor* tensor);
  uint32_t Width(const Tensor& tensor);
  void ReadValues(uint32_t index);
  void ReadLayer(uint32_t op, Layer* layer);
  void SetActivation(uint32_t activation, Layer* layer);
  void SetMultipliers(const Tensor& weights, float input_scale, Layer* layer);

  Flatbuffer model_;
  Status status_ = Status::kOk;
  uint8_t* arena_;
  uint32_t arena_left_;
  Value fields_[kModelEnd];
  Value graph_[kSubgraphEnd];
  uint32_t type_ = kInt8;  // int8 or float32, throughout
  uint32_t current_ = 0;   // the tensor that the next operator must read
  uint32_t widest_ = 0;
};

// Notes what went wrong, unless something already did: a text, the name of what is to blame or, if
// that is nullptr, its number, and a suffix.
[[gnu::noinline]] void Loader::Fail(Status status, const char* text, const char* name,
                                    uint32_t number) {
  if (status_ != Status::kOk) return;
  if (!model_.ok()) {  // then the rest is a consequence
    status = Status::kMalformedModel;
    text = kDamaged;
    name = "";
  }
  status_ = status;
  state.shown = state.reason;
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
  char* const to = Append(Append(state.reason, text), name);
  if (status == Status::kUnsupportedModel) Append(to, " is not supported");
}

[[gnu::noinline]] void Loader::Unsupported(const char* text, const char* name, uint32_t number) {
  Fail(Status::kUnsupportedModel, text, name, number);
}

[[gnu::noinline]] void Loader::Malformed() { Fail(Status::kMalformedModel, kDamaged); }

[[gnu::noinline]] bool Loader::Failed() {
  if (!model_.ok()) Malformed();
  return status_ != Status::kOk;
}

// Memory from the arena, aligned to 4 bytes; nullptr when there is not enough.
[[gnu::noinline]] void* Loader::Allocate(uint32_t count, uint32_t size) {
  if (count > arena_left_ / size) {
    Fail(Status::kArenaTooSmall, "the model needs more working memory than there is");
    return nullptr;
  }
  const uint32_t bytes = count * size;
  uint8_t* const memory = arena_;
  arena_ += bytes;
  arena_left_ -= bytes;
  state.info.arena_used += bytes;
  return memory;
}

void Loader::CheckOperator(uint32_t op) {
  Value fields[kOperatorEnd], code[kOperatorCodeEnd];
  model_.ReadTable(op, kOperatorFields, fields);
  model_.ReadTable(model_.TableAt(fields_[kOperatorCodes], fields[kOpcodeIndex].value),
                   kOperatorCodeFields, code);
  // Which of the two it is depends on the converter's age; the other one is smaller.
  uint32_t builtin = code[kDeprecatedBuiltinCode].value;
  if (builtin < code[kBuiltinCode].value) builtin = code[kBuiltinCode].value;
  if (builtin != kFullyConnected) {
    Unsupported("operator ", OperatorName(builtin), builtin);
  }
}

[[gnu::noinline]] void Loader::ReadTensor(uint32_t index, uint32_t type, Tensor* tensor) {
  model_.ReadTable(model_.TableAt(graph_[kTensors], index), kTensorFields, tensor->fields);
  model_.ReadTable(model_.TableAt(fields_[kBuffers], tensor->fields[kBuffer].value), kBufferFields,
                   &tensor->data);
  Value* const quantization = tensor->quantization;
  model_.ReadTable(tensor->fields[kQuantization].value, kQuantizationFields, quantization);
  if (tensor->fields[kType].value != type) {
    const uint32_t found = tensor->fields[kType].value;
    Unsupported("tensor type ", TypeName(found), found);
  }
  if (tensor->fields[kSparsity].count != 0 || quantization[kDetailsType].value != 0) {
    Unsupported("a sparse tensor or custom quantization");
  }
  if (type != kInt8) return;
  tensor->scale = FloatFromBits(model_.Read(quantization[kScale].value, 4));
  // Zero points are 64 bits wide. Only weights have several, and theirs are all the same.
  const Value& zero_points = quantization[kZeroPoint];
  tensor->zero_point = 0;
  if (zero_points.count == 0 || quantization[kScale].count == 0) Unsupported(kThisQuantization);
  for (uint32_t i = 0; i < zero_points.count; ++i) {
    const int32_t low = static_cast<int32_t>(model_.Read(zero_points.value + 8 * i, 4));
    const int32_t high = static_cast<int32_t>(model_.Read(zero_points.value + 8 * i + 4, 4));
    if (i == 0) tensor->zero_point = static_cast<int8_t>(low);
    if (high != low >> 31 || low != tensor->zero_point) {
      Unsupported("a zero point outside of int8");
    }
  }
}

// How many values a tensor has. All dimensions but the last must be 1: no batches.
[[gnu::noinline]] uint32_t Loader::Width(const Tensor& tensor) {
  const Value& shape = tensor.fields[kShape];
  uint32_t width = 1;
  for (uint32_t i = 0; i < shape.count; ++i) {
    if (width != 1) Unsupported("a batch");
    width = model_.WordAt(shape, i);
  }
  if (shape.count == 0 || width == 0 || width > kMaxWidth) {
    Unsupported("a layer of no or more than 65535 values");
  }
  return width;
}

// The tensor that flows on now: the model's input, or a layer's output. As long as no other layer
// follows, it is the model's output.
[[gnu::noinline]] void Loader::ReadValues(uint32_t index) {
  Tensor tensor;
  ReadTensor(index, type_, &tensor);
  const uint32_t width = Width(tensor);
  if (widest_ < width) widest_ = width;
  current_ = index;
  state.info.outputs = width;
  if (type_ != kInt8) return;
  if (tensor.quantization[kScale].count != 1) Unsupported(kThisQuantization);
  state.info.output_scale = tensor.scale;
  state.info.output_zero_point = tensor.zero_point;
}

void Loader::SetActivation(uint32_t activation, Layer* layer) {
  const bool clips = activation != kNone;
  const bool at_six = activation == kRelu6;
  if (clips && !at_six && activation != kRelu) {
    Unsupported("activation ", nullptr, activation);
  }
  layer->float_min = clips ? 0 : -kFloatMax;
  layer->float_max = at_six ? 6 : kFloatMax;
  const int32_t zero_point = state.info.output_zero_point;
  layer->output_zero_point = static_cast<int16_t>(zero_point);
  layer->output_min = clips ? layer->output_zero_point : -128;  // the code of 0
  layer->output_max = 127;
  if (!at_six || !IsScale(state.info.output_scale)) return;
  // The code of 6, halves rounded away from zero; no more than 255 steps make a difference.
  const float steps = 6.0f / state.info.output_scale;
  int32_t highest = steps < 255.0f ? static_cast<int32_t>(steps) : 255;
  if (steps - static_cast<float>(highest) >= 0.5f) ++highest;
  highest += zero_point;
  if (highest < 127) layer->output_max = static_cast<int16_t>(highest);
}

void Loader::SetMultipliers(const Tensor& weights, float input_scale, Layer* layer) {
  const Value& scales = weights.quantization[kScale];
  const bool per_channel = scales.count > 1;
  if (weights.zero_point != 0 ||
      (per_channel &&
       (scales.count != layer->rows || weights.quantization[kQuantizedDimension].value != 0))) {
    Unsupported(kThisQuantization);
  }
  Multiplier* multipliers = &layer->multiplier;
  layer->multiplier_step = 0;
  if (per_channel) {
    layer->multiplier_step = 1;
    multipliers = static_cast<Multiplier*>(Allocate(layer->rows, sizeof(Multiplier)));
  }
  layer->multipliers = multipliers;
  for (uint32_t i = 0; i < scales.count && !Failed(); ++i) {
    if (!QuantizeMultiplier(input_scale, FloatFromBits(model_.WordAt(scales, i)),
                            state.info.output_scale, &multipliers[i])) {
      Unsupported("a scale that is no positive number");
    }
  }
  if (!Failed()) PreparePlain(layer);
}

void Loader::ReadLayer(uint32_t op, Layer* layer) {
  Value fields[kOperatorEnd], options[kFullyConnectedEnd];
  model_.ReadTable(op, kOperatorFields, fields);
  const bool has_options = fields[kOptionsType].value == kFullyConnectedOptions;
  model_.ReadTable(has_options ? fields[kOptions].value : 0, kFullyConnectedFields, options);
  const Value& inputs = fields[kInputs];
  const Value& outputs = fields[kOutputs];
  if (model_.WordAt(inputs, 0) != current_ || inputs.count > 3 || outputs.count > 1) {
    Unsupported(kNoChain);
  }
  Tensor weights;
  ReadTensor(model_.WordAt(inputs, 1), type_, &weights);
  const float input_scale = state.info.output_scale;
  layer->columns = state.info.outputs;
  ReadValues(model_.WordAt(outputs, 0));
  layer->rows = state.info.outputs;
  const Value& shape = weights.fields[kShape];
  if (options[kWeightsFormat].value != 0) Unsupported("a shuffled filter");
  // Both are 65535 at most, so nothing wraps around but the last factor, 4; hence the shift.
  if (shape.count != 2 || model_.WordAt(shape, 0) != layer->rows ||
      model_.WordAt(shape, 1) != layer->columns ||
      weights.data.count >> (type_ == kInt8 ? 0 : 2) != layer->rows * layer->columns) {
    Malformed();
  }
  layer->weights = model_.At(weights.data.value);
  static const uint8_t kZero[4] = {};
  layer->bias = kZero;
  layer->bias_step = 0;
  const uint32_t bias_index = inputs.count == 3 ? model_.WordAt(inputs, 2) : kNoTensor;
  if (bias_index != kNoTensor) {
    Tensor bias;
    ReadTensor(bias_index, type_ == kInt8 ? kInt32 : kFloat32, &bias);
    if (Width(bias) != layer->rows || bias.data.count != 4 * layer->rows) Malformed();
    layer->bias = model_.At(bias.data.value);
    layer->bias_step = 4;
  }
  SetActivation(options[kActivation].value, layer);
  if (type_ == kInt8) SetMultipliers(weights, input_scale, layer);
}

Status Loader::Load() {
  if (model_.Read(4, 4) != kIdentifier) {
    Fail(Status::kMalformedModel, "this is no TensorFlow Lite model");
    return status_;
  }
  model_.ReadTable(model_.Follow(0), kModelFields, fields_);
  if (fields_[kVersion].value != kSchemaVersion) Unsupported("this schema version");
  if (fields_[kSubgraphs].count != 1) Unsupported("more or less than one subgraph");
  model_.ReadTable(model_.TableAt(fields_[kSubgraphs], 0), kSubgraphFields, graph_);
  if (graph_[kSubgraphInputs].count != 1 || graph_[kSubgraphOutputs].count != 1) {
    Unsupported("more or less than one input or output");
  }
  const uint32_t input = model_.WordAt(graph_[kSubgraphInputs], 0);
  // What the input's type is, all others' must be.
  Value tensor[kTensorEnd];
  model_.ReadTable(model_.TableAt(graph_[kTensors], input), kTensorFields, tensor);
  if (tensor[kType].value == kFloat32) type_ = kFloat32;
  ReadValues(input);
  Info& info = state.info;
  info.inputs = info.outputs;
  info.input_scale = info.output_scale;
  info.input_zero_point = info.output_zero_point;
  info.is_int8 = type_ == kInt8;
  // First what layers do, then room for them: an unsupported model is named before a small arena.
  const Value& operators = graph_[kOperatorList];
  for (uint32_t i = 0; i < operators.count && !Failed(); ++i) {
    CheckOperator(model_.TableAt(operators, i));
  }
  state.layer_count = operators.count;
  state.layers = static_cast<Layer*>(Allocate(operators.count, sizeof(Layer)));
  for (uint32_t i = 0; i < operators.count && !Failed(); ++i) {
    ReadLayer(model_.TableAt(operators, i), &state.layers[i]);
  }
  if (operators.count == 0 || current_ != model_.WordAt(graph_[kSubgraphOutputs], 0)) {
    Unsupported(kNoChain);
  }
  for (void*& values : state.values) {
    values = Allocate((widest_ + 3) & ~3u, type_ == kInt8 ? sizeof(int16_t) : sizeof(float));
  }
  Failed();
  return status_;
}

// Runs all layers. Returns where the last one's outputs are: both buffers have served in turn.
void* RunLayers() {
  void* from = state.values[0];
  void* to = state.values[1];
  for (uint32_t i = 0; i < state.layer_count; ++i) {
    if (state.info.is_int8) {
      FullyConnectedInt8(state.layers[i], static_cast<const int16_t*>(from),
                         static_cast<int16_t*>(to));
    } else {
      FullyConnectedFloat(state.layers[i], static_cast<const float*>(from),
                          static_cast<float*>(to));
    }
    void* const last = from;
    from = to;
    to = last;
  }
  return from;
}

// Whether a model is there, and of the type that was asked for.
Status CheckReady(bool wants_int8) {
  if (state.info.inputs == 0) {
    return Refuse(Status::kNotInitialized, "Init() has not accepted a model");
  }
  if (state.info.is_int8 != wants_int8) {
    return Refuse(Status::kUnsupportedModel, "the model takes the other type: int8 or float32");
  }
  return Status::kOk;
}

}  // namespace

Status Init(const uint8_t* model, size_t model_length, uint8_t* arena, size_t arena_length) {
  state = {};
  constexpr size_t kMost = 0x7fffffff;  // so that sums of positions do not wrap around
  // Aligned, whatever the caller gives.
  const size_t skip = -reinterpret_cast<uintptr_t>(arena) & (alignof(Layer) - 1);
  const size_t length = arena_length > skip ? arena_length - skip : 0;
  Loader loader(model, static_cast<uint32_t>(model_length > kMost ? 0 : model_length), arena + skip,
                static_cast<uint32_t>(length > kMost ? kMost : length));
  const Status status = loader.Load();
  if (status != Status::kOk) state.info = {};
  return status;
}

Status Invoke(const int8_t* input, int8_t* output) {
  const Status status = CheckReady(true);
  if (status != Status::kOk) return status;
  const Info info = state.info;
  int16_t* values = static_cast<int16_t*>(state.values[0]);
  for (uint32_t i = 0; i < info.inputs; ++i) {
    values[Place(i)] = static_cast<int16_t>(input[i] - info.input_zero_point);
  }
  const int16_t* result = static_cast<const int16_t*>(RunLayers());
  for (uint32_t i = 0; i < info.outputs; ++i) {
    output[i] = static_cast<int8_t>(result[Place(i)] + info.output_zero_point);
  }
  return Status::kOk;
}

Status InvokeFloat(const float* input, float* output) {
  const Status status = CheckReady(false);
  if (status != Status::kOk) return status;
  __builtin_memcpy(state.values[0], input, state.info.inputs * sizeof(float));
  __builtin_memcpy(output, RunLayers(), state.info.outputs * sizeof(float));
  return Status::kOk;
}

const Info& GetInfo() { return state.info; }

const char* Name() { return "compact"; }

Status Refuse(Status status, const char* reason) {
  state.shown = reason;
  return status;
}

const char* Reason() { return state.shown == nullptr ? "" : state.shown; }

}  // namespace engine
