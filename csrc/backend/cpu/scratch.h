// Memory that threads keep for kernels.
#pragma once

#include <cstdint>
#include <vector>

namespace tidu::cpu {

struct alignas(64) Line {
  char bytes[64];
};
inline constexpr int64_t kLine = sizeof(Line);
constexpr int64_t lines_of(int64_t bytes) { return (bytes + kLine - 1) / kLine; }
constexpr int64_t rounded(int64_t bytes) { return lines_of(bytes) * kLine; }

// Memory of the calling thread, one block for each use, which grows to what is asked for.
enum class Use { tiles, product, factor, transpose, twin, convolution, rows };
template <Use> char* own_memory(int64_t bytes) {
  thread_local std::vector<Line> memory;
  const size_t lines = static_cast<size_t>(lines_of(bytes));
  if (memory.size() < lines) memory = std::vector<Line>(lines);
  return reinterpret_cast<char*>(memory.data());
}

}  // namespace tidu::cpu
