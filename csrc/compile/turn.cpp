// Pulling permutations from results to what these are made of.
#include "compile/turn.h"

#include <algorithm>
#include <map>
#include <utility>

#include "ops/shape.h"

namespace tidu {
namespace {

using Instruction = Program::Instruction;

Shape permuted(const Shape& shape, const PermuteAttrs& order) {
  Shape result;
  for (const int64_t axis : order.axes) result.push_back(shape[static_cast<int>(axis)]);
  return result;
}

// Whether neighbours of the last axis that has any, where axes are in this order, lie apart.
bool lies_across(const Tensor& value, const PermuteAttrs& order) {
  for (int i = value.ndim(); i-- > 0;) {
    const int axis = static_cast<int>(order.axes[i]);
    if (value.size(axis) > 1) return value.strides()[axis] > 1;
  }
  return false;
}

class Turner {
 public:
  Turner(Program program, Layouts layouts)
      : program_(std::move(program)),
        values_(outline(program_, layouts)),
        makers_(values_.size(), -1),
        readers_(values_.size(), 0) {
    for (size_t i = 0; i < calls().size(); ++i) {
      for (int variable : calls()[i].outputs) makers_[variable] = static_cast<int>(i);
      for (int variable : calls()[i].inputs) ++readers_[variable];
    }
    for (int variable : program_.outputs) ++readers_[variable];
    for (const Program::Write& write : program_.writes) ++readers_[write.variable];
    for (int variable : program_.outputs) turn(variable);
  }

  Program take() {
    if (turned_.empty()) return std::move(program_);
    std::vector<Instruction> all;
    for (size_t i = 0; i < calls().size(); ++i) {
      Instruction call = calls()[i];
      if (const auto found = turned_.find(static_cast<int>(i)); found != turned_.end()) {
        for (int& variable : call.inputs) {
          if (!turned_.contains(makers_[variable])) variable = turned(variable, call, found->second, all);
        }
      }
      if (!call.outputs.empty() || call.has_effect()) all.push_back(std::move(call));
    }
    program_.instructions = std::move(all);
    remove_unused(program_);
    return std::move(program_);
  }

 private:
  std::vector<Instruction>& calls() { return program_.instructions; }
  // The call that makes a value which is read once, or -1.
  int sole_maker(int variable) const { return readers_[variable] == 1 ? makers_[variable] : -1; }

  void turn(int result) {
    int last = sole_maker(result);
    while (last >= 0 && calls()[last].primitive == &primitives::reshape && is_view(calls()[last], values_))
      last = sole_maker(calls()[last].inputs[0]);
    if (last < 0 || calls()[last].primitive != &primitives::permute_dims) return;
    const PermuteAttrs order = calls()[last].attrs.as<PermuteAttrs>();
    PermuteAttrs as_it_is = order;
    for (int i = 0; i < as_it_is.axes.size(); ++i) as_it_is.axes[i] = i;
    int across = 1;  // what lies so now, more than afterwards: the result does
    std::vector<int> tree, open{calls()[last].inputs[0]};
    while (!open.empty()) {
      const int variable = open.back(), maker = sole_maker(variable);
      open.pop_back();
      if (maker >= 0 && is_elementwise(calls()[maker])) {
        tree.push_back(maker);
        open.insert(open.end(), calls()[maker].inputs.begin(), calls()[maker].inputs.end());
      } else {
        across += lies_across(values_[variable], as_it_is) - lies_across(values_[variable], order);
      }
    }
    if (tree.empty() || across <= 0) return;
    for (int call : tree) {
      Shape& shape = program_.variables[calls()[call].outputs[0]].shape;
      shape = permuted(shape, order);
      turned_.emplace(call, order);
    }
    calls()[tree[0]].outputs = std::exchange(calls()[last].outputs, {});
  }

  bool is_elementwise(const Instruction& call) const {
    return call.primitive->pointwise && !call.primitive->view && call.outputs.size() == 1 &&
           std::ranges::all_of(call.inputs, [&](int variable) {
             return values_[variable].shape() == values_[call.outputs[0]].shape();
           });
  }

  // The variable with its axes in this order: what it is a permutation of, where that is the same.
  int turned(int variable, const Instruction& reader, PermuteAttrs order, std::vector<Instruction>& all) {
    const int maker = makers_[variable];
    if (maker >= 0 && calls()[maker].primitive == &primitives::permute_dims) {
      const PermuteAttrs before = calls()[maker].attrs.as<PermuteAttrs>();
      for (int64_t& axis : order.axes) axis = before.axes[static_cast<int>(axis)];
      variable = calls()[maker].inputs[0];
      if (std::ranges::is_sorted(order.axes)) return variable;
    }
    Spec spec = program_.variables[variable];
    spec.shape = permuted(spec.shape, order);
    program_.variables.push_back(spec);
    const int view = static_cast<int>(program_.variables.size()) - 1;
    all.push_back({&primitives::permute_dims, order, {variable}, {view}, true, reader.source});
    return view;
  }

  Program program_;
  const Tensors values_;
  std::vector<int> makers_, readers_;
  std::map<int, PermuteAttrs> turned_;  // by number of the call
};

}  // namespace

Program with_results_turned(Program program, Layouts layouts) {
  return Turner(std::move(program), layouts).take();
}

}  // namespace tidu
