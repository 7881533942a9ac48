// Writing several tensors in place at once.
#include "ops/assign_all.h"

#include <algorithm>

#include "ops/assign.h"
#include "ops/convert.h"
#include "tensor/overlap.h"

namespace tidu {

void assign_all(Tensors places, Tensors values) {
  for (size_t i = 0; i < places.size(); ++i) {
    check_assign(places[i], values[i]);
    const auto overwrites = [&](const Tensor& place) {
      return &place != &places[i] && place.device() == values[i].device() && share_elements(place, values[i]);
    };
    if (std::ranges::any_of(places, overwrites)) values[i] = copy(values[i]);
  }
  for (size_t i = 0; i < places.size(); ++i) assign(places[i], values[i]);
}

}  // namespace tidu
