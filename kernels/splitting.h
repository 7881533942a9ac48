// How a motion splits equal eigenvalues or singular values, on every device: read by g++ and nvcc.
//
// A matrix whose equal values have the vectors V, and that moves by t, has from then on the vectors in which
// V^T t V is diagonal, and values that move by that diagonal. They are found by Jacobi's method.
#pragma once

#include "kernels/turning.h"

namespace tidu {

// Vectors as columns of a row-major matrix of `rows` rows and as many columns as there are values.
template <class T> struct Vectors {
  T* data;
  int64_t rows;
};

template <class T> TIDU_HD void rotate(T* x, T* y, int64_t count, int64_t stride, T cosine, T sine) {
  for (int64_t i = 0; i < count; ++i) {
    const T a = x[i * stride], b = y[i * stride];
    x[i * stride] = cosine * a - sine * b;
    y[i * stride] = sine * a + cosine * b;
  }
}

// The symmetric part of left^T t right between `count` vectors from number `begin` on, in `inside`; `row` has
// room for as many numbers.
template <class T>
TIDU_HD void motion_between(const Vectors<T>& left, const Vectors<T>& right, int64_t n, int64_t begin,
                            int64_t count, const T* t, T* inside, T* row) {
  for (int64_t i = 0; i < count * count; ++i) inside[i] = 0;
  for (int64_t r = 0; r < left.rows; ++r) {
    for (int64_t j = 0; j < count; ++j) {
      row[j] = 0;
      for (int64_t c = 0; c < right.rows; ++c)
        row[j] += t[r * right.rows + c] * right.data[c * n + begin + j];
    }
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < count; ++j) inside[i * count + j] += left.data[r * n + begin + i] * row[j];
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      inside[i * count + j] = inside[j * count + i] = (inside[i * count + j] + inside[j * count + i]) / 2;
    }
  }
}

// Turns `count` vectors so that `inside`, which is symmetric, becomes diagonal: ascending or descending.
template <class T>
TIDU_HD void diagonalise(const Vectors<T>& left, const Vectors<T>& right, int64_t n, int64_t begin,
                         int64_t count, T* inside, bool descending) {
  constexpr int kSweeps = 40;
  const auto turn = [&](int64_t p, int64_t q, T cosine, T sine) {
    rotate(left.data + begin + p, left.data + begin + q, left.rows, n, cosine, sine);
    rotate(right.data + begin + p, right.data + begin + q, right.rows, n, cosine, sine);
  };
  T largest = 0;
  for (int64_t i = 0; i < count * count; ++i) {
    if (scalar::abs(inside[i]) > largest) largest = scalar::abs(inside[i]);
  }
  const T nothing = largest * std::numeric_limits<T>::epsilon() / 4;
  bool turned = true;
  for (int sweep = 0; turned && sweep < kSweeps; ++sweep) {
    turned = false;
    for (int64_t p = 0; p < count; ++p) {
      for (int64_t q = p + 1; q < count; ++q) {
        const T off = inside[p * count + q];
        if (!(scalar::abs(off) > nothing)) continue;
        turned = true;
        const T cotangent = (inside[q * count + q] - inside[p * count + p]) / (2 * off);
        const T tangent =
            (cotangent < 0 ? -1 : 1) / (scalar::abs(cotangent) + scalar::sqrt(cotangent * cotangent + 1));
        const T cosine = 1 / scalar::sqrt(tangent * tangent + 1), sine = tangent * cosine;
        rotate(inside + p, inside + q, count, count, cosine, sine);
        rotate(inside + p * count, inside + q * count, count, 1, cosine, sine);
        inside[p * count + q] = inside[q * count + p] = 0;
        turn(p, q, cosine, sine);
      }
    }
  }
  for (int64_t p = 0; p < count; ++p) {
    int64_t next = p;
    for (int64_t q = p + 1; q < count; ++q) {
      const T a = inside[q * count + q], b = inside[next * count + next];
      if (descending ? a > b : a < b) next = q;
    }
    if (next == p) continue;
    const T kept = inside[p * count + p];
    inside[p * count + p] = inside[next * count + next];
    inside[next * count + next] = kept;
    turn(p, next, T(0), T(1));
  }
}

// How many numbers of room split_equal needs.
TIDU_HD inline int64_t room_to_split(int64_t n) { return n * (n + 1); }

// Turns the vectors of n values that are equal into those that split along t: of eigenvalues, in ascending
// order, both sides the same vectors; of singular values, in descending order, but for those that are
// nothing.
template <class T>
TIDU_HD void split_equal(const T* values, int64_t n, const Vectors<T>& left, const Vectors<T>& right,
                         const T* t, bool singular, T* room) {
  const T rounding = rounding_of(values, n);
  for (int64_t begin = 0; begin < n;) {
    const int64_t end = end_of_equal(values, n, begin, rounding), count = end - begin;
    if (count > 1 && !(singular && scalar::abs(values[begin]) <= rounding)) {
      motion_between(left, right, n, begin, count, t, room, room + count * count);
      diagonalise(left, right, n, begin, count, room, singular);
    }
    begin = end;
  }
}

}  // namespace tidu
