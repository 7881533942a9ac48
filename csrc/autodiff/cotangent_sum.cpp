// Putting slices together.
#include "autodiff/cotangent_sum.h"

#include <algorithm>

#include "autodiff/rules.h"
#include "base/few.h"
#include "ops/creation.h"
#include "ops/elementwise.h"

namespace tidu {

void CotangentSum::add(const Tensor& cotangent) { whole_ = accumulate(std::move(whole_), cotangent); }

void CotangentSum::add_part(const Shape& whole, const SliceAttrs& slice, const Tensor& cotangent) {
  if (!cotangent.defined()) return;
  const Tensor part = reshape(cotangent, slice.sizes);
  const auto same = std::ranges::find(slices_, slice, &Slice::slice);
  if (same != slices_.end()) {
    same->sum = accumulate(std::move(same->sum), part);
  } else {
    slices_.push_back({whole, slice, part});
  }
}

Tensor CotangentSum::assemble(std::span<const Slice*> parts, int axis) {
  const Shape& whole = parts[0]->whole;
  if (axis == whole.size()) return parts.size() == 1 ? parts[0]->sum : Tensor();
  const auto start = [&](const Slice* part) { return part->slice.starts[axis]; };
  const auto size = [&](const Slice* part) { return part->slice.sizes[axis]; };
  std::ranges::sort(parts, {}, start);
  Few<Tensor, 8> pieces(2 * parts.size() + 1);
  size_t made = 0;
  int64_t end = 0;
  const auto fill_to = [&](int64_t next) {
    if (next == end) return;
    Shape gap = whole;
    for (int i = 0; i < axis; ++i) gap[i] = parts[0]->slice.sizes[i];
    gap[axis] = next - end;
    const Tensor& like = parts[0]->sum;
    pieces[made++] = broadcast_to(zeros({}, like.dtype(), like.device()), gap);
  };
  for (size_t i = 0; i < parts.size();) {
    const size_t begin = i;
    const int64_t first = start(parts[i]), count = size(parts[i]);
    for (; i < parts.size() && start(parts[i]) == first; ++i) {
      if (size(parts[i]) != count || (count > 1 && parts[i]->slice.steps[axis] != 1)) return {};
    }
    if (first < end) return {};
    fill_to(first);
    pieces[made] = assemble(parts.subspan(begin, i - begin), axis + 1);
    if (!pieces[made++].defined()) return {};
    end = first + count;
  }
  fill_to(whole[axis]);
  return made == 1 ? pieces[0] : concat(std::span(pieces.begin(), made), axis);
}

Tensor CotangentSum::take() {
  if (slices_.size() > 1) {
    Few<const Slice*, 8> all(slices_.size());
    std::ranges::transform(slices_, all.begin(), [](const Slice& part) { return &part; });
    if (const Tensor together = assemble(all, 0); together.defined()) {
      add(together);
      slices_.clear();
    }
  }
  for (const auto& [shape, slice, sum] : slices_) {
    const auto& [starts, sizes, steps] = slice;
    if (whole_.defined()) {
      whole_ = slice_update(whole_, tidu::slice(whole_, starts, sizes, steps) + sum, starts, steps);
    } else {
      const Tensor zero = zeros({}, sum.dtype(), sum.device());
      whole_ = slice_update(broadcast_to(zero, shape), sum, starts, steps);
    }
  }
  slices_.clear();
  return std::move(whole_);
}

}  // namespace tidu
