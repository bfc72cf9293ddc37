// Runs whichever engine it is linked with on the desktop, for the tests. It knows the engine by
// predictor.h only.
//
//   engine_runner MODEL [ARENA_BYTES]  raw inputs from stdin, raw outputs to stdout
//   engine_runner --predict MODEL      inputs from stdin, predictions to stdout, all float32
//   engine_runner --info MODEL         what Init() found
//   engine_runner --reasons MODEL      status and reason of calls that are refused and that are not
//   engine_runner --truncations MODEL  every beginning of the model
//   engine_runner --arenas MODEL       every arena that is smaller than needed, and the smallest
//   engine_runner --places MODEL       model and arena at every address modulo 16
//   engine_runner --many MODELS        every model of a file, each behind its length in 4 bytes;
//                                      to stdout one byte, whether it is accepted, the inputs, the
//                                      outputs, whether they are int8 (4 bytes each) and the
//                                      answers to kRounds fixed inputs, see InferFixed()
//
// Models and arenas lie in heap blocks of exactly their size, so that a sanitizer sees every step
// outside. Exit code 2: wrong usage. 3: Init() refused. 4: a prediction was refused. The reason is
// on stderr.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

#include "engine/predictor.h"

namespace {

using engine::GetInfo;
using engine::Status;

constexpr size_t kDefaultArena = 256 * 1024;
constexpr size_t kRounds = 4;  // inferences of a trial

// `size` bytes whose address is `offset` modulo 16, with the end of the heap block behind them.
// Without the C++ library, which some compilers would build first.
class Block {
 public:
  explicit Block(size_t size, size_t offset = 0)
      : memory_(static_cast<uint8_t*>(malloc(size + offset))), offset_(offset), size_(size) {
    if (memory_ != nullptr) memset(memory_, 0xa5, size + offset);
  }
  Block(const uint8_t* bytes, size_t size, size_t offset = 0) : Block(size, offset) {
    if (size > 0) memcpy(get(), bytes, size);
  }
  ~Block() { free(memory_); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  uint8_t* get() { return memory_ + offset_; }
  const uint8_t* get() const { return memory_ + offset_; }
  size_t size() const { return size_; }
  bool operator==(const Block& other) const {
    return size_ == other.size_ && (size_ == 0 || memcmp(get(), other.get(), size_) == 0);
  }

 private:
  uint8_t* memory_;
  size_t offset_;
  size_t size_;
};

// Everything that is left in a file, and its length. Freed by nobody: it is needed to the end.
uint8_t* ReadAll(FILE* file, size_t* length) {
  uint8_t* all = nullptr;
  uint8_t chunk[4096];
  *length = 0;
  for (size_t n; (n = fread(chunk, 1, sizeof(chunk), file)) > 0; *length += n) {
    all = static_cast<uint8_t*>(realloc(all, *length + n));
    memcpy(all + *length, chunk, n);
  }
  return all;
}

[[noreturn]] void Refuse(int exit_code) {
  fprintf(stderr, "%s\n", engine::Reason());
  exit(exit_code);
}

size_t ValueSize() { return GetInfo().is_int8 ? 1 : sizeof(float); }

// One inference from and to exact heap blocks.
Status Infer(const uint8_t* input, uint8_t* output) {
  const engine::Info& info = GetInfo();
  Block from(input, info.inputs * ValueSize()), to(info.outputs * ValueSize());
  const Status status = info.is_int8 ? engine::Invoke(reinterpret_cast<int8_t*>(from.get()),
                                                      reinterpret_cast<int8_t*>(to.get()))
                                     : engine::InvokeFloat(reinterpret_cast<float*>(from.get()),
                                                           reinterpret_cast<float*>(to.get()));
  memcpy(output, to.get(), to.size());
  return status;
}

// A few inferences with fixed inputs; what came out, kRounds * outputs values.
void InferFixed(Block* answers) {
  const engine::Info& info = GetInfo();
  const size_t size = ValueSize();
  Block input(info.inputs * size);
  for (size_t i = 0; i < kRounds; ++i) {
    for (size_t j = 0; j < info.inputs; ++j) {
      const float value = static_cast<float>(i) - 1.5f * static_cast<float>(j + 1);
      const uint8_t code = static_cast<uint8_t>(85 * i + 31 * j);
      memcpy(input.get() + j * size, info.is_int8 ? static_cast<const void*>(&code) : &value, size);
    }
    if (Infer(input.get(), answers->get() + i * info.outputs * size) != Status::kOk) Refuse(4);
  }
}

int Stream(const Block& model, size_t arena_length) {
  Block arena(arena_length);
  if (engine::Init(model.get(), model.size(), arena.get(), arena_length) != Status::kOk) Refuse(3);
  const engine::Info& info = GetInfo();
  size_t length;
  const uint8_t* inputs = ReadAll(stdin, &length);
  const size_t step = info.inputs * ValueSize();
  if (length % step != 0) {
    fprintf(stderr, "stdin is not a whole number of inputs\n");
    return 2;
  }
  Block output(info.outputs * ValueSize());
  for (size_t i = 0; i < length; i += step) {
    if (Infer(inputs + i, output.get()) != Status::kOk) Refuse(4);
    if (fwrite(output.get(), 1, output.size(), stdout) != output.size()) return 2;
  }
  return 0;
}

void InitOrRefuse(const Block& model, Block* arena) {
  if (engine::Init(model.get(), model.size(), arena->get(), arena->size()) != Status::kOk) {
    Refuse(3);
  }
}

int PredictStream(const Block& model) {
  Block arena(kDefaultArena);
  InitOrRefuse(model, &arena);
  float x, y;
  while (fread(&x, sizeof(x), 1, stdin) == 1) {
    if (engine::Predict(x, &y) != Status::kOk) Refuse(4);
    fwrite(&y, sizeof(y), 1, stdout);
  }
  return 0;
}

int PrintInfo(const Block& model) {
  Block arena(kDefaultArena);
  InitOrRefuse(model, &arena);
  const engine::Info& info = GetInfo();
  printf("inputs=%u outputs=%u arena_used=%u is_int8=%d\n", static_cast<unsigned>(info.inputs),
         static_cast<unsigned>(info.outputs), static_cast<unsigned>(info.arena_used), info.is_int8);
  printf("input_scale=%.9g input_zero_point=%d\n", static_cast<double>(info.input_scale),
         static_cast<int>(info.input_zero_point));
  printf("output_scale=%.9g output_zero_point=%d\n", static_cast<double>(info.output_scale),
         static_cast<int>(info.output_zero_point));
  return 0;
}

int PrintReasons(const Block& model) {
  const auto print = [](const char* call, Status status) {
    printf("%s: %d '%s'\n", call, static_cast<int>(status), engine::Reason());
  };
  Block arena(kDefaultArena), damaged(model.get(), model.size() / 2), small(0);
  const auto init = [&arena](const Block& bytes) {
    return engine::Init(bytes.get(), bytes.size(), arena.get(), arena.size());
  };
  float value = 1;
  int8_t code = 0;
  const auto invoke = [&] {
    return GetInfo().is_int8 ? engine::Invoke(&code, &code) : engine::InvokeFloat(&value, &value);
  };
  const auto other = [&] {
    return GetInfo().is_int8 ? engine::InvokeFloat(&value, &value) : engine::Invoke(&code, &code);
  };
  print("before Init", engine::Predict(1, &value));
  print("Init", init(model));
  print("Predict NaN", engine::Predict(__builtin_nanf(""), &value));
  print("Predict", engine::Predict(1, &value));
  print("other type", other());
  print("raw", invoke());
  print("Predict infinity", engine::Predict(__builtin_inff(), &value));
  print("raw", invoke());
  print("damaged", init(damaged));
  print("Predict", engine::Predict(1, &value));
  print("Init", init(model));
  print("no arena", engine::Init(model.get(), model.size(), small.get(), 0));
  print("Init", init(model));
  return 0;
}

// How the trials of one mode went.
struct Tally {
  unsigned answered, refused, different;
};

// Init() and, if it accepts, inferences, whose answers should be `expected` if there are such.
void Try(const Block& model, Block* arena, const Block* expected, Tally* tally) {
  if (engine::Init(model.get(), model.size(), arena->get(), arena->size()) != Status::kOk) {
    if (*engine::Reason() == '\0') {
      fprintf(stderr, "refused without a reason\n");
      exit(1);
    }
    ++tally->refused;
    return;
  }
  Block answers(kRounds * GetInfo().outputs * ValueSize());
  InferFixed(&answers);
  ++tally->answered;
  if (expected != nullptr && !(answers == *expected)) ++tally->different;
}

int Print(const Tally& tally) {
  printf("answered=%u refused=%u different=%u\n", tally.answered, tally.refused, tally.different);
  return 0;
}

int TryTruncations(const Block& model) {
  Tally tally = {};
  for (size_t length = 0; length < model.size(); ++length) {
    Block beginning(model.get(), length), arena(kDefaultArena);
    Try(beginning, &arena, nullptr, &tally);
  }
  return Print(tally);
}

int TryArenas(const Block& model) {
  Block all(kDefaultArena);
  InitOrRefuse(model, &all);
  const size_t need = GetInfo().arena_used;
  Block expected(kRounds * GetInfo().outputs * ValueSize());
  InferFixed(&expected);
  Tally less = {}, enough = {};
  for (size_t length = 0; length <= need; ++length) {
    Block arena(length);
    Try(model, &arena, &expected, length < need ? &less : &enough);
  }
  printf("need=%u answered_with_less=%u\n", static_cast<unsigned>(need), less.answered);
  return Print(enough);
}

int TryPlaces(const Block& model) {
  Block all(kDefaultArena);
  InitOrRefuse(model, &all);
  Block expected(kRounds * GetInfo().outputs * ValueSize());
  InferFixed(&expected);
  Tally tally = {};
  for (size_t place = 0; place < 256; ++place) {
    Block moved(model.get(), model.size(), place % 16), arena(kDefaultArena, place / 16);
    Try(moved, &arena, &expected, &tally);
  }
  return Print(tally);
}

void Put(uint32_t number) { fwrite(&number, sizeof(number), 1, stdout); }

int InferMany(const Block& models) {
  uint32_t length;
  for (size_t at = 0; at + sizeof(length) <= models.size(); at += length) {
    memcpy(&length, models.get() + at, sizeof(length));
    at += sizeof(length);
    if (length > models.size() - at) return 2;
    Block model(models.get() + at, length), arena(kDefaultArena);
    const bool accepted =
        engine::Init(model.get(), length, arena.get(), arena.size()) == Status::kOk;
    fputc(accepted, stdout);
    if (accepted) {
      Put(GetInfo().inputs);
      Put(GetInfo().outputs);
      Put(GetInfo().is_int8);
      Block answers(kRounds * GetInfo().outputs * ValueSize());
      InferFixed(&answers);
      fwrite(answers.get(), 1, answers.size(), stdout);
    }
    fflush(stdout);  // after a crash it is to be seen which one it was
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
#ifdef _WIN32
  _setmode(_fileno(stdin), _O_BINARY);
  _setmode(_fileno(stdout), _O_BINARY);
#endif
  const bool named = count > 1 && arguments[1][0] == '-';
  if (count < (named ? 3 : 2) || count > 3) {
    fprintf(stderr, "usage: see the head of engine_runner.cc\n");
    return 2;
  }
  FILE* file = fopen(arguments[named ? 2 : 1], "rb");
  if (file == nullptr) {
    fprintf(stderr, "cannot read %s\n", arguments[named ? 2 : 1]);
    return 2;
  }
  size_t length;
  const uint8_t* bytes = ReadAll(file, &length);
  fclose(file);
  const Block model(bytes, length);
  if (!named) {
    return Stream(model, count == 3 ? strtoul(arguments[2], nullptr, 10) : kDefaultArena);
  }
  const struct {
    const char* name;
    int (*run)(const Block& model);
  } modes[] = {{"--predict", PredictStream}, {"--info", PrintInfo},
               {"--reasons", PrintReasons},  {"--truncations", TryTruncations},
               {"--arenas", TryArenas},      {"--places", TryPlaces},
               {"--many", InferMany}};
  for (const auto& mode : modes) {
    if (strcmp(arguments[1], mode.name) == 0) return mode.run(model);
  }
  fprintf(stderr, "there is no mode %s\n", arguments[1]);
  return 2;
}
