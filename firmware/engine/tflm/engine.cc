// TensorFlow Lite for Microcontrollers, TFLM, behind the same interface as the compact engine.
//
// TFLM comes as an installed library. It must have been compiled with the definitions that
// CMakeLists.txt gives for this file, because they change the layout of TFLM's classes.

#include <float.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <new>

#include "engine/names.h"
#include "engine/predictor.h"
#include "tensorflow/lite/micro/arena_allocator/single_arena_buffer_allocator.h"
#include "tensorflow/lite/micro/memory_helpers.h"
#include "tensorflow/lite/micro/memory_planner/greedy_memory_planner.h"
#include "tensorflow/lite/micro/micro_arena_constants.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tensorflow/lite/schema/schema_utils.h"

// TFLM's failed assertions end here. The board reports the trap as a fault; newlib's abort() would
// need an operating system.
extern "C" void abort() { __builtin_trap(); }

namespace engine {
namespace {

// Every operator that is registered takes flash, so there are just those that the course's models
// have. To add one: raise the number, add a line such as resolver->AddConv2D() == kTfLiteOk, and
// see that the library has its kernel.
using Resolver = tflite::MicroMutableOpResolver<1>;

bool RegisterOperators(Resolver* resolver) { return resolver->AddFullyConnected() == kTfLiteOk; }

constexpr size_t kAlignment = tflite::MicroArenaBufferAlignment();

jmp_buf g_out_of_memory;

// Hands out the arena, which it counts, and ends Init() where nothing is left. TFLM on its own does
// not look at every allocation's result: it would write through a null pointer, to address 0.
class Arena : public tflite::SingleArenaBufferAllocator {
 public:
  using SingleArenaBufferAllocator::SingleArenaBufferAllocator;

  uint8_t* AllocatePersistentBuffer(size_t size, size_t alignment) override {
    uint8_t* const memory = SingleArenaBufferAllocator::AllocatePersistentBuffer(size, alignment);
    // The base class overlooks temporary memory, which a kernel may still have in use.
    if (memory == nullptr || memory < GetOverlayMemoryAddress() + GetNonPersistentUsedBytes()) {
      longjmp(g_out_of_memory, 1);
    }
    Count();
    return memory;
  }

  uint8_t* AllocateTemp(size_t size, size_t alignment) override {
    uint8_t* const memory = SingleArenaBufferAllocator::AllocateTemp(size, alignment);
    // The base class overlooks that aligning may lead past the end.
    if (memory == nullptr || memory > tail() || size > static_cast<size_t>(tail() - memory)) {
      longjmp(g_out_of_memory, 1);
    }
    if (!planned()) Count();  // the planner takes all that is left, whatever it needs
    return memory;
  }

  TfLiteStatus ResizeBuffer(uint8_t* buffer, size_t size, size_t alignment) override {
    const TfLiteStatus status = SingleArenaBufferAllocator::ResizeBuffer(buffer, size, alignment);
    if (status != kTfLiteOk || head() > tail()) longjmp(g_out_of_memory, 1);
    Count();
    return status;
  }

  // What is left for the memory planner, which asks once.
  size_t GetAvailableMemory(size_t alignment) const override {
    const size_t available = SingleArenaBufferAllocator::GetAvailableMemory(alignment);
    const uint8_t* const end = tail() + GetPersistentUsedBytes();
    used_before_plan_ = static_cast<size_t>(end - GetOverlayMemoryAddress()) - available;
    return available;
  }

  bool planned() const { return used_before_plan_ != 0; }

  // The least arena that would have done. It is more than what is in use in the end, which is all
  // that arena_used_bytes() knows of: on the way there, TFLM needs memory to prepare the operators
  // and, above all, to plan what lies where, about 60 bytes for each tensor that is computed.
  size_t Need(size_t planned_buffers) const {
    const size_t plan =
        used_before_plan_ + planned_buffers * tflite::GreedyMemoryPlanner::per_buffer_size();
    const size_t most = most_ > plan ? most_ : plan;
    return (most + kAlignment - 1) / kAlignment * kAlignment;
  }

  TF_LITE_REMOVE_VIRTUAL_DELETE

 private:
  void Count() {
    if (GetUsedBytes() > most_) most_ = GetUsedBytes();
  }

  size_t most_ = 0;
  mutable size_t used_before_plan_ = 0;
};

// Room for an object of TFLM that is made by Init(). As a global it would need a constructor before
// main(), and a destructor, for which there is no code.
template <typename T>
class Place {
 public:
  template <typename... Arguments>
  T* Make(Arguments&&... arguments) {
    return new (memory_) T(static_cast<Arguments&&>(arguments)...);
  }

 private:
  alignas(T) uint8_t memory_[sizeof(T)];
};

Place<Resolver> g_resolver;
Place<Arena> g_arena;
Place<tflite::GreedyMemoryPlanner> g_planner;
Place<tflite::MicroInterpreter> g_interpreter;

// Every member has an initial value, so that the whole has one when it is compiled.
struct State {
  Info info = {};
  tflite::MicroInterpreter* interpreter = nullptr;  // stays so unless Init() accepts a model
  const char* shown = "";                           // what Reason() gives
  char reason[80] = {};                             // room for the longest name of an operator
};
State state;

Status Damaged() { return Refuse(Status::kMalformedModel, "the model is damaged or cut off"); }

Status Unsupported(const char* reason) { return Refuse(Status::kUnsupportedModel, reason); }

// TFLM does not look at the bounds of what it reads, and trusts whoever made the image. With
// TFLM_VERIFIER every table of the model is looked at here, once, for 13 (-Os) to 22 kB (-O2) of
// flash.
Status CheckFlatbuffer(const uint8_t* model, size_t length) {
  if (reinterpret_cast<uintptr_t>(model) % sizeof(uint32_t) != 0) {
    return Refuse(Status::kMalformedModel, "the model does not begin at a multiple of 4 bytes");
  }
  if (length < 8 || !tflite::ModelBufferHasIdentifier(model)) {
    return Refuse(Status::kMalformedModel, "this is no TensorFlow Lite model");
  }
#if TFLM_VERIFIER
  flatbuffers::Verifier verifier(model, length);
  if (!tflite::VerifyModelBuffer(verifier)) return Damaged();
#endif
  return Status::kOk;
}

// Whether all indices of tensors are below count. -1 stands for an input that is left out.
bool AreIndices(const flatbuffers::Vector<int32_t>* indices, int32_t least, uint32_t count) {
  if (indices == nullptr) return false;
  for (const int32_t index : *indices) {
    if (index < least || index >= static_cast<int64_t>(count)) return false;
  }
  return true;
}

// Whether a tensor's shape is one, and its buffer is there and has, if the tensor is constant, as
// much as its shape says.
bool IsWhole(const tflite::Model& model, const tflite::Tensor& tensor) {
  constexpr int32_t kMostValues = 1 << 24;  // so that bytes do not wrap around
  int32_t values = 1;
  for (uint32_t i = 0; tensor.shape() != nullptr && i < tensor.shape()->size(); ++i) {
    const int32_t length = tensor.shape()->Get(i);
    if (length < 1 || length > kMostValues / values) return false;
    values *= length;
  }
  if (tensor.buffer() >= model.buffers()->size()) return false;
  const auto* const data = model.buffers()->Get(tensor.buffer())->data();
  if (data == nullptr || data->size() == 0) return true;
  size_t bytes, type_size;
  return tflite::BytesRequiredForTensor(tensor, &bytes, &type_size) == kTfLiteOk &&
         bytes == data->size();
}

// Whether what the model's tables say of one another is so. What remains on trust is that the
// shapes of one operator's tensors go together, which is for its kernel to know.
Status CheckGraph(const tflite::Model& model) {
  if (model.version() != TFLITE_SCHEMA_VERSION)
    return Unsupported("TFLM has another schema version");
  if (model.subgraphs() == nullptr || model.subgraphs()->size() != 1) {
    return Unsupported("TFLM found more or less than one subgraph");
  }
  const tflite::SubGraph& graph = *model.subgraphs()->Get(0);
  if (model.operator_codes() == nullptr || model.buffers() == nullptr ||
      graph.tensors() == nullptr || graph.operators() == nullptr) {
    return Damaged();
  }
  const uint32_t count = graph.tensors()->size();
  if (!AreIndices(graph.inputs(), 0, count) || !AreIndices(graph.outputs(), 0, count)) {
    return Damaged();
  }
  for (const tflite::Tensor* tensor : *graph.tensors()) {
    if (!IsWhole(model, *tensor)) return Damaged();
  }
  for (const tflite::Operator* op : *graph.operators()) {
    if (op->opcode_index() >= model.operator_codes()->size() ||
        !AreIndices(op->inputs(), -1, count) || !AreIndices(op->outputs(), 0, count)) {
      return Damaged();
    }
  }
  return Status::kOk;
}

// The operator's name, or its number in the schema if it has none here.
Status RefuseOperator(uint32_t number) {
  const char digits[] = {static_cast<char>('0' + number / 100 % 10),
                         static_cast<char>('0' + number / 10 % 10),
                         static_cast<char>('0' + number % 10), '\0'};
  const char* const name = OperatorName(number);
  strcpy(state.reason, "TFLM found operator ");
  strcat(state.reason, name == nullptr ? digits : name);
  strcat(state.reason, ", which is not built in");
  return Unsupported(state.reason);
}

// AllocateTensors() refuses the same, but cannot say why: its error strings are left out.
Status CheckOperators(const tflite::Model& model, const Resolver& resolver) {
  for (const tflite::Operator* op : *model.subgraphs()->Get(0)->operators()) {
    const tflite::OperatorCode* const code = model.operator_codes()->Get(op->opcode_index());
    const TFLMRegistration* registration;
    if (tflite::GetRegistrationFromOpCode(code, resolver, &registration) != kTfLiteOk) {
      return RefuseOperator(static_cast<uint32_t>(tflite::GetBuiltinCode(code)));
    }
  }
  return Status::kOk;
}

// Lets TFLM build the interpreter and plan the arena.
Status Allocate(const tflite::Model& model, const Resolver& resolver, uint8_t* memory,
                size_t length) {
  if (setjmp(g_out_of_memory) != 0) {
    return Refuse(Status::kArenaTooSmall, "the model needs more working memory than there is");
  }
  Arena* const arena = g_arena.Make(memory, length);
  auto* const planner = g_planner.Make();
  state.interpreter =
      g_interpreter.Make(&model, resolver, tflite::MicroAllocator::Create(arena, planner));
  if (state.interpreter->AllocateTensors() != kTfLiteOk) {
    // All operators have agreed before planning begins, so then only memory can be missing.
    if (arena->planned()) longjmp(g_out_of_memory, 1);
    return Unsupported("TFLM does not support an operator's types, shapes or quantization");
  }
  state.info.arena_used =
      static_cast<uint32_t>(arena->Need(static_cast<size_t>(planner->GetBufferCount())));
  return Status::kOk;
}

// Takes over what the ends of the network are like.
Status Describe() {
  tflite::MicroInterpreter& interpreter = *state.interpreter;
  if (interpreter.inputs_size() != 1 || interpreter.outputs_size() != 1) {
    return Unsupported("TFLM found more or less than one input or output");
  }
  const TfLiteTensor& input = *interpreter.input(0);
  const TfLiteTensor& output = *interpreter.output(0);
  Info& info = state.info;
  info.is_int8 = input.type == kTfLiteInt8;
  if (output.type != input.type || (!info.is_int8 && input.type != kTfLiteFloat32)) {
    return Unsupported("input and output are not both int8 or both float32");
  }
  const size_t size = info.is_int8 ? sizeof(int8_t) : sizeof(float);
  info.inputs = static_cast<uint32_t>(input.bytes / size);
  info.outputs = static_cast<uint32_t>(output.bytes / size);
  if (info.inputs == 0 || info.outputs == 0) return Unsupported("TFLM found an empty tensor");
  info.input_scale = input.params.scale;
  info.output_scale = output.params.scale;
  info.input_zero_point = input.params.zero_point;
  info.output_zero_point = output.params.zero_point;
  // Written so that NaN fails too.
  const bool has_scales = info.input_scale > 0 && info.input_scale <= FLT_MAX &&
                          info.output_scale > 0 && info.output_scale <= FLT_MAX;
  if (info.is_int8 && !has_scales) return Unsupported("a scale is no positive number");
  return Status::kOk;
}

Status Load(const uint8_t* bytes, size_t length, uint8_t* arena, size_t arena_length) {
  Status status = CheckFlatbuffer(bytes, length);
  if (status != Status::kOk) return status;
  const tflite::Model& model = *tflite::GetModel(bytes);
  status = CheckGraph(model);
  if (status != Status::kOk) return status;
  Resolver* const resolver = g_resolver.Make();
  if (!RegisterOperators(resolver)) return Unsupported("the resolver has no room for an operator");
  status = CheckOperators(model, *resolver);
  if (status != Status::kOk) return status;
  status = Allocate(model, *resolver, arena, arena_length);
  if (status != Status::kOk) return status;
  return Describe();
}

// One inference with the bytes of raw values.
Status Run(bool wants_int8, const void* input, void* output) {
  if (state.interpreter == nullptr) {
    return Refuse(Status::kNotInitialized, "Init() has not accepted a model");
  }
  if (state.info.is_int8 != wants_int8) {
    return Unsupported("the model takes the other type: int8 or float32");
  }
  const TfLiteTensor& from = *state.interpreter->input(0);
  const TfLiteTensor& to = *state.interpreter->output(0);
  memcpy(from.data.raw, input, from.bytes);
  if (state.interpreter->Invoke() != kTfLiteOk) return Unsupported("an operator of TFLM failed");
  memcpy(output, to.data.raw, to.bytes);
  state.shown = "";
  return Status::kOk;
}

}  // namespace

Status Init(const uint8_t* model, size_t model_length, uint8_t* arena, size_t arena_length) {
  state.shown = "";
  // Whole blocks of 16 bytes, whatever the caller gives: so the need does not depend on the place.
  const size_t skip = -reinterpret_cast<uintptr_t>(arena) % kAlignment;
  const size_t length = arena_length > skip ? (arena_length - skip) / kAlignment * kAlignment : 0;
  // The former interpreter is not destroyed: it owns nothing, and its arena may be gone.
  state.info = {};
  state.interpreter = nullptr;
  const Status status = Load(model, model_length, arena + skip, length);
  if (status != Status::kOk) {
    state.info = {};
    state.interpreter = nullptr;
  }
  return status;
}

Status Invoke(const int8_t* input, int8_t* output) { return Run(true, input, output); }

Status InvokeFloat(const float* input, float* output) { return Run(false, input, output); }

const Info& GetInfo() { return state.info; }

const char* Name() { return "tflm"; }

Status Refuse(Status status, const char* reason) {
  state.shown = reason;
  return status;
}

const char* Reason() { return state.shown; }

}  // namespace engine
