// Reading and writing at places that tensors of indices name.
#include "ops/indexing.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <numeric>
#include <optional>
#include <type_traits>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/copy.h"
#include "kernels/scalar.h"
#include "ops/assign.h"

namespace tidu::cpu {
namespace {

// Offsets; a few need no workspace.
class Offsets {
 public:
  static constexpr int64_t kFew = 16;

  Offsets(int64_t n, Workspace& workspace) : many_(n > kFew ? workspace.take<int64_t>(n) : nullptr) {}
  int64_t* data() { return many_ ? many_ : few_; }
  const int64_t* data() const { return many_ ? many_ : few_; }

 private:
  int64_t few_[kFew];
  int64_t* many_;
};

// An axis on which x and the picked elements move together, by so many elements each.
struct Axis {
  int64_t extent = 1, x = 0, picked = 0;
};

// Adds i * stride for the position i along `axis` to the offset of each element of a row-major shape.
void add_along(const Shape& shape, int axis, int64_t stride, int64_t* offsets) {
  int64_t inside = 1, outside = 1;
  for (int i = 0; i < axis; ++i) outside *= shape[i];
  for (int i = axis + 1; i < shape.size(); ++i) inside *= shape[i];
  for (int64_t o = 0; o < outside; ++o) {
    for (int64_t i = 0; i < shape[axis]; ++i) {
      for (int64_t k = 0; k < inside; ++k) *offsets++ += i * stride;
    }
  }
}

// Names the first of the indices that are beyond the extent.
[[noreturn]] void fail_outside(const Call& call, const int64_t* index, int axis, int64_t extent) {
  int64_t i = 0;
  while (index[i] >= -extent && index[i] < extent) ++i;
  fail<IndexError>("[", call.primitive.name, "] index ", index[i], " at position ", i,
                   " is out of range for extent ", extent, " of axis ", axis, ": ", describe(call.inputs[0]));
}

// Where the points that a call's index tensors name, in their row-major order, lie in x and among the picked
// elements, and what axes there are beside them.
class Points {
 public:
  // The index tensors are the inputs from `first` on. Where the workspace only counts, they are not read.
  Points(const Call& call, size_t first, const Tensor& x, const Tensor& picked, Workspace& workspace)
      : shape_(call.inputs[first].shape()),
        count_(call.inputs[first].numel()),
        counts_(workspace.counts()),
        x_(count_, workspace) {
    const auto& attrs = call.attrs.as<IndexAttrs>();
    for (size_t i = first; i < call.inputs.size(); ++i) {
      const int64_t taken = workspace.taken();
      add_indices(call, row_major(call.inputs[i], workspace),
                  static_cast<int>(attrs.axes[static_cast<int>(i - first)]), x, i == first);
      workspace.give_back(taken);
    }
    const PickedAxes axes = picked_axes(attrs, x.ndim(), shape_.size());
    Strides strides;  // of the points among the picked elements
    for (int i = 0; i < axes.count; ++i) {
      const int64_t stride = picked.strides()[i];
      if (axes[i].index < 0) {
        add_rest({x.size(axes[i].x), x.strides()[axes[i].x], stride});
      } else {
        strides.push_back(stride);
        if (axes[i].x >= 0 && !counts_) add_along(shape_, axes[i].index, x.strides()[axes[i].x], x_.data());
      }
    }
    find_step(strides, workspace);
    choose_inner();
  }

  // Whether points need no workspace, which is seen without making them.
  static bool are_few(const Call& call, size_t first) {
    return call.inputs[first].numel() <= Offsets::kFew &&
           std::ranges::all_of(call.inputs.subspan(first), &Tensor::is_contiguous);
  }
  int64_t count() const { return count_; }
  int64_t outer_count() const { return outer_count_; }
  const Axis& inner() const { return inner_; }
  const int64_t* x() const { return x_.data(); }
  // Between neighbours among the picked elements, if they are evenly spaced.
  std::optional<int64_t> step() const { return picked_ ? std::nullopt : std::optional(step_); }
  int64_t picked(int64_t point) const { return picked_ ? picked_->data()[point] : point * step_; }

  // Where block `i` of the outer axes begins.
  Axis outer(int64_t i) const {
    Axis at;
    for (int d = rests_ - 1; d >= 0; --d) {
      const int64_t along = i % rest_[d].extent;
      i /= rest_[d].extent;
      at.x += along * rest_[d].x;
      at.picked += along * rest_[d].picked;
    }
    return at;
  }

 private:
  void add_indices(const Call& call, const Tensor& indices, int axis, const Tensor& x, bool first) {
    if (counts_) return;
    const int64_t* index = static_cast<const int64_t*>(indices.raw_data());
    const int64_t extent = x.size(axis), stride = x.strides()[axis];
    int64_t* const offsets = x_.data();
    std::atomic<bool> wrong = false;
    parallel_elements(count_, [&](int64_t begin, int64_t end) {
      bool outside = false;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = index[i] < 0 ? index[i] + extent : index[i];
        outside |= static_cast<uint64_t>(at) >= static_cast<uint64_t>(extent);
        offsets[i] = at * stride + (first ? 0 : offsets[i]);
      }
      if (outside) wrong = true;
    });
    if (wrong) fail_outside(call, index, axis, extent);
  }

  void add_rest(const Axis& axis) {
    outer_count_ *= axis.extent;
    if (axis.extent == 1) return;
    if (rests_ > 0) {
      Axis& last = rest_[rests_ - 1];
      if (last.x == axis.x * axis.extent && last.picked == axis.picked * axis.extent) {
        last = {last.extent * axis.extent, axis.x, axis.picked};
        return;
      }
    }
    rest_[rests_++] = axis;
  }

  // The points among the picked elements are one step apart, or each where `picked_` says.
  void find_step(const Strides& strides, Workspace& workspace) {
    int64_t expected = 0;
    bool even = true, first = true;
    for (int i = shape_.size() - 1; i >= 0; --i) {
      if (shape_[i] == 1) continue;
      if (first) step_ = expected = strides[i];
      even &= strides[i] == expected;
      expected *= shape_[i];
      first = false;
    }
    if (even) return;
    picked_.emplace(count_, workspace);
    if (counts_) return;
    std::fill_n(picked_->data(), count_, 0);
    for (int i = 0; i < shape_.size(); ++i) add_along(shape_, i, strides[i], picked_->data());
  }

  // The innermost axis beside the points is walked at each point where that is along memory or there are few
  // points.
  void choose_inner() {
    if (rests_ == 0) return;
    const Axis& last = rest_[rests_ - 1];
    if (last.x != 1 && last.picked != 1 && count_ >= 16) return;
    inner_ = last;
    --rests_;
    if (inner_.extent > 0) outer_count_ /= inner_.extent;
  }

  Shape shape_;
  int64_t count_;
  bool counts_;
  Offsets x_;
  std::optional<Offsets> picked_;
  int64_t step_ = 0;
  Axis rest_[kMaxRank];
  int rests_ = 0;
  int64_t outer_count_ = 1;
  Axis inner_;
};

// Calls visit.template operator()<Word>() with an unsigned type of some size.
template <class Visit> void visit_words(DType dtype, const Visit& visit) {
  switch (size_of(dtype)) {
    case 1: return visit.template operator()<uint8_t>();
    case 2: return visit.template operator()<uint16_t>();
    case 4: return visit.template operator()<uint32_t>();
    default: return visit.template operator()<uint64_t>();
  }
}

// to[i * to_step] = from[i * from_step] for i below n.
template <class Word>
void copy_line(const Word* from, int64_t from_step, Word* to, int64_t to_step, int64_t n) {
  if (from_step == 1 && to_step == 1) {
    copy_bytes(from, to, static_cast<size_t>(n) * sizeof(Word));
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * to_step] = from[i * from_step];
  }
}

// Elements of a vector that one contiguous tensor of indices names: some indices are looked at, then
// followed, while they are in a cache.
bool is_of_elements(const Call& call, const Tensor& x, size_t first) {
  return x.ndim() == 1 && call.inputs.size() == first + 1 && call.inputs[first].is_contiguous();
}
template <class Body>
void for_elements(const Tensor& indices, int64_t extent, int64_t begin, int64_t end, std::atomic<bool>& wrong,
                  const Body& body) {
  constexpr int64_t kTogether = 1024;
  const auto* const index = static_cast<const int64_t*>(indices.raw_data());
  for (int64_t last; begin < end; begin = last) {
    last = std::min(begin + kTogether, end);
    const auto end_of_x = static_cast<uint64_t>(extent);
    uint64_t distances = 0;  // from both ends, of which none may be negative
    for (int64_t i = begin; i < last; ++i) {
      const auto at = static_cast<uint64_t>(index[i]);
      distances |= (end_of_x + at) | (end_of_x - 1 - at);
    }
    if (distances >> 63 != 0) return static_cast<void>(wrong = true);
    for (int64_t i = begin; i < last; ++i) body(i, index[i] < 0 ? index[i] + extent : index[i]);
  }
}

void gather_elements(const Call& call) {
  const Tensor &x = call.inputs[0], &indices = call.inputs[1];
  const int64_t extent = x.size(0), stride = x.strides()[0];
  std::atomic<bool> wrong = false;
  visit_words(x.dtype(), [&]<class Word>() {
    const Word* const from = static_cast<const Word*>(x.raw_data());
    Word* const to = static_cast<Word*>(call.outputs[0].raw_data());
    parallel_elements(indices.numel(), [&](int64_t begin, int64_t end) {
      for_elements(indices, extent, begin, end, wrong,
                   [=](int64_t i, int64_t at) { to[i] = from[at * stride]; });
    });
  });
  if (wrong) fail_outside(call, static_cast<const int64_t*>(indices.raw_data()), 0, extent);
}

void gather(const Call& call, Workspace& workspace) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  if (is_of_elements(call, x, 1)) return workspace.counts() ? void() : gather_elements(call);
  if (workspace.counts() && Points::are_few(call, 1)) return;
  const Points points(call, 1, x, y, workspace);
  if (y.numel() == 0 || workspace.counts()) return;
  const Axis inner = points.inner();
  const int64_t piece = std::max<int64_t>(1, kGrain / inner.extent);
  const int64_t pieces = (points.count() + piece - 1) / piece;
  visit_words(x.dtype(), [&]<class Word>() {
    const Word* from = static_cast<const Word*>(x.raw_data());
    Word* to = static_cast<Word*>(y.raw_data());
    parallel_for(points.outer_count() * pieces, y.numel(), [&](int64_t task) {
      const Axis outer = points.outer(task / pieces);
      const int64_t begin = task % pieces * piece, end = std::min(begin + piece, points.count());
      const Word* source = from + outer.x;
      Word* target = to + outer.picked;
      const int64_t* const at = points.x();
      if (inner.extent == 1 && points.step()) {
        const int64_t step = *points.step();
        for (int64_t i = begin; i < end; ++i) target[i * step] = source[at[i]];
        return;
      }
      if (inner.x == 1 && inner.picked == 1 && points.step()) {
        const int64_t step = *points.step();
        const auto bytes = static_cast<size_t>(inner.extent) * sizeof(Word);
        // Where the next ones lie cannot be foreseen, but looked up.
        constexpr int64_t kAhead = 12;
        constexpr size_t kLine = 64, kMost = 8 * kLine;
        const auto copy_all = [&](auto size) {
          for (int64_t i = begin; i < end; ++i) {
            const char* const later =
                reinterpret_cast<const char*>(source + at[std::min(i + kAhead, end - 1)]);
            for (size_t byte = 0; byte < std::min<size_t>(size, kMost); byte += kLine)
              __builtin_prefetch(later + byte);
            if constexpr (std::is_integral_v<decltype(size)>) {
              copy_bytes(source + at[i], target + i * step, size);
            } else {
              std::memcpy(target + i * step, source + at[i], size);
            }
          }
        };
        switch (bytes) {  // a call takes longer than to copy a few words
          case 8: return copy_all(std::integral_constant<size_t, 8>());
          case 16: return copy_all(std::integral_constant<size_t, 16>());
          case 32: return copy_all(std::integral_constant<size_t, 32>());
          case 64: return copy_all(std::integral_constant<size_t, 64>());
          case 128: return copy_all(std::integral_constant<size_t, 128>());
          default: return copy_all(bytes);
        }
      }
      for (int64_t i = begin; i < end; ++i)
        copy_line(source + at[i], inner.x, target + points.picked(i), inner.picked, inner.extent);
    });
  });
}

// Calls body(x, picked, n) for a line of n elements at each point, with offsets of its beginning, one point
// after another. Tasks own parts of x, so that the order does not depend on threads, nor on how long these
// parts are: as long as there is one for each thread.
template <class Body> void for_lines(const Points& points, const Body& body) {
  const Axis inner = points.inner();
  const int64_t most = num_threads() == 1 ? 1 : 2 * num_threads(),
                outer_count = std::max<int64_t>(points.outer_count(), 1);
  const int64_t longest = inner.extent / std::max<int64_t>(1, most / outer_count);
  const int64_t width = std::max({int64_t{64}, kGrain / std::max<int64_t>(points.count(), 1), longest});
  const int64_t pieces = (inner.extent + width - 1) / width;
  parallel_for(points.outer_count() * pieces, points.outer_count() * inner.extent * points.count(),
               [&](int64_t task) {
                 const Axis outer = points.outer(task / pieces);
                 const int64_t begin = task % pieces * width, n = std::min(width, inner.extent - begin);
                 const int64_t x = outer.x + begin * inner.x, picked = outer.picked + begin * inner.picked;
                 for (int64_t i = 0; i < points.count(); ++i)
                   body(x + points.x()[i], picked + points.picked(i), n);
               });
}

void put(const Points& points, const Tensor& updates, const Tensor& y) {
  visit_words(y.dtype(), [&]<class Word>() {
    const Word* from = static_cast<const Word*>(updates.raw_data());
    Word* to = static_cast<Word*>(y.raw_data());
    const Axis inner = points.inner();
    for_lines(points, [&](int64_t x, int64_t picked, int64_t n) {
      copy_line(from + picked, inner.picked, to + x, inner.x, n);
    });
  });
}

struct Add {
  template <class T> static T apply(T a, T b) { return scalar::add(a, b); }
};
struct Multiply {
  template <class T> static T apply(T a, T b) { return scalar::multiply(a, b); }
};
struct Minimum {
  template <class T> static T apply(T a, T b) { return scalar::minimum(a, b); }
};
struct Maximum {
  template <class T> static T apply(T a, T b) { return scalar::maximum(a, b); }
};

template <class F> void combine(const Points& points, const Tensor& updates, const Tensor& y) {
  visit_dtype(y.dtype(), [&]<class T>() {
    if constexpr (!is_half<T> && !std::is_same_v<T, bool>) {
      const T* from = static_cast<const T*>(updates.raw_data());
      T* to = static_cast<T*>(y.raw_data());
      const Axis inner = points.inner();
      if (inner.extent == 1 && points.step()) {
        const int64_t count = points.count(), step = *points.step();
        parallel_for(points.outer_count(), points.outer_count() * count, [&](int64_t task) {
          const Axis outer = points.outer(task);
          const int64_t* const at = points.x();
          const T* source = from + outer.picked;
          T* const target = to + outer.x;
          for (int64_t i = 0; i < count; ++i, source += step)
            target[at[i]] = F::apply(target[at[i]], *source);
        });
      } else if (inner.x == 1 && inner.picked == 1) {
        for_lines(points, [&](int64_t x, int64_t picked, int64_t n) {
          for (int64_t i = 0; i < n; ++i) to[x + i] = F::apply(to[x + i], from[picked + i]);
        });
      } else {
        for_lines(points, [&](int64_t x, int64_t picked, int64_t n) {
          for (int64_t i = 0; i < n; ++i) {
            T& place = to[x + i * inner.x];
            place = F::apply(place, from[picked + i * inner.picked]);
          }
        });
      }
    }
  });
}

void scatter_set(const Call& call, Workspace& workspace) {
  const Tensor &updates = call.inputs[1], &y = call.outputs[0];
  if (workspace.counts() && Points::are_few(call, 2)) return;
  const Points points(call, 2, y, updates, workspace);
  if (workspace.counts()) return;
  copy_elements(call.inputs[0], y);
  put(points, updates, y);
}

void assign_points(const Call& call, Workspace& workspace) {
  const Tensor &x = call.inputs[0], &updates = call.inputs[1];
  if (workspace.counts() && Points::are_few(call, 2)) return;
  const Points points(call, 2, x, updates, workspace);
  if (!workspace.counts()) put(points, updates, x);
}

// Of updates one after another, or one for all, to a row-major y.
template <class F> void combine_elements(const Call& call, const Tensor& updates, const Tensor& y) {
  const Tensor& indices = call.inputs[2];
  const int64_t extent = y.size(0);
  std::atomic<bool> wrong = false;
  visit_dtype(y.dtype(), [&]<class T>() {
    if constexpr (!is_half<T> && !std::is_same_v<T, bool>) {
      const T* const from = static_cast<const T*>(updates.raw_data());
      T* const to = static_cast<T*>(y.raw_data());
      const auto with = [&](const auto& update) {
        for_elements(indices, extent, 0, indices.numel(), wrong,
                     [to, update](int64_t i, int64_t at) { to[at] = F::apply(to[at], update(i)); });
      };
      if (updates.is_contiguous()) {
        with([from](int64_t i) { return from[i]; });
      } else {
        with([update = *from](int64_t) { return update; });
      }
    }
  });
  if (wrong) fail_outside(call, static_cast<const int64_t*>(indices.raw_data()), 0, extent);
}

// The 16-bit floats are computed in float and rounded once.
template <class F> void scatter(const Call& call, Workspace& workspace) {
  const Tensor &x = call.inputs[0], &y = call.outputs[0];
  const bool half = is_narrow(y.dtype());
  if (workspace.counts() && !half && Points::are_few(call, 2)) return;
  const Tensor updates = half ? converted(call.inputs[1], DType::float32, workspace) : call.inputs[1];
  const Tensor result = half ? workspace.tensor(y.shape(), DType::float32) : y;
  const bool is_one = std::ranges::all_of(updates.strides(), [](int64_t stride) { return stride == 0; });
  if (is_of_elements(call, y, 2) && result.is_contiguous() && (is_one || updates.is_contiguous())) {
    if (workspace.counts()) return;
    deliver(x, result);
    combine_elements<F>(call, updates, result);
    return deliver(result, y);
  }
  const Points points(call, 2, result, updates, workspace);
  if (workspace.counts()) return;
  deliver(x, result);
  combine<F>(points, updates, result);
  deliver(result, y);
}

// How many of n bytes, each 0 or 1, are 1.
int64_t count_ones(const uint8_t* p, int64_t n) {
  int64_t count = 0, i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    std::memcpy(&word, p + i, 8);
    count += std::popcount(word);
  }
  for (; i < n; ++i) count += p[i];
  return count;
}

// Writes the places of the ones, the first byte being at `at`, behind the `found` that are there; there will
// be `last`.
int64_t put_ones(const uint8_t* p, int64_t n, int64_t at, int64_t* places, int64_t found, int64_t last) {
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    uint64_t word;
    std::memcpy(&word, p + i, 8);
    if (word == 0) continue;
    if (last - found >= 8) {  // without branches that nobody can foresee
      int64_t* place = places + found;
      for (int64_t k = 0; k < 8; ++k) {
        *place = at + i + k;
        place += p[i + k];
      }
      found = place - places;
    } else {
      for (; word != 0; word &= word - 1) places[found++] = at + i + std::countr_zero(word) / 8;
    }
  }
  for (; i < n; ++i) {
    if (p[i] != 0) places[found++] = at + i;
  }
  return found;
}

void nonzero(const Call& call, Workspace& workspace) {
  const Tensor mask = row_major(call.inputs[0], workspace);
  const Tensor& y = call.outputs[0];
  const int rank = mask.ndim();
  const int64_t n = mask.numel(), count = call.attrs.as<CountAttrs>().count,
                blocks = (n + kGrain - 1) / kGrain;
  Offsets blocks_before(blocks + 1, workspace);
  if (workspace.counts()) return;
  const uint8_t* p = static_cast<const uint8_t*>(mask.raw_data());
  int64_t* const before = blocks_before.data();
  before[0] = 0;
  parallel_elements(n, [&](int64_t begin, int64_t end) {
    for (; begin < end; begin += kGrain)
      before[begin / kGrain + 1] = count_ones(p + begin, std::min(kGrain, end - begin));
  });
  std::partial_sum(before, before + blocks + 1, before);
  if (before[blocks] != count)
    fail<ValueError>("[nonzero] ", describe(mask), " has ", before[blocks], " true elements, not ", count);
  if (rank == 0) return;
  int64_t* const to = static_cast<int64_t*>(y.raw_data());
  int64_t* const along = to + (rank - 1) * count;
  const int64_t row = mask.size(-1);
  parallel_elements(n, [&](int64_t begin, int64_t end) {
    int64_t found = before[begin / kGrain], at[kMaxRank];
    const int64_t last = before[(end + kGrain - 1) / kGrain];
    int64_t row_begin = begin - begin % row;
    for (int64_t number = begin / row, d = rank - 1; d-- > 0; number /= mask.size(static_cast<int>(d)))
      at[d] = number % mask.size(static_cast<int>(d));
    while (begin < end) {
      const int64_t row_end = std::min(end, row_begin + row), first = found;
      found = put_ones(p + begin, row_end - begin, begin - row_begin, along, found, last);
      for (int d = 0; d + 1 < rank; ++d) std::fill_n(to + d * count + first, found - first, at[d]);
      begin = row_begin = row_end;
      for (int d = rank - 1; d-- > 0 && ++at[d] == mask.size(d);) at[d] = 0;
    }
  });
}

}  // namespace

void register_indexing_kernels() {
  set_kernel_with_workspace<gather>(primitives::gather);
  set_kernel_with_workspace<scatter<Add>>(primitives::scatter_add);
  set_kernel_with_workspace<scatter_set>(primitives::scatter_set);
  set_kernel_with_workspace<scatter<Multiply>>(primitives::scatter_multiply);
  set_kernel_with_workspace<scatter<Minimum>>(primitives::scatter_min);
  set_kernel_with_workspace<scatter<Maximum>>(primitives::scatter_max);
  set_kernel_with_workspace<assign_points>(primitives::assign_points);
  set_kernel_with_workspace<nonzero>(primitives::nonzero);
}

}  // namespace tidu::cpu
