// Reading and writing at places that tensors of indices name.
#include "kernels/cuda/indexing.h"

#include <cstdlib>
#include <optional>

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/sort.h"
#include "ops/assign.h"
#include "ops/indexing.h"

namespace tidu::cuda {
namespace {

// The index tensors of a call, which are its inputs from `first` on, and what they pick of x.
struct Indexing {
  Indexing(const Call& call, size_t first, const Tensor& x)
      : attrs(call.attrs.as<IndexAttrs>()),
        x(x),
        indices(call.inputs.begin() + static_cast<ptrdiff_t>(first), call.inputs.end()),
        count(indices[0].numel()),
        picked(picked_axes(attrs, x.ndim(), indices[0].ndim())) {}

  cudaError_t make_row_major(Context& context) {
    for (Tensor& index : indices) TIDU_TRY(cuda::make_row_major(&index, context));
    return cudaSuccess;
  }

  IndexedAxis axis(int k, const FaultRecord& fault) const {
    const int axis = static_cast<int>(attrs.axes[k]);
    return {indices[static_cast<size_t>(k)].data<int64_t>(), x.size(axis), axis, fault};
  }
  int64_t stride(int k) const { return x.strides()[static_cast<int>(attrs.axes[k])]; }

  // The places along the indexed axes, and how far the lowest of them lies before where x begins.
  NamedPlaces named(const FaultRecord& fault, int64_t* lowest) const {
    NamedPlaces places;
    for (int k = 0; k < attrs.axes.size(); ++k) {
      places.index[places.indices] = axis(k, fault);
      places.stride[places.indices++] = stride(k);
      *lowest += std::min<int64_t>(stride(k), 0) * std::max<int64_t>(axis(k, fault).size - 1, 0);
    }
    return places;
  }

  const IndexAttrs& attrs;
  const Tensor& x;
  Tensors indices;
  int64_t count;
  PickedAxes picked;
};

void* advanced(const Tensor& x, int64_t elements) {
  return static_cast<char*>(x.raw_data()) + elements * static_cast<int64_t>(size_of(x.dtype()));
}

cudaError_t gather(const Call& call, Context& context) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  Indexing indexing(call, 1, x);
  if (indexing.count == 0) return cudaSuccess;
  TIDU_TRY(indexing.make_row_major(context));
  // Several index tensors become one, of offsets in x. An index out of range is an error also where it takes
  // nothing.
  const bool is_located = indexing.indices.size() > 1 || y.numel() == 0;
  int64_t* const offsets = context.workspace<int64_t>(static_cast<size_t>(is_located ? indexing.count : 0));
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  IndexedAxis axis = indexing.axis(0, context.fault_record());
  int64_t axis_stride = indexing.stride(0), lowest = 0;
  if (is_located) {
    const NamedPlaces places = indexing.named(context.fault_record(), &lowest);
    TIDU_TRY(locate_places(stream, places, indexing.count, offsets));
    if (y.numel() == 0) return cudaSuccess;
    axis.indices = offsets;
    axis.size = INT64_MAX;
    axis_stride = 1;
  }
  // x and the indices, each with strides 0 where the other one moves alone.
  const Strides along = contiguous_strides(indexing.indices[0].shape());
  Strides x_strides, index_strides;
  for (const PickedAxis from : indexing.picked) {
    x_strides.push_back(from.x >= 0 ? x.strides()[from.x] : 0);
    index_strides.push_back(from.index >= 0 ? along[from.index] : 0);
  }
  const StridedMemory source(advanced(x, lowest), x_strides, size_of(x.dtype()));
  const StridedMemory index(const_cast<int64_t*>(axis.indices), index_strides, sizeof(int64_t));
  return for_each(Loops(y.shape(), {source, index, y}),
                  [&](const Loop& loop) { return take(stream, source.size, loop, axis, axis_stride); });
}

// How far apart the elements of x lie along its first axes, in row-major order, if that is everywhere the
// same.
std::optional<int64_t> common_step(const Tensor& x, int axes) {
  std::optional<int64_t> step;
  int64_t inside = 1;
  for (int i = axes - 1; i >= 0; --i) {
    if (x.size(i) == 1) continue;
    if (!step) step = x.strides()[i];
    if (x.strides()[i] != *step * inside) return std::nullopt;
    inside *= x.size(i);
  }
  return step ? step : 0;
}

// Makes y what the first input is, and calls write(loop, places) for loops over the points, sorted by where
// they are in y, and the axes that y alone has. So what happens to one place happens in the order of the
// indices.
template <bool add_chunks = false, class Write>
cudaError_t scatter_into(const Call& call, const Tensor& y, Context& context, const Write& write) {
  const auto copy_old = [&] {
    const Tensor& old = call.inputs[0];
    return old.is_same(y) ? cudaSuccess : copy_view(context.stream(), y.shape(), old, y);
  };
  Indexing indexing(call, 2, y);
  const int64_t count = indexing.count;
  if (count == 0) return context.only_counts() ? cudaSuccess : copy_old();
  TIDU_TRY(indexing.make_row_major(context));

  int64_t lowest = 0, span = 1;
  NamedPlaces places = indexing.named(context.fault_record(), &lowest);
  for (int k = 0; k < places.indices; ++k)
    span += std::max<int64_t>(places.index[k].size - 1, 0) * std::abs(places.stride[k]);
  const Strides inside = contiguous_strides(indexing.indices[0].shape());
  // The axes of the updates, those of the points first.
  Axes order;
  int points = 0;
  for (int i = 0; i < indexing.picked.count; ++i) {
    const auto [x_axis, index_axis] = indexing.picked[i];
    if (index_axis < 0) {
      order.push_back(i);
      continue;
    }
    order.insert(points++, i);
    if (x_axis < 0) continue;
    const int64_t stride = y.strides()[x_axis], extent = y.size(x_axis);
    places.inside[places.shared] = inside[index_axis];
    places.extent[places.shared] = extent;
    places.shared_stride[places.shared++] = stride;
    lowest += std::min<int64_t>(stride, 0) * (extent - 1);
    span += (extent - 1) * std::abs(stride);
  }

  constexpr int64_t narrow = int64_t{1} << 32;
  const auto n = static_cast<size_t>(count);
  Keys keys{nullptr, nullptr, span > narrow || count > narrow};
  keys.keys = keys.wide ? static_cast<void*>(context.workspace<uint64_t>(n)) : context.workspace<uint32_t>(n);
  keys.positions =
      keys.wide ? static_cast<void*>(context.workspace<int64_t>(n)) : context.workspace<uint32_t>(n);
  unsigned* const failed = context.workspace<unsigned>(1);
  const Room room =
      context.room(keys.wide ? sort_bytes<uint64_t, int64_t>(count) : sort_bytes<uint32_t, uint32_t>(count));
  const auto sort = [&](cudaStream_t stream) -> cudaError_t {
    TIDU_TRY(cudaMemsetAsync(failed, 0, sizeof *failed, stream));
    TIDU_TRY(number_places(stream, places, count, keys, failed));
    if (count == 1 || y.numel() == 0) return cudaSuccess;
    return keys.wide ? sort_pairs(stream, room, static_cast<uint64_t*>(keys.keys),
                                  static_cast<int64_t*>(keys.positions), count)
                     : sort_pairs(stream, room, static_cast<uint32_t*>(keys.keys),
                                  static_cast<uint32_t*>(keys.positions), count);
  };
  if (y.numel() == 0) return context.only_counts() ? cudaSuccess : sort(context.stream());

  // The updates, whose points are to lie evenly spaced.
  Shape shape{count};
  Strides from, to{0};
  Tensor updates = call.inputs[1];
  Shape ahead;
  Strides strides;
  for (int64_t axis : order) {
    ahead.push_back(updates.size(static_cast<int>(axis)));
    strides.push_back(updates.strides()[static_cast<int>(axis)]);
  }
  updates = updates.view(ahead, strides, updates.impl().offset);
  std::optional<int64_t> step = common_step(updates, points);
  if (!step) {
    TIDU_TRY(cuda::make_row_major(&updates, context));
    step = common_step(updates, points);
  }
  from.push_back(0);
  for (int i = points; i < order.size(); ++i) {
    shape.push_back(ahead[i]);
    from.push_back(updates.strides()[i]);
    to.push_back(y.strides()[indexing.picked[static_cast<int>(order[i])].x]);
  }
  Strides key_strides(shape.size(), 0);
  key_strides[0] = 1;
  const size_t size = size_of(y.dtype());
  const size_t sum_size = is_narrow(y.dtype()) ? sizeof(float) : size;
  const int64_t group = 16 / static_cast<int64_t>(size), width = num_elements(shape) / count;
  SortedPlaces sorted{.keys = keys, .count = count, .step = *step, .aligned = true, .failed = failed};
  for (int k = 0; k < places.indices; ++k) sorted.aligned &= places.stride[k] % group == 0;
  for (int k = 0; k < places.shared; ++k) sorted.aligned &= places.shared_stride[k] % group == 0;
  const StridedMemory key(keys.keys, key_strides, keys.wide ? 8 : 4), update(updates.raw_data(), from, size),
      target(advanced(y, lowest), to, size);
  sorted.width = width;
  Shape chunks = shape;
  chunks[0] = add_chunks && count > kChunk ? (count + kChunk - 1) / kChunk : 0;
  const size_t sums_bytes = static_cast<size_t>(num_elements(chunks)) * sum_size;
  void* const sums = chunks[0] > 0 ? context.workspace<char>(sums_bytes) : nullptr;
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(copy_old());
  TIDU_TRY(sort(stream));
  if (chunks[0] > 0) {
    Strides each = key_strides;
    each[0] = kChunk;
    const StridedMemory sum(sums, contiguous_strides(chunks), sum_size);
    const StridedMemory first_key(keys.keys, each, key.size);
    TIDU_TRY(for_each(Loops(chunks, {first_key, update, sum}),
                      [&](const Loop& loop) { return sum_chunks(stream, y.dtype(), loop, sorted); }));
    sorted.sums = sums;
  }
  const StridedMemory in_order(sums, contiguous_strides(shape), sum_size);
  return for_each(Loops(shape, {key, update, target, in_order}),
                  [&](const Loop& loop) { return write(loop, sorted); });
}

cudaError_t put(const Call& call, const Tensor& y, Context& context) {
  return scatter_into(call, y, context, [&](const Loop& loop, const SortedPlaces& places) {
    return put_places(context.stream(), size_of(y.dtype()), loop, places);
  });
}

cudaError_t scatter_set(const Call& call, Context& context) { return put(call, call.outputs[0], context); }

cudaError_t assign_points(const Call& call, Context& context) { return put(call, call.inputs[0], context); }

template <Combine how> cudaError_t scatter(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  return scatter_into<how == Combine::add>(
      call, y, context, [&](const Loop& loop, const SortedPlaces& places) {
        return combine_places(context.stream(), how, y.dtype(), loop, places);
      });
}

cudaError_t nonzero(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  Tensor mask = call.inputs[0];
  TIDU_TRY(make_row_major(&mask, context));
  const int64_t count = y.size(1);
  int64_t* const positions =
      mask.ndim() == 1 ? y.data<int64_t>() : context.workspace<int64_t>(static_cast<size_t>(count));
  const Room room = context.room(find_bytes(mask.numel()));
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(find_true(stream, room, mask.data<bool>(), mask.numel(), positions, count));
  if (mask.ndim() == 1) return cudaSuccess;
  return unravel(stream, positions, count, mask.shape().begin(), mask.ndim(), y.data<int64_t>());
}

}  // namespace

void register_indexing_kernels() {
  set_counted_operation<gather>(primitives::gather);
  set_counted_operation<scatter<Combine::add>>(primitives::scatter_add);
  set_counted_operation<scatter_set>(primitives::scatter_set);
  set_counted_operation<scatter<Combine::multiply>>(primitives::scatter_multiply);
  set_counted_operation<scatter<Combine::minimum>>(primitives::scatter_min);
  set_counted_operation<scatter<Combine::maximum>>(primitives::scatter_max);
  set_counted_operation<assign_points>(primitives::assign_points);
  set_counted_operation<nonzero>(primitives::nonzero);
}

}  // namespace tidu::cuda
