// The optimisers' steps against PyTorch's documented formulas in long double, over several steps.
#include "kernels/cpu/update.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "tests/kernels/targets.h"

namespace tidu::cpu {
namespace {

using Real = long double;
constexpr int64_t kSize = 37;
constexpr int kSteps = 5;

template <class T> std::vector<T> gradient(int step) {
  std::mt19937_64 random(static_cast<uint64_t>(step));
  std::vector<T> g;
  for (int64_t i = 0; i < kSize; ++i) g.push_back(static_cast<T>(std::normal_distribution<double>()(random)));
  return g;
}

// Runs kSteps of a kernel and of its formula side by side. State arrays begin as `initial`.
template <class T, class Kernel, class Formula>
void compare(T initial, const Kernel& kernel, const Formula& formula) {
  std::vector<T> p = gradient<T>(100), m(kSize + 1, initial), v(kSize + 1, initial);
  p.push_back(T(42));
  std::vector<Real> want(p.begin(), p.end()), want_m(kSize, initial), want_v(kSize, initial);
  for (int step = 1; step <= kSteps; ++step) {
    const std::vector<T> g = gradient<T>(step);
    kernel(step, p.data(), m.data(), v.data(), g.data());
    for (size_t i = 0; i < kSize; ++i) formula(step, want[i], want_m[i], want_v[i], static_cast<Real>(g[i]));
    for (size_t i = 0; i < kSize; ++i) {
      ASSERT_NEAR(p[i], want[i], 20 * std::numeric_limits<T>::epsilon() * (1 + std::fabs(want[i])))
          << "step " << step;
    }
  }
  EXPECT_EQ(p.back(), T(42));
  EXPECT_EQ(std::isnan(m.back()), std::isnan(initial));
}

template <class T> void check_sgd(double momentum, double weight_decay, bool nesterov) {
  SgdStep s{0.1, momentum, weight_decay, nesterov, true};
  compare<T>(
      std::numeric_limits<T>::quiet_NaN(),
      [&](int step, T* p, T* b, T*, const T* g) {
        s.first = step == 1;
        update_functions(dtype_of<T>).sgd(s, p, b, g, kSize);
      },
      [&](int step, Real& p, Real& b, Real&, Real g) {
        g += weight_decay * p;
        b = step == 1 ? g : momentum * b + g;
        if (momentum != 0) g = nesterov ? g + momentum * b : b;
        p -= 0.1L * g;
      });
}

template <class T> void check_adam(double weight_decay, bool decoupled) {
  compare<T>(
      0,
      [&](int step, T* p, T* m, T* v, const T* g) {
        update_functions(dtype_of<T>)
            .adam({0.1, 0.9, 0.99, 1e-4, weight_decay, decoupled, 0.1 / (1 - std::pow(0.9, step)),
                   1 / std::sqrt(1 - std::pow(0.99, step))},
                  p, m, v, g, kSize);
      },
      [&](int step, Real& p, Real& m, Real& v, Real g) {
        if (decoupled) {
          p -= 0.1L * weight_decay * p;
        } else {
          g += weight_decay * p;
        }
        m = 0.9L * m + 0.1L * g;
        v = 0.99L * v + 0.01L * g * g;
        p -= 0.1L * (m / (1 - std::pow(0.9L, step))) / (std::sqrt(v / (1 - std::pow(0.99L, step))) + 1e-4L);
      });
}

template <class T> void check_rmsprop(double momentum, double weight_decay) {
  compare<T>(
      0,
      [&](int, T* p, T* b, T* v, const T* g) {
        update_functions(dtype_of<T>).rmsprop({0.1, 0.9, 1e-4, weight_decay, momentum}, p, v, b, g, kSize);
      },
      [&](int, Real& p, Real& b, Real& v, Real g) {
        g += weight_decay * p;
        v = 0.9L * v + 0.1L * g * g;
        const Real u = g / (std::sqrt(v) + 1e-4L);
        b = momentum * b + u;
        p -= 0.1L * (momentum != 0 ? b : u);
      });
}

template <class T> void check_all() {
  for (const double weight_decay : {0.0, 0.05}) {
    check_sgd<T>(0, weight_decay, false);
    check_sgd<T>(0.9, weight_decay, false);
    check_sgd<T>(0.9, weight_decay, true);
    check_adam<T>(weight_decay, false);
    check_adam<T>(weight_decay, true);
    check_rmsprop<T>(0, weight_decay);
    check_rmsprop<T>(0.9, weight_decay);
  }
}

TEST(Update, StepsFollowTheirFormulas) {
  on_each_target([] {
    check_all<float>();
    check_all<double>();
  });
}

}  // namespace
}  // namespace tidu::cpu
