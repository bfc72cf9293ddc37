// Reads a flatbuffer in place and trusts none of it: every position is compared with the buffer's
// size before something is read there, wherever it came from.
//
// Layout, from the FlatBuffers documentation ("Internals"): a table begins with a signed offset
// back to its vtable; the vtable holds its own size, the table's size, and for each field where it
// lies inside the table, 0 if it is absent. Strings, vectors and tables are reached through
// unsigned offsets relative to where the offset stands. A vector begins with the number of its
// elements. All numbers are little-endian.

#ifndef ENGINE_COMPACT_FLATBUFFER_H_
#define ENGINE_COMPACT_FLATBUFFER_H_

#include <stdint.h>

namespace engine {

// A field of a table: its number, and what it holds.
enum Kind : uint32_t { kByte = 1, kChild = 2, kWord = 4 };  // of a number, its size
constexpr uint32_t Field(uint32_t number, Kind kind) { return number << 3 | kind; }

// There is one buffer at a time, since every argument more costs flash. Tables and vectors are
// known by their positions, bytes from the buffer's begin. Position 0 holds the root offset and can
// be neither, so 0 means "absent": its fields are absent too, and it has no elements. Whoever reads
// outside gets 0, now and from then on, whatever else is read.
namespace flatbuffer {

// The buffer to read.
void Open(const uint8_t* data, uint32_t size);

// From now on, everything is outside.
void Close();

// Whether everything that was asked for was there.
bool IsOpen();

// The number that stands in `bytes` bytes (1, 2 or 4) at a position.
uint32_t Read(uint32_t position, uint32_t bytes);

// What a field holds: a number, or the position of a table or vector. 0 if it is absent.
uint32_t Get(uint32_t table, uint32_t field);

// How many elements a vector has; element number `index` of a vector of words, or the table that
// it leads to.
uint32_t Count(uint32_t vector);
uint32_t Word(uint32_t vector, uint32_t index);
uint32_t Table(uint32_t vector, uint32_t index);

// The elements of a vector of so many bytes. If they are not all inside, they must not be used.
const uint8_t* Bytes(uint32_t vector, uint32_t count);

}  // namespace flatbuffer
}  // namespace engine

#endif  // ENGINE_COMPACT_FLATBUFFER_H_
