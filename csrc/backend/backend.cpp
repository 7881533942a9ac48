// Finding a device's backend.
#include "backend/backend.h"

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

Allocator& allocator_of(Device device) { return backend(device).allocator(device.index); }

}  // namespace tidu
