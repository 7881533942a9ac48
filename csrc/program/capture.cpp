// Recording a function with what it closes over as further arguments.
#include "program/capture.h"

#include <algorithm>
#include <cstring>

#include "core/bind.h"
#include "tensor/overlap.h"

namespace tidu {
namespace {

Tensor unknown_like(const Tensor& tensor) {
  return Tensor::unknown({}, tensor.dtype(), tensor.device()).view(tensor.shape(), tensor.strides(), 0);
}

// Marks memory that is allocated here.
class Birth {
 public:
  explicit Birth(uint64_t number) : before_(std::exchange(Storage::now(), number)) {}
  ~Birth() { Storage::now() = before_; }
  Birth(const Birth&) = delete;

 private:
  uint64_t before_;
};

bool is_number_in_code(const Tensor& tensor) {
  return is_one_number(tensor) && !tensor.impl().storage->writable();
}

bool share_layout(const Tensor& a, const Tensor& b) {
  return a.spec() == b.spec() && a.strides() == b.strides() && a.impl().offset == b.impl().offset;
}

const RefCounted* leaf_of(const Tensor& tensor) {
  const Link* const link = tensor.impl().links.get();
  return link ? link->value.get() : nullptr;
}

// Row-major, in memory that nobody else has and nobody can write to.
Tensor own_copy(const Tensor& tensor) {
  const VisibleTraces none(nullptr);
  const auto copied = std::make_shared<Tensor>(bind(primitives::copy, {tensor}));
  const Tensor result = Tensor::from_memory(copied->raw_data(), copied->shape(), copied->strides(),
                                            copied->dtype(), copied, copied->device(), false);
  result.impl().storage->set_queue(copied->impl().storage->queue());
  return result;
}

[[noreturn]] void fail_on_sharing(const char* op, const Tensor& a, const Tensor& b) {
  fail<TraceError>("[", op, "] ", describe(a), ", which the function closes over, is overwritten and shares ",
                   "memory with ", describe(b), ", which it also closes over (take the view inside of it)");
}

// Takes away the inputs of functions that were recorded inside of this one: tensors without values, which
// calls had whose results are not used.
void drop_unknown(Program& program, Tensors& closed_over) {
  std::vector<bool> is_read(program.variables.size());
  for (const Program::Instruction& call : program.instructions) {
    for (int variable : call.inputs) is_read[variable] = true;
  }
  for (int variable : program.outputs) is_read[variable] = true;
  for (const Program::Write& write : program.writes)
    is_read[write.variable] = is_read[program.inputs[write.input]] = true;
  const size_t arguments = program.inputs.size() - closed_over.size();
  for (size_t i = program.inputs.size(); i-- > arguments;) {
    if (is_read[program.inputs[i]] || !closed_over[i - arguments].is_abstract()) continue;
    program.inputs.erase(program.inputs.begin() + static_cast<std::ptrdiff_t>(i));
    closed_over.erase(closed_over.begin() + static_cast<std::ptrdiff_t>(i - arguments));
    for (Program::Write& write : program.writes) write.input -= write.input > static_cast<int>(i) ? 1 : 0;
  }
}

}  // namespace

Capture* visible_capture() { return static_cast<Capture*>(outermost_trace()); }

Capture::~Capture() {
  for (const RecordedHook& hook : hooks_) hook.undo();
}

Tensor Capture::add_argument(const Tensor& like) {
  const Tensor argument = unknown_like(like);
  add_place(argument, false);
  return argument;
}

Tensor Capture::stand_in(const Tensor& tensor) {
  if (!tensor.defined() || !tensor.impl().storage || tensor.impl().link(id()) || is_number_in_code(tensor))
    return tensor;
  const auto [found, is_new] = stand_ins_.try_emplace(&tensor.impl());
  if (is_new) {
    kept_.push_back(tensor);
    found->second = add(tensor);
  }
  return known(tensor);
}

const Tensor& Capture::known(const Tensor& tensor) const {
  const auto found = stand_ins_.find(&tensor.impl());
  if (found == stand_ins_.end()) return tensor;
  const Link* const link = found->second.impl().link(id());
  const auto newest = link ? renewed_.find(link->index) : renewed_.end();
  return newest == renewed_.end() ? found->second : newest->second;
}

void Capture::renew(const Tensor& known) { renewed_[known.impl().link(id())->index] = known; }

Tensors Capture::renewed() const {
  Tensors result;
  for (const auto& [place, known] : renewed_) result.push_back(known);
  return result;
}

std::vector<Ref<Storage>> Capture::overwritten() const {
  std::vector<Ref<Storage>> result;
  for (const Closure& closure : closures_) {
    if (closure.written) result.push_back(closure.tensor.impl().storage);
  }
  return result;
}

Tensor Capture::add(const Tensor& tensor) {
  if (is_outdated(tensor)) {
    fail<GradientError>(
        "[compile] ", describe(tensor),
        ", which the function closes over, was overwritten with "
        "what is differentiated, through another view of its memory (take the view again after ",
        "the write)");
  }
  for (const Closure& other : closures_) {
    if (!(other.tensor.impl().storage == tensor.impl().storage)) continue;
    if (share_layout(other.tensor, tensor)) {
      if (leaf_of(other.tensor) == leaf_of(tensor)) return other.stand_in;
      if (!leaf_of(tensor)) {
        const Scope mine(*this);
        const VisibleTraces scope(&mine);
        return bind(primitives::stop_gradient, {other.stand_in});
      }
    }
    // Another view of memory that is written to, or may be, would not know of that.
    if ((other.written || other.made) && share_elements(other.tensor, tensor))
      fail_on_sharing("compile", other.tensor, tensor);
  }
  const Tensor made = unknown_like(tensor);
  for (const Link* link = tensor.impl().links.get(); link; link = link->next.get())
    set_link(made, link->trace, link->value, link->index, link->owned);
  if (tensor.impl().storage->born_during() == id()) {  // of numbers of the host: the same at each call
    closures_.push_back({tensor, made, add_made(made, own_copy(tensor)), true});
    return made;
  }
  const int place = add_place(made, true);
  closed_over_.push_back(tensor);
  closures_.push_back({tensor, made, place});
  return made;
}

int Capture::place_outside(const Tensor& tensor) {
  const Tensor known = stand_in(tensor);
  const Link* const link = known.impl().link(id());
  return link ? link->index : Recorder::place_outside(tensor);
}

void Capture::overwrite_outside(int place, const Call& call) {
  const auto written = std::ranges::find(closures_, place, &Closure::place);
  if (written == closures_.end()) return Recorder::overwrite_outside(place, call);
  for (const Closure& other : closures_) {
    if (&other != &*written && share_elements(other.tensor, written->tensor))
      fail_on_sharing(call.primitive.name, written->tensor, other.tensor);
  }
  written->written = true;
}

bool is_outdated(const Tensor& tensor) {
  const TensorImpl& impl = tensor.impl();
  return impl.storage->version() != impl.version && impl.storage->traced_version() > impl.version &&
         is_grad_enabled();
}

bool is_switched_off() {
  const Scope* const scope = visible_scope();
  return scope && !scope->trace() && !scope->enabled();
}

Tensor filled_by_hooks(const Shape& shape) {
  const Birth outside(0);
  const Tensor zeros = Tensor::empty(shape, DType::float64);
  std::memset(zeros.raw_data(), 0, zeros.nbytes());
  return zeros;
}

Captured capture(const Function& function, std::span<const Tensor> like) {
  Capture recorder;
  Tensors arguments, results;
  const bool is_off = is_switched_off();
  for (const Tensor& argument : like) arguments.push_back(recorder.add_argument(argument));
  {
    const OutermostTrace live(recorder);
    const Birth birth(recorder.id());
    std::optional<GradMode> off;
    if (is_off) off.emplace(false);
    results = function(arguments);
    for (Tensor& result : results) result = recorder.stand_in(result);
  }
  Program program = recorder.finish(results);
  Tensors closed_over = recorder.closed_over();
  drop_unknown(program, closed_over);
  return {std::move(program), std::move(closed_over), recorder.hooks()};
}

}  // namespace tidu
