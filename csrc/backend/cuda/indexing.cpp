// Taking and adding slices at indices.
#include "kernels/cuda/indexing.h"

#include <bit>

#include "backend/cuda/elements.h"
#include "backend/cuda/operations.h"
#include "kernels/cuda/sort.h"
#include "ops/indexing.h"

namespace tidu::cuda {
namespace {

cudaError_t take(const Call& call, Context& context) {
  const auto& attrs = call.attrs.as<TakeAttrs>();
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  Tensor indices = call.inputs[1];
  TIDU_TRY(make_row_major(&indices, context.stream()));
  const IndexedAxis axis{indices.data<int64_t>(), attrs.size, context.fault_record()};
  // An index out of range is an error also where it takes nothing.
  if (const int64_t count = indices.numel(); y.numel() == 0 && count > 0) {
    const auto n = static_cast<size_t>(count);
    return number_indices(context.stream(), axis, context.workspace<uint64_t>(n),
                          context.workspace<int64_t>(n), count);
  }
  // x and the indices, each with strides 0 where the other one moves.
  const int depth = indices.ndim();
  Strides x_strides(y.ndim(), 0), index_strides(y.ndim(), 0);
  for (int i = 0; i < y.ndim(); ++i) {
    if (i < attrs.axis) {
      x_strides[i] = x.strides()[i];
    } else if (i < attrs.axis + depth) {
      index_strides[i] = indices.strides()[i - attrs.axis];
    } else {
      x_strides[i] = x.strides()[i - depth + 1];
    }
  }
  const View source(x.raw_data(), x_strides, size_of(x.dtype()));
  const View index(indices.raw_data(), index_strides, sizeof(int64_t));
  return for_each(Loops(y.shape(), {source, index, y}), [&](const Loop& loop) {
    return take(context.stream(), source.size, loop, axis, x.strides()[attrs.axis]);
  });
}

// Sorts the indices, so that what is added to one slice lies together, in the order of the indices as on the
// cpu; then each element of the output is one sum, which no other thread writes to.
cudaError_t scatter(const Call& call, Context& context) {
  const auto& attrs = call.attrs.as<TakeAttrs>();
  const Tensor& y = call.outputs[0];
  const int64_t count = call.inputs[1].numel();
  if (y.numel() == 0 && count == 0) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  Tensor updates = call.inputs[0], indices = call.inputs[1];
  TIDU_TRY(make_row_major(&updates, stream));
  TIDU_TRY(make_row_major(&indices, stream));
  const size_t n = static_cast<size_t>(count);
  const Pairs pairs{context.workspace<uint64_t>(n), context.workspace<int64_t>(n)};
  const Pairs sorted{context.workspace<uint64_t>(n), context.workspace<int64_t>(n)};
  int64_t* const starts = context.workspace<int64_t>(static_cast<size_t>(attrs.size) + 1);
  if (count > 0) {
    const IndexedAxis axis{indices.data<int64_t>(), attrs.size, context.fault_record()};
    TIDU_TRY(number_indices(stream, axis, pairs.keys, pairs.values, count));
    size_t bytes = 0;
    TIDU_TRY(sort_workspace(count, &bytes));
    const int bits = std::bit_width(static_cast<uint64_t>(attrs.size));
    TIDU_TRY(sort_pairs(stream, context.workspace<char>(bytes), bytes, pairs, sorted, count, bits));
  }
  if (y.numel() == 0) return cudaSuccess;
  TIDU_TRY(find_starts(stream, sorted.keys, count, starts, attrs.size));
  int64_t outer = 1, inner = 1;
  for (int i = 0; i < attrs.axis; ++i) outer *= y.size(i);
  for (int i = attrs.axis + 1; i < y.ndim(); ++i) inner *= y.size(i);
  const View start(starts, {0, 1, 0}, sizeof(int64_t));
  const View x(updates.raw_data(), {count * inner, 0, 1}, size_of(y.dtype()));
  const View sums(y.raw_data(), {attrs.size * inner, inner, 1}, size_of(y.dtype()));
  return for_each(Loops({outer, attrs.size, inner}, {start, x, sums}), [&](const Loop& loop) {
    return sum_segments(stream, y.dtype(), loop, sorted.values, inner);
  });
}

}  // namespace

void register_indexing_operations() {
  set_operation<take>(primitives::take);
  set_operation<scatter>(primitives::scatter);
}

}  // namespace tidu::cuda
