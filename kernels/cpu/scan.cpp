// Cumulative scans down columns and along lines.
#include "kernels/cpu/scan.h"

#include <algorithm>
#include <array>
#include <type_traits>

#include "kernels/reduction.h"

namespace tidu::cpu {
namespace {

// Columns that are scanned side by side.
constexpr int64_t kWidth = 256;

template <class Op, class T>
void total(const void* input, int64_t stride, int64_t n, int64_t columns, void* output) {
  const T* x = static_cast<const T*>(input);
  auto* states = static_cast<typename Op::State*>(output);
  std::fill_n(states, columns, Op::identity());
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < columns; ++j) states[j] = Op::combine(states[j], Op::lift(x[i * stride + j]));
  }
}

template <class Op> void carry(void* input, int64_t n, int64_t columns) {
  auto* states = static_cast<typename Op::State*>(input);
  for (int64_t j = 0; j < columns; ++j) {
    auto before = Op::identity();
    for (int64_t i = 0; i < n; ++i) {
      const auto here = states[i * columns + j];
      states[i * columns + j] = before;
      before = Op::combine(before, here);
    }
  }
}

template <class Op, class T>
void scan(const void* input, int64_t stride, int64_t n, int64_t columns, const void* carried, void* output) {
  using State = typename Op::State;
  const reduction::Whole whole = {};
  for (int64_t begin = 0; begin < columns; begin += kWidth) {
    const int64_t width = std::min(kWidth, columns - begin);
    const T* x = static_cast<const T*>(input) + begin;
    auto* y = static_cast<typename Op::Result*>(output) + begin;
    State before[kWidth], state[kWidth];
    std::fill_n(state, width, Op::identity());
    if (carried) {
      std::copy_n(static_cast<const State*>(carried) + begin, width, before);
    } else {
      std::fill_n(before, width, Op::identity());
    }
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < width; ++j) {
        state[j] = Op::combine(state[j], Op::lift(x[i * stride + j]));
        y[i * stride + j] = Op::finish(Op::combine(before[j], state[j]), whole);
      }
    }
  }
}

// Lines side by side: what a line amounts to waits for the element before, other lines do not.
constexpr int64_t kLines = 8;
template <class Function> void in_eights(int64_t lines, const Function& function) {
  int64_t line = 0;
  for (; line + kLines <= lines; line += kLines) function(std::integral_constant<int64_t, kLines>(), line);
  for (; line < lines; ++line) function(std::integral_constant<int64_t, 1>(), line);
}

template <class Op, class T>
void total_lines(const void* input, int64_t stride, int64_t n, int64_t lines, void* output) {
  in_eights(lines, [&]<int64_t count>(std::integral_constant<int64_t, count>, int64_t line) {
    const T* x = static_cast<const T*>(input) + line * stride;
    typename Op::State state[count];
    std::fill_n(state, count, Op::identity());
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t l = 0; l < count; ++l) state[l] = Op::combine(state[l], Op::lift(x[l * stride + i]));
    }
    std::copy_n(state, count, static_cast<typename Op::State*>(output) + line);
  });
}

// Lines that are a power of two apart share sets of the cache, which hold fewer of them than are read and
// written: of these each is so many elements behind the one before.
constexpr int64_t kBehind = 16;

// Of one line; returns its state.
template <class Op, class T>
[[gnu::noinline]] typename Op::State scan_line(const T* x, int64_t n, typename Op::State before,
                                               typename Op::State state, typename Op::Result* y) {
  for (int64_t i = 0; i < n; ++i) {
    state = Op::combine(state, Op::lift(x[i]));
    y[i] = Op::finish(Op::combine(before, state), {});
  }
  return state;
}

template <class Op, class T>
void scan_lines(const void* input, int64_t stride, int64_t n, int64_t lines, const void* carried,
                void* output) {
  using State = typename Op::State;
  using Result = typename Op::Result;
  const reduction::Whole whole = {};
  in_eights(lines, [&]<int64_t count>(std::integral_constant<int64_t, count>, int64_t line) {
    const T* const x = static_cast<const T*>(input) + line * stride;
    Result* const y = static_cast<Result*>(output) + line * stride;
    State before[count], state[count];
    std::fill_n(state, count, Op::identity());
    for (int64_t l = 0; l < count; ++l)
      before[l] = carried ? static_cast<const State*>(carried)[line + l] : Op::identity();
    const bool aliases = count > 1 && stride % 512 == 0 && n > 4 * count * kBehind;
    const int64_t behind = aliases ? kBehind : 0, ahead = (count - 1) * behind, step = stride - behind;
    for (int64_t l = 0; l < count; ++l)
      state[l] = scan_line<Op>(x + l * stride, ahead - l * behind, before[l], state[l], y + l * stride);
    const T* const from = x + ahead;
    Result* const to = y + ahead;
    for (int64_t i = 0; i < n - ahead; ++i) {
      for (int64_t l = 0; l < count; ++l) {
        state[l] = Op::combine(state[l], Op::lift(from[l * step + i]));
        to[l * step + i] = Op::finish(Op::combine(before[l], state[l]), whole);
      }
    }
    for (int64_t l = 0; l < count; ++l) {
      const int64_t at = l * stride + n - l * behind;
      scan_line<Op>(x + at, l * behind, before[l], state[l], y + at);
    }
  });
}

template <template <class> class Struct, bool takes, class T> constexpr ScanFunctions functions_of() {
  if constexpr (!takes) {
    return {};
  } else {
    using Op = Struct<T>;
    return {sizeof(typename Op::State), total<Op, T>,     carry<Op>, scan<Op, T>,
            total_lines<Op, T>,         scan_lines<Op, T>};
  }
}

// In the order of DType; a bool is the byte 0 or 1.
template <class... T> struct Types {};
using DTypes = Types<uint8_t, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t,
                     float16, bfloat16, float, double>;
template <class F, class... T> constexpr std::array<ScanFunctions, kDTypeCount> of_dtypes(F f, Types<T...>) {
  return {f.template operator()<T>()...};
}

constexpr std::array<ScanFunctions, kDTypeCount> kScans[] = {
#define SCAN(name, Struct, types, ...)                                                                   \
  of_dtypes([]<class T>() { return functions_of<reduction::Struct, reduction::types##_types<T>, T>(); }, \
            DTypes()),
#include "csrc/ops/scan.def"
};

}  // namespace

const ScanFunctions& scan_functions(Scan scan, DType dtype) {
  return kScans[static_cast<size_t>(scan)][static_cast<size_t>(dtype)];
}

}  // namespace tidu::cpu
