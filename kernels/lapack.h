// The functions of LAPACK that are used, by element type. Matrices are column-major; `info` comes back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "kernels/parts.h"

// Fortran's; a length follows for each text.
extern "C" {
void spotrf_(const char*, const int*, float*, const int*, int*, size_t);
void dpotrf_(const char*, const int*, double*, const int*, int*, size_t);
void sgetrf_(const int*, const int*, float*, const int*, int*, int*);
void dgetrf_(const int*, const int*, double*, const int*, int*, int*);
void sgesdd_(const char*, const int*, const int*, float*, const int*, float*, float*, const int*, float*,
             const int*, float*, const int*, int*, int*, size_t);
void dgesdd_(const char*, const int*, const int*, double*, const int*, double*, double*, const int*, double*,
             const int*, double*, const int*, int*, int*, size_t);
void ssyevd_(const char*, const char*, const int*, float*, const int*, float*, float*, const int*, int*,
             const int*, int*, size_t, size_t);
void dsyevd_(const char*, const char*, const int*, double*, const int*, double*, double*, const int*, int*,
             const int*, int*, size_t, size_t);
void sgeqrf_(const int*, const int*, float*, const int*, float*, float*, const int*, int*);
void dgeqrf_(const int*, const int*, double*, const int*, double*, double*, const int*, int*);
void sorgqr_(const int*, const int*, const int*, float*, const int*, const float*, float*, const int*, int*);
void dorgqr_(const int*, const int*, const int*, double*, const int*, const double*, double*, const int*,
             int*);
void cpotrf_(const char*, const int*, tidu::complex<float>*, const int*, int*, size_t);
void zpotrf_(const char*, const int*, tidu::complex<double>*, const int*, int*, size_t);
void cgetrf_(const int*, const int*, tidu::complex<float>*, const int*, int*, int*);
void zgetrf_(const int*, const int*, tidu::complex<double>*, const int*, int*, int*);
void cgesdd_(const char*, const int*, const int*, tidu::complex<float>*, const int*, float*,
             tidu::complex<float>*, const int*, tidu::complex<float>*, const int*, tidu::complex<float>*,
             const int*, float*, int*, int*, size_t);
void zgesdd_(const char*, const int*, const int*, tidu::complex<double>*, const int*, double*,
             tidu::complex<double>*, const int*, tidu::complex<double>*, const int*, tidu::complex<double>*,
             const int*, double*, int*, int*, size_t);
void cheevd_(const char*, const char*, const int*, tidu::complex<float>*, const int*, float*,
             tidu::complex<float>*, const int*, float*, const int*, int*, const int*, int*, size_t, size_t);
void zheevd_(const char*, const char*, const int*, tidu::complex<double>*, const int*, double*,
             tidu::complex<double>*, const int*, double*, const int*, int*, const int*, int*, size_t, size_t);
void cgeqrf_(const int*, const int*, tidu::complex<float>*, const int*, tidu::complex<float>*,
             tidu::complex<float>*, const int*, int*);
void zgeqrf_(const int*, const int*, tidu::complex<double>*, const int*, tidu::complex<double>*,
             tidu::complex<double>*, const int*, int*);
void cungqr_(const int*, const int*, const int*, tidu::complex<float>*, const int*,
             const tidu::complex<float>*, tidu::complex<float>*, const int*, int*);
void zungqr_(const int*, const int*, const int*, tidu::complex<double>*, const int*,
             const tidu::complex<double>*, tidu::complex<double>*, const int*, int*);
}

namespace tidu::lapack {

template <class T> struct Functions;
template <> struct Functions<float> {
  static constexpr auto potrf = spotrf_;
  static constexpr auto getrf = sgetrf_;
  static constexpr auto gesdd = sgesdd_;
  static constexpr auto syevd = ssyevd_;
  static constexpr auto geqrf = sgeqrf_;
  static constexpr auto orgqr = sorgqr_;
};
template <> struct Functions<double> {
  static constexpr auto potrf = dpotrf_;
  static constexpr auto getrf = dgetrf_;
  static constexpr auto gesdd = dgesdd_;
  static constexpr auto syevd = dsyevd_;
  static constexpr auto geqrf = dgeqrf_;
  static constexpr auto orgqr = dorgqr_;
};

template <> struct Functions<complex<float>> {
  static constexpr auto potrf = cpotrf_;
  static constexpr auto getrf = cgetrf_;
  static constexpr auto gesdd = cgesdd_;
  static constexpr auto syevd = cheevd_;
  static constexpr auto geqrf = cgeqrf_;
  static constexpr auto orgqr = cungqr_;
};
template <> struct Functions<complex<double>> {
  static constexpr auto potrf = zpotrf_;
  static constexpr auto getrf = zgetrf_;
  static constexpr auto gesdd = zgesdd_;
  static constexpr auto syevd = zheevd_;
  static constexpr auto geqrf = zgeqrf_;
  static constexpr auto orgqr = zungqr_;
};

// Calls run(workspace, size) twice: to be told the size of the workspace, then to compute.
template <class T, class Run> void with_workspace(const Run& run) {
  T wanted{};
  run(&wanted, -1);
  std::vector<T> workspace(static_cast<size_t>(std::max(*parts(&wanted), RealPart<T>(1))));
  run(workspace.data(), static_cast<int>(workspace.size()));
}

// The singular values of an m x n matrix, which is overwritten, and k = min(m, n) vectors of each side, or
// all; on the right they are the rows of the adjoint.
template <class T> int svd(bool complete, int m, int n, T* a, RealPart<T>* s, T* u, T* vh) {
  const int k = std::min(m, n), rows = complete ? n : k;
  const char* const job = complete ? "A" : "S";
  int info = 0;
  std::vector<int> integers(8 * static_cast<size_t>(k));
  with_workspace<T>([&](T* workspace, int size) {
    if constexpr (is_complex_type<T>) {
      std::vector<RealPart<T>> reals(static_cast<size_t>(k) *
                                     static_cast<size_t>(5 * k + 7 + 2 * std::max(m, n)));
      Functions<T>::gesdd(job, &m, &n, a, &m, s, u, &m, vh, &rows, workspace, &size, reals.data(),
                          integers.data(), &info, 1);
    } else {
      Functions<T>::gesdd(job, &m, &n, a, &m, s, u, &m, vh, &rows, workspace, &size, integers.data(), &info,
                          1);
    }
  });
  return info;
}

// The eigenvalues of a symmetric (Hermitian) matrix, of which a triangle is read and which becomes their
// vectors.
template <class T> int eigh(char triangle, int n, T* a, RealPart<T>* w) {
  int info = 0;
  std::vector<T> numbers(1);
  std::vector<RealPart<T>> reals(1);
  std::vector<int> integers(1);
  const auto run = [&](bool asks) {
    const auto size = [&](const auto& room) { return asks ? -1 : static_cast<int>(room.size()); };
    const int of_numbers = size(numbers), of_reals = size(reals), of_integers = size(integers);
    if constexpr (is_complex_type<T>) {
      Functions<T>::syevd("V", &triangle, &n, a, &n, w, numbers.data(), &of_numbers, reals.data(), &of_reals,
                          integers.data(), &of_integers, &info, 1, 1);
    } else {
      Functions<T>::syevd("V", &triangle, &n, a, &n, w, numbers.data(), &of_numbers, integers.data(),
                          &of_integers, &info, 1, 1);
    }
  };
  run(true);
  numbers.resize(static_cast<size_t>(*parts(numbers.data())));
  if (is_complex_type<T>) reals.resize(static_cast<size_t>(reals[0]));
  integers.resize(static_cast<size_t>(integers[0]));
  run(false);
  return info;
}

// The first n columns of a, m x k, become k orthonormal columns q of a = q r; `take` finds r in its place.
template <class T, class Take> void qr(int m, int n, int k, T* a, const Take& take) {
  int info = 0;
  const int reflections = std::min(m, n);
  std::vector<T> factors(static_cast<size_t>(std::max(reflections, 1)));
  with_workspace<T>([&](T* workspace, int size) {
    Functions<T>::geqrf(&m, &n, a, &m, factors.data(), workspace, &size, &info);
  });
  take();
  with_workspace<T>([&](T* workspace, int size) {
    Functions<T>::orgqr(&m, &k, &reflections, a, &m, factors.data(), workspace, &size, &info);
  });
}

}  // namespace tidu::lapack
