// Where a tensor lives.
#pragma once

#include <cstdint>
#include <ostream>
#include <string_view>

namespace tidu {

enum class DeviceType : uint8_t { cpu, cuda };
inline constexpr int kDeviceTypeCount = 2;

struct Device {
  DeviceType type = DeviceType::cpu;
  int8_t index = 0;

  bool operator==(const Device&) const = default;
};

// Parses "cpu", "cuda" or "cuda:1"; throws ValueError.
Device device_from_name(std::string_view name);

// The number of the device that the name "cuda" stands for on this thread; at first 0.
int8_t& current_cuda_index();

// Writes "cpu" or "cuda:0".
std::ostream& operator<<(std::ostream& out, Device device);

}  // namespace tidu
