// Dynamic programming over parts of a chain and memory.
#include "compile/chain.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace tidu {
namespace {

constexpr int64_t kSlots = 512;

class Table {
 public:
  Table(std::span<const Stage> stages, int64_t budget)
      : stages_(stages),
        count_(static_cast<int>(stages.size())),
        slot_(std::max<int64_t>((budget + kSlots - 1) / kSlots, 1)),
        slots_(static_cast<int>(budget / slot_)),
        best_(stages.size() * stages.size() * (static_cast<size_t>(slots_) + 1)) {
    for (int length = 1; length <= count_; ++length) {
      for (int first = 0; first + length <= count_; ++first) fill(first, first + length - 1);
    }
  }

  std::optional<std::vector<Step>> take() const {
    if (count_ > 0 && at(0, count_ - 1, slots_).cost == kImpossible) return std::nullopt;
    return steps(0, count_ - 1, slots_);
  }

 private:
  static constexpr double kImpossible = std::numeric_limits<double>::infinity();
  // What the stages up to the last cost again at best, if the first keeps its residuals (split 0) or all
  // before number `split` are run again.
  struct Best {
    double cost = kImpossible;
    int split = 0;
  };

  const Best& at(int first, int last, int memory) const {
    return best_[(static_cast<size_t>(first) * count_ + last) * (static_cast<size_t>(slots_) + 1) + memory];
  }
  Best& at(int first, int last, int memory) {
    return const_cast<Best&>(std::as_const(*this).at(first, last, memory));
  }
  int in_slots(int64_t bytes) const {
    return static_cast<int>(std::min<int64_t>((bytes + slot_ - 1) / slot_, slots_ + 1));
  }

  void fill(int first, int last) {
    // The cotangents of its output and of its input are there together with what it keeps.
    const int64_t input = first > 0 ? stages_[first - 1].output : 0;
    const int kept = in_slots(stages_[first].residuals),
              pulled = in_slots(stages_[first].residuals + stages_[first].output + input);
    for (int memory = pulled; memory <= slots_; ++memory)
      at(first, last, memory) = {first == last ? 0 : at(first + 1, last, memory - kept).cost, 0};
    double cost = 0;
    int64_t working = 0;
    for (int split = first + 1; split <= last; ++split) {
      const Stage& before = stages_[split - 1];
      cost += before.cost;
      working = std::max(working, before.working + (split - 1 > first ? stages_[split - 2].output : 0));
      const int output = in_slots(before.output);
      for (int memory = std::max(in_slots(working), output); memory <= slots_; ++memory) {
        // While the stages before it are run again, the cotangent of the output stays in its place.
        const double all =
            cost + at(split, last, memory - output).cost + at(first, split - 1, memory - output).cost;
        if (all < at(first, last, memory).cost) at(first, last, memory) = {all, split};
      }
    }
  }

  std::vector<Step> steps(int first, int last, int memory) const {
    std::vector<Step> result;
    while (first <= last) {
      const int split = at(first, last, memory).split;
      if (split == 0) {
        result.push_back({first, first + 1, {}});
        memory -= in_slots(stages_[first++].residuals);
      } else {
        result.push_back(
            {first, split, steps(first, split - 1, memory - in_slots(stages_[split - 1].output))});
        memory -= in_slots(stages_[split - 1].output);
        first = split;
      }
    }
    return result;
  }

  const std::span<const Stage> stages_;
  const int count_;
  const int64_t slot_;
  const int slots_;
  std::vector<Best> best_;
};

}  // namespace

std::optional<std::vector<Step>> best_steps(std::span<const Stage> stages, int64_t budget) {
  int64_t kept = 0, most = 0, input = 0;
  for (const Stage& stage : stages) {
    kept += stage.residuals;
    most = std::max(most, kept + stage.output + input);
    input = stage.output;
  }
  if (most <= budget) {
    std::vector<Step> steps;
    for (int i = 0; i < static_cast<int>(stages.size()); ++i) steps.push_back({i, i + 1, {}});
    return steps;
  }
  if (budget <= 0) return std::nullopt;
  return Table(stages, budget).take();
}

}  // namespace tidu
