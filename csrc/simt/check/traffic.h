// What the kernels of a checked build move: every load and store, grouped into the warp's requests as the
// hardware would issue them, and counted by launch and by source line.
//
// The k-th execution of an instruction by each lane of a warp, counted since the last barrier, is one
// request. This is exact where control flow is uniform, and where divergent lanes meet again at each barrier.
#pragma once

#include <vector_types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace tidu::simt {

// Sums over requests. A sector is 32 aligned bytes of global memory; a wavefront is one pass of shared memory
// over its 32 banks. `least` is what the same bytes would take if they lay together, or without conflicts.
struct Requests {
  uint64_t requests = 0;
  uint64_t bytes = 0;  // asked for by the lanes
  uint64_t sectors = 0, least_sectors = 0;
  uint64_t wavefronts = 0, least_wavefronts = 0;

  void add(const Requests& other);
};

struct Traffic {
  Requests load, store;                // global memory; an atomic is a store
  Requests shared_load, shared_store;  // shared memory
  // Of global memory, each byte or sector counted once a launch: what must cross to DRAM with a perfect
  // cache.
  uint64_t bytes_read = 0, bytes_written = 0;
  uint64_t sectors_read = 0, sectors_written = 0;
  uint64_t barriers = 0, warp_barriers = 0, collectives = 0;
};

// Where a kernel touches memory, and how.
enum class Access : uint8_t { load, store, shared_load, shared_store };
struct SiteTraffic {
  const void* caller = nullptr;  // the return address of its call of __tsan_*
  Access access = Access::load;
  Requests requests;
};

struct LaunchTraffic {
  std::string kernel;
  std::string where;  // file:line of the launch
  dim3 grid, block;
  uint64_t shared_bytes = 0;  // a block: dynamic and declared
  Traffic traffic;
  std::vector<SiteTraffic> sites;
};

// Counting is off until it is asked for: a test of faults alone runs faster without. Only in a checked build
// is anything counted.
void count_traffic(bool on);
// The launches counted since the last call, in order.
std::vector<LaunchTraffic> take_traffic();
// The same as JSON: a list of objects whose keys are the names above, with the source line of each site.
std::string take_traffic_json();

// One warp's accesses since the last barrier.
class WarpLog {
 public:
  struct Request {
    uint32_t site;
    int32_t previous;  // the request of the same site before this one, or -1
    uint32_t lanes;
    uint8_t size;  // bytes a lane
    Access access;
    uintptr_t addresses[32];
  };

  void add(int lane, uint32_t site, Access access, uint8_t size, uintptr_t address) {
    uint32_t& next = next_[lane];
    // Uniform control flow: the lane finds its next request where the lane before it left one.
    if (next < requests_.size()) {
      Request& request = requests_[next];
      if (request.site == site && (request.lanes >> lane & 1) == 0 &&
          (request.previous < 0 || (requests_[request.previous].lanes >> lane & 1) != 0)) {
        request.lanes |= 1u << lane;
        request.addresses[lane] = address;
        ++next;
        return;
      }
    }
    add_divergent(lane, site, access, size, address);
  }

  const std::vector<Request>& requests() const { return requests_; }
  void clear();

 private:
  void add_divergent(int lane, uint32_t site, Access access, uint8_t size, uintptr_t address);
  int32_t& last_of(uint32_t site);

  std::vector<Request> requests_;
  uint32_t next_[32] = {};
  // Site -> its last request, by open addressing; rebuilt as it fills.
  struct Entry {
    uint32_t site;
    int32_t last;
  };
  std::vector<Entry> last_;
  size_t used_ = 0;
};

// Counts one request: sectors of global memory or wavefronts of shared memory.
Requests count(const WarpLog::Request& request);

}  // namespace tidu::simt
