// Passing on the first error of several launches.
#pragma once

#include <cuda_runtime.h>

// In a function that returns cudaError_t.
#define TIDU_TRY(...) \
  if (const cudaError_t tidu_error = __VA_ARGS__; tidu_error != cudaSuccess) return tidu_error
