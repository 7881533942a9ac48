// The kernels of the cpu device, registered family by family.
#pragma once

#include "backend/families.h"

namespace tidu::cpu {

TIDU_FAMILIES(TIDU_DECLARE)

}  // namespace tidu::cpu
