// Stackful coroutines: a switch between two of them costs a few nanoseconds and no system call.
//
// Own assembly, as a switch is the inner loop of every kernel with barriers: Boost.Context saves more state
// and takes 1.25 times as long, ucontext a system call and 10 times as long.
#pragma once

#include <cstddef>
#include <vector>

namespace tidu::simt {

// Saves the callee-saved state on the present stack, its place in *save, and goes on where `to` was saved.
extern "C" void tidu_simt_switch(void** save, void* to);

// Memory for a fibre, with a guard page below it.
struct Stack {
  static constexpr size_t kBytes = 64 * 1024;
  char* low;
  char* high;
  // A saved state that starts `entry` on this empty stack. It must never return.
  void* prepare(void (*entry)()) const;
};

// Stacks are made when first needed and kept.
class StackPool {
 public:
  Stack* take();
  void give(Stack* stack) { free_.push_back(stack); }
  // All stacks are free: whatever ran on them is abandoned.
  void reclaim();
  size_t made() const { return all_.size(); }
  bool in_guard_page(const void* p) const;

 private:
  std::vector<Stack*> all_, free_;
};

}  // namespace tidu::simt
