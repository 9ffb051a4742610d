// The memory that TFLM's interpreter works in: a file of its own, so that trying another size compiles
// no more than that.
#ifndef TFLM_ARENA_H
#define TFLM_ARENA_H

#include <cstddef>
#include <cstdint>

extern std::uint8_t tensor_arena[];
extern const std::size_t tensor_arena_bytes;

#endif
