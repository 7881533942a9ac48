// Whether a program is one that a recorder makes.
#include <algorithm>
#include <set>

#include "program/program.h"

namespace tidu {
namespace {

constexpr int kMaxDepth = 64;

class Verifier {
 public:
  Verifier(const Program& program, int depth, std::string holder)
      : program_(program), depth_(depth), holder_(std::move(holder)) {}

  void verify() {
    where_ = holder_ + "the program";
    if (depth_ > kMaxDepth) refuse("it holds programs over ", kMaxDepth, " deep");
    for (const Spec& spec : program_.variables) {
      if (!attr::are_extents(spec.shape)) refuse("a variable has shape ", spec.shape);
    }
    has_value_.assign(program_.variables.size(), false);
    for (int variable : program_.inputs) define(variable);
    check_names(program_.names.inputs, program_.inputs.size(), "arguments");
    check_names(program_.names.outputs, program_.outputs.size(), "results");
    for (const Program::Constant& constant : program_.constants) verify(constant);
    for (size_t i = 0; i < program_.instructions.size(); ++i) {
      if (!program_.instructions[i].primitive) refuse("instruction ", i, " has no primitive");
      where_ = holder_ + describe(program_.instructions[i], i);
      verify(program_.instructions[i]);
    }
    where_ = holder_ + "the program";
    for (int variable : program_.outputs) use(variable);
    verify_writes();
  }

 private:
  template <class... T> [[noreturn]] void refuse(const T&... what) const {
    fail<ValueError>("[verify] ", where_, ": ", what...);
  }

  void check(int variable) const {
    if (variable < 0 || static_cast<size_t>(variable) >= program_.variables.size())
      refuse("there is no variable ", variable);
  }
  void define(int variable) {
    check(variable);
    if (has_value_[variable]) refuse("variable ", variable, " has a value already");
    has_value_[variable] = true;
  }
  void use(int variable) const {
    check(variable);
    if (!has_value_[variable]) refuse("variable ", variable, " has no value yet");
  }

  void check_names(const std::vector<std::string>& names, size_t count, const char* of) const {
    const std::set<std::string> different(names.begin(), names.end());
    if (!names.empty() && (names.size() != count || different.size() != count))
      refuse(count, " ", of, " have ", different.size(), " names");
  }

  void verify(const Program::Constant& constant) {
    define(constant.variable);
    const Spec& spec = program_.variables[constant.variable];
    if (!constant.value.defined() || constant.value.is_abstract())
      refuse("the constant of variable ", constant.variable, " has no value");
    if (!(constant.value.spec() == spec))
      refuse("the constant of variable ", constant.variable, " is ", constant.value.spec(), ", not ", spec);
  }

  void verify(const Program::Instruction& call) {
    const Primitive& primitive = *call.primitive;
    std::vector<Spec> inputs;
    for (int variable : call.inputs) {
      use(variable);
      inputs.push_back(program_.variables[variable]);
    }
    const auto count = static_cast<int>(inputs.size());
    const auto& [least, most] = primitive.inputs;
    if (count < least || (most != kAnyNumber && count > most)) refuse("it has ", count, " inputs");
    if (primitive.num_outputs != kAnyNumber &&
        static_cast<size_t>(primitive.num_outputs) != call.outputs.size())
      refuse("it has ", call.outputs.size(), " results, not ", primitive.num_outputs);
    if (!primitive.attrs.why_unsaved) verify_attrs(call, inputs);
    const Device device = !inputs.empty()         ? inputs[0].device
                          : !call.outputs.empty() ? variable_of(call, 0).device
                                                  : Device();
    for (const Spec& input : inputs) {
      if (!(input.device == device)) refuse("its inputs are on different devices");
    }
    verify_results(call, inputs, device);
    for (int variable : call.outputs) define(variable);
  }

  const Spec& variable_of(const Program::Instruction& call, size_t output) const {
    check(call.outputs[output]);
    return program_.variables[call.outputs[output]];
  }

  void verify_attrs(const Program::Instruction& call, const std::vector<Spec>& inputs) const {
    if (!call.attrs.is_like(call.primitive->attrs.example)) refuse("it has attributes of another primitive");
    if (const char* field = call.attrs.misfit(inputs.empty() ? Shape() : inputs[0].shape))
      refuse("'", field, "' does not fit its input: ", call.attrs.to_string());
    for (const auto& [name, value] : call.attrs.fields()) {
      const auto* const held = std::get_if<std::shared_ptr<const Program>>(&value);
      if (held && *held) Verifier(**held, depth_ + 1, str(where_, ": '", name, "': ")).verify();
    }
  }

  // The specs of results follow from those of the inputs, or are those of what is overwritten.
  void verify_results(const Program::Instruction& call, const std::vector<Spec>& inputs,
                      Device device) const {
    const Primitive& primitive = *call.primitive;
    std::vector<Spec> expected(call.outputs.size(), Spec{{}, kDefaultFloat, device});
    if (primitive.overwrites && expected.size() > inputs.size()) refuse("it overwrites more than its inputs");
    try {
      const SpecCall spec_call{primitive, inputs, call.attrs};
      check_complex(spec_call);
      if (primitive.check) primitive.check(spec_call, expected.size());
      if (primitive.overwrites) {
        primitive.infer(spec_call, {});
        std::copy_n(inputs.begin(), expected.size(), expected.begin());
      } else {
        primitive.infer(spec_call, expected);
      }
    } catch (const std::logic_error& error) {  // what is wrong with shapes, dtypes and indices
      refuse(error.what());
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      const Spec& spec = variable_of(call, i);
      if (!(spec == expected[i])) refuse("result ", i, " is ", spec, " but follows to be ", expected[i]);
    }
  }

  void verify_writes() const {
    std::set<int> written;
    for (const auto& [input, variable] : program_.writes) {
      if (input < 0 || static_cast<size_t>(input) >= program_.inputs.size())
        refuse("there is no argument ", input, " to write to");
      if (!written.insert(input).second) refuse("argument ", input, " is written to twice");
      use(variable);
      const Spec &from = program_.variables[variable], &to = program_.variables[program_.inputs[input]];
      if (!(from == to)) refuse("argument ", input, " is ", to, " but ", from, " is written to it");
    }
  }

  const Program& program_;
  const int depth_;
  const std::string holder_;  // where the call is that holds the program
  std::string where_;
  std::vector<bool> has_value_;
};

}  // namespace

void Program::verify() const { Verifier(*this, 0, "").verify(); }

}  // namespace tidu
