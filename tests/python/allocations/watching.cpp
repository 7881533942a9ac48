// Counts what calls take from the heap, and gives each kernel of the cpu a workspace of exactly the bytes
// that it asked for, between guards. Preloaded into the interpreter, where Python asks.
#include <link.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <set>
#include <string>

#include "core/watch.h"

namespace {

std::atomic<long> taken{0}, taken_by_library{0};

// Where the library's code lies; nowhere before anybody asks.
std::uintptr_t begin = 0, end = 0;
int find_library(dl_phdr_info* object, std::size_t, void*) {
  if (!std::strstr(object->dlpi_name, "/libtidu.so")) return 0;
  const std::uintptr_t base = object->dlpi_addr;
  for (int i = 0; i < object->dlpi_phnum; ++i)
    end = std::max<std::uintptr_t>(end, base + object->dlpi_phdr[i].p_vaddr + object->dlpi_phdr[i].p_memsz);
  begin = base;
  return 1;
}

void* allocate(std::size_t bytes, std::size_t alignment, void* caller) {
  taken.fetch_add(1, std::memory_order_relaxed);
  const auto from = reinterpret_cast<std::uintptr_t>(caller);
  if (from >= begin && from < end) taken_by_library.fetch_add(1, std::memory_order_relaxed);
  void* const memory = std::aligned_alloc(alignment, (bytes + alignment) / alignment * alignment);
  if (!memory) throw std::bad_alloc();
  return memory;
}

using namespace tidu;

class Guarding : public Watch {
 public:
  void run(const Call& call, const std::function<void()>& kernel) override {
    const Device device = call.outputs.empty() ? call.inputs[0].device() : call.outputs[0].device();
    if (device.type != DeviceType::cpu) return kernel();
    const int slot = static_cast<int>(device.type);
    seen.insert(call.primitive.name);
    const WorkspaceBytes asked = call.primitive.workspaces[slot];
    const std::size_t bytes = asked ? asked(call) : 0;
    constexpr std::size_t kGuard = 1 << 16;
    constexpr unsigned char kUntouched = 0xA5, kNothing = 0xFF;
    auto* const memory =
        static_cast<unsigned char*>(std::aligned_alloc(64, 2 * kGuard + (bytes + 63) / 64 * 64));
    std::memset(memory, kUntouched, 2 * kGuard + bytes);
    std::memset(memory + kGuard, kNothing, bytes);
    Allocator& allocator = allocator_of(device);
    const int64_t tensors = allocator.stats().allocations;
    const long news = taken;
    call.primitive.kernels[slot]({call.primitive, call.inputs, call.attrs, call.outputs, memory + kGuard});
    const long news_of_kernel = taken - news;
    if (allocator.stats().allocations > tensors) note(call, "took tensor memory");
    if (news_of_kernel > 0 && warm) note(call, "took memory from the heap");
    for (std::size_t i = 0; i < kGuard; ++i) {
      if (memory[i] == kUntouched && memory[kGuard + bytes + i] == kUntouched) continue;
      note(call, "wrote beside its workspace");
      break;
    }
    std::free(memory);
  }

  std::set<std::string> seen, findings;
  bool warm = false;

 private:
  void note(const Call& call, const char* what) {
    std::string text = std::string(call.primitive.name) + " " + what + ":";
    for (const Tensor& x : call.inputs) text += " " + describe(x);
    findings.insert(text);
  }
};

Guarding guarding;
std::unique_ptr<Watch::Scope> scope;
std::string answer;

const char* joined(std::set<std::string>& lines) {
  answer.clear();
  for (const std::string& line : lines) answer += line + "\n";
  lines.clear();
  return answer.c_str();
}

}  // namespace

extern "C" long taken_so_far() { return taken; }
// By code of libtidu alone: not by the binding, nor by libraries.
extern "C" long taken_by_library_so_far() {
  if (end == 0) dl_iterate_phdr(find_library, nullptr);
  return taken_by_library;
}
// Of the calling thread's kernels; `warm`: what they keep for later calls, they have.
extern "C" void watch(bool warm) {
  guarding.warm = warm;
  scope = std::make_unique<Watch::Scope>(&guarding);
}
extern "C" void stop_watching() { scope = nullptr; }
extern "C" const char* findings() { return joined(guarding.findings); }
extern "C" const char* seen() { return joined(guarding.seen); }

void* operator new(std::size_t bytes) {
  return allocate(bytes, alignof(std::max_align_t), __builtin_return_address(0));
}
void* operator new[](std::size_t bytes) {
  return allocate(bytes, alignof(std::max_align_t), __builtin_return_address(0));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return allocate(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
