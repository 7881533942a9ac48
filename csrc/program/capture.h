// Recording a function of which all tensors may change from call to call, those that it closes over among
// them.
#pragma once

#include "program/recorder.h"

namespace tidu {

// What a recorded function does to the state of the host, such as an optimiser's number of steps.
struct RecordedHook {
  std::function<std::string()> why_stale;  // why the recording does not hold any more, or empty
  std::function<void()> before;            // a call: readies tensors
  std::function<void()> after;             // a call that went well
  std::function<void()> undo;              // when the recording ends, whatever its end
};

// Records what is done with tensors whose values nothing here may know: the arguments, and what is closed
// over. These become further inputs of the program, and writing to them is one of its writes; their own
// memory is left alone. Only numbers in the code are constants. Lives outside of the ambient tape, so what
// backward() computes is recorded too.
class Capture : public Recorder {
 public:
  Capture() : Recorder(Outermost{}) {}

  Tensor stand_in(const Tensor& tensor) override;
  // What stands for it already, or itself.
  const Tensor& known(const Tensor& tensor) const;
  // A write of what is differentiated gives its target another identity: `known`, which stands for it from
  // here on.
  void renew(const Tensor& known);
  // For an argument of that spec and layout.
  Tensor add_argument(const Tensor& like);

  ~Capture() override;

  void add_hook(RecordedHook hook) { hooks_.push_back(std::move(hook)); }

  // What the program's inputs after the arguments are, in order.
  const Tensors& closed_over() const { return closed_over_; }
  // The newest of those identities, of each target.
  Tensors renewed() const;
  // The memory of what is closed over and was overwritten so far.
  std::vector<Ref<Storage>> overwritten() const;
  const std::vector<RecordedHook>& hooks() const { return hooks_; }

 private:
  struct Closure {
    Tensor tensor, stand_in;
    int place;
    bool made = false;  // inside, of numbers of the host
    bool written = false;
  };

  int place_outside(const Tensor& tensor) override;
  void overwrite_outside(int place, const Call& call) override;
  Tensor add(const Tensor& tensor);

  std::vector<Closure> closures_;
  Tensors closed_over_;
  std::unordered_map<const TensorImpl*, Tensor> stand_ins_;
  std::unordered_map<int, Tensor> renewed_;  // by place
  Tensors kept_;                             // whose addresses are keys
  std::vector<RecordedHook> hooks_;
};

// The one that is visible here, or null.
Capture* visible_capture();

// Whether a derivative depends on a value that was written to the tensor's memory through another view, or by
// an object that then became another tensor.
bool is_outdated(const Tensor& tensor);

// Whether no_grad is what was said last here: part of what a recording is made for.
bool is_switched_off();

// Zeros on the cpu, in memory that counts as from outside also where a function is recorded: what hooks fill.
Tensor filled_by_hooks(const Shape& shape);

// The program of a function, and the tensors that are its inputs after the arguments.
struct Captured {
  Program program;
  Tensors closed_over;
  std::vector<RecordedHook> hooks;
};
// For arguments of these specs and layouts. A value that is read inside is a TraceError.
Captured capture(const Function& function, std::span<const Tensor> like);

}  // namespace tidu
