// Lifetimes, and greedy placement: the largest first, or where there are many the earliest, each in the
// smallest gap that holds it.
#include "compile/plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>
#include <unordered_map>

#include "compile/outline.h"

namespace tidu {
namespace {

constexpr int64_t kAlignment = 256;  // of any kernel's vectors and transactions

class Lifetimes {
 public:
  explicit Lifetimes(const Program& program) : program_(program), values_(outline(program)) {
    const int end = static_cast<int>(program.instructions.size());
    for (int now = 0; now < end; ++now) {
      const Program::Instruction& call = program.instructions[now];
      if (!is_view(call, values_)) {
        for (int variable : call.outputs) begin(variable, now);
        add_workspace(call, now);
      }
      for (int variable : call.inputs) use(variable, now);
    }
    for (int variable : program.outputs) use(variable, end);
    for (const Program::Write& write : program.writes) {
      use(write.variable, end);
      // What lies in memory that is written to is copied first.
      const Tensor& value = values_[write.variable];
      const bool is_read_later = std::ranges::any_of(program.writes, [&](const Program::Write& other) {
        return value.impl().storage == values_[program.inputs[other.input]].impl().storage;
      });
      if (is_read_later) result_.push_back({static_cast<int64_t>(value.nbytes()), end, end});
    }
  }

  std::vector<Lifetime> take() { return std::move(result_); }

 private:
  void begin(int variable, int now) {
    const Tensor& value = values_[variable];
    owned_.emplace(value.impl().storage.get(), result_.size());
    result_.push_back({static_cast<int64_t>(value.nbytes()), now, now});
  }

  // Memory of arguments and constants is not the program's.
  void use(int variable, int now) {
    const auto found = owned_.find(values_[variable].impl().storage.get());
    if (found != owned_.end()) result_[found->second].last = now;
  }

  void add_workspace(const Program::Instruction& call, int now) {
    if (call.outputs.empty()) return;
    const Tensor& first = values_[call.outputs[0]];
    const WorkspaceBytes bytes = call.primitive->workspaces[static_cast<int>(first.device().type)];
    if (!bytes) return;
    Tensors inputs, outputs;
    for (int variable : call.inputs) inputs.push_back(values_[variable]);
    for (int variable : call.outputs) outputs.push_back(values_[variable]);
    if (shows_parts({*call.primitive, inputs, call.attrs, outputs})) {
      inputs = shown_to_kernels(*call.primitive, inputs);
      outputs = shown_to_kernels(*call.primitive, outputs);
    }
    const size_t needed = bytes({*call.primitive, inputs, call.attrs, outputs});
    if (needed > 0) result_.push_back({static_cast<int64_t>(needed), now, now});
  }

  const Program& program_;
  const Tensors values_;
  std::unordered_map<const Storage*, size_t> owned_;
  std::vector<Lifetime> result_;
};

}  // namespace

std::vector<Lifetime> lifetimes_of(const Program& program) { return Lifetimes(program).take(); }

namespace {

struct Peak {
  int64_t bytes = 0;
  int time = 0;
};

Peak peak_of(std::span<const Lifetime> lifetimes) {
  int end = 0;
  for (const Lifetime& lifetime : lifetimes) end = std::max(end, lifetime.last);
  std::vector<int64_t> changes(static_cast<size_t>(end) + 2);
  for (const Lifetime& lifetime : lifetimes) {
    changes[lifetime.first] += lifetime.bytes;
    changes[lifetime.last + 1] -= lifetime.bytes;
  }
  int64_t now = 0;
  Peak peak;
  for (size_t time = 0; time < changes.size(); ++time) {
    if ((now += changes[time]) > peak.bytes) peak = {now, static_cast<int>(time)};
  }
  return peak;
}

}  // namespace

int64_t peak_bytes(std::span<const Lifetime> lifetimes) { return peak_of(lifetimes).bytes; }
int peak_time(std::span<const Lifetime> lifetimes) { return peak_of(lifetimes).time; }

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

namespace {

// Each in the smallest gap that is free when it begins: for many, each of which the other way compares with
// all that were placed before.
Placement placement_by_time(std::span<const Lifetime> lifetimes) {
  std::vector<size_t> by_time(lifetimes.size());
  std::iota(by_time.begin(), by_time.end(), size_t{0});
  std::ranges::stable_sort(by_time, {}, [&](size_t i) { return lifetimes[i].first; });
  Placement placement{std::vector<int64_t>(lifetimes.size()), 0};
  std::map<int64_t, int64_t> gaps;  // bytes by offset
  using Ending = std::pair<int, size_t>;
  std::priority_queue<Ending, std::vector<Ending>, std::greater<>> alive;
  int64_t end = 0;
  const auto release = [&](size_t i) {
    auto gap = gaps.emplace(placement.offsets[i], aligned(lifetimes[i].bytes)).first;
    const auto next = std::next(gap);
    if (next != gaps.end() && gap->first + gap->second == next->first) {
      gap->second += next->second;
      gaps.erase(next);
    }
    if (gap == gaps.begin()) return;
    const auto before = std::prev(gap);
    if (before->first + before->second != gap->first) return;
    before->second += gap->second;
    gaps.erase(gap);
  };
  for (size_t i : by_time) {
    const int64_t bytes = aligned(lifetimes[i].bytes);
    if (bytes == 0) continue;
    for (; !alive.empty() && alive.top().first < lifetimes[i].first; alive.pop()) release(alive.top().second);
    auto best = gaps.end();
    for (auto gap = gaps.begin(); gap != gaps.end(); ++gap) {
      if (gap->second >= bytes && (best == gaps.end() || gap->second < best->second)) best = gap;
    }
    if (best == gaps.end() && !gaps.empty()) {
      const auto last = std::prev(gaps.end());
      if (last->first + last->second == end) best = last;  // and grows
    }
    const int64_t offset = best == gaps.end() ? end : best->first;
    if (best != gaps.end()) {
      const int64_t rest = best->second - bytes;
      gaps.erase(best);
      if (rest > 0) gaps.emplace(offset + bytes, rest);
    }
    end = std::max(end, offset + bytes);
    placement.offsets[i] = offset;
    placement.bytes = std::max(placement.bytes, offset + lifetimes[i].bytes);
    alive.emplace(lifetimes[i].last, i);
  }
  return placement;
}

}  // namespace

Placement placement_of(std::span<const Lifetime> lifetimes) {
  constexpr size_t kMany = 2000;
  if (lifetimes.size() > kMany) return placement_by_time(lifetimes);
  std::vector<size_t> by_size(lifetimes.size());
  std::iota(by_size.begin(), by_size.end(), size_t{0});
  std::ranges::stable_sort(by_size,
                           [&](size_t a, size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });
  Placement placement{std::vector<int64_t>(lifetimes.size()), 0};
  std::vector<size_t> placed;  // by offset
  for (size_t i : by_size) {
    const auto& [bytes, first, last] = lifetimes[i];
    int64_t best = -1, least = INT64_MAX, end = 0;
    for (size_t other : placed) {
      if (lifetimes[other].last < first || last < lifetimes[other].first) continue;
      const int64_t gap = placement.offsets[other] - end;
      if (gap >= bytes && gap < least) best = end, least = gap;
      end = std::max(end, placement.offsets[other] + aligned(lifetimes[other].bytes));
    }
    placement.offsets[i] = best < 0 ? end : best;
    placement.bytes = std::max(placement.bytes, placement.offsets[i] + bytes);
    const auto before = [&](size_t a, size_t b) { return placement.offsets[a] < placement.offsets[b]; };
    placed.insert(std::ranges::upper_bound(placed, i, before), i);
  }
  return placement;
}

}  // namespace tidu
