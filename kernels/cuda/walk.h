// How kernels find their way through dimensions of any strides.
#pragma once

#include <cstdint>

#include "kernels/types.h"

namespace tidu::cuda {

// Dimensions, outermost first, with their strides in what is read and in what is written, in elements.
struct Walk {
  static constexpr int kMaxRank = 12;

  struct Place {
    int64_t in = 0, out = 0;
  };

  int rank = 0;
  int64_t extent[kMaxRank] = {}, in[kMaxRank] = {}, out[kMaxRank] = {};

  // Adds an inner dimension, in one with the last where both strides continue it.
  void push_back(int64_t n, int64_t in_stride, int64_t out_stride) {
    if (n == 1) return;
    const int last = rank - 1;
    if (rank > 0 && in[last] == n * in_stride && out[last] == n * out_stride) {
      extent[last] *= n;
      in[last] = in_stride;
      out[last] = out_stride;
    } else {
      extent[rank] = n;
      in[rank] = in_stride;
      out[rank++] = out_stride;
    }
  }

  int64_t size() const {
    int64_t n = 1;
    for (int d = 0; d < rank; ++d) n *= extent[d];
    return n;
  }

  // Whether n neighbours always lie side by side in what is read, at multiples of n from its beginning. The
  // last group of an only dimension may be smaller.
  bool reads_together(int n) const {
    bool possible = rank > 0 && in[rank - 1] == 1 && (rank == 1 || extent[rank - 1] % n == 0);
    for (int d = 0; d + 1 < rank; ++d) possible &= in[d] % n == 0;
    return possible;
  }
  bool writes_together(int n) const {
    bool possible = rank > 0 && out[rank - 1] == 1 && extent[rank - 1] % n == 0;
    for (int d = 0; d + 1 < rank; ++d) possible &= out[d] % n == 0;
    return possible;
  }
  // Whether all that is read begins at multiples of n.
  bool reads_at_multiples(int n) const {
    bool possible = true;
    for (int d = 0; d < rank; ++d) possible &= in[d] % n == 0;
    return possible;
  }

  // Where item i of the row-major space lies. The outermost dimension needs no division; a GPU divides
  // numbers of 32 bits in place, and calls a function for those of 64.
  template <class Index> TIDU_HD Place at(Index i) const {
    Place place;
    for (int d = rank - 1; d > 0; --d) {
      const Index n = static_cast<Index>(extent[d]), next = i / n, here = i - next * n;
      place.in += here * in[d];
      place.out += here * out[d];
      i = next;
    }
    if (rank > 0) {
      place.in += i * in[0];
      place.out += i * out[0];
    }
    return place;
  }
};

}  // namespace tidu::cuda
