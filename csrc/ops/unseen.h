// What nobody looks at may be computed in another way than what is traced.
#pragma once

#include "core/bind.h"

namespace tidu {

// Whether what is made of x may depend on its values, or be made by a loop: by the cpu, where nobody looks.
inline bool is_looped(const Tensor& x) {
  return x.device().type == DeviceType::cpu && !x.is_abstract() && !is_seen(x);
}

}  // namespace tidu
