#include "engine/compact/flatbuffer.h"

namespace engine {
namespace flatbuffer {
namespace {

struct Buffer {
  const uint8_t* data;
  uint32_t size;
};
Buffer buffer;

// The bytes at a position; nullptr if they are not all there.
[[gnu::noinline]] const uint8_t* At(uint32_t position, uint32_t bytes) {
  if (position <= buffer.size && bytes <= buffer.size - position) return buffer.data + position;
  Close();
  return nullptr;
}

}  // namespace

// Positions are the sums of what the model says, and may wrap around: then they are wrong, but no
// less checked. Calls stay calls: these functions are short, used everywhere, and need not be fast.

void Open(const uint8_t* data, uint32_t size) { buffer = {data, size}; }

[[gnu::noinline]] void Close() { buffer.size = 0; }

[[gnu::noinline]] bool IsOpen() { return buffer.size != 0; }

[[gnu::noinline]] uint32_t Read(uint32_t position, uint32_t bytes) {
  const uint8_t* const begin = At(position, bytes);
  uint32_t value = 0;
  if (begin != nullptr) {
    while (bytes-- > 0) value = value << 8 | begin[bytes];
  }
  return value;
}

[[gnu::noinline]] uint32_t Get(uint32_t table, uint32_t field) {
  if (table == 0) return 0;
  const uint32_t vtable = table - Read(table, 4);
  const uint32_t entry = 4 + 2 * (field >> 3);
  if (entry >= Read(vtable, 2)) return 0;
  const uint32_t offset = Read(vtable + entry, 2);
  if (offset == 0) return 0;
  const uint32_t position = table + offset;
  const uint32_t kind = field & 7;
  return kind == kChild ? position + Read(position, 4) : Read(position, kind);
}

[[gnu::noinline]] uint32_t Count(uint32_t vector) { return vector == 0 ? 0 : Read(vector, 4); }

[[gnu::noinline]] uint32_t Word(uint32_t vector, uint32_t index) {
  if (index >= Count(vector)) Close();
  return Read(vector + 4 + 4 * index, 4);
}

[[gnu::noinline]] uint32_t Table(uint32_t vector, uint32_t index) {
  return vector + 4 + 4 * index + Word(vector, index);
}

const uint8_t* Bytes(uint32_t vector, uint32_t count) {
  if (Count(vector) != count) Close();
  return At(vector + 4, count);
}

}  // namespace flatbuffer
}  // namespace engine
