// The cpu device: host memory and kernels.
#include "backend/backend.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "backend/cpu/group.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/threads.h"
#include "backend/cpu/update.h"
#include "kernels/cpu/copy.h"
#include "kernels/cpu/targets.h"
#include "tensor/caching_allocator.h"

#include <hwy/targets.h>

namespace tidu {
namespace {

int64_t machine_memory() { return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE); }

class CpuAllocator final : public CachingAllocator {
 public:
  CpuAllocator() : CachingAllocator(Device{}, machine_memory()) {}

 private:
  void* raw_allocate(size_t bytes) noexcept override {
    constexpr size_t kLine = 64, kHugePage = size_t{2} << 20;
    const size_t alignment = bytes >= 2 * kHugePage ? kHugePage : kLine;
    void* data = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
    // Fewer pages to fault in and to look up.
    if (data && alignment == kHugePage) madvise(data, bytes, MADV_HUGEPAGE);
    return data;
  }
  void raw_deallocate(void* data, size_t) noexcept override { std::free(data); }
};

class CpuBackend final : public Backend {
 public:
  int device_count() const override { return 1; }
  CachingAllocator& allocator(int) override { return allocator_; }
  void copy_from_host(const Tensor& target, const void* host) override {
    cpu::copy_bytes(host, target.raw_data(), target.nbytes());
  }
  void copy_to_host(void* host, const Tensor& source) override {
    cpu::copy_bytes(source.raw_data(), host, source.nbytes());
  }
  void copy(const Tensor& source, const Tensor& target) override {
    cpu::copy_bytes(source.raw_data(), target.raw_data(), source.nbytes());
  }
  std::unique_ptr<GroupKernel> prepare(const Group& group) override { return cpu::prepare_group(group); }
  bool reduces(const Group& group, const Group::Output& output) override {
    return cpu::reduces(group, output);
  }
  bool takes_factors(const SpecCall& call, size_t input) override { return cpu::takes_factors(call, input); }
  void run(const Call& call, std::span<const Factors> factors) override {
    cpu::Workspace workspace(call.workspace);
    cpu::run_with_factors(call, factors, workspace);
  }
  size_t workspace_bytes(const Call& call, std::span<const Factors> factors) override {
    cpu::Workspace workspace = cpu::Workspace::counting();
    cpu::run_with_factors(call, factors, workspace);
    return static_cast<size_t>(workspace.most());
  }
  void synchronize(int) override {}

  std::string description(int) const override {
    std::string name = "unknown processor", line;
    for (std::ifstream info("/proc/cpuinfo"); std::getline(info, line);) {
      if (line.starts_with("model name")) {
        name = line.substr(line.find(':') + 2);
        break;
      }
    }
    const int64_t best = hwy::SupportedTargets() & -hwy::SupportedTargets();
    return str(name, ", ", cpu::num_threads(), " threads, ", hwy::TargetName(best));
  }

 private:
  CpuAllocator allocator_;
};

}  // namespace

Backend& load_cpu_backend() {
  using namespace cpu;
  TIDU_FAMILIES(TIDU_REGISTER)
  // Outlives every tensor, also those that static objects hold.
  static auto& backend = *new CpuBackend;
  const auto unlock = [] { backend.allocator(0).unlock_after_fork(); };
  pthread_atfork([] { backend.allocator(0).lock_for_fork(); }, unlock, unlock);
  return backend;
}

}  // namespace tidu
