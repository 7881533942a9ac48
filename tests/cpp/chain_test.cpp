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
// `held` are bytes that are there before and all the while; the cotangents of what is handed over the end of
// the last step are among them.
void simulate(const Chain& chain, const Steps& steps, int64_t held, Outcome& outcome) {
  if (steps.empty()) return;
  const int last = steps.back().end - 1;
  const auto reach = [&](int64_t bytes) { outcome.peak = std::max(outcome.peak, bytes); };
  const auto sum = [&](const auto& counts) {
    int64_t bytes = 0;
    for (const Handed& value : chain.values) bytes += counts(value) ? value.bytes : 0;
    return bytes;
  };
  // What stages of this step made before stage `at` and others need from there on.
  const auto made_since = [&](int begin, int at) {
    return sum(
        [&](const Handed& value) { return begin <= value.made && value.made < at && at <= value.used; });
  };
  const auto is_over = [](const Handed& value, int at) { return value.made < at && at <= value.used; };
  for (const Step& step : steps) {
    if (step.again.empty()) {
      held += chain.stages[step.begin].residuals;
    } else {
      for (int i = step.begin; i < step.end; ++i) {
        reach(held + chain.stages[i].working + made_since(step.begin, i));
        outcome.again += chain.stages[i].cost;
      }
      held += made_since(step.begin, step.end);
    }
    reach(held);
  }
  for (size_t i = steps.size(); i-- > 0;) {
    const auto& [begin, end, again] = steps[i];
    const auto pulled = [&](const auto& counts) {
      return sum([&](const Handed& value) { return counts(value) && !is_over(value, last + 1); });
    };
    if (again.empty()) {
      reach(held + chain.stages[begin].pulling +
            pulled([&](const Handed& value) { return is_over(value, begin) || is_over(value, end); }));
      held -= chain.stages[begin].residuals;
    } else {
      held -= made_since(begin, end);
      simulate(chain, again, held + pulled([&](const Handed& value) { return is_over(value, end); }),
               outcome);
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
    Chain chain;
    for (int i = 0; i < count; ++i) {
      int64_t made = 0;
      const auto hand = [&](int used) {
        chain.values.push_back({i, used, draw(1, 5)});
        made += chain.values.back().bytes;
      };
      hand(i + 1);
      if (draw(0, 2) == 0) hand(draw(i + 1, count));  // over several stages
      chain.stages.push_back(
          {static_cast<double>(draw(1, 9)), made + draw(0, 8), made + draw(0, 3), draw(0, 2)});
    }
    const std::vector<Steps> all = all_schedules(0, count);
    for (int64_t budget = 0; budget < 60; budget += 3) {
      double best = std::numeric_limits<double>::infinity();
      for (const Steps& steps : all) {
        Outcome outcome;
        simulate(chain, steps, 0, outcome);
        if (outcome.peak <= budget) best = std::min(best, outcome.again);
      }
      const std::optional<Steps> found = best_steps(chain, budget);
      ASSERT_EQ(found.has_value(), best < std::numeric_limits<double>::infinity()) << budget;
      if (!found) continue;
      Outcome outcome;
      simulate(chain, *found, 0, outcome);
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
  Chain chain{std::vector<Stage>(48, {1, 1000, 1000, 0}), {}};
  for (int i = 0; i < 47; ++i) chain.values.push_back({i, i + 1, 1000});
  for (const int64_t budget : {50000, 24000, 14000, 10000}) {
    const std::optional<Steps> steps = best_steps(chain, budget);
    ASSERT_TRUE(steps) << budget;
    Outcome outcome;
    simulate(chain, *steps, 0, outcome);
    EXPECT_LE(outcome.peak, budget);
    EXPECT_LE(outcome.again, budget >= 24000 ? 48 : budget >= 14000 ? 96 : 192);
  }
  EXPECT_FALSE(best_steps(chain, 1999));  // what the first stage keeps, and the cotangent of its output
  EXPECT_TRUE(best_steps({}, 0));
}

TEST(Chain, WhatSkipsStagesIsKeptOnce) {
  Chain chain{std::vector<Stage>(24, {1, 1000, 1000, 0}), {}};
  for (int i = 0; i < 23; ++i) chain.values.push_back({i, i + 1, 1000});
  chain.stages[0].residuals += 50000;
  chain.stages[0].working += 50000;
  chain.values.push_back({0, 23, 50000});
  // The value, its cotangent, and what a chain without it takes.
  for (const int64_t budget : {50000 + 50000 + 9000, 50000 + 50000 + 25000}) {
    const std::optional<Steps> steps = best_steps(chain, budget);
    ASSERT_TRUE(steps) << budget;
    Outcome outcome;
    simulate(chain, *steps, 0, outcome);
    EXPECT_LE(outcome.peak, budget);
  }
}

}  // namespace
}  // namespace tidu
