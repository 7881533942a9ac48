// Vectors of equal eigenvalues or singular values, on every device: read by g++ and nvcc.
//
// How such vectors turn is free, and a library that gives the axes for a diagonal matrix hides what depends
// on it: the derivative of a matrix's sum of elements by its eigenvalues is the same for all of the
// identity's. So they are turned by a reflection that has nothing to do with the axes, and derivatives of
// what is not determined differ. Of complex vectors both parts are reflected.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/scalar.h"

namespace tidu {

// How far apart two of `n` sorted values may be that are equal but for rounding.
template <class T> TIDU_HD T rounding_of(const T* values, int64_t n) {
  const T first = scalar::abs(values[0]), last = scalar::abs(values[n - 1]);
  return 2 * std::numeric_limits<T>::epsilon() * static_cast<T>(n) * (first > last ? first : last);
}

// One past the values that are equal to number `begin`.
template <class T> TIDU_HD int64_t end_of_equal(const T* values, int64_t n, int64_t begin, T rounding) {
  int64_t end = begin + 1;
  while (end < n && scalar::abs(values[end] - values[begin]) <= rounding) ++end;
  return end;
}

// Element i of the vector at right angles to the reflection: 1 and the fraction of i sqrt(2).
template <class T> TIDU_HD T mirror(int64_t i) {
  const double x = static_cast<double>(i) * 1.4142135623730951;
  return static_cast<T>(1 + (x - static_cast<double>(static_cast<int64_t>(x))));
}

// Reflects the part of a row of vectors, which are columns, that has `count` equal values.
template <class T> TIDU_HD void reflect(T* row, int64_t stride, int64_t count) {
  T dot = 0, size = 0;
  for (int64_t i = 0; i < count; ++i) {
    const T x = mirror<T>(i);
    dot += x * row[i * stride];
    size += x * x;
  }
  const T factor = 2 * dot / size;
  for (int64_t i = 0; i < count; ++i) row[i * stride] -= factor * mirror<T>(i);
}

// A row of vectors that have n values. Those of values that are nothing are left if `null` is false: of
// singular vectors one side's are, for there the sides turn without each other.
template <class T> TIDU_HD void turn_row(const T* values, int64_t n, T* row, int64_t stride, bool null) {
  const T rounding = rounding_of(values, n);
  for (int64_t begin = 0; begin < n;) {
    const int64_t end = end_of_equal(values, n, begin, rounding);
    const bool turns = null || scalar::abs(values[begin]) > rounding;
    if (turns && end - begin > 1) reflect(row + begin * stride, stride, end - begin);
    begin = end;
  }
}

}  // namespace tidu
