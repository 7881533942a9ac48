// Device names.
#include "base/device.h"

#include <charconv>

#include "base/error.h"

namespace tidu {

Device device_from_name(std::string_view name) {
  if (name == "cpu" || name == "cpu:0") return {};
  if (name == "cuda") return {DeviceType::cuda, current_cuda_index()};
  if (name.starts_with("cuda:")) {
    int8_t index = 0;
    const char* last = name.data() + name.size();
    const auto [end, error] = std::from_chars(name.data() + 5, last, index);
    if (error == std::errc() && end == last && index >= 0) return {DeviceType::cuda, index};
  }
  fail<ValueError>("[device] unknown device '", name, "' (one of cpu, cuda, cuda:0, cuda:1 ..)");
}

int8_t& current_cuda_index() {
  thread_local int8_t index = 0;
  return index;
}

std::ostream& operator<<(std::ostream& out, Device device) {
  if (device.type == DeviceType::cpu) return out << "cpu";
  return out << "cuda:" << static_cast<int>(device.index);
}

}  // namespace tidu
