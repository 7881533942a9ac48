// Noting the kernels that run.
#include "diagnostics/profile.h"

#include <chrono>
#include <thread>

#include "backend/backend.h"

namespace tidu {
namespace {

int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

int64_t bytes_of(const Tensor& tensor) {
  int64_t count = tensor.numel() > 0 ? 1 : 0;
  for (int i = 0; i < tensor.ndim(); ++i) count *= tensor.strides()[i] == 0 ? 1 : tensor.size(i);
  return count * static_cast<int64_t>(size_of(tensor.dtype()));
}

void wait_for(Device device) {
  if (device.type != DeviceType::cpu) backend(device).synchronize(device.index);
}

ProfiledCall described(const Call& call) {
  ProfiledCall noted{.name = call.primitive.name};
  std::vector<Spec> outputs;
  for (const Tensor& input : call.inputs) {
    noted.operands += str(noted.operands.empty() ? "" : ", ", input.dtype(), input.shape());
    noted.bytes += bytes_of(input);
  }
  for (const Tensor& output : call.outputs) {
    outputs.push_back(output.spec());
    noted.bytes += bytes_of(output);
    noted.device = output.device();
  }
  if (call.primitive.flops)
    noted.operations = call.primitive.flops({call.primitive, call.inputs, call.attrs}, outputs).total();
  return noted;
}

}  // namespace

Profile::Profile() : start_(now()) {
  Watch* none = nullptr;
  if (!of_all.compare_exchange_strong(none, this))
    fail<std::runtime_error>("[profile] another profile is being taken (end it first)");
}

Profile::~Profile() { of_all = nullptr; }

std::vector<ProfiledCall> Profile::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

void Profile::run(const Call& call, const std::function<void()>& kernel) { note(described(call), kernel); }

void Profile::note(ProfiledCall call, const std::function<void()>& run) {
  call.source = Lines::here();
  call.thread = std::hash<std::thread::id>()(std::this_thread::get_id());
  wait_for(call.device);
  Allocator& allocator = backend(call.device).allocator(call.device.index);
  const int64_t allocations = allocator.stats().allocations;
  call.begin = now() - start_;
  run();
  wait_for(call.device);
  call.duration = now() - start_ - call.begin;
  const MemoryStats memory = allocator.stats();
  call.live_bytes = memory.live_bytes;
  call.allocations = memory.allocations - allocations;
  const std::lock_guard lock(mutex_);
  calls_.push_back(std::move(call));
}

}  // namespace tidu
