// Groups of pointwise calls as loops of the cpu.
#pragma once

#include "backend/group.h"

namespace tidu::cpu {

// Null where a step is none that the cpu computes in tiles, or a reduction none that `reduces` takes.
std::unique_ptr<GroupKernel> prepare_group(const Group& group);

// Whether the reduction can be computed in the group's loop: over leading or over trailing axes, the same as
// the other reductions of the group.
bool reduces(const Group& group, const Group::Output& output);

}  // namespace tidu::cpu
