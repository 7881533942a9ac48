// Keys of numbers, and sorting of short rows.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cpu {

// Keys in the order of numbers, as wide as they are, by their bits alone; descending ones where asked for.
struct PlainKeyFunctions {
  // False, with keys of no use, where equal elements may differ in their bits: NaN and -0. The keys may lie
  // where the elements do.
  bool (*to_keys)(const void* x, void* keys, int64_t n, bool descending);
  void (*to_elements)(void* keys, int64_t n, bool descending);
};
PlainKeyFunctions plain_key_functions(DType dtype);

// Writes the places from `begin` on, in their order, of the first `room` elements whose keys
// (kernels/order.h) are at most `limit`; returns how many there were, and the place behind the last that was
// looked at.
struct FoundPlaces {
  int64_t count, end;
};
using FindPlacesFunction = FoundPlaces (*)(const void* x, int64_t begin, int64_t n, bool descending,
                                           uint64_t limit, int64_t* places, int64_t room);
FindPlacesFunction find_places_function(DType dtype);

inline constexpr int64_t kSortedAbreast = 256;  // words of a row, at most

// Sorts rows of n words one after another in memory, as many as a vector has lanes at once, from the first
// on. Returns how many rows are sorted: a few at the end, or all of more words, are not worth it.
int64_t sort_abreast(uint16_t* words, int64_t rows, int64_t n);
int64_t sort_abreast(uint32_t* words, int64_t rows, int64_t n);
int64_t sort_abreast(uint64_t* words, int64_t rows, int64_t n);

}  // namespace tidu::cpu
