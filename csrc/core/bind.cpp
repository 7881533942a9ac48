// bind and the chain of live traces.
#include "core/bind.h"

#include <algorithm>
#include <atomic>

#include "core/trace.h"

namespace tidu {
namespace {

struct Chain {
  Trace* innermost = nullptr;
  bool started = false;
};
constinit thread_local Chain chain;

Trace*& innermost() {
  if (!chain.started) [[unlikely]]
    chain = {&ambient_trace(), true};
  return chain.innermost;
}

std::atomic<uint64_t> next_trace_id{1};

// Calls visit(trace, differentiable) from the innermost visible trace outwards. Between two traces the
// innermost GradMode decides; one that switches off hides everything outside it.
template <class Visit> void walk_traces(Visit&& visit) {
  bool differentiable = true, decided = false;
  for (Trace* trace = innermost(); trace != nullptr; trace = trace->outer()) {
    if (const auto* mode = dynamic_cast<const GradMode*>(trace)) {
      if (!decided) differentiable &= mode->enabled();
      decided = true;
    } else {
      visit(*trace, differentiable);
      decided = false;
    }
  }
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

void run(const Call& call, Device device) {
  const Primitive& primitive = call.primitive;
  if (primitive.view) {
    call.outputs[0] = primitive.view(call);
    return;
  }
  if (primitive.overwrites) {
    primitive.infer(call, nullptr);
    std::copy_n(call.inputs.begin(), call.outputs.size(), call.outputs.begin());
  }
  Spec specs[kMaxOutputs];
  if (!primitive.overwrites) primitive.infer(call, specs);
  const bool abstract = std::ranges::any_of(call.inputs, [](const Tensor& t) { return t.is_abstract(); });
  for (size_t i = 0; i < call.outputs.size(); ++i) {
    const auto make = abstract ? Tensor::abstract : Tensor::empty;
    if (!primitive.overwrites) call.outputs[i] = make(specs[i].shape, specs[i].dtype, device);
  }
  if (abstract) return;
  const Kernel kernel = primitive.kernels[static_cast<int>(device.type)];
  if (!kernel) fail<DeviceError>(describe_call(call), ": no kernel for device ", device);
  kernel(call);
}

// Whether some trace might care: any but the ambient tape is live, an input is tracked, or its storage was
// written to since.
bool is_watched(const Call& call) {
  if (innermost() != &ambient_trace()) return true;
  return std::ranges::any_of(call.inputs, [](const Tensor& input) {
    const TensorImpl& impl = input.impl();
    return impl.links || (impl.storage && impl.storage->version() != impl.version);
  });
}

// A tracked tensor whose storage was overwritten through another view no longer is what its derivative says.
void check_not_overwritten(const Call& call) {
  for (const Tensor& input : call.inputs) {
    const TensorImpl& impl = input.impl();
    if (!impl.storage || impl.storage->version() == impl.version || !is_grad_enabled()) continue;
    if (is_tracked(input) || impl.storage->traced_version() > impl.version) {
      fail<GradientError>(
          describe_call(call),
          ": an input that is being differentiated was overwritten in place through another view of its "
          "memory (take the view again after the write, or write to a copy)");
    }
  }
}

void check_may_overwrite(const Call& call) {
  for (const Tensor& input : call.inputs) {
    if (is_tracked(input))
      fail<GradientError>(describe_call(call),
                          ": overwrites a tensor that is being differentiated (use no_grad)");
  }
}

void show(const Call& call) {
  if (innermost() == &ambient_trace()) return ambient_trace().record(call, true);
  struct Seen {
    Trace* trace;
    bool differentiable;
  };
  std::vector<Seen> traces;
  walk_traces([&](Trace& trace, bool differentiable) {
    if (differentiable || !trace.differentiates()) traces.push_back({&trace, differentiable});
  });
  for (size_t i = traces.size(); i-- > 0;) traces[i].trace->record(call, traces[i].differentiable);
}

}  // namespace

void fail_on_devices(const char* name, std::span<const Tensor> inputs) {
  fail<DeviceError>(describe_call(name, inputs),
                    ": inputs are on different devices (move them to one with to(device))");
}

void bind(const Primitive& primitive, std::span<const Tensor> inputs, const Attrs& attrs,
          std::span<Tensor> outputs, Device device) {
  const Call call{primitive, inputs, attrs, outputs};
  device = common_device(call, device);
  const bool watched = is_watched(call);
  if (watched) {
    check_not_overwritten(call);
    if (primitive.overwrites) check_may_overwrite(call);
  }
  run(call, device);
  if (primitive.overwrites) {
    for (const Tensor& output : outputs) {
      TensorImpl& impl = output.impl();
      if (!impl.storage) continue;
      impl.storage->bump_version();
      impl.version = impl.storage->version();
    }
  }
  if (watched) show(call);
}

Tensor bind(const Primitive& primitive, std::initializer_list<Tensor> inputs, const Attrs& attrs) {
  Tensor output;
  bind(primitive, {inputs.begin(), inputs.size()}, attrs, {&output, 1});
  return output;
}

Trace::Trace() : id_(next_trace_id.fetch_add(1, std::memory_order_relaxed)) {}

Trace* visible_trace() { return innermost(); }

LiveTrace::LiveTrace(Trace& trace) : previous_(innermost()) {
  trace.outer_ = previous_;
  innermost() = &trace;
}
LiveTrace::~LiveTrace() { innermost() = previous_; }

VisibleTraces::VisibleTraces(Trace* trace) : previous_(std::exchange(innermost(), trace)) {}
VisibleTraces::~VisibleTraces() { innermost() = previous_; }

std::vector<Trace*> differentiating_traces() {
  std::vector<Trace*> traces;
  walk_traces([&](Trace& trace, bool differentiable) {
    if (differentiable && trace.differentiates()) traces.insert(traces.begin(), &trace);
  });
  return traces;
}

bool is_grad_enabled() {
  bool enabled = false;
  walk_traces(
      [&](Trace& trace, bool differentiable) { enabled |= differentiable && trace.differentiates(); });
  return enabled;
}

bool is_tracked(const Tensor& tensor) {
  if (!tensor.impl().links) return false;
  bool tracked = false;
  walk_traces([&](Trace& trace, bool differentiable) {
    tracked |= differentiable && trace.differentiates() && tensor.impl().link(trace.id()) != nullptr;
  });
  return tracked;
}

void set_link(const Tensor& tensor, uint64_t id, Ref<RefCounted> value, int index) {
  TensorImpl& impl = tensor.impl();
  impl.links = std::make_unique<Link>(Link{id, std::move(value), index, std::move(impl.links)});
}

void remove_link(const Tensor& tensor, uint64_t id) {
  for (std::unique_ptr<Link>* place = &tensor.impl().links; *place; place = &(*place)->next) {
    if ((*place)->trace == id) {
      *place = std::move((*place)->next);
      return;
    }
  }
}

std::unique_ptr<Link> copy_links(const Tensor& tensor, uint64_t newest) {
  std::unique_ptr<Link> result;
  std::unique_ptr<Link>* end = &result;
  for (const Link* link = tensor.impl().links.get(); link; link = link->next.get()) {
    if (link->trace > newest) continue;
    *end = std::make_unique<Link>(Link{link->trace, link->value, link->index, nullptr});
    end = &(*end)->next;
  }
  return result;
}

Tensor twin(const Tensor& tensor, uint64_t newest) {
  Tensor result = tensor.view(tensor.shape(), tensor.strides(), tensor.impl().offset);
  result.impl().version = tensor.impl().version;
  result.impl().links = copy_links(tensor, newest);
  return result;
}

}  // namespace tidu
