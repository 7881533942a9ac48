// Device memory that a call was given.
#pragma once

#include <cstddef>

namespace tidu::cuda {

struct Room {
  void* data = nullptr;
  size_t bytes = 0;
};

}  // namespace tidu::cuda
