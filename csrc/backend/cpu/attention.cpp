// Scaled dot-product attention: blocks of scores, of which each thread has one at a time.
#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/backend.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/matmul.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/threads.h"
#include "kernels/convert.h"
#include "kernels/cpu/attention.h"

namespace tidu::cpu {
namespace {

// Queries and keys of a block.
constexpr int64_t kQueries = 64, kKeys = 256;

// A batch of matrices of T whose rows' elements are neighbours.
template <class T> struct Matrices {
  Matrices(const Tensor& x, Workspace& workspace) : tensor(x) {
    if (x.dtype() != dtype_of<T>) tensor = converted(x, dtype_of<T>, workspace);
    const bool rows = tensor.size(-1) <= 1 || tensor.strides().back() == 1;
    if (!rows || tensor.strides()[tensor.ndim() - 2] < tensor.size(-1)) tensor = row_major(tensor, workspace);
    leading = std::max<int64_t>({tensor.strides()[tensor.ndim() - 2], tensor.size(-1), 1});
  }
  T* at(int64_t batch, int64_t row) const {
    return tensor.data<T>() + batch_offset(tensor, batch) + row * leading;
  }

  Tensor tensor;
  int64_t leading;
};

template <class T> struct Scores {
  static constexpr T kInfinity = std::numeric_limits<T>::infinity();

  Scores(const Call& call, size_t mask, Workspace& workspace)
      : q(call.inputs[0], workspace),
        k(call.inputs[1], workspace),
        v(call.inputs[2], workspace),
        mask(call.inputs.size() > mask ? call.inputs[mask] : Tensor()),
        causal(attention_attrs(call).causal),
        scale(static_cast<T>(attention_attrs(call).scale)),
        queries(call.inputs[0].size(-2)),
        keys(call.inputs[1].size(-2)),
        depth(call.inputs[0].size(-1)),
        width(call.inputs[2].size(-1)),
        batches(1) {
    for (int i = 0; i < call.inputs[0].ndim() - 2; ++i) batches *= call.inputs[0].size(i);
  }

  // Writes scale q k^T + mask of a block to rows of kKeys, and the largest of each row. What is beyond the
  // keys that a query looks at is -inf.
  void block(int64_t batch, int64_t i0, int64_t rows, int64_t j0, int64_t columns, T* s, T* most) const {
    multiply({rows, columns, depth}, {q.at(batch, i0), q.leading}, {k.at(batch, j0), k.leading, true}, s,
             kKeys);
    for (int64_t r = 0; r < rows; ++r) {
      T* row = s + r * kKeys;
      const int64_t n = causal ? std::clamp<int64_t>(i0 + r + 1 - j0, 0, columns) : columns;
      most[r] = functions.scale(row, n, scale);
      if (mask.defined()) {
        add_mask(batch, i0 + r, j0, n, row);
        most[r] = functions.largest(row, n);
      }
      std::fill(row + n, row + columns, -kInfinity);
    }
  }

  void add_mask(int64_t batch, int64_t i, int64_t j0, int64_t n, T* row) const {
    const int64_t step = mask.strides().back();
    const int64_t first = batch_offset(mask, batch) + i * mask.strides()[mask.ndim() - 2] + j0 * step;
    if (mask.dtype() == DType::bool_) {
      const bool* from = mask.data<bool>() + first;
      for (int64_t j = 0; j < n; ++j) row[j] = from[j * step] ? row[j] : -kInfinity;
      return;
    }
    visit_floating(mask.dtype(), 0, [&]<class M>() {
      const M* from = mask.data<M>() + first;
      for (int64_t j = 0; j < n; ++j) row[j] += static_cast<T>(from[j * step]);
      return 0;
    });
  }

  // The keys that queries before `end` look at.
  int64_t seen(int64_t end) const { return causal ? std::min(end, keys) : keys; }
  // In elements of simpler kernels.
  int64_t work() const { return batches * queries * keys * (depth + width) / 8; }

  Matrices<T> q, k, v;
  Tensor mask;
  bool causal;
  T scale;
  int64_t queries, keys, depth, width, batches;
  AttentionFunctions<T> functions = attention_functions<T>();
};

// What exp is taken from: a row of nothing but -inf has weights 0.
template <class T> T shift_of(T largest, T otherwise) {
  return largest == -std::numeric_limits<T>::infinity() ? otherwise : largest;
}

template <class T> void forward(const Call& call, Workspace& workspace) {
  const Scores<T> scores(call, 3, workspace);
  const Tensor y = room_for(call.outputs[0], dtype_of<T>, workspace);
  if (workspace.counts()) return;
  T* const sums = call.outputs[1].data<T>();
  const int64_t width = scores.width, tiles = (scores.queries + kQueries - 1) / kQueries;
  const SignalsHeldBack held;
  parallel_for(scores.batches * tiles, scores.work(), [&](int64_t task) {
    const int64_t batch = task / tiles, i0 = task % tiles * kQueries;
    const int64_t rows = std::min(kQueries, scores.queries - i0), seen = scores.seen(i0 + rows);
    T* const out = y.data<T>() + (batch * scores.queries + i0) * width;
    T* const s = reinterpret_cast<T*>(own_memory<Use::product>(kQueries * kKeys * int64_t{sizeof(T)}));
    T most[kQueries], largest[kQueries], total[kQueries];
    std::fill_n(most, rows, -Scores<T>::kInfinity);
    std::fill_n(total, rows, T(0));
    if (seen == 0) std::fill_n(out, rows * width, T(0));
    for (int64_t j0 = 0; j0 < seen; j0 += kKeys) {
      const int64_t columns = std::min(kKeys, seen - j0);
      scores.block(batch, i0, rows, j0, columns, s, largest);
      for (int64_t r = 0; r < rows; ++r) {
        const T before = most[r];
        if (largest[r] > before) most[r] = largest[r];
        const T factor = before == most[r] ? T(1) : std::exp(before - most[r]);
        total[r] =
            total[r] * factor + scores.functions.exp_sum(s + r * kKeys, columns, shift_of(most[r], T(0)));
        if (j0 == 0 || factor == 1) continue;
        for (int64_t c = 0; c < width; ++c) out[r * width + c] *= factor;
      }
      if (width > 0)
        multiply({rows, width, columns, j0 > 0}, {s, kKeys}, {scores.v.at(batch, j0), scores.v.leading}, out,
                 width);
    }
    for (int64_t r = 0; r < rows; ++r) {
      sums[batch * scores.queries + i0 + r] = most[r] + std::log(total[r]);
      const T factor = total[r] == 0 ? T(0) : 1 / total[r];
      for (int64_t c = 0; c < width; ++c) out[r * width + c] *= factor;
    }
  });
  deliver(y, call.outputs[0]);
}

template <class T> void backward(const Call& call, Workspace& workspace) {
  const auto& of = call.attrs.as<AttentionGradAttrs>();
  const bool of_scores = of.of_query || of.of_key;
  const Scores<T> scores(call, 6, workspace);
  const Matrices<T> g(call.inputs[3], workspace), y(call.inputs[4], workspace);
  const Tensor sums = row_major(call.inputs[5], workspace);
  Tensor results[3];
  for (size_t i = 0; i < 3; ++i) results[i] = room_for(call.outputs[i], dtype_of<T>, workspace);
  T* const deltas = workspace.take<T>(scores.batches * scores.queries);
  if (workspace.counts()) return;
  const int64_t depth = scores.depth, width = scores.width, queries = scores.queries, keys = scores.keys;
  const SignalsHeldBack held;
  parallel_for(scores.batches, 2 * scores.work(), [&](int64_t batch) {
    T* const dq = results[0].data<T>() + batch * queries * depth;
    T* const dk = results[1].data<T>() + batch * keys * depth;
    T* const dv = results[2].data<T>() + batch * keys * width;
    if (of.of_query) std::fill_n(dq, queries * depth, T(0));
    if (of.of_key) std::fill_n(dk, keys * depth, T(0));
    if (of.of_value) std::fill_n(dv, keys * width, T(0));
    T* const p = reinterpret_cast<T*>(own_memory<Use::product>(2 * kQueries * kKeys * int64_t{sizeof(T)}));
    T *const slope = p + kQueries * kKeys, *const delta = deltas + batch * queries;
    T largest[kQueries];
    for (int64_t i = 0; of_scores && i < queries; ++i) {
      const T *a = g.at(batch, i), *b = y.at(batch, i);
      delta[i] = 0;
      for (int64_t c = 0; c < width; ++c) delta[i] += a[c] * b[c];
    }
    for (int64_t j0 = 0; j0 < scores.seen(queries); j0 += kKeys) {
      const int64_t columns = std::min(kKeys, keys - j0);
      for (int64_t i0 = scores.causal ? j0 / kQueries * kQueries : 0; i0 < queries; i0 += kQueries) {
        const int64_t rows = std::min(kQueries, queries - i0);
        scores.block(batch, i0, rows, j0, columns, p, largest);
        for (int64_t r = 0; r < rows; ++r) {
          const T sum = sums.data<T>()[batch * queries + i0 + r];
          scores.functions.exp_sum(p + r * kKeys, columns, shift_of(sum, Scores<T>::kInfinity));
        }
        if (of.of_value && width > 0) {
          multiply({columns, width, rows, true}, {p, kKeys, true}, {g.at(batch, i0), g.leading},
                   dv + j0 * width, width);
        }
        if (!of_scores) continue;
        multiply({rows, columns, width}, {g.at(batch, i0), g.leading},
                 {scores.v.at(batch, j0), scores.v.leading, true}, slope, kKeys);
        for (int64_t r = 0; r < rows; ++r) {
          scores.functions.slope(p + r * kKeys, slope + r * kKeys, columns, delta[i0 + r], scores.scale);
        }
        if (depth == 0) continue;
        if (of.of_query) {
          multiply({rows, depth, columns, true}, {slope, kKeys}, {scores.k.at(batch, j0), scores.k.leading},
                   dq + i0 * depth, depth);
        }
        if (of.of_key) {
          multiply({columns, depth, rows, true}, {slope, kKeys, true},
                   {scores.q.at(batch, i0), scores.q.leading}, dk + j0 * depth, depth);
        }
      }
    }
  });
  for (size_t i = 0; i < 3; ++i) deliver(results[i], call.outputs[i]);
}

template <bool grad> void attention(const Call& call, Workspace& workspace) {
  const bool wide = call.inputs[0].dtype() == DType::float64;
  if constexpr (grad) {
    wide ? backward<double>(call, workspace) : backward<float>(call, workspace);
  } else {
    wide ? forward<double>(call, workspace) : forward<float>(call, workspace);
  }
}

}  // namespace

void register_attention_kernels() {
  set_kernel_with_workspace<attention<false>>(primitives::attention);
  set_kernel_with_workspace<attention<true>>(primitives::attention_grad);
}

}  // namespace tidu::cpu
