// Discrete Fourier transforms of rows of complex and of real numbers.
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

// For rows of n real numbers, and the first n / 2 + 1 of their transforms, whose conjugates the others are.
// An even n takes a transform of half the length, in which neighbours are one complex number (J. W. Cooley,
// P. A. W. Lewis and P. D. Welch, 1970).
template <class T> struct RealFourierPlan {
  int64_t n;
  std::shared_ptr<const FourierPlan<T>> inner;  // of n / 2, or of an odd n
  std::vector<T> re, im;                        // of an even n: -i exp(-2 pi i k / n) for k up to n / 4
};

// How many of `rows` rows are best transformed side by side.
template <class T> int64_t fourier_width(const FourierPlan<T>& plan, int64_t rows);
template <class T> int64_t fourier_width(const RealFourierPlan<T>& plan, int64_t rows) {
  return fourier_width(*plan.inner, rows);
}

// What follows is seen by the emulated cuFFT (csrc/simt/libraries), which is part of another shared object.

// The plan for n > 0, which is kept for later calls.
template <class T>
[[gnu::visibility("default")]] std::shared_ptr<const FourierPlan<T>> fourier_plan(int64_t n);
template <class T>
[[gnu::visibility("default")]] std::shared_ptr<const RealFourierPlan<T>> real_fourier_plan(int64_t n);

// How many T of room `width` rows side by side take.
template <class T>
[[gnu::visibility("default")]] int64_t fourier_room(const FourierPlan<T>& plan, int64_t width);
template <class T> int64_t fourier_room(const RealFourierPlan<T>& plan, int64_t width) {
  return 2 * plan.inner->n * width + fourier_room(*plan.inner, width);
}

// y_k = sum of x_j exp(-2 pi i j k / n), with +2 pi i where `inverse`, of `width` rows.
template <class T>
[[gnu::visibility("default")]] void fourier(const FourierPlan<T>& plan, const complex<T>* x, complex<T>* y,
                                            int64_t width, bool inverse, T* room);
// y_k for k up to n / 2, of real x.
template <class T>
[[gnu::visibility("default")]] void fourier(const RealFourierPlan<T>& plan, const T* x, complex<T>* y,
                                            int64_t width, T* room);
// The n real numbers y_j = sum of x_k exp(2 pi i j k / n), of the first n / 2 + 1 of x whose others are their
// conjugates. Imaginary parts of x_0 and x_(n/2), which have none then, are not looked at.
template <class T>
[[gnu::visibility("default")]] void fourier(const RealFourierPlan<T>& plan, const complex<T>* x, T* y,
                                            int64_t width, T* room);

}  // namespace tidu::cpu
