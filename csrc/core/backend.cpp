// Finding a device's backend.
#include "core/backend.h"

namespace tidu {
namespace {

BackendOpener openers[kDeviceTypeCount];

}  // namespace

void set_backend(DeviceType type, BackendOpener open) { openers[static_cast<int>(type)] = open; }

Backend& backend(Device device) {
  if (device.type == DeviceType::cpu) {
    static Backend& cpu = load_cpu_backend();
    return cpu;
  }
  return openers[static_cast<int>(device.type)](device.index);
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor tensor = abstract(shape, dtype, device);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(tensor.numel(), static_cast<int64_t>(size_of(dtype)), &bytes)) {
    fail<ShapeError>("shape ", shape, " of ", dtype, " has more than 2^63 bytes");
  }
  tensor.impl_->storage =
      make_ref<Storage>(device, backend(device).allocator(device.index), static_cast<size_t>(bytes));
  return tensor;
}

}  // namespace tidu
