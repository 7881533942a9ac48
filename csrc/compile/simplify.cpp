// Expansion and common subexpressions: one walk that numbers values.
#include "compile/simplify.h"

#include <unordered_map>

#include "compile/outline.h"
#include "core/recorder.h"
#include "ops/creation.h"
#include "ops/elementwise.h"

namespace tidu {
namespace {

// Bytes that are equal where all that was added is.
class Key {
 public:
  template <class T> Key& add(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  // Where elements lie. The stride of an axis of one element says nothing.
  Key& add_layout(const Tensor& tensor) {
    add(tensor.dtype()).add(tensor.ndim());
    for (int i = 0; i < tensor.ndim(); ++i)
      add(tensor.size(i)).add(tensor.size(i) == 1 ? int64_t{0} : tensor.strides()[i]);
    return *this;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

class Simplifier {
 public:
  explicit Simplifier(const Program& program) {
    std::vector<int> inputs;
    for (int variable : program.inputs) {
      const Spec& spec = program.variables[variable];
      inputs.push_back(name_of(Tensor::unknown(spec.shape, spec.dtype, spec.device)));
    }
    result_.inputs = inputs;
    const std::vector<int> names = add(program, inputs);
    for (int variable : program.outputs) result_.outputs.push_back(names[variable]);
    for (const Program::Write& write : program.writes)
      result_.writes.push_back({write.input, names[write.variable]});
  }

  Program take() {
    remove_unused(result_);
    return std::move(result_);
  }

 private:
  // The variable that shows the same, or else a new one.
  int name_of(const Tensor& outline) {
    const Key key = Key().add(outline.impl().storage.get()).add(outline.impl().offset).add_layout(outline);
    const auto [found, is_new] = shown_.try_emplace(key.bytes(), static_cast<int>(values_.size()));
    if (is_new) {
      values_.push_back(outline);
      ones_.push_back(false);
      result_.variables.push_back(outline.spec());
    }
    return found->second;
  }

  int name_of_constant(const Tensor& value) {
    bool is_one = false;
    Key key;
    key.add_layout(value).add(value.device().type).add(value.device().index);
    if (is_one_number(value)) {
      key.add(true);
      visit_dtype(value.dtype(), [&]<class T>() {
        const T number = *static_cast<const T*>(value.raw_data());
        key.add(number);
        is_one = number == T(1);
      });
    } else {
      key.add(false).add(value.is_abstract() ? static_cast<const void*>(&value.impl()) : value.raw_data());
    }
    const auto [found, is_new] = constants_.try_emplace(key.bytes(), -1);
    if (is_new) {
      found->second = name_of(outline_of(value));
      result_.constants.push_back({found->second, value});
      ones_[found->second] = is_one;
    }
    return found->second;
  }

  // The names of all variables of a program whose inputs have these.
  std::vector<int> add(const Program& program, const std::vector<int>& inputs) {
    std::vector<int> names(program.variables.size(), -1);
    for (size_t i = 0; i < inputs.size(); ++i) names[program.inputs[i]] = inputs[i];
    for (const Program::Constant& constant : program.constants)
      names[constant.variable] = name_of_constant(constant.value);
    for (const Program::Instruction& call : program.instructions) {
      Program::Instruction renamed{call.primitive, call.attrs, {}, {}, true, call.source};
      for (int variable : call.inputs) renamed.inputs.push_back(names[variable]);
      // What says what it costs depends on values: which way it goes is not known.
      const std::vector<int> outputs = call.primitive->evaluate && !call.primitive->flops
                                           ? add_parts(renamed, call.outputs.size())
                                           : add_call(std::move(renamed), program, call.outputs);
      for (size_t i = 0; i < outputs.size(); ++i) names[call.outputs[i]] = outputs[i];
    }
    return names;
  }

  // What a call consists of.
  std::vector<int> add_parts(const Program::Instruction& call, size_t num_outputs) {
    std::vector<Spec> specs;
    for (int variable : call.inputs) specs.push_back(result_.variables[variable]);
    Program parts = record(
        [&](const Tensors& inputs) {
          Tensors outputs(num_outputs);
          call.primitive->evaluate({*call.primitive, inputs, call.attrs, outputs});
          return outputs;
        },
        specs);
    for (Program::Instruction& part : parts.instructions) part.source = call.source;
    const std::vector<int> names = add(parts, call.inputs);
    std::vector<int> outputs;
    for (int variable : parts.outputs) outputs.push_back(names[variable]);
    return outputs;
  }

  std::vector<int> add_call(Program::Instruction call, const Program& program,
                            const std::vector<int>& as_recorded) {
    if (call.primitive == &primitives::multiply || call.primitive == &primitives::multiply_no_nan) {
      for (size_t i = 0; i < 2; ++i) {
        if (ones_[call.inputs[i]]) return {call.inputs[1 - i]};
      }
    }
    const bool is_once = call.has_effect();
    const Device device = as_recorded.empty() ? Device() : program.variables[as_recorded[0]].device;
    const uint64_t hash = hash_of(call);
    const auto [first, last] = calls_.equal_range(hash);
    for (auto it = first; it != last && !is_once; ++it) {
      const Program::Instruction& other = result_.instructions[it->second];
      if (other.primitive == call.primitive && other.attrs == call.attrs && other.inputs == call.inputs &&
          result_.variables[other.outputs[0]].device == device)
        return other.outputs;
    }
    call.outputs = as_recorded;
    const Tensors results = outline(program, call, values_);
    call.outputs.clear();
    const size_t known = values_.size();
    for (const Tensor& result : results) call.outputs.push_back(name_of(result));
    if (values_.size() > known || is_once) {  // else it shows what another view shows
      if (has_ones(call)) ones_[call.outputs[0]] = true;
      calls_.emplace(hash, result_.instructions.size());
      result_.instructions.push_back(call);
    }
    return call.outputs;
  }

  // Whether all elements of the result are 1.
  bool has_ones(const Program::Instruction& call) const {
    if (call.primitive != &primitives::full) return call.primitive->view && ones_[call.inputs[0]];
    return Scalar(call.attrs.as<FullAttrs>().value).to_double() == 1;
  }

  static uint64_t hash_of(const Program::Instruction& call) {
    uint64_t hash = reinterpret_cast<uintptr_t>(call.primitive) ^ call.attrs.hash();
    for (int variable : call.inputs) hash = (hash ^ static_cast<uint64_t>(variable)) * 0x9e3779b97f4a7c15u;
    return hash;
  }

  Program result_;
  Tensors values_;          // abstract ones of its variables
  std::vector<bool> ones_;  // which of them are all 1
  std::unordered_map<std::string, int> shown_, constants_;
  std::unordered_multimap<uint64_t, size_t> calls_;
};

}  // namespace

Program simplify(const Program& program) {
  const VisibleTraces none(nullptr);
  return Simplifier(program).take();
}

}  // namespace tidu
