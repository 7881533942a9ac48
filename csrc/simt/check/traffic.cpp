// Grouping of accesses into requests, and their cost.
#include "simt/check/traffic.h"

#include <algorithm>
#include <bit>

namespace tidu::simt {
namespace {

constexpr uint32_t kNoSite = ~0u;
constexpr int kBanks = 32;

// Distinct values of at most `capacity`, in place.
int distinct(uintptr_t* values, int count) {
  if (!std::is_sorted(values, values + count)) std::sort(values, values + count);
  return static_cast<int>(std::unique(values, values + count) - values);
}

Requests count_global(const WarpLog::Request& request) {
  uintptr_t sectors[2 * 32], places[32];
  int n = 0, lanes = 0;
  for (uint32_t rest = request.lanes; rest != 0; rest &= rest - 1) {
    const uintptr_t address = request.addresses[std::countr_zero(rest)];
    places[lanes++] = address;
    const uintptr_t first = address / 32, last = (address + request.size - 1) / 32;
    if (n == 0 || sectors[n - 1] != first) sectors[n++] = first;
    if (last != first) sectors[n++] = last;
  }
  Requests r;
  r.requests = 1;
  r.bytes = static_cast<uint64_t>(lanes) * request.size;
  r.sectors = distinct(sectors, n);
  r.least_sectors = (static_cast<uint64_t>(distinct(places, lanes)) * request.size + 31) / 32;
  return r;
}

Requests count_shared(const WarpLog::Request& request) {
  // The hardware serves 128 bytes at a time: a whole warp, or halves or quarters of it for wider accesses.
  const int lanes_at_once = request.size <= 4 ? 32 : 128 / request.size;
  Requests r;
  r.requests = 1;
  r.bytes = static_cast<uint64_t>(std::popcount(request.lanes)) * request.size;
  for (int begin = 0; begin < 32; begin += lanes_at_once) {
    uintptr_t words[2 * 32];
    int n = 0;
    for (int lane = begin; lane < begin + lanes_at_once; ++lane) {
      if ((request.lanes >> lane & 1) == 0) continue;
      const uintptr_t first = request.addresses[lane] / 4;
      const uintptr_t last = (request.addresses[lane] + request.size - 1) / 4;
      for (uintptr_t word = first; word <= last; ++word) {
        if (n == 0 || words[n - 1] != word) words[n++] = word;
      }
    }
    if (n == 0) continue;
    n = distinct(words, n);
    int in_bank[kBanks] = {};
    for (int i = 0; i < n; ++i) ++in_bank[words[i] % kBanks];
    r.wavefronts += *std::max_element(in_bank, in_bank + kBanks);
    r.least_wavefronts += 1;
  }
  return r;
}

}  // namespace

void Requests::add(const Requests& other) {
  requests += other.requests;
  bytes += other.bytes;
  sectors += other.sectors;
  least_sectors += other.least_sectors;
  wavefronts += other.wavefronts;
  least_wavefronts += other.least_wavefronts;
}

Requests count(const WarpLog::Request& request) {
  const bool shared = request.access == Access::shared_load || request.access == Access::shared_store;
  return shared ? count_shared(request) : count_global(request);
}

int32_t& WarpLog::last_of(uint32_t site) {
  if (used_ * 2 >= last_.size()) {
    std::vector<Entry> old(std::max<size_t>(64, last_.size() * 2), Entry{kNoSite, -1});
    old.swap(last_);
    used_ = 0;
    for (const Entry& entry : old) {
      if (entry.site != kNoSite) last_of(entry.site) = entry.last;
    }
  }
  size_t i = site * 0x9e3779b1u & (last_.size() - 1);
  while (last_[i].site != site && last_[i].site != kNoSite) i = (i + 1) & (last_.size() - 1);
  if (last_[i].site == kNoSite) {
    last_[i] = {site, -1};
    ++used_;
  }
  return last_[i].last;
}

void WarpLog::add_divergent(int lane, uint32_t site, Access access, uint8_t size, uintptr_t address) {
  // The first request of this site without the lane. The lane is in a prefix of them, so the search goes
  // back.
  int32_t& last = last_of(site);
  int32_t found = -1;
  for (int32_t i = last; i >= 0 && (requests_[i].lanes >> lane & 1) == 0; i = requests_[i].previous)
    found = i;
  if (found < 0) {
    found = static_cast<int32_t>(requests_.size());
    Request request;
    request.site = site;
    request.previous = last;
    request.lanes = 0;
    request.size = size;
    request.access = access;
    requests_.push_back(request);
    last = found;
  }
  requests_[found].lanes |= 1u << lane;
  requests_[found].addresses[lane] = address;
  next_[lane] = static_cast<uint32_t>(found) + 1;
}

void WarpLog::clear() {
  requests_.clear();
  std::fill(std::begin(next_), std::end(next_), 0);
  std::fill(last_.begin(), last_.end(), Entry{kNoSite, -1});
  used_ = 0;
}

}  // namespace tidu::simt
