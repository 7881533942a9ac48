// Sorting, and searching in what is sorted.
#include "kernels/order.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "ops/order.h"

namespace tidu::cpu {
namespace {

template <class Key, class Number> struct Pair {
  Key key;
  Number number;
};

// Sorts digit after digit, from the lowest, between two buffers; returns that which holds the result. Fewer
// pairs than there are digits' values are compared instead.
template <class Key, class Number>
const Pair<Key, Number>* sort_pairs(Pair<Key, Number>* pairs, Pair<Key, Number>* other, int64_t n) {
  constexpr int kFew = 512;
  if (n < kFew) {
    std::sort(pairs, pairs + n, [](const auto& a, const auto& b) {
      return a.key != b.key ? a.key < b.key : a.number < b.number;
    });
    return pairs;
  }
  constexpr int kValues = 256;
  std::array<std::array<int64_t, kValues>, sizeof(Key)> places{};
  const auto digit = [](Key key, size_t d) { return static_cast<size_t>(key >> (8 * d)) % kValues; };
  for (int64_t i = 0; i < n; ++i) {
    for (size_t d = 0; d < sizeof(Key); ++d) ++places[d][digit(pairs[i].key, d)];
  }
  for (size_t d = 0; d < sizeof(Key); ++d) {
    if (places[d][digit(pairs[0].key, d)] == n) continue;
    int64_t before = 0;
    for (int64_t& place : places[d]) before += std::exchange(place, before);
    for (int64_t i = 0; i < n; ++i) other[places[d][digit(pairs[i].key, d)]++] = pairs[i];
    std::swap(pairs, other);
  }
  return pairs;
}

template <class T, class Number>
void argsort_rows(const T* x, int64_t* order, int64_t rows, int64_t n, bool descending) {
  parallel_ranges(rows, std::max<int64_t>(1, kGrain / n), rows * n, [&](int64_t begin, int64_t end) {
    std::vector<Pair<OrderKey<T>, Number>> pairs(static_cast<size_t>(n)), other(pairs.size());
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t i = 0; i < n; ++i)
        pairs[static_cast<size_t>(i)] = {order_key(x[row * n + i], descending), static_cast<Number>(i)};
      const auto* sorted = sort_pairs(pairs.data(), other.data(), n);
      for (int64_t i = 0; i < n; ++i) order[row * n + i] = static_cast<int64_t>(sorted[i].number);
    }
  });
}

void argsort(const Call& call) {
  const Tensor x = row_major(call.inputs[0]);
  if (x.numel() == 0) return;
  const int64_t n = x.size(-1), rows = x.numel() / n;
  const bool descending = call.attrs.as<SortAttrs>().descending;
  int64_t* const order = static_cast<int64_t*>(call.outputs[0].raw_data());
  visit_dtype(x.dtype(), [&]<class T>() {
    const T* const from = static_cast<const T*>(x.raw_data());
    if (n <= UINT32_MAX) {
      argsort_rows<T, uint32_t>(from, order, rows, n, descending);
    } else {
      argsort_rows<T, uint64_t>(from, order, rows, n, descending);
    }
  });
}

void searchsorted(const Call& call) {
  const Tensor sorted = row_major(call.inputs[0]), values = row_major(call.inputs[1]);
  if (values.numel() == 0) return;
  const int64_t n = sorted.size(-1), each = values.size(-1);
  const bool right = call.attrs.as<SearchAttrs>().right;
  int64_t* const places = static_cast<int64_t*>(call.outputs[0].raw_data());
  visit_dtype(sorted.dtype(), [&]<class T>() {
    const T* const rows = static_cast<const T*>(sorted.raw_data());
    const T* const x = static_cast<const T*>(values.raw_data());
    parallel_elements(values.numel(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) places[i] = place_in_order(rows + i / each * n, n, x[i], right);
    });
  });
}

}  // namespace

void register_order_kernels() {
  set_kernel(primitives::argsort, DeviceType::cpu, argsort);
  set_kernel(primitives::searchsorted, DeviceType::cpu, searchsorted);
}

}  // namespace tidu::cpu
