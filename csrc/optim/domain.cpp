// Tensors as one vector, points and parameters.
#include "optim/domain.h"

#include <algorithm>
#include <cmath>

#include "core/trace.h"
#include "ops/assign.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "transforms/joined.h"

namespace tidu::optim {
namespace {

double epsilon_of(DType dtype) {
  return dtype == DType::float64   ? 0x1p-52
         : dtype == DType::float32 ? 0x1p-23
         : dtype == DType::float16 ? 0x1p-10
                                   : 0x1p-7;
}

}  // namespace

double dot(const Tensor& a, const Tensor& b) {
  return item<double>(sum(astype(a, DType::float64) * astype(b, DType::float64)));
}

double norm(const Tensor& x) {
  if (x.numel() == 0) return 0;
  const double largest = item<double>(max(abs(x)));
  if (largest == 0 || !std::isfinite(largest)) return largest;
  const Tensor scaled = astype(x, DType::float64) / largest;
  return largest * std::sqrt(dot(scaled, scaled));
}

Domain::Domain(Tensors leaves)
    : leaves_(std::move(leaves)), dtype_(DType::float32), epsilon_(leaves_.empty() ? 0x1p-23 : 0) {
  for (const Tensor& leaf : leaves_) {
    dtype_ = promote(dtype_, leaf.dtype());
    coarsen(leaf.dtype());
  }
}

void Domain::coarsen(DType dtype) { epsilon_ = std::max(epsilon_, epsilon_of(dtype)); }

Tensor Domain::start() const { return join(leaves_, dtype_); }
Tensors Domain::split(const Tensor& vector) const { return split_like(vector, leaves_); }

void check_numbers(const Tensors& found, const std::string& op, Differentiated free) {
  for (const Tensor& tensor : found) {
    if (tensor.is_abstract()) {
      fail<TraceError>("[", op, "] looks at values, but that of ", describe(tensor),
                       " is not known while a program is recorded, as by vmap (use vmap with ",
                       "control=\"loop\", or implicit.root, which can be recorded)");
    }
    if (differentiated(tensor) > free) {
      fail<GradientError>("[", op, "] ", describe(tensor), " is being differentiated, but what is found has ",
                          "no derivative by it (implicit.argmin and implicit.root give solutions that have; ",
                          "or pass x.detach() or stop_gradient(x) where none is meant)");
    }
  }
}

Tensors detached(const Tensors& primals, const char* op) {
  Tensors result;
  for (const Tensor& primal : primals) {
    if (!is_floating(primal.dtype())) {
      fail<DTypeError>("[", op, "] the point holds ", describe(primal),
                       ": only floating-point tensors can be differentiated (convert it with astype)");
    }
    check_numbers({primal}, op, Differentiated::leaf);
    result.push_back(stop_gradient(primal));
  }
  return result;
}

void check_parameters(const Tensors& parameters, const std::string& op) {
  if (parameters.empty()) fail<ValueError>("[", op, "] there are no parameters");
  for (const Tensor& parameter : parameters) {
    if (!parameter.defined() || !is_floating(parameter.dtype()) || !parameter.is_leaf())
      fail<ValueError>("[", op, "] a parameter must be a floating-point leaf, not ", describe(parameter));
  }
}

std::vector<int64_t> trained_numbers(const Tensors& parameters) {
  std::vector<int64_t> numbers;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].requires_grad()) numbers.push_back(static_cast<int64_t>(i));
  }
  return numbers;
}

Tensors numbered(const Tensors& parameters, const std::vector<int64_t>& numbers) {
  Tensors chosen;
  for (const int64_t i : numbers) chosen.push_back(parameters[static_cast<size_t>(i)]);
  return chosen;
}

std::vector<int64_t> numbers_in_state(const std::map<std::string, Tensor>& state, const Tensors& parameters,
                                      const std::string& op) {
  if (!state.contains("trained")) fail<ValueError>("[", op, "] the state lacks 'trained'");
  std::vector<int64_t> numbers = to_vector<int64_t>(state.at("trained"));
  for (const int64_t i : numbers) {
    if (i < 0 || i >= std::ssize(parameters))
      fail<ValueError>("[", op, "] the state is of more parameters than ", parameters.size());
  }
  return numbers;
}

void put(const Tensors& parameters, const Tensors& values) {
  const GradMode off(false);
  for (size_t i = 0; i < values.size(); ++i) {
    parameters[i].set_grad({});
    Tensor place = parameters[i];
    assign(place, values[i]);
  }
}

}  // namespace tidu::optim
