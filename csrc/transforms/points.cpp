// What a function is like at a point.
#include "transforms/points.h"

#include <algorithm>
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
constexpr size_t kFew = 3;  // of the shortest steps, at which what is left must have vanished

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
    for (int power = wide ? 4 : 2; power <= (wide ? 24 : 10); power += wide ? 2 : 1)
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
    const Fit above = fit(up, {}, of_modes, {}), below = fit(down, {}, times(-1, of_modes), {});
    const auto fits = [&](size_t i) { return above.good[i] && below.good[i]; };
    size_t at = 0;
    while (at < y_.size() && fits(at)) ++at;
    if (at == y_.size()) return {};
    // Perhaps there is another derivative than that of the modes.
    Vector middle(y_.size());
    for (size_t i = 0; i < middle.size(); ++i) middle[i] = (above.last[i] - below.last[i]) / 2;
    const Fit other_above = fit(up, {}, middle, {}), other_below = fit(down, {}, times(-1, middle), {});
    const auto exists = [&](size_t i) { return other_above.good[i] && other_below.good[i]; };
    for (size_t i = y_.size(); i-- > at;) {
      if (!fits(i) && !exists(i)) at = i;
    }
    const std::string name = str("the partial derivative of result ", at, " by element ", axis);
    if (exists(at)) {
      return str(name, " is ", text_of(middle[at] / unit_[axis]), " by differences but ",
                 text_of(of_modes[at] / unit_[axis]), " by the modes");
    }
    return str(name, " does not exist: differences give ", text_of(above.last[at] / unit_[axis]),
               " above and ", text_of(-below.last[at] / unit_[axis]), " below");
  }

  // The objection to the linear model on the path x + h direction + h^2 bend.
  std::string compare_path(const Vector& direction, const Vector& bend, const std::string& name) const {
    const Vector along = slope(times(direction, unit_));
    const Vector bent = bend.empty() ? Vector() : slope(times(bend, unit_));
    const Fit found = fit(direction, bend, along, bent);
    for (size_t i = 0; i < y_.size(); ++i) {
      if (found.good[i]) continue;
      return str(name, " result ", i, " changes by ", text_of(found.last[i]),
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
  // Of each result, whether what a linear model leaves of the differences goes to 0 with the steps, and the
  // last difference a unit of length.
  struct Fit {
    std::vector<bool> good;
    Vector last;
  };

  Vector slope(const Vector& direction) const {
    return vector_of(jvp(function_, inputs_, tensors_of(direction, inputs_)).tangents);
  }

  Fit fit(const Vector& direction, const Vector& bend, const Vector& along, const Vector& bent) const {
    const size_t count = y_.size();
    Fit result{std::vector<bool>(count), Vector(count)};
    Vector first(count), last(count), noise(count);
    for (size_t s = 0; s < steps_.size(); ++s) {
      const double h = steps_[s];
      Vector moved = x_;
      for (size_t i = 0; i < moved.size(); ++i)
        moved[i] += h * unit_[i] * (direction[i] + (bend.empty() ? 0 : h * bend[i]));
      const Vector value = vector_of(function_(tensors_of(moved, inputs_)));
      for (size_t i = 0; i < count; ++i) {
        const double quotient = (value[i] - y_[i]) / h;
        const double left = std::abs(quotient - along[i] - (bent.empty() ? 0 : h * bent[i]));
        if (s + kFew < steps_.size()) {
          if (std::isfinite(left)) first[i] = std::max(first[i], left);
          continue;
        }
        if (!(left <= last[i]) && !std::isnan(last[i])) last[i] = left;
        const double rounded = std::abs(value[i]) + std::abs(y_[i]) + std::abs(quotient);
        noise[i] = std::max(noise[i], 64 * epsilon_ * rounded / h);
        result.last[i] = quotient;
      }
    }
    for (size_t i = 0; i < count; ++i) {
      const double small = noise[i] + 1e-5 * (std::abs(along[i]) + std::abs(result.last[i]));
      result.good[i] = std::isfinite(last[i]) && (last[i] <= small || last[i] <= first[i] / 4);
    }
    return result;
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
