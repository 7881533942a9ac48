// Address ranges, one for each device and one for pinned memory, cut into pieces that keep their size class.
#include "simt/machine/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "simt/control.h"
#include "simt/machine/hooks.h"
#include "simt/machine/report.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#define TIDU_POISON(p, n) __asan_poison_memory_region(p, n)
#define TIDU_UNPOISON(p, n) __asan_unpoison_memory_region(p, n)
#else
#define TIDU_POISON(p, n) (void)0
#define TIDU_UNPOISON(p, n) (void)0
#endif

namespace tidu::simt {

namespace {

// Addresses are aligned as cudaMalloc's; every piece ends in a gap of at least that much.
constexpr size_t kGranule = 256;
constexpr size_t kGuard = 64;  // bytes of the gap that are looked at when an allocation is freed
constexpr size_t kRange = size_t{1} << 38;
constexpr size_t kPage = 4096;
constexpr size_t kLarge = 64 * 1024;  // from here on, pieces are whole pages
// Freed bytes that are held back before they are used again, at most.
constexpr size_t kQuarantine = size_t{64} << 20;
constexpr size_t kQuarantinedPieces = 4096;
// Freed bytes that keep their memory: faulting pages in costs more than filling them.
constexpr size_t kKept = size_t{512} << 20;

char* reserve(size_t bytes, int protection) {
  void* const p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    std::perror("tidu simt: cannot reserve addresses for emulated device memory");
    std::abort();
  }
  return static_cast<char*>(p);
}

size_t round_up(size_t n, size_t unit) { return (n + unit - 1) / unit * unit; }

// Eight classes an octave, so that a piece is used again by allocations of about its size.
size_t size_class(size_t bytes) {
  const size_t n = round_up(bytes, kGranule) + kGranule;
  const size_t step = std::max(kGranule, std::bit_floor(n) / 8);
  return round_up(n, n >= kLarge ? std::max(step, kPage) : step);
}

size_t environment_number(const char* name, size_t otherwise) {
  const char* const text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

constexpr size_t kGuardedUnit = 64 * 1024;

struct Piece {
  Allocation allocation;
  size_t capacity = 0;
  size_t filled = 0;  // leading bytes that are 0xFF while it is free
};

class Range {
 public:
  explicit Range(int device) : device_(device) {}

  void* take(size_t bytes, bool pooled) {
    if (base_ == nullptr) {
      base_ = reserve(kRange, PROT_NONE);
      piece_of_ = reinterpret_cast<uint32_t*>(reserve(kRange / kGranule * 4, PROT_READ | PROT_WRITE));
      pieces_.emplace_back();  // number 0 stands for addresses in no piece
    }
    const size_t capacity = size_class(bytes);
    uint32_t number = 0;
    if (const auto free = free_.find(capacity); free != free_.end() && !free->second.empty()) {
      number = free->second.back();
      free->second.pop_back();
      if (pieces_[number].filled != 0) kept_ -= capacity;
    } else {
      number = cut(capacity);
      if (number == 0) return nullptr;
    }
    Piece& piece = pieces_[number];
    Allocation& a = piece.allocation;
    static uint64_t allocations = 0;
    a = {a.base, bytes, ++allocations, 0, device_, true, pooled};
    const size_t filled = bytes + kGuard;
    TIDU_UNPOISON(a.base, filled);
    if (filled > piece.filled) std::memset(a.base + piece.filled, 0xff, filled - piece.filled);
    piece.filled = std::max(filled, piece.filled);
    TIDU_POISON(a.base + bytes, kGuard);
    return a.base;
  }

  // Whether the bytes just after it are as they were.
  bool intact([[maybe_unused]] const Allocation& a) const {
#ifndef __SANITIZE_ADDRESS__
    const auto* const after = reinterpret_cast<const unsigned char*>(a.base + a.bytes);
    return std::all_of(after, after + kGuard, [](unsigned char c) { return c == 0xff; });
#else
    return true;
#endif
  }

  void give(const Allocation& allocation) {
    const uint32_t number = piece_at(allocation.base);
    Piece& piece = pieces_[number];
    Allocation& a = piece.allocation;
    a.live = false;
    a.freed_after = running.launch_number;
    std::memset(a.base, 0xff, a.bytes);
    TIDU_POISON(a.base, a.bytes);
    quarantine_.push_back(number);
    quarantined_ += piece.capacity;
    while (quarantined_ > kQuarantine || quarantine_.size() > kQuarantinedPieces) {
      const uint32_t oldest = quarantine_.front();
      quarantine_.pop_front();
      set_free(oldest);
    }
  }

  AddressRange all() const { return {base_, kRange}; }
  bool contains(const void* p) const { return base_ != nullptr && p >= base_ && p < base_ + kRange; }
  const Allocation* at(const void* p) const {
    const uint32_t number = piece_at(p);
    return number == 0 ? nullptr : &pieces_[number].allocation;
  }
  // The part of the range that may be touched at all and holds p, cut to one guarded unit; null if there is
  // none.
  char* unit_at(const void* p) const {
    if (base_ == nullptr || p < base_ || p >= base_ + mapped_) return nullptr;
    return base_ + static_cast<size_t>(static_cast<const char*>(p) - base_) / kGuardedUnit * kGuardedUnit;
  }
  const std::deque<Piece>& pieces() const { return pieces_; }

 private:
  void set_free(uint32_t number) {
    Piece& piece = pieces_[number];
    quarantined_ -= piece.capacity;
    free_[piece.capacity].push_back(number);
    if (kept_ + piece.capacity <= kKept || piece.capacity < kLarge) {
      kept_ += piece.capacity;
    } else {
      madvise(piece.allocation.base, piece.capacity, MADV_DONTNEED);
      piece.filled = 0;
    }
  }

  uint32_t piece_at(const void* p) const {
    return piece_of_[static_cast<size_t>(static_cast<const char*>(p) - base_) / kGranule];
  }

  uint32_t cut(size_t capacity) {
    // A gap before the first piece, too; large pieces have pages of their own.
    size_t begin = used_ == 0 ? kPage : used_;
    if (capacity >= kLarge) begin = round_up(begin, kPage);
    if (begin + capacity > kRange) return 0;
    const size_t mapped_end = round_up(begin + capacity, capacity >= kLarge ? kPage : size_t{1} << 20);
    if (mapped_end > mapped_) {
      if (!memory_is_guarded() || device_ == kPinned)
        mprotect(base_ + mapped_, mapped_end - mapped_, PROT_READ | PROT_WRITE);
      mapped_ = mapped_end;
    }
    used_ = begin + capacity;
    TIDU_POISON(base_ + begin, capacity);
    const auto number = static_cast<uint32_t>(pieces_.size());
    pieces_.push_back({{.base = base_ + begin}, capacity, 0});
    std::fill_n(piece_of_ + begin / kGranule, capacity / kGranule, number);
    return number;
  }

  int device_;
  char* base_ = nullptr;
  uint32_t* piece_of_ = nullptr;
  size_t used_ = 0, mapped_ = 0, quarantined_ = 0, kept_ = 0;
  std::deque<Piece> pieces_;
  std::map<size_t, std::vector<uint32_t>> free_;
  std::deque<uint32_t> quarantine_;
};

struct Memory {
  std::vector<std::unique_ptr<Range>> ranges;  // of each device, then of pinned memory
  std::vector<MemoryUse> use;

  Memory() : use(static_cast<size_t>(device_count()) + 1) {
    for (int i = 0; i < device_count(); ++i) ranges.push_back(std::make_unique<Range>(i));
    ranges.push_back(std::make_unique<Range>(kPinned));
  }
  Range& of(int device) { return device == kPinned ? *ranges.back() : *ranges[static_cast<size_t>(device)]; }
};

Memory& memory() {
  static Memory& all = *new Memory;
  return all;
}

size_t allocations_until_failure = environment_number("TIDU_SIMT_FAIL_ALLOCATION", 0);

// Under TIDU_SIMT_GUARD: how many DeviceAccess live, and the units that were opened for them.
int accesses = 0;
char* opened[4096];
size_t opened_count = 0;

void close_units() {
  for (size_t i = 0; i < opened_count; ++i) mprotect(opened[i], kGuardedUnit, PROT_NONE);
  opened_count = 0;
}

}  // namespace

bool memory_is_guarded() {
  static const bool guarded = environment_number("TIDU_SIMT_GUARD", 0) != 0;
  return guarded;
}

DeviceAccess::DeviceAccess() {
  if (memory_is_guarded()) ++accesses;
}
DeviceAccess::~DeviceAccess() {
  if (memory_is_guarded() && --accesses == 0) close_units();
}

bool open_unit(const void* p) {
  if (accesses == 0) return false;
  // Threads of a library may come here at once.
  static std::atomic_flag busy;
  while (busy.test_and_set(std::memory_order_acquire)) {}
  bool open = false;
  for (int i = 0; i < device_count() && !open; ++i) {
    char* const unit = memory().of(i).unit_at(p);
    if (unit == nullptr) continue;
    if (std::find(opened, opened + opened_count, unit) == opened + opened_count) {
      if (opened_count == std::size(opened)) close_units();
      opened[opened_count++] = unit;
      mprotect(unit, kGuardedUnit, PROT_READ | PROT_WRITE);
    }
    open = true;
  }
  busy.clear(std::memory_order_release);
  return open;
}

void fail_allocation(size_t n) { allocations_until_failure = n; }

int device_count() {
  static const int count = static_cast<int>(environment_number("TIDU_CUDA_DEVICES", 1));
  return count;
}

size_t memory_limit() {
  static const size_t limit = environment_number("TIDU_SIMT_MEMORY", size_t{16} << 30);
  return limit;
}

MemoryUse& memory_use(int device) {
  return device == kPinned ? memory().use.back() : memory().use[static_cast<size_t>(device)];
}

void* allocate(int device, size_t bytes, bool pooled) {
  if (allocations_until_failure != 0 && --allocations_until_failure == 0) return nullptr;
  const DeviceAccess access;
  MemoryUse& use = memory_use(device);
  const size_t used = use.pool_used + (pooled ? bytes : 0);
  const size_t reserved = std::max(use.pool_reserved, used);
  const size_t unpooled = use.live - use.pool_used + (pooled ? 0 : bytes);
  if (device != kPinned && (bytes > memory_limit() || reserved + unpooled > memory_limit())) return nullptr;
  void* const p = memory().of(device).take(bytes, pooled);
  if (p == nullptr) return nullptr;
  use.live += bytes;
  use.pool_used = used;
  use.pool_reserved = reserved;
  use.pool_used_high = std::max(use.pool_used_high, used);
  use.pool_reserved_high = std::max(use.pool_reserved_high, reserved);
  if (observer) observer->allocated(*allocation_at(p));
  return p;
}

bool release(const Allocation& allocation) {
  const DeviceAccess access;
  const bool intact = memory().of(allocation.device).intact(allocation);
  if (!intact) report("memory was written past the end" + describe(allocation.base + allocation.bytes));
  MemoryUse& use = memory_use(allocation.device);
  use.live -= allocation.bytes;
  if (allocation.pooled) use.pool_used -= allocation.bytes;
  memory().of(allocation.device).give(allocation);
  if (observer) observer->freed(allocation);
  return intact;
}

AddressRange address_range(const void* p) {
  for (const auto& range : memory().ranges) {
    if (range->contains(p)) return range->all();
  }
  return {};
}

const Allocation* allocation_at(const void* p) {
  for (const auto& range : memory().ranges) {
    if (range->contains(p)) return range->at(p);
  }
  return nullptr;
}

std::string name_of(const Allocation& a) {
  return "allocation " + std::to_string(a.number) + " of " + std::to_string(a.bytes) + " bytes, " +
         (a.device == kPinned ? "pinned" : "cuda:" + std::to_string(a.device));
}

std::string describe(const void* p) {
  const Allocation* const a = allocation_at(p);
  if (a == nullptr) return "";
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - a->base);
  const std::string name =
      name_of(*a) + (a->live ? "" : ", freed after launch " + std::to_string(a->freed_after));
  if (offset < a->bytes) return " (byte " + std::to_string(offset) + " of " + name + ")";
  return " (" + std::to_string(offset - a->bytes) + " bytes past the end of " + name + ")";
}

std::vector<const Allocation*> live_allocations() {
  std::vector<const Allocation*> live;
  for (const auto& range : memory().ranges) {
    for (const Piece& piece : range->pieces()) {
      if (piece.allocation.live) live.push_back(&piece.allocation);
    }
  }
  return live;
}

}  // namespace tidu::simt
