// Switching stacks on x86-64 and AArch64, and the stacks.
#include "simt/machine/fibre.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#ifdef __SANITIZE_ADDRESS__
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// Jumping to the saved address instead of returning keeps the processor's prediction of returns in step.
#if defined(__x86_64__)
__asm__(R"(
.text
.p2align 4
.hidden tidu_simt_switch
.globl tidu_simt_switch
.type tidu_simt_switch, @function
tidu_simt_switch:
  popq %rcx
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  pushq %rcx
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %rcx
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  jmp *%rcx
.size tidu_simt_switch, .-tidu_simt_switch
)");
#elif defined(__aarch64__)
__asm__(R"(
.text
.p2align 4
.hidden tidu_simt_switch
.globl tidu_simt_switch
.type tidu_simt_switch, %function
tidu_simt_switch:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size tidu_simt_switch, .-tidu_simt_switch
)");
#else
#error "csrc/simt/machine/fibre.cpp knows no stack switch for this processor"
#endif

namespace tidu::simt {

void* Stack::prepare(void (*entry)()) const {
#ifdef __SANITIZE_ADDRESS__
  // The frames that its last user left without returning are still marked.
  __asan_unpoison_memory_region(low, static_cast<size_t>(high - low));
#endif
  auto* top = reinterpret_cast<uintptr_t*>(high);
#if defined(__x86_64__)
  // Above the saved registers lies a return address of 0, so that `entry` finds the stack as after a call.
  *--top = 0;
  for (int i = 0; i < 6; ++i) *--top = 0;
  *--top = reinterpret_cast<uintptr_t>(entry);
#else
  top -= 20;
  for (int i = 0; i < 20; ++i) top[i] = 0;
  top[11] = reinterpret_cast<uintptr_t>(entry);
#endif
  return top;
}

#ifdef __SANITIZE_ADDRESS__

namespace {

// The launching thread's own stack.
thread_local const void* scheduler_low = nullptr;
thread_local size_t scheduler_bytes = 0;

}  // namespace

void switch_fibre(void** save, void* to, const Stack* stack) {
  void *fake = nullptr, *ignored;
  const void* const low = stack ? stack->low : scheduler_low;
  const size_t bytes = stack ? static_cast<size_t>(stack->high - stack->low) : scheduler_bytes;
  __sanitizer_start_switch_fiber(save ? &fake : nullptr, low, bytes);
  tidu_simt_switch(save ? save : &ignored, to);
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
}

void fibre_entered() { __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr); }

void scheduler_entered() {
  if (scheduler_low != nullptr) return;
  pthread_attr_t attributes;
  void* low = nullptr;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &low, &scheduler_bytes);
  pthread_attr_destroy(&attributes);
  scheduler_low = low;
}

#elif defined(__SANITIZE_THREAD__)

namespace {

void* scheduler_fibre = nullptr;

}  // namespace

void switch_fibre(void** save, void* to, const Stack* stack) {
  void* ignored;
  __tsan_switch_to_fiber(stack ? stack->fibre : scheduler_fibre, 0);
  tidu_simt_switch(save ? save : &ignored, to);
}

void fibre_entered() {}
void scheduler_entered() { scheduler_fibre = __tsan_get_current_fiber(); }

#endif

namespace {

void* scheduler_state = nullptr;

size_t page() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

void enter_fibre(const Stack* stack, void (*entry)()) {
  switch_fibre(&scheduler_state, stack->prepare(entry), stack);
}

void leave_fibre() {
  switch_fibre(nullptr, scheduler_state, nullptr);
  __builtin_unreachable();
}

StackPool& stacks = *new StackPool;

Stack* StackPool::take() {
  if (free_.empty()) {
    void* const memory = mmap(nullptr, Stack::kBytes + page(), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::perror("tidu simt: no memory for the stack of a CUDA thread");
      std::abort();
    }
    mprotect(memory, page(), PROT_NONE);
    char* const low = static_cast<char*>(memory) + page();
    // Tops at different places of a page, lest they all compete for the same lines of the first-level cache.
    const size_t colour = all_.size() % 32 * 128;
    all_.push_back({low, low + Stack::kBytes - colour});
#ifdef __SANITIZE_THREAD__
    all_.back().fibre = __tsan_create_fiber(0);
#endif
    free_.reserve(all_.size());
    return &all_.back();
  }
  Stack* const stack = free_.back();
  free_.pop_back();
  return stack;
}

void StackPool::reclaim() {
  free_.clear();
  for (Stack& stack : all_) free_.push_back(&stack);
}

bool StackPool::in_guard_page(const void* p) const {
  for (const Stack& stack : all_) {
    if (p < stack.low && p >= stack.low - page()) return true;
  }
  return false;
}

}  // namespace tidu::simt
