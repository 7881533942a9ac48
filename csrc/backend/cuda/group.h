// Groups of pointwise calls as kernels that are made for them.
#pragma once

#include <memory>

#include "backend/group.h"

namespace tidu::cuda {

// Null where the group is to be run call by call: no kernel is made of it, or there is no NVRTC.
std::unique_ptr<GroupKernel> prepare_group(const Group& group);
// Whether a kernel of ours computes its product, as products are set to be computed now, and can go on with
// it.
bool multiplies_for_group(const Group& group);

}  // namespace tidu::cuda
