// Functions that are recorded once for arguments of their kind, and then run as one prepared program.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "autodiff/tape.h"
#include "compile/executable.h"
#include "grads/hooks.h"
#include "program/capture.h"
#include "transforms/taped.h"

namespace tidu {

// One recording: for arguments of the specs and layouts that it was made with.
class Compiled {
 public:
  // Calls take the memory of donated arguments, by number, for results where they can: such an argument has
  // no value afterwards. A ValueError where the function writes to one.
  Compiled(const Function& function, std::span<const Tensor> like, std::vector<int> donated = {});

  // The results, new tensors. Tensors that the function closes over are read, and where it writes to them
  // written, at each call. Where a trace that differentiates or records knows of a tensor, the calls go
  // through bind one by one, and the trace sees them. Without `advance` the host's state, such as counts of
  // steps, stays.
  Tensors operator()(std::span<const Tensor> arguments, bool advance = true) const;

  // Why it must be recorded anew, or empty.
  std::string why_stale() const;
  // The tensors that a call overwrites.
  Tensors written(std::span<const Tensor> arguments) const;
  // What is run, as text.
  std::string explain() const;

  const Program& program() const { return program_; }
  const Tensors& closed_over() const { return closed_over_; }

 private:
  struct Watchers {
    int count = 0;
    Trace* only = nullptr;  // the one that there is, where it is a tape
  };
  Watchers watchers(std::span<const Tensor> inputs) const;
  void check_donated(std::span<const Tensor> arguments) const;
  // What is closed over as it was when it was recorded.
  struct Closure {
    Tensor tensor;
    bool requires_grad;
    std::vector<std::weak_ptr<GradientHook>> hooks;
  };
  Tensors run(const Tensors& inputs) const;
  Tensors run_taped(const Tensors& inputs, Trace& tape) const;
  Tensors run_by_calls(const Tensors& inputs) const;

  const std::vector<int> donated_;
  Program program_;
  Program by_calls_;  // with what is written as further results
  std::vector<Strides> layouts_;
  std::unique_ptr<const Executable> executable_;
  mutable std::mutex mutex_;
  mutable std::map<std::vector<bool>, Taped> taped_;  // by inputs that are differentiated
  Tensors closed_over_;
  std::vector<RecordedHook> hooks_;
  std::vector<Ref<Node>> must_have_no_grad_;
  std::vector<Closure> closures_;
  mutable std::atomic<uint64_t> leaf_changes_ = 0;  // when closures were as they were
  bool has_graph_ = false;  // the ambient tape knows how to differentiate some result, or what was written
};

// The function as one that is recorded for each kind of arguments that it meets: their specs and layouts. As
// many recordings are kept; they go with the last copy of the result. Calls may take the memory of donated
// arguments, by number, which have no value afterwards, but where a transform is live or an argument has no
// value: a ValueError, before anything is run, where somebody else has that memory or would miss the value.
Function compile(Function function, std::vector<int> donated = {});

}  // namespace tidu
