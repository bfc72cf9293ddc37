#include "engine/compact/flatbuffer.h"

namespace engine {

// Calls that stay calls: these are short, used everywhere, and need not be fast.
[[gnu::noinline]] bool Flatbuffer::Fits(uint32_t position, uint32_t bytes) {
  if (position > size_ || bytes > size_ - position) ok_ = false;
  return ok_;
}

[[gnu::noinline]] uint32_t Flatbuffer::Read(uint32_t position, uint32_t bytes) {
  if (!Fits(position, bytes)) return 0;
  uint32_t value = 0;
  while (bytes-- > 0) value = value << 8 | data_[position + bytes];
  return value;
}

[[gnu::noinline]] uint32_t Flatbuffer::Follow(uint32_t position) {
  const uint32_t offset = Read(position, 4);
  return Fits(position, offset) ? position + offset : 0;
}

void Flatbuffer::ReadTable(uint32_t table, const Kind* kinds, Value* values) {
  // The offset to the vtable is signed and counts backwards: unsigned arithmetic wraps around to
  // the right place, and a wrong place is outside.
  const uint32_t vtable = table - Read(table, 4);
  const uint32_t vtable_size = table == 0 ? 0 : Read(vtable, 2);
  for (uint32_t end = 6; *kinds != kEnd; end += 2, ++kinds, ++values) {
    *values = {0, 0};
    const uint32_t offset = end > vtable_size ? 0 : Read(vtable + end - 2, 2);
    if (offset == 0 || *kinds == kSkip) continue;
    const uint32_t position = table + offset;
    const uint32_t size = *kinds & kSizeBits;
    *values = {0, 1};
    if (*kinds < kTable) {
      values->value = Read(position, size);
      continue;
    }
    values->value = Follow(position);
    if (*kinds == kTable) continue;
    values->count = Read(values->value, 4);
    values->value += 4;
    if (!ok_ || values->count > (size_ - values->value) / size) {
      ok_ = false;
      *values = {0, 0};
    }
  }
}

[[gnu::noinline]] uint32_t Flatbuffer::WordAt(const Value& vector, uint32_t index) {
  if (index >= vector.count) ok_ = false;
  return Read(vector.value + 4 * index, 4);
}

uint32_t Flatbuffer::TableAt(const Value& vector, uint32_t index) {
  if (index >= vector.count) ok_ = false;
  return Follow(vector.value + 4 * index);
}

}  // namespace engine
