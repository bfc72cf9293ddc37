// A board and an engine that do as they are told and say what they are asked to do, for tests of
// the application on the desktop.
//
// stdin: the engine's inputs, outputs, is_int8 and its reason for refusing the model, or "-"; then
// the values that it predicts, one after the other. When there are none left, it refuses, once.
// stdout: one line for each call of the board: init, tick, led N, write TEXT, stop N. TEXT is a
// whole line of the console.
// Exit code 2: stdin does not begin like that. 3: a refusal was not heeded.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boards/board.h"
#include "engine/predictor.h"
#include "model/model.h"

alignas(16) const unsigned char g_model[] = {1, 2, 3};
const unsigned int g_model_len = sizeof(g_model);

namespace {

alignas(16) uint8_t arena[64];
engine::Info info;
char reason[80];
char line[1000];
size_t line_length;

void EndLine() {
  printf("write %.*s\n", static_cast<int>(line_length), line);
  line_length = 0;
}

}  // namespace

namespace board {

void Init() { puts("init"); }

void Write(char character) {
  if (character != '\n' && line_length < sizeof(line)) line[line_length++] = character;
  if (character == '\n') EndLine();
}

void SetLed(uint8_t brightness) { printf("led %d\n", brightness); }

void WaitForTick() { puts("tick"); }

uint8_t* Arena(size_t* length) {
  *length = sizeof(arena);
  return arena;
}

void Stop(int exit_code) {
  if (line_length > 0) EndLine();  // one that was not ended
  printf("stop %d\n", exit_code);
  exit(exit_code);
}

}  // namespace board

namespace engine {

Status Init(const uint8_t* model, size_t model_length, uint8_t* memory, size_t memory_length) {
  int is_int8;
  if (scanf("%u %u %d %79s", &info.inputs, &info.outputs, &is_int8, reason) != 4) exit(2);
  info.is_int8 = is_int8 != 0;
  info.arena_used = 48;
  if (model != g_model || model_length != 3 || memory != arena || memory_length != sizeof(arena)) {
    return Refuse(Status::kMalformedModel, "these are not the model and the board's memory");
  }
  return strcmp(reason, "-") == 0 ? Status::kOk : Status::kUnsupportedModel;
}

Status Predict(float x, float* y) {
  (void)x;
  static bool refused = false;
  if (refused) exit(3);
  refused = scanf("%f", y) != 1;
  return refused ? Refuse(Status::kInputOutOfRange, "no values are left") : Status::kOk;
}

// The answer is the sum of the inputs, and one more for each further output.
Status Invoke(const int8_t* input, int8_t* output) {
  int sum = 0;
  for (uint32_t i = 0; i < info.inputs; ++i) sum += input[i];
  for (uint32_t i = 0; i < info.outputs; ++i) output[i] = static_cast<int8_t>(sum + i);
  return Status::kOk;
}

const Info& GetInfo() { return info; }

const char* Reason() { return reason; }

Status Refuse(Status status, const char* text) {
  snprintf(reason, sizeof(reason), "%s", text);
  return status;
}

const char* Name() { return "fake"; }

}  // namespace engine
