// The fused update steps of the optimisers over one flat array of float32 or float64, in place.
#pragma once

#include "kernels/update.h"

namespace tidu::cpu {

// Without momentum the buffers b are not read or written.
struct UpdateFunctions {
  void (*sgd)(const SgdStep& step, void* p, void* b, const void* g, int64_t n);
  void (*adam)(const AdamStep& step, void* p, void* m, void* v, const void* g, int64_t n);
  void (*rmsprop)(const RmspropStep& step, void* p, void* v, void* b, const void* g, int64_t n);
};

// For float32 or float64.
UpdateFunctions update_functions(DType dtype);

}  // namespace tidu::cpu
