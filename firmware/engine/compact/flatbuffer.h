// Reads a flatbuffer in place and trusts none of it: every offset and length is compared with the
// buffer's size before it is followed.
//
// Layout, from the FlatBuffers documentation ("Internals"): a table begins with a signed offset
// back to its vtable; the vtable holds its own size, the table's size, and for each field where it
// lies inside the table, 0 if it is absent. Strings, vectors and tables are reached through
// unsigned offsets relative to where the offset stands. All numbers are little-endian.

#ifndef ENGINE_COMPACT_FLATBUFFER_H_
#define ENGINE_COMPACT_FLATBUFFER_H_

#include <stdint.h>

namespace engine {

// What a table's field holds. The low four bits are the size of the number, or of an element.
enum Kind : uint8_t {
  kEnd = 0x00,   // behind the last field of interest
  kSkip = 0x10,  // of no interest
  kByte = 0x01,
  kWord = 0x04,
  kTable = 0x20,
  kBytes = 0x41,  // vectors of numbers; an offset to a table is a word
  kWords = 0x44,
  kLongs = 0x48,
};
constexpr uint32_t kSizeBits = 0x0f;

// A field as it was found: a number; or the position of a table, or of a vector's first element.
// All zeros if it is absent.
struct Value {
  uint32_t value;
  uint32_t count;  // of the vector's elements, which are all inside of the buffer; else 1
};

// Positions are bytes from the buffer's begin. Position 0 holds the root offset and can be no
// table, so 0 means "absent". Whoever reads outside gets zeros, and ok() is false from then on.
class Flatbuffer {
 public:
  Flatbuffer(const uint8_t* data, uint32_t size) : data_(data), size_(size) {}

  bool ok() const { return ok_; }
  const uint8_t* At(uint32_t position) const { return data_ + position; }

  // The number that stands in `bytes` bytes (1, 2 or 4) at a position.
  uint32_t Read(uint32_t position, uint32_t bytes);

  // Follows the offset that stands at a position.
  uint32_t Follow(uint32_t position);

  // A table's fields, number 0 and on: kinds[i] says what is expected, and values[i] is the answer.
  void ReadTable(uint32_t table, const Kind* kinds, Value* values);

  // Element number `index` of a vector of words, or the table that it leads to.
  uint32_t WordAt(const Value& vector, uint32_t index);
  uint32_t TableAt(const Value& vector, uint32_t index);

 private:
  bool Fits(uint32_t position, uint32_t bytes);

  const uint8_t* data_;
  uint32_t size_;  // 2^31 at most, so that sums of positions do not wrap around
  bool ok_ = true;
};

}  // namespace engine

#endif  // ENGINE_COMPACT_FLATBUFFER_H_
