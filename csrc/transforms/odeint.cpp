// Ordinary differential equations: the steps are found with values, and are then a scan like any other.
#include "transforms/odeint.h"

#include <cmath>

#include "base/digits.h"
#include "compile/count.h"
#include "compile/simplify.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "transforms/control.h"
#include "transforms/held_solver.h"

namespace tidu {
namespace {

// --- One step: Hairer, Norsett and Wanner, II.5, table 5.2, and II.6 for the values between

constexpr int kStages = 7;
constexpr double kTimes[kStages] = {0, 1.0 / 5, 3.0 / 10, 4.0 / 5, 8.0 / 9, 1, 1};
constexpr double kWeights[kStages][kStages] = {
    {},
    {1.0 / 5},
    {3.0 / 40, 9.0 / 40},
    {44.0 / 45, -56.0 / 15, 32.0 / 9},
    {19372.0 / 6561, -25360.0 / 2187, 64448.0 / 6561, -212.0 / 729},
    {9017.0 / 3168, -355.0 / 33, 46732.0 / 5247, 49.0 / 176, -5103.0 / 18656},
    {35.0 / 384, 0, 500.0 / 1113, 125.0 / 192, -2187.0 / 6784, 11.0 / 84}};
constexpr double kErrors[kStages] = {71.0 / 57600,      0,          -71.0 / 16695, 71.0 / 1920,
                                     -17253.0 / 339200, 22.0 / 525, -1.0 / 40};
constexpr double kBetween[kStages] = {-12715105075.0 / 11282082432,  0,
                                      87487479700.0 / 32700410799,   -10690763975.0 / 1880347072,
                                      701980252875.0 / 199316789632, -1453857185.0 / 822651844,
                                      69997945.0 / 29380423};

// f over vectors, and a number of lanes that y consists of.
using Field = std::function<Tensor(const Tensor& y, const Tensor& t)>;

Tensor combined(const double (&weights)[kStages], const Tensors& stages) {
  Tensor sum;
  for (size_t i = 0; i < stages.size(); ++i) {
    if (weights[i] == 0) continue;
    const Tensor term = weights[i] * stages[i];
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

struct Step {
  Tensor y, slope, error;  // at its end; the slope is the first stage of the next step
  Tensor between;          // (5, n): the polynomial in the part of the step that is done
};

Step take_step(const Field& f, const Tensor& y, const Tensor& slope, const Tensor& t, const Tensor& length) {
  const Tensor h = astype(length, y.dtype());
  Tensors stages{slope};
  Tensor next;
  for (int i = 1; i < kStages; ++i) {
    next = y + h * combined(kWeights[i], stages);
    stages.push_back(f(next, t + kTimes[i] * astype(length, t.dtype())));
  }
  const Tensor change = next - y, bend = h * slope - change, last = stages.back();
  return {next, last, h * combined(kErrors, stages),
          stack({y, change, bend, change - h * last - bend, h * combined(kBetween, stages)}, 0)};
}

// The polynomials (.., 5, n) at the parts (.., 1).
Tensor value_between(const Tensor& polynomial, const Tensor& part) {
  const auto term = [&](int i) { return select(polynomial, polynomial.ndim() - 2, i); };
  const Tensor rest = 1 - part;
  return term(0) + part * (term(1) + rest * (term(2) + part * (term(3) + rest * term(4))));
}

// --- Finding the steps

struct Tolerance {
  double rtol, atol;
  int64_t max_steps;
  int64_t lanes = 1;       // y consists of so many equal parts, each of which must be exact enough
  int64_t controlled = 0;  // of each, so many elements in front count (0: all)
  void fields(auto&& field) const {
    field("rtol", rtol), field("atol", atol), field("max_steps", max_steps), field("lanes", lanes);
    field("controlled", controlled);
  }
};

struct OdeAttrs {
  ProgramField f;  // (y, t, captured..) -> y'
  Tolerance tolerance;
  void fields(auto&& field) const { tolerance.fields(field), field("f", f); }
};

Field field_of(const ProgramField& f, const Tensors& captured) {
  return [f, captured](const Tensor& y, const Tensor& t) {
    Tensors inputs{y, t};
    append(inputs, captured);
    return (*f)(inputs)[0];
  };
}

// The error in units of what is allowed: over each lane the root of the mean of the squares.
Tensor size_of(const Tensor& error, const Tensor& y, const Tolerance& tolerance) {
  const Tensor parts = reshape(error / (tolerance.atol + tolerance.rtol * abs(y)), {tolerance.lanes, -1});
  const Tensor counted = tolerance.controlled ? slice_axis(parts, 1, 0, tolerance.controlled) : parts;
  return max(sqrt(mean(square(counted), Axes{1})));
}

std::vector<double> sorted_times(const Tensor& ts) {
  const auto times = to_vector<double>(stop_gradient(ts));
  const double direction = times.back() >= times.front() ? 1 : -1;
  for (size_t i = 0; i < times.size(); ++i) {
    if (!std::isfinite(times[i])) fail<ValueError>("[odeint] time ", i, " is ", times[i]);
    if (i > 0 && direction * (times[i] - times[i - 1]) < 0)
      fail<ValueError>("[odeint] the times must rise or fall, but time ", i - 1, " is ",
                       digits(times[i - 1], 9), ", time ", i, " ", digits(times[i], 9), " (sort them)");
  }
  return times;
}

// How long the first step is (II.4, page 169).
double first_length(const Field& f, const Tensor& y, const Tensor& slope, const Tensor& t, double direction,
                    const Tolerance& tolerance) {
  const auto size = [&](const Tensor& x) { return item<double>(size_of(x, y, tolerance)); };
  const double d0 = size(y), d1 = size(slope);
  const double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
  const Tensor after = f(y + direction * h0 * slope, t + direction * h0);
  const double d2 = size(after - slope) / h0, d = std::max(d1, d2);
  const double h1 = d <= 1e-15 ? std::max(1e-6, h0 * 1e-3) : std::pow(0.01 / d, 0.2);
  const double h = std::min(100 * h0, h1);
  return h > 0 ? h : h0;
}

struct Steps {
  std::vector<double> begins, lengths;  // after the first time
  std::vector<int64_t> leads;           // the step that leads to each time
};

Steps steps_for(const OdeAttrs& attrs, const Tensors& inputs) {
  const auto& [program, tolerance] = attrs;
  const Tensor& ts = inputs[1];
  const Field f = field_of(program, from(inputs, 2));
  const std::vector<double> times = sorted_times(ts);
  const double end = times.back(), direction = end >= times.front() ? 1 : -1;
  const double epsilon = ts.dtype() == DType::float64 ? 0x1p-52 : 0x1p-23;
  const auto at = [&](double t) { return full({}, t, ts.dtype(), ts.device()); };
  const auto step = [&](const Tensor& y, const Tensor& slope, double t, double h) {
    return take_step(f, y, slope, at(t), full({}, h, DType::float64, y.device()));
  };
  Steps steps{{}, {}, std::vector<int64_t>(times.size(), 0)};
  auto& [begins, lengths, leads] = steps;
  double t = times.front();
  if (t != end && inputs[0].numel() > 0) {
    Tensor y = inputs[0], slope = f(y, at(t));
    if (!item<bool>(all(isfinite(y))) || !item<bool>(all(isfinite(slope))))
      fail<ValueError>("[odeint] y or f(y, t) is not finite at the first time, ", digits(t, 9));
    const double least = 10 * epsilon * std::max(std::abs(t), std::abs(end));
    double h = std::max(first_length(f, y, slope, at(t), direction, tolerance), 10 * least), longest = 10;
    bool finite = true;
    for (int64_t tries = 0; direction * (end - t) > 0; ++tries) {
      if (tries == tolerance.max_steps)
        fail<ValueError>("[odeint] max_steps = ", tolerance.max_steps, " steps from ",
                         digits(times.front(), 9), " led to ", digits(t, 9), ", not to ", digits(end, 9),
                         " (give more, or a larger rtol or atol; a stiff equation needs very many)");
      const double left = std::abs(end - t);
      if (h < least && h < left)
        fail<ValueError>("[odeint] the steps became too small at ", digits(t, 9), ": ", digits(h, 3),
                         finite ? " (the solution or its derivative may have no value from there on, or the "
                                  "equation is stiff; or rtol and atol are too small for the dtype)"
                                : ", where y or f(y, t) is not finite");
      const bool is_last = h >= left * (1 - 1e-9);
      const double length = direction * (is_last ? left : h);
      const Step done = step(y, slope, t, length);
      const double error = item<double>(size_of(done.error, maximum(abs(y), abs(done.y)), tolerance));
      finite = std::isfinite(error) && item<bool>(all(isfinite(done.slope)));
      const bool fits = finite && error <= 1;
      if (fits) {
        begins.push_back(t - times.front());
        lengths.push_back(length);
        t = is_last ? end : t + length;
        y = done.y;
        slope = done.slope;
      }
      h = std::abs(length) *
          (finite ? std::clamp(0.9 * std::pow(std::max(error, 1e-10), -0.2), 0.2, longest) : 0.2);
      longest = fits ? 10 : 1;
    }
    for (size_t i = 0; i < times.size(); ++i) {
      while (leads[i] + 1 < std::ssize(begins) &&
             direction * (times.front() + begins[leads[i] + 1] - times[i]) <= 0)
        ++leads[i];
    }
  }
  return steps;
}

// Where each begins, their lengths, and which of them lead to the times.
Tensors tensors_of(const Steps& steps, Device device) {
  return {tensor(std::span(steps.begins), {std::ssize(steps.begins)}, device),
          tensor(std::span(steps.lengths), {std::ssize(steps.lengths)}, device),
          tensor(std::span(steps.leads), {std::ssize(steps.leads)}, device)};
}

// As many as there can be.
Tensors find_steps(const Call& call) {
  const auto& attrs = call.attrs.as<OdeAttrs>();
  Steps steps = steps_for(attrs, list(call.inputs));
  const auto count = static_cast<int64_t>(steps.begins.size());
  for (std::vector<double>* numbers : {&steps.begins, &steps.lengths})
    numbers->resize(static_cast<size_t>(attrs.tolerance.max_steps));
  const Device device = call.inputs[1].device();
  Tensors result = tensors_of(steps, device);
  result.push_back(full({}, count, DType::int64, device));
  return result;
}

void check_ode(const SpecCall& call, size_t) {
  const auto& [f, tolerance] = call.attrs.as<OdeAttrs>();
  std::vector<Spec> inputs = specs_of(call);
  const Spec y = inputs[0];
  const auto is_vector = [](const Spec& spec) {
    return spec.shape.size() == 1 && (spec.dtype == DType::float32 || spec.dtype == DType::float64);
  };
  require(is_vector(y) && is_vector(inputs[1]) && inputs[1].shape[0] > 0, call,
          "y and the times are no vectors");
  inputs[1].shape = {};
  check_held(call, *f, inputs, {y});
  const auto& [rtol, atol, max_steps, lanes, controlled] = tolerance;
  require(rtol >= 0 && atol >= 0 && rtol + atol > 0 && max_steps > 0 && max_steps < int64_t{1} << 40 &&
              lanes > 0 && y.shape[0] % lanes == 0 && controlled >= 0 && controlled <= y.shape[0] / lanes,
          call, "its tolerances are out of range");
}

// Of one step.
Flops step_flops(const SpecCall& call, std::span<const Spec>) {
  const Flops of_f = cost_of(simplify(*call.attrs.as<OdeAttrs>().f)).flops;
  Flops flops;
  for (int stage = 1; stage < kStages; ++stage) flops += of_f;
  return flops;
}

void infer_steps(const SpecCall& call, std::span<Spec> outputs) {
  const int64_t steps = call.attrs.as<OdeAttrs>().tolerance.max_steps;
  const Device device = call.inputs[1].device;
  outputs[0] = outputs[1] = {{steps}, DType::float64, device};
  outputs[2] = {call.inputs[1].shape, DType::int64, device};
  outputs[3] = {{}, DType::int64, device};
}

// --- Lanes

// All lanes as one equation, of one set of times.
OdeAttrs joined(const BatchedCall& batched) {
  const auto& attrs = batched.call.attrs.as<OdeAttrs>();
  std::vector<bool> flags = batched.batched;
  flags[0] = true;
  flags[1] = false;
  const Program lanes = in_lanes(*attrs.f, flags, {true}, batched);
  std::vector<Spec> specs = specs_of(lanes, lanes.inputs, 0, lanes.inputs.size());
  const Shape apart = specs[0].shape;
  specs[0].shape = {num_elements(apart)};
  OdeAttrs result = attrs;
  result.f = hold(record_unseen(
      [&](const Tensors& at) {
        Tensors inputs = at;
        inputs[0] = reshape(at[0], apart);
        return Tensors{flatten(lanes(inputs)[0])};
      },
      specs));
  result.tolerance.lanes *= batched.size;
  return result;
}

Tensors joined_inputs(const BatchedCall& batched) {
  Tensors inputs = list(batched.call.inputs);
  inputs[0] = flatten(batched.lanes(0));
  return inputs;
}

bool are_apart(const BatchedCall& batched) {
  return batched.batched[1] || batched.control == LaneControl::loop;
}

// Lanes of one set of times make the same steps, which have no axis of lanes.
Tensors batch_steps(const BatchedCall& batched) {
  if (are_apart(batched)) return lane_by_lane(batched);
  return bind_all(primitives::ode_steps, joined_inputs(batched), joined(batched), 4);
}

// --- Making them

Tensor integrate(const OdeAttrs& attrs, const Tensor& y0, const Tensor& ts, const Tensors& captured) {
  Tensors inputs{y0, ts};
  append(inputs, captured);
  const bool is_known = !is_recording() && std::ranges::none_of(inputs, &Tensor::is_abstract);
  const Tensors found = [&] {
    if (!is_known) return bind_all(primitives::ode_steps, inputs, attrs, 4);
    const VisibleTraces none(nullptr);
    return tensors_of(steps_for(attrs, inputs), ts.device());
  }();
  const Tensor &begins = found[0], &lengths = found[1], &leads = found[2];
  const Field f = field_of(attrs.f, captured);
  const Tensor t0 = select(ts, 0, 0);
  const auto time = [&](const Tensor& begin) { return t0 + astype(begin, ts.dtype()); };
  const auto step = [&](const Tensors& at) { return take_step(f, at[0], at[1], time(at[2]), at[3]); };
  // Where times lie in the steps that lead to them, from 0 to 1.
  const auto part_of = [&](const Tensor& at, const Tensor& begin, const Tensor& length) {
    const Tensor part = (at - time(begin)) / where(length == 0, 1, astype(length, ts.dtype()));
    return expand_dims(astype(part, y0.dtype()), -1);
  };
  const Function full_step = [&](const Tensors& at) {
    const Step done = step(at);
    return Tensors{done.y, done.slope, done.between};
  };
  const Tensors start{y0, f(y0, t0)};
  Tensor between;
  if (!is_known) {
    const Function guarded = [&](const Tensors& at) {
      const Function no_step = [](const Tensors& same) {
        const Tensor none = zeros({4, same[0].numel()}, same[0].dtype(), same[0].device());
        return Tensors{same[0], same[1], concat({expand_dims(same[0], 0), none}, 0)};
      };
      return cond(at[3] != 0, full_step, no_step, at);
    };
    between = scan(guarded, start, {begins, lengths}).results[0];
  } else {
    const int64_t count = begins.numel();
    if (count == 0) return copy(broadcast_to(expand_dims(y0, 0), {ts.size(0), y0.numel()}));
    if (ts.size(0) == 2) {
      // Nothing is asked for but the end, so nothing of a step is kept but that.
      const Function ends = [&](const Tensors& at) {
        const Step done = step(at);
        return Tensors{done.y, done.slope};
      };
      const Tensors slices{slice_axis(begins, 0, 0, count - 1), slice_axis(lengths, 0, 0, count - 1)};
      Tensors last = scan(ends, start, slices).carry;
      const Tensor begin = select(begins, 0, count - 1), length = select(lengths, 0, count - 1);
      append(last, {begin, length});
      return stack({y0, value_between(step(last).between, part_of(select(ts, 0, 1), begin, length))}, 0);
    }
    between = scan(full_step, start, {begins, lengths}).results[0];
  }
  return value_between(take(between, leads, 0), part_of(ts, take(begins, leads, 0), take(lengths, leads, 0)));
}

// --- The adjoint equation

void infer_adjoint(const SpecCall& call, std::span<Spec> outputs) {
  outputs[0] = times(call.inputs[0], call.inputs[1].shape[0]);
}

Tensors run_adjoint(const Call& call) {
  const Tensors inputs = list(call.inputs);
  return {integrate(call.attrs.as<OdeAttrs>(), inputs[0], inputs[1], from(inputs, 2))};
}

// A function of all inputs as one of those that move.
Function of_moving(const Function& function, const Tensors& all, const std::vector<bool>& moves) {
  return [=](const Tensors& moving) {
    Tensors inputs = all;
    for (size_t i = 0, next = 0; i < inputs.size(); ++i) {
      if (moves[i]) inputs[i] = moving[next++];
    }
    return function(inputs);
  };
}
Tensors moving_of(const Tensors& all, const std::vector<bool>& moves) {
  Tensors result;
  for (size_t i = 0; i < all.size(); ++i) {
    if (moves[i]) result.push_back(all[i]);
  }
  return result;
}

// As the steps are differentiated.
Tensors push_adjoint(const Call& call, Tangents given) {
  const Tensors inputs = list(call.inputs), tangents = list(given);
  const std::vector<bool> moves = which_defined(tangents);
  const Function run = [&](const Tensors& all) {
    return Tensors{integrate(call.attrs.as<OdeAttrs>(), all[0], all[1], from(all, 2))};
  };
  return jvp(of_moving(run, inputs, moves), moving_of(inputs, moves), defined_of(tangents)).tangents;
}

// The state of an equation that is solved backward, of which the first n elements are y of a forward one.
class Backward {
 public:
  Backward(const OdeAttrs& forward, const Tensors& captured, OdeAttrs back, const Tensors& around, int64_t n)
      : forward_(forward), captured_(captured), back_(std::move(back)), around_(around), n_(n) {}

  // At `begin` from that at the later time `end`. Where the equation is unstable backward, y goes astray on
  // the way: then it is computed forward to the middle, from y_begin, and the way is taken in two parts.
  Tensor go(const Tensor& state, const Tensor& end, const Tensor& begin, const Tensor& y_begin,
            int halvings = 0) const {
    std::string fault;
    try {
      const Tensor before = last_of(back_, state, end, begin, around_);
      const Tensor y = slice_axis(before, 0, 0, n_), y_end = slice_axis(state, 0, 0, n_);
      const Tensor drift =
          stop_gradient(size_of(y - y_begin, maximum(abs(y_begin), abs(y_end)), forward_.tolerance));
      if (drift.is_abstract() || is_recording())
        return where(drift <= kMostDrift, before, full({}, NAN, before.dtype(), before.device()));
      if (item<bool>(drift <= kMostDrift)) return before;
      fault = "y comes back to its first value with an error of " + digits(item<double>(drift), 3) +
              " times the tolerance";
    } catch (const ValueError& error) { fault = error.what(); }
    if (halvings == kMostHalvings) {
      fail<GradientError>("[odeint] the equation cannot be solved backward, as mode=\"adjoint\" does, from ",
                          digits(item<double>(stop_gradient(end)), 9), " to ",
                          digits(item<double>(stop_gradient(begin)), 9), ": ", fault,
                          " (use mode=\"checkpoint\")");
    }
    const Tensor middle = (begin + end) / 2;
    const Tensor y_middle = last_of(forward_, y_begin, begin, middle, captured_);
    const Tensor halfway = go(state, end, middle, y_middle, halvings + 1);
    return go(with_y(halfway, y_middle), middle, begin, y_begin, halvings + 1);
  }

  // y is known better than by going back.
  Tensor with_y(const Tensor& state, const Tensor& y) const {
    return concat({y, slice_axis(state, 0, n_, {})}, 0);
  }

 private:
  // Of the tolerance, which bounds the error of a step.
  static constexpr double kMostDrift = 1000;
  static constexpr int kMostHalvings = 12;

  static Tensor last_of(const OdeAttrs& attrs, const Tensor& y, const Tensor& from, const Tensor& to,
                        const Tensors& captured) {
    return select(integrate(attrs, y, stack({from, to}, 0), captured), 0, 1);
  }

  const OdeAttrs& forward_;
  const Tensors& captured_;
  OdeAttrs back_;
  const Tensors& around_;
  int64_t n_;
};

// With a the cotangent of y(t): a' = -a^T df/dy, and that of what f closes over is the integral of a^T df/dp,
// both from the last time back to the first, and at each time a grows by the cotangent of y there.
Tensors pull_adjoint(const Call& call, Cotangents cotangents, const InputSet& asked) {
  const auto& attrs = call.attrs.as<OdeAttrs>();
  check_not_overwritten(*attrs.f);
  const Tensors inputs = list(call.inputs), captured = from(inputs, 2);
  const Tensor &ts = inputs[1], &ys = call.outputs[0], &given = cotangents[0];
  const int64_t n = inputs[0].numel(), last = ts.size(0) - 1;
  std::vector<bool> wanted{true, false};
  Tensors parameters;
  for (size_t i = 2; i < inputs.size(); ++i) {
    wanted.push_back(is_differentiable(inputs[i].dtype()) && asked.has(i));
    if (wanted[i]) parameters.push_back(inputs[i]);
  }
  std::optional<Joint> joint;
  if (!parameters.empty()) joint.emplace("odeint", "what f closes over", parameters);
  const DType dtype = inputs[0].dtype();
  const auto together = [&](const Tensor& y, const Tensor& a, const Tensors& of_parameters) {
    Tensors parts{y, a};
    if (joint) parts.push_back(astype(joint->vector(of_parameters), dtype));
    return concat(parts, 0);
  };
  Tensors zero;
  for (const Tensor& parameter : parameters) zero.push_back(zeros_like(parameter));
  const Function backward = [&](const Tensors& at) {
    Tensors arguments{slice_axis(at[0], 0, 0, n), at[1]};
    append(arguments, captured);
    const Function f = [&](const Tensors& all) { return (*attrs.f)(all); };
    const Vjp at_y = vjp(of_moving(f, arguments, wanted), moving_of(arguments, wanted));
    const Tensors of_all = at_y.pullback({-slice_axis(at[0], 0, n, 2 * n)});
    return Tensors{together(at_y.outputs[0], of_all[0], from(of_all, 1))};
  };
  Tensor state = together(select(ys, 0, last), select(given, 0, last), zero);
  Program program = record_unseen(backward, specs_of({state, select(ts, 0, 0)}));
  Tensors around;
  capture({&program}, around);
  OdeAttrs back{hold(std::move(program)), attrs.tolerance};
  back.tolerance.lanes = 1;
  back.tolerance.controlled = 2 * n;
  const Backward backward_equation(attrs, captured, back, around, n);
  for (int64_t i = last; i > 0; --i) {
    const Tensor y = select(ys, 0, i - 1);
    const Tensor before = backward_equation.go(state, select(ts, 0, i), select(ts, 0, i - 1), y);
    state = concat(
        {y, slice_axis(before, 0, n, 2 * n) + select(given, 0, i - 1), slice_axis(before, 0, 2 * n, {})}, 0);
  }
  Tensors result(inputs.size());
  const Tensor a = slice_axis(state, 0, n, 2 * n);
  result[0] = a;
  if (asked.has(1)) {
    const Field f = field_of(attrs.f, captured);
    Tensors of_times;
    for (int64_t i = 0; i <= last; ++i) {
      const Tensor along = i > 0 ? select(given, 0, i) : select(given, 0, 0) - a;
      of_times.push_back(astype(sum(along * f(select(ys, 0, i), select(ts, 0, i))), ts.dtype()));
    }
    result[1] = stack(of_times, 0);
  }
  if (joint) {
    const Tensors of_parameters = joint->tensors(slice_axis(state, 0, 2 * n, {}));
    for (size_t i = 2, next = 0; i < inputs.size(); ++i) {
      if (wanted[i]) result[i] = of_parameters[next++];
    }
  }
  return result;
}

Tensors batch_adjoint(const BatchedCall& batched) {
  if (are_apart(batched)) return lane_by_lane(batched);
  const Tensor ys = bind_all(primitives::ode_adjoint, joined_inputs(batched), joined(batched), 1)[0];
  return {moveaxis(reshape(ys, {ys.size(0), batched.size, -1}), 0, 1)};
}

}  // namespace

// | `ode_steps` | the steps that are small enough | no derivative: 0 | |
Primitive primitives::ode_steps("ode_steps", {.batching = batch_steps,
                                              .attrs = OdeAttrs{},
                                              .inputs = {2, kAnyNumber},
                                              .check = check_ode,
                                              .infer = infer_steps,
                                              .derivative = Zero{},
                                              .evaluate = evaluate<find_steps>,
                                              .dispatch = dispatch<find_steps>,
                                              .num_outputs = 4,
                                              .flops = step_flops});
// | `ode_adjoint` | $y' = f(y, t, p)$ by `ode_steps` | that of the steps | $a' = -f_y^T a$ from the last time
// to the first, $\bar p = \int f_p^T a dt$ |
Primitive primitives::ode_adjoint("ode_adjoint",
                                  {.batching = batch_adjoint,
                                   .attrs = OdeAttrs{},
                                   .inputs = {2, kAnyNumber},
                                   .check = check_ode,
                                   .infer = infer_adjoint,
                                   .derivative = rule<push_adjoint, pull_adjoint, kAllInputs | kOutput>(),
                                   .evaluate = evaluate<run_adjoint>,
                                   .dispatch = dispatch<run_adjoint>});

Tensors odeint(const OdeFunction& f, const Tensors& y0, const Tensor& given, const OdeOptions& options) {
  const Joint joint("odeint", "y0", y0);
  const Tensor y = joint.vector(y0);
  if (given.ndim() != 1 || given.numel() == 0)
    fail<ShapeError>("[odeint] the times are ", describe(given), " but must be a vector of at least one");
  const Tensor ts = to(astype(given, promote(given.dtype(), y.dtype())), y.device());
  const double fine = y.dtype() == DType::float64 ? 1.4e-8 : 1e-5;
  OdeAttrs attrs{{}, {options.rtol.value_or(fine), options.atol.value_or(fine), options.max_steps}};
  const Tolerance& tolerance = attrs.tolerance;
  if (!(tolerance.rtol >= 0) || !(tolerance.atol >= 0) || tolerance.rtol + tolerance.atol == 0)
    fail<ValueError>("[odeint] rtol is ", tolerance.rtol, " and atol ", tolerance.atol,
                     ", but neither may be negative, and one must be positive");
  if (tolerance.max_steps < 1)
    fail<ValueError>("[odeint] max_steps is ", tolerance.max_steps, " but must be positive");
  Program program = [&] {
    try {
      return record_unseen(
          [&](const Tensors& at) {
            const Tensors slope = f(joint.tensors(at[0]), astype(at[1], at[0].dtype()));
            joint.check(slope, "what f returns");
            return Tensors{joint.vector(slope)};
          },
          specs_of({y, select(ts, 0, 0)}));
    } catch (const TraceError& error) {
      fail<TraceError>("[odeint] f looks at values, but is recorded (use where, cond or while_loop): ",
                       error.what());
    }
  }();
  if (!program.writes.empty()) fail<ValueError>("[odeint] f overwrites its argument");
  Tensors captured;
  capture({&program}, captured);
  attrs.f = hold(std::move(program));
  Tensors inputs{y, ts};
  append(inputs, captured);
  const Tensor ys = options.mode == OdeOptions::adjoint
                        ? bind_all(primitives::ode_adjoint, inputs, attrs, 1)[0]
                        : integrate(attrs, y, ts, captured);
  return joint.rows(ys);
}

}  // namespace tidu
