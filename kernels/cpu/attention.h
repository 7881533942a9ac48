// What attention does with rows of scores, in float32 or float64.
#pragma once

#include <cstdint>

namespace tidu::cpu {

template <class T> struct AttentionFunctions {
  // s[i] *= scale; returns the largest, NaN apart.
  T (*scale)(T* s, int64_t n, T scale);
  // The largest of s, NaN apart.
  T (*largest)(const T* s, int64_t n);
  // s[i] = exp(s[i] - shift); returns the sum.
  T (*exp_sum)(T* s, int64_t n, T shift);
  // slope[i] = p[i] * (slope[i] - delta) * scale, and 0 where p[i] is.
  void (*slope)(const T* p, T* slope, int64_t n, T delta, T scale);
};

template <class T> AttentionFunctions<T> attention_functions();

}  // namespace tidu::cpu
