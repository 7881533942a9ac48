// Levenberg and Marquardt's and Gauss and Newton's steps, by singular values of the scaled Jacobian.
#include "optim/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/digits.h"
#include "ops/contract.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/spectral.h"

namespace tidu::optim {
namespace {

using Numbers = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kTrials = 60;           // of steps from one point
constexpr double kBend = 0.1;         // the longest correction of a step, in lengths of it
constexpr double kSlow = 0.1;         // by which undamped steps must shrink not to be slow
constexpr double kRegular = 0x1p-40;  // the least curvature in parts of the largest

// Without overflow of squares, as all lengths here.
double length(const Numbers& x) {
  double result = 0;
  for (const double element : x) result = std::hypot(result, element);
  return result;
}

Numbers numbers(const Tensor& x) { return to_vector<double>(astype(x, DType::float64)); }
Tensor vector(const Numbers& x, Device device) { return tensor(std::span(x), {std::ssize(x)}, device); }

bool is_finite(const Tensor& x) { return item<bool>(all(isfinite(x))); }

Numbers scaled(const Numbers& x, const Numbers& units) {
  Numbers result = x;
  for (size_t i = 0; i < x.size(); ++i) result[i] *= units[i];
  return result;
}

// The norms of the columns of a matrix, of which a column that is zero has none.
Numbers column_norms(const Tensor& matrix) {
  const Tensor largest = max(abs(matrix), 0);
  const Tensor safe = where(largest > 0, largest, ones_like(largest));
  return numbers(safe * sqrt(sum(square(matrix / safe), 0)));
}

}  // namespace

// --- LinearModel

LinearModel::LinearModel(const Fit& at, const Numbers& units) : norm_(at.norm), units_(units) {
  const Tensor scaled_jacobian = at.jacobian / vector(units, at.jacobian.device());
  if (at.jacobian.size(0) > at.jacobian.size(1)) {
    const auto [q, r] = linalg::qr(scaled_jacobian);
    const auto [u, s, vh] = linalg::svd(r, false);
    u_ = matmul(q, u);
    v_ = matrix_transpose(vh);
    s_ = numbers(s);
  } else {
    const auto [u, s, vh] = linalg::svd(scaled_jacobian, false);
    u_ = u;
    v_ = matrix_transpose(vh);
    s_ = numbers(s);
  }
  beta_ = project(at.residuals);
}

Numbers LinearModel::project(const Tensor& residuals) const {
  return numbers(matmul(matrix_transpose(u_), residuals));
}

std::optional<LinearModel> LinearModel::curved(const Tensor& hessians) const {
  const Device device = v_.device();
  const Tensor to_components = v_ / reshape(vector(units_, device), {-1, 1});
  const Tensor half = (norm_ / 2) * matmul(matrix_transpose(to_components), matmul(hessians, to_components));
  const Tensor own = half + matrix_transpose(half), s = vector(s_, device);
  // As fast as this steps of the model without it become shorter.
  if (norm(own / (s * reshape(s, {-1, 1}))) <= kSlow) return {};
  const Tensor sum = own + square(s) * eye(s.numel(), s.numel(), 0, DType::float64, device);
  if (!is_finite(sum)) return {};
  const auto [values, vectors] = linalg::eigh(sum);
  const Numbers curvatures = numbers(values);
  if (!(curvatures.front() > kRegular * curvatures.back())) return {};
  LinearModel result = *this;
  result.v_ = matmul(v_, vectors);
  result.s_ = numbers(sqrt(values));
  result.beta_ = numbers(matmul(matrix_transpose(vectors), s * vector(beta_, device)) / sqrt(values));
  result.u_ = {};
  return result;
}

Tensor LinearModel::step(const Numbers& q) const {
  return matmul(v_, vector(q, v_.device())) / vector(units_, v_.device());
}

double LinearModel::promise(const Numbers& q) const {
  double promised = 0;
  for (size_t i = 0; i < q.size(); ++i) {
    const double change = s_[i] * q[i] / norm_;
    promised -= change * (change + 2 * (beta_[i] / norm_));
  }
  return promised;
}

Numbers LinearModel::solution(const Numbers& components, double damping) const {
  const double rounding = s_.empty() ? 0 : s_[0] * 0x1p-52 * static_cast<double>(s_.size());
  Numbers q(components.size());
  for (size_t i = 0; i < q.size(); ++i) {
    if (s_[i] > rounding) q[i] = -components[i] / (s_[i] + damping / s_[i]);
  }
  return q;
}

// --- Levenberg and Marquardt

namespace {

class TrustRegion : public Steps {
 public:
  explicit TrustRegion(double radius) : factor_(radius) {}

  const Numbers& units() const override { return units_; }
  std::map<std::string, Tensor> state() const override {
    return {{"units", vector(units_, {})}, {"radius", full({}, radius_, DType::float64)}};
  }
  void restore(const std::map<std::string, Tensor>& state, int64_t n) override {
    for (const char* name : {"units", "radius"}) {
      if (!state.contains(name)) fail<ValueError>("[LevenbergMarquardt] the state lacks '", name, "'");
    }
    const Tensor& units = state.at("units");
    if (units.shape() != Shape{n}) {
      fail<ShapeError>("[LevenbergMarquardt] the units of the state are ", describe(units),
                       ", but the parameters together have ", n, " elements");
    }
    const double radius = item<double>(state.at("radius"));
    units_ = numbers(units);
    radius_ = radius;
  }

  // The largest norm that a column has had (Moré): units do not follow a parameter into flat regions.
  void begin(const Numbers& columns, const Numbers& x) override {
    if (units_.empty()) units_.assign(columns.size(), 0);
    for (size_t i = 0; i < columns.size(); ++i) units_[i] = std::max(units_[i], columns[i]);
    for (double& unit : units_) unit = unit == 0 ? 1 : unit;
    if (radius_ != 0) return;
    const double size = length(scaled(x, units_));
    radius_ = size > 0 ? factor_ * size : kInfinity;  // the origin says nothing of scales
  }

  Proposal propose(const LinearModel& model) override {
    const Numbers& beta = model.components();
    const Numbers newton = model.solution(beta);
    damping_ = length(newton) <= 1.1 * radius_ ? 0 : damping_within(model, radius_);
    return {damping_ == 0 ? newton : model.solution(beta, damping_), damping_};
  }

  void judge(double kept, double length) override {
    if (!(kept >= 0.25)) {
      radius_ = std::min(radius_, length) * (kept > -1 ? 0.5 : 0.25);
    } else if (kept > 0.75 || damping_ == 0) {
      radius_ = std::max(radius_, 2 * length);
    }
  }

 private:
  // With which the step is as long as the radius, to a tenth: Newton's method for 1 / |q(damping)|, within
  // bounds.
  static double damping_within(const LinearModel& model, double radius) {
    const Numbers& s = model.singular_values();
    const Numbers& beta = model.components();
    double low = 0, high = length(scaled(beta, s)) / radius, damping = 0;
    for (int i = 0; i < kTrials; ++i) {
      if (!(damping > low && damping < high)) damping = std::max(1e-3 * high, std::sqrt(low * high));
      const Numbers q = model.solution(beta, damping);
      const double size = length(q);
      if (std::abs(size - radius) <= 0.1 * radius) break;
      (size > radius ? low : high) = damping;
      double slope = 0;
      for (size_t j = 0; j < q.size(); ++j) slope += q[j] / size * (q[j] / size) / (s[j] * s[j] + damping);
      damping += (size - radius) / radius / slope;
    }
    return damping;
  }

  const double factor_;
  double radius_ = 0, damping_ = 0;  // 0: none is known
  Numbers units_;
};

// --- Gauss and Newton

class HalvedSteps : public Steps {
 public:
  void begin(const Numbers& columns, const Numbers&) override {
    units_ = columns;
    for (double& unit : units_) unit = unit == 0 ? 1 : unit;
    share_ = 1;
  }
  const Numbers& units() const override { return units_; }

  Proposal propose(const LinearModel& model) override {
    Numbers q = model.solution(model.components());
    for (double& component : q) component *= share_;
    return {q};
  }

  void judge(double kept, double) override { share_ *= kept > -1 ? 0.5 : 0.25; }
  bool is_cut() const override { return share_ < 1; }

 private:
  double share_ = 1;
  Numbers units_;
};

}  // namespace

std::unique_ptr<Steps> make_steps(LeastSquaresMethod method, double radius) {
  if (method == LeastSquaresMethod::gauss_newton) return std::make_unique<HalvedSteps>();
  return std::make_unique<TrustRegion>(radius);
}

// --- The loop

namespace {

class Searcher {
 public:
  Searcher(Residuals& residuals, Steps& steps, const Limits& limits)
      : residuals_(residuals),
        steps_(steps),
        limits_(limits),
        search_{residuals, evaluated(residuals.start()), 0, End::running, {}} {}

  Search run(const std::function<bool(const Search&)>& accepted) {
    if (begin()) {
      for (;;) {
        const bool stop = accepted(search_);
        if (is_at_end()) break;
        if (stop) {
          finish(End::callback, "the callback ended it");
          break;
        }
        if (!advance()) break;
        ++search_.iterations;
      }
    }
    return std::move(search_);
  }

 private:
  Fit evaluated(const Tensor& x) {
    const Tensor found = astype(residuals_.evaluate(x), DType::float64);
    return {x, found, norm(found), {}};
  }
  // Whether its Jacobian is finite.
  bool differentiate(Fit& at) {
    if (!at.jacobian.defined()) at.jacobian = astype(residuals_.jacobian(at.x), DType::float64);
    return is_finite(at.jacobian);
  }

  bool finish(End end, std::string reason) {
    search_.end = end;
    search_.reason = std::move(reason);
    return true;
  }

  bool begin() {
    Fit& at = search_.at;
    limits_.check_counts(at.residuals.numel(), at.x.numel());
    first_norm_ = at.norm;
    if (!std::isfinite(at.norm)) {
      const Numbers values = numbers(at.residuals);
      const auto bad = std::ranges::find_if(values, [](double value) { return !std::isfinite(value); });
      finish(End::not_finite, bad == values.end()
                                  ? std::string("the residuals overflow at the start")
                                  : str("residual ", bad - values.begin(), " of ", values.size(), " is ",
                                        digits(*bad, 3), " at the start"));
      return false;
    }
    if (!differentiate(at)) {
      finish(End::not_finite, "the Jacobian is not finite at the start");
      return false;
    }
    return true;
  }

  // The model at the point, and whether that is where the search ends.
  bool is_at_end() {
    const Fit& at = search_.at;
    if (at.norm <= limits_.zero.value_or(residuals_.epsilon() * std::min(1.0, first_norm_)))
      return finish(End::zero, "the norm of the residuals is " + digits(at.norm, 3));
    if (at.jacobian.size(1) == 0) return finish(End::orthogonal, "there is no element to change");
    const double epsilon = residuals_.epsilon(), gtol = limits_.gtol.value_or(epsilon);
    const Tensor wide = astype(at.x, DType::float64);
    const Numbers columns = column_norms(at.jacobian), x = numbers(wide);
    gradient_ = matmul(at.residuals / at.norm, at.jacobian);
    const Numbers slopes = numbers(gradient_);
    double cosine = 0;
    for (size_t i = 0; i < slopes.size(); ++i) {
      if (columns[i] > 0) cosine = std::max(cosine, std::abs(slopes[i] / columns[i]));
    }
    if (cosine <= gtol) {
      return finish(End::orthogonal,
                    "the residuals are orthogonal to the Jacobian's columns: the largest cosine, " +
                        digits(cosine, 3) + ", is at most gtol = " + digits(gtol, 3));
    }
    steps_.begin(columns, x);
    model_.emplace(at, steps_.units());
    size_ = length(scaled(x, steps_.units()));
    // What rounding x, and the residuals themselves, changes in these.
    noise_ = epsilon * norm(matmul(abs(at.jacobian), abs(wide)) + abs(at.residuals));
    if (std::isfinite(size_) && last_step_ <= xtol() * size_) {
      return finish(End::small_step, "the last step, " + digits(last_step_ / size_, 3) +
                                         " of the point's length, is at most xtol = " + digits(xtol(), 3));
    }
    const Numbers best = model_->solution(model_->components());
    const double promise = model_->promise(best);
    if (std::sqrt(std::max(promise, 0.0)) * at.norm <= noise_) {
      return finish(End::rounding, "a step would change the residuals by less than rounding does: they are " +
                                       digits(at.norm, 3) + ", and rounding is " + digits(noise_, 3));
    }
    if (promise <= limits_.ftol) {
      return finish(End::promise, "a step promises to lower the sum of squares by " + digits(promise, 3) +
                                      " of it, at most ftol = " + digits(limits_.ftol, 3));
    }
    if (search_.iterations >= limits_.max_iter) {
      return finish(End::max_iter,
                    str("max_iter = ", limits_.max_iter, " iterations did not bring steps down to ",
                        "xtol = ", digits(xtol(), 3)));
    }
    return false;
  }

  double xtol() const { return limits_.xtol.value_or(std::pow(residuals_.epsilon(), 0.75)); }

  // The second derivative along a step bends it (Transtrum and Sethna), where it is a correction.
  Numbers bent(const Numbers& q, double damping) {
    if (!limits_.acceleration) return q;
    const Fit& at = search_.at;
    const Tensor half = residuals_.curvature(at.x, astype(model_->step(q), at.x.dtype()));
    if (!half.defined()) return q;
    const Numbers bend = model_->solution(model_->project(astype(half, DType::float64)), damping);
    if (!(length(bend) <= kBend * length(q))) return q;
    Numbers result = q;
    for (size_t i = 0; i < q.size(); ++i) result[i] += bend[i];
    return result;
  }

  // Where steps are misled or undamped ones become shorter slowly, residuals are large and curved: the model
  // learns of it.
  bool curve() {
    if (!limits_.acceleration) return false;
    const Fit& at = search_.at;
    const Tensor hessians =
        residuals_.weighted_hessian(at.x, astype(at.residuals / at.norm, residuals_.dtype()));
    if (!hessians.defined()) return false;
    auto curved = model_->curved(hessians);
    if (curved) model_ = std::move(curved);
    return curved.has_value();
  }

  // To a point that lowers the sum of squares; false where there is none.
  bool advance() {
    const Fit& at = search_.at;
    bool is_drowned = false, is_wall = false;
    const bool is_curved = wants_curved_ && curve();
    for (int trial = 0; trial < kTrials; ++trial) {
      const auto [q, damping] = steps_.propose(*model_);
      const Numbers bent_q = is_curved ? q : bent(q, damping);
      const double promise = model_->promise(q);
      const Tensor x = astype(astype(at.x, DType::float64) + model_->step(bent_q), at.x.dtype());
      if (item<bool>(all(x == at.x))) {  // as near as the dtype comes
        is_drowned |= trial == 0 && damping == 0;
        break;
      }
      Fit next = evaluated(x);
      is_drowned = promise * at.norm <= 20 * noise_;
      is_wall = !std::isfinite(next.norm) || (is_drowned && !differentiate(next));
      double kept = -kInfinity;
      if (!is_wall) {
        kept = (is_drowned ? change_by_slopes(next) : (1 - next.norm / at.norm) * (1 + next.norm / at.norm)) /
               promise;
        if (kept > 1e-4) is_wall = !differentiate(next);
      }
      const bool is_cut = steps_.is_cut();
      steps_.judge(is_wall ? -kInfinity : kept, length(q));
      if (!is_wall && kept > 1e-4) {
        const double step = length(bent_q);
        const bool is_misled = kept < 0.9 && (trial > 0 || was_rejected_);
        const bool is_slow = damping == 0 && is_undamped_ && step > kSlow * last_step_;
        wants_curved_ = is_curved ? trial == 0 && kept > 0.25 : is_misled || is_slow;
        was_rejected_ = trial > 0;
        is_undamped_ = damping == 0;
        last_step_ = is_cut ? kInfinity : step;
        search_.at = std::move(next);
        return true;
      }
      if (is_drowned && trial > 0 && length(q) <= xtol() * size_) break;
    }
    if (at.norm <= std::pow(residuals_.epsilon(), 0.75) * std::min(1.0, first_norm_))
      return !finish(End::zero,
                     "the norm of the residuals is " + digits(at.norm, 3) + ", and no step lowers it");
    if (is_drowned && !is_wall && !steps_.is_cut())
      return !finish(End::rounding, "no step lowers the sum of squares by more than rounding shows");
    return !finish(End::no_step,
                   is_wall ? "no step lowers the sum of squares: steps lead to where the residuals or "
                             "their derivatives are not finite"
                   : is_drowned
                       ? "no part of a step lowers the sum of squares by more than rounding shows: the "
                         "linear model is of no use here (use lm)"
                       : "no step lowers the sum of squares as their Jacobian promises: the residuals "
                         "are not smooth here, or a rule of their derivatives is wrong");
  }

  // The part that the sum of squares loses on the way to a point, by the slopes at both ends.
  double change_by_slopes(const Fit& next) const {
    const Tensor along = astype(next.x, DType::float64) - astype(search_.at.x, DType::float64);
    const Tensor slope = matmul(next.residuals / search_.at.norm, next.jacobian);
    return -dot(gradient_ + slope, along / search_.at.norm);
  }

  Residuals& residuals_;
  Steps& steps_;
  const Limits& limits_;
  Search search_;
  double first_norm_ = 0;
  Tensor gradient_;  // of the cost, divided by the norm
  std::optional<LinearModel> model_;
  double size_ = 0;                                  // the point's length
  double noise_ = 0;                                 // in the residuals
  double last_step_ = kInfinity;                     // its length
  bool is_undamped_ = false, was_rejected_ = false;  // what it was, and what trials were before it
  bool wants_curved_ = false;                        // whether a model without curvature misled it
};

}  // namespace

Search search(Residuals& residuals, Steps& steps, const Limits& limits,
              const std::function<bool(const Search&)>& accepted) {
  return Searcher(residuals, steps, limits).run(accepted);
}

}  // namespace tidu::optim
