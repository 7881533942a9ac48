// How a motion splits equal eigenvalues or singular values, on every device: read by g++ and nvcc.
//
// A matrix whose equal values have the vectors V, and that moves by t, has from then on the vectors in which
// V^H t V is diagonal, and values that move by that diagonal. They are found by Jacobi's method.
#pragma once

#include "kernels/parts.h"
#include "kernels/turning.h"

namespace tidu {

// Vectors as columns of a row-major matrix of `rows` rows and as many columns as there are values.
template <class T> struct Vectors {
  T* data;
  int64_t rows;
};

template <class T>
TIDU_HD void rotate(T* x, T* y, int64_t count, int64_t stride, RealPart<T> cosine, RealPart<T> sine) {
  for (int64_t i = 0; i < count; ++i) {
    for (int part = 0; part < kParts<T>; ++part) {
      RealPart<T>&to_x = parts(x + i * stride)[part], &to_y = parts(y + i * stride)[part];
      const RealPart<T> a = to_x, b = to_y;
      to_x = cosine * a - sine * b;
      to_y = sine * a + cosine * b;
    }
  }
}

template <class T> TIDU_HD void scale(T* x, int64_t count, int64_t stride, T factor) {
  for (int64_t i = 0; i < count; ++i) x[i * stride] = number::product(x[i * stride], factor);
}

// The symmetric (Hermitian) part of left^H t right between `count` vectors from number `begin` on, in
// `inside`; `row` has room for as many numbers.
template <class T>
TIDU_HD void motion_between(const Vectors<T>& left, const Vectors<T>& right, int64_t n, int64_t begin,
                            int64_t count, const T* t, T* inside, T* row) {
  for (int64_t i = 0; i < count * count; ++i) inside[i] = T{};
  for (int64_t r = 0; r < left.rows; ++r) {
    for (int64_t j = 0; j < count; ++j) {
      row[j] = T{};
      for (int64_t c = 0; c < right.rows; ++c)
        row[j] = number::sum(row[j], number::product(t[r * right.rows + c], right.data[c * n + begin + j]));
    }
    for (int64_t i = 0; i < count; ++i) {
      const T from = number::conjugate(left.data[r * n + begin + i]);
      for (int64_t j = 0; j < count; ++j)
        inside[i * count + j] = number::sum(inside[i * count + j], number::product(from, row[j]));
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const T mean =
          number::half(number::sum(inside[i * count + j], number::conjugate(inside[j * count + i])));
      inside[i * count + j] = mean;
      inside[j * count + i] = number::conjugate(mean);
    }
  }
}

// Turns `count` vectors so that `inside`, which is symmetric (Hermitian), becomes diagonal: ascending or
// descending.
template <class T>
TIDU_HD void diagonalise(const Vectors<T>& left, const Vectors<T>& right, int64_t n, int64_t begin,
                         int64_t count, T* inside, bool descending) {
  constexpr int kSweeps = 40;
  const auto turn = [&](int64_t p, int64_t q, RealPart<T> cosine, RealPart<T> sine) {
    rotate(left.data + begin + p, left.data + begin + q, left.rows, n, cosine, sine);
    rotate(right.data + begin + p, right.data + begin + q, right.rows, n, cosine, sine);
  };
  const auto value = [&](int64_t i) -> RealPart<T>& { return *parts(inside + i * count + i); };
  RealPart<T> largest = 0;
  for (int64_t i = 0; i < count * count; ++i) {
    if (number::size(inside[i]) > largest) largest = number::size(inside[i]);
  }
  const RealPart<T> nothing = largest * std::numeric_limits<RealPart<T>>::epsilon() / 4;
  bool turned = true;
  for (int sweep = 0; turned && sweep < kSweeps; ++sweep) {
    turned = false;
    for (int64_t p = 0; p < count; ++p) {
      for (int64_t q = p + 1; q < count; ++q) {
        const T between = inside[p * count + q];
        if (!(number::size(between) > nothing)) continue;
        turned = true;
        RealPart<T> off;
        if constexpr (is_complex_type<T>) {
          // The phase goes to vector q.
          off = number::size(between);
          const T phase = {between.re / off, between.im / off}, back = number::conjugate(phase);
          scale(inside + q, count, count, back);
          scale(inside + q * count, count, 1, phase);
          scale(left.data + begin + q, left.rows, n, back);
          scale(right.data + begin + q, right.rows, n, back);
        } else {
          off = between;
        }
        const RealPart<T> cotangent = (value(q) - value(p)) / (2 * off);
        const RealPart<T> tangent =
            (cotangent < 0 ? -1 : 1) / (scalar::abs(cotangent) + scalar::sqrt(cotangent * cotangent + 1));
        const RealPart<T> cosine = 1 / scalar::sqrt(tangent * tangent + 1), sine = tangent * cosine;
        rotate(inside + p, inside + q, count, count, cosine, sine);
        rotate(inside + p * count, inside + q * count, count, 1, cosine, sine);
        inside[p * count + q] = inside[q * count + p] = T{};
        turn(p, q, cosine, sine);
      }
    }
  }
  for (int64_t p = 0; p < count; ++p) {
    int64_t next = p;
    for (int64_t q = p + 1; q < count; ++q) {
      if (descending ? value(q) > value(next) : value(q) < value(next)) next = q;
    }
    if (next == p) continue;
    const RealPart<T> kept = value(p);
    value(p) = value(next);
    value(next) = kept;
    turn(p, next, RealPart<T>(0), RealPart<T>(1));
  }
}

// How many numbers of room split_equal needs.
TIDU_HD inline int64_t room_to_split(int64_t n) { return n * (n + 1); }

// Turns the vectors of n values that are equal into those that split along t: of eigenvalues, in ascending
// order, both sides the same vectors; of singular values, in descending order, but for those that are
// nothing.
template <class T>
TIDU_HD void split_equal(const RealPart<T>* values, int64_t n, const Vectors<T>& left,
                         const Vectors<T>& right, const T* t, bool singular, T* room) {
  const RealPart<T> rounding = rounding_of(values, n);
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
