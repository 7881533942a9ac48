// What a caller needs to name elementwise tile kernels; elementwise-inl.h has their bodies.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace tidu {

// Reads n elements of each contiguous input and writes n. The output may be one of the inputs. After the
// inputs comes, for a row with parameters, a pointer to their values as doubles.
using TileFunction = void (*)(const void* const* inputs, void* output, int64_t n);

// The name of a row of the table of elementwise operations as a type, so that vector forms are found by
// overloading.
template <size_t size> struct RowName {
  char text[size];
  consteval RowName(const char (&name)[size]) { std::copy_n(name, size, text); }
};
template <RowName name> struct Row {};

}  // namespace tidu
