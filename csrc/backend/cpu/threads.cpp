// The threads that CPU kernels share.
#include "backend/cpu/threads.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "backend/cpu/workspace.h"
#include "base/error.h"

namespace tidu::cpu {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread looks for work before it sleeps: about what a training step computes on one thread
// between two products, where waking the others would take as long as their part. Only for the pause between
// two kernels it does so alone on its core; then whoever else wants that has it.
constexpr std::chrono::microseconds kSpin{500}, kAlone{50};

inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until done() holds, at first spinning. Returns false where the time for that ran out.
template <class Done> bool spin_until(const Done& done) {
  const auto start = Clock::now();
  while (true) {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      relax();
    }
    const auto passed = Clock::now() - start;
    if (passed >= kSpin) return false;
    if (passed >= kAlone) std::this_thread::yield();
  }
}

thread_local bool inside_task = false;

struct Job {
  Job(int64_t tasks, void (*body)(void*, int64_t), void* context)
      : tasks(tasks), body(body), context(context) {}

  const int64_t tasks;
  void (*const body)(void*, int64_t);
  void* const context;
  std::mutex error_mutex;
  std::exception_ptr error;

  void run(int64_t task) {
    try {
      body(context, task);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  }
};

// The tasks that are a thread's own: the same ones of each job of as many tasks, so that kernel after kernel
// a core finds in its cache what it last wrote. Threads that are done help others.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
  std::atomic<int> core{-1};  // that the thread was on when it last began
};

int available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

// Started at the first job. Never destroyed, since kernels may run while static objects are.
class Pool {
 public:
  explicit Pool(int threads)
      : shares_(std::make_unique<Share[]>(static_cast<size_t>(threads))), threads_(threads) {}

  int threads() const { return threads_; }

  void resize(int threads) {
    const std::lock_guard lock(user_);
    stopping_ = true;
    announce();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_ = false;
    threads_ = threads;
    shares_ = std::make_unique<Share[]>(static_cast<size_t>(threads));
  }

  // False if another thread is using the pool.
  bool run(Job& job) {
    const std::unique_lock lock(user_, std::try_to_lock);
    if (!lock) return false;
    try {
      while (static_cast<int>(workers_.size()) < threads_ - 1) {
        const int own = static_cast<int>(workers_.size()) + 1;
        workers_.emplace_back([this, own] { serve(own); });
      }
    } catch (const std::system_error&) {}  // the system has no more threads: those that there are will do
    for (int i = 0; i < threads_; ++i) {
      shares_[static_cast<size_t>(i)].next = begin_of(i, job.tasks);
      shares_[static_cast<size_t>(i)].end = begin_of(i + 1, job.tasks);
    }
    keep_apart();
    job_ = &job;
    announce();
    work(job, 0);
    // No worker starts on the job any more; those that have are counted.
    job_ = nullptr;
    while (!spin_until([&] { return active_ == 0; })) std::this_thread::yield();
    return true;
  }

 private:
  void announce() {
    round_.fetch_add(1);
    round_.notify_all();
  }

  // Sends workers away from the core that this thread is on. The system wakes them there where the others are
  // in use, and then both have their turns on it for as long as there is work.
  void keep_apart() {
    const int here = sched_getcpu();
    for (size_t i = 0; i < workers_.size(); ++i) {
      std::atomic<int>& core = shares_[i + 1].core;
      if (core.load(std::memory_order_relaxed) != here) continue;
      core = -1;
      cpu_set_t others;
      if (sched_getaffinity(0, sizeof others, &others) != 0) continue;
      CPU_CLR(static_cast<size_t>(here), &others);
      if (CPU_COUNT(&others) > 0) pthread_setaffinity_np(workers_[i].native_handle(), sizeof others, &others);
    }
  }

  int64_t begin_of(int share, int64_t tasks) const {
    return static_cast<int64_t>(static_cast<__int128>(tasks) * share / threads_);
  }

  void work(Job& job, int own) {
    inside_task = true;
    for (int i = 0; i < threads_; ++i) {
      Share& share = shares_[static_cast<size_t>((own + i) % threads_)];
      while (share.next.load(std::memory_order_relaxed) < share.end) {
        const int64_t task = share.next.fetch_add(1, std::memory_order_relaxed);
        if (task < share.end) job.run(task);
      }
    }
    inside_task = false;
  }

  void serve(int own) {
    const SignalsHeldBack held;
    uint32_t seen = 0;
    while (!stopping_) {
      if (!spin_until([&] { return round_ != seen; })) round_.wait(seen);
      seen = round_;
      shares_[static_cast<size_t>(own)].core.store(sched_getcpu(), std::memory_order_relaxed);
      // Counted before the job is read: run() clears the job first and then waits for the count.
      ++active_;
      if (Job* job = job_) work(*job, own);
      --active_;
    }
  }

  std::mutex user_;
  std::vector<std::thread> workers_;
  std::unique_ptr<Share[]> shares_;
  std::atomic<int> threads_;
  alignas(64) std::atomic<uint32_t> round_{0};
  alignas(64) std::atomic<Job*> job_{nullptr};
  std::atomic<int> active_{0};
  std::atomic<bool> stopping_{false};
};

std::atomic<Pool*> current_pool{nullptr};

Pool& pool() {
  if (Pool* pool = current_pool.load(std::memory_order_acquire)) [[likely]]
    return *pool;
  static std::once_flag once;
  std::call_once(once, [] {
    current_pool = new Pool(available_cores());
    // A forked child has none of the pool's threads and perhaps its lock: it starts afresh beside it.
    pthread_atfork(nullptr, nullptr, [] { current_pool = new Pool(current_pool.load()->threads()); });
  });
  return *current_pool;
}

}  // namespace

int num_threads() { return pool().threads(); }

void set_num_threads(int count) {
  constexpr int kMost = 4096;
  if (count < 1 || count > kMost)
    fail<ValueError>("[set_num_threads] takes from 1 to ", kMost, " threads, not ", count);
  if (count != pool().threads()) pool().resize(count);
}

int64_t most_at_once(int64_t tasks) {
  static const int64_t cores = available_cores();
  return std::min(tasks, cores);
}

void run_tasks(int64_t tasks, void (*body)(void* context, int64_t i), void* context) {
  if (tasks > 1 && !inside_task && pool().threads() > 1) {
    Job job(tasks, body, context);
    if (pool().run(job)) {
      if (job.error) std::rethrow_exception(job.error);
      return;
    }
  }
  for (int64_t i = 0; i < tasks; ++i) body(context, i);
}

namespace {

constinit thread_local int held_back = 0;  // scopes on this thread

}  // namespace

SignalsHeldBack::SignalsHeldBack() {
  if (held_back++ > 0) return;
  sigset_t outside;
  sigfillset(&outside);
  for (const int own : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS}) sigdelset(&outside, own);
  pthread_sigmask(SIG_BLOCK, &outside, &before_);
}
SignalsHeldBack::~SignalsHeldBack() {
  if (--held_back == 0) pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace tidu::cpu
