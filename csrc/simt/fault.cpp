// Catches the signals of faulty kernels: a handler that leaves for the scheduler in place of returning.
#include "simt/fault.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <iterator>
#include <string>

#include "simt/execute.h"
#include "simt/memory.h"

namespace tidu::simt {

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGFPE};
struct sigaction previous[3];

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
  if (caught_signal == SIGFPE) abandon(cudaErrorLaunchFailure, "integer division by zero", nullptr);
  if (in_stack_guard(caught_address)) {
    abandon(cudaErrorLaunchFailure, "stack overflow: a thread's local memory exceeds 64 KiB", nullptr);
  }
  abandon(cudaErrorIllegalAddress,
          "illegal memory access at " + hexadecimal(caught_address) + describe(caught_address), nullptr);
}

void handler(int signal, siginfo_t* info, void* context) {
  if (running.launch != nullptr) {
    caught_signal = signal;
    caught_address = info->si_addr;
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
  // Not ours: whoever was here before decides, when the instruction faults again.
  for (int i = 0; i < 3; ++i) {
    if (kSignals[i] == signal) sigaction(signal, &previous[i], nullptr);
  }
}

}  // namespace

void catch_faults() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &action, &previous[i]);
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
