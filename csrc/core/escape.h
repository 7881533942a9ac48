// What keeps derivatives from being lost in silence: to plain numbers, and to other threads.
#pragma once

#include "core/trace.h"

namespace tidu {

// Who would miss a derivative if a tensor became plain numbers here, in rising order: nobody, backward() of a
// leaf, backward() of a result, or a live transform of this thread or another.
enum class Differentiated : uint8_t { no, leaf, by_backward, by_transform };
Differentiated differentiated(const Tensor& tensor);

// A TraceError where there are no numbers because a program is recorded. `instead` would be recorded.
void check_known(const Tensor& tensor, const char* op, const char* instead = "where instead of if");

// A GradientError where somebody beyond `free` would miss it, or there are no numbers. `instead` would keep
// the derivative, and be recorded.
void check_escape(const Tensor& tensor, const char* op, Differentiated free = Differentiated::no,
                  const char* instead = "tidu's operations");

// A GradientError where a trace that is live on another thread knows of the tensor: it does not see what is
// done with it here. Of what is not differentiable, recorders alone would miss it.
void check_thread(const Tensor& tensor, const char* op, bool differentiable = true);

// While one lives, these memories hold old values on this thread: a program that writes to them does so when
// all is computed. Using one is a TraceError.
class Outdated {
 public:
  explicit Outdated(const std::vector<Ref<Storage>>& memories);
  ~Outdated();
  Outdated(const Outdated&) = delete;

 private:
  const std::vector<Ref<Storage>>* const outer_;
};
void check_current(const Tensor& tensor, const char* op);

// From here until `end_live` by the same thread, `trace` is a live one of this thread.
void begin_live(const Trace& trace);
void end_live(const Trace& trace);
// Whether check_thread or check_current might raise.
bool is_guarded();

}  // namespace tidu
