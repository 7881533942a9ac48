// Ordinary differential equations y' = f(y, t), by the pair of Dormand and Prince.
#pragma once

#include <optional>

#include "core/primitive.h"
#include "core/trace.h"

namespace tidu {

// f(y, t), tensors like y; t is of the dtype in which these meet, at least float32. It may close over what is
// differentiated.
using OdeFunction = std::function<Tensors(const Tensors& y, const Tensor& t)>;

struct OdeOptions {
  // The error allowed in a step, atol + rtol |y|: by default 1.4e-8 in float64, 1e-5 in float32.
  std::optional<double> rtol = {}, atol = {};
  int64_t max_steps = 1000;  // tried between the first time and the last; more are a ValueError
  // Reverse mode: the exact derivative of the steps that were made, of which it keeps y and computes the
  // stages again; or the adjoint equation, solved backward, which keeps the results alone.
  enum Mode : uint8_t { checkpoint, adjoint } mode = checkpoint;
};

// y at the times ts, a vector in rising or falling order, along axis 0; y0 at the first of them. Steps go as
// far as their error allows (Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, II.4-6);
// values between their ends come from a polynomial of degree 4 in each. All modes, by y0, ts and what f
// closes over, as derivatives of the steps, whose lengths count as constants. A ValueError where a step would
// have to be too small, as where y or f is not finite or the equation is stiff.
//
// Where values are not known, in programs and under vmap, as many steps as max_steps are held, of which those
// that are not made do nothing; lanes with one set of times make the same steps.
Tensors odeint(const OdeFunction& f, const Tensors& y0, const Tensor& ts, const OdeOptions& options = {});

namespace primitives {
// (y0, ts, captured..), y0 a vector -> where steps begin after ts[0], their lengths, which one leads to each
// time, and how many there are; and -> y at the times.
extern Primitive ode_steps, ode_adjoint;
}  // namespace primitives

}  // namespace tidu
