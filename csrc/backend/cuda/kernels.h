// The kernels of device cuda, registered family by family.
#pragma once

#include "backend/families.h"

namespace tidu::cuda {

TIDU_FAMILIES(TIDU_DECLARE)

}  // namespace tidu::cuda
