// Taking and adding slices at indices.
#include "ops/indexing.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "core/backend.h"

namespace tidu::cpu {
namespace {

// A tensor seen as (outer, axis, inner).
struct Frame {
  int64_t outer = 1, inner = 1;
};

Frame frame_of(const Tensor& x, int axis) {
  Frame frame;
  for (int i = 0; i < axis; ++i) frame.outer *= x.size(i);
  for (int i = axis + 1; i < x.ndim(); ++i) frame.inner *= x.size(i);
  return frame;
}

// The indices in order, negative ones counted from the end, each checked.
std::unique_ptr<int64_t[]> checked_indices(const Call& call, int64_t size) {
  const Tensor indices = row_major(call.inputs[1]);
  std::unique_ptr<int64_t[]> result(new int64_t[static_cast<size_t>(indices.numel())]);
  const int64_t* index = static_cast<const int64_t*>(indices.raw_data());
  for (int64_t i = 0; i < indices.numel(); ++i) {
    if (index[i] < -size || index[i] >= size) {
      fail<IndexError>("[", call.primitive.name, "] index ", index[i],
                       " is out of range for an axis of extent ", size, ": ", describe(call.inputs[0]));
    }
    result[i] = index[i] < 0 ? index[i] + size : index[i];
  }
  return result;
}

template <class Word> void take_words(const char* source, const int64_t* index, char* target, int64_t n) {
  const Word* x = reinterpret_cast<const Word*>(source);
  Word* y = reinterpret_cast<Word*>(target);
  for (int64_t i = 0; i < n; ++i) y[i] = x[index[i]];
}

void take_slices(const char* source, const int64_t* index, char* target, int64_t n, int64_t bytes) {
  if (bytes == 4) return take_words<uint32_t>(source, index, target, n);
  if (bytes == 8) return take_words<uint64_t>(source, index, target, n);
  for (int64_t i = 0; i < n; ++i) {
    std::memcpy(target + i * bytes, source + index[i] * bytes, static_cast<size_t>(bytes));
  }
}

void take(const Call& call) {
  const auto& attrs = call.attrs.as<TakeAttrs>();
  const Tensor& y = call.outputs[0];
  const auto index = checked_indices(call, attrs.size);
  if (y.numel() == 0) return;
  const Tensor x = row_major(call.inputs[0]);
  const Frame frame = frame_of(x, attrs.axis);
  const int64_t outer = frame.outer, inner = frame.inner;
  const int64_t count = call.inputs[1].numel(), bytes = inner * static_cast<int64_t>(size_of(x.dtype()));
  const char* from = static_cast<const char*>(x.raw_data());
  char* to = static_cast<char*>(y.raw_data());
  const int64_t piece = std::max<int64_t>(1, kGrain / inner), pieces = (count + piece - 1) / piece;
  parallel_for(outer * pieces, y.numel(), [&](int64_t task) {
    const int64_t o = task / pieces, begin = task % pieces * piece;
    take_slices(from + o * attrs.size * bytes, &index[static_cast<size_t>(begin)],
                to + (o * count + begin) * bytes, std::min(piece, count - begin), bytes);
  });
}

// Adds in the order of the indices. Tasks own columns of the output, so the order does not depend on threads.
// The 16-bit floats are summed in float.
void scatter(const Call& call) {
  const auto& attrs = call.attrs.as<TakeAttrs>();
  const Tensor &updates = call.inputs[0], &output = call.outputs[0];
  const auto index = checked_indices(call, attrs.size);
  const bool half = output.dtype() == DType::float16 || output.dtype() == DType::bfloat16;
  const DType dtype = half ? DType::float32 : output.dtype();
  const Tensor x = converted(updates, dtype);
  const Tensor sums = half ? Tensor::empty(output.shape(), dtype, output.device()) : output;
  if (sums.numel() > 0) std::memset(sums.raw_data(), 0, sums.nbytes());
  if (x.numel() > 0) {
    const Frame frame = frame_of(output, attrs.axis);
    const int64_t outer = frame.outer, inner = frame.inner;
    const int64_t count = call.inputs[1].numel(), size = static_cast<int64_t>(size_of(dtype));
    const TileFunction add = tile_function("add", dtype);
    const char* from = static_cast<const char*>(x.raw_data());
    char* to = static_cast<char*>(sums.raw_data());
    // Pieces of the inner axes wide enough to be worth a thread.
    const int64_t width = std::max<int64_t>(64, kGrain / std::max<int64_t>(count, 1));
    const int64_t pieces = (inner + width - 1) / width;
    parallel_for(outer * pieces, x.numel(), [&](int64_t task) {
      const int64_t o = task / pieces, begin = task % pieces * width, n = std::min(width, inner - begin);
      for (int64_t i = 0; i < count; ++i) {
        char* target = to + ((o * attrs.size + index[i]) * inner + begin) * size;
        const void* inputs[] = {target, from + ((o * count + i) * inner + begin) * size};
        add(inputs, target, n);
      }
    });
  }
  if (half) copy_elements(converted(sums, output.dtype()), output);
}

}  // namespace

void register_indexing_kernels() {
  set_kernel(primitives::take, DeviceType::cpu, take);
  set_kernel(primitives::scatter, DeviceType::cpu, scatter);
}

}  // namespace tidu::cpu
