// Traces: what watches the calls that go through bind.
#pragma once

#include <functional>

#include "core/primitive.h"

namespace tidu {

class Scope;

// A function of tensors. It may close over tensors, also ones that an outer transform differentiates.
using Function = std::function<Tensors(const Tensors&)>;

// A call of a function that has a derivative rule of its own, as a trace meets it. Rules are run with the
// traces outside of that one visible.
class CustomCall {
 public:
  virtual ~CustomCall() = default;
  const Tensors& inputs() const { return inputs_; }
  // The values, under identities of their own: traces hang the derivative on them.
  virtual const Tensors& outputs() = 0;
  // The cotangents of the inputs from those of the outputs, as a function that may be kept.
  virtual Function pullback() = 0;
  // The tangents of the outputs from those of the inputs.
  virtual Tensors push(const Tensors& tangents) = 0;
  // The same for twins of the inputs, which may be known to a trace that is to see what the rule computes.
  virtual Tensors push_at(const Tensors& inputs, const Tensors& tangents) = 0;
  // The function and its rule as programs, which are the attributes of one call; what they close over, its
  // further inputs.
  struct Closed {
    const Primitive* primitive;
    Attrs attrs;
    Tensors captured;
  };
  virtual Closed close() = 0;
  // What the function closes over and a trace knows.
  virtual Tensors captured() = 0;

 protected:
  explicit CustomCall(Tensors inputs) : inputs_(std::move(inputs)) {}
  Tensors inputs_;
};

// A live transform. To understand the engine, start here, then read bind.cpp (how a call reaches the traces)
// and autodiff/tape.h (what reverse mode makes of it).
class Trace {
 public:
  Trace();
  virtual ~Trace() = default;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // Shown every call after it ran (one that overwrites its inputs: before), outermost trace first. Not
  // differentiable: made under GradMode(false), or by a rule of an inner trace that is itself so hidden; only
  // recorders are shown such calls.
  virtual void record(const Call& call, bool differentiable) = 0;
  // Shown a call of a function with a rule of its own in place of the calls that it consists of.
  virtual void record_custom(CustomCall& call, bool differentiable) = 0;
  virtual bool differentiates() const { return true; }
  // Whether what a call of these inputs does besides is done when the trace's program runs, and not now.
  virtual bool defers(std::span<const Tensor>) const { return false; }
  // Of an outermost trace: what stands for a tensor whose value the calls here are not to know.
  virtual Tensor stand_in(const Tensor& tensor) { return tensor; }

  // Grows with nesting.
  uint64_t id() const { return id_; }
  // Whether it is the tape behind Tensor::backward.
  bool is_ambient() const { return id_ == kAmbientId; }
  bool is_outermost() const { return id_ < kAmbientId; }
  // What was visible when this trace went live: a rule of it runs under VisibleTraces(outer()).
  const Scope* outer() const;

 protected:
  struct Ambient {};
  explicit Trace(Ambient) : id_(kAmbientId) {}
  struct Outermost {};
  explicit Trace(Outermost);  // to live outside of the ambient tape

 private:
  friend class LiveTrace;
  static constexpr uint64_t kAmbientId = uint64_t{1} << 63;
  uint64_t id_;
  const Scope* outer_ = nullptr;
};

// The chain of what is live, from the innermost to the ambient tape behind Tensor::backward: traces, and
// switches that turn differentiation by all traces outside of them off or on again.
class Scope {
 public:
  explicit Scope(Trace& trace, const Scope* outer = nullptr) : trace_(&trace), outer_(outer) {}
  Scope(bool enabled, const Scope* outer) : enabled_(enabled), outer_(outer) {}

  Trace* trace() const { return trace_; }  // null for a switch
  bool enabled() const { return enabled_; }
  const Scope* outer() const { return outer_; }

 private:
  Trace* trace_ = nullptr;
  bool enabled_ = true;
  const Scope* outer_;
};

// The tape behind Tensor::backward, at the outer end of every chain. Defined in autodiff.
const Scope& ambient_scope();

// The innermost scope that this thread's calls see, or null.
const Scope* visible_scope();

// Shows the calls made here only to the traces from `innermost` outwards; to none where it is null.
class VisibleTraces {
 public:
  explicit VisibleTraces(const Scope* innermost);
  ~VisibleTraces();
  VisibleTraces(const VisibleTraces&) = delete;

 private:
  const Scope* previous_;
};

// Makes `trace` the innermost live one here.
class LiveTrace {
 public:
  explicit LiveTrace(Trace& trace);
  ~LiveTrace();

 private:
  Scope scope_;
  VisibleTraces visible_;
};

// Makes `trace` live here outside of the ambient tape, so that it is shown what backward() computes, and
// nothing else.
class OutermostTrace {
 public:
  explicit OutermostTrace(Trace& trace);
  ~OutermostTrace();

 private:
  Scope outermost_, ambient_;
  VisibleTraces visible_;
};
// The one that is visible, or null.
Trace* outermost_trace();

// Turns differentiation by the traces that are live now off (or, inside such a scope, on again). Traces begun
// inside are not touched.
class GradMode {
 public:
  explicit GradMode(bool enabled) : scope_(enabled, visible_scope()), visible_(&scope_) {}
  bool is_innermost() const { return visible_scope() == &scope_; }

 private:
  Scope scope_;
  VisibleTraces visible_;
};

// Whether some visible differentiating trace is not switched off.
bool is_grad_enabled();

// The visible traces, outermost first, and whether each is shown differentiable calls; of those that
// differentiate, the ones that are.
struct VisibleTrace {
  Trace* trace;
  bool differentiable;
};
std::vector<VisibleTrace> visible_traces();
std::vector<Trace*> differentiating_traces();

// Whether one of them tracks `tensor`.
bool is_tracked(const Tensor& tensor);

// What trace `id` knows of `tensor` from now on.
void set_link(const Tensor& tensor, uint64_t id, Ref<RefCounted> value, int index,
              Ref<RefCounted> owned = {});
void remove_link(const Tensor& tensor, uint64_t id);
// The same value under a second identity, which the traces up to `newest` take for the same tensor.
Tensor twin(const Tensor& tensor, uint64_t newest);
// The same value under a second identity, which visible recorders take for the same tensor, and others for
// a constant.
Tensor recorded_twin(const Tensor& tensor);
// What all traces know of the tensor `from` becomes what they know of `tensor`, but that recorders keep what
// they know of it.
void take_identity(const Tensor& tensor, const Tensor& from);

}  // namespace tidu
