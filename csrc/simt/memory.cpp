// Address ranges, one for each device and one for pinned memory, cut into pieces that keep their size class.
#include "simt/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "simt/hooks.h"

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
constexpr size_t kRange = size_t{1} << 38;
constexpr size_t kPage = 4096;
// Freed pieces of this size lose their memory at once: later accesses fault.
constexpr size_t kLarge = 64 * 1024;
// Freed bytes that are held back before their addresses are used again, at most: of memory, and of addresses.
constexpr size_t kQuarantine = size_t{64} << 20, kLargeQuarantine = kRange / 4;
constexpr size_t kQuarantinedPieces = 4096;

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

struct Piece {
  Allocation allocation;
  size_t capacity;
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
      if (capacity >= kLarge) mprotect(pieces_[number].allocation.base, capacity, PROT_READ | PROT_WRITE);
    } else {
      number = cut(capacity);
      if (number == 0) return nullptr;
    }
    Allocation& a = pieces_[number].allocation;
    static uint64_t allocations = 0;
    a = {a.base, bytes, ++allocations, 0, device_, true, pooled};
    TIDU_UNPOISON(a.base, bytes);
    std::memset(a.base, 0xff, bytes);
    return a.base;
  }

  void give(const Allocation& allocation) {
    const uint32_t number = piece_at(allocation.base);
    Piece& piece = pieces_[number];
    Allocation& a = piece.allocation;
    a.live = false;
    a.freed_after = running.launch_number;
    if (piece.capacity >= kLarge) {
      mmap(a.base, piece.capacity, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    } else {
      std::memset(a.base, 0xff, a.bytes);
    }
    TIDU_POISON(a.base, a.bytes);
    quarantine_.push_back(number);
    quarantined(piece.capacity) += piece.capacity;
    while (quarantined_ > kQuarantine || large_quarantined_ > kLargeQuarantine ||
           quarantine_.size() > kQuarantinedPieces) {
      const uint32_t oldest = quarantine_.front();
      quarantine_.pop_front();
      quarantined(pieces_[oldest].capacity) -= pieces_[oldest].capacity;
      free_[pieces_[oldest].capacity].push_back(oldest);
    }
  }

  bool contains(const void* p) const { return base_ != nullptr && p >= base_ && p < base_ + kRange; }
  const Allocation* at(const void* p) const {
    const uint32_t number = piece_at(p);
    return number == 0 ? nullptr : &pieces_[number].allocation;
  }
  const std::deque<Piece>& pieces() const { return pieces_; }

 private:
  size_t& quarantined(size_t capacity) { return capacity >= kLarge ? large_quarantined_ : quarantined_; }

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
      mprotect(base_ + mapped_, mapped_end - mapped_, PROT_READ | PROT_WRITE);
      mapped_ = mapped_end;
    }
    used_ = begin + capacity;
    TIDU_POISON(base_ + begin, capacity);
    const auto number = static_cast<uint32_t>(pieces_.size());
    pieces_.push_back({{.base = base_ + begin}, capacity});
    std::fill_n(piece_of_ + begin / kGranule, capacity / kGranule, number);
    return number;
  }

  int device_;
  char* base_ = nullptr;
  uint32_t* piece_of_ = nullptr;
  size_t used_ = 0, mapped_ = 0, quarantined_ = 0, large_quarantined_ = 0;
  std::deque<Piece> pieces_;
  std::map<size_t, std::vector<uint32_t>> free_;
  std::deque<uint32_t> quarantine_;
};

size_t environment_number(const char* name, size_t otherwise) {
  const char* const text = std::getenv(name);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

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

}  // namespace

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

void release(const Allocation& allocation) {
  MemoryUse& use = memory_use(allocation.device);
  use.live -= allocation.bytes;
  if (allocation.pooled) use.pool_used -= allocation.bytes;
  memory().of(allocation.device).give(allocation);
  if (observer) observer->freed(allocation);
}

const Allocation* allocation_at(const void* p) {
  for (const auto& range : memory().ranges) {
    if (range->contains(p)) return range->at(p);
  }
  return nullptr;
}

std::string describe(const void* p) {
  const Allocation* const a = allocation_at(p);
  if (a == nullptr) return "";
  const auto offset = static_cast<size_t>(static_cast<const char*>(p) - a->base);
  const std::string name = "allocation " + std::to_string(a->number) + " of " + std::to_string(a->bytes) +
                           " bytes, " +
                           (a->device == kPinned ? "pinned" : "cuda:" + std::to_string(a->device));
  const std::string state = a->live ? "" : ", freed after launch " + std::to_string(a->freed_after);
  if (offset < a->bytes) return " (byte " + std::to_string(offset) + " of " + name + state + ")";
  return " (" + std::to_string(offset - a->bytes) + " bytes past the end of " + name + state + ")";
}

void for_each_live(void (*f)(const Allocation&, void*), void* argument) {
  for (const auto& range : memory().ranges) {
    for (const Piece& piece : range->pieces()) {
      if (piece.allocation.live) f(piece.allocation, argument);
    }
  }
}

}  // namespace tidu::simt
