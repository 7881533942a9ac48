// Device memory and pinned host memory: exact-size allocations in reserved address ranges, each known by any
// address in it, with a gap after each, filled with 0xFF (NaN), and not reused soon after they are freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace tidu::simt {

inline constexpr int kPinned = -1;

// One allocation, live or the last freed one at its place.
struct Allocation {
  char* base = nullptr;
  size_t bytes = 0;
  uint64_t number = 0;       // 1 for the first of the process, and so on
  uint64_t freed_after = 0;  // launches that had run when it was freed
  int device = kPinned;
  bool live = false;
  bool pooled = false;  // of cudaMallocAsync
};

struct MemoryUse {
  size_t live = 0;       // bytes in allocations
  size_t pool_used = 0;  // of them, those of the pool
  size_t pool_used_high = 0;
  size_t pool_reserved = 0;
  size_t pool_reserved_high = 0;
  size_t pool_threshold = 0;  // what the pool keeps at a synchronisation
};

int device_count();
// What a device has in all.
size_t memory_limit();
MemoryUse& memory_use(int device);

// Null where the device, or the address range, has no room.
void* allocate(int device, size_t bytes, bool pooled);
// The allocation must be live. False, and a report, if memory just after it was written.
[[nodiscard]] bool release(const Allocation& allocation);

// While one lives, this process may touch device memory. Under TIDU_SIMT_GUARD=1 it otherwise may not, and a
// host access ends it with a message; without, this does nothing.
class DeviceAccess {
 public:
  DeviceAccess();
  ~DeviceAccess();
  DeviceAccess(const DeviceAccess&) = delete;
};

bool memory_is_guarded();

// Of the handler of memory faults (fault.cpp): guarded memory opens piece by piece where a DeviceAccess lives
// and something touches it. False if p is not in such memory.
bool open_unit(const void* p);

// The range of addresses that p lies in, from which all memory of one device comes; empty where p is in none.
struct AddressRange {
  char* base = nullptr;
  size_t bytes = 0;
};
AddressRange address_range(const void* p);

// The allocation at or before p in its range, live or freed, or null where p is in no range or before the
// first. An address past `base + bytes` is in the gap after it.
const Allocation* allocation_at(const void* p);

// "allocation 12 of 256 bytes, cuda:0"
std::string name_of(const Allocation& allocation);
// " (16 bytes past the end of the 256 bytes of allocation 12, cuda:0)": where p is; empty if unknown.
std::string describe(const void* p);

// Of all devices and of pinned memory.
std::vector<const Allocation*> live_allocations();

}  // namespace tidu::simt
