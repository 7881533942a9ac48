// The thread pool: every task once, exceptions, nesting, several users, forks.
#include "backend/cpu/threads.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/error.h"

namespace tidu::cpu {
namespace {

constexpr int64_t kMuch = int64_t{1} << 40;

class Threads : public ::testing::Test {
 protected:
  void SetUp() override { set_num_threads(4); }
  void TearDown() override { set_num_threads(before_); }

  int before_ = num_threads();
};

TEST_F(Threads, EveryTaskRunsOnce) {
  for (int round = 0; round < 2000; ++round) {
    const int64_t tasks = round % 40;
    std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
    parallel_for(tasks, kMuch, [&](int64_t i) { ++runs[static_cast<size_t>(i)]; });
    for (const auto& count : runs) ASSERT_EQ(count, 1);
  }
}

TEST_F(Threads, WorkersWakeFromSleep) {
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::atomic<int64_t> sum{0};
    parallel_for(1000, kMuch, [&](int64_t i) { sum += i; });
    ASSERT_EQ(sum, 999 * 1000 / 2);
  }
}

// The system may wake a worker where its caller runs; there it would wait for the caller's turn to end.
TEST_F(Threads, AWorkerLeavesTheCoreOfItsCaller) {
  set_num_threads(2);
  if (before_ < 2) GTEST_SKIP() << "there is one core";
  std::atomic<pid_t> worker{0};
  const auto job = [&] {
    parallel_for(2, kMuch, [&](int64_t) {
      if (gettid() != getpid()) worker = gettid();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  };
  while (worker == 0) job();
  bool left = false;
  for (int round = 0; round < 1000 && !left; ++round) {
    cpu_set_t here, now;
    CPU_ZERO(&here);
    CPU_SET(static_cast<size_t>(sched_getcpu()), &here);
    ASSERT_EQ(sched_setaffinity(worker, sizeof here, &here), 0);
    job();
    job();
    ASSERT_EQ(sched_getaffinity(worker, sizeof now, &now), 0);
    left = !CPU_EQUAL(&here, &now);
  }
  EXPECT_TRUE(left);
}

TEST_F(Threads, RangesCoverEverything) {
  for (const int64_t total : {0, 1, 9, 10, 11, 100}) {
    std::atomic<int64_t> covered{0};
    parallel_ranges(total, 10, kMuch, [&](int64_t begin, int64_t end) {
      EXPECT_LT(begin, end);
      covered += end - begin;
    });
    EXPECT_EQ(covered, total);
  }
}

TEST_F(Threads, ExceptionsComeBackAndWorkGoesOn) {
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> runs{0};
    EXPECT_THROW(parallel_for(20, kMuch,
                              [&](int64_t i) {
                                ++runs;
                                if (i % 7 == 3) throw std::runtime_error("task");
                              }),
                 std::runtime_error);
    EXPECT_EQ(runs, 20);
  }
}

TEST_F(Threads, NestedCallsRunOnTheirThread) {
  std::atomic<int> runs{0};
  parallel_for(8, kMuch, [&](int64_t) {
    const std::thread::id self = std::this_thread::get_id();
    parallel_for(8, kMuch, [&](int64_t) {
      EXPECT_EQ(std::this_thread::get_id(), self);
      ++runs;
    });
  });
  EXPECT_EQ(runs, 64);
}

TEST_F(Threads, SeveralUsersAtOnce) {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> users;
  for (int user = 0; user < 4; ++user) {
    users.emplace_back([&] {
      for (int round = 0; round < 200; ++round) parallel_for(10, kMuch, [&](int64_t i) { sum += i; });
    });
  }
  for (int round = 0; round < 20; ++round) set_num_threads(1 + round % 4);
  for (std::thread& user : users) user.join();
  EXPECT_EQ(sum, 4 * 200 * 45);
}

TEST_F(Threads, SmallWorkStaysOnItsThread) {
  const std::thread::id self = std::this_thread::get_id();
  parallel_for(100, 2 * kGrain - 1, [&](int64_t) { EXPECT_EQ(std::this_thread::get_id(), self); });
}

// gtest's threads and ThreadSanitizer do not survive a fork of a threaded program.
#ifndef __SANITIZE_THREAD__
TEST_F(Threads, AForkedChildStartsAfresh) {
  parallel_for(10, kMuch, [](int64_t) {});
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    std::atomic<int64_t> sum{0};
    for (int round = 0; round < 10; ++round) parallel_for(100, kMuch, [&](int64_t i) { sum += i; });
    _exit(sum == 10 * 4950 && num_threads() == 4 ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

TEST_F(Threads, CountIsChecked) {
  for (const int count : {0, -1, 1000000}) EXPECT_THROW(set_num_threads(count), ValueError);
  EXPECT_EQ(num_threads(), 4);
}

}  // namespace
}  // namespace tidu::cpu
