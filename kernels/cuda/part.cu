// Where launches of parts are noted.
#include "kernels/cuda/part.h"

namespace tidu::cuda {

std::vector<Part>*& noted_parts() {
  static constinit thread_local std::vector<Part>* noted = nullptr;
  return noted;
}

}  // namespace tidu::cuda
