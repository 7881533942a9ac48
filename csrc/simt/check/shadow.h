// What a checked build remembers of each byte of device and shared memory: whether it may be touched, whether
// it was written, and who touched it last.
#pragma once

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

namespace tidu::simt {

// A zeroed array over reserved address space, of which only touched pages take memory.
template <class T> class Reserved {
 public:
  Reserved() = default;
  explicit Reserved(size_t count) : count_(count) {
    void* p =
        mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    data_ = static_cast<T*>(p);
  }
  Reserved(Reserved&& other) noexcept { *this = static_cast<Reserved&&>(other); }
  Reserved& operator=(Reserved&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }
  ~Reserved() {
    if (data_ != nullptr) munmap(data_, bytes());
  }

  T& operator[](size_t i) const { return data_[i]; }
  void clear() {
    if (data_ != nullptr) madvise(data_, bytes(), MADV_DONTNEED);
  }

 private:
  size_t bytes() const { return count_ * sizeof(T); }

  T* data_ = nullptr;
  size_t count_ = 0;
};

// One access, packed: who (thread of its block), when, which bytes of the word, from which instruction. The
// clock counts barriers, synchronised warps, blocks and launches, so it also tells the block.
class Stamp {
 public:
  static constexpr uint32_t kTimes = 1u << 30, kSites = 1u << 19;  // how many there are

  Stamp() = default;
  Stamp(uint32_t time, unsigned thread, bool atomic, unsigned bytes, uint32_t site)
      : bits_(static_cast<uint64_t>(time) << 34 | static_cast<uint64_t>(thread) << 24 |
              static_cast<uint64_t>(atomic) << 23 | static_cast<uint64_t>(bytes) << 19 | site) {}

  uint32_t time() const { return static_cast<uint32_t>(bits_ >> 34); }
  unsigned thread() const { return bits_ >> 24 & 1023; }
  bool atomic() const { return bits_ >> 23 & 1; }
  unsigned bytes() const { return bits_ >> 19 & 15; }
  uint32_t site() const { return bits_ & (kSites - 1); }
  bool same_thread(const Stamp& other) const { return ((bits_ ^ other.bits_) >> 24 & 1023) == 0; }
  bool same_warp(const Stamp& other) const { return ((bits_ ^ other.bits_) >> 29 & 31) == 0; }

  // The later access of the two, which covers the bytes of both where one thread made them at one time.
  void replace(const Stamp& later) {
    const bool together = (bits_ ^ later.bits_) >> 24 == 0;
    bits_ = later.bits_ | (together ? bits_ & 15u << 19 : 0);
  }

 private:
  uint64_t bits_ = 0;
};

// The accesses to one aligned word of four bytes that a later access could race with. Two readers are enough:
// if readers differ in warp, every unordered write races with one of them.
struct History {
  Stamp write, read, other_read;
};

// Of an aligned sector of 32 bytes: which of them the launch has read and written.
struct Sector {
  uint32_t launch, read, written;
};

// Of a byte.
enum : uint8_t { kAddressable = 1, kWritten = 2 };

// A range of memory and its shadow.
struct Space {
  uintptr_t begin = 0;
  size_t bytes = 0;
  Reserved<uint8_t> state;
  Reserved<History> words;
  Reserved<Sector> sectors;

  Space() = default;
  Space(const void* begin, size_t bytes)
      : begin(reinterpret_cast<uintptr_t>(begin)),
        bytes(bytes),
        state(bytes),
        words(bytes / 4),
        sectors(bytes / 32) {}

  bool holds(uintptr_t p) const { return p - begin < bytes; }
  size_t offset(const void* p) const { return reinterpret_cast<uintptr_t>(p) - begin; }
  void set(const void* p, size_t n, uint8_t value) {
    if (n != 0) std::memset(&state[offset(p)], value, n);
  }
};

}  // namespace tidu::simt
