// Recording a function as a program.
#include "program/recorder.h"

#include <algorithm>
#include <optional>

#include "core/bind.h"
#include "program/overwritten.h"

namespace tidu {
namespace {

// Those with Fold::constants that are recording on this thread. The outermost recorder is the first that is
// shown a write, and keeps what they need before it knows of another value itself.
thread_local std::vector<Recorder*> folding;

class Folding {
 public:
  explicit Folding(Recorder& recorder) { folding.push_back(&recorder); }
  ~Folding() { folding.pop_back(); }
  Folding(const Folding&) = delete;
};

}  // namespace

int Recorder::new_variable(const Tensor& tensor) {
  program_.variables.push_back(tensor.spec());
  return static_cast<int>(program_.variables.size()) - 1;
}

int Recorder::new_place(const Tensor& tensor) {
  places_.push_back({.value = new_variable(tensor)});
  set_link(tensor, id(), {}, static_cast<int>(places_.size()) - 1);
  return static_cast<int>(places_.size()) - 1;
}

int Recorder::place_of(const Tensor& tensor) {
  const Link* const link = tensor.impl().link(id());
  return link ? link->index : place_outside(tensor);
}

int Recorder::place_outside(const Tensor& tensor) {
  const auto [found, inserted] = outside_.try_emplace(&tensor.impl(), static_cast<int>(places_.size()));
  if (inserted) {
    places_.push_back({.value = new_variable(tensor), .outside = true});
    program_.constants.push_back({places_.back().value, tensor});
  }
  return found->second;
}

int Recorder::root_of(int place) const {
  while (places_[place].base >= 0) place = places_[place].base;
  return place;
}

int Recorder::value_of(int place) {
  const uint64_t version = places_[root_of(place)].version;
  if (places_[place].version != version) {
    const int base = value_of(places_[place].base);
    const Program::Instruction view = program_.instructions[places_[place].instruction];
    const Spec spec = program_.variables[places_[place].value];
    program_.variables.push_back(spec);
    places_[place].value = static_cast<int>(program_.variables.size()) - 1;
    places_[place].version = version;
    append(*view.primitive, view.attrs, {base}, {places_[place].value}, view.differentiable);
  }
  return places_[place].value;
}

Tensor Recorder::tensor_of(int variable) {
  const Spec& spec = program_.variables[variable];
  const Tensor tensor = Tensor::unknown(spec.shape, spec.dtype, spec.device);
  places_.push_back({.value = variable});
  set_link(tensor, id(), {}, static_cast<int>(places_.size()) - 1);
  return tensor;
}

void Recorder::append(const Primitive& primitive, const Attrs& attrs, std::vector<int> inputs,
                      std::vector<int> outputs, bool differentiable) {
  program_.instructions.push_back(
      {&primitive, attrs, std::move(inputs), std::move(outputs), differentiable, Lines::here()});
}

void Recorder::write(int place, int variable, const Call& call, bool differentiable, bool moving) {
  const int root = root_of(place);
  if (places_[root].outside) overwrite_outside(root, call);
  const Scope mine(*this);
  const VisibleTraces scope(&mine);
  while (places_[place].base >= 0) {
    const int base = places_[place].base;
    const Program::Instruction view = program_.instructions[places_[place].instruction];
    differentiable = differentiable && !std::holds_alternative<Zero>(view.primitive->derivative);
    const Tensor before = tensor_of(value_of(base));
    Tensor after =
        view.primitive->update_view({*view.primitive, {&before, 1}, view.attrs, {}}, tensor_of(variable));
    // Views are taken again from memory that lies as it did.
    if (base == root && !after.is_contiguous()) after = bind(primitives::copy, {after});
    variable = value_of(place_of(after));
    place = base;
  }
  if (!differentiable) {  // which changes a value, and no derivative, of whatever view
    const Spec spec = program_.variables[variable];
    const int kept = static_cast<int>(program_.variables.size());
    program_.variables.push_back(spec);
    append(primitives::overwritten, {}, {variable, value_of(root)}, {kept}, true);
    variable = kept;
  }
  places_[root].value = variable;
  places_[root].moves |= moving;
  ++places_[root].version;
}

void Recorder::overwrite_outside(int, const Call& call) {
  fail_on_outside(call.primitive.name, call.inputs[0]);
}

void fail_on_outside(const char* op, const Tensor& target) {
  fail<TraceError>("[", op, "] a tensor from outside of the function, ", describe(target),
                   ", cannot be overwritten while a program is recorded (pass it as an argument)");
}

int Recorder::add_place(const Tensor& input, bool outside) {
  inputs_.push_back(new_place(input));
  places_[inputs_.back()].outside = outside;
  places_[inputs_.back()].moves = true;
  program_.inputs.push_back(places_[inputs_.back()].value);
  return inputs_.back();
}

int Recorder::add_made(const Tensor& made, const Tensor& value) {
  const int place = new_place(made);
  program_.constants.push_back({places_[place].value, value});
  return place;
}

Tensor Recorder::add_input(const Spec& spec) {
  const Tensor input = Tensor::unknown(spec.shape, spec.dtype, spec.device);
  add_place(input, false);
  return input;
}

bool Recorder::knows(std::span<const Tensor> tensors) const {
  return std::ranges::any_of(tensors, [&](const Tensor& tensor) { return tensor.impl().link(id()); });
}

// Whether only the results of a call of these are of interest, if at all.
bool Recorder::folds(std::span<const Tensor> inputs) const {
  return fold_ == Fold::constants && !inputs.empty() && !knows(inputs);
}

// Whether only what a call does now counts. Tensors that were made inside are known, but their values need
// not depend on the arguments: a write of such a one to what the program does not know is over when it is
// done.
bool Recorder::folds(const Call& call) const {
  if (folds(call.inputs)) return true;
  return fold_ == Fold::constants && call.primitive.overwrites &&
         !knows(call.inputs.first(call.outputs.size())) && !moves(call.inputs);
}

// Whether the arguments say what some of the tensors are.
bool Recorder::moves(std::span<const Tensor> tensors) const {
  return std::ranges::any_of(tensors, [&](const Tensor& tensor) {
    const Link* const link = tensor.impl().link(id());
    return link && places_[root_of(link->index)].moves;
  });
}

// The program has what constants were when they were used, also where they are overwritten afterwards.
void Recorder::keep_constants(std::span<const Tensor> overwritten) {
  const VisibleTraces scope(outer());
  const auto is_overwritten = [&](const Tensor& value) {
    return std::ranges::any_of(overwritten, [&](const Tensor& target) {
      return target.impl().storage && target.impl().storage == value.impl().storage;
    });
  };
  std::erase_if(known_, [&](const auto& known) { return is_overwritten(known.second); });
  for (Program::Constant& constant : program_.constants) {
    if (!is_overwritten(constant.value)) continue;
    outside_.erase(&constant.value.impl());
    constant.value = bind(primitives::copy, {constant.value});
  }
}

void Recorder::record(const Call& call, bool differentiable) {
  if (call.primitive.overwrites) {
    for (Recorder* recorder : folding) recorder->keep_constants(call.inputs.first(call.outputs.size()));
  }
  if (folds(call)) return;
  const bool moving = moves(call.inputs);
  std::vector<int> inputs, outputs;
  for (const Tensor& input : call.inputs) inputs.push_back(value_of(place_of(input)));
  if (call.primitive.overwrites) {
    for (const Tensor& output : call.outputs) outputs.push_back(new_variable(output));
    if (&call.primitive == &primitives::assign && call.attrs.empty()) {  // all of it
      append(primitives::copy, {}, {inputs[1]}, outputs, differentiable);
    } else {
      append(call.primitive.pure ? *call.primitive.pure : call.primitive, call.attrs, std::move(inputs),
             outputs, differentiable);
    }
    for (size_t i = 0; i < outputs.size(); ++i)
      write(place_of(call.inputs[i]), outputs[i], call, differentiable, moving);
    return;
  }
  for (const Tensor& output : call.outputs) {
    Place& place = places_[new_place(output)];
    place.moves = moving;
    outputs.push_back(place.value);
    if (fold_ == Fold::constants && !moving && !output.is_abstract()) known_.emplace(place.value, output);
    if (!call.primitive.view || !(output.impl().storage == call.inputs[0].impl().storage)) continue;
    const int base = place_of(call.inputs[0]);
    Place& view = places_[output.impl().link(id())->index];
    view.base = base;
    view.version = places_[root_of(base)].version;
    view.instruction = static_cast<int>(program_.instructions.size());
  }
  append(call.primitive, call.attrs, std::move(inputs), std::move(outputs), differentiable);
}

void Recorder::record_custom(CustomCall& call, bool differentiable) {
  if (folds(call.inputs()) && !knows(call.captured())) return;
  const CustomCall::Closed closed = call.close();
  std::vector<int> inputs, outputs;
  for (const Tensors& tensors : {call.inputs(), closed.captured}) {
    for (const Tensor& input : tensors) inputs.push_back(value_of(place_of(input)));
  }
  for (const Tensor& output : call.outputs()) {
    Place& place = places_[new_place(output)];
    place.moves = true;
    outputs.push_back(place.value);
  }
  append(*closed.primitive, closed.attrs, std::move(inputs), std::move(outputs), differentiable);
}

Program Recorder::finish(std::span<const Tensor> outputs, Tensors* known) {
  for (const Tensor& output : outputs) program_.outputs.push_back(value_of(place_of(output)));
  for (size_t i = 0; i < program_.inputs.size(); ++i) {
    const Place& place = places_[inputs_[i]];
    if (place.version > 0) program_.writes.push_back({static_cast<int>(i), place.value});
  }
  outside_.clear();
  const std::vector<int> names = remove_and_renumber(program_);
  if (known) {
    known->assign(program_.variables.size(), Tensor());
    for (const auto& [variable, value] : known_) {
      if (names[variable] >= 0) (*known)[names[variable]] = value;
    }
  }
  return std::move(program_);
}

Program record(const Function& function, Specs like, Recorder::Fold fold, Tensors* known) {
  Recorder recorder(fold);
  Tensors inputs;
  for (size_t i = 0; i < like.size(); ++i) inputs.push_back(recorder.add_input(like[i]));
  Tensors outputs;
  {
    std::optional<Folding> registered;
    if (fold == Recorder::Fold::constants) registered.emplace(recorder);
    const LiveTrace live(recorder);
    outputs = function(inputs);
  }
  return recorder.finish(outputs, known);
}

}  // namespace tidu
