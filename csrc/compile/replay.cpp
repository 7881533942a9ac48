// Steps of a program that a device takes up as graphs.
#include "compile/replay.h"

#include <algorithm>
#include <set>

#include "tensor/overlap.h"

namespace tidu {

Replay::Replay(std::vector<Step> steps, std::vector<Ref<Storage>> moving)
    : steps_(std::move(steps)),
      moving_(std::move(moving)),
      users_(moving_.size()),
      launches_(steps_.size(), 0),
      run_of_(steps_.size(), -1) {
  for (const Ref<Storage>& storage : moving_) places_.push_back(storage->data());
  bool open = false;
  for (size_t i = 0; i < steps_.size(); ++i) {
    Step& step = steps_[i];
    if (step.refused.empty()) {
      if (!open || !(steps_[runs_.back().first].device == step.device))
        runs_.push_back({i, i, backend(step.device).new_graph(step.device.index), {}});
      step.refused = take_up(i);
    }
    open = step.refused.empty();
  }
  // One step at once is the step itself.
  std::erase_if(runs_, [](const Run& run) { return run.end - run.first < 2; });
  for (size_t k = 0; k < runs_.size(); ++k) {
    Run& run = runs_[k];
    std::set<const Storage*> seen;
    for (size_t i = run.first; i < run.end; ++i) {
      run_of_[i] = static_cast<int>(k);
      for (const Tensor& operand : steps_[i].operands) {
        const Ref<Storage>& storage = operand.impl().storage;
        if (seen.insert(storage.get()).second) run.used.push_back(operand);
        const auto found = std::ranges::find(moving_, storage);
        if (found == moving_.end()) continue;
        std::vector<size_t>& users = users_[static_cast<size_t>(found - moving_.begin())];
        if (users.empty() || users.back() != i) users.push_back(i);
      }
    }
  }
}

std::string Replay::take_up(size_t i) {
  Run& run = runs_.back();
  if (!run.graph) return "the device has no graphs";
  try {
    run.graph->add(steps_[i].issue);
  } catch (const std::exception& reason) { return reason.what(); }
  launches_[i] = run.graph->launches(i - run.first);
  run.end = i + 1;
  return "";
}

bool Replay::is_stale() const {
  return std::ranges::any_of(runs_, [](const Run& run) { return run.graph->is_stale(); });
}

void Replay::renew() {
  std::set<size_t> moved;
  for (size_t k = 0; k < moving_.size(); ++k) {
    const void* const place = moving_[k]->data();
    if (places_[k] == place) continue;
    places_[k] = place;
    moved.insert(users_[k].begin(), users_[k].end());
  }
  for (const size_t i : moved) {
    Run& run = runs_[static_cast<size_t>(run_of_[i])];
    run.graph->replace(i - run.first, steps_[i].issue);
    launches_[i] = run.graph->launches(i - run.first);
  }
}

void Replay::join() {
  for (Run& run : runs_) {
    run.graph->join([&](size_t a, size_t b) { return are_apart(run.first + a, run.first + b); });
  }
}

bool Replay::are_apart(size_t step, size_t other) const {
  const Step &a = steps_[step], &b = steps_[other];
  for (size_t i = 0; i < a.operands.size(); ++i) {
    for (size_t k = 0; k < b.operands.size(); ++k) {
      if ((i < a.written || k < b.written) && share_elements(a.operands[i], b.operands[k])) return false;
    }
  }
  return true;
}

size_t Replay::launch(size_t step) {
  if (run_of_[step] < 0) return step;
  Run& run = runs_[static_cast<size_t>(run_of_[step])];
  run.graph->launch(run.used);
  return run.end;
}

std::string Replay::describe(size_t step) const {
  if (!steps_[step].refused.empty()) return str("in no graph: ", steps_[step].refused);
  const int launches = launches_of(step);
  const std::string graph = run_of_[step] < 0 ? "" : str(", in graph ", run_of_[step]);
  if (launches == 0) return "in the launch of a step before" + graph;
  return str(launches, launches == 1 ? " launch" : " launches") + graph;
}

int Replay::launches_of(size_t step) const {
  if (run_of_[step] < 0) return launches_[step];
  const Run& run = runs_[static_cast<size_t>(run_of_[step])];
  return run.graph->launches(step - run.first);
}

int Replay::launches() const {
  int count = 0;
  for (size_t step = 0; step < steps_.size(); ++step) count += launches_of(step);
  return count;
}

}  // namespace tidu
