// Collapsed Taylor mode over a recorded program.
#include "transforms/laplacian.h"

#include <algorithm>

#include "autodiff/rules.h"
#include "core/bind.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "program/recorder.h"
#include "transforms/closure.h"
#include "transforms/custom.h"
#include "transforms/jet.h"
#include "transforms/vmap.h"

namespace tidu {
namespace {

// The coefficients of one variable: of all directions from 1 on below the order (none: the variable is
// constant), and the weighted sum over the directions of that of the order; undefined where zero.
struct Series {
  std::vector<Lanes> below;
  Tensor sum;
  bool is_constant() const { return below.empty(); }
};

class Collapsed {
 public:
  Collapsed(const Program& program, int order, LaneRun run, Tensor weights)
      : program_(program), order_(order), run_(run), weights_(std::move(weights)) {}

  // The sums of the outputs along straight lines.
  Tensors operator()(const Tensor& x, const Lanes& directions) {
    values_.assign(program_.variables.size(), {});
    series_.assign(program_.variables.size(), {});
    values_[program_.inputs[0]] = x;
    for (const Program::Constant& constant : program_.constants) values_[constant.variable] = constant.value;
    Series& line = series_[program_.inputs[0]];
    line.below.assign(static_cast<size_t>(order_ - 1), {Lanes::shared, {}});
    line.below[0] = directions;
    const std::vector<size_t> last_uses = program_.last_uses();
    for (size_t now = 0; now < program_.instructions.size(); ++now) {
      const Program::Instruction& call = program_.instructions[now];
      advance(call);
      for (int variable : call.inputs) {
        if (last_uses[variable] == now) values_[variable] = {}, series_[variable] = {};
      }
    }
    Tensors result;
    for (int variable : program_.outputs) result.push_back(series_[variable].sum);
    return result;
  }

 private:
  void advance(const Program::Instruction& call);
  Tensors last_sums(const Program& last, const std::vector<Lanes>& given, bool pointwise) const;

  const Program& program_;
  const int order_;
  const LaneRun run_;
  const Tensor weights_;  // undefined: 1 each
  Tensors values_;
  std::vector<Series> series_;
};

// Few lanes at a time: only their sum is kept, so what it takes stays in a cache. What is diagonal and stays
// so is no more than its diagonal.
Tensors Collapsed::last_sums(const Program& last, const std::vector<Lanes>& given, bool pointwise) const {
  constexpr int64_t kBytes = 1 << 18;
  const bool is_small = pointwise && std::ranges::all_of(given, [](const Lanes& lanes) {
                          return lanes.kind == Lanes::diagonal;
                        });
  const int64_t step = is_small ? run_.size() : std::max<int64_t>(kBytes / (bytes_of_lane(last) / 2 + 1), 1);
  Tensors totals(last.outputs.size());
  for (int64_t begin = 0; begin < run_.size(); begin += step) {
    const LaneRun part = run_.part(begin, std::min(begin + step, run_.size()));
    std::vector<Lanes> some = given;
    for (Lanes& lanes : some) {
      if (lanes.kind == Lanes::apart) lanes.value = slice_axis(lanes.value, 0, begin, begin + part.size());
    }
    const std::vector<Lanes> lanes = part(last, some);
    for (size_t o = 0; o < totals.size(); ++o) {
      const Spec& one = last.variables[last.outputs[o]];
      Tensor sum;
      if (weights_.defined()) {
        const Tensor weights = slice_axis(weights_, 0, begin, begin + part.size());
        const Tensor rows = reshape(part.apart(lanes[o], one), {part.size(), num_elements(one.shape)});
        sum = reshape(matmul(astype(weights, one.dtype), rows), one.shape);
      } else {
        sum = part.sum(lanes[o], one);
      }
      totals[o] = accumulate(totals[o], sum);
    }
  }
  return totals;
}

void Collapsed::advance(const Program::Instruction& call) {
  const Tensors results = program_.run(call, values_);
  for (size_t o = 0; o < results.size(); ++o) values_[call.outputs[o]] = results[o];
  // Which inputs move, and the program of the coefficients of this one call.
  std::vector<size_t> moving;
  Reads bits = 0;
  std::vector<Lanes> given;
  std::vector<std::pair<size_t, size_t>> places;  // of what is given: the input, the coefficient
  Tensors sums(call.inputs.size()), inputs;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Series& series = series_[call.inputs[i]];
    inputs.push_back(values_[call.inputs[i]]);
    sums[i] = series.sum;
    if (series.is_constant() || !is_differentiable(inputs[i].dtype())) continue;
    moving.push_back(i);
    bits |= input_bit(i);
    for (size_t k = 0; k < series.below.size(); ++k) {
      if (series.below[k].kind == Lanes::shared && !series.below[k].value.defined()) continue;
      given.push_back(series.below[k]);
      places.emplace_back(moving.size() - 1, k);
    }
  }
  if (moving.empty() || !call.differentiable) return;
  const auto order = static_cast<size_t>(order_);
  // The derivative of a function with a rule of its own is found by calling it alone.
  const bool is_ruled =
      call.primitive == &primitives::custom_vjp || call.primitive == &primitives::custom_jvp;
  if (!is_ruled && std::holds_alternative<Zero>(call.primitive->derivative)) return;
  const bool is_linear = !is_ruled && !(reads_of(*call.primitive, bits) & (bits | kOutput | kFineOutput));
  const Function one_call = [&](const Tensors& some) {
    Tensors all = inputs, outputs(results.size());
    for (size_t i = 0; i < moving.size(); ++i) all[moving[i]] = some[i];
    tidu::bind(*call.primitive, all, call.attrs, outputs);
    return outputs;
  };
  // Whether a coefficient of an output is more than zero.
  std::vector<std::vector<bool>> present(results.size(), std::vector<bool>(order));
  std::vector<Spec> specs;
  for (const auto& [i, k] : places) specs.push_back(inputs[moving[i]].spec());
  const Program coefficients = record_unseen(
      [&](const Tensors& at) {
        std::vector<Tensors> terms(moving.size(), Tensors(order));
        for (size_t g = 0; g < at.size(); ++g) terms[places[g].first][places[g].second] = at[g];
        Tensors primals;
        for (size_t i : moving) primals.push_back(inputs[i]);
        const Curve curve = power_series(one_call, primals, terms);
        Tensors outputs;
        for (size_t o = 0; o < results.size(); ++o) {
          if (!is_differentiable(results[o].dtype())) continue;
          // Straight lines stay straight in what is linear.
          const size_t last = is_linear ? order - 1 : order;
          for (size_t k = 0; k < last; ++k) {
            present[o][k] = true;
            outputs.push_back(curve.terms[o][k]);
          }
        }
        return outputs;
      },
      specs);
  Program below = coefficients, last = coefficients;
  below.outputs.clear();
  last.outputs.clear();
  for (size_t o = 0, next = 0; o < results.size(); ++o) {
    for (size_t k = 0; k < order; ++k) {
      if (present[o][k]) (k + 1 < order ? below : last).outputs.push_back(coefficients.outputs[next++]);
    }
  }
  remove_unused(below);
  remove_unused(last);
  const std::vector<Lanes> lanes = run_(below, given);
  const Tensors last_terms =
      last.outputs.empty() ? Tensors() : last_sums(last, given, call.primitive->pointwise);
  Tensors pushed(results.size()), outputs = results;
  if (std::ranges::any_of(sums, &Tensor::defined)) {
    Tensors primals, tangents;
    for (size_t i : moving) primals.push_back(inputs[i]), tangents.push_back(sums[i]);
    pushed = is_ruled ? jvp(one_call, primals, tangents).tangents
                      : push_call({*call.primitive, inputs, call.attrs, outputs}, sums);
  }
  size_t next = 0, next_last = 0;
  for (size_t o = 0; o < results.size(); ++o) {
    if (!is_differentiable(results[o].dtype())) continue;
    Series& series = series_[call.outputs[o]];
    for (size_t k = 0; k + 1 < order; ++k) series.below.push_back(lanes[next++]);
    Tensor total = pushed[o];
    if (present[o][order - 1]) total = accumulate(total, last_terms[next_last++]);
    series.sum = total;
  }
}

// The sums over all directions, or weighted ones, of coefficient `order` of each output.
Tensors sums_of(const Function& function, const Tensor& x, int order, std::optional<int64_t> chunk,
                const Tensor& directions = {}, const Tensor& weights = {}) {
  if (!x.defined() || !is_floating(x.dtype()))
    fail<DTypeError>("[laplacian] the argument must be floating-point, not ",
                     x.defined() ? describe(x) : "undefined");
  if (chunk && *chunk < 1) fail<ValueError>("[laplacian] chunk_size is ", *chunk, " but must be positive");
  const Program program = record_unseen(function, std::vector<Spec>{x.spec()});
  for (int variable : program.outputs) {
    if (!is_differentiable(program.variables[variable].dtype))
      fail<DTypeError>("[laplacian] the function must return floating-point tensors, not ",
                       program.variables[variable]);
  }
  const int64_t count = directions.defined() ? directions.size(0) : x.numel();
  const int64_t fits = std::max<int64_t>(kMemoryForLanes / (bytes_of_lane(program) * (order - 1)), 1);
  const int64_t step = std::min(chunk.value_or(fits), std::max<int64_t>(count, 1));
  Tensors totals(program.outputs.size());
  for (int64_t first = 0; first < count; first += step) {
    const int64_t size = std::min(step, count - first);
    const auto rows = [&](const Tensor& all) { return slice_axis(all, 0, first, first + size); };
    Collapsed collapsed(program, order, LaneRun(size, first), weights.defined() ? rows(weights) : weights);
    const Lanes lanes =
        directions.defined() ? Lanes{Lanes::apart, rows(directions)} : Lanes{Lanes::diagonal, {}};
    const Tensors sums = collapsed(x, lanes);
    for (size_t o = 0; o < sums.size(); ++o) totals[o] = accumulate(totals[o], sums[o]);
  }
  for (size_t o = 0; o < totals.size(); ++o) {
    const Spec& spec = program.variables[program.outputs[o]];
    if (!totals[o].defined()) totals[o] = zeros(spec.shape, spec.dtype, spec.device);
  }
  return totals;
}

Tensor drawn(const Draws& draws, const Tensor& x) {
  if (draws.samples < 1) fail<ValueError>("[laplacian] samples is ", draws.samples, " but must be positive");
  Shape shape = x.shape();
  shape.insert(0, draws.samples);
  return random_normal(draws.key, shape, 0, 1, x.dtype());
}

Tensors scaled(Tensors sums, double factor) {
  for (Tensor& sum : sums) sum = sum * factor;
  return sums;
}

}  // namespace

Tensors laplacian(const Function& function, const Tensor& x, const std::optional<Draws>& draws,
                  std::optional<int64_t> chunk) {
  if (!draws) return scaled(sums_of(function, x, 2, chunk), 2);
  return scaled(sums_of(function, x, 2, chunk, drawn(*draws, x)), 2.0 / static_cast<double>(draws->samples));
}

// With D_v the derivative along v, D_i^2 D_j^2 is ((D_(i+j)^4 + D_(i-j)^4) / 2 - D_i^4 - D_j^4) / 6. Of
// normal v the mean of D_v^4 is 3 times the biharmonic.
Tensors biharmonic(const Function& function, const Tensor& x, const std::optional<Draws>& draws,
                   std::optional<int64_t> chunk) {
  if (draws)
    return scaled(sums_of(function, x, 4, chunk, drawn(*draws, x)),
                  8.0 / static_cast<double>(draws->samples));
  const int64_t n = x.numel();
  std::vector<int64_t> first, second;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = i + 1; j < n; ++j) first.push_back(i), second.push_back(j);
  }
  const auto pairs = static_cast<int64_t>(first.size());
  const Tensor unit = eye(n, n, 0, x.dtype(), x.device());
  const auto rows = [&](const std::vector<int64_t>& of) {
    return take(unit, copy_from_host(of.data(), {pairs}, DType::int64, x.device()), 0);
  };
  const Tensor a = rows(first), b = rows(second);
  const Tensor directions = concat({unit, a + b, a - b}, 0);
  const Tensor weights = concat({full({n}, 1 - static_cast<double>(n - 1) / 3, x.dtype(), x.device()),
                                 full({2 * pairs}, 1.0 / 6, x.dtype(), x.device())},
                                0);
  Shape shape = x.shape();
  shape.insert(0, directions.size(0));
  return scaled(sums_of(function, x, 4, chunk, reshape(directions, shape), weights), 24);
}

}  // namespace tidu
