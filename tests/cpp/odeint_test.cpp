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

INSTANTIATE_TEST_SUITE_P(Modes, Odeint, ::testing::Values(OdeOptions::checkpoint, OdeOptions::adjoint));

}  // namespace
}  // namespace tidu
