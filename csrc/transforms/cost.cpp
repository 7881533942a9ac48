// Recording a function and its derivatives, and counting.
#include "transforms/cost.h"

#include <algorithm>

#include "compile/executable.h"
#include "compile/simplify.h"
#include "program/recorder.h"
#include "transforms/jacobian.h"

namespace tidu {
namespace {

// A derivative of a function at primals, and along a vector where it is along one.
using Derived = Tensors (*)(const Function& function, const Tensors& primals, const Tensors& vector);

ScalarFunction scalar(const Function& function) {
  return [&function](const Tensors& inputs) { return function(inputs).at(0); };
}

Tensors flat(const Blocks& blocks) {
  Tensors result;
  for (const Tensors& row : blocks) result.insert(result.end(), row.begin(), row.end());
  return result;
}

bool has_derivative(const Spec& spec) { return is_differentiable(spec.dtype); }

}  // namespace

std::vector<NamedCost> cost(const Function& function, const Tensors& primals, const Tensors& others,
                            bool matrix) {
  std::vector<Spec> given;
  for (const Tensors* tensors : {&primals, &others}) {
    for (const Tensor& tensor : *tensors) given.push_back(tensor.spec());
  }
  std::vector<NamedCost> costs;
  std::vector<Spec> results;
  const auto count = [&](const char* name, Derived derived, std::span<const Spec> vector = {}) {
    std::vector<Spec> all = given;
    all.insert(all.end(), vector.begin(), vector.end());
    const Program program = record(
        [&](const Tensors& inputs) {
          const auto begin = inputs.begin(), fixed = begin + static_cast<int64_t>(primals.size()),
                     along = begin + static_cast<int64_t>(given.size());
          const Function of_primals = [&](const Tensors& moving) {
            Tensors arguments = moving;
            arguments.insert(arguments.end(), fixed, along);
            Tensors values = function(arguments);
            // Others have no derivatives.
            if (!costs.empty())
              std::erase_if(values, [](const Tensor& value) { return !has_derivative(value.spec()); });
            return values;
          };
          return derived(of_primals, Tensors(begin, fixed), Tensors(along, inputs.end()));
        },
        all);
    costs.push_back({name, cost_of(simplify(program)), Executable(program).peak_bytes()});
    results.clear();
    for (int variable : program.outputs) results.push_back(program.variables[variable]);
  };

  count("f", [](const Function& f, const Tensors& x, const Tensors&) { return f(x); });
  const bool is_scalar = results.size() == 1 && num_elements(results[0].shape) == 1;
  std::erase_if(results, [](const Spec& spec) { return !has_derivative(spec); });
  if (results.empty() || primals.empty()) return costs;
  const std::span<const Spec> directions(given.data(), primals.size());
  if (is_scalar) {
    count("gradient", [](const Function& f, const Tensors& x, const Tensors&) {
      return value_and_grad(scalar(f), x).gradients;
    });
    count(
        "hvp", [](const Function& f, const Tensors& x, const Tensors& v) { return hvp(scalar(f), x, v); },
        directions);
    if (!matrix) return costs;
    count("hessian",
          [](const Function& f, const Tensors& x, const Tensors&) { return flat(hessian(scalar(f), x)); });
  } else {
    const std::vector<Spec> cotangents = results;
    count(
        "jvp", [](const Function& f, const Tensors& x, const Tensors& v) { return jvp(f, x, v).tangents; },
        directions);
    count(
        "vjp", [](const Function& f, const Tensors& x, const Tensors& v) { return vjp(f, x).pullback(v); },
        cotangents);
    if (!matrix) return costs;
    count("jacobian",
          [](const Function& f, const Tensors& x, const Tensors&) { return flat(jacobian(f, x)); });
  }
  return costs;
}

}  // namespace tidu
