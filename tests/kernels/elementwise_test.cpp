// Elementwise tile kernels against definitions in wider arithmetic, on every instruction set that this
// machine has.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/cpu/elementwise.h"
#include "tests/kernels/targets.h"

namespace tidu {
namespace {

using Real = long double;

template <class Out, class T>
std::vector<Out> run(const char* name, const std::vector<std::vector<T>>& inputs) {
  const TileFunction tile = cpu::tile_function(name, dtype_of<T>);
  EXPECT_NE(tile, nullptr) << name;
  const size_t n = inputs[0].size();
  std::vector<const void*> pointers;
  for (const auto& input : inputs) pointers.push_back(input.data());
  const double order = 0;  // of rows with parameters
  pointers.push_back(&order);
  // One element more than is written, to see that it stays.
  const std::unique_ptr<Out[]> out(new Out[n + 1]);
  std::memset(static_cast<void*>(&out[n]), 1, sizeof(Out));
  const Out guard = out[n];
  tile(pointers.data(), out.get(), static_cast<int64_t>(n));
  EXPECT_EQ(std::memcmp(&out[n], &guard, sizeof(Out)), 0) << name;
  return std::vector<Out>(out.get(), out.get() + n);
}

// The distance in units of the last place of T at the exact value.
template <class T> double ulps(T got, Real exact) {
  const T rounded = static_cast<T>(exact);
  if (std::isnan(got) || std::isnan(rounded)) return std::isnan(got) && std::isnan(rounded) ? 0 : 1e30;
  if (std::isinf(got) || std::isinf(rounded)) {
    if (got == rounded) return 0;
    const T largest = std::numeric_limits<T>::max();
    return std::fabs(got) == largest || std::fabs(rounded) == largest ? 1 : 1e30;
  }
  const Real magnitude = std::max(std::fabs(exact), static_cast<Real>(std::numeric_limits<T>::min()));
  const Real last_place = std::ldexp(Real(1), std::ilogb(magnitude) + 1 - std::numeric_limits<T>::digits);
  return static_cast<double>(std::fabs(static_cast<Real>(got) - exact) / last_place);
}

template <class T> std::vector<T> specials() {
  using L = std::numeric_limits<T>;
  std::vector<T> values = {0,
                           1,
                           0.5,
                           2,
                           3,
                           10,
                           88,
                           89,
                           104,
                           709,
                           710,
                           745,
                           746,
                           1e4,
                           1e6,
                           1e10,
                           L::min(),
                           L::denorm_min(),
                           L::epsilon(),
                           L::max(),
                           L::infinity(),
                           L::min() / 4,
                           T(1) - L::epsilon() / 2,
                           1.5707963f};
  const size_t n = values.size();
  for (size_t i = 0; i < n; ++i) values.push_back(-values[i]);
  values.push_back(L::quiet_NaN());
  return values;
}

// Every magnitude that the type has, and many ordinary values.
template <class T> std::vector<T> samples() {
  std::vector<T> values = specials<T>();
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> ordinary(-20, 20), unit(-1, 1);
  for (int i = 0; i < 40000; ++i) {
    std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t> bits =
        static_cast<std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>(random());
    T x;
    std::memcpy(&x, &bits, sizeof(T));
    values.push_back(x);
    values.push_back(static_cast<T>(ordinary(random)));
    values.push_back(static_cast<T>(unit(random)));
    values.push_back(static_cast<T>(100 * unit(random)));
  }
  return values;
}

struct UnaryCase {
  const char* name;
  Real (*exact)(Real);
  double ulps_float;
  double ulps_double;
  double (*growth)(double) = [](double) { return 0.0; };
};

// x times a subnormal number has that number's rounding error |x| times.
double by_magnitude(double x) { return std::isfinite(x) ? std::fabs(x) : 0; }
// The relative condition of Phi in its left tail is x^2, and its argument is rounded twice.
double by_square(double x) { return std::isfinite(x) ? 2 * x * x : 0; }

// So does that of the sigmoid in gelu_tanh with its argument.
double by_cube(double x) {
  return std::isfinite(x) ? 3 * std::fmin(std::fabs(x * (1.6 + 0.0714 * x * x)), 800) : 0;
}

Real sigmoid(Real x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
Real softplus(Real x) { return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)); }
Real phi(Real x) { return std::erfc(-x * std::sqrt(Real(0.5))) / 2; }
Real times(Real x, Real factor) { return x == 0 || factor == 0 ? 0 : x * factor; }

// The slope p(x) + x p'(x) of x p(x) as its two terms.
struct SlopeTerms {
  Real gate, bend;
  Real sum() const { return gate + bend; }
  // What rounding of the terms makes of the sum, in units of its last place.
  double growth() const {
    const Real terms = std::fabs(gate) + std::fabs(bend);
    return terms == 0 || std::isnan(terms) ? 0 : static_cast<double>(3 * terms / std::fabs(sum()));
  }
};
SlopeTerms of_silu(Real x) { return {sigmoid(x), times(x, sigmoid(x) * sigmoid(-x))}; }
SlopeTerms of_gelu(Real x) {
  return {phi(x), times(x, std::exp(-x * x / 2) / std::sqrt(2 * std::acos(Real(-1))))};
}
SlopeTerms of_gelu_tanh(Real x) {
  const Real c = std::sqrt(8 / std::acos(Real(-1))), u = c * (x + 0.044715L * x * x * x);
  return {sigmoid(u), times(x, times(c * (1 + 3 * 0.044715L * x * x), sigmoid(u) * sigmoid(-u)))};
}
SlopeTerms of_mish(Real x) {
  const Real w = softplus(x);
  return {std::tanh(w), times(4 * x, sigmoid(x) * (sigmoid(2 * w) * sigmoid(-2 * w)))};
}

Real tanhshrink(Real x) {
  if (!(std::fabs(x) < Real(0.1))) return x - std::tanh(x);
  Real sum = 0;  // the power series
  for (const Real c : {6404582 / 10854718875.0L, 929569 / 638512875.0L, 21844 / 6081075.0L, 1382 / 155925.0L,
                       62 / 2835.0L, 17 / 315.0L, 2 / 15.0L, 1 / 3.0L})
    sum = c - x * x * sum;
  return x * x * x * sum;
}

Real erfinv(Real x) {
  const Real size = std::fabs(x), infinity = std::numeric_limits<Real>::infinity();
  if (!(size < 1)) return size == 1 ? std::copysign(infinity, x) : std::numeric_limits<Real>::quiet_NaN();
  if (x == 0) return x;
  const Real log_rest = std::log1p(-size * size);
  Real y = size < Real(0.9) ? size * Real(0.9) : std::sqrt(-log_rest);
  for (int step = 0; step < 60; ++step) {  // Newton's
    const Real rest = size < Real(0.5) ? std::erf(y) - size : (1 - size) - std::erfc(y);
    y -= rest * std::exp(y * y) * std::sqrt(std::acos(Real(-1))) / 2;
  }
  return std::copysign(y, x);
}
// Newton's steps from the first terms of its growth.
Real far_ndtri(Real p) {
  if (p == 0) return -std::numeric_limits<Real>::infinity();
  Real y = -std::sqrt(-2 * std::log(p));
  for (int step = 0; step < 60; ++step) {
    const Real q = std::erfc(-y / std::sqrt(Real(2))) / 2;
    y -= std::log(q / p) * q * std::exp(y * y / 2) * std::sqrt(2 * std::acos(Real(-1)));
  }
  return y;
}
Real sinc(Real x) {
  const Real pi = std::acos(Real(-1)), t = std::fabs(std::remainder(x, Real(2)));
  if (x == 0 || std::isinf(x)) return x == 0 ? 1 : 0;
  return (t > Real(0.5) ? std::sin(pi * (1 - t)) : std::sin(pi * t)) *
         (std::remainder(x, Real(2)) < 0 ? -1 : 1) / (pi * x);
}

const UnaryCase kUnary[] = {
    {"negative", [](Real x) { return -x; }, 0, 0},
    {"abs", [](Real x) { return std::fabs(x); }, 0, 0},
    {"sign", [](Real x) { return x > 0    ? Real(1)
                                 : x < 0  ? Real(-1)
                                 : x == 0 ? Real(0)
                                          : x; }, 0, 0},
    {"floor", [](Real x) { return std::floor(x); }, 0, 0},
    {"ceil", [](Real x) { return std::ceil(x); }, 0, 0},
    {"trunc", [](Real x) { return std::trunc(x); }, 0, 0},
    {"round", [](Real x) { return std::nearbyint(x); }, 0, 0},
    {"square", [](Real x) { return x * x; }, 0.501, 0.501},
    {"reciprocal", [](Real x) { return 1 / x; }, 0.501, 0.501},
    {"sqrt", [](Real x) { return std::sqrt(x); }, 0.501, 0.501},
    {"rsqrt", [](Real x) { return 1 / std::sqrt(x); }, 1.5, 1.5},
    {"exp", [](Real x) { return std::exp(x); }, 1.2, 1.2},
    {"exp2", [](Real x) { return std::exp2(x); }, 1.5, 1.5},
    {"expm1", [](Real x) { return std::expm1(x); }, 2, 2},
    {"log", [](Real x) { return std::log(x); }, 1, 1},
    {"log2", [](Real x) { return std::log2(x); }, 2, 2},
    {"log10", [](Real x) { return std::log10(x); }, 2, 2},
    {"log1p", [](Real x) { return std::log1p(x); }, 2, 2},
    {"sin", [](Real x) { return std::sin(x); }, 2, 2},
    {"cos", [](Real x) { return std::cos(x); }, 2, 2},
    {"tan", [](Real x) { return std::tan(x); }, 2, 2},
    {"asin", [](Real x) { return std::asin(x); }, 2, 2},
    {"acos", [](Real x) { return std::acos(x); }, 2, 2},
    {"atan", [](Real x) { return std::atan(x); }, 2, 2},
    {"sinh", [](Real x) { return std::sinh(x); }, 3, 3},
    {"cosh", [](Real x) { return std::cosh(x); }, 3, 3},
    {"tanh", [](Real x) { return std::tanh(x); }, 3, 3},
    {"asinh", [](Real x) { return std::asinh(x); }, 3, 3},
    {"acosh", [](Real x) { return std::acosh(x); }, 3, 3},
    {"atanh", [](Real x) { return std::atanh(x); }, 3, 3},
    {"sigmoid", sigmoid, 3, 3},
    {"log_sigmoid", [](Real x) { return -softplus(-x); }, 3, 3},
    {"softplus", softplus, 3, 3},
    {"relu", [](Real x) { return x <= 0 ? Real(0) : x; }, 0, 0},
    {"silu", [](Real x) { return times(x, sigmoid(x)); }, 4, 4, by_magnitude},
    {"gelu", [](Real x) { return times(x, phi(x)); }, 5, 5, by_square},
    {"gelu_tanh",
     [](Real x) {
       return times(x, sigmoid(std::sqrt(8 / std::acos(Real(-1))) * (x + 0.044715L * x * x * x)));
     },
     5, 5, by_cube},
    {"mish", [](Real x) { return times(x, std::tanh(softplus(x))); }, 5, 5, by_magnitude},
    {"tanhshrink", tanhshrink, 6, 6},
    {"softsign", [](Real x) { return std::isinf(x) ? std::copysign(Real(1), x) : x / (1 + std::fabs(x)); }, 2,
     2},
    {"slope_of_silu", [](Real x) { return of_silu(x).sum(); }, 2, 2,
     [](double x) { return of_silu(x).growth() + by_magnitude(x); }},
    {"slope_of_gelu", [](Real x) { return of_gelu(x).sum(); }, 4, 4,
     [](double x) { return of_gelu(x).growth() + by_magnitude(x); }},
    {"slope_of_gelu_tanh", [](Real x) { return of_gelu_tanh(x).sum(); }, 2, 2,
     [](double x) { return of_gelu_tanh(x).growth() + by_cube(x) + by_magnitude(x); }},
    {"slope_of_mish", [](Real x) { return of_mish(x).sum(); }, 2, 2,
     [](double x) { return of_mish(x).growth() + by_magnitude(x); }},
    {"ndtr", phi, 6, 6},
    {"cbrt", [](Real x) { return std::cbrt(x); }, 2, 4},
    {"entr",
     [](Real x) {
       return x > 0 ? -x * std::log(x) : x == 0 ? 0 : x < 0 ? -std::numeric_limits<Real>::infinity() : x;
     },
     2, 2},
    {"erf", [](Real x) { return std::erf(x); }, 2.5, 2.5},
    {"erfc", [](Real x) { return std::erfc(x); }, 5, 5},
    {"erfinv", erfinv, 6, 6},
    {"sinc", sinc, 4, 4},
    {"logit",
     [](Real x) {
       return std::fabs(x - Real(0.5)) <= Real(0.25) ? 2 * std::atanh(2 * x - 1)
                                                     : std::log(x) - std::log1p(-x);
     },
     4, 4},
    {"ndtri",
     [](Real p) {
       if (!(p >= 0 && p <= 1)) return std::numeric_limits<Real>::quiet_NaN();
       return p < Real(0.2) ? far_ndtri(p) : std::sqrt(Real(2)) * erfinv(2 * p - 1);
     },
     6, 8},
};

template <class T> void check_unary(const UnaryCase& c) {
  const std::vector<T> x = samples<T>();
  std::vector<Real> exact;
  for (const T value : x) exact.push_back(c.exact(value));
  const double allowed = sizeof(T) == 4 ? c.ulps_float : c.ulps_double;
  on_each_target([&] {
    const std::vector<T> y = run<T, T>(c.name, {x});
    for (size_t i = 0; i < x.size(); ++i) {
      const double error = ulps(y[i], exact[i]);
      ASSERT_LE(error, allowed + c.growth(x[i]))
          << c.name << " of " << std::hexfloat << x[i] << " is " << y[i];
    }
  });
}

TEST(Elementwise, UnaryFunctionsAreAccurate) {
  for (const UnaryCase& c : kUnary) {
    check_unary<float>(c);
    check_unary<double>(c);
  }
}

// Beside its zeros at negative numbers to a few units of 1.
template <class T> void check_lgamma() {
  std::vector<T> x = samples<T>();
  for (int i = 0; i < 4000; ++i) x.push_back(static_cast<T>(i - 1000) / 500);
  const std::vector<T> y = run<T, T>("lgamma", {x});
  for (size_t i = 0; i < x.size(); ++i) {
    const Real exact = std::lgamma(static_cast<Real>(x[i]));
    const double rest = x[i] < 0 ? static_cast<double>(std::fabs(y[i] - exact)) : 1;
    ASSERT_TRUE(ulps(y[i], exact) <= 5 || rest <= 8 * std::numeric_limits<T>::epsilon())
        << std::hexfloat << x[i] << " is " << y[i];
  }
}
TEST(Elementwise, LogarithmsOfGamma) {
  on_each_target([] {
    check_lgamma<float>();
    check_lgamma<double>();
  });
}

TEST(Elementwise, SignedZerosPassThroughOddFunctions) {
  on_each_target([] {
    for (const char* name : {"sin", "tan", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "expm1", "log1p",
                             "sqrt", "erf", "erfinv", "floor", "ceil", "trunc", "round"}) {
      EXPECT_TRUE(std::signbit(run<float, float>(name, {{-0.0f}})[0])) << name;
      EXPECT_TRUE(std::signbit(run<double, double>(name, {{-0.0}})[0])) << name;
    }
  });
}

// The result of an element depends on its value alone, not on where it stands or beside which others.
template <class T> void check_positions(const char* name, std::vector<std::vector<T>> inputs) {
  const size_t n = inputs[0].size();
  std::vector<T> alone;
  for (size_t i = 0; i < n; ++i) {
    std::vector<std::vector<T>> one;
    for (const auto& input : inputs) one.push_back({input[i]});
    alone.push_back(run<T, T>(name, one)[0]);
  }
  for (size_t turn = 0; turn < n; ++turn) {
    const std::vector<T> y = run<T, T>(name, inputs);
    for (size_t i = 0; i < n; ++i) {
      const T& want = alone[(i + turn) % n];
      ASSERT_TRUE(std::memcmp(&y[i], &want, sizeof(T)) == 0 || (std::isnan(y[i]) && std::isnan(want)))
          << name << " of " << inputs[0][i] << " at " << i << " of " << n;
    }
    for (auto& input : inputs) std::rotate(input.begin(), input.begin() + 1, input.end());
  }
}

TEST(Elementwise, OutputMayBeAnInput) {
  on_each_target([] {
    std::vector<float> a(100, 0.5f);
    const std::vector<float> b(100, 0.25f);
    const void* inputs[] = {a.data(), b.data()};
    cpu::tile_function("add", DType::float32)(inputs, a.data(), 100);
    cpu::tile_function("exp", DType::float32)(inputs, a.data(), 100);
    for (const float value : a) EXPECT_NEAR(value, std::exp(0.75f), 3e-7);
  });
}

struct BinaryCase {
  const char* name;
  Real (*exact)(Real, Real);
  double ulps;
};

Real log_add_exp(Real a, Real b) {
  if (std::isnan(a) || std::isnan(b)) return a + b;
  if (a == b) return a + std::log(Real(2));
  return std::max(a, b) + std::log1p(std::exp(-std::fabs(a - b)));
}
// Python's definition: the exact remainder, with the sign of b.
Real modulo(Real a, Real b) {
  const Real r = std::fmod(a, b);
  return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
Real larger(Real a, Real b) { return std::isnan(a) || std::isnan(b) ? a + b : std::max(a, b); }
Real smaller(Real a, Real b) { return std::isnan(a) || std::isnan(b) ? a + b : std::min(a, b); }

const BinaryCase kBinary[] = {
    {"add", [](Real a, Real b) { return a + b; }, 0.501},
    {"subtract", [](Real a, Real b) { return a - b; }, 0.501},
    {"multiply", [](Real a, Real b) { return a * b; }, 0.501},
    {"multiply_no_nan", times, 0.501},
    {"divide", [](Real a, Real b) { return a / b; }, 0.501},
    {"pow", [](Real a, Real b) { return std::pow(a, b); }, 1.5},
    {"copysign", [](Real a, Real b) { return std::copysign(a, b); }, 0},
    {"maximum", larger, 0},
    {"minimum", smaller, 0},
    {"atan2", [](Real a, Real b) { return std::atan2(a, b); }, 1.5},
    {"hypot", [](Real a, Real b) { return std::hypot(a, b); }, 1.5},
    {"remainder", modulo, 0.501},
    {"xlogy", [](Real a, Real b) { return a == 0 && b == b ? 0 : a * std::log(b); }, 2},
    {"xlog1py", [](Real a, Real b) { return a == 0 && b == b ? 0 : a * std::log1p(b); }, 3},
};

template <class T> void pairs(std::vector<T>* a, std::vector<T>* b) {
  for (const T x : specials<T>()) {
    for (const T y : specials<T>()) {
      a->push_back(x);
      b->push_back(y);
    }
  }
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> ordinary(-20, 20);
  for (int i = 0; i < 5000; ++i) {
    a->push_back(static_cast<T>(ordinary(random)));
    b->push_back(i % 5 == 0 ? static_cast<T>(i % 3 + 2) : static_cast<T>(ordinary(random)));
  }
  // Halves and small integers, which are also exponents.
  for (int i = 0; i < 4000; ++i) {
    const double magnitude = ordinary(random) * (i % 2 == 0 ? 0.2 : sizeof(T) == 4 ? 6 : 50);
    a->push_back(
        static_cast<T>(std::copysign(std::exp2(magnitude), ordinary(random) + (i % 4 < 2 ? 0 : 20))));
    b->push_back(static_cast<T>(i % 37 - 18) / 2);
  }
  // Multiples and what lies beside them, to quotients of more digits than the type has.
  for (int i = 0; i < 4000; ++i) {
    const T divisor = static_cast<T>(ordinary(random));
    const T multiple =
        static_cast<T>(std::round(std::exp2(ordinary(random) * (sizeof(T) == 4 ? 1.5 : 3)))) * divisor;
    for (const T x : {multiple, std::nextafter(multiple, T(0)), std::nextafter(multiple, 2 * multiple)}) {
      a->push_back(i % 2 == 0 ? x : -x);
      b->push_back(divisor);
    }
  }
}

template <class T> void check_binary() {
  std::vector<T> a, b;
  pairs(&a, &b);
  on_each_target([&] {
    for (const BinaryCase& c : kBinary) {
      const std::vector<T> y = run<T, T>(c.name, {a, b});
      for (size_t i = 0; i < a.size(); ++i) {
        ASSERT_LE(ulps(y[i], c.exact(a[i], b[i])), c.ulps)
            << c.name << " of " << std::hexfloat << a[i] << ", " << b[i] << " is " << y[i];
      }
    }
    // Near a = -b the exact sum cancels, so the error is measured against the inputs' size as well.
    const std::vector<T> y = run<T, T>("logaddexp", {a, b});
    for (size_t i = 0; i < a.size(); ++i) {
      const Real exact = log_add_exp(a[i], b[i]);
      if (ulps(y[i], exact) <= 2) continue;
      const Real size = std::max(std::fabs(Real(a[i])), std::fabs(Real(b[i])));
      ASSERT_LE(std::fabs(y[i] - exact), 2 * size * std::numeric_limits<T>::epsilon())
          << a[i] << ", " << b[i];
    }
  });
}

template <class T> void check_all_positions() {
  const T inf = std::numeric_limits<T>::infinity();
  const std::vector<T> a = {T(0.1),  T(-0.7), T(3.3), T(12.5), T(-2.2), T(0.9),  T(1e-3), 40, 0,
                            T(-0.0), inf,     -inf,   T(NAN),  1,       T(1e30), -7,      5},
                       b = {3, 2,    T(0.5), -4, T(0.3), 0, inf, T(-1e30), 5,
                            1, -inf, 2,      1,  T(NAN), 4, 3,   T(1.5)};
  for (const size_t n : {1, 3, 8, 15, 16, 17}) {
    const std::vector<T> first(a.end() - static_cast<int64_t>(n), a.end()),
        second(b.end() - static_cast<int64_t>(n), b.end());
    for (const UnaryCase& c : kUnary) check_positions<T>(c.name, {first});
    for (const BinaryCase& c : kBinary) check_positions<T>(c.name, {first, second});
    for (const char* name : {"logaddexp", "floor_divide"}) check_positions<T>(name, {first, second});
  }
}

TEST(Elementwise, PositionDoesNotMatter) {
  on_each_target([] {
    check_all_positions<float>();
    check_all_positions<double>();
  });
}

TEST(Elementwise, BinaryFunctionsAreAccurate) {
  check_binary<float>();
  check_binary<double>();
}

// Step by step as Python divides floats; IEEE's where an operand is infinite or b is 0.
template <class T> T floor_divided(T a, T b) {
  if (b == 0 || !std::isfinite(a) || !std::isfinite(b)) return std::floor(a / b);
  const T rest = std::fmod(a, b), whole = (a - rest) / b;
  const T quotient = rest != 0 && (rest < 0) != (b < 0) ? whole - 1 : whole;
  if (quotient == 0) return std::copysign(T(0), a / b);
  const T below = std::floor(quotient);
  return quotient - below > T(0.5) ? below + 1 : below;
}

template <class T> void check_floor_divide() {
  std::vector<T> a, b;
  pairs(&a, &b);
  const std::vector<T> y = run<T, T>("floor_divide", {a, b});
  for (size_t i = 0; i < a.size(); ++i) {
    const T want = floor_divided(a[i], b[i]);
    ASSERT_TRUE(std::memcmp(&y[i], &want, sizeof(T)) == 0 || (std::isnan(y[i]) && std::isnan(want)))
        << std::hexfloat << a[i] << " // " << b[i] << " is " << y[i] << ", not " << want;
  }
}

TEST(Elementwise, FloatsAreDividedAsInPython) {
  on_each_target([] {
    check_floor_divide<float>();
    check_floor_divide<double>();
  });
}

TEST(Elementwise, FloatFloorDivideAgreesWithRemainder) {
  on_each_target([] {
    const double inf = std::numeric_limits<double>::infinity();
    const std::vector<double> a = {1, -1, 7, -7, 7, -7, 1, -1, 1, -1, 0, 6, inf, inf},
                              b = {0.1, 0.1, 2, 2, -2, -2, inf, inf, 0, 0, 3, 0.1, 2, -2};
    const std::vector<double> quotient = {9, -10, 3, -4, -4, 3, 0, -0.0, inf, -inf, 0, 59, inf, -inf};
    EXPECT_EQ((run<double, double>("floor_divide", {a, b})), quotient);
    EXPECT_TRUE(std::isnan(run<double, double>("floor_divide", {{0.0}, {0.0}})[0]));
    EXPECT_TRUE(std::isnan(run<double, double>("remainder", {{1.0}, {0.0}})[0]));
    EXPECT_TRUE(std::signbit(run<double, double>("remainder", {{4.0}, {-2.0}})[0]));
  });
}

__extension__ using Wide = __int128;
__extension__ using UnsignedWide = unsigned __int128;

template <class T> T wrapped(Wide x) {
  return static_cast<T>(static_cast<std::make_unsigned_t<T>>(static_cast<unsigned __int128>(x)));
}

template <class T> T integer_power(T a, T b) {
  if (b < 0) return a == 1 ? T(1) : static_cast<T>(a) == T(-1) ? (b % 2 == 0 ? T(1) : T(-1)) : T(0);
  std::make_unsigned_t<T> y = 1;
  for (int i = 0; i < static_cast<int>(b); ++i)
    y = static_cast<std::make_unsigned_t<T>>(1u * y * static_cast<std::make_unsigned_t<T>>(a));
  return static_cast<T>(y);
}

template <class T> void check_integers(const std::vector<T>& a, const std::vector<T>& b) {
  using L = std::numeric_limits<T>;
  const auto check = [&](const char* name, auto exact) {
    const std::vector<T> y = run<T, T>(name, {a, b});
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(Wide(y[i]), Wide(wrapped<T>(exact(Wide(a[i]), Wide(b[i])))))
          << name << " of " << +a[i] << ", " << +b[i];
    }
  };
  const auto floor_divide = [](Wide x, Wide y) -> Wide {
    if (y == 0) return 0;
    const Wide q = x / y;
    return x % y != 0 && (x < 0) != (y < 0) ? q - 1 : q;
  };
  check("add", [](Wide x, Wide y) { return x + y; });
  check("subtract", [](Wide x, Wide y) { return x - y; });
  // The product of two large uint64 overflows Wide, which wraps as wanted only when unsigned.
  check("multiply", [](Wide x, Wide y) { return static_cast<Wide>(UnsignedWide(x) * UnsignedWide(y)); });
  check("floor_divide", floor_divide);
  check("remainder", [&](Wide x, Wide y) { return y == 0 ? Wide(0) : x - floor_divide(x, y) * y; });
  check("maximum", [](Wide x, Wide y) { return std::max(x, y); });
  check("minimum", [](Wide x, Wide y) { return std::min(x, y); });
  check("bitwise_and", [](Wide x, Wide y) { return x & y; });
  check("bitwise_or", [](Wide x, Wide y) { return x | y; });
  check("bitwise_xor", [](Wide x, Wide y) { return x ^ y; });
  const Wide width = 8 * sizeof(T);
  check("bitwise_left_shift",
        [&](Wide x, Wide y) -> Wide { return y < 0 || y >= width ? 0 : x * (Wide(1) << y); });
  check("bitwise_right_shift",
        [&](Wide x, Wide y) -> Wide { return y < 0 || y >= width ? (x < 0 ? -1 : 0) : x >> y; });
  const auto unary = [&](const char* name, auto exact) {
    const std::vector<T> y = run<T, T>(name, {a});
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(Wide(y[i]), Wide(wrapped<T>(exact(Wide(a[i]))))) << name << " of " << +a[i];
  };
  unary("negative", [](Wide x) { return -x; });
  unary("abs", [](Wide x) { return x < 0 ? -x : x; });
  unary("sign", [](Wide x) { return Wide(x > 0) - Wide(x < 0); });
  unary("square", [](Wide x) { return static_cast<Wide>(UnsignedWide(x) * UnsignedWide(x)); });
  unary("relu", [](Wide x) { return std::max(x, Wide(0)); });
  unary("bitwise_invert", [](Wide x) { return ~x; });
  for (const char* name : {"floor", "ceil", "trunc", "round"}) unary(name, [](Wide x) { return x; });
  const auto compare = [&](const char* name, auto exact) {
    const std::vector<bool> y = run<bool, T>(name, {a, b});
    for (size_t i = 0; i < a.size(); ++i)
      ASSERT_EQ(y[i], exact(a[i], b[i])) << name << " of " << +a[i] << ", " << +b[i];
  };
  compare("equal", std::equal_to<T>());
  compare("not_equal", std::not_equal_to<T>());
  compare("less", std::less<T>());
  compare("less_equal", std::less_equal<T>());
  compare("greater", std::greater<T>());
  compare("greater_equal", std::greater_equal<T>());
  EXPECT_EQ((run<T, T>("floor_divide", {{L::min()}, {static_cast<T>(-1)}})[0]),
            L::is_signed ? L::min() : T(0));
}

template <class T> void check_all_pairs() {
  std::vector<T> a, b;
  for (int x = std::numeric_limits<T>::min(); x <= std::numeric_limits<T>::max(); ++x) {
    for (int y = std::numeric_limits<T>::min(); y <= std::numeric_limits<T>::max(); ++y) {
      a.push_back(static_cast<T>(x));
      b.push_back(static_cast<T>(y));
    }
  }
  check_integers(a, b);
  const std::vector<T> y = run<T, T>("pow", {a, b});
  for (size_t i = 0; i < a.size(); ++i) ASSERT_EQ(y[i], integer_power(a[i], b[i])) << +a[i] << ", " << +b[i];
}

template <class T> void check_many_pairs() {
  using L = std::numeric_limits<T>;
  std::vector<T> a, b;
  std::mt19937_64 random(5);
  for (int i = 0; i < 3000; ++i) {
    a.push_back(static_cast<T>(random() >> (i % 64)));
    b.push_back(static_cast<T>(random() >> (i * 7 % 64)));
  }
  for (const T x : {L::min(), L::max(), T(0), T(1), static_cast<T>(-1), T(2), T(13)}) {
    for (const T y : {L::min(), L::max(), T(0), T(1), static_cast<T>(-1), T(2), T(31), T(63), T(64)}) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  check_integers(a, b);
}

// By one number for all, which takes another way.
template <class T> void check_divisors() {
  using L = std::numeric_limits<T>;
  std::mt19937_64 random(9);
  std::vector<T> divisors = {1,
                             2,
                             3,
                             5,
                             7,
                             10,
                             100,
                             127,
                             L::max(),
                             static_cast<T>(L::max() / 2 + 1),
                             static_cast<T>(L::max() - 1),
                             0,
                             static_cast<T>(-1),
                             L::min()};
  for (int i = 0; i < 40; ++i) divisors.push_back(static_cast<T>(random() >> (i % 64)));
  for (const T divisor : divisors) {
    std::vector<T> a = {L::min(), static_cast<T>(L::min() + 1), L::max(), static_cast<T>(L::max() - 1), 0, 1};
    for (int i = 0; i < 40; ++i) {
      const T x = static_cast<T>(random() >> (i % 64));
      // Beside multiples, where a quotient that is one too small shows.
      const T multiple = divisor == 0 ? T(0) : static_cast<T>(x - static_cast<T>(x % divisor));
      a.insert(a.end(), {x, multiple, static_cast<T>(multiple - 1), static_cast<T>(multiple + 1)});
    }
    check_integers(a, std::vector<T>(a.size(), divisor));
    // Those of few bits by themselves, and as large as these can be.
    constexpr Wide kFew = Wide(1) << 50;
    std::erase_if(a, [](T x) { return Wide(x) >= kFew || Wide(x) < -kFew; });
    for (Wide x = kFew; x > kFew - 300; x -= 7) {
      const Wide multiple = divisor == 0 ? x : x - x % Wide(divisor);
      for (const Wide near : {x - 1, -x, multiple - 1, -multiple, 1 - multiple}) {
        if (sizeof(T) == 8 && near < kFew && near >= (L::is_signed ? -kFew : 0))
          a.push_back(static_cast<T>(near));
      }
    }
    check_integers(a, std::vector<T>(a.size(), divisor));
  }
}

TEST(Elementwise, IntegersAreDividedByOneForAll) {
  on_each_target([] {
    check_divisors<int8_t>();
    check_divisors<uint8_t>();
    check_divisors<int16_t>();
    check_divisors<uint16_t>();
    check_divisors<int32_t>();
    check_divisors<uint32_t>();
    check_divisors<int64_t>();
    check_divisors<uint64_t>();
  });
}

TEST(Elementwise, IntegersFollowTheirDefinitionsAndWrap) {
  on_each_target([] {
    check_all_pairs<int8_t>();
    check_all_pairs<uint8_t>();
    check_many_pairs<int16_t>();
    check_many_pairs<uint16_t>();
    check_many_pairs<int32_t>();
    check_many_pairs<uint32_t>();
    check_many_pairs<int64_t>();
    check_many_pairs<uint64_t>();
  });
  EXPECT_EQ((run<int64_t, int64_t>("pow", {{3, -2, 7, -1, 2, 10}, {4, 63, 0, -3, -1, 18}})),
            (std::vector<int64_t>{81, std::numeric_limits<int64_t>::min(), 1, -1, 0, 1000000000000000000}));
}

struct Bools {
  bool a[4] = {false, false, true, true};
  bool b[4] = {false, true, false, true};
};

TEST(Elementwise, Bools) {
  on_each_target([] {
    const auto check = [](const char* name, std::vector<int> expected) {
      const Bools in;
      const void* inputs[] = {in.a, in.b};
      bool out[4];
      cpu::tile_function(name, DType::bool_)(inputs, out, 4);
      EXPECT_EQ(std::vector<int>(out, out + 4), expected) << name;
    };
    check("add", {0, 1, 1, 1});
    check("multiply", {0, 0, 0, 1});
    check("maximum", {0, 1, 1, 1});
    check("minimum", {0, 0, 0, 1});
    check("logical_and", {0, 0, 0, 1});
    check("logical_or", {0, 1, 1, 1});
    check("logical_xor", {0, 1, 1, 0});
    check("logical_not", {1, 1, 0, 0});
    check("bitwise_invert", {1, 1, 0, 0});
    check("bitwise_and", {0, 0, 0, 1});
    check("bitwise_left_shift", {0, 0, 1, 0});
    check("bitwise_right_shift", {0, 0, 1, 0});
    check("equal", {1, 0, 0, 1});
    check("less", {0, 1, 0, 0});
    check("abs", {0, 0, 1, 1});
    check("square", {0, 0, 1, 1});
    check("isnan", {0, 0, 0, 0});
    check("isfinite", {1, 1, 1, 1});
  });
}

TEST(Elementwise, Predicates) {
  on_each_target([] {
    const std::vector<float> x = specials<float>();
    const std::vector<bool> nan = run<bool, float>("isnan", {x}), inf = run<bool, float>("isinf", {x}),
                            finite = run<bool, float>("isfinite", {x});
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(nan[i], std::isnan(x[i])) << x[i];
      EXPECT_EQ(inf[i], std::isinf(x[i])) << x[i];
      EXPECT_EQ(finite[i], std::isfinite(x[i])) << x[i];
    }
    const std::vector<bool> less = run<bool, float>("less", {{NAN, 1, NAN}, {1, NAN, NAN}});
    EXPECT_EQ(less, (std::vector<bool>{false, false, false}));
  });
}

TEST(Elementwise, WhereChoosesWithoutTouchingTheOther) {
  on_each_target([] {
    const bool condition[] = {true, false, true};
    const double a[] = {1, NAN, 3}, b[] = {NAN, 20, 30};
    const void* inputs[] = {condition, a, b};
    double y[3];
    cpu::tile_function("where", DType::float64)(inputs, y, 3);
    EXPECT_EQ(std::vector<double>(y, y + 3), (std::vector<double>{1, 20, 3}));
  });
}

TEST(Elementwise, RowsComputeOnlyInTheirTypes) {
  EXPECT_EQ(cpu::tile_function("exp", DType::int32), nullptr);
  EXPECT_EQ(cpu::tile_function("negative", DType::bool_), nullptr);
  EXPECT_EQ(cpu::tile_function("logical_and", DType::float32), nullptr);
  EXPECT_EQ(cpu::tile_function("add", DType::float16), nullptr);
  EXPECT_EQ(cpu::tile_function("no such row", DType::float32), nullptr);
}

}  // namespace
}  // namespace tidu
