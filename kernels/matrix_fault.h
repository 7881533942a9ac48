// What can be wrong with a matrix that is to be factorised or solved with.
#pragma once

#include <cstdint>

namespace tidu {

enum class MatrixFault : uint8_t { none, minor, pivot, diagonal, iteration, turning };

}  // namespace tidu
