// Catches the signals of faulty kernels, with a handler that leaves for the scheduler in place of returning,
// and watches for kernels that spin.
#include "simt/machine/fault.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <thread>

#include "simt/control.h"
#include "simt/machine/fibre.h"
#include "simt/machine/hooks.h"
#include "simt/machine/memory.h"
#include "simt/machine/report.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace tidu::simt {

std::atomic<uint64_t> progress = 0, stop_at = ~uint64_t{0};

namespace {

const int kStop = SIGRTMAX - 2;  // from the watchdog
const int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE, kStop};
struct sigaction previous[std::size(kSignals)];

// What the handler hands on to the code that it makes the thread continue with.
int caught_signal = 0;
const void* caught_address = nullptr;
alignas(16) char leaving_stack[64 * 1024];

std::string hexadecimal(const void* p) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", p);
  return text;
}

// Runs on an own stack, as the thread's may be what overflowed.
[[noreturn]] void leave_kernel() {
  if (caught_signal == kStop) {
    note(cudaErrorLaunchTimeout, kNoProgress);
  } else if (caught_signal == SIGFPE) {
    note(cudaErrorLaunchFailure, "integer division by zero");
  } else if (stacks.in_guard_page(caught_address)) {
    note(cudaErrorLaunchFailure, "stack overflow: a thread's local memory exceeds 64 KiB");
  } else {
    note(cudaErrorIllegalAddress,
         "illegal memory access at " + hexadecimal(caught_address) + describe(caught_address));
  }
  leave_fibre();
}

void handler(int signal, siginfo_t* info, void* context) {
  if (signal == kStop && (running.launch == nullptr || stop_at != progress)) return;
  if (signal == SIGSEGV && open_unit(info->si_addr)) return;
  if (running.launch != nullptr) {
    caught_signal = signal;
    caught_address = info->si_addr;
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(leaving_stack, sizeof leaving_stack);
#endif
    mcontext_t& machine = static_cast<ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    machine.gregs[REG_RSP] = static_cast<greg_t>(reinterpret_cast<uintptr_t>(std::end(leaving_stack)) - 8);
    machine.gregs[REG_RIP] = reinterpret_cast<greg_t>(&leave_kernel);
#else
    machine.sp = reinterpret_cast<uintptr_t>(std::end(leaving_stack));
    machine.pc = reinterpret_cast<uintptr_t>(&leave_kernel);
#endif
    return;
  }
  if (const std::string place = describe(info->si_addr); !place.empty()) {
    std::fprintf(stderr, "tidu simt: host access to device memory at %p%s\n", info->si_addr, place.c_str());
  }
  // Not ours: whoever was here before decides, when the instruction faults again.
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    if (kSignals[i] == signal) sigaction(signal, &previous[i], nullptr);
  }
}

// --- The watchdog.

std::atomic<bool> kernel_runs = false;
std::atomic<pthread_t> kernel_thread;
std::atomic<unsigned> timeout = [] {
  const char* const text = std::getenv("TIDU_SIMT_TIMEOUT");
  return text ? static_cast<unsigned>(std::atoi(text)) : 60u;
}();

[[noreturn]] void watchdog() {
  using std::chrono::steady_clock;
  uint64_t seen = ~uint64_t{0};
  steady_clock::time_point since = steady_clock::now();
  for (;;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    const uint64_t now = progress;
    if (now != seen || !kernel_runs || timeout == 0) {
      seen = now;
      since = steady_clock::now();
    } else if (stop_at == now) {
      // Asked before and still there: it spins without a call that would notice.
      pthread_kill(kernel_thread, kStop);
    } else if (steady_clock::now() - since > std::chrono::seconds(timeout)) {
      stop_at = now;
    }
  }
}

// Guarded memory opens in the handler, for copies as well as for kernels.
[[maybe_unused]] const bool ready = memory_is_guarded() && (catch_faults(), true);

}  // namespace

void set_timeout(unsigned seconds) { timeout = seconds; }

void watch(bool runs) {
  static const bool started = (std::thread(watchdog).detach(), true);
  (void)started;
  if (runs) {
    progress.store(progress.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    kernel_thread.store(pthread_self(), std::memory_order_relaxed);
  }
  kernel_runs.store(runs, std::memory_order_relaxed);
}

void catch_faults() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < std::size(kSignals); ++i) sigaction(kSignals[i], &action, &previous[i]);
    return true;
  }();
  (void)installed;
  // A signal stack of this thread: the handler cannot run on a stack that overflowed.
  static thread_local const bool stacked = [] {
    stack_t present;
    if (sigaltstack(nullptr, &present) == 0 && (present.ss_flags & SS_DISABLE) != 0) {
      static constexpr size_t kBytes = 64 * 1024;
      stack_t own = {};
      own.ss_sp = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      own.ss_size = kBytes;
      sigaltstack(&own, nullptr);
    }
    return true;
  }();
  (void)stacked;
}

}  // namespace tidu::simt
