// Groups of pointwise calls as kernels that are made for them: launching.
#include "backend/cuda/group.h"

#include <cstring>
#include <set>

#include "backend/cuda/blocking.h"
#include "backend/cuda/generate.h"
#include "backend/cuda/gpu.h"
#include "backend/cuda/module.h"

namespace tidu::cuda {
namespace {

// The same text for as long as the process lives: the log of calls keeps addresses of names.
const char* kept(const std::string& text) {
  static std::mutex mutex;
  static auto& texts = *new std::set<std::string>;
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

class CudaGroup final : public GroupKernel {
 public:
  CudaGroup(const Group& group, Generated made)
      : made_(std::move(made)),
        what_(describe(group)),
        name_(kept(made_.name)),
        output_{group.shape, group.outputs[0].dtype, {}},
        first_(kernels_of(0)) {}

  void run(const void* const* inputs, void* const* outputs) const override {
    if (made_.count == 0) return;
    Argument argument;
    std::memcpy(argument.bytes, made_.argument.data(), made_.argument.size());
    for (const auto& address : made_.inputs) argument.put(address, inputs[address.index]);
    for (const auto& address : made_.outputs) argument.put(address, outputs[address.index]);
    launch(device_of(outputs[0]), argument);
  }

 private:
  struct Kernels {
    cudaKernel_t vectors = nullptr, elements = nullptr;
  };
  struct Argument {
    alignas(16) std::byte bytes[kMaxArgument];
    void put(const Generated::Address& address, const void* data) {
      std::memcpy(bytes + address.offset, &data, sizeof data);
    }
    uintptr_t get(const Generated::Address& address) const {
      uintptr_t data;
      std::memcpy(&data, bytes + address.offset, sizeof data);
      return data;
    }
  };

  Kernels kernels_of(int device) const {
    const Module& module = Module::of(made_.text, device, what_);
    Kernels found;
    if (made_.vector > 1) found.vectors = module.kernel(made_.name + "_vectors");
    found.elements = module.kernel(made_.name + "_elements");
    return found;
  }

  int device_of(const void* data) const {
    if (device_count() == 1) return 0;
    cudaPointerAttributes found;
    check(cudaPointerGetAttributes(&found, data), [&] { return what_; });
    return found.device;
  }

  bool lies_together(const Argument& argument) const {
    bool together = made_.vector > 1 && made_.count >= made_.vector;
    for (const auto& [address, alignment] : made_.together)
      together &= argument.get(address) % alignment == 0;
    return together;
  }

  void launch(int device, Argument& argument) const {
    Gpu& gpu = cuda::gpu(device);
    const std::lock_guard lock(gpu.mutex());
    const DeviceGuard guard(device);
    const Queue queue = gpu.current_queue();
    const Kernels kernels = device == 0 ? first_ : kernels_of(device);
    const bool together = lies_together(argument);
    const int64_t items = together ? made_.count / made_.vector : made_.count;
    const int64_t block = kGroupThreads * static_cast<int64_t>(together ? 1 : made_.apart);
    void* arguments[] = {argument.bytes};
    gpu.note(name_, output_, queue);
    check(cudaLaunchKernel(static_cast<const void*>(together ? kernels.vectors : kernels.elements),
                           dim3(static_cast<unsigned>((items + block - 1) / block)), dim3(kGroupThreads),
                           arguments, 0, gpu.stream(queue)),
          [&] { return what_; });
    if (is_blocking()) gpu.synchronize(queue);
  }

  const Generated made_;
  const std::string what_;
  const char* const name_;
  const Spec output_;
  const Kernels first_;  // of device 0
};

}  // namespace

std::unique_ptr<GroupKernel> prepare_group(const Group& group) {
  for (int device = 0; device < device_count(); ++device) {
    if (!Module::can_be_made(device)) return nullptr;
  }
  std::optional<Generated> made = generate(group);
  if (!made) return nullptr;
  return std::make_unique<CudaGroup>(group, *std::move(made));
}

}  // namespace tidu::cuda
