// What compilers call even in freestanding code. Compiled without built-in knowledge of these very
// functions, or the loops would become calls to themselves.

#include <stddef.h>
#include <stdint.h>

extern "C" {

void* memcpy(void* to, const void* from, size_t count) {
  uint8_t* target = static_cast<uint8_t*>(to);
  const uint8_t* source = static_cast<const uint8_t*>(from);
  while (count-- > 0) *target++ = *source++;
  return to;
}

void* memmove(void* to, const void* from, size_t count) {
  uint8_t* target = static_cast<uint8_t*>(to);
  const uint8_t* source = static_cast<const uint8_t*>(from);
  if (target <= source) return memcpy(to, from, count);
  while (count-- > 0) target[count] = source[count];
  return to;
}

void* memset(void* to, int value, size_t count) {
  uint8_t* target = static_cast<uint8_t*>(to);
  while (count-- > 0) *target++ = static_cast<uint8_t>(value);
  return to;
}

// The same by the names of the Arm run-time ABI (section 4.3.4), which compilers call where they
// know the alignment. Note the order of the arguments of __aeabi_memset.
void __aeabi_memcpy(void* to, const void* from, size_t count) { memcpy(to, from, count); }
void __aeabi_memcpy4(void* to, const void* from, size_t count) { memcpy(to, from, count); }
void __aeabi_memcpy8(void* to, const void* from, size_t count) { memcpy(to, from, count); }
void __aeabi_memmove(void* to, const void* from, size_t count) { memmove(to, from, count); }
void __aeabi_memset(void* to, size_t count, int value) { memset(to, value, count); }
void __aeabi_memset4(void* to, size_t count, int value) { memset(to, value, count); }
void __aeabi_memclr(void* to, size_t count) { memset(to, 0, count); }
void __aeabi_memclr4(void* to, size_t count) { memset(to, 0, count); }
void __aeabi_memclr8(void* to, size_t count) { memset(to, 0, count); }

}  // extern "C"
