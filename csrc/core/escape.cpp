// Who would miss a derivative, and which thread's traces are live.
#include "core/escape.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/source_line.h"

namespace tidu {
namespace {

struct Live {
  const Trace* trace;
  std::thread::id thread;
};
std::mutex live_mutex;
std::vector<Live> live;
// A thread that has as many live traces as there are need not ask whose they are.
std::atomic<size_t> num_live{0};
[[gnu::tls_model("initial-exec")]] constinit thread_local size_t num_live_here = 0;

bool is_known_elsewhere(const Tensor& tensor, bool differentiable) {
  if (!tensor.impl().links || num_live.load(std::memory_order_relaxed) == num_live_here) return false;
  const std::vector<Trace*> here = differentiating_traces();
  differentiable &= !here.empty() && here.front()->is_ambient();  // else no_grad holds for all outside
  const std::lock_guard lock(live_mutex);
  return std::ranges::any_of(live, [&](const Live& other) {
    return other.thread != std::this_thread::get_id() && tensor.impl().link(other.trace->id()) &&
           (differentiable || !other.trace->differentiates());
  });
}

[[gnu::tls_model("initial-exec")]] constinit thread_local const std::vector<Ref<Storage>>* outdated = nullptr;

}  // namespace

Outdated::Outdated(const std::vector<Ref<Storage>>& memories)
    : outer_(std::exchange(outdated, memories.empty() ? outdated : &memories)) {}
Outdated::~Outdated() { outdated = outer_; }

void check_current(const Tensor& tensor, const char* op) {
  if (tensor.impl().storage && tensor.impl().storage->is_donated())
    fail<ValueError>("[", op, "] ", describe(tensor), " was donated to a compiled function, whose call took ",
                     "its memory (use what the call returned, or donate a copy)");
  if (!outdated || std::ranges::find(*outdated, tensor.impl().storage) == outdated->end()) return;
  fail<TraceError>(
      "[", op, "] ", describe(tensor), " was overwritten by the compiled function that calls this ",
      "function of the host, which gets to see that when all is computed (pass the tensor as an ",
      "argument)");
}

Differentiated differentiated(const Tensor& tensor) {
  if (!tensor.impl().links) return Differentiated::no;
  if (is_known_elsewhere(tensor, true)) return Differentiated::by_transform;
  Differentiated result = Differentiated::no;
  for (const Trace* trace : differentiating_traces()) {
    if (!tensor.impl().link(trace->id())) continue;
    if (!trace->is_ambient()) return Differentiated::by_transform;
    result = tensor.is_leaf() ? Differentiated::leaf : Differentiated::by_backward;
  }
  return result;
}

void check_known(const Tensor& tensor, const char* op, const char* instead) {
  check_current(tensor, op);
  if (!tensor.is_abstract() && !outermost_trace()) return;
  fail<TraceError>("[", op, "] the value of ", describe(tensor),
                   " is not known while a program is recorded, ", "as by compile or vmap", Lines::text(),
                   " (use ", instead, ", or compute the value outside)");
}

void check_escape(const Tensor& tensor, const char* op, Differentiated free, const char* instead) {
  check_known(tensor, op, instead);
  if (differentiated(tensor) <= free) return;
  fail<GradientError>("[", op, "] ", describe(tensor), " is being differentiated: as plain numbers it would ",
                      "lose its derivative in silence (use ", instead,
                      ", or pass x.detach() or stop_gradient(x) where that is meant)");
}

void check_thread(const Tensor& tensor, const char* op, bool differentiable) {
  check_current(tensor, op);
  if (!is_known_elsewhere(tensor, differentiable)) return;
  fail<GradientError>("[", op, "] ", describe(tensor), " is being differentiated or recorded on another ",
                      "thread, whose transform does not see this call (make it on that thread, or pass ",
                      "x.detach() or stop_gradient(x) where that is meant)");
}

bool is_guarded() { return outdated || num_live.load(std::memory_order_relaxed) > 0; }

void begin_live(const Trace& trace) {
  const std::lock_guard lock(live_mutex);
  live.push_back({&trace, std::this_thread::get_id()});
  num_live = live.size();
  ++num_live_here;
}

void end_live(const Trace& trace) {
  const std::lock_guard lock(live_mutex);
  std::erase_if(live, [&](const Live& entry) { return entry.trace == &trace; });
  num_live = live.size();
  --num_live_here;
}

}  // namespace tidu
