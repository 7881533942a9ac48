// Discrete Fourier transforms.
#include "kernels/cpu/fourier.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <numbers>
#include <type_traits>
#include <utility>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/fourier.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

// Of lambdas in loops that are to be vectorised.
#define TIDU_INLINED HWY_ATTR __attribute__((always_inline))

template <class T> struct Value {
  T re, im;
  friend HWY_INLINE Value operator+(Value a, Value b) { return {a.re + b.re, a.im + b.im}; }
  friend HWY_INLINE Value operator-(Value a, Value b) { return {a.re - b.re, a.im - b.im}; }
  friend HWY_INLINE Value operator*(Value a, T b) { return {a.re * b, a.im * b}; }
  friend HWY_INLINE Value operator*(Value a, Value b) {
    return {a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  }
  HWY_INLINE Value times_minus_i() const { return {im, -re}; }
};

// Numbers whose parts lie apart.
template <class T> struct Split {
  T *HWY_RESTRICT re, *HWY_RESTRICT im;
  HWY_INLINE Value<std::remove_const_t<T>> operator[](int64_t i) const { return {re[i], im[i]}; }
  HWY_INLINE void set(int64_t i, Value<T> x) const { re[i] = x.re, im[i] = x.im; }
};

// Transforms of `radix` numbers: y(j, value) of x(k).
template <int radix> struct Small;
template <> struct Small<2> {
  template <class T> HWY_INLINE static void run(const auto& x, const auto& y) {
    const Value<T> a = x(0), b = x(1);
    y(0, a + b);
    y(1, a - b);
  }
};
template <> struct Small<3> {
  template <class T> HWY_INLINE static void run(const auto& x, const auto& y) {
    const Value<T> a = x(0), b = x(1), c = x(2), sum = b + c, mean = a - sum * T(0.5),
                   turned = ((b - c) * T(0.86602540378443864676)).times_minus_i();
    y(0, a + sum);
    y(1, mean + turned);
    y(2, mean - turned);
  }
};
template <> struct Small<4> {
  template <class T> HWY_INLINE static void run(const auto& x, const auto& y) {
    const Value<T> a = x(0), b = x(1), c = x(2), d = x(3);
    const Value<T> even = a + c, odd = b + d, across = a - c, turned = (b - d).times_minus_i();
    y(0, even + odd);
    y(1, across + turned);
    y(2, even - odd);
    y(3, across - turned);
  }
};
template <> struct Small<5> {
  template <class T> HWY_INLINE static void run(const auto& x, const auto& y) {
    constexpr T cos1(0.30901699437494742410), cos2(-0.80901699437494742410), sin1(0.95105651629515357212),
        sin2(0.58778525229247312917);
    const Value<T> a = x(0), b = x(1), c = x(2), d = x(3), e = x(4);
    const Value<T> outer = b + e, inner = c + d, outside = b - e, inside = c - d;
    const Value<T> first = a + (outer * cos1 + inner * cos2), second = a + (outer * cos2 + inner * cos1);
    const Value<T> turned = (outside * sin1 + inside * sin2).times_minus_i(),
                   other = (outside * sin2 - inside * sin1).times_minus_i();
    y(0, a + (outer + inner));
    y(1, first + turned);
    y(2, second + other);
    y(3, second - other);
    y(4, first - turned);
  }
};

template <int radix, class T>
void take_step(const typename FourierPlan<T>::Step& step, const Split<const T>& roots, const Split<T>& from,
               const Split<T>& to) {
  const int64_t stride = step.stride, parts = step.length / radix;
  const auto at = [&](int64_t p, int64_t q, const auto& root) TIDU_INLINED {
    Small<radix>::template run<T>([&](int k) TIDU_INLINED { return from[q + stride * (p + parts * k)]; },
                                  [&](int j, Value<T> y) TIDU_INLINED {
                                    to.set(q + stride * (radix * p + j), j == 0 ? y : y * root(j));
                                  });
  };
  constexpr int64_t kShort = 8;
  if (stride < kShort) {
    for (int64_t q = 0; q < stride; ++q) {
#pragma GCC ivdep
      for (int64_t p = 0; p < parts; ++p)
        at(p, q, [&](int j) TIDU_INLINED { return roots[radix + (j - 1) * parts + p]; });
    }
    return;
  }
  for (int64_t p = 0; p < parts; ++p) {
    Value<T> root[radix];
    for (int j = 1; j < radix; ++j) root[j] = roots[radix + (j - 1) * parts + p];
#pragma GCC ivdep
    for (int64_t q = 0; q < stride; ++q) at(p, q, [&](int j) TIDU_INLINED { return root[j]; });
  }
}

// Of any radix, by its definition.
template <class T>
void take_any_step(const typename FourierPlan<T>::Step& step, const Split<const T>& roots,
                   const Split<T>& from, const Split<T>& to) {
  const int64_t radix = step.radix, stride = step.stride, parts = step.length / radix;
  for (int64_t p = 0; p < parts; ++p) {
    for (int64_t j = 0; j < radix; ++j) {
      const Value<T> root = j == 0 ? Value<T>{1, 0} : roots[radix + (j - 1) * parts + p];
      const int64_t y = stride * (radix * p + j);
      for (int64_t k = 0; k < radix; ++k) {
        const Value<T> factor = roots[j * k % radix] * root;
        const int64_t x = stride * (p + parts * k);
#pragma GCC ivdep
        for (int64_t q = 0; q < stride; ++q) {
          const Value<T> term = from[x + q] * factor;
          to.set(y + q, k == 0 ? term : to[y + q] + term);
        }
      }
    }
  }
}

// f(width): a width of 1, which leaves numbers side by side, is known to the compiler.
template <class F> void with_width(int64_t width, const F& f) {
  if (width == 1) return f(std::integral_constant<int64_t, 1>());
  f(width);
}

template <class T>
void transform(const FourierPlan<T>& plan, const complex<T>* x, complex<T>* y, int64_t width, bool inverse,
               T* room) {
  const int64_t n = plan.n, size = n * width;
  Split<T> from{room, room + size}, to{room + 2 * size, room + 3 * size};
  // The inverse exchanges real and imaginary parts on the way in and out.
  const auto turned = [inverse](const Split<T>& z) { return inverse ? Split<T>{z.im, z.re} : z; };
  with_width(width, [&](auto step) TIDU_INLINED {
    const Split<T> in = turned(from);
    for (int64_t row = 0; row < step; ++row) {
#pragma GCC ivdep
      for (int64_t j = 0; j < n; ++j) in.set(j * step + row, {x[row * n + j].re, x[row * n + j].im});
    }
  });
  for (typename FourierPlan<T>::Step step : plan.steps) {
    step.stride *= width;
    const Split<const T> roots{plan.re.data() + step.roots, plan.im.data() + step.roots};
    switch (step.radix) {
      case 2: take_step<2>(step, roots, from, to); break;
      case 3: take_step<3>(step, roots, from, to); break;
      case 4: take_step<4>(step, roots, from, to); break;
      case 5: take_step<5>(step, roots, from, to); break;
      default: take_any_step(step, roots, from, to); break;
    }
    std::swap(from, to);
  }
  with_width(width, [&](auto step) TIDU_INLINED {
    const Split<T> out = turned(from);
    for (int64_t row = 0; row < step; ++row) {
#pragma GCC ivdep
      for (int64_t j = 0; j < n; ++j) y[row * n + j] = {out.re[j * step + row], out.im[j * step + row]};
    }
  });
}

// With j k = (j^2 + k^2 - (k - j)^2) / 2 the sums are a convolution.
template <class T>
void transform_by_chirps(const FourierPlan<T>& plan, const complex<T>* x, complex<T>* y, bool inverse,
                         T* room) {
  const int64_t n = plan.n, length = plan.padded->n;
  auto* const numbers = reinterpret_cast<complex<T>*>(room);
  auto* const spectrum = numbers + length;
  T* const rest = room + 4 * length;
  const auto product = [](complex<T> a, complex<T> b) TIDU_INLINED {
    return complex<T>{a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
  };
  const auto turned = [inverse](complex<T> z) TIDU_INLINED { return inverse ? complex<T>{z.im, z.re} : z; };
  for (int64_t j = 0; j < n; ++j) numbers[j] = product(turned(x[j]), plan.chirps[j]);
  std::fill(numbers + n, numbers + length, complex<T>{0, 0});
  transform(*plan.padded, numbers, spectrum, 1, false, rest);
  for (int64_t j = 0; j < length; ++j) spectrum[j] = product(spectrum[j], plan.filter[j]);
  transform(*plan.padded, spectrum, numbers, 1, true, rest);
  for (int64_t k = 0; k < n; ++k) y[k] = turned(product(numbers[k], plan.chirps[k]));
}

template <class T>
void run(const FourierPlan<T>& plan, const complex<T>* x, complex<T>* y, int64_t width, bool inverse,
         T* room) {
  if (!plan.padded) return transform(plan, x, y, width, inverse, room);
  for (int64_t row = 0; row < width; ++row)
    transform_by_chirps(plan, x + row * plan.n, y + row * plan.n, inverse, room);
}
// With a = x_k, b = conj(x_(h-k)) and v of the plan y_k = a + b + (a - b) v and y_(h-k) = conj(a + b - (a -
// b) v), each halved: of the transform x of h pairs that of the 2 h numbers. The inverse takes conj(v) and
// halves nothing.
template <bool inverse, class T>
void weave(const RealFourierPlan<T>& plan, const complex<T>* HWY_RESTRICT x, complex<T>* HWY_RESTRICT y) {
  namespace hn = hwy::HWY_NAMESPACE;
  const int64_t h = plan.n / 2;
  if constexpr (inverse) {
    y[0] = {x[0].re + x[h].re, x[0].re - x[h].re};
  } else {
    y[0] = {x[0].re + x[0].im, 0};
    y[h] = {x[0].re - x[0].im, 0};
  }
  const auto pair = [](const auto& a, const auto& b, const auto& v, const auto& half, auto& low,
                       auto& high) TIDU_INLINED {
    const auto sum_re = a.re + b.re, sum_im = a.im - b.im, re = a.re - b.re, im = a.im + b.im;
    const auto turned_re = inverse ? re * v.re + im * v.im : re * v.re - im * v.im;
    const auto turned_im = inverse ? im * v.re - re * v.im : re * v.im + im * v.re;
    low = {(sum_re + turned_re) * half, (sum_im + turned_im) * half};
    high = {(sum_re - turned_re) * half, (turned_im - sum_im) * half};
  };
  const hn::ScalableTag<T> d;
  using V = hn::Vec<decltype(d)>;
  struct Vectors {
    V re, im;
  };
  constexpr T half = inverse ? T(1) : T(0.5);
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto parts = [](auto* z) TIDU_INLINED { return reinterpret_cast<T*>(const_cast<complex<T>*>(z)); };
  int64_t k = 1;
  for (; 2 * (k + lanes) <= h + 1; k += lanes) {
    const int64_t last = h - k - lanes + 1;  // of the others the first, since they come backwards
    V a_re, a_im, b_re, b_im;
    hn::LoadInterleaved2(d, parts(x + k), a_re, a_im);
    hn::LoadInterleaved2(d, parts(x + last), b_re, b_im);
    const Vectors v{hn::LoadU(d, plan.re.data() + k), hn::LoadU(d, plan.im.data() + k)};
    Vectors low, high;
    pair(Vectors{a_re, a_im}, Vectors{hn::Reverse(d, b_re), hn::Reverse(d, b_im)}, v, hn::Set(d, half), low,
         high);
    hn::StoreInterleaved2(low.re, low.im, d, parts(y + k));
    hn::StoreInterleaved2(hn::Reverse(d, high.re), hn::Reverse(d, high.im), d, parts(y + last));
  }
  for (; 2 * k <= h; ++k) pair(x[k], x[h - k], complex<T>{plan.re[k], plan.im[k]}, half, y[k], y[h - k]);
}

template <class T>
void run_real(const RealFourierPlan<T>& plan, const T* x, complex<T>* y, int64_t width, T* room) {
  const int64_t n = plan.n, length = plan.inner->n, outputs = n / 2 + 1;
  auto* const numbers = reinterpret_cast<complex<T>*>(room);
  T* const rest = room + 2 * length * width;
  if (n % 2 == 0) {
    run(*plan.inner, reinterpret_cast<const complex<T>*>(x), numbers, width, false, rest);
    for (int64_t row = 0; row < width; ++row) weave<false>(plan, numbers + row * length, y + row * outputs);
    return;
  }
  for (int64_t j = 0; j < n * width; ++j) numbers[j] = {x[j], 0};
  run(*plan.inner, numbers, numbers, width, false, rest);
  for (int64_t row = 0; row < width; ++row) {
    std::copy_n(numbers + row * n, outputs, y + row * outputs);
    y[row * outputs].im = 0;
  }
}

template <class T>
void run_to_real(const RealFourierPlan<T>& plan, const complex<T>* x, T* y, int64_t width, T* room) {
  const int64_t n = plan.n, length = plan.inner->n, inputs = n / 2 + 1;
  auto* const numbers = reinterpret_cast<complex<T>*>(room);
  T* const rest = room + 2 * length * width;
  if (n % 2 == 0) {
    for (int64_t row = 0; row < width; ++row) weave<true>(plan, x + row * inputs, numbers + row * length);
    return run(*plan.inner, numbers, reinterpret_cast<complex<T>*>(y), width, true, rest);
  }
  for (int64_t row = 0; row < width; ++row) {
    const complex<T>* const from = x + row * inputs;
    complex<T>* const to = numbers + row * n;
    to[0] = {from[0].re, 0};
    for (int64_t k = 1; k < inputs; ++k) {
      to[k] = from[k];
      to[n - k] = {from[k].re, -from[k].im};
    }
  }
  run(*plan.inner, numbers, numbers, width, true, rest);
  for (int64_t j = 0; j < n * width; ++j) y[j] = numbers[j].re;
}

void run_narrow(const FourierPlan<float>& plan, const complex<float>* x, complex<float>* y, int64_t width,
                bool inverse, float* room) {
  run(plan, x, y, width, inverse, room);
}
void run_wide(const FourierPlan<double>& plan, const complex<double>* x, complex<double>* y, int64_t width,
              bool inverse, double* room) {
  run(plan, x, y, width, inverse, room);
}
void run_real_narrow(const RealFourierPlan<float>& plan, const float* x, complex<float>* y, int64_t width,
                     float* room) {
  run_real(plan, x, y, width, room);
}
void run_real_wide(const RealFourierPlan<double>& plan, const double* x, complex<double>* y, int64_t width,
                   double* room) {
  run_real(plan, x, y, width, room);
}
void run_to_real_narrow(const RealFourierPlan<float>& plan, const complex<float>* x, float* y, int64_t width,
                        float* room) {
  run_to_real(plan, x, y, width, room);
}
void run_to_real_wide(const RealFourierPlan<double>& plan, const complex<double>* x, double* y, int64_t width,
                      double* room) {
  run_to_real(plan, x, y, width, room);
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {

HWY_EXPORT(run_narrow);
HWY_EXPORT(run_wide);
HWY_EXPORT(run_real_narrow);
HWY_EXPORT(run_real_wide);
HWY_EXPORT(run_to_real_narrow);
HWY_EXPORT(run_to_real_wide);

// exp(-2 pi i turns / n) for turns in [0, n). Eighths of a turn apart, so that the corners are exact.
complex<double> root(int64_t turns, int64_t n) {
  const int64_t quarters = 4 * turns / n, rest = 4 * turns % n;
  const bool near_next = 2 * rest > n;
  const double angle =
      std::numbers::pi / 2 * static_cast<double>(near_next ? n - rest : rest) / static_cast<double>(n);
  double re = std::cos(angle), im = std::sin(angle);
  if (near_next) std::swap(re, im);
  for (int64_t k = 0; k < quarters; ++k) re = std::exchange(im, re) * -1.0 + 0.0;
  return {re, 0.0 - im};
}

std::vector<int64_t> factors_of(int64_t n) {
  std::vector<int64_t> factors;
  const auto take = [&](int64_t factor) {
    for (; n % factor == 0; n /= factor) factors.push_back(factor);
  };
  for (const int64_t factor : {4, 2, 3, 5}) take(factor);
  for (int64_t factor = 7; n > 1 && factor * factor <= n; factor += 2) take(factor);
  if (n > 1) factors.push_back(n);
  return factors;
}

template <class T> std::shared_ptr<const FourierPlan<T>> make_plan(int64_t n) {
  auto plan = std::make_shared<FourierPlan<T>>();
  plan->n = n;
  const std::vector<int64_t> factors = factors_of(n);
  if (std::ranges::any_of(factors, [](int64_t f) { return f > FourierPlan<T>::kLargestFactor; })) {
    // Of the lengths 1, 3, 5, 9, 15 times a power of two that are long enough the least.
    int64_t length = INT64_MAX;
    for (int64_t padded : {1, 3, 5, 9, 15}) {
      while (padded < 2 * n - 1) padded *= 2;
      length = std::min(length, padded);
    }
    plan->padded = fourier_plan<T>(length);
    std::vector<complex<T>> filter(static_cast<size_t>(length), complex<T>{0, 0});
    for (int64_t j = 0; j < n; ++j) {
      const auto square = static_cast<unsigned __int128>(j) * static_cast<unsigned __int128>(j);
      const complex<double> z =
          root(static_cast<int64_t>(square % static_cast<unsigned __int128>(2 * n)), 2 * n);
      plan->chirps.push_back({static_cast<T>(z.re), static_cast<T>(z.im)});
      filter[static_cast<size_t>(j)] = filter[static_cast<size_t>((length - j) % length)] = {
          static_cast<T>(z.re / static_cast<double>(length)),
          static_cast<T>(-z.im / static_cast<double>(length))};
    }
    plan->filter.resize(filter.size());
    std::vector<T> room(static_cast<size_t>(fourier_room(*plan->padded, 1)));
    fourier(*plan->padded, filter.data(), plan->filter.data(), 1, false, room.data());
    return plan;
  }
  const auto add_root = [&](int64_t turns, int64_t length) {
    const complex<double> z = root(turns % length, length);
    plan->re.push_back(static_cast<T>(z.re));
    plan->im.push_back(static_cast<T>(z.im));
  };
  int64_t length = n, stride = 1;
  for (const int64_t radix : factors) {
    plan->steps.push_back({radix, length, stride, plan->re.size()});
    for (int64_t j = 0; j < radix; ++j) add_root(j, radix);
    for (int64_t j = 1; j < radix; ++j) {
      for (int64_t p = 0; p < length / radix; ++p) add_root(j * p, length);
    }
    length /= radix;
    stride *= radix;
  }
  return plan;
}

template <class T> std::shared_ptr<const RealFourierPlan<T>> make_real_plan(int64_t n) {
  auto plan = std::make_shared<RealFourierPlan<T>>();
  plan->n = n;
  plan->inner = fourier_plan<T>(n % 2 == 0 ? n / 2 : n);
  for (int64_t k = 0; n % 2 == 0 && k <= n / 4; ++k) {
    const complex<double> z = root(k, n);
    plan->re.push_back(static_cast<T>(z.im));
    plan->im.push_back(static_cast<T>(-z.re));
  }
  return plan;
}

// The plan for n, which is kept for later calls.
template <class Plan, std::shared_ptr<const Plan> (*make)(int64_t)>
std::shared_ptr<const Plan> kept_plan(int64_t n) {
  constexpr size_t kMost = 32;  // for programs whose lengths never come again
  static std::mutex mutex;
  static auto& kept = *new std::map<int64_t, std::shared_ptr<const Plan>>;
  {
    const std::lock_guard lock(mutex);
    if (const auto found = kept.find(n); found != kept.end()) return found->second;
  }
  auto plan = make(n);
  const std::lock_guard lock(mutex);
  if (kept.size() >= kMost) kept.clear();
  return kept[n] = std::move(plan);
}

}  // namespace

template <class T> std::shared_ptr<const FourierPlan<T>> fourier_plan(int64_t n) {
  return kept_plan<FourierPlan<T>, make_plan<T>>(n);
}
template <class T> std::shared_ptr<const RealFourierPlan<T>> real_fourier_plan(int64_t n) {
  return kept_plan<RealFourierPlan<T>, make_real_plan<T>>(n);
}

template <class T> int64_t fourier_width(const FourierPlan<T>& plan, int64_t rows) {
  constexpr int64_t kVector = 64 / sizeof(T), kMostRoom = int64_t{1} << 16;  // bytes: what stays near
  if (plan.padded || plan.n * kVector * 4 * static_cast<int64_t>(sizeof(T)) > kMostRoom) return 1;
  return std::min(rows, kVector);
}

template <class T> int64_t fourier_room(const FourierPlan<T>& plan, int64_t width) {
  return plan.padded ? 4 * plan.padded->n + fourier_room(*plan.padded, 1) : 4 * plan.n * width;
}

template <class T>
void fourier(const FourierPlan<T>& plan, const complex<T>* x, complex<T>* y, int64_t width, bool inverse,
             T* room) {
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(run_narrow)(plan, x, y, width, inverse, room);
  } else {
    HWY_DYNAMIC_DISPATCH(run_wide)(plan, x, y, width, inverse, room);
  }
}

template <class T>
void fourier(const RealFourierPlan<T>& plan, const T* x, complex<T>* y, int64_t width, T* room) {
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(run_real_narrow)(plan, x, y, width, room);
  } else {
    HWY_DYNAMIC_DISPATCH(run_real_wide)(plan, x, y, width, room);
  }
}

template <class T>
void fourier(const RealFourierPlan<T>& plan, const complex<T>* x, T* y, int64_t width, T* room) {
  if constexpr (std::is_same_v<T, float>) {
    HWY_DYNAMIC_DISPATCH(run_to_real_narrow)(plan, x, y, width, room);
  } else {
    HWY_DYNAMIC_DISPATCH(run_to_real_wide)(plan, x, y, width, room);
  }
}

#define TIDU_INSTANTIATE(T)                                                                        \
  template std::shared_ptr<const FourierPlan<T>> fourier_plan(int64_t);                            \
  template std::shared_ptr<const RealFourierPlan<T>> real_fourier_plan(int64_t);                   \
  template int64_t fourier_width(const FourierPlan<T>&, int64_t);                                  \
  template int64_t fourier_room(const FourierPlan<T>&, int64_t);                                   \
  template void fourier(const FourierPlan<T>&, const complex<T>*, complex<T>*, int64_t, bool, T*); \
  template void fourier(const RealFourierPlan<T>&, const T*, complex<T>*, int64_t, T*);            \
  template void fourier(const RealFourierPlan<T>&, const complex<T>*, T*, int64_t, T*);
TIDU_INSTANTIATE(float)
TIDU_INSTANTIATE(double)
#undef TIDU_INSTANTIATE

}  // namespace tidu::cpu
#endif
