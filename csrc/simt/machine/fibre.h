// Stackful coroutines: a switch between two of them costs a few nanoseconds and no system call.
//
// Own assembly, as a switch is the inner loop of every kernel with barriers: Boost.Context saves more state
// and takes 1.25 times as long, ucontext a system call and 10 times as long.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TIDU_SIMT_SANITIZED
#endif

// For functions that a fibre leaves without returning when it is done: ThreadSanitizer would keep their
// frames on a stack of its own, which overflows when a fibre's memory was used some 30,000 times.
#ifdef __SANITIZE_THREAD__
#define TIDU_SIMT_LEFT __attribute__((no_sanitize("thread")))
#else
#define TIDU_SIMT_LEFT
#endif

namespace tidu::simt {

// Saves the callee-saved state on the present stack, its place in *save, and goes on where `to` was saved.
extern "C" void tidu_simt_switch(void** save, void* to);

// Memory for a fibre, with a guard page below it.
struct Stack {
  static constexpr size_t kBytes = 64 * 1024;
  char* low;
  char* high;
  void* fibre = nullptr;  // what ThreadSanitizer knows it as
  // A saved state that starts `entry` on this empty stack. It must never return.
  void* prepare(void (*entry)()) const;
};

// Goes on at `to`, which is a state on `stack` (null: of the scheduler). `save` is null where nobody comes
// back. A fibre begins with fibre_entered, the scheduler with scheduler_entered. The latter two, and the
// stack, matter to the sanitizers alone.
#ifdef TIDU_SIMT_SANITIZED
TIDU_SIMT_LEFT void switch_fibre(void** save, void* to, const Stack* stack);
void fibre_entered();
void scheduler_entered();
#else
inline void switch_fibre(void** save, void* to, const Stack*) {
  void* ignored;
  tidu_simt_switch(save ? save : &ignored, to);
}
inline void fibre_entered() {}
inline void scheduler_entered() {}
#endif

// From the scheduler to a fibre that begins with `entry`, and from any fibre back: what is left on its stack
// is abandoned.
void enter_fibre(const Stack* stack, void (*entry)());
[[noreturn]] TIDU_SIMT_LEFT void leave_fibre();

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
  std::deque<Stack> all_;
  std::vector<Stack*> free_;
};
extern StackPool& stacks;

}  // namespace tidu::simt
