// The threads that CPU kernels share.
//
// Work is cut into tasks by its shape alone; threads only decide who does a task. So results do not depend on
// their number.
#pragma once

#include <signal.h>

#include <cstdint>

namespace tidu::cpu {

// How many threads kernels may use, the calling one included. At first the number of cores that this process
// may run on.
int num_threads();
// Throws ValueError below 1 and for more threads than any machine runs.
void set_num_threads(int count);

// Calls body(context, i) once for each i in 0 .. tasks, in any order, on any of the threads, and returns when
// all are done. Runs on the calling thread alone where there is one task, inside another task, or while
// another thread's work has the others. If calls throw, one of the exceptions is thrown here after the rest.
void run_tasks(int64_t tasks, void (*body)(void* context, int64_t i), void* context);

// Keeps signals that come from outside from this thread in its scope; they are delivered at its end. oneDNN's
// generated code puts the stack pointer into buffers on the heap, and a signal's frame would be written
// beside them. The threads of run_tasks have none at any time. Scopes in scopes cost nothing.
class SignalsHeldBack {
 public:
  SignalsHeldBack();
  ~SignalsHeldBack();
  SignalsHeldBack(const SignalsHeldBack&) = delete;

 private:
  sigset_t before_;
};

// Elements that a thread takes at a time. Waking others does not pay for work on less than two of these.
inline constexpr int64_t kGrain = 16384;

// body(i) for each i in 0 .. tasks, on several threads if the `work` of all tasks, in elements, is worth it.
template <class Body> void parallel_for(int64_t tasks, int64_t work, const Body& body) {
  if (tasks <= 1 || work < 2 * kGrain) {
    for (int64_t i = 0; i < tasks; ++i) body(i);
    return;
  }
  run_tasks(
      tasks, [](void* context, int64_t i) { (*static_cast<const Body*>(context))(i); },
      const_cast<void*>(static_cast<const void*>(&body)));
}

// body(begin, end) for pieces of `size` of `total` items.
template <class Body> void parallel_ranges(int64_t total, int64_t size, int64_t work, const Body& body) {
  parallel_for((total + size - 1) / size, work, [&](int64_t i) {
    const int64_t begin = i * size;
    body(begin, begin + size < total ? begin + size : total);
  });
}

// The same for an array of elements.
template <class Body> void parallel_elements(int64_t total, const Body& body) {
  if (total < 2 * kGrain) {
    if (total > 0) body(int64_t{0}, total);
    return;
  }
  parallel_ranges(total, kGrain, total, body);
}

}  // namespace tidu::cpu
