// Steps of a program that a device takes up as graphs, and is given at once from then on.
#pragma once

#include "backend/backend.h"

namespace tidu {

class Replay {
 public:
  struct Step {
    std::string refused;  // why no graph is to have it; else empty
    Device device{};      // where all of it is
    Tensors operands{};   // what it writes first, then what it reads
    size_t written = 0;   // of them
    std::function<void()> issue{};
  };

  // Takes up the runs of steps that there can be graphs of; the memory of `moving` is another one at each
  // call.
  Replay(std::vector<Step> steps, std::vector<Ref<Storage>> moving);

  bool is_stale() const;
  // To be called before the first step of a call: steps whose memory is elsewhere now are taken up anew.
  // Where that throws, the graphs are of no more use.
  void renew();
  // Has devices make one kernel of several where they can.
  void join();
  // Issues the graph that begins with a step; gives the step that comes after it, or the same where none
  // begins there.
  size_t launch(size_t step);

  // What is known of a step: why no graph has it, or how many kernels it launches.
  std::string describe(size_t step) const;
  // The kernels that are launched, as far as graphs have them.
  int launches() const;

 private:
  struct Run {
    size_t first, end;
    std::unique_ptr<WorkGraph> graph;
    Tensors used;  // one of each storage
  };
  std::string take_up(size_t step);
  int launches_of(size_t step) const;
  bool are_apart(size_t step, size_t other) const;

  std::vector<Step> steps_;
  std::vector<Ref<Storage>> moving_;
  std::vector<const void*> places_;         // where they were when steps were taken up
  std::vector<std::vector<size_t>> users_;  // the steps that each is an operand of
  std::vector<int> launches_;               // of each step
  std::vector<Run> runs_;
  std::vector<int> run_of_;  // of each step; -1: none
};

}  // namespace tidu
