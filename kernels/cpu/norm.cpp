// Normalisation of contiguous rows, and of channels.
#include "kernels/cpu/norm.h"

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "kernels/norm.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

constexpr int kLanes = 32;

// The sum of f(i), in a tree that is the same for vectors of any length. Of few, the lanes that stay 0 are
// left out.
template <class T, class F> HWY_INLINE T sum_over(int64_t n, const F& f) {
  constexpr int kFew = 8;
  if (n <= kFew) {
    T lanes[kFew] = {};
    for (int64_t i = 0; i < n; ++i) lanes[i] += f(i);
    fold_lanes<kFew>(lanes, [](T a, T b) { return a + b; });
    return lanes[0];
  }
  T lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (int j = 0; j < kLanes; ++j) lanes[j] += f(i + j);
  }
  for (int j = 0; i < n; ++i, ++j) lanes[j] += f(i);
  fold_lanes<kLanes>(lanes, [](T a, T b) { return a + b; });
  return lanes[0];
}

// By the sums of functions of the elements, of which one is the first.
template <class T, class Count, class Sum>
HWY_INLINE RowNorm<T> norm_of(bool centred, T first, Count count, T eps, const Sum& sum) {
  RowNorm<T> row;
  const auto squares_of = [&](const auto& at_level) {
    if (centred) {
      row.origin = at_level(first);
      const T origin = row.origin;
      row.distance = static_cast<T>(sum([&](T x) { return at_level(x) - origin; }) / count);
    }
    const T origin = row.origin, distance = row.distance;
    return sum([&](T x) {
      const T deviation = (at_level(x) - origin) - distance;
      return deviation * deviation;
    });
  };
  auto squares = squares_of([](T x) { return x; });
  if (const T scale = row.rescaled(static_cast<T>(squares), eps); scale != 1) {
    row = {.scale = scale};
    squares = squares_of([scale](T x) { return x * scale; });
  }
  row.finish(static_cast<T>(squares / count), eps);
  return row;
}

template <class T> HWY_INLINE RowNorm<T> norm_of(const NormWork& work, const T* x) {
  return norm_of(work.centred, work.n > 0 ? *x : T(0), static_cast<T>(work.n), static_cast<T>(work.eps),
                 [&](const auto& f) { return sum_over<T>(work.n, [&](int64_t i) { return f(x[i]); }); });
}

template <class T> void norm(const NormWork& work, void* output) {
  const T* const weight = static_cast<const T*>(work.weight);
  const T* const bias = static_cast<const T*>(work.bias);
  const int64_t n = work.n;
  for (int64_t r = 0; r < work.rows; ++r) {
    const T* x = static_cast<const T*>(work.x) + r * n;
    T* y = static_cast<T*>(output) + r * n;
    const RowNorm<T> row = norm_of(work, x);
    if (bias) {
      for (int64_t i = 0; i < n; ++i) y[i] = row.normalised(x[i]) * weight[i] + bias[i];
    } else if (weight) {
      for (int64_t i = 0; i < n; ++i) y[i] = row.normalised(x[i]) * weight[i];
    } else {
      for (int64_t i = 0; i < n; ++i) y[i] = row.normalised(x[i]);
    }
  }
}

// With u(i), element i of the cotangent of the unweighted row.
template <class T, class U> HWY_INLINE void slope(const NormWork& work, const T* x, T* y, const U& u) {
  const int64_t n = work.n;
  const RowNorm<T> row = norm_of(work, x);
  const T count = static_cast<T>(n);
  const T mean = work.centred ? sum_over<T>(n, u) / count : T(0);
  const T along = sum_over<T>(n, [&](int64_t i) { return row.normalised(x[i]) * u(i); }) / count;
  for (int64_t i = 0; i < n; ++i) y[i] = row.slope() * ((u(i) - mean) - row.normalised(x[i]) * along);
}

template <class T> void grad(const NormWork& work, const void* cotangent, void* output) {
  const T* const weight = static_cast<const T*>(work.weight);
  const int64_t n = work.n;
  for (int64_t r = 0; r < work.rows; ++r) {
    const T *x = static_cast<const T*>(work.x) + r * n, *g = static_cast<const T*>(cotangent) + r * n;
    T* y = static_cast<T*>(output) + r * n;
    if (std::all_of(g, g + n, [](T value) { return value == 0; })) {
      std::fill_n(y, n, T(0));
    } else if (weight) {
      slope(work, x, y, [&](int64_t i) { return g[i] * weight[i]; });
    } else {
      slope(work, x, y, [&](int64_t i) { return g[i]; });
    }
  }
}

// --- Channels

// The sum of f(i) over the elements of a channel: rows by trees, and these one after another in double, since
// there may be many.
template <class T, class F>
HWY_INLINE double channel_sum(const ChannelWork& work, int64_t channel, const F& f) {
  double sum = 0;
  for (int64_t image = 0; image < work.images; ++image) {
    const int64_t first = (image * work.channels + channel) * work.inner;
    if (work.inner < kLanes) {
      for (int64_t i = first; i < first + work.inner; ++i) sum += f(i);
    } else {
      sum += sum_over<T>(work.inner, [&](int64_t i) { return f(first + i); });
    }
  }
  return sum;
}

// y[i] = f(i) for the elements of a channel.
template <class T, class F>
HWY_INLINE void fill_channel(const ChannelWork& work, int64_t channel, T* y, const F& f) {
  for (int64_t image = 0; image < work.images; ++image) {
    const int64_t first = (image * work.channels + channel) * work.inner;
    for (int64_t i = first; i < first + work.inner; ++i) y[i] = f(i);
  }
}

template <class T> T weight_of(const void* weights, int64_t channel, T otherwise) {
  return weights ? static_cast<const T*>(weights)[channel] : otherwise;
}

template <class T> HWY_INLINE RowNorm<T> norm_of(const ChannelWork& work, int64_t channel) {
  const T* const x = static_cast<const T*>(work.x);
  const int64_t count = work.images * work.inner;
  const T first = count > 0 ? x[channel * work.inner] : T(0), eps = static_cast<T>(work.eps);
  return norm_of(true, first, static_cast<double>(count), eps, [&](const auto& f) {
    return channel_sum<T>(work, channel, [&](int64_t i) { return f(x[i]); });
  });
}

// Channels without inner elements, side by side as they lie in memory, each to the bits that it has by
// itself. Calls f.operator()<width>(channel) for as many at once as there are, and returns where the rest
// begins.
template <class F>
HWY_INLINE int64_t abreast(const ChannelWork& work, int64_t begin, int64_t end, const F& f) {
  if (work.inner != 1 || work.images == 0) return begin;
  for (; begin + 64 <= end; begin += 64) f.template operator()<64>(begin);
  for (; begin + 8 <= end; begin += 8) f.template operator()<8>(begin);
  return begin;
}

// Calls f(i, j) for each element i of each channel, j being its number among these.
template <int width, class F>
HWY_INLINE void for_abreast(const ChannelWork& work, int64_t channel, const F& f) {
  for (int64_t image = 0; image < work.images; ++image) {
    const int64_t first = image * work.channels + channel;
    for (int j = 0; j < width; ++j) f(first + j, j);
  }
}

template <class T, int width> struct Abreast {
  RowNorm<T> row[width];
  HWY_ALIGN T scale[width], origin[width], distance[width], factor[width];

  HWY_INLINE T normalised(T x, int j) const { return ((x * scale[j] - origin[j]) - distance[j]) * factor[j]; }
};

template <class T, int width>
HWY_INLINE void find_abreast(const ChannelWork& work, int64_t channel, Abreast<T, width>& of) {
  const T* const x = static_cast<const T*>(work.x);
  const double count = static_cast<double>(work.images);
  const T eps = static_cast<T>(work.eps);
  HWY_ALIGN double sums[width] = {}, squares[width] = {};
  std::copy_n(x + channel, width, of.origin);
  for_abreast<width>(work, channel, [&](int64_t i, int j) { sums[j] += x[i] - of.origin[j]; });
  for (int j = 0; j < width; ++j) of.distance[j] = static_cast<T>(sums[j] / count);
  for_abreast<width>(work, channel, [&](int64_t i, int j) {
    const T deviation = (x[i] - of.origin[j]) - of.distance[j];
    squares[j] += deviation * deviation;
  });
  for (int j = 0; j < width; ++j) {
    RowNorm<T>& row = of.row[j];
    row = {.origin = of.origin[j], .distance = of.distance[j]};
    if (row.rescaled(static_cast<T>(squares[j]), eps) == 1)
      row.finish(static_cast<T>(squares[j] / count), eps);
    else
      row = norm_of<T>(work, channel + j);
    of.scale[j] = row.scale, of.origin[j] = row.origin, of.distance[j] = row.distance,
    of.factor[j] = row.factor;
  }
}

template <class T, int width>
HWY_NOINLINE void norm_abreast(const ChannelWork& work, int64_t channel, T* y, T* means, T* variances) {
  const T* const x = static_cast<const T*>(work.x);
  Abreast<T, width> of;
  find_abreast(work, channel, of);
  HWY_ALIGN T weight[width], bias[width];
  for (int j = 0; j < width; ++j) {
    means[channel + j] = of.row[j].mean(), variances[channel + j] = of.row[j].variance();
    weight[j] = weight_of(work.weight, channel + j, T(1)), bias[j] = weight_of(work.bias, channel + j, T(0));
  }
  for_abreast<width>(work, channel,
                     [&](int64_t i, int j) { y[i] = of.normalised(x[i], j) * weight[j] + bias[j]; });
}

template <class T, int width>
HWY_NOINLINE void grad_abreast(const ChannelWork& work, int64_t channel, const T* g, T* y, T* of_weight,
                               T* of_bias) {
  const T* const x = static_cast<const T*>(work.x);
  const double count = static_cast<double>(work.images);
  Abreast<T, width> of;
  find_abreast(work, channel, of);
  HWY_ALIGN double sums[width] = {}, products[width] = {};
  for_abreast<width>(work, channel, [&](int64_t i, int j) {
    sums[j] += g[i];
    products[j] += g[i] == 0 ? T(0) : g[i] * of.normalised(x[i], j);
  });
  HWY_ALIGN T slope[width], centre[width], along[width];
  bool nothing[width];
  for (int j = 0; j < width; ++j) {
    of_weight[channel + j] = static_cast<T>(products[j]), of_bias[channel + j] = static_cast<T>(sums[j]);
    centre[j] = static_cast<T>(sums[j] / count), along[j] = static_cast<T>(products[j] / count);
    slope[j] = of.row[j].slope() * weight_of(work.weight, channel + j, T(1));
    nothing[j] = sums[j] == 0 && products[j] == 0;
    for (int64_t image = 0; nothing[j] && image < work.images; ++image)
      nothing[j] = g[image * work.channels + channel + j] == 0;
  }
  for_abreast<width>(work, channel, [&](int64_t i, int j) {
    const T value = slope[j] * (g[i] - centre[j] - of.normalised(x[i], j) * along[j]);
    y[i] = nothing[j] ? T(0) : value;
  });
}

template <class T>
void channel_norm(const ChannelWork& work, int64_t begin, int64_t end, void* y, void* means,
                  void* variances) {
  const T* const x = static_cast<const T*>(work.x);
  begin = abreast(work, begin, end, [&]<int width>(int64_t c) {
    norm_abreast<T, width>(work, c, static_cast<T*>(y), static_cast<T*>(means), static_cast<T*>(variances));
  });
  for (int64_t c = begin; c < end; ++c) {
    const RowNorm<T> row = norm_of<T>(work, c);
    static_cast<T*>(means)[c] = row.mean(), static_cast<T*>(variances)[c] = row.variance();
    const T weight = weight_of(work.weight, c, T(1)), bias = weight_of(work.bias, c, T(0));
    fill_channel(work, c, static_cast<T*>(y),
                 [&](int64_t i) { return row.normalised(x[i]) * weight + bias; });
  }
}

template <class T>
void channel_grad(const ChannelWork& work, int64_t begin, int64_t end, const void* cotangent, void* output,
                  void* of_weight, void* of_bias) {
  const T *const x = static_cast<const T*>(work.x), *const g = static_cast<const T*>(cotangent);
  T* const y = static_cast<T*>(output);
  const double count = static_cast<double>(work.images * work.inner);
  begin = abreast(work, begin, end, [&]<int width>(int64_t c) {
    grad_abreast<T, width>(work, c, g, y, static_cast<T*>(of_weight), static_cast<T*>(of_bias));
  });
  for (int64_t c = begin; c < end; ++c) {
    const RowNorm<T> row = norm_of<T>(work, c);
    const double sum = channel_sum<T>(work, c, [&](int64_t i) { return g[i]; });
    const double product =
        channel_sum<T>(work, c, [&](int64_t i) { return g[i] == 0 ? T(0) : g[i] * row.normalised(x[i]); });
    static_cast<T*>(of_weight)[c] = static_cast<T>(product),
    static_cast<T*>(of_bias)[c] = static_cast<T>(sum);
    const bool may_be_nothing = sum == 0 && product == 0;
    if (may_be_nothing && channel_sum<T>(work, c, [&](int64_t i) { return g[i] == 0 ? T(0) : T(1); }) == 0) {
      fill_channel(work, c, y, [](int64_t) { return T(0); });
      continue;
    }
    const T centre = static_cast<T>(sum / count), along = static_cast<T>(product / count);
    const T slope = row.slope() * weight_of(work.weight, c, T(1));
    fill_channel(work, c, y,
                 [&](int64_t i) { return slope * (g[i] - centre - row.normalised(x[i]) * along); });
  }
}

NormFunctions find_norm(DType dtype) {
  if (dtype == DType::float64) return {norm<double>, grad<double>};
  return {norm<float>, grad<float>};
}

ChannelFunctions find_channel(DType dtype) {
  if (dtype == DType::float64) return {channel_norm<double>, channel_grad<double>};
  return {channel_norm<float>, channel_grad<float>};
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_norm);
HWY_EXPORT(find_channel);
}  // namespace

NormFunctions norm_functions(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_norm)(dtype); }
ChannelFunctions channel_functions(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_channel)(dtype); }

}  // namespace tidu::cpu
#endif
