// The text of joined kernels, and launching them.
#include "backend/cuda/join.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <sstream>

#include "backend/cuda/module.h"

namespace tidu::cuda {
namespace {

constexpr const char* kWhat = "[compile] small kernels as one";
constexpr unsigned kMostThreads = 256;  // of a block; of one that does all, exactly
constexpr unsigned kMostBlocks = 256;   // side by side: more of them keep a GPU busy by themselves
constexpr size_t kMostInBlock = 12, kMostBeside = 4;  // parts, whose shared memory adds up
constexpr size_t kMostShared = 32 << 10;              // dynamic bytes, beside which there are static ones
constexpr size_t kMostBytes = 32000;                  // of an argument, which may have 32,764
constexpr size_t kAlignment = 16;                     // of each pass

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

unsigned threads_of(std::span<const Part> parts) {
  return std::ranges::max(parts, {}, &Part::threads).threads;
}

// The argument begins with the number of the first block after each part.
using Ends = std::array<uint32_t, kMostBeside>;
static_assert(sizeof(Ends) % kAlignment == 0);

}  // namespace

bool Joined::takes(const Part& part) {
  return part.threads <= kMostThreads && part.blocks <= kMostBlocks && part.shared_bytes <= kMostShared;
}

bool Joined::takes_all(std::span<const Part> parts, bool side_by_side) {
  size_t bytes = sizeof(Ends), blocks = 0;
  for (const Part& part : parts) {
    bytes += aligned(part.pass.size());
    blocks += part.blocks;
    if (!side_by_side && (part.blocks > 1 || part.threads != kMostThreads)) return false;
  }
  return bytes <= kMostBytes &&
         (side_by_side ? parts.size() <= kMostBeside && blocks <= kMostBlocks : parts.size() <= kMostInBlock);
}

std::string Joined::text_of(std::span<const Part> parts, bool side_by_side) {
  std::set<std::string> headers;
  for (const Part& part : parts) headers.insert(part.header);
  std::ostringstream out, fields, calls;
  out << "// Made by tidu (csrc/backend/cuda/join.cpp).\n#define TIDU_PARTS\n";
  for (const std::string& header : headers) out << "#include \"" << header << "\"\n";
  out << "\nnamespace tidu::cuda {\n\n";
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    out << "namespace part_" << i << " {\n"
        << part.definition << "using Pass = " << part.pass_type << ";\n"
        << "__device__ __forceinline__ void run(unsigned block, const Pass& pass) {\n  " << part.call
        << ";\n}\n}  // namespace part_" << i << "\n\n";
    fields << "  alignas(" << kAlignment << ") part_" << i << "::Pass pass_" << i << ";\n";
    if (!side_by_side) {
      calls << (i == 0 ? "" : "  __syncthreads();\n") << "  part_" << i << "::run(0, all.pass_" << i
            << ");\n";
      continue;
    }
    const std::string first = i == 0 ? "" : str(" - all.end[", i - 1, "]");
    calls << "  if (blockIdx.x < all.end[" << i << "]) {\n    if (threadIdx.x < " << part.threads << ") part_"
          << i << "::run(blockIdx.x" << first << ", all.pass_" << i << ");\n    return;\n  }\n";
  }
  out << "struct Passes {\n  uint32_t end[" << kMostBeside << "];\n"
      << fields.str() << "};\n\nextern \"C\" __global__ void __launch_bounds__(" << threads_of(parts)
      << ") joined(const __grid_constant__ Passes all) {\n"
      << calls.str() << "}\n\n}  // namespace tidu::cuda\n";
  return out.str();
}

Joined::Joined(std::span<const Part> parts, bool side_by_side, int device)
    : kernel_(Module::of(text_of(parts, side_by_side), device, kWhat).kernel("joined")),
      threads_(threads_of(parts)) {
  Ends ends{};
  argument_.resize(sizeof ends);
  uint32_t end = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    if (side_by_side) ends[i] = end += part.blocks;
    const size_t at = argument_.size();
    argument_.resize(at + aligned(part.pass.size()));
    std::ranges::copy(part.pass, argument_.begin() + static_cast<std::ptrdiff_t>(at));
    shared_bytes_ = std::max(shared_bytes_, part.shared_bytes);
  }
  if (side_by_side) blocks_ = end;
  std::memcpy(argument_.data(), ends.data(), sizeof ends);
}

void Joined::launch(Gpu& gpu) const {
  void* arguments[] = {const_cast<std::byte*>(argument_.data())};
  check(cudaLaunchKernel(static_cast<const void*>(kernel_), dim3(blocks_), dim3(threads_), arguments,
                         shared_bytes_, gpu.stream(gpu.current_queue())),
        kWhat);
}

}  // namespace tidu::cuda
