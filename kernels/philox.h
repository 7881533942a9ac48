// Counter-based random numbers (Philox4x32-10): element i of a stream is a function of (key, i) alone.
//
// J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
// The normals are bit-equal under g++, nvcc and NVRTC: no library function is called, and every product that
// feeds a sum is an explicit fma, so that no compiler can contract it differently. (Needs correctly rounded
// division and square root, the default everywhere but with nvcc's -use_fast_math.)
#pragma once

#ifndef __CUDACC_RTC__
#include <math.h>
#endif

#include "kernels/types.h"

namespace tidu::philox {

// What one call of the generator gives.
struct Draw {
  uint32_t word[4];
};

// Ten rounds over the counter (index, stream).
TIDU_HD inline Draw draw(uint64_t key, uint64_t index, uint64_t stream = 0) {
  uint32_t c0 = static_cast<uint32_t>(index), c1 = static_cast<uint32_t>(index >> 32);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53u} * c0, p1 = uint64_t{0xCD9E8D57u} * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(p1);
    c3 = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// The n-th key derived from a key. Its stream differs from that of the numbers, so the two never meet.
TIDU_HD inline uint64_t derive_key(uint64_t key, uint64_t n) {
  const Draw b = draw(key, n, 1);
  return static_cast<uint64_t>(b.word[1]) << 32 | b.word[0];
}

TIDU_HD inline uint64_t join(uint32_t low, uint32_t high) { return static_cast<uint64_t>(high) << 32 | low; }

// [0, 1) in steps of 2^-24 and 2^-53.
TIDU_HD inline float uniform(uint32_t bits) {
  return static_cast<float>(static_cast<int32_t>(bits >> 8)) * 0x1p-24f;
}
TIDU_HD inline double uniform(uint64_t bits) {
  return static_cast<double>(static_cast<int64_t>(bits >> 11)) * 0x1p-53;
}

namespace detail {

TIDU_HD inline float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
TIDU_HD inline double fma(double a, double b, double c) { return ::fma(a, b, c); }

// log(u) for normal u > 0: u = 2^e m with m in [sqrt(1/2), sqrt(2)], log m = 2 atanh((m - 1) / (m + 1)).
TIDU_HD inline float log(float u) {
  uint32_t bits;
  memcpy(&bits, &u, 4);
  const uint32_t shifted = bits + (0x3f800000u - 0x3f3504f3u);
  const float e = static_cast<float>(static_cast<int32_t>(shifted >> 23) - 127);
  bits = (shifted & 0x007fffffu) + 0x3f3504f3u;
  float m;
  memcpy(&m, &bits, 4);
  const float s = (m - 1.0f) / (m + 1.0f), z = s * s;
  float p = 2.0f / 9;
  p = fma(p, z, 2.0f / 7);
  p = fma(p, z, 2.0f / 5);
  p = fma(p, z, 2.0f / 3);
  p = fma(p, z, 2.0f);
  return fma(e, 0.693147180559945309f, p * s);
}

TIDU_HD inline double log(double u) {
  uint64_t bits;
  memcpy(&bits, &u, 8);
  const uint64_t shifted = bits + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
  const double e = static_cast<double>(static_cast<int32_t>(shifted >> 52) - 1023);
  bits = (shifted & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu;
  double m;
  memcpy(&m, &bits, 8);
  const double s = (m - 1.0) / (m + 1.0), z = s * s;
  double p = 2.0 / 21;
  p = fma(p, z, 2.0 / 19);
  p = fma(p, z, 2.0 / 17);
  p = fma(p, z, 2.0 / 15);
  p = fma(p, z, 2.0 / 13);
  p = fma(p, z, 2.0 / 11);
  p = fma(p, z, 2.0 / 9);
  p = fma(p, z, 2.0 / 7);
  p = fma(p, z, 2.0 / 5);
  p = fma(p, z, 2.0 / 3);
  p = fma(p, z, 2.0);
  return fma(e, 0.69314718055994530942, p * s);
}

// Taylor series, for |x| <= pi / 4.
TIDU_HD inline void sin_cos(float x, float* sine, float* cosine) {
  const float z = x * x;
  float s = 1.0f / 362880;
  s = fma(s, z, -1.0f / 5040);
  s = fma(s, z, 1.0f / 120);
  s = fma(s, z, -1.0f / 6);
  *sine = fma(s * z, x, x);
  float c = -1.0f / 3628800;
  c = fma(c, z, 1.0f / 40320);
  c = fma(c, z, -1.0f / 720);
  c = fma(c, z, 1.0f / 24);
  c = fma(c, z, -0.5f);
  *cosine = fma(c, z, 1.0f);
}

TIDU_HD inline void sin_cos(double x, double* sine, double* cosine) {
  const double z = x * x;
  double s = 1.0 / 355687428096000;
  s = fma(s, z, -1.0 / 1307674368000);
  s = fma(s, z, 1.0 / 6227020800);
  s = fma(s, z, -1.0 / 39916800);
  s = fma(s, z, 1.0 / 362880);
  s = fma(s, z, -1.0 / 5040);
  s = fma(s, z, 1.0 / 120);
  s = fma(s, z, -1.0 / 6);
  *sine = fma(s * z, x, x);
  double c = -1.0 / 6402373705728000;
  c = fma(c, z, 1.0 / 20922789888000);
  c = fma(c, z, -1.0 / 87178291200);
  c = fma(c, z, 1.0 / 479001600);
  c = fma(c, z, -1.0 / 3628800);
  c = fma(c, z, 1.0 / 40320);
  c = fma(c, z, -1.0 / 720);
  c = fma(c, z, 1.0 / 24);
  c = fma(c, z, -0.5);
  *cosine = fma(c, z, 1.0);
}

}  // namespace detail

// Two independent standard normals (Box and Muller 1958): the radius from u in (0, 1], the angle as a
// quadrant (the two highest bits of `turn`) and a rest in [-1/2, 1/2) quadrants.
template <class T> TIDU_HD inline void normal_pair(T u, uint32_t quadrant, T rest, T* first, T* second) {
  const T radius = ::sqrt(T(-2) * detail::log(u));
  T sine, cosine;
  detail::sin_cos(rest * T(1.57079632679489661923), &sine, &cosine);
  const bool odd = (quadrant & 1) != 0;
  const T x = odd ? -sine : cosine, y = odd ? cosine : sine;
  const T signed_radius = (quadrant & 2) != 0 ? -radius : radius;
  *first = signed_radius * x;
  *second = signed_radius * y;
}

TIDU_HD inline void normal_pair(uint32_t length, uint32_t turn, float* first, float* second) {
  const float u = detail::fma(static_cast<float>(static_cast<int32_t>(length >> 8)), 0x1p-24f, 0x1p-25f);
  const float low = detail::fma(static_cast<float>(static_cast<int32_t>(length & 0xffu)), 0x1p-32f, 0x1p-33f);
  const float rest = static_cast<float>(static_cast<int32_t>(turn << 2)) * 0x1p-32f;
  normal_pair(length < 0x100u ? low : u, turn >> 30, rest, first, second);
}

TIDU_HD inline void normal_pair(uint64_t length, uint64_t turn, double* first, double* second) {
  const double u = detail::fma(static_cast<double>(static_cast<int64_t>(length >> 11)), 0x1p-53, 0x1p-54);
  const double rest = static_cast<double>(static_cast<int64_t>(turn << 2) >> 11) * 0x1p-53;
  normal_pair(u, static_cast<uint32_t>(turn >> 62), rest, first, second);
}

}  // namespace tidu::philox
