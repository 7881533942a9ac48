// Checkpoints of chains, against all schedules that there are.
#include "compile/chain.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>

namespace tidu {
namespace {

using Steps = std::vector<Step>;

// What a schedule needs at once and runs again, by doing what it says.
struct Outcome {
  int64_t peak = 0;
  double again = 0;
};
void simulate(std::span<const Stage> stages, const Steps& steps, int64_t held, Outcome& outcome) {
  const auto reach = [&](int64_t bytes) { outcome.peak = std::max(outcome.peak, bytes); };
  for (const Step& step : steps) {
    if (step.again.empty()) {
      held += stages[step.begin].residuals;
    } else {
      for (int i = step.begin; i < step.end; ++i) {
        reach(held + stages[i].working + (i > step.begin ? stages[i - 1].output : 0));
        outcome.again += stages[i].cost;
      }
      held += stages[step.end - 1].output;
    }
    reach(held);
  }
  for (size_t i = steps.size(); i-- > 0;) {
    const int first = steps[i].begin;
    const int64_t output = stages[steps[i].end - 1].output;
    if (steps[i].again.empty()) {
      reach(held + output + (first > 0 ? stages[first - 1].output : 0));  // with both cotangents
      held -= stages[first].residuals;
    } else {
      held -= output;
      simulate(stages, steps[i].again, held + output, outcome);  // with the cotangent of the output
    }
  }
}

// All schedules of stages from `begin` to `end`.
std::vector<Steps> all_schedules(int begin, int end) {
  if (begin == end) return {{}};
  std::vector<Steps> result;
  const auto add = [&](const Step& first, int from) {
    for (Steps rest : all_schedules(from, end)) {
      rest.insert(rest.begin(), first);
      result.push_back(rest);
    }
  };
  add({begin, begin + 1, {}}, begin + 1);
  for (int split = begin + 1; split < end; ++split) {
    for (const Steps& inner : all_schedules(begin, split)) add({begin, split, inner}, split);
  }
  return result;
}

TEST(Chain, StepsAreTheCheapestThatFit) {
  std::mt19937 random(7);
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution(low, high)(random); };
  int fitting = 0, again = 0;
  for (int trial = 0; trial < 60; ++trial) {
    const int count = draw(1, 5);
    std::vector<Stage> stages;
    for (int i = 0; i < count; ++i) {
      const int output = draw(1, 5);
      stages.push_back({static_cast<double>(draw(1, 9)), output, output + draw(0, 8), output + draw(0, 3)});
    }
    const std::vector<Steps> all = all_schedules(0, count);
    for (int64_t budget = 0; budget < 60; budget += 3) {
      double best = std::numeric_limits<double>::infinity();
      for (const Steps& steps : all) {
        Outcome outcome;
        simulate(stages, steps, 0, outcome);
        if (outcome.peak <= budget) best = std::min(best, outcome.again);
      }
      const std::optional<Steps> found = best_steps(stages, budget);
      ASSERT_EQ(found.has_value(), best < std::numeric_limits<double>::infinity()) << budget;
      if (!found) continue;
      Outcome outcome;
      simulate(stages, *found, 0, outcome);
      EXPECT_LE(outcome.peak, budget);
      EXPECT_EQ(outcome.again, best);
      ++fitting;
      again += best > 0;
    }
  }
  EXPECT_GT(fitting, 400);
  EXPECT_GT(again, 100);
}

TEST(Chain, LongChainsNeedTheRootOfTheirMemory) {
  const std::vector<Stage> stages(48, {1, 1000, 1000, 1000});
  for (const int64_t budget : {50000, 24000, 14000, 10000}) {
    const std::optional<Steps> steps = best_steps(stages, budget);
    ASSERT_TRUE(steps) << budget;
    Outcome outcome;
    simulate(stages, *steps, 0, outcome);
    EXPECT_LE(outcome.peak, budget);
    EXPECT_LE(outcome.again, budget >= 24000 ? 48 : budget >= 14000 ? 96 : 192);
  }
  EXPECT_FALSE(best_steps(stages, 1999));  // what the first stage keeps, and the cotangent of its output
  EXPECT_TRUE(best_steps({}, 0));
}

}  // namespace
}  // namespace tidu
