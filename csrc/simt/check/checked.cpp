// The bodies of __tsan_*, which every load and store of an instrumented kernel calls: checks each access
// against the shadow of its memory, and hands it to the traffic counters. And that of __ubsan_*, which it
// calls for an index outside of an array, be that in registers or a row within shared memory.
#ifdef TIDU_SIMT_CHECKED

#include <dlfcn.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <memory>
#include <unordered_map>
#include <utility>

#include "simt/check/shadow.h"
#include "simt/check/symbols.h"
#include "simt/check/traffic.h"
#include "simt/machine/device.h"
#include "simt/machine/hooks.h"
#include "simt/machine/memory.h"
#include "simt/machine/report.h"

namespace tidu::simt {
namespace {

// Bits: whether it reads, writes, and is atomic.
enum class Mode : uint8_t { read = 1, write = 2, atomic_read = 5, atomic_write = 6, atomic = 7 };
bool reads(Mode mode) { return (static_cast<int>(mode) & 1) != 0; }
bool writes(Mode mode) { return (static_cast<int>(mode) & 2) != 0; }
bool is_atomic(Mode mode) { return (static_cast<int>(mode) & 4) != 0; }

// One access of a kernel, at most 16 bytes.
struct Touch {
  uintptr_t address;
  unsigned bytes;
  Mode mode;
  const void* caller;
};

class Checker : public Observer {
 public:
  Checker();

  // One access of the running kernel, at most 16 bytes.
  void touch(const Touch& t);
  [[noreturn]] void report_index(int64_t i, const std::string& array, const void* caller);

  void launch_begin(const Launch& launch) override;
  void launch_end(const Launch& launch) override;
  void block_begin() override;
  void block_end() override;
  void shared_declared(const SharedRange& variable) override;
  void barrier() override;
  void warp_collective(unsigned warp, unsigned lanes, Collective what) override;
  void allocated(const Allocation& a) override;
  void freed(const Allocation& a) override;
  void written(const void* base, size_t n) override;
  void copied(void* to, const void* from, size_t n) override;

  bool counting = false;
  std::vector<LaunchTraffic> launches;

 private:
  void touch(Space& space, bool shared, const Touch& t);
  void touch_other(const Touch& t);
  void check_bytes(Space& space, const Touch& t);
  void check_races(Space& space, uint32_t floor, uint32_t site, const Touch& t);
  bool unordered(uint32_t floor, const Stamp& stamp) const;
  bool unordered_since(uint32_t time, unsigned thread) const;
  [[noreturn]] void report_bytes(const Space& space, const Touch& t);
  [[noreturn]] void report_race(const Space& space, const Touch& t, uintptr_t word, const Stamp& other,
                                const char* did);
  [[noreturn]] void report_misaligned(const Touch& t);
  [[noreturn]] void report_stray(const Touch& t);
  [[noreturn]] void report(const Touch& t, const std::string& what,
                           cudaError_t error = cudaErrorLaunchFailure);
  std::string place(const Space& space, uintptr_t address) const;
  uint32_t site(const void* caller);
  uint32_t new_site(const void* caller);
  void flush();
  void flush(WarpLog& log);
  void count_sectors(const WarpLog::Request& request);

  Space* device_of(const void* p);

  std::vector<std::unique_ptr<Space>> devices_;
  Space shared_;
  std::vector<SharedRange> variables_;  // of the running block
  size_t shared_used_ = 0;              // their bytes
  std::string report_;                  // lives here, because the fibre of a fault is never unwound

  // The clock and its last ticks. Blocks run one after the other, so a time tells its block.
  uint32_t time_ = 1, launch_time_ = 1, block_time_ = 1, barrier_time_ = 1;
  std::vector<std::pair<uint32_t, uint3>> blocks_;  // of this launch: when each began, and its index
  // What each thread has been ordered after by __syncwarp: all threads of its warp up to a time, and each
  // lane.
  uint32_t warp_time_[32] = {};
  uint32_t lane_times_[1024][32] = {};
  uint32_t lanes_used_ = 0;  // warps that have lane_times_

  const Image image_ = image();
  // Dense numbers of instructions, by their place in the image.
  Reserved<uint32_t> site_of_;
  std::unordered_map<const void*, uint32_t>
      loaded_sites_;  // of kernels that are loaded while the process runs
  std::vector<const void*> sites_{nullptr};

  LaunchTraffic current_;
  uint32_t launch_ = 0;
  WarpLog logs_[32];
  std::vector<Requests> by_slot_;  // a slot is a site and an Access
  std::vector<uint32_t> used_slots_;
};

Checker checker;

// --- Accesses.

// Inlined into each __tsan_* function, where size and mode are constants.
#define TIDU_INLINE __attribute__((always_inline)) inline

TIDU_INLINE void Checker::touch(const Touch& t) {
  for (const auto& device : devices_) {
    if (device->holds(t.address)) return touch(*device, false, t);
  }
  if (shared_.holds(t.address)) return touch(shared_, true, t);
  // Constants, and the indices of the thread: nvcc refuses other variables of the host.
  const auto p = reinterpret_cast<const char*>(t.address);
  if (image_.holds(p) || (p >= running.stack_low && p < running.stack_high)) return;
  touch_other(t);
}

// Constants of a kernel that was loaded while the process runs.
bool is_of_loaded_code(const void* p) {
  Dl_info found;
  return dladdr(p, &found) != 0;
}

void Checker::touch_other(const Touch& t) {
  const auto p = reinterpret_cast<const char*>(t.address);
  const Launch& launch = *running.launch;
  if (static_cast<size_t>(p - static_cast<const char*>(launch.parameters)) < launch.parameter_bytes) return;
  if (is_of_loaded_code(p)) return;
  // Pinned memory is the host's as well, which may write it at any time.
  const Allocation* pinned = allocation_at(p);
  if (pinned == nullptr || !pinned->live || p + t.bytes > pinned->base + pinned->bytes) report_stray(t);
}

TIDU_INLINE void Checker::touch(Space& space, bool shared, const Touch& t) {
  const uint32_t site = this->site(t.caller);
  check_bytes(space, t);
  check_races(space, shared ? block_time_ : launch_time_, site, t);
  if (counting) {
    const bool load = !writes(t.mode);
    const Access access =
        shared ? (load ? Access::shared_load : Access::shared_store) : (load ? Access::load : Access::store);
    logs_[running.thread / 32].add(running.thread % 32, site, access, t.bytes, t.address);
  }
}

TIDU_INLINE void Checker::check_bytes(Space& space, const Touch& t) {
  if (t.address % t.bytes != 0) report_misaligned(t);
  constexpr uint64_t each = 0x0101010101010101;
  uint8_t* state = &space.state[t.address - space.begin];
  const unsigned step = t.bytes < 8 ? t.bytes : 8;
  uint64_t all = ~uint64_t{0};
  for (unsigned i = 0; i < t.bytes; i += step) {
    uint64_t some = ~uint64_t{0};
    std::memcpy(&some, state + i, step);
    all &= some;
  }
  const uint64_t needed = each * (reads(t.mode) ? kAddressable | kWritten : kAddressable);
  if ((all & needed) != needed) report_bytes(space, t);
  if (!reads(t.mode) && (all & each * kWritten) != each * kWritten) {
    std::memset(state, kAddressable | kWritten, t.bytes);
  }
}

// Whether an access made since `floor`, when this memory was last everyone's, may be at the same time as the
// running thread's next.
TIDU_INLINE bool Checker::unordered(uint32_t floor, const Stamp& stamp) const {
  const uint32_t time = stamp.time();
  return time >= floor && unordered_since(time, stamp.thread());
}

bool Checker::unordered_since(uint32_t time, unsigned thread) const {
  if (time < block_time_) return true;
  if (time < barrier_time_ || thread == running.thread) return false;
  const unsigned warp = thread / 32;
  if (warp != running.thread / 32) return true;
  return time >= warp_time_[warp] &&
         ((lanes_used_ >> warp & 1) == 0 || time >= lane_times_[running.thread][thread % 32]);
}

TIDU_INLINE void Checker::check_races(Space& space, uint32_t floor, uint32_t site, const Touch& t) {
  const bool atomic = is_atomic(t.mode);
  const uintptr_t begin = t.address - space.begin, end = begin + t.bytes;
  for (uintptr_t word = begin / 4; word * 4 < end; ++word) {
    // Of the word; accesses are aligned.
    const unsigned bytes = t.bytes >= 4 ? 15 : ((1u << t.bytes) - 1) << begin % 4;
    const Stamp now(time_, running.thread, atomic, bytes, site);
    History& h = space.words[word];
    const auto check = [&](const Stamp& other, const char* did) {
      if (unordered(floor, other) && (other.bytes() & bytes) != 0 && !(atomic && other.atomic())) {
        report_race(space, t, word, other, did);
      }
    };
    check(h.write, " wrote");
    if (writes(t.mode)) {
      check(h.read, " read");
      check(h.other_read, " read");
      h.write.replace(now);
    } else if (h.read.same_thread(now) || !unordered(floor, h.read)) {
      h.read.replace(now);
    } else if (h.other_read.same_thread(now) || !unordered(floor, h.other_read) ||
               h.other_read.same_warp(h.read)) {
      h.other_read.replace(now);
    }
  }
}

TIDU_INLINE uint32_t Checker::site(const void* caller) {
  uint32_t& site =
      image_.holds(caller) ? site_of_[static_cast<const char*>(caller) - image_.base] : loaded_sites_[caller];
  if (site == 0) site = new_site(caller);
  return site;
}

uint32_t Checker::new_site(const void* caller) {
  // Past the end of the numbers, all further instructions share one.
  if (sites_.size() < Stamp::kSites) sites_.push_back(caller);
  return static_cast<uint32_t>(sites_.size() - 1);
}

// --- Events.

Checker::Checker() : site_of_(image_.bytes) { observer = this; }

void Checker::launch_begin(const Launch& launch) {
  if (time_ > Stamp::kTimes / 2) {
    time_ = 1;
    for (const auto& device : devices_) device->words.clear();
    shared_.words.clear();
    std::fill(std::begin(warp_time_), std::end(warp_time_), 0);
    lanes_used_ = 0;
  }
  launch_time_ = ++time_;
  blocks_.clear();
  if (!counting) return;
  ++launch_;
  current_ = {readable_name(launch.kernel), "", launch.grid, launch.block, 0, {}, {}};
  current_.where = text_of(launch.where);
}

void Checker::launch_end(const Launch&) {
  if (!counting) return;
  flush();
  for (uint32_t slot : used_slots_) {
    current_.sites.push_back({sites_[slot / 4], static_cast<Access>(slot % 4), by_slot_[slot]});
    by_slot_[slot] = {};
  }
  used_slots_.clear();
  launches.push_back(std::move(current_));
}

void Checker::block_begin() {
  block_time_ = barrier_time_ = ++time_;
  blocks_.push_back({block_time_, blockIdx});
  lanes_used_ = 0;
}

void Checker::block_end() {
  flush();
  for (const SharedRange& v : variables_) shared_.set(v.base, v.bytes, 0);
  current_.shared_bytes = std::max(current_.shared_bytes, shared_used_);
  shared_used_ = 0;
  variables_.clear();
}

void Checker::shared_declared(const SharedRange& variable) {
  if (shared_.bytes == 0) shared_ = Space(variable.base, kSharedArena);
  shared_.set(variable.base, variable.bytes, kAddressable);
  variables_.push_back(variable);
  shared_used_ += variable.bytes;
}

void Checker::barrier() {
  barrier_time_ = ++time_;
  if (!counting) return;
  ++current_.traffic.barriers;
  flush();
}

void Checker::warp_collective(unsigned warp, unsigned lanes, Collective what) {
  if (what != Collective::syncwarp) {
    ++current_.traffic.collectives;
    return;
  }
  ++current_.traffic.warp_barriers;
  const uint32_t now = ++time_;
  if (lanes == ~0u) {
    warp_time_[warp] = now;
    return;
  }
  auto* times = lane_times_ + warp * 32;
  if ((lanes_used_ >> warp & 1) == 0) std::memset(times, 0, 32 * sizeof *times);
  lanes_used_ |= 1u << warp;
  uint32_t joined[32] = {};
  for (int lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1) == 0) continue;
    for (int other = 0; other < 32; ++other) joined[other] = std::max(joined[other], times[lane][other]);
    joined[lane] = now;
  }
  for (int lane = 0; lane < 32; ++lane) {
    if ((lanes >> lane & 1) != 0) std::memcpy(times[lane], joined, sizeof joined);
  }
}

Space* Checker::device_of(const void* p) {
  for (const auto& device : devices_) {
    if (device->holds(reinterpret_cast<uintptr_t>(p))) return device.get();
  }
  return nullptr;
}

void Checker::allocated(const Allocation& a) {
  if (a.device == kPinned) return;
  Space* device = device_of(a.base);
  if (device == nullptr) {
    const AddressRange range = address_range(a.base);
    device = devices_.emplace_back(std::make_unique<Space>(range.base, range.bytes)).get();
  }
  device->set(a.base, a.bytes, kAddressable);
}

void Checker::freed(const Allocation& a) {
  if (Space* device = device_of(a.base)) device->set(a.base, a.bytes, 0);
}

void Checker::written(const void* base, size_t n) {
  if (Space* device = device_of(base)) device->set(base, n, kAddressable | kWritten);
}

void Checker::copied(void* to, const void* from, size_t n) {
  Space *target = device_of(to), *source = device_of(from);
  if (target == nullptr || n == 0) return;
  if (source == nullptr) return written(to, n);
  std::memmove(&target->state[target->offset(to)], &source->state[source->offset(from)], n);
}

// --- Reports.

uint3 index_of(unsigned thread, dim3 block) {
  return {thread % block.x, thread / block.x % block.y, thread / block.x / block.y};
}

std::string Checker::place(const Space& space, uintptr_t address) const {
  const auto p = reinterpret_cast<const char*>(address);
  if (&space != &shared_) {
    const std::string text = describe(p);
    return text.empty() ? " (device memory that was never allocated)" : text;
  }
  const SharedRange* v = shared_range(p);
  if (v == nullptr) return " (before the first shared variable)";
  const auto offset = static_cast<size_t>(p - v->base);
  const std::string name = "the " + std::to_string(v->bytes) + " bytes of shared `" + v->name + '`';
  if (offset < v->bytes) return " (byte " + std::to_string(offset) + " of " + name + ')';
  return " (" + std::to_string(offset - v->bytes) + " bytes past the end of " + name + ')';
}

void Checker::report_bytes(const Space& space, const Touch& t) {
  const uint8_t* state = &space.state[t.address - space.begin];
  const auto first_without = [&](uint8_t bit) {
    return static_cast<size_t>(
        std::find_if(state, state + t.bytes, [&](uint8_t s) { return (s & bit) == 0; }) - state);
  };
  const size_t outside = first_without(kAddressable);
  if (outside < t.bytes)
    report(t, "out of bounds" + place(space, t.address + outside), cudaErrorIllegalAddress);
  report(t, "that nothing has written" + place(space, t.address + first_without(kWritten)));
}

void Checker::report_race(const Space& space, const Touch& t, uintptr_t word, const Stamp& other,
                          const char* did) {
  const bool same_block = other.time() >= block_time_;
  std::string what = "in a race: thread " + text_of(index_of(other.thread(), running.launch->block));
  if (!same_block) {
    const auto next = std::upper_bound(blocks_.begin(), blocks_.end(), other.time(),
                                       [](uint32_t time, const auto& b) { return time < b.first; });
    what += " of block " + text_of((next - 1)->second);
  }
  what += did + (" them at " + source_line(sites_[other.site()]));
  what += !same_block                                  ? " in the same launch"
          : other.thread() / 32 == running.thread / 32 ? " with no __syncwarp() or __syncthreads() between"
                                                       : " with no __syncthreads() between";
  report(t, what + place(space, space.begin + word * 4));
}

void Checker::report_misaligned(const Touch& t) {
  report(t, "at an address that is no multiple of that", cudaErrorMisalignedAddress);
}

void Checker::report_stray(const Touch& t) {
  char address[80];
  std::snprintf(address, sizeof address, "at 0x%zx, neither device nor shared memory", t.address);
  report(t, address, cudaErrorIllegalAddress);
}

void Checker::report_index(int64_t i, const std::string& array, const void* caller) {
  report_ = source_line(caller) + ": index " + std::to_string(i) + " of " + array;
  abandon(cudaErrorLaunchFailure, report_);
}

void Checker::report(const Touch& t, const std::string& what, cudaError_t error) {
  const char* verb = !writes(t.mode) ? "reads " : reads(t.mode) ? "updates " : "writes ";
  report_ = source_line(t.caller) + ": " + verb + std::to_string(t.bytes) + " bytes " + what;
  abandon(error, report_);
}

// --- Traffic.

void Checker::flush() {
  if (!counting) return;
  for (WarpLog& log : logs_) flush(log);
}

void Checker::flush(WarpLog& log) {
  if (log.requests().empty()) return;
  Traffic& total = current_.traffic;
  Requests* const sums[] = {&total.load, &total.store, &total.shared_load, &total.shared_store};
  for (const WarpLog::Request& request : log.requests()) {
    const Requests counted = count(request);
    sums[static_cast<int>(request.access)]->add(counted);
    const uint32_t slot = request.site * 4 + static_cast<uint32_t>(request.access);
    if (slot >= by_slot_.size()) by_slot_.resize(slot * 2 + 64);
    if (by_slot_[slot].requests == 0) used_slots_.push_back(slot);
    by_slot_[slot].add(counted);
    if (counted.sectors != 0) count_sectors(request);
  }
  log.clear();
}

void Checker::count_sectors(const WarpLog::Request& request) {
  Space& device =
      *device_of(reinterpret_cast<const void*>(request.addresses[std::countr_zero(request.lanes)]));
  Traffic& total = current_.traffic;
  const auto add = [&](uintptr_t sector, uint32_t bytes) {
    Sector& s = device.sectors[sector];
    if (s.launch != launch_) s = {launch_, 0, 0};
    const bool load = request.access == Access::load;
    uint32_t& seen = load ? s.read : s.written;
    // What this launch wrote before comes from the cache.
    const uint32_t fresh = bytes & ~seen & (load ? ~s.written : ~0u);
    (load ? total.bytes_read : total.bytes_written) += std::popcount(fresh);
    if (seen == 0 && fresh != 0) ++(load ? total.sectors_read : total.sectors_written);
    seen |= fresh;
  };
  uintptr_t sector = 0;
  uint32_t bytes = 0;
  for (uint32_t rest = request.lanes; rest != 0; rest &= rest - 1) {
    const uintptr_t begin = request.addresses[std::countr_zero(rest)] - device.begin;
    for (unsigned i = 0; i < request.size;) {
      const uintptr_t p = begin + i;
      const unsigned n = std::min<unsigned>(request.size - i, 32 - p % 32);
      if (p / 32 != sector && bytes != 0) {
        add(sector, bytes);
        bytes = 0;
      }
      sector = p / 32;
      bytes |= ((1u << n) - 1) << p % 32;
      i += n;
    }
  }
  if (bytes != 0) add(sector, bytes);
}

// --- Traffic as JSON.

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string json(dim3 d) {
  return '[' + std::to_string(d.x) + ", " + std::to_string(d.y) + ", " + std::to_string(d.z) + ']';
}

std::string json(const Requests& r) {
  const std::pair<const char*, uint64_t> fields[] = {
      {"requests", r.requests},     {"bytes", r.bytes},
      {"sectors", r.sectors},       {"least_sectors", r.least_sectors},
      {"wavefronts", r.wavefronts}, {"least_wavefronts", r.least_wavefronts}};
  std::string out;
  for (const auto& [name, value] : fields) {
    out += (out.empty() ? "{\"" : ", \"") + std::string(name) + "\": " + std::to_string(value);
  }
  return out + '}';
}

std::string json(const LaunchTraffic& l) {
  static constexpr const char* kAccess[] = {"load", "store", "shared_load", "shared_store"};
  const Traffic& t = l.traffic;
  std::string out = "{\"kernel\": " + quoted(l.kernel) + ", \"where\": " + quoted(l.where) +
                    ", \"grid\": " + json(l.grid) + ", \"block\": " + json(l.block) +
                    ", \"shared_bytes\": " + std::to_string(l.shared_bytes);
  const Requests* sums[] = {&t.load, &t.store, &t.shared_load, &t.shared_store};
  for (int i = 0; i < 4; ++i) out += ", \"" + std::string(kAccess[i]) + "\": " + json(*sums[i]);
  const std::pair<const char*, uint64_t> fields[] = {
      {"bytes_read", t.bytes_read},     {"bytes_written", t.bytes_written},
      {"sectors_read", t.sectors_read}, {"sectors_written", t.sectors_written},
      {"barriers", t.barriers},         {"warp_barriers", t.warp_barriers},
      {"collectives", t.collectives}};
  for (const auto& [name, value] : fields) out += ", \"" + std::string(name) + "\": " + std::to_string(value);
  std::vector<const void*> callers;
  for (const SiteTraffic& site : l.sites) callers.push_back(site.caller);
  const auto lines = source_lines(callers);
  out += ", \"sites\": [";
  for (size_t i = 0; i < l.sites.size(); ++i) {
    out += (i == 0 ? "{\"line\": " : ", {\"line\": ") + quoted(lines[i]) + ", \"access\": \"" +
           kAccess[static_cast<int>(l.sites[i].access)] + "\", \"counts\": " + json(l.sites[i].requests) +
           '}';
  }
  return out + "]}";
}

}  // namespace

[[gnu::visibility("default")]] void fail_index(int64_t i, int64_t n) {
  checker.report_index(i, "a vector of " + std::to_string(n), __builtin_return_address(0));
}

void count_traffic(bool on) { checker.counting = on; }

std::vector<LaunchTraffic> take_traffic() { return std::exchange(checker.launches, {}); }

std::string take_traffic_json() {
  std::string out;
  for (const LaunchTraffic& launch : take_traffic()) out += (out.empty() ? "[" : ",\n ") + json(launch);
  return out.empty() ? "[]" : out + ']';
}

}  // namespace tidu::simt

// --- What the compiler calls. GCC declares these itself, with types of its own.

using tidu::simt::Mode;

namespace {

// Whether a kernel made this access: launchers are instrumented, too, and on another thread of the host one
// may run beside a kernel, but not on its stack.
TIDU_INLINE bool in_kernel() {
  const auto frame = static_cast<const char*>(__builtin_frame_address(0));
  const auto& running = tidu::simt::running;
  return running.launch != nullptr && frame >= running.stack_low && frame < running.stack_high;
}

TIDU_INLINE void touch(const void* p, size_t n, Mode mode, const void* caller) {
  if (!in_kernel()) return;
  tidu::simt::checker.touch({reinterpret_cast<uintptr_t>(p), static_cast<unsigned>(n), mode, caller});
}

// A range as the accesses of at most 16 bytes that a copy of it would be made of.
void touch_range(const void* p, size_t n, Mode mode, const void* caller) {
  if (!in_kernel()) return;
  auto at = static_cast<const char*>(p);
  while (n != 0) {
    size_t piece = 16;
    while (piece > n || reinterpret_cast<uintptr_t>(at) % piece != 0) piece /= 2;
    touch(at, piece, mode, caller);
    at += piece;
    n -= piece;
  }
}

}  // namespace

extern "C" {

// Also for kernels that are loaded while the process runs (machine/loaded.h).
#define TIDU_VISIBLE __attribute__((visibility("default")))
#define TIDU_CALLER __builtin_return_address(0)

TIDU_VISIBLE void __tsan_init() {}
TIDU_VISIBLE void __tsan_func_entry(void*) {}
TIDU_VISIBLE void __tsan_func_exit() {}

#define TIDU_ACCESS(n)                                                                                \
  TIDU_VISIBLE void __tsan_read##n(void* p) { touch(p, n, Mode::read, TIDU_CALLER); }                 \
  TIDU_VISIBLE void __tsan_write##n(void* p) { touch(p, n, Mode::write, TIDU_CALLER); }               \
  TIDU_VISIBLE void __tsan_volatile_read##n(void* p) { touch(p, n, Mode::read, TIDU_CALLER); }        \
  TIDU_VISIBLE void __tsan_volatile_write##n(void* p) { touch(p, n, Mode::write, TIDU_CALLER); }      \
  TIDU_VISIBLE void __tsan_unaligned_read##n(void* p) { touch_range(p, n, Mode::read, TIDU_CALLER); } \
  TIDU_VISIBLE void __tsan_unaligned_write##n(void* p) { touch_range(p, n, Mode::write, TIDU_CALLER); }
TIDU_ACCESS(1)
TIDU_ACCESS(2)
TIDU_ACCESS(4)
TIDU_ACCESS(8)
TIDU_ACCESS(16)

TIDU_VISIBLE void __tsan_read_range(void* p, size_t n) { touch_range(p, n, Mode::read, TIDU_CALLER); }
TIDU_VISIBLE void __tsan_write_range(void* p, size_t n) { touch_range(p, n, Mode::write, TIDU_CALLER); }
TIDU_VISIBLE void __tsan_vptr_update(void* p, void*) { touch(p, 8, Mode::write, TIDU_CALLER); }
TIDU_VISIBLE void __tsan_vptr_read(void* p) { touch(p, 8, Mode::read, TIDU_CALLER); }

#define TIDU_UPDATE(bits, type, name, operation)                         \
  TIDU_VISIBLE type __tsan_atomic##bits##_##name(void* p, type v, int) { \
    touch(p, bits / 8, Mode::atomic, TIDU_CALLER);                       \
    return operation(static_cast<type*>(p), v, __ATOMIC_SEQ_CST);        \
  }
#define TIDU_ATOMIC(bits, type)                                                                         \
  TIDU_UPDATE(bits, type, exchange, __atomic_exchange_n)                                                \
  TIDU_UPDATE(bits, type, fetch_add, __atomic_fetch_add)                                                \
  TIDU_UPDATE(bits, type, fetch_sub, __atomic_fetch_sub)                                                \
  TIDU_UPDATE(bits, type, fetch_and, __atomic_fetch_and)                                                \
  TIDU_UPDATE(bits, type, fetch_or, __atomic_fetch_or)                                                  \
  TIDU_UPDATE(bits, type, fetch_xor, __atomic_fetch_xor)                                                \
  TIDU_VISIBLE type __tsan_atomic##bits##_load(const void* p, int) {                                    \
    touch(p, bits / 8, Mode::atomic_read, TIDU_CALLER);                                                 \
    return __atomic_load_n(static_cast<const type*>(p), __ATOMIC_SEQ_CST);                              \
  }                                                                                                     \
  TIDU_VISIBLE void __tsan_atomic##bits##_store(void* p, type v, int) {                                 \
    touch(p, bits / 8, Mode::atomic_write, TIDU_CALLER);                                                \
    __atomic_store_n(static_cast<type*>(p), v, __ATOMIC_SEQ_CST);                                       \
  }                                                                                                     \
  TIDU_VISIBLE bool __tsan_atomic##bits##_compare_exchange_strong(void* p, void* expected, type v, int, \
                                                                  int) {                                \
    touch(p, bits / 8, Mode::atomic, TIDU_CALLER);                                                      \
    return __atomic_compare_exchange_n(static_cast<type*>(p), static_cast<type*>(expected), v, false,   \
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                             \
  }
TIDU_ATOMIC(8, uint8_t)
TIDU_ATOMIC(16, uint16_t)
TIDU_ATOMIC(32, uint32_t)
TIDU_ATOMIC(64, uint64_t)

// As the library of -fsanitize=bounds has them.
struct TypeOfArray {
  uint16_t kind, info;
  char name[1];  // as long as it is, in quotes
};
struct OutOfBounds {
  const char* file;
  uint32_t line, column;
  const TypeOfArray* array;
  const void* type_of_index;
};
TIDU_VISIBLE void __ubsan_handle_out_of_bounds(const OutOfBounds* what, uintptr_t index) {
  if (in_kernel())
    tidu::simt::checker.report_index(static_cast<int64_t>(index),
                                     std::string("an array ") + what->array->name, TIDU_CALLER);
}

// The names that checked_kernel.h gives to the functions of the library.
TIDU_VISIBLE void* tidu_simt_memcpy(void* to, const void* from, size_t n) {
  touch_range(from, n, Mode::read, TIDU_CALLER);
  touch_range(to, n, Mode::write, TIDU_CALLER);
  return std::memcpy(to, from, n);
}
TIDU_VISIBLE void* tidu_simt_memmove(void* to, const void* from, size_t n) {
  touch_range(from, n, Mode::read, TIDU_CALLER);
  touch_range(to, n, Mode::write, TIDU_CALLER);
  return std::memmove(to, from, n);
}
TIDU_VISIBLE void* tidu_simt_memset(void* to, int value, size_t n) {
  touch_range(to, n, Mode::write, TIDU_CALLER);
  return std::memset(to, value, n);
}

// For tidu.cuda.traffic(), by ctypes. The text stays until the next call.
TIDU_VISIBLE void tidu_simt_count_traffic(int on) { tidu::simt::count_traffic(on != 0); }
TIDU_VISIBLE const char* tidu_simt_take_traffic() {
  static std::string text;
  text = tidu::simt::take_traffic_json();
  return text.c_str();
}

}  // extern "C"

#endif
