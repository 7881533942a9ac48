// What a function is like at a point.
#include "transforms/points.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/digits.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/spectral.h"
#include "transforms/jacobian.h"
#include "transforms/joined.h"

namespace tidu {
namespace {

constexpr int64_t kMostAxes = 64;
constexpr size_t kFew = 3;         // of the shortest steps, at which values must be finite
constexpr double kClear = 32;      // times its error that a limit must be not to be 0
constexpr double kSame = 8;        // times what they may be off that slopes may differ
constexpr double kSettled = 1e-6;  // of a slope, up to which it may still change
constexpr double kExpected = 64;   // epsilons that values are expected to be off
constexpr double kRounded = 0.6;   // the power of epsilon, beside what is added, up to which rounding may go

using Vector = std::vector<double>;

// Tensors as one vector on the host, and back.
Vector vector_of(const Tensors& tensors) { return to_vector<double>(join(tensors, DType::float64)); }
Tensors tensors_of(const Vector& vector, const Tensors& like) {
  return split_like(tensor(std::span(vector), {std::ssize(vector)}), like);
}

double dot(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
double magnitude(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] * b[i]);
  return sum;
}
Vector times(const Vector& a, const Vector& b) {
  Vector result = a;
  for (size_t i = 0; i < a.size(); ++i) result[i] *= b[i];
  return result;
}
Vector times(double a, Vector b) {
  for (double& x : b) x *= a;
  return b;
}

std::string text_of(double number) { return digits(number + 0.0, 9); }

// A function of tensors as one of vectors. The unit of length along an axis is the size of x there, or 1
// where x is 0.
class Differences {
 public:
  Differences(const Function& function, const Tensors& primals) {
    for (const Tensor& primal : primals) inputs_.push_back(astype(stop_gradient(primal), DType::float64));
    function_ = [&function](const Tensors& inputs) {
      Tensors outputs = function(inputs);
      std::erase_if(outputs, [](const Tensor& output) { return !is_differentiable(output.dtype()); });
      return outputs;
    };
    const Tensors outputs = function_(inputs_);
    if (outputs.empty())
      fail<DTypeError>("[is_differentiable_at] the function must return a floating-point tensor");
    x_ = vector_of(inputs_);
    y_ = vector_of(outputs);
    for (double x : x_) unit_.push_back(x == 0 ? 1 : std::abs(x));
    const bool wide =
        std::ranges::all_of(outputs, [](const Tensor& output) { return output.dtype() == DType::float64; });
    epsilon_ = wide ? 0x1p-52 : 0x1p-23;
    for (int power = wide ? 4 : 2; power <= (wide ? 46 : 20); power += 2)
      steps_.push_back(std::ldexp(1, -power));
  }

  size_t size() const { return x_.size(); }
  bool is_finite() const {
    return std::ranges::all_of(y_, [](double y) { return std::isfinite(y); });
  }

  // The objection that the modes differ; empty where there is none.
  std::string compare_modes(const Vector& direction) const {
    const Vjp reverse = vjp(function_, inputs_);
    const Vector v = times(direction, unit_);
    Vector w(y_.size());
    for (size_t i = 0; i < w.size(); ++i) w[i] = std::cos(static_cast<double>(i));
    const Vector pushed = slope(v), pulled = vector_of(reverse.pullback(tensors_of(w, reverse.outputs)));
    const double by_forward = dot(w, pushed), by_reverse = dot(pulled, v);
    const double scale = magnitude(w, pushed) + magnitude(pulled, v);
    if (std::abs(by_forward - by_reverse) <= 0x1p16 * epsilon_ * scale && std::isfinite(scale)) return {};
    return str("forward mode gives ", text_of(by_forward), " where reverse mode gives ", text_of(by_reverse));
  }

  // The objection to the partial derivatives by one element.
  std::string compare_partial(size_t axis) const {
    const Vector up = unit_vector(axis), down = times(-1, up), of_modes = slope(times(up, unit_));
    const std::vector<Fit> above = fit(up, {}, of_modes, {}), below = fit(down, {}, times(-1, of_modes), {});
    const auto fits = [&](size_t i) { return above[i].good && below[i].good; };
    // Perhaps there is another derivative than that of the modes.
    const auto exists = [&](size_t i) {
      return above[i].settled && below[i].settled &&
             std::abs(above[i].slope + below[i].slope) <= kSame * (above[i].doubt + below[i].doubt);
    };
    size_t at = 0;
    while (at < y_.size() && fits(at)) ++at;
    if (at == y_.size()) return {};
    for (size_t i = y_.size(); i-- > at;) {
      if (!fits(i) && !exists(i)) at = i;
    }
    const std::string name = str("the partial derivative of result ", at, " by element ", axis);
    if (exists(at)) {
      return str(name, " is ", text_of((above[at].slope - below[at].slope) / 2 / unit_[axis]),
                 " by differences but ", text_of(of_modes[at] / unit_[axis]), " by the modes");
    }
    return str(name, " does not exist: differences give ", text_of(above[at].slope / unit_[axis]),
               " above and ", text_of(-below[at].slope / unit_[axis]), " below");
  }

  // The objection to the linear model on the path x + h direction + h^2 bend.
  std::string compare_path(const Vector& direction, const Vector& bend, const std::string& name) const {
    const Vector along = slope(times(direction, unit_));
    const Vector bent = bend.empty() ? Vector() : slope(times(bend, unit_));
    const std::vector<Fit> found = fit(direction, bend, along, bent);
    for (size_t i = 0; i < y_.size(); ++i) {
      if (found[i].good) continue;
      return str(name, " result ", i, " changes by ", text_of(found[i].slope),
                 " a step, where its partial derivatives give ", text_of(along[i]));
    }
    return {};
  }

  Vector unit_vector(size_t axis) const {
    Vector result(x_.size());
    result[axis] = 1;
    return result;
  }

 private:
  // Of a result, whether what a linear model leaves of the differences seems to go to 0 with the steps; the
  // difference a unit of length where it is known best, how far it may be off, and whether it has a limit.
  struct Fit {
    bool good, settled;
    double slope, doubt;
  };

  Vector slope(const Vector& direction) const {
    return vector_of(jvp(function_, inputs_, tensors_of(direction, inputs_)).tangents);
  }

  std::vector<Fit> fit(const Vector& direction, const Vector& bend, const Vector& along,
                       const Vector& bent) const {
    std::vector<Vector> left, noise, change;  // of each step
    for (const double h : steps_) {
      Vector moved = x_;
      for (size_t i = 0; i < moved.size(); ++i)
        moved[i] += h * unit_[i] * (direction[i] + (bend.empty() ? 0 : h * bend[i]));
      const Vector value = vector_of(function_(tensors_of(moved, inputs_)));
      left.emplace_back(y_.size());
      noise.emplace_back(y_.size());
      change.emplace_back(y_.size());
      for (size_t i = 0; i < y_.size(); ++i) {
        change.back()[i] = std::abs(value[i] - y_[i]);
        const double quotient = (value[i] - y_[i]) / h;
        left.back()[i] = quotient - along[i] - (bent.empty() ? 0 : h * bent[i]);
        noise.back()[i] =
            kExpected * epsilon_ * (std::abs(value[i]) + std::abs(y_[i]) + std::abs(quotient)) / h;
      }
    }
    std::vector<Fit> result;
    for (size_t i = 0; i < y_.size(); ++i) result.push_back(fit_one(i, left, noise, change, along[i]));
    return result;
  }

  // What is left at a step and at a quarter of it, extrapolated, lacks its linear part. Where that and the
  // error by rounding are least together, it must not be many times the error: what falls with a power of the
  // steps does so until it meets the error.
  Fit fit_one(size_t i, const std::vector<Vector>& left, const std::vector<Vector>& noise,
              const std::vector<Vector>& change, double along) const {
    const size_t count = steps_.size();
    const double rounded = rounding_of(i, left, noise, change);
    const auto extrapolated = [&](size_t s) { return (4 * left[s][i] - left[s - 1][i]) / 3; };
    double least = std::numeric_limits<double>::infinity();
    Fit best{false, false, std::numeric_limits<double>::quiet_NaN(), least};
    for (size_t s = 1; s + 1 < count; ++s) {
      const double rest = std::max(std::abs(extrapolated(s)), std::abs(extrapolated(s + 1)));
      const double error =
          std::max({noise[s - 1][i], noise[s][i], noise[s + 1][i], 4 * rounded / steps_[s + 1]});
      if (rest + error < least) {
        least = rest + error;
        best.good = rest <= kClear * error;
      }
      const double doubt = std::abs(extrapolated(s + 1) - extrapolated(s)) + error;
      if (!(doubt < best.doubt)) continue;
      best.doubt = doubt;
      best.slope = along + extrapolated(s + 1);
      best.settled = doubt <= kClear * error + kSettled * (std::abs(best.slope) + std::abs(along));
    }
    for (size_t s = count - kFew; s < count; ++s) best.good = best.good && std::isfinite(left[s][i]);
    return best;
  }

  // How the function is rounded, as seen by its least change, and where what it lacks of its linear model no
  // longer falls with the steps.
  double rounding_of(size_t i, const std::vector<Vector>& left, const std::vector<Vector>& noise,
                     const std::vector<Vector>& change) const {
    const auto lacking = [&](size_t s) {
      return std::max(std::abs(left[s][i]) * steps_[s], std::abs(left[s + 1][i]) * steps_[s + 1]);
    };
    double least = std::numeric_limits<double>::infinity(), rounded = 0;
    for (const Vector& changes : change) {
      if (changes[i] > 0) least = std::min(least, changes[i]);
    }
    if (std::isfinite(least)) rounded = least;
    for (size_t s = 0; s + 3 < steps_.size(); ++s) {
      if (lacking(s + 2) > lacking(s) / 2) rounded = std::max(rounded, lacking(s + 2));
    }
    const double added = noise[0][i] * steps_[0] / (kExpected * epsilon_);
    return std::min(rounded, std::pow(epsilon_, kRounded) * added);
  }

  Function function_;
  Tensors inputs_;
  Vector x_, y_, unit_, steps_;
  double epsilon_;
};

}  // namespace

Differentiability is_differentiable_at(const Function& function, const Tensors& primals, int64_t directions,
                                       uint64_t seed) {
  const Differences differences(function, primals);
  const auto size = static_cast<int64_t>(differences.size());
  using enum Differentiability::Verdict;
  Differentiability report;
  const auto object = [&](std::string objection) {
    if (!objection.empty()) report.objections.push_back(std::move(objection));
  };
  // A derivative that does not exist is an objection of its own.
  const auto object_to = [&](const auto& compare) {
    try {
      object(compare());
    } catch (const GradientError& error) { object(error.what()); }
  };
  uint64_t drawn = 0;
  const auto random_direction = [&] {
    const Tensor key = random_fold_in(random_key(seed), drawn++);
    return to_vector<double>(random_normal(key, {size}, 0, 1, DType::float64));
  };
  std::vector<int64_t> axes = to_vector<int64_t>(random_permutation(random_key(seed), size));
  axes.resize(static_cast<size_t>(std::min(size, kMostAxes)));
  std::ranges::sort(axes);

  report.verdict = no;
  if (!differences.is_finite()) object("the value is not finite");
  if (report.objections.empty()) object_to([&] { return differences.compare_modes(random_direction()); });
  if (report.objections.empty()) {
    for (int64_t axis : axes)
      object_to([&] { return differences.compare_partial(static_cast<size_t>(axis)); });
  }
  if (!report.objections.empty()) return report;
  for (int64_t i = 0; i < directions; ++i)
    object(differences.compare_path(random_direction(), {}, "in a random direction"));
  for (int64_t axis : axes) {
    object(differences.compare_path(differences.unit_vector(static_cast<size_t>(axis)), random_direction(),
                                    str("on a path that leaves along axis ", axis)));
  }
  report.verdict = report.objections.empty() ? no_objection : partials_only;
  return report;
}

StationaryPoint classify_stationary_point(const ScalarFunction& function, const Tensors& primals,
                                          std::optional<double> rtol) {
  const auto norm = [](const Tensor& x) { return std::sqrt(item<double>(sum(x * x))); };
  const Tensor x = join(primals, DType::float64);
  if (x.numel() == 0) fail<ShapeError>("[classify_stationary_point] the point has no elements");
  const bool wide = std::ranges::all_of(primals, [](const Tensor& t) { return t.dtype() == DType::float64; });
  const double tolerance = rtol.value_or(std::sqrt(wide ? 0x1p-52 : 0x1p-23));
  const Tensor gradient = join(value_and_grad(function, primals).gradients, DType::float64);
  const Tensor hessian = hessian_matrix(function, primals);
  StationaryPoint point;
  point.gradient_norm = norm(gradient);
  const double hessian_norm = norm(hessian);
  if (!(std::isfinite(point.gradient_norm) && std::isfinite(hessian_norm)))
    fail<ValueError>("[classify_stationary_point] the gradient or the Hessian is not finite");
  if (point.gradient_norm > tolerance * hessian_norm * std::max(1.0, norm(x))) return point;

  const auto [eigenvalues, vectors] = linalg::eigh((hessian + matrix_transpose(hessian)) / 2);
  point.eigenvalues = eigenvalues;
  const Vector values = to_vector<double>(eigenvalues);
  double largest = 0;
  for (double value : values) largest = std::max(largest, std::abs(value));
  const double zero = tolerance * largest;
  for (size_t i = 0; i < values.size(); ++i) {
    std::vector<Tensors>& same = values[i] > zero ? point.up : values[i] < -zero ? point.down : point.flat;
    same.push_back(split_like(select(vectors, 1, static_cast<int64_t>(i)), primals));
  }
  using enum StationaryPoint::Kind;
  if (!point.up.empty() && !point.down.empty()) {
    point.kind = saddle;
  } else if (!point.flat.empty()) {
    point.kind = undecided;
  } else {
    point.kind = point.up.empty() ? maximum : minimum;
  }
  return point;
}

}  // namespace tidu
