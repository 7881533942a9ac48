// Expansion and common subexpressions: one walk that numbers values.
#include "compile/simplify.h"

#include <cmath>
#include <unordered_map>

#include "compile/outline.h"
#include "core/bind.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/shape.h"
#include "program/recorder.h"

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
  Simplifier(const Program& program, Loops loops, Layouts layouts, bool folds)
      : loops_(loops), folds_(folds) {
    std::vector<int> inputs;
    for (size_t i = 0; i < program.inputs.size(); ++i)
      inputs.push_back(name_of(outline_of_input(program, i, layouts)));
    result_.inputs = inputs;
    const std::vector<int> names = add(program, inputs);
    for (int variable : program.outputs) result_.outputs.push_back(names[variable]);
    for (const Program::Write& write : program.writes)
      result_.writes.push_back({write.input, names[write.variable]});
  }

  Program take() {
    std::erase_if(result_.instructions, [&](const Program::Instruction& call) { return is_folded(call); });
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
      known_.emplace_back();
      numbers_.emplace_back();
      makers_.push_back(-1);
      result_.variables.push_back(outline.spec());
    }
    return found->second;
  }

  int name_of_constant(const Tensor& value) {
    std::optional<double> element;
    Key key;
    key.add_layout(value).add(value.device().type).add(value.device().index);
    // What may be written to is no number for good.
    if (is_one_number(value) && !is_complex(value.dtype()) && !value.impl().storage->writable()) {
      key.add(true);
      visit_dtype(value.dtype(), [&]<class T>() {
        const T number = *static_cast<const T*>(value.raw_data());
        key.add(number);
        element = static_cast<double>(number);
      });
    } else {
      key.add(false).add(value.is_abstract() ? static_cast<const void*>(&value.impl()) : value.raw_data());
    }
    const auto [found, is_new] = constants_.try_emplace(key.bytes(), -1);
    if (is_new) {
      found->second = name_of(outline_of(value));
      result_.constants.push_back({found->second, value});
      numbers_[found->second] = element;
      if (!value.is_abstract() && !value.impl().storage->writable()) known_[found->second] = value;
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
      const bool has_parts = call.primitive->evaluate && !call.primitive->flops &&
                             !(loops_ == Loops::kept && call.primitive->repeats);
      const std::vector<int> outputs = has_parts ? add_parts(renamed, call.outputs.size())
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
    const auto begin = static_cast<std::ptrdiff_t>(hidden_.size());
    const std::vector<int> names = add(parts, call.inputs);
    // What a derivative computes again is not to be kept for it.
    if (loops_ == Loops::kept && call.primitive->dispatch)
      std::fill(hidden_.begin() + begin, hidden_.end(), true);
    std::vector<int> outputs;
    for (int variable : parts.outputs) outputs.push_back(names[variable]);
    return outputs;
  }

  bool is_number(int variable, double number) const {
    const std::optional<double>& known = numbers_[variable];
    return known == number && std::signbit(*known) == std::signbit(number);
  }

  // The input that a call gives back bit for bit, if there is one. Where a program is run, it must lie as the
  // result would: sums and products take elements in an order that follows the layout.
  std::optional<int> unchanged_by(const Program::Instruction& call) const {
    const std::optional<int> input = equal_input(call);
    const bool may_be = input && (loops_ == Loops::unrolled || values_[*input].is_contiguous());
    return may_be ? input : std::nullopt;
  }

  std::optional<int> equal_input(const Program::Instruction& call) const {
    const Primitive* const primitive = call.primitive;
    const int a = call.inputs.empty() ? -1 : call.inputs[0];
    if (primitive == &primitives::copy && values_[a].is_contiguous()) return a;
    if (primitive == &primitives::negative && makers_[a] >= 0 && !is_narrow(values_[a].dtype())) {
      const Program::Instruction& maker = result_.instructions[makers_[a]];
      if (maker.primitive == primitive) return maker.inputs[0];
    }
    if (call.inputs.size() != 2) return std::nullopt;
    const int b = call.inputs[1];
    if (primitive == &primitives::slice_update && values_[b].is_contiguous()) {  // of all elements
      const auto& [starts, sizes, steps] = call.attrs.as<SliceAttrs>();
      bool is_whole = sizes == values_[a].shape();
      for (int i = 0; i < sizes.size(); ++i) is_whole &= sizes[i] <= 1 || steps[i] == 1;
      if (is_whole) return b;
    }
    // multiply_no_nan makes 0 of -0, which is no work that a count should show.
    const bool is_product = primitive == &primitives::multiply ||
                            (loops_ == Loops::unrolled && primitive == &primitives::multiply_no_nan);
    if ((is_product || primitive == &primitives::divide) && is_number(b, 1)) return a;
    if (is_product && is_number(a, 1)) return b;
    const double nothing = is_floating(values_[a].dtype()) ? -0.0 : 0.0;
    if (primitive == &primitives::subtract && is_number(b, 0)) return a;
    if (primitive == &primitives::add && is_number(b, nothing)) return a;
    if (primitive == &primitives::add && is_number(a, nothing)) return b;
    return std::nullopt;
  }

  std::vector<int> add_call(Program::Instruction call, const Program& program,
                            const std::vector<int>& as_recorded) {
    if (const std::optional<int> unchanged = unchanged_by(call)) return {*unchanged};
    const bool is_once = call.has_effect();
    const Device device = as_recorded.empty() ? Device() : program.variables[as_recorded[0]].device;
    const uint64_t hash = hash_of(call);
    const auto [first, last] = calls_.equal_range(hash);
    for (auto it = first; it != last && !is_once; ++it) {
      const Program::Instruction& other = result_.instructions[it->second];
      if (!hidden_[it->second] && other.primitive == call.primitive && other.attrs == call.attrs &&
          other.inputs == call.inputs && result_.variables[other.outputs[0]].device == device)
        return other.outputs;
    }
    call.outputs = as_recorded;
    const Tensors results = outline(program, call, values_);
    call.outputs.clear();
    const size_t known = values_.size();
    for (const Tensor& result : results) call.outputs.push_back(name_of(result));
    if (values_.size() > known || is_once) {  // else it shows what another view shows
      for (int variable : call.outputs) makers_[variable] = static_cast<int>(result_.instructions.size());
      if (!call.outputs.empty()) numbers_[call.outputs[0]] = number_of(call);
      calls_.emplace(hash, result_.instructions.size());
      hidden_.push_back(false);
      result_.instructions.push_back(call);
      if (folds_) compute(call, device);
    }
    return call.outputs;
  }

  // Its values, where constants say what they are.
  void compute(const Program::Instruction& call, Device device) {
    constexpr int64_t kMost = 1 << 20, kMostInAll = 16 << 20;
    const Primitive& primitive = *call.primitive;
    if (call.has_effect() || primitive.evaluate || primitive.dispatch || primitive.overwrites) return;
    if (!std::ranges::all_of(call.inputs, [&](int variable) { return known_[variable].defined(); })) return;
    if (&primitive == &primitives::full) {  // a number, which takes no memory
      const auto& filled = call.attrs.as<FullAttrs>();
      const Shape& shape = values_[call.outputs[0]].shape();
      known_[call.outputs[0]] =
          full({}, filled.value, filled.dtype, device).view(shape, Strides(shape.size(), 0), 0);
      return;
    }
    int64_t bytes = 0;
    for (int variable : call.outputs) bytes += static_cast<int64_t>(values_[variable].nbytes());
    const bool is_view_of_known = is_view(call, values_);
    if (!is_view_of_known && (bytes > kMost || bytes + folded_bytes_ > kMostInAll)) return;
    Tensors inputs, results(call.outputs.size());
    for (int variable : call.inputs) inputs.push_back(known_[variable]);
    try {
      tidu::bind(primitive, inputs, call.attrs, results, device);
    } catch (const std::exception&) { return; }  // it is thrown by the calls that come to it
    if (!is_view_of_known) folded_bytes_ += bytes;
    for (size_t i = 0; i < results.size(); ++i) {
      const int variable = call.outputs[i];
      if (!results[i].impl().contiguous && !is_view_of_known) return;
      known_[variable] = results[i];
      if (results[i].numel() != 1 || results[i].device().type != DeviceType::cpu ||
          is_complex(results[i].dtype()))
        continue;
      visit_dtype(results[i].dtype(), [&]<class T>() {
        numbers_[variable] = static_cast<double>(*static_cast<const T*>(results[i].raw_data()));
      });
    }
  }

  // Makes constants of what a call gives, where it is known.
  bool is_folded(const Program::Instruction& call) {
    const bool is_known = !call.outputs.empty() &&
                          std::ranges::all_of(call.outputs, [&](int v) { return known_[v].defined(); });
    if (!is_known || call.primitive == &primitives::full || is_view(call, values_)) return false;
    for (int variable : call.outputs) {
      Tensor value = known_[variable];
      if (value.numel() == 1 && value.device().type == DeviceType::cpu && !is_complex(value.dtype()))
        value = Tensor::number(value.raw_data(), value.dtype(), value.device())
                    .view(value.shape(), Strides(value.ndim(), 0), 0);
      result_.constants.push_back({variable, value});
    }
    return true;
  }

  // What all elements of the result are, where that is known.
  std::optional<double> number_of(const Program::Instruction& call) const {
    if (call.primitive == &primitives::full) return Scalar(call.attrs.as<FullAttrs>().value).to_double();
    const bool keeps =
        call.primitive->view && values_[call.inputs[0]].dtype() == values_[call.outputs[0]].dtype();
    return keeps ? numbers_[call.inputs[0]] : std::nullopt;
  }

  static uint64_t hash_of(const Program::Instruction& call) {
    uint64_t hash = reinterpret_cast<uintptr_t>(call.primitive) ^ call.attrs.hash();
    for (int variable : call.inputs) hash = (hash ^ static_cast<uint64_t>(variable)) * 0x9e3779b97f4a7c15u;
    return hash;
  }

  const Loops loops_;
  const bool folds_;
  Program result_;
  Tensors values_;  // abstract ones of its variables
  Tensors known_;   // what they are, where constants say it
  int64_t folded_bytes_ = 0;
  std::vector<std::optional<double>> numbers_;  // what all elements of each are, where that is known
  std::vector<int> makers_;                     // the instructions
  std::unordered_map<std::string, int> shown_, constants_;
  std::unordered_multimap<uint64_t, size_t> calls_;
  std::vector<bool> hidden_;  // instructions that no later one is equal to
};

}  // namespace

Program simplify(const Program& program, Loops loops, Layouts layouts, bool folds) {
  const VisibleTraces none(nullptr);
  return Simplifier(program, loops, layouts, folds).take();
}

}  // namespace tidu
