// L-BFGS, Newton's method, steepest descent and gradient flow. The numbers in brackets are those of Nocedal
// and Wright, Numerical Optimization, 2nd edition (2006).
#include "optim/descent.h"

#include <deque>

#include "base/digits.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/reduce.h"

namespace tidu::optim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// --- The line search

// A sample at some step along a line, and the slope there.
struct Trial {
  double step;
  Sample sample;
  double slope;
};

// The minimum of the cubic with the values and slopes of two trials (3.59), NaN where there is none.
double cubic_minimum(const Trial& a, const Trial& b) {
  const double d1 = a.slope + b.slope - 3 * (a.sample.value - b.sample.value) / (a.step - b.step);
  const double root = d1 * d1 - a.slope * b.slope;
  if (!(root >= 0)) return kNaN;
  const double d2 = std::copysign(std::sqrt(root), b.step - a.step);
  const double divisor = b.slope - a.slope + 2 * d2;
  return divisor != 0 ? b.step - (b.step - a.step) * (b.slope + d2 - d1) / divisor : kNaN;
}

// Within a bracket the cubic's minimum, kept off its ends; without one farther out, ever faster.
double next_step(const Trial& low, const std::optional<Trial>& high, int number) {
  if (!high) return low.step * std::ldexp(1, number + 1);
  const double width = high->step - low.step;
  if (high->sample.is_finite()) {
    const double step = cubic_minimum(low, *high), share = (step - low.step) / width;
    if (0.1 <= share && share <= 0.9) return step;
  }
  return low.step + width / 2;
}

// A sample along a direction that meets the strong Wolfe conditions (3.7), by algorithms 3.5 and 3.6.
//
// They are one loop here: `low` is the best trial that lowers f sufficiently, and between it and `high`, once
// there is one, lies a step that meets both conditions. Where f or its gradient is not finite, the step was
// too long. If none is found, the best trial that lowers f sufficiently; nothing without even that.
std::optional<Sample> line_search(Objective& objective, const Sample& at, const Tensor& direction,
                                  double step) {
  constexpr double kCurvature = 0.9, kDecrease = 1e-4;
  constexpr int kEvaluations = 60;
  const Trial start{0, at, dot(at.gradient, direction)};
  Trial low = start;
  std::optional<Trial> high;
  const auto change = [&](const Trial& a, const Trial& b) {
    const double length = b.step - a.step;
    return objective.change(a.sample, b.sample, a.slope * length, b.slope * length);
  };
  for (int number = 1; number <= kEvaluations; ++number) {
    const Tensor x = at.x + step * direction;
    if (item<bool>(all(x == low.sample.x))) break;  // as near as the dtype comes
    const Sample sample = objective.evaluate(x);
    if (sample.value == -kInfinity) return sample;
    const Trial trial{step, sample, sample.is_finite() ? dot(sample.gradient, direction) : kNaN};
    const bool too_long = !sample.is_finite() || change(start, trial) > kDecrease * step * start.slope ||
                          (low.step != 0 && change(low, trial) >= 0);
    if (too_long) {
      high = trial;
    } else if (std::abs(trial.slope) <= -kCurvature * start.slope) {
      return sample;
    } else {
      if (trial.slope * (high ? high->step - low.step : kInfinity) >= 0) high = low;
      low = trial;
    }
    step = next_step(low, high, number);
  }
  if (low.step == 0) return {};
  return low.sample;
}

double first_step(const Sample& at) { return std::min(1.0, 1 / at.gradient_norm); }

const Tensor& field(const std::map<std::string, Tensor>& state, const std::string& name) {
  const auto found = state.find(name);
  if (found == state.end()) fail<ValueError>("[minimize] the state lacks '", name, "'");
  return found->second;
}

Tensor number(double value) { return full({}, value, DType::float64); }

// --- L-BFGS

// The direction by algorithm 7.4 from the last pairs of step and change of the gradient, the iteration by
// algorithm 7.5.
class LbfgsDescent : public Descent {
 public:
  explicit LbfgsDescent(const MinimizeOptions& options) { set_options(options); }

  void set_options(const MinimizeOptions& options) override {
    history_size_ = static_cast<size_t>(options.history_size);
    trim();
  }

  std::map<std::string, Tensor> state() const override {
    std::map<std::string, Tensor> state;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      state[str(i, ".step")] = pairs_[i].s;
      state[str(i, ".change")] = pairs_[i].y;
    }
    return state;
  }

  void restore(const std::map<std::string, Tensor>& state, const Tensor& like) override {
    std::deque<Pair> pairs;
    for (size_t i = 0; state.contains(str(i, ".step")); ++i)
      pairs.push_back({field(state, str(i, ".step")), field(state, str(i, ".change"))});
    for (Pair& pair : pairs) {
      for (Tensor* vector : {&pair.s, &pair.y}) {
        if (vector->shape() != like.shape() || vector->dtype() != like.dtype()) {
          fail<ShapeError>("[LBFGS] a vector of the state is ", describe(*vector),
                           ", the parameters together ", describe(like));
        }
        *vector = to(*vector, like.device());
      }
    }
    pairs_ = std::move(pairs);
  }

  Next advance(Objective& objective, const Sample& at) override {
    std::optional<Sample> after;
    if (!pairs_.empty()) {
      const Tensor along = direction(at.gradient);
      const double slope = dot(along, at.gradient);
      if (slope < 0 && std::isfinite(slope)) after = line_search(objective, at, along, 1);
      if (!after) pairs_.clear();
    }
    if (!after) after = line_search(objective, at, -at.gradient, first_step(at));
    if (after && after->is_finite()) {
      const Pair pair{after->x - at.x, after->gradient - at.gradient};
      if (dot(pair.y, pair.y) > 0 &&
          dot(pair.s, pair.y) > objective.epsilon() * norm(pair.s) * norm(pair.y)) {
        pairs_.push_back(pair);
        trim();
      }
    }
    return {after, {}};
  }

 private:
  struct Pair {
    Tensor s, y;
  };

  void trim() {
    while (pairs_.size() > history_size_) pairs_.pop_front();
  }

  Tensor direction(const Tensor& gradient) const {
    Tensor r = -gradient;
    std::vector<double> alphas(pairs_.size());
    for (size_t i = pairs_.size(); i-- > 0;) {
      const auto& [s, y] = pairs_[i];
      alphas[i] = dot(s, r) / dot(s, y);
      r = r - alphas[i] * y;
    }
    const auto& [s, y] = pairs_.back();
    r = (dot(s, y) / dot(y, y)) * r;  // (7.20)
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const auto& [s, y] = pairs_[i];
      r = r + (alphas[i] - dot(y, r) / dot(s, y)) * s;
    }
    return r;
  }

  size_t history_size_ = 0;
  std::deque<Pair> pairs_;
};

// --- Newton's method

// In a trust region (algorithm 4.1), its steps by truncated conjugate gradients, which take the Hessian's
// products alone and follow directions of negative curvature to the boundary.
class NewtonCgDescent : public Descent {
 public:
  explicit NewtonCgDescent(double radius) : radius_(radius) {}

  std::map<std::string, Tensor> state() const override { return {{"radius", number(radius_)}}; }
  void restore(const std::map<std::string, Tensor>& state, const Tensor&) override {
    radius_ = item<double>(field(state, "radius"));
  }

  Next advance(Objective& objective, const Sample& at) override {
    double tolerance = std::min(0.5, std::sqrt(at.gradient_norm)) * at.gradient_norm;
    const double radius = radius_;
    for (;;) {
      const auto [p, bp] =
          steihaug([&](const Tensor& d) { return objective.hvp(at, d); }, at.gradient, radius_, tolerance);
      const double length = norm(p);
      if (!std::isfinite(dot(p, bp))) return {{}, "products of the Hessian are not finite"};
      const double predicted = -(dot(at.gradient, p) + dot(p, bp) / 2);
      if (!(length > 0 && predicted > 0)) return {};
      const Sample after = objective.evaluate(at.x + p);
      if (after.value == -kInfinity) return {after, {}};
      const double ratio = after.is_finite() ? -objective.change(at, after) / predicted : -kInfinity;
      // Where curvatures differ by much, an early step promises less than rounding of f hides: conjugate
      // gradients come to more of it later.
      if (ratio <= kAccepted && predicted <= kHidden * objective.epsilon() * std::abs(at.value) &&
          length < 0.99 * radius_ && tolerance > objective.epsilon() * at.gradient_norm) {
        tolerance *= 0.01;
        continue;
      }
      if (ratio < 0.25) {
        radius_ = length / 4;
      } else if (ratio > 0.75 && length >= 0.99 * radius_) {
        radius_ = 2 * radius_;
      }
      if (ratio > kAccepted) return {after, {}};
      if (radius_ <= objective.epsilon() * std::max(objective.epsilon(), norm(at.x))) {
        radius_ = radius;
        return {};
      }
    }
  }

 private:
  static constexpr double kAccepted = 1e-4;  // the least ratio of what f loses to what was predicted
  static constexpr double kHidden = 1e6;     // rounding errors of f, in units of its last place

  double radius_;
};

// --- Descent and flow

// The line search's first step is that of the last change: <s, s> / <s, y> (Barzilai and Borwein 1988).
class SteepestDescent : public Descent {
 public:
  std::map<std::string, Tensor> state() const override { return {{"step", number(step_)}}; }
  void restore(const std::map<std::string, Tensor>& state, const Tensor&) override {
    step_ = item<double>(field(state, "step"));
  }

  Next advance(Objective& objective, const Sample& at) override {
    std::optional<Sample> after =
        line_search(objective, at, -at.gradient, step_ != 0 ? step_ : first_step(at));
    if (after && after->is_finite()) {
      const Tensor s = after->x - at.x, y = after->gradient - at.gradient;
      const double sy = dot(s, y);
      step_ = sy > 0 ? dot(s, s) / sy : 0;
    }
    return {after, {}};
  }

 private:
  double step_ = 0;  // 0: none is known
};

// The path x' = -grad f(x), by the pair of Bogacki and Shampine (A 3(2) pair of Runge-Kutta formulas, 1989),
// whose difference in each step is kept to atol + rtol |x|. f falls along the path, so a step that raises it
// is taken again, shorter.
class FlowDescent : public Descent {
 public:
  explicit FlowDescent(const MinimizeOptions& options) : left_(options.time) { set_options(options); }

  void set_options(const MinimizeOptions& options) override {
    time_ = options.time;
    rtol_ = options.rtol;
    atol_ = options.atol;
  }

  std::map<std::string, Tensor> state() const override {
    return {{"left", number(left_)}, {"step", number(step_)}};
  }
  void restore(const std::map<std::string, Tensor>& state, const Tensor&) override {
    const double left = item<double>(field(state, "left"));
    step_ = item<double>(field(state, "step"));
    left_ = left;
  }

  Next advance(Objective& objective, const Sample& at) override {
    if (left_ <= 0) return {{}, "the path has come to time " + digits(time_, 6)};
    double h = step_ != 0 ? step_ : 0.01 * std::max(1.0, norm(at.x)) / at.gradient_norm;
    const double smallest =
        objective.epsilon() * std::max(objective.epsilon(), norm(at.x)) / at.gradient_norm;
    if (!std::isfinite(h)) return {};
    double longest = 2;  // by which the step grows, not at once after it was too long
    for (;;) {
      h = std::min(h, left_);
      const auto [after, error] = attempt(objective, at, h);
      if (after.value == -kInfinity) return {after, {}};
      double factor = 0.25;
      if (!std::isnan(error)) {
        factor = error > 0 ? std::min(longest, std::max(0.25, 0.9 * std::pow(error, -1.0 / 3.0))) : longest;
        if (error <= 1) {
          if (objective.change(at, after) <= 0) {
            left_ -= h;
            step_ = h * factor;
            return {after, {}};
          }
          factor = 0.5;
        }
      }
      h = h * factor;
      longest = 1;
      if (h <= smallest) return {};
    }
  }

 private:
  // The sample after a step, and its error in units of what is allowed; NaN where f was not finite.
  struct Attempt {
    Sample after;
    double error = kNaN;
  };
  Attempt attempt(Objective& objective, const Sample& at, double h) const {
    const Tensor k1 = -at.gradient;
    const Sample second = objective.evaluate(at.x + (h / 2) * k1);
    if (!second.is_finite()) return {second};
    const Tensor k2 = -second.gradient;
    const Sample third = objective.evaluate(at.x + (3 * h / 4) * k2);
    if (!third.is_finite()) return {third};
    const Tensor k3 = -third.gradient;
    const Sample after = objective.evaluate(at.x + h * (2.0 / 9 * k1 + 1.0 / 3 * k2 + 4.0 / 9 * k3));
    if (!after.is_finite()) return {after};
    const Tensor difference = h * (-5.0 / 72 * k1 + 1.0 / 12 * k2 + 1.0 / 9 * k3 + 1.0 / 8 * after.gradient);
    const Tensor allowed = atol_ + rtol_ * maximum(abs(at.x), abs(after.x));
    return {after, norm(difference / allowed) / std::sqrt(static_cast<double>(at.x.numel()))};
  }

  double left_, time_ = 0, rtol_ = 0, atol_ = 0;
  double step_ = 0;  // 0: none is known
};

}  // namespace

TruncatedStep steihaug(const std::function<Tensor(const Tensor&)>& product, const Tensor& gradient,
                       double radius, double tolerance) {
  Tensor z = zeros_like(gradient), bz = zeros_like(gradient), r = gradient, d = -gradient;
  double rr = dot(r, r);
  if (rr == 0) return {z, bz};                          // squares underflow
  for (int64_t i = 0; i < 2 * gradient.numel(); ++i) {  // n in exact arithmetic; rounding may ask for more
    const Tensor bd = product(d);
    const double curvature = dot(d, bd), zd = dot(z, d), dd = dot(d, d), zz = dot(z, z);
    // the step to the boundary: the positive root of norm(z + t d) = radius, without cancellation
    const double gap = std::max(radius * radius - zz, 0.0);
    const double boundary = gap != 0 ? gap / (zd + std::sqrt(zd * zd + dd * gap)) : 0;
    const double alpha = curvature > 0 ? rr / curvature : kInfinity;
    if (!(alpha < boundary)) return {z + boundary * d, bz + boundary * bd};
    z = z + alpha * d;
    bz = bz + alpha * bd;
    r = r + alpha * bd;
    const double previous = rr;
    rr = dot(r, r);
    if (std::sqrt(rr) <= tolerance) break;
    d = -r + (rr / previous) * d;
  }
  return {z, bz};
}

// --- The loop

void check_options(const MinimizeOptions& options, const std::string& op) {
  const auto check = [&](bool fits, const char* name, double value, const char* must) {
    if (!fits) fail<ValueError>("[", op, "] ", name, " is ", digits(value, 9), ", but must ", must);
  };
  if (options.gtol) check(*options.gtol >= 0, "gtol", *options.gtol, "not be negative");
  if (options.max_iter)
    check(*options.max_iter >= 0, "max_iter", static_cast<double>(*options.max_iter),
          "be an integer that is not negative");
  check(options.history_size >= 1, "history_size", static_cast<double>(options.history_size),
        "be an integer of at least 1");
  check(options.radius > 0 && options.radius < kInfinity, "radius", options.radius, "be positive");
  check(options.time > 0, "time", options.time, "be positive");
  check(options.rtol >= 0, "rtol", options.rtol, "not be negative");
  check(options.atol > 0, "atol", options.atol, "be positive");
}

std::unique_ptr<Descent> make_descent(const MinimizeOptions& options, const std::string& op) {
  check_options(options, op);
  switch (options.method) {
    case Method::lbfgs: return std::make_unique<LbfgsDescent>(options);
    case Method::newton_cg: return std::make_unique<NewtonCgDescent>(options.radius);
    case Method::gradient_descent: return std::make_unique<SteepestDescent>();
    case Method::gradient_flow: return std::make_unique<FlowDescent>(options);
  }
  fail<ValueError>("[", op, "] there is no such method");
}

Report descend(Descent& descent, Objective& objective, const MinimizeOptions& options, int64_t max_iter) {
  max_iter = options.max_iter.value_or(max_iter);
  Sample at = objective.evaluate(objective.start());
  Report report;
  const auto fill = [&] {
    report.x = objective.split(at.x);
    report.value = at.value;
    report.gradient_norm = at.gradient_norm;
    report.f_evaluations = report.gradient_evaluations = objective.f_evaluations();
    report.hvp_evaluations = objective.hvp_evaluations();
  };
  for (;;) {
    const double limit = options.gtol.value_or(std::sqrt(objective.epsilon()));
    if (!std::isfinite(at.value)) {
      report.reason = "f is " + digits(at.value, 3) + " at the start";
    } else if (!at.is_finite()) {
      report.reason = "the gradient is not finite at the start";
    } else if (at.gradient_norm <= limit) {
      report.converged = true;
      report.reason =
          "the gradient's norm, " + digits(at.gradient_norm, 3) + ", is at most gtol = " + digits(limit, 3);
    } else if (!report.reason.empty()) {
      // It has ended, for that reason.
    } else if (report.iterations == max_iter) {
      report.reason = str("max_iter = ", max_iter, " iterations did not bring the gradient's norm down to ",
                          "gtol = ", digits(limit, 3), ": it is ", digits(at.gradient_norm, 3));
    } else {
      auto [after, reason] = descent.advance(objective, at);
      if (!reason.empty()) {
        report.reason = std::move(reason);
      } else if (!after) {
        if (objective.change(at, *objective.best()) < 0) at = *objective.best();
        report.reason = str("no step lowers f: the gradient's norm is ", digits(at.gradient_norm, 3),
                            ", but steps lead to where f is not finite, or lower it by less than rounding ",
                            "shows (epsilon ", digits(objective.epsilon(), 2), ")");
      } else if (after->value == -kInfinity) {
        at = *objective.best();
        report.reason = "f falls to -inf: it has no minimum";
      } else {
        at = *after;
        ++report.iterations;
        if (options.callback) {
          fill();
          if (options.callback(report)) report.reason = "the callback ended it";
        }
      }
      continue;
    }
    fill();
    return report;
  }
}

std::ostream& operator<<(std::ostream& out, const Report& report) {
  return out << (report.converged ? "converged: " : "not converged: ") << report.reason
             << "; f = " << digits(report.value, 9) << ", iterations " << report.iterations
             << ", evaluations of f " << report.f_evaluations << ", of its gradient "
             << report.gradient_evaluations << ", products of its Hessian " << report.hvp_evaluations;
}

}  // namespace tidu::optim
