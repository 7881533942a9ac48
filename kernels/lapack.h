// The functions of LAPACK that are used, by element type. Matrices are column-major; `info` comes back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

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

// Calls run(workspace, size) twice: to be told the size of the workspace, then to compute.
template <class T, class Run> void with_workspace(const Run& run) {
  T wanted = 0;
  run(&wanted, -1);
  std::vector<T> workspace(static_cast<size_t>(std::max(wanted, T(1))));
  run(workspace.data(), static_cast<int>(workspace.size()));
}

// The singular values of an m x n matrix, which is overwritten, and k = min(m, n) vectors of each side, or
// all.
template <class T> int svd(bool complete, int m, int n, T* a, T* s, T* u, T* vt) {
  const int k = std::min(m, n), rows = complete ? n : k;
  int info = 0;
  std::vector<int> integers(8 * static_cast<size_t>(k));
  with_workspace<T>([&](T* workspace, int size) {
    Functions<T>::gesdd(complete ? "A" : "S", &m, &n, a, &m, s, u, &m, vt, &rows, workspace, &size,
                        integers.data(), &info, 1);
  });
  return info;
}

// The eigenvalues of a symmetric matrix, of which a triangle is read and which becomes their vectors.
template <class T> int eigh(char triangle, int n, T* a, T* w) {
  int info = 0, wanted = 0, none = -1;
  T size = 0;
  Functions<T>::syevd("V", &triangle, &n, a, &n, w, &size, &none, &wanted, &none, &info, 1, 1);
  std::vector<T> workspace(static_cast<size_t>(size));
  std::vector<int> integers(static_cast<size_t>(wanted));
  const int length = static_cast<int>(workspace.size());
  Functions<T>::syevd("V", &triangle, &n, a, &n, w, workspace.data(), &length, integers.data(), &wanted,
                      &info, 1, 1);
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
