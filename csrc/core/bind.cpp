// bind, the one door, and the chain of live scopes that calls are shown to.
//
// `carry_out` is what happens to every call: its inputs are checked (one device, not overwritten since a
// derivative came to depend on them, no other thread's), `run` makes the outputs, as a view, by other
// operations or by a kernel, and `show` hands the call to each live trace. A primitive that overwrites its
// inputs is shown first, since what a trace refuses must not have been done.
//
// Scopes are a chain on the stacks of those who began them, from the innermost to the ambient tape: traces,
// and switches that turn differentiation off or on. `visit_traces` walks it, and all that is asked of it
// below is made of that. Two laws make any nesting of transforms right. The outermost trace records first:
// the rule of an inner one may use an output, and the outer one must know it by then. And what trace t
// computes in its rules is seen only by the traces outside of t (VisibleTraces), while its inputs have
// identities of their own (primitives::alias), so that nested uses of one variable are not taken for each
// other.
//
// What a trace knows of a tensor is a Link on the tensor, and twins are one value under two identities: the
// last functions of this file. What traces make of calls is in autodiff/tape.h and jvp_trace.h,
// program/recorder.h and transforms/jet.cpp.
#include "core/bind.h"

#include <algorithm>
#include <atomic>

#include "core/escape.h"
#include "core/host_lock.h"
#include "core/trace.h"
#include "core/watch.h"

namespace tidu {

bool shows_leaf(const Tensor& tensor);  // a leaf of the ambient tape or a view of one (grads/backward.cpp)

namespace {

struct Chain {
  const Scope* innermost = nullptr;
  const Scope* ambient = nullptr;  // until it is first looked at
};
[[gnu::tls_model("initial-exec")]] constinit thread_local Chain chain;

const Scope*& innermost() {
  if (!chain.ambient) [[unlikely]]
    chain = {&ambient_scope(), &ambient_scope()};
  return chain.innermost;
}

// Whether more than the ambient tape is visible.
bool is_inside() {
  const Scope* const scope = innermost();
  return scope && scope != chain.ambient;
}

std::atomic<uint64_t> next_trace_id{1}, next_outermost_id{1};

// Calls visit(trace, differentiable) for each visible trace, the outermost first. Between two traces the
// innermost switch decides; one that is off hides everything outside of it from differentiation.
template <class Visit>
void visit_traces(const Scope* scope, const Visit& visit, bool differentiable = true, bool decided = false) {
  if (!scope) return;
  Trace* const trace = scope->trace();
  const bool inside = differentiable && (trace || decided || scope->enabled());
  visit_traces(scope->outer(), visit, inside, !trace);
  if (trace && (differentiable || !trace->differentiates())) visit(*trace, differentiable);
}

template <class Condition> bool any_trace(const Condition& holds) {
  bool any = false;
  visit_traces(innermost(), [&](const Trace& trace, bool) { any |= std::invoke(holds, trace); });
  return any;
}

std::string describe_call(const char* name, std::span<const Tensor> inputs) {
  std::string text = str("[", name, "]");
  for (const Tensor& input : inputs) text += " " + describe(input);
  return text;
}
std::string describe_call(const Call& call) { return describe_call(call.primitive.name, call.inputs); }

Device common_device(const Call& call, Device device) {
  for (const Tensor& input : call.inputs) {
    if (!input.defined()) fail<ValueError>("[", call.primitive.name, "] an input is an undefined tensor");
    if (&input == call.inputs.data()) device = input.device();
    if (!(input.device() == device)) fail_on_devices(call.primitive.name, call.inputs);
  }
  return device;
}

void launch(Kernel kernel, const Call& call) {
  const auto run = [&] {
    const Unlocked unlocked(call);
    kernel(call);
  };
  const auto noted = [&] {
    if (Watch* const watch = Watch::of_all.load(std::memory_order_acquire)) [[unlikely]]
      return watch->run(call, run);
    run();
  };
  if (Watch* const watch = Watch::active()) [[unlikely]]
    return watch->run(call, noted);
  noted();
}

void run_kernel(const Call& call, Device device) {
  if (shows_parts(call)) [[unlikely]] {
    const Tensors inputs = shown_to_kernels(call.primitive, call.inputs);
    Tensors outputs = shown_to_kernels(call.primitive, call.outputs);
    return run_kernel({call.primitive, inputs, call.attrs, outputs}, device);
  }
  const int slot = static_cast<int>(device.type);
  const Kernel kernel = call.primitive.kernels[slot];
  if (!kernel) fail<DeviceError>(describe_call(call), ": no kernel for device ", device);
  const WorkspaceBytes needed = call.primitive.workspaces[slot];
  const size_t bytes = needed ? needed(call) : 0;
  if (bytes == 0) return launch(kernel, call);
  const auto workspace = make_ref<Storage>(device, allocator_of(device), bytes);
  launch(kernel, {call.primitive, call.inputs, call.attrs, call.outputs, workspace->data()});
}

void make_outputs(const Call& call, Device device, bool abstract) {
  constexpr size_t kFew = 4;
  Spec few[kFew];
  std::vector<Spec> many(call.outputs.size() > kFew ? call.outputs.size() : 0);
  const std::span<Spec> specs(many.empty() ? few : many.data(), call.outputs.size());
  for (Spec& spec : specs) spec.device = device;
  call.primitive.infer({call.primitive, call.inputs, call.attrs}, specs);
  for (size_t i = 0; i < specs.size(); ++i) {
    const Spec& spec = specs[i];
    call.outputs[i] = abstract ? Tensor::unknown(spec.shape, spec.dtype, spec.device)
                               : Tensor::empty(spec.shape, spec.dtype, spec.device);
  }
}

void run(const Call& call, Device device) {
  if (call.primitive.view) {
    call.outputs[0] = call.primitive.view(call);
    return;
  }
  if (call.primitive.evaluate) {
    const VisibleTraces none(nullptr);
    return call.primitive.evaluate(call);
  }
  check_complex({call.primitive, call.inputs, call.attrs});
  const bool is_made_later = call.inputs.empty() && outermost_trace();
  const bool abstract = is_made_later || std::ranges::any_of(call.inputs, &Tensor::is_abstract);
  make_outputs(call, device, abstract);
  if (!abstract) run_kernel(call, device);
}

// Whether some trace might care, or a check: one beside the ambient tape is visible, that tracks the tensor,
// or its storage was written to since. A trace that has ended does not care.
bool concerns_traces(const Tensor& tensor) {
  const TensorImpl& impl = tensor.impl();
  if (is_inside() || (impl.storage && impl.storage->version() != impl.version)) return true;
  const Scope* const ambient = innermost();
  if (is_guarded() && (impl.links || !ambient)) return true;
  return ambient && impl.link(ambient->trace()->id());
}
bool is_watched() { return Watch::active() || Watch::of_all.load(std::memory_order_acquire); }

// A tracked tensor whose storage was overwritten through another view no longer is what its derivative says.
// A leaf of the ambient tape is whatever its memory holds, and so are views of it.
void check_not_overwritten(const Call& call) {
  for (const Tensor& input : call.inputs.subspan(call.primitive.overwrites ? call.outputs.size() : 0)) {
    const TensorImpl& impl = input.impl();
    if (!impl.storage || impl.storage->version() == impl.version || !is_grad_enabled()) continue;
    const auto knows_it = [&](const Trace& trace) {
      return trace.differentiates() && impl.link(trace.id()) && !(trace.is_ambient() && shows_leaf(input));
    };
    if (any_trace(knows_it) || impl.storage->traced_version() > impl.version)
      fail<GradientError>(describe_call(call),
                          ": an input that is being differentiated was overwritten in place through another "
                          "view of its memory (take the view again after the write, or write to a copy)");
  }
}

// What has no value may be written to memory that has one where a program is recorded that knows of both.
void check_recorded(const Call& call) {
  const bool is_recorded = any_trace([](const Trace& trace) { return !trace.differentiates(); });
  if (is_recorded || std::ranges::all_of(call.outputs, &Tensor::is_abstract)) return;
  fail<TraceError>(describe_call(call),
                   ": overwrites a tensor by one without a value, which was made while a ",
                   "program was recorded and has left that (return it instead)");
}

// Traces are shown a write before it happens: what they refuse must not have been done.
void overwrite(const Call& call, Device device) {
  if (std::ranges::any_of(call.inputs, is_tracked))
    fail<GradientError>(describe_call(call),
                        ": overwrites a tensor that is being differentiated (use no_grad)");
  check_complex({call.primitive, call.inputs, call.attrs});
  call.primitive.infer({call.primitive, call.inputs, call.attrs}, {});
  std::copy_n(call.inputs.begin(), call.outputs.size(), call.outputs.begin());
  const bool abstract = std::ranges::any_of(call.inputs, &Tensor::is_abstract);
  if (abstract) check_recorded(call);
  if (visible_scope()) show(call);
  if (!abstract) run_kernel(call, device);
  for (const Tensor& output : call.outputs) {
    TensorImpl& impl = output.impl();
    if (!impl.storage) continue;
    if (abstract) impl.storage->forget();
    impl.storage->bump_version();
    impl.version = impl.storage->version();
  }
}

void carry_out(const Call& call, Device device) {
  device = common_device(call, device);
  const bool concerned = is_inside() || std::ranges::any_of(call.inputs, concerns_traces);
  if (concerned) {
    check_not_overwritten(call);
    const bool differentiable = !std::holds_alternative<Zero>(call.primitive.derivative);
    for (const Tensor& input : call.inputs) check_thread(input, call.primitive.name, differentiable);
  }
  if (call.primitive.dispatch) return call.primitive.dispatch(call);
  if (call.primitive.overwrites) return overwrite(call, device);
  run(call, device);
  if (concerned) show(call);
}

std::unique_ptr<Link> copy_links(const Tensor& tensor, const auto& keeps) {
  std::unique_ptr<Link> result;
  std::unique_ptr<Link>* end = &result;
  for (const Link* link = tensor.impl().links.get(); link; link = link->next.get()) {
    if (!keeps(link->trace)) continue;
    *end = std::make_unique<Link>(Link{{}, link->trace, link->value, link->index, nullptr, link->owned});
    end = &(*end)->next;
  }
  return result;
}

Tensor twin_with(const Tensor& tensor, const auto& keeps) {
  Tensor result = tensor.view(tensor.shape(), tensor.strides(), tensor.impl().offset);
  result.impl().version = tensor.impl().version;
  result.impl().links = copy_links(tensor, keeps);
  return result;
}

bool is_recorder(uint64_t id) {
  return any_trace([&](const Trace& trace) { return trace.id() == id && !trace.differentiates(); });
}

}  // namespace

HostLock host_lock;

std::atomic<Watch*> Watch::of_all = nullptr;
std::atomic<int> Watch::count_ = 0;
thread_local Watch* Watch::current_ = nullptr;

void fail_on_devices(const char* name, std::span<const Tensor> inputs) {
  fail<DeviceError>(describe_call(name, inputs),
                    ": inputs are on different devices (move them to one with to(device))");
}

void bind(const Primitive& primitive, std::span<const Tensor> inputs, const Attrs& attrs,
          std::span<Tensor> outputs, Device device) {
  Trace* const outermost = outermost_trace();
  if (!outermost) [[likely]] {
    // Spans that are copied whole would be loaded as vectors, too (CMakeLists.txt).
    return carry_out({primitive, {inputs.data(), inputs.size()}, attrs, {outputs.data(), outputs.size()}},
                     device);
  }
  Tensors stand_ins;
  for (const Tensor& input : inputs) stand_ins.push_back(outermost->stand_in(input));
  carry_out({primitive, stand_ins, attrs, outputs}, device);
}

Lent::Lent(std::initializer_list<One> tensors) : size_(tensors.size()) {
  if (size_ > kMost) fail<std::logic_error>("a list of ", size_, " tensors is lent, of at most ", kMost);
  Tensor* place = tensors_;
  for (const One& one : tensors) new (place++) Tensor(Ref<TensorImpl>(one.impl, Ref<TensorImpl>::Counted{}));
}

Tensor bind(const Primitive& primitive, std::initializer_list<Lent::One> inputs, const Attrs& attrs) {
  const Lent lent(inputs);
  Tensor output;
  bind(primitive, lent, attrs, {&output, 1});
  return output;
}

Tensor bind_over(const Primitive& primitive, Tensor first, const Tensor& second) {
  const Lent inputs({first, second});
  const Call call{primitive, inputs, {}, {&first, 1}};
  // Kernels of the cpu read an element before they write it.
  const bool fits = first.device().type == DeviceType::cpu && first.spec() == second.spec() &&
                    !is_complex(first.dtype()) && !second.is_abstract();
  if (!is_free(first) || !fits || is_seen(first) || is_seen(second)) return bind(primitive, {first, second});
  run_kernel(call, first.device());
  return first;
}

bool is_seen(const Tensor& tensor) { return is_watched() || concerns_traces(tensor); }

bool is_free(const Tensor& tensor) {
  const Ref<Storage>& memory = tensor.impl().storage;
  return tensor.ref()->use_count() == 1 && !tensor.impl().links && tensor.is_contiguous() && memory &&
         memory->use_count() == 1 && memory->is_own();
}

void show(const Call& call) {
  visit_traces(innermost(), [&](Trace& trace, bool differentiable) { trace.record(call, differentiable); });
}

Trace::Trace() : id_(kAmbientId + next_trace_id.fetch_add(1, std::memory_order_relaxed)) {}
Trace::Trace(Outermost) : id_(next_outermost_id.fetch_add(1, std::memory_order_relaxed)) {}

const Scope* Trace::outer() const {
  if (!is_ambient()) return outer_;
  const Scope* scope = innermost();
  while (scope && scope->trace() != this) scope = scope->outer();
  return scope ? scope->outer() : nullptr;
}

const Scope* visible_scope() { return innermost(); }

VisibleTraces::VisibleTraces(const Scope* scope) : previous_(std::exchange(innermost(), scope)) {}
VisibleTraces::~VisibleTraces() { innermost() = previous_; }

LiveTrace::LiveTrace(Trace& trace) : scope_(trace, innermost()), visible_(&scope_) {
  trace.outer_ = scope_.outer();
  begin_live(trace);
}
LiveTrace::~LiveTrace() { end_live(*scope_.trace()); }

OutermostTrace::OutermostTrace(Trace& trace)
    : outermost_(trace), ambient_(*ambient_scope().trace(), &outermost_), visible_(&ambient_) {
  begin_live(trace);
}
OutermostTrace::~OutermostTrace() { end_live(*outermost_.trace()); }

Trace* outermost_trace() {
  if (!is_inside()) [[likely]]
    return nullptr;
  Trace* trace = nullptr;
  for (const Scope* scope = innermost(); scope; scope = scope->outer())
    trace = scope->trace() ? scope->trace() : trace;
  return trace && trace->is_outermost() ? trace : nullptr;
}

std::vector<VisibleTrace> visible_traces() {
  std::vector<VisibleTrace> traces;
  visit_traces(innermost(), [&](Trace& trace, bool differentiable) {
    traces.push_back({&trace, differentiable});
  });
  return traces;
}

std::vector<Trace*> differentiating_traces() {
  std::vector<Trace*> traces;
  visit_traces(innermost(), [&](Trace& trace, bool) {
    if (trace.differentiates()) traces.push_back(&trace);
  });
  return traces;
}

bool is_grad_enabled() { return any_trace(&Trace::differentiates); }

bool is_tracked(const Tensor& tensor) {
  return tensor.impl().links && any_trace([&](const Trace& trace) {
           return trace.differentiates() && tensor.impl().link(trace.id());
         });
}

void set_link(const Tensor& tensor, uint64_t id, Ref<RefCounted> value, int index, Ref<RefCounted> owned) {
  std::unique_ptr<Link>* place = &tensor.impl().links;
  while (*place && (*place)->trace > id) place = &(*place)->next;
  *place = std::make_unique<Link>(Link{{}, id, std::move(value), index, std::move(*place), std::move(owned)});
}

void remove_link(const Tensor& tensor, uint64_t id) {
  std::unique_ptr<Link>* place = &tensor.impl().links;
  while (*place && (*place)->trace != id) place = &(*place)->next;
  if (*place) *place = std::move((*place)->next);
}

Tensor twin(const Tensor& tensor, uint64_t newest) {
  return twin_with(tensor, [&](uint64_t trace) { return trace <= newest; });
}

Tensor recorded_twin(const Tensor& tensor) { return twin_with(tensor, is_recorder); }

void take_identity(const Tensor& tensor, const Tensor& from) {
  tensor.impl().links = copy_links(tensor, is_recorder);
  for (const Link* link = from.impl().links.get(); link; link = link->next.get()) {
    if (!is_recorder(link->trace)) set_link(tensor, link->trace, link->value, link->index, link->owned);
  }
}

}  // namespace tidu
