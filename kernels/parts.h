// Numbers of matrices, which may be complex, and their parts: read by g++ and nvcc.
#pragma once

#include "kernels/complex.h"

namespace tidu {

template <class T> struct RealPartOf { using type = T; };
template <class T> struct RealPartOf<complex<T>> { using type = T; };
template <class T> using RealPart = typename RealPartOf<T>::type;
template <class T> inline constexpr int kParts = sizeof(T) / sizeof(RealPart<T>);

// The parts of numbers that lie side by side; of real ones they themselves.
template <class T> TIDU_HD RealPart<T>* parts(T* x) { return reinterpret_cast<RealPart<T>*>(x); }
template <class T> TIDU_HD const RealPart<T>* parts(const T* x) {
  return reinterpret_cast<const RealPart<T>*>(x);
}

}  // namespace tidu

// Arithmetic that is the same for real and complex numbers.
namespace tidu::number {

template <class T> TIDU_HD bool is_zero(T x) { return x == T(0); }
template <class T> TIDU_HD bool is_zero(complex<T> x) { return x.re == 0 && x.im == 0; }

template <class T> TIDU_HD T conjugate(T x) { return x; }
template <class T> TIDU_HD complex<T> conjugate(complex<T> x) { return scalar::conj(x); }

template <class T> TIDU_HD T size(T x) { return scalar::abs(x); }
template <class T> TIDU_HD T size(complex<T> x) { return ::hypot(x.re, x.im); }

template <class T> TIDU_HD T product(T a, T b) { return a * b; }
template <class T> TIDU_HD complex<T> product(complex<T> a, complex<T> b) { return scalar::multiply(a, b); }

template <class T> TIDU_HD T sum(T a, T b) { return a + b; }
template <class T> TIDU_HD complex<T> sum(complex<T> a, complex<T> b) { return {a.re + b.re, a.im + b.im}; }

template <class T> TIDU_HD T half(T x) { return x / 2; }
template <class T> TIDU_HD complex<T> half(complex<T> x) { return {x.re / 2, x.im / 2}; }

}  // namespace tidu::number
