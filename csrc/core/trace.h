// Traces: what watches the calls that go through bind.
#pragma once

#include "core/primitive.h"

namespace tidu {

// A live transform. Traces form a chain from the innermost to the ambient tape behind Tensor::backward, which
// is always at the outer end.
class Trace {
 public:
  Trace();
  virtual ~Trace() = default;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;

  // Shown every call after it ran, outermost trace first. Not differentiable: made under GradMode(false), or
  // by a rule of an inner trace that is itself so hidden; only recorders are shown such calls.
  virtual void record(const Call& call, bool differentiable) = 0;
  virtual bool differentiates() const { return true; }

  // Grows with nesting; 0 is the ambient tape.
  uint64_t id() const { return id_; }
  // The next outer trace that was visible when this one went live; null for the ambient tape.
  Trace* outer() const { return outer_; }

 protected:
  struct Ambient {};
  explicit Trace(Ambient) : id_(0) {}

 private:
  friend class LiveTrace;
  uint64_t id_;
  Trace* outer_ = nullptr;
};

// The tape behind Tensor::backward. Defined in autodiff.
Trace& ambient_trace();

// The innermost trace that sees this thread's calls, or null.
Trace* visible_trace();

// Makes `trace` the innermost live one for this scope.
class LiveTrace {
 public:
  explicit LiveTrace(Trace& trace);
  ~LiveTrace();
  LiveTrace(const LiveTrace&) = delete;

 private:
  Trace* previous_;
};

// Shows this scope's calls only to `innermost` and the traces outside it; to none where it is null. A rule of
// trace t runs under VisibleTraces(t.outer()).
class VisibleTraces {
 public:
  explicit VisibleTraces(Trace* innermost);
  ~VisibleTraces();
  VisibleTraces(const VisibleTraces&) = delete;

 private:
  Trace* previous_;
};

// Turns differentiation by the traces that are live now off (or, inside such a scope, on again). Traces begun
// inside the scope are not touched.
class GradMode : public Trace {
 public:
  explicit GradMode(bool enabled) : enabled_(enabled), live_(*this) {}
  bool enabled() const { return enabled_; }

 private:
  void record(const Call&, bool) override {}
  bool enabled_;
  LiveTrace live_;
};

// Whether some visible differentiating trace is not switched off.
bool is_grad_enabled();

// The visible differentiating traces, outermost first.
std::vector<Trace*> differentiating_traces();

// Whether one of them tracks `tensor`.
bool is_tracked(const Tensor& tensor);

// What trace `id` knows of `tensor` from now on.
void set_link(const Tensor& tensor, uint64_t id, Ref<RefCounted> value, int index);
void remove_link(const Tensor& tensor, uint64_t id);
// What the traces up to `newest` know of `tensor`.
std::unique_ptr<Link> copy_links(const Tensor& tensor, uint64_t newest);
// The same value under a second identity, which the traces up to `newest` take for the same tensor.
Tensor twin(const Tensor& tensor, uint64_t newest);

}  // namespace tidu
