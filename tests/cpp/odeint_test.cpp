// Ordinary differential equations from C++, against closed forms.
#include "transforms/odeint.h"

#include <gtest/gtest.h>

#include "finite_difference.h"
#include "tidu.h"

namespace tidu {
namespace {

using testing::expect_close;

Tensor number(double value) { return full({}, value, DType::float64); }

OdeOptions sharp(OdeOptions::Mode mode) {
  OdeOptions options;
  options.rtol = options.atol = 1e-11;
  options.mode = mode;
  return options;
}

class Odeint : public ::testing::TestWithParam<OdeOptions::Mode> {};

TEST_P(Odeint, OfTheOscillatorAndItsDerivatives) {
  const Tensor ts = tensor<double>({0, 0.5, 0.8, 2});
  const UnaryFunction swing = [&](const Tensor& omega) {
    const OdeFunction f = [&](const Tensors& y, const Tensor&) {
      return Tensors{y[1], -(omega * omega) * y[0]};
    };
    return odeint(f, {number(1), number(0)}, ts, sharp(GetParam()))[0];
  };
  expect_close(swing(number(1.5)), cos(1.5 * ts), 1e-9);
  testing::check_derivatives(swing, number(1.5), GetParam() == OdeOptions::checkpoint ? 2 : 1, 1e-6);
}

TEST_P(Odeint, OfLanes) {
  const Tensor rates = tensor<double>({0.5, 1, 2}), ts = tensor<double>({1, 0, -1});
  const Function decay = [&](const Tensors& in) {
    const OdeFunction f = [&](const Tensors& y, const Tensor&) { return Tensors{-in[0] * y[0]}; };
    return odeint(f, {number(2)}, ts, sharp(GetParam()));
  };
  const Tensor want = 2 * exp(-matmul(expand_dims(rates, 1), expand_dims(ts - 1, 0)));
  expect_close(vmap(decay)({rates})[0], want, 1e-9);
}

TEST_P(Odeint, RefusesWhatHasNoSolution) {
  const OdeFunction bursts = [](const Tensors& y, const Tensor&) { return Tensors{y[0] * y[0]}; };
  const OdeOptions options = sharp(GetParam());
  EXPECT_THROW(odeint(bursts, {number(1)}, tensor<double>({0, 2}), options), ValueError);
  EXPECT_THROW(odeint(bursts, {number(1)}, tensor<double>({0, 0.5, 0.2}), options), ValueError);
  EXPECT_THROW(odeint(bursts, {number(1)}, number(1), options), ShapeError);
}

TEST_P(Odeint, OfWhatIsUnstableBackward) {
  const ScalarFunction end = [&](const Tensors& in) {
    const OdeFunction f = [&](const Tensors& y, const Tensor&) { return Tensors{-in[1] * y[0] + sin(y[0])}; };
    OdeOptions options = sharp(GetParam());
    options.atol = 1e-40;
    options.max_steps = 4000;
    return 1e10 * odeint(f, {in[0]}, tensor<double>({0, 2}), options)[0][1];
  };
  // With the flow's equation for y(t): dy(2)/dy(0) = f(y(2)) / f(y(0)).
  const Tensor y0 = number(1), rate = number(12), last = end({y0, rate}) / 1e10;
  const auto f = [&](const Tensor& y) { return -rate * y + sin(y); };
  const double want = 1e10 * item<double>(f(last) / f(y0));
  EXPECT_NEAR(item<double>(value_and_grad(end, {y0, rate}).gradients[0]), want, 1e-6 * std::abs(want));
}

TEST_P(Odeint, HoldsTheStepsThatWereMade) {
  OdeOptions options = sharp(GetParam());
  options.max_steps = int64_t{1} << 39;
  const OdeFunction decay = [](const Tensors& y, const Tensor&) { return Tensors{-y[0]}; };
  Tensor y0 = number(1);
  expect_close(odeint(decay, {y0}, tensor<double>({0, 1}), options)[0], exp(-tensor<double>({0, 1})), 1e-9);
  Tensor first = odeint(decay, {y0}, tensor<double>({0}), options)[0];
  assign(first, number(5));
  EXPECT_EQ(item<double>(y0), 1);
}

INSTANTIATE_TEST_SUITE_P(Modes, Odeint, ::testing::Values(OdeOptions::checkpoint, OdeOptions::adjoint));

}  // namespace
}  // namespace tidu
