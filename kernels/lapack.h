// The functions of LAPACK that are used, by element type. Matrices are column-major; `info` comes back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

#include "kernels/blas.h"
#include "kernels/parts.h"

// Fortran's; a length follows for each text.
extern "C" {
void TIDU_BLAS(spotrf_)(const char*, const int*, float*, const int*, int*, size_t);
void TIDU_BLAS(dpotrf_)(const char*, const int*, double*, const int*, int*, size_t);
void TIDU_BLAS(sgetrf_)(const int*, const int*, float*, const int*, int*, int*);
void TIDU_BLAS(dgetrf_)(const int*, const int*, double*, const int*, int*, int*);
void TIDU_BLAS(sgesdd_)(const char*, const int*, const int*, float*, const int*, float*, float*, const int*,
                        float*, const int*, float*, const int*, int*, int*, size_t);
void TIDU_BLAS(dgesdd_)(const char*, const int*, const int*, double*, const int*, double*, double*,
                        const int*, double*, const int*, double*, const int*, int*, int*, size_t);
void TIDU_BLAS(ssyevd_)(const char*, const char*, const int*, float*, const int*, float*, float*, const int*,
                        int*, const int*, int*, size_t, size_t);
void TIDU_BLAS(dsyevd_)(const char*, const char*, const int*, double*, const int*, double*, double*,
                        const int*, int*, const int*, int*, size_t, size_t);
void TIDU_BLAS(sgeqrf_)(const int*, const int*, float*, const int*, float*, float*, const int*, int*);
void TIDU_BLAS(dgeqrf_)(const int*, const int*, double*, const int*, double*, double*, const int*, int*);
void TIDU_BLAS(sorgqr_)(const int*, const int*, const int*, float*, const int*, const float*, float*,
                        const int*, int*);
void TIDU_BLAS(dorgqr_)(const int*, const int*, const int*, double*, const int*, const double*, double*,
                        const int*, int*);
void TIDU_BLAS(cpotrf_)(const char*, const int*, tidu::complex<float>*, const int*, int*, size_t);
void TIDU_BLAS(zpotrf_)(const char*, const int*, tidu::complex<double>*, const int*, int*, size_t);
void TIDU_BLAS(cgetrf_)(const int*, const int*, tidu::complex<float>*, const int*, int*, int*);
void TIDU_BLAS(zgetrf_)(const int*, const int*, tidu::complex<double>*, const int*, int*, int*);
void TIDU_BLAS(cgesdd_)(const char*, const int*, const int*, tidu::complex<float>*, const int*, float*,
                        tidu::complex<float>*, const int*, tidu::complex<float>*, const int*,
                        tidu::complex<float>*, const int*, float*, int*, int*, size_t);
void TIDU_BLAS(zgesdd_)(const char*, const int*, const int*, tidu::complex<double>*, const int*, double*,
                        tidu::complex<double>*, const int*, tidu::complex<double>*, const int*,
                        tidu::complex<double>*, const int*, double*, int*, int*, size_t);
void TIDU_BLAS(cheevd_)(const char*, const char*, const int*, tidu::complex<float>*, const int*, float*,
                        tidu::complex<float>*, const int*, float*, const int*, int*, const int*, int*, size_t,
                        size_t);
void TIDU_BLAS(zheevd_)(const char*, const char*, const int*, tidu::complex<double>*, const int*, double*,
                        tidu::complex<double>*, const int*, double*, const int*, int*, const int*, int*,
                        size_t, size_t);
void TIDU_BLAS(cgeqrf_)(const int*, const int*, tidu::complex<float>*, const int*, tidu::complex<float>*,
                        tidu::complex<float>*, const int*, int*);
void TIDU_BLAS(zgeqrf_)(const int*, const int*, tidu::complex<double>*, const int*, tidu::complex<double>*,
                        tidu::complex<double>*, const int*, int*);
void TIDU_BLAS(cungqr_)(const int*, const int*, const int*, tidu::complex<float>*, const int*,
                        const tidu::complex<float>*, tidu::complex<float>*, const int*, int*);
void TIDU_BLAS(zungqr_)(const int*, const int*, const int*, tidu::complex<double>*, const int*,
                        const tidu::complex<double>*, tidu::complex<double>*, const int*, int*);
}

namespace tidu::lapack {

template <class T> struct Functions;
template <> struct Functions<float> {
  static constexpr auto potrf = TIDU_BLAS(spotrf_);
  static constexpr auto getrf = TIDU_BLAS(sgetrf_);
  static constexpr auto gesdd = TIDU_BLAS(sgesdd_);
  static constexpr auto syevd = TIDU_BLAS(ssyevd_);
  static constexpr auto geqrf = TIDU_BLAS(sgeqrf_);
  static constexpr auto orgqr = TIDU_BLAS(sorgqr_);
};
template <> struct Functions<double> {
  static constexpr auto potrf = TIDU_BLAS(dpotrf_);
  static constexpr auto getrf = TIDU_BLAS(dgetrf_);
  static constexpr auto gesdd = TIDU_BLAS(dgesdd_);
  static constexpr auto syevd = TIDU_BLAS(dsyevd_);
  static constexpr auto geqrf = TIDU_BLAS(dgeqrf_);
  static constexpr auto orgqr = TIDU_BLAS(dorgqr_);
};

template <> struct Functions<complex<float>> {
  static constexpr auto potrf = TIDU_BLAS(cpotrf_);
  static constexpr auto getrf = TIDU_BLAS(cgetrf_);
  static constexpr auto gesdd = TIDU_BLAS(cgesdd_);
  static constexpr auto syevd = TIDU_BLAS(cheevd_);
  static constexpr auto geqrf = TIDU_BLAS(cgeqrf_);
  static constexpr auto orgqr = TIDU_BLAS(cungqr_);
};
template <> struct Functions<complex<double>> {
  static constexpr auto potrf = TIDU_BLAS(zpotrf_);
  static constexpr auto getrf = TIDU_BLAS(zgetrf_);
  static constexpr auto gesdd = TIDU_BLAS(zgesdd_);
  static constexpr auto syevd = TIDU_BLAS(zheevd_);
  static constexpr auto geqrf = TIDU_BLAS(zgeqrf_);
  static constexpr auto orgqr = TIDU_BLAS(zungqr_);
};

// An m x n matrix becomes its factors, whose rows were exchanged as `pivots` says. Returns the number of the
// first pivot that is 0, else 0. Below a NaN, OpenBLAS 0.3.34 does not divide, and goes on with numbers.
template <class T> int lu(int m, int n, T* a, int leading, int* pivots) {
  int info = 0;
  Functions<T>::getrf(&m, &n, a, &leading, pivots, &info);
  constexpr int kParts = is_complex_type<T> ? 2 : 1;
  const auto at = [&](int row, int column) { return parts(a + size_t{1} * column * leading + row); };
  for (int k = 0; k < std::min(m, n); ++k) {
    if (std::none_of(at(k, k), at(k, k) + kParts, [](auto x) { return x != x; })) continue;
    for (int j = k; j < n; ++j)
      std::fill(at(k + 1, j), at(m, j), std::numeric_limits<RealPart<T>>::quiet_NaN());
    return info > k ? 0 : info;
  }
  return info;
}

// What functions are given beside matrices: so many numbers, real numbers and integers, one after another in
// memory.
template <class T> struct Room {
  int numbers = -1;  // less than none: what is needed is asked for
  int64_t reals = -1;
  int integers = -1;

  size_t bytes() const {
    return static_cast<size_t>(numbers) * sizeof(T) + static_cast<size_t>(reals) * sizeof(RealPart<T>) +
           static_cast<size_t>(integers) * sizeof(int);
  }
  T* numbers_in(void* memory) const { return static_cast<T*>(memory); }
  RealPart<T>* reals_in(void* memory) const {
    return reinterpret_cast<RealPart<T>*>(numbers_in(memory) + numbers);
  }
  int* integers_in(void* memory) const { return reinterpret_cast<int*>(reals_in(memory) + reals); }
};

// A size that is answered as a number, perhaps a complex one.
template <class T> int answered(const T& number) { return std::max(1, static_cast<int>(*parts(&number))); }

template <class T>
int gesdd(bool complete, int m, int n, T* a, RealPart<T>* s, T* u, T* vh, T* numbers, int size,
          RealPart<T>* reals, int* integers) {
  const int rows = complete ? n : std::min(m, n);
  const char* const job = complete ? "A" : "S";
  int info = 0;
  if constexpr (is_complex_type<T>) {
    Functions<T>::gesdd(job, &m, &n, a, &m, s, u, &m, vh, &rows, numbers, &size, reals, integers, &info, 1);
  } else {
    Functions<T>::gesdd(job, &m, &n, a, &m, s, u, &m, vh, &rows, numbers, &size, integers, &info, 1);
  }
  return info;
}

template <class T> Room<T> room_for_svd(bool complete, int m, int n) {
  const int k = std::min(m, n);
  T numbers{}, matrix{};
  RealPart<T> reals{};
  int integers = 0;
  gesdd<T>(complete, m, n, &matrix, &reals, &matrix, &matrix, &numbers, -1, &reals, &integers);
  const int64_t of_complex = k * (5 * int64_t{k} + 7 + 2 * int64_t{std::max(m, n)});
  return {answered(numbers), is_complex_type<T> ? of_complex : 0, 8 * k};
}

// The singular values of an m x n matrix, which is overwritten, and k = min(m, n) vectors of each side, or
// all; on the right they are the rows of the adjoint.
template <class T>
int svd(bool complete, int m, int n, T* a, RealPart<T>* s, T* u, T* vh, const Room<T>& room, void* memory) {
  return gesdd(complete, m, n, a, s, u, vh, room.numbers_in(memory), room.numbers, room.reals_in(memory),
               room.integers_in(memory));
}

template <class T>
int syevd(char triangle, int n, T* a, RealPart<T>* w, const Room<T>& room, T* numbers, RealPart<T>* reals,
          int* integers) {
  int info = 0;
  if constexpr (is_complex_type<T>) {
    const int of_reals = static_cast<int>(room.reals);
    Functions<T>::syevd("V", &triangle, &n, a, &n, w, numbers, &room.numbers, reals, &of_reals, integers,
                        &room.integers, &info, 1, 1);
  } else {
    Functions<T>::syevd("V", &triangle, &n, a, &n, w, numbers, &room.numbers, integers, &room.integers, &info,
                        1, 1);
  }
  return info;
}

template <class T> Room<T> room_for_eigh(int n) {
  T numbers{}, matrix{};
  RealPart<T> reals{}, values{};
  int integers = 0;
  syevd<T>('L', n, &matrix, &values, {}, &numbers, &reals, &integers);
  return {answered(numbers), is_complex_type<T> ? answered(reals) : 0, std::max(1, integers)};
}

// The eigenvalues of a symmetric (Hermitian) matrix, of which a triangle is read and which becomes their
// vectors.
template <class T> int eigh(char triangle, int n, T* a, RealPart<T>* w, const Room<T>& room, void* memory) {
  return syevd(triangle, n, a, w, room, room.numbers_in(memory), room.reals_in(memory),
               room.integers_in(memory));
}

// Of geqrf alone, and of orgqr that follows on it and makes k columns.
template <class T> int room_for_reflections(int m, int n) {
  const int size = -1;
  int info = 0;
  T matrix{}, factor{}, numbers{};
  Functions<T>::geqrf(&m, &n, &matrix, &m, &factor, &numbers, &size, &info);
  return answered(numbers);
}
template <class T> int room_for_columns(int m, int k, int reflections) {
  const int size = -1;
  int info = 0;
  T matrix{}, factor{}, numbers{};
  Functions<T>::orgqr(&m, &k, &reflections, &matrix, &m, &factor, &numbers, &size, &info);
  return answered(numbers);
}

template <class T> Room<T> room_for_qr(int m, int n, int k) {
  const int reflections = std::min(m, n);
  return {std::max(reflections, 1) +
              std::max(room_for_reflections<T>(m, n), room_for_columns<T>(m, k, reflections)),
          0, 0};
}

// The first n columns of a, m x k, become k orthonormal columns q of a = q r; `take` finds r in its place.
template <class T, class Take>
void qr(int m, int n, int k, T* a, const Room<T>& room, void* memory, const Take& take) {
  int info = 0;
  const int reflections = std::min(m, n), size = room.numbers - std::max(reflections, 1);
  T *const numbers = room.numbers_in(memory), *const factors = numbers + size;
  Functions<T>::geqrf(&m, &n, a, &m, factors, numbers, &size, &info);
  take();
  Functions<T>::orgqr(&m, &k, &reflections, a, &m, factors, numbers, &size, &info);
}

}  // namespace tidu::lapack
