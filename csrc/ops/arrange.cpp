// Elements in other places: compositions of views and copies.
#include "ops/arrange.h"

#include <algorithm>
#include <numeric>

#include "core/host_lock.h"
#include "core/trace.h"
#include "ops/composites.h"
#include "ops/contract.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/indexing.h"
#include "ops/order.h"
#include "ops/scan.h"
#include "ops/shape.h"

namespace tidu {
namespace {

constexpr int64_t kTurn = 256;  // views that are made between two looks at signals

// Which of n elements stand at places outside of them.
Tensor sources_of(const Tensor& places, int64_t n, PadMode mode) {
  if (mode == PadMode::edge) return clip(places, 0, n - 1);
  if (mode == PadMode::wrap || n == 1) return remainder(places, n);
  const int64_t last = mode == PadMode::reflect ? 2 * (n - 1) : 2 * n - 1;
  const Tensor at = remainder(places, mode == PadMode::reflect ? last : last + 1);
  return where(at < n, at, last - at);
}

void check_widths(const Tensor& x, const Dims& low, const Dims& high) {
  if (low.size() != x.ndim() || high.size() != x.ndim())
    fail<ShapeError>("[pad] ", low, " and ", high, " must name each axis of ", describe(x));
  for (int i = 0; i < x.ndim(); ++i) {
    if (low[i] < 0 || high[i] < 0) fail<ValueError>("[pad] widths must not be negative: ", low, ", ", high);
  }
}

void check_vectors(const char* op, const Tensors& vectors) {
  for (const Tensor& x : vectors) {
    if (x.ndim() > 1) fail<ShapeError>("[", op, "] takes vectors and numbers, not ", describe(x));
  }
}

}  // namespace

int64_t product_of_extents(int64_t a, int64_t b, const char* op) {
  int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    fail<ShapeError>("[", op, "] an axis would have ", a, " * ", b, ", more than 2^63, elements");
  return product;
}

Tensor roll(const Tensor& x, const Dims& shifts, const std::optional<Axes>& axes) {
  if (!axes) {
    if (shifts.size() != 1)
      fail<ValueError>("[roll] without axes it takes one shift, not ", shifts, " (say which axes)");
    return reshape(roll(flatten(x), shifts, Axes{0}), x.shape());
  }
  if (shifts.size() != axes->size() && shifts.size() != 1)
    fail<ValueError>("[roll] shifts ", shifts, " and axes ", *axes, " differ in number");
  Tensor result = x;
  for (int i = 0; i < axes->size(); ++i) {
    const int axis = normalize_axis((*axes)[i], x.ndim(), "roll");
    const int64_t n = x.size(axis);
    if (n == 0) continue;
    const int64_t shift = (shifts[shifts.size() == 1 ? 0 : i] % n + n) % n;
    if (shift == 0) continue;
    result = concat({slice_axis(result, axis, n - shift, n), slice_axis(result, axis, 0, n - shift)}, axis);
  }
  return result.is_same(x) ? copy(x) : result;
}

Tensor rot90(const Tensor& x, int64_t k, const Axes& axes) {
  if (axes.size() != 2) fail<ValueError>("[rot90] takes two axes, not ", axes);
  const int a = normalize_axis(axes[0], x.ndim(), "rot90"), b = normalize_axis(axes[1], x.ndim(), "rot90");
  if (a == b) fail<ValueError>("[rot90] the axes ", axes, " are one");
  switch ((k % 4 + 4) % 4) {
    case 1: return swapaxes(flip(x, {b}), a, b);
    case 2: return flip(x, {a, b});
    case 3: return flip(swapaxes(x, a, b), {b});
    default: return alias(x);
  }
}

Tensor tile(const Tensor& x, const Dims& counts) {
  const int rank = std::max(x.ndim(), counts.size());
  Shape apart, repeated, together;
  for (int i = 0; i < rank; ++i) {
    const int of_x = i - (rank - x.ndim()), of_counts = i - (rank - counts.size());
    const int64_t extent = of_x < 0 ? 1 : x.size(of_x), count = of_counts < 0 ? 1 : counts[of_counts];
    if (count < 0) fail<ValueError>("[tile] counts must not be negative: ", counts);
    for (const int64_t n : {int64_t{1}, extent}) apart.push_back(n);
    for (const int64_t n : {count, extent}) repeated.push_back(n);
    together.push_back(product_of_extents(count, extent, "tile"));
  }
  return reshape(broadcast_to(reshape(x, apart), repeated), together);
}

Tensor repeat(const Tensor& x, int64_t count, std::optional<int64_t> axis) {
  if (!axis) return repeat(flatten(x), count, 0);
  if (count < 0) fail<ValueError>("[repeat] the count ", count, " is negative");
  const int at = normalize_axis(*axis, x.ndim(), "repeat");
  const Tensor apart = expand_dims(x, at + 1);
  Shape repeated = apart.shape(), together = x.shape();
  repeated[at + 1] = count;
  together[at] = product_of_extents(together[at], count, "repeat");
  return reshape(broadcast_to(apart, repeated), together);
}

Tensor repeat(const Tensor& x, const Tensor& counts, std::optional<int64_t> axis) {
  if (!axis) return repeat(flatten(x), counts, 0);
  const int at = normalize_axis(*axis, x.ndim(), "repeat");
  if (!is_integral(counts.dtype()))
    fail<DTypeError>("[repeat] counts are integers, not ", describe(counts), " (use astype)");
  if (counts.ndim() > 1 || (counts.numel() != 1 && counts.numel() != x.size(at)))
    fail<ShapeError>("[repeat] ", describe(counts), " does not say how often each of ", x.size(at),
                     " elements along axis ", at, " of ", describe(x), " is repeated");
  const std::vector<int64_t> each = to_vector<int64_t>(astype(counts, DType::int64));
  int64_t total = 0;
  for (size_t i = 0; i < each.size(); ++i) {
    if (each[i] < 0) fail<ValueError>("[repeat] the count ", each[i], " of element ", i, " is negative");
    if (__builtin_add_overflow(total, each[i], &total))
      fail<ShapeError>("[repeat] axis ", at, " of ", describe(x), " would have more than 2^63 elements");
  }
  if (each.size() == 1) return repeat(x, each[0], at);
  const Tensor sources = [&] {
    const VisibleTraces none(nullptr);  // constants of whatever is recorded
    const Tensor ends = cumulative_sum(astype(flatten(counts), DType::int64));
    return searchsorted(ends, arange(total, DType::int64, x.device()), true);
  }();
  return take(x, sources, at);
}

Tensors unstack(const Tensor& x, int64_t axis) {
  Tensors result;
  const int at = normalize_axis(axis, x.ndim(), "unstack");
  result.reserve(static_cast<size_t>(x.size(at)));  // fails where there is no room for as many
  for (int64_t i = 0; i < x.size(at); ++i) {
    if (i % kTurn == kTurn - 1) answer_signals();
    result.push_back(select(x, at, i));
  }
  return result;
}

Tensors split(const Tensor& x, std::span<const int64_t> sizes, int64_t axis_) {
  const int axis = normalize_axis(axis_, x.ndim(), "split");
  int64_t total = 0;
  bool adds_up = true;
  for (int64_t size : sizes) adds_up &= size >= 0 && !__builtin_add_overflow(total, size, &total);
  if (!adds_up || total != x.size(axis)) {
    std::string text;
    for (int64_t size : sizes.first(std::min<size_t>(sizes.size(), kMaxRank)))
      text += (text.empty() ? "" : ", ") + std::to_string(size);
    fail<ShapeError>("[split] the sizes ", text, sizes.size() > kMaxRank ? " .." : "",
                     " do not add up to extent ", x.size(axis), " of axis ", axis);
  }
  Tensors parts;
  int64_t start = 0;
  for (int64_t size : sizes) {
    if (std::ssize(parts) % kTurn == kTurn - 1) answer_signals();
    parts.push_back(slice_axis(x, axis, start, start + size));
    start += size;
  }
  return parts;
}

Tensors chunk(const Tensor& x, int64_t count, int64_t axis) {
  if (count < 1) fail<ValueError>("[chunk] takes a positive number of parts, not ", count);
  const int at = normalize_axis(axis, x.ndim(), "chunk");
  const int64_t extent = x.size(at);
  const int64_t size = std::max<int64_t>(extent / count + (extent % count != 0), 1);
  std::vector<int64_t> sizes;
  sizes.reserve(std::max<int64_t>(extent / size, 1));  // fails where there is no room for as many
  for (int64_t begin = 0; begin < extent || begin == 0; begin += size)
    sizes.push_back(std::min(size, extent - begin));
  return split(x, sizes, at);
}

Tensor at_least(int rank, const Tensor& x) {
  if (x.ndim() >= rank) return x;
  Shape shape = x.shape();
  if (rank == 3 && x.ndim() == 2) {
    shape.push_back(1);
  } else {
    while (shape.size() < std::min(rank, 2)) shape.insert(0, 1);
    while (shape.size() < rank) shape.push_back(1);
  }
  return reshape(x, shape);
}

Tensor pad(const Tensor& x, const Dims& low, const Dims& high, const Scalar& value) {
  check_widths(x, low, high);
  Tensor result = x;
  for (int axis = 0; axis < x.ndim(); ++axis) {
    Tensors parts;
    const auto add = [&](int64_t width) {
      Shape shape = result.shape();
      shape[axis] = width;
      if (width > 0) parts.push_back(full(shape, value, x.dtype(), x.device()));
    };
    add(low[axis]);
    parts.push_back(result);
    add(high[axis]);
    if (parts.size() > 1) result = concat(parts, axis);
  }
  return result.is_same(x) ? copy(x) : result;
}

Tensor pad(const Tensor& x, const Dims& low, const Dims& high, PadMode mode) {
  check_widths(x, low, high);
  Tensor result = x;
  for (int axis = 0; axis < x.ndim(); ++axis) {
    if (low[axis] == 0 && high[axis] == 0) continue;
    const int64_t n = x.size(axis);
    if (n == 0) fail<ShapeError>("[pad] axis ", axis, " of ", describe(x), " has no elements to pad with");
    int64_t end = 0, count = 0;
    if (__builtin_add_overflow(n, high[axis], &end) || __builtin_add_overflow(end, low[axis], &count))
      fail<ShapeError>("[pad] axis ", axis, " of ", describe(x), " would have more than 2^63 elements");
    const auto taken = [&](int64_t first, int64_t last) {
      const Tensor sources = [&] {
        const VisibleTraces none(nullptr);  // constants of whatever is recorded
        return sources_of(arange(first, last, 1, DType::int64, x.device()), n, mode);
      }();
      return take(result, sources, axis);
    };
    // Few elements are taken by one call; of many only those beside x.
    constexpr int64_t kMany = 1 << 12;
    if (result.numel() < kMany) {
      result = taken(-low[axis], end);
      continue;
    }
    Tensors parts;
    if (low[axis] > 0) parts.push_back(taken(-low[axis], 0));
    parts.push_back(result);
    if (high[axis] > 0) parts.push_back(taken(n, end));
    result = concat(parts, axis);
  }
  return result.is_same(x) ? copy(x) : result;
}

Tensor diag(const Tensor& x, int64_t offset) {
  if (x.ndim() == 1) return diag_embed(x, offset);
  if (x.ndim() != 2) fail<ShapeError>("[diag] takes a vector or a matrix, not ", describe(x));
  return copy(linalg::diagonal(x, offset));
}

Tensor diag_embed(const Tensor& x, int64_t offset) {
  if (x.ndim() == 0) fail<ShapeError>("[diag_embed] takes vectors (.., n), not ", describe(x));
  const int64_t n = x.size(-1), down = std::max<int64_t>(-offset, 0), across = std::max<int64_t>(offset, 0);
  // Rows of n + 1 elements, the first of which is given, are those of n with it one further each.
  const int last = x.ndim();
  Dims low(last + 1, 0), high = low;
  high[last] = n;
  Shape flat = x.shape(), square = x.shape();
  flat[last - 1] = n * (n + 1);
  square.push_back(n);
  const Tensor rows = reshape(pad(expand_dims(x, -1), low, high), flat);
  const Tensor matrix = reshape(slice_axis(rows, -1, 0, n * n), square);
  if (offset == 0) return matrix;
  high[last] = 0;
  low[last - 1] = down, high[last - 1] = across, low[last] = across, high[last] = down;
  return pad(matrix, low, high);
}

Tensor block_diag(const Tensors& matrices) {
  if (matrices.empty()) fail<ValueError>("[block_diag] takes at least one matrix");
  Tensors rows;
  int64_t columns = 0, before = 0;
  for (const Tensor& x : matrices) {
    if (x.ndim() > 2) fail<ShapeError>("[block_diag] takes matrices, not ", describe(x));
    if (__builtin_add_overflow(columns, at_least(2, x).size(1), &columns))
      fail<ShapeError>("[block_diag] the columns of the matrices add up to over 2^63");
  }
  for (const Tensor& x : matrices) {
    const Tensor matrix = at_least(2, x);
    rows.push_back(pad(matrix, {0, before}, {0, columns - before - matrix.size(1)}));
    before += matrix.size(1);
  }
  return concat(rows, 0);
}

namespace {

// The places of a triangle of a matrix, row by row: of each row the columns before or from the one that is k
// after the diagonal, from the host; constants of whatever is recorded.
Tensors places_in(const char* op, bool lower, int64_t rows, int64_t columns, int64_t k, Device device) {
  if (rows < 0 || columns < 0)
    fail<ValueError>("[", op, "] a matrix has no ", rows, " rows and ", columns, " columns");
  const VisibleTraces none(nullptr);
  Tensor::empty({rows, columns}, DType::bool_, device);  // fails before the loops where there is no room
  const int64_t shift = std::clamp(k, -rows, columns);
  const auto border = [&](int64_t row) { return std::clamp(row + shift + lower, int64_t{0}, columns); };
  int64_t count = 0;
  for (int64_t row = 0; row < rows; ++row) count += lower ? border(row) : columns - border(row);
  const Tensor of_row = Tensor::empty({count}, DType::int64),
               of_column = Tensor::empty({count}, DType::int64);
  auto *y = static_cast<int64_t*>(of_row.raw_data()), *x = static_cast<int64_t*>(of_column.raw_data());
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t begin = lower ? 0 : border(row), n = (lower ? border(row) : columns) - begin;
    y = std::fill_n(y, n, row);
    for (int64_t i = 0; i < n; ++i) *x++ = begin + i;
  }
  return {to(of_row, device), to(of_column, device)};
}

}  // namespace

Tensors tril_indices(int64_t rows, int64_t columns, int64_t k, Device device) {
  return places_in("tril_indices", true, rows, columns, k, device);
}
Tensors triu_indices(int64_t rows, int64_t columns, int64_t k, Device device) {
  return places_in("triu_indices", false, rows, columns, k, device);
}

Tensors meshgrid(const Tensors& vectors, bool swapped) {
  check_vectors("meshgrid", vectors);
  const int rank = static_cast<int>(vectors.size());
  const auto axis_of = [&](int i) { return swapped && rank > 1 && i < 2 ? 1 - i : i; };
  Shape shape(rank, 1);
  for (int i = 0; i < rank; ++i) shape[axis_of(i)] = vectors[i].numel();
  Tensors result;
  for (int i = 0; i < rank; ++i) {
    Shape own(rank, 1);
    own[axis_of(i)] = vectors[i].numel();
    result.push_back(broadcast_to(reshape(vectors[i], own), shape));
  }
  return result;
}

Tensor cartesian_prod(const Tensors& vectors) {
  check_vectors("cartesian_prod", vectors);
  if (vectors.empty()) fail<ValueError>("[cartesian_prod] takes at least one vector");
  Tensors columns;
  for (const Tensor& grid : meshgrid(vectors, false)) columns.push_back(flatten(grid));
  return stack(columns, 1);
}

Tensor vander(const Tensor& x, std::optional<int64_t> columns, bool increasing) {
  if (x.ndim() == 0) fail<ShapeError>("[vander] takes vectors (.., n), not ", describe(x));
  const int64_t count = columns.value_or(x.size(-1));
  if (count < 0) fail<ValueError>("[vander] the number of columns, ", count, ", is negative");
  if (count == 0) return slice_axis(expand_dims(x, -1), -1, 0, 0);
  Shape shape = x.shape();
  shape.push_back(count);
  Tensor::empty(shape, x.dtype(), x.device());  // fails before the loop where there is no room for the result
  Tensors powers{ones_like(x)};
  for (int64_t i = 1; i < count; ++i) {
    answer_signals();
    powers.push_back(powers.back() * x);
  }
  if (!increasing) std::ranges::reverse(powers);
  return stack(powers, -1);
}

}  // namespace tidu
