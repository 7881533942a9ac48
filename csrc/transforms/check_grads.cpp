// Checking derivatives against differences.
#include "transforms/check_grads.h"

#include <algorithm>
#include <limits>

#include "base/digits.h"
#include "ops/complex.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kMostElements = 4096;  // that are looked at one by one

Tensor wide(const Tensor& x) { return astype(x, DType::float64); }

double dot(const Tensors& xs, const Tensors& ys) {
  double total = 0;
  for (size_t i = 0; i < xs.size(); ++i) total += item<double>(sum(wide(xs[i]) * wide(ys[i])));
  return total;
}

Tensors absolute(const Tensors& xs) {
  Tensors result;
  for (const Tensor& x : xs) result.push_back(abs(x));
  return result;
}

int binary_digits(DType dtype) {
  return dtype == DType::float64 ? 53 : dtype == DType::float32 ? 24 : dtype == DType::float16 ? 11 : 8;
}

// Numbers that a relative step suits better: from here on, the power of two below their size; else 1.
constexpr double kLarge = 1024;
Tensor scale_of(const Tensor& x) {
  const Tensor size = abs(wide(x)), large = logical_and(size > kLarge, isfinite(size));
  return where(large, exp2(floor(log2(where(large, size, 1.0)))), 1.0);
}

// Of the finite elements.
double largest(const Tensor& x) {
  if (x.numel() == 0) return 0;
  const Tensor size = abs(wide(x));
  return item<double>(max(where(isfinite(size), size, 0.0)));
}

class Checker {
 public:
  Checker(const Tensors& primals, const CheckGradsOptions& options)
      : options_(options), key_(random_key(options.seed)) {
    const bool narrow =
        std::ranges::any_of(primals, [](const Tensor& x) { return x.dtype() != DType::float64; });
    atol_ = options.atol.value_or(narrow ? 2e-2 : 1e-6);
    rtol_ = options.rtol.value_or(narrow ? 2e-2 : 1e-6);
    eps_ = options.eps.value_or(narrow ? 1e-2 : 1e-4);
  }

  // The first fault, in words; empty where there is none. `least`: what differences may make of how that is
  // rounded which the function is the derivative of, where there is a zero.
  std::string check(const Function& function, const Tensors& inputs, int order, const std::string& name,
                    double least = 0) {
    const Function flat = [&function](const Tensors& at) {
      Tensors outputs = function(at);
      std::erase_if(outputs, [](const Tensor& y) { return !is_differentiable(y.dtype()); });
      return outputs;
    };
    const Tensors outputs = flat(inputs);
    for (const Tensor& value : outputs)
      least = std::max(least, std::ldexp(8 * largest(value), -binary_digits(value.dtype())) / eps_);
    least_ = least;
    const Tensors tangents = exact(inputs, directions_like(inputs)), cotangents = directions_like(outputs);
    const Slopes expected = differences(flat, inputs, tangents), known = certain(outputs);
    std::string fault;
    if (options_.forward) {
      const Jvp along = jvp(flat, inputs, tangents);
      fault = first(fault, [&] { return compare(along.tangents, expected, "jvp of " + name); });
      fault = first(fault, [&] { return compare(along.outputs, known, "value of " + name + " under jvp"); });
    }
    if (options_.reverse && fault.empty()) {
      const Vjp at = vjp(flat, inputs);
      fault = compare(at.outputs, known, "value of " + name + " under vjp");
      const Tensors pulled = at.pullback(cotangents);
      // Beside a large gradient a small one tells nothing: those are looked at by themselves.
      Slopes along = expected;
      for (Tensors direction = tangents; fault.empty() && !direction.empty();) {
        fault = compare_pulled(flat, inputs, pulled, direction, cotangents, along, name);
        direction = among_small(direction, pulled);
        if (!direction.empty()) along = differences(flat, inputs, direction);
      }
    }
    if (order <= 1) return fault;
    if (options_.forward) {
      const Function forward = [&](const Tensors& at) { return jvp(flat, at, tangents).tangents; };
      fault = first(fault, [&] { return check(forward, inputs, order - 1, "jvp(" + name + ")", least); });
    }
    if (options_.reverse) {
      const Function reverse = [&](const Tensors& at) { return vjp(flat, at).pullback(cotangents); };
      fault = first(fault, [&] { return check(reverse, inputs, order - 1, "vjp(" + name + ")", least); });
    }
    return fault;
  }

 private:
  // `fault`, or where there is none what comes next.
  static std::string first(const std::string& fault, const auto& next) {
    return fault.empty() ? next() : fault;
  }

  // Derivatives by differences, how far off they may be by rounding, and how far those of steps of two
  // lengths are apart: which shows how much is lost in what the function computes on the way.
  struct Slopes {
    Tensors values, errors, doubts;
  };

  // Values, which are known but for the rounding of modes that compute them in another way.
  Slopes certain(const Tensors& values) const {
    Slopes result{values, {}, {}};
    for (const Tensor& value : values) {
      const Tensor size = where(isfinite(value), abs(wide(value)), 0.0);
      result.errors.push_back(size * std::ldexp(8, -binary_digits(value.dtype())));
      result.doubts.push_back(size * rtol_);
    }
    return result;
  }

  // What differs by no more than that is no fault, if `doubt` is as little known of what is compared.
  double slack(double doubt) const {
    const double most = 8 * (std::isfinite(doubt) ? doubt : 0) + least_;
    return options_.atol ? atol_ : std::min(atol_, most);
  }

  // The direction without elements whose gradient is more than a thousandth of the largest; none if none are
  // left.
  Tensors among_small(const Tensors& direction, const Tensors& gradients) const {
    constexpr double kSmall = 1e-3;
    double most = 0;
    for (size_t i = 0; i < gradients.size(); ++i) {
      most = std::max(most, largest(where(direction[i] != 0, gradients[i], 0.0)));
    }
    Tensors result;
    bool any_left = false;
    for (size_t i = 0; i < gradients.size(); ++i) {
      const Tensor small = abs(wide(gradients[i])) < kSmall * most;
      result.push_back(where(small, direction[i], 0.0));
      any_left |= item<bool>(any(result[i] != 0));
    }
    return any_left ? result : Tensors{};
  }

  // The steps to try, from long to short. Where some numbers are large, functions may change with these as
  // they do elsewhere, or in proportion, or anything between.
  std::vector<double> steps_at(const Tensors& inputs) const {
    double most = 1;
    int digits = 53;
    for (const Tensor& x : inputs) {
      if (x.numel() > 0) most = std::max(most, item<double>(max(scale_of(x))));
      digits = std::min(digits, binary_digits(x.dtype()));
    }
    const double shortest =
        most == 1 ? eps_ : std::min(eps_, std::max(eps_ / most, std::ldexp(1, 6 - digits)));
    std::vector<double> steps;
    for (double step = eps_; step > shortest; step /= 64) steps.push_back(step);
    steps.push_back(shortest);
    return steps;
  }

  // Directions along which large numbers move in proportion, and each by what is a number exactly.
  Tensors exact(const Tensors& inputs, const Tensors& directions) const {
    const std::vector<double> steps = steps_at(inputs);
    if (steps.size() == 1) return directions;
    Tensors result;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor size = abs(wide(inputs[i]));
      const Tensor grid =
          exp2(floor(log2(where(size > 0, size, 1.0)))) * std::ldexp(1, 3 - binary_digits(inputs[i].dtype()));
      const Tensor unit = grid / steps.back(), whole = wide(directions[i]) * scale_of(inputs[i]);
      result.push_back(astype(where(isfinite(unit), round(whole / unit) * unit, whole), inputs[i].dtype()));
    }
    return result;
  }

  Tensors directions_like(const Tensors& tensors) {
    Tensors result;
    for (const Tensor& x : tensors) {
      const Tensor keys = random_split(key_);
      key_ = keys[0];
      result.push_back(
          astype(random_normal(to(keys[1], x.device()), x.shape(), 0, 1, DType::float64), x.dtype()));
    }
    return result;
  }

  // The derivative in a direction by the five-point formula, whose error is of fourth order in the step. Of
  // several steps the shortest comes first, which is the most like a limit; a longer one replaces it, element
  // by element, where it agrees with it and is less lost in rounding.
  Slopes differences(const Function& flat, const Tensors& inputs, const Tensors& direction) const {
    const std::vector<double> steps = steps_at(inputs);
    Slopes best;
    for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
      const auto moved = [&](double length) {
        Tensors at;
        for (size_t i = 0; i < inputs.size(); ++i) at.push_back(inputs[i] + length * direction[i]);
        return flat(at);
      };
      const Tensors above = moved(*step), below = moved(-*step), far_above = moved(2 * *step),
                    far_below = moved(-2 * *step);
      for (size_t i = 0; i < above.size(); ++i) {
        const Tensor near = (above[i] - below[i]) / (2 * *step);
        const Tensor far = (far_above[i] - far_below[i]) / (4 * *step);
        const Tensor value = (4 * near - far) / 3;
        // What is computed of large numbers on the way is rounded as they are.
        Tensor size = maximum(abs(wide(above[i])), abs(wide(below[i])));
        if (steps.size() > 1) size = size + abs(wide(value));
        const Tensor error = size * (std::ldexp(8, -binary_digits(above[i].dtype())) / *step);
        const Tensor doubt = abs(wide(near) - wide(far));
        if (step == steps.rbegin()) {
          best.values.push_back(value), best.errors.push_back(error), best.doubts.push_back(doubt);
          continue;
        }
        const Tensor unknown = best.doubts[i] + best.errors[i];
        const Tensor agrees = abs(wide(value) - wide(best.values[i])) <= 4 * unknown;
        const Tensor better = logical_and(agrees, doubt + error < unknown);
        best.values[i] = where(better, value, best.values[i]);
        best.errors[i] = where(better, error, best.errors[i]);
        best.doubts[i] = where(better, doubt, best.doubts[i]);
      }
    }
    return best;
  }

  // How far elements differ, in tolerances: infinitely where only one is NaN or infinite.
  Tensor excess_of(const Tensor& got, const Tensor& want, const Tensor& error) const {
    const Tensor a = wide(got), b = wide(want);
    const Tensor excess = abs(a - b) / (rtol_ * abs(b) + error);
    const Tensor same = logical_or(a == b, logical_and(isnan(a), isnan(b)));
    const Tensor counted = where(same, 0.0, excess);
    return where(isnan(counted), kInfinity, counted);
  }

  // The element with the largest excess, in words.
  static std::string worst(const Tensor& got, const Tensor& want, const Tensor& excess) {
    int64_t element = item<int64_t>(argmax(excess));
    const double a = item<double>(flatten(got)[element]), b = item<double>(flatten(want)[element]);
    Dims index(int64_t{excess.ndim()}, 0);
    for (int axis = excess.ndim(); axis-- > 0; element /= excess.size(axis))
      index[axis] = element % excess.size(axis);
    const bool finite = std::isfinite(a) && std::isfinite(b);
    const int exponent = finite && b != 0 ? std::ilogb(b) + 1 : -1021;
    const double ulp = finite ? std::ldexp(1, exponent - binary_digits(got.dtype()))
                              : std::numeric_limits<double>::quiet_NaN();
    return str("element ", index, " is ", digits(a, 12), " but ", digits(b, 12), " by differences, ",
               digits(std::abs(a - b) / ulp, 3), " ulps away");
  }

  std::string compare(const Tensors& got, const Slopes& want, const std::string& what) const {
    for (size_t o = 0; o < got.size(); ++o) {
      const Tensor& value = want.values[o];
      if (got[o].shape() != value.shape())
        return str(what, ", output ", o, ": shape ", got[o].shape(), " but must be ", value.shape());
      const double doubt = largest(want.doubts[o]);
      const Tensor excess = excess_of(got[o], value, want.errors[o] + slack(doubt));
      const auto count = item<int64_t>(sum(excess > 1));
      if (count == 0) continue;
      return str(what, ", output ", o, ": ", worst(got[o], value, excess), " (atol ", digits(slack(doubt), 2),
                 ", rtol ", digits(rtol_, 6), "; ", count, " of ", got[o].numel(), " differ)");
    }
    return {};
  }

  // Of reverse mode: <v^T J, tangent> against <v, J tangent>.
  std::string compare_pulled(const Function& flat, const Tensors& inputs, const Tensors& pulled,
                             const Tensors& tangents, const Tensors& cotangents, const Slopes& expected,
                             const std::string& name) const {
    const double got = dot(pulled, tangents), want = dot(cotangents, expected.values);
    const Tensors weights = absolute(cotangents);
    const double tolerance = slack(dot(expected.doubts, weights)) +
                             rtol_ * dot(absolute(expected.values), weights) + dot(expected.errors, weights);
    if (std::abs(got - want) <= tolerance) return {};
    return str("vjp of ", name, ": <cotangent, J tangent> is ", digits(got, 9), " by reverse mode but ",
               digits(want, 9), " by differences (tolerance ", digits(tolerance, 2), ")",
               worst_pulled(flat, inputs, cotangents, pulled));
  }

  // The worst element of what reverse mode gives, found by differences along each axis.
  std::string worst_pulled(const Function& flat, const Tensors& inputs, const Tensors& cotangents,
                           const Tensors& pulled) const {
    int64_t size = 0;
    for (const Tensor& x : inputs) size += x.numel();
    if (size > kMostElements) return {};
    double most = -1;
    std::string text;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor& x = inputs[i];
      std::vector<double> slopes, errors;
      for (int64_t k = 0; k < x.numel(); ++k) {
        Tensors direction;
        for (const Tensor& y : inputs) direction.push_back(zeros_like(y));
        direction[i] = reshape(astype(arange(x.numel(), kDefaultInt, x.device()) == k, x.dtype()), x.shape());
        direction = exact(inputs, direction);
        const auto length = item<double>(sum(wide(direction[i])));
        const Slopes along = differences(flat, inputs, direction);
        const Tensors weights = absolute(cotangents);
        slopes.push_back(dot(cotangents, along.values) / length);
        errors.push_back((dot(weights, along.errors) + slack(dot(weights, along.doubts))) / length);
      }
      if (slopes.empty()) continue;
      const Tensor want = tensor(std::span<const double>(slopes), x.shape(), x.device());
      const Tensor error = tensor(std::span<const double>(errors), x.shape(), x.device());
      const Tensor excess = excess_of(pulled[i], want, error);
      if (item<double>(max(excess)) < most) continue;
      most = item<double>(max(excess));
      text = str("; of input ", i, ", ", worst(pulled[i], want, excess));
    }
    return text;
  }

  const CheckGradsOptions& options_;
  Tensor key_;
  double atol_, rtol_, eps_;
  double least_ = 0;
};

}  // namespace

std::string check_grads(const Function& function, const Tensors& primals, const CheckGradsOptions& options) {
  // Derivatives of complex numbers are those of their parts.
  const auto parts_of = [](const Tensors& tensors) {
    Tensors parts;
    for (const Tensor& x : tensors)
      parts.push_back(x.defined() && is_complex(x.dtype()) ? view_as_real(x) : x);
    return parts;
  };
  const Function of_parts = [&](const Tensors& parts) {
    Tensors inputs;
    for (size_t i = 0; i < parts.size(); ++i)
      inputs.push_back(is_complex(primals[i].dtype()) ? view_as_complex(parts[i]) : parts[i]);
    return parts_of(function(inputs));
  };
  const Tensors parts = parts_of(primals);
  return Checker(parts, options).check(of_parts, parts, options.order, options.name);
}

}  // namespace tidu
