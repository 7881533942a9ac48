// Discrete Fourier transforms of rows of complex numbers.
//
// Lengths without prime factors above kLargestFactor are transformed by T. G. Stockham's method, steps of 4,
// 2, 3, 5 and other primes between two buffers in which real and imaginary parts lie apart (C. Van Loan,
// "Computational Frameworks for the Fast Fourier Transform", 1992); others are convolutions with a chirp (L.
// I. Bluestein, 1970) by transforms of such a length. Roots of unity are computed in double, once for a
// length.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/types.h"

namespace tidu::cpu {

// For rows of n numbers, whose parts are T: float or double.
template <class T> struct FourierPlan {
  static constexpr int64_t kLargestFactor = 31;

  // A step makes of each of `stride` interleaved sequences of `length` numbers `radix` interleaved ones. At
  // `roots` are exp(-2 pi i j / radix) for each j, then exp(-2 pi i j p / length) for each j from 1 on and
  // each p below length / radix.
  struct Step {
    int64_t radix, length, stride;
    size_t roots;
  };

  int64_t n;
  std::vector<Step> steps;
  std::vector<T> re, im;  // of the roots
  // Of a length that takes chirps: the plan of the padded length, the chirps, and what the transform of the
  // padded numbers is multiplied by.
  std::shared_ptr<const FourierPlan> padded;
  std::vector<complex<T>> chirps, filter;
};

// How many of `rows` rows are best transformed side by side.
template <class T> int64_t fourier_width(const FourierPlan<T>& plan, int64_t rows);

// What follows is seen by the emulated cuFFT (csrc/simt/libraries), which is part of another shared object.

// The plan for n > 0, which is kept for later calls.
template <class T>
[[gnu::visibility("default")]] std::shared_ptr<const FourierPlan<T>> fourier_plan(int64_t n);

// How many T of room `width` rows side by side take.
template <class T>
[[gnu::visibility("default")]] int64_t fourier_room(const FourierPlan<T>& plan, int64_t width);

// y_k = sum of x_j exp(-2 pi i j k / n), with +2 pi i where `inverse`, of `width` rows.
template <class T>
[[gnu::visibility("default")]] void fourier(const FourierPlan<T>& plan, const complex<T>* x, complex<T>* y,
                                            int64_t width, bool inverse, T* room);

}  // namespace tidu::cpu
