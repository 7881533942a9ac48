// Functions of one lane as functions of a batch: a recorded program is run once, each of its calls for all
// lanes (core/primitive.h: BatchRule).
#pragma once

#include <optional>

#include "core/trace.h"
#include "program/program.h"

namespace tidu {

// What a variable of a program is where the program runs for many lanes.
struct Lanes {
  enum Kind : uint8_t {
    shared,    // one value for all lanes
    apart,     // one for each, along axis 0
    diagonal,  // element `first` + i of lane i is that of the vector `value` (undefined: 1), the others are 0
  } kind = shared;
  Tensor value;
};

// Runs programs for `size` lanes. Those that are rows of a diagonal matrix are the rows from `first` on, so
// products with unit vectors are parts of the other factor.
class LaneRun {
 public:
  explicit LaneRun(int64_t size, int64_t first = 0, LaneControl control = LaneControl::select)
      : size_(size), first_(first), control_(control) {}

  int64_t size() const { return size_; }
  // For the lanes from `begin` to `end` of these alone.
  LaneRun part(int64_t begin, int64_t end) const { return LaneRun(end - begin, first_ + begin, control_); }

  std::vector<Lanes> operator()(const Program& program, const std::vector<Lanes>& arguments) const;
  // The values of all lanes, of the shape and dtype of `one`, along axis 0.
  Tensor apart(const Lanes& lanes, const Spec& one) const;
  // Element first + i of lane i, for each lane.
  Tensor diagonal(const Lanes& lanes, const Spec& one) const;
  // The sum over all lanes.
  Tensor sum(const Lanes& lanes, const Spec& one) const;
  // As `apart` for what is not diagonal, in memory that no two lanes share.
  Tensor distinct(const Lanes& lanes) const;

 private:
  // By variable.
  struct Values {
    Tensors tensors;
    std::vector<Lanes::Kind> kinds;
    Tensors numbers;  // of what has no value yet, since it is recorded: where the program says what it is
    Lanes lanes(int variable) const { return {kinds[variable], tensors[variable]}; }
    const Tensor& number(int variable) const {
      return numbers[variable].defined() ? numbers[variable] : tensors[variable];
    }
    void set(int variable, const Lanes& lanes) {
      kinds[variable] = lanes.kind;
      tensors[variable] = lanes.value;
    }
  };
  static bool is_one(const Values& values, int variable);
  bool run_diagonal(const Program& program, const Program::Instruction& call, Values& values) const;
  void run_call(const Program& program, const Program::Instruction& call, Values& values) const;

  int64_t size_, first_;
  LaneControl control_;
};

// An axis an argument or result; nullopt: the same for all lanes.
using MappedAxes = std::vector<std::optional<int64_t>>;

// The lanes of each result along axis 0 where results differ between lanes, else the one for all. Without an
// axis that says how many lanes there are, `size` does.
std::vector<Lanes> run_batched(const Function& function, const Tensors& arguments, const MappedAxes& in_axes,
                               std::optional<int64_t> size = {}, LaneControl control = LaneControl::select);

// `function` for each lane of its arguments at once: lane i of an argument is its element i along its axis of
// `in_axes` (none given: axis 0 of each), and results have their lanes along `out_axes`. The function is run
// once, for the shapes of one lane, and may not look at values. A key of random numbers with an axis of lanes
// gives each lane its own numbers, one without gives all the same. With LaneControl::loop a function that
// looks at values is run for one lane after the other.
Function vmap(Function function, MappedAxes in_axes = {}, MappedAxes out_axes = {},
              LaneControl control = LaneControl::select);

// What one lane of a program needs, all its variables together.
int64_t bytes_of_lane(const Program& program);

// The images of `count` arguments of the specs `like` under a linear function, along axis 0, one result an
// output. `vectors(first, size)` gives so many of the arguments from number `first` on, along axis 0. As many
// at once as `chunk` says, or as fit into kMemoryForLanes. Where the function looks at values it is called
// once each.
Tensors images_of(const Function& linear, const std::vector<Spec>& like, int64_t count,
                  const std::function<Tensors(int64_t first, int64_t size)>& vectors,
                  std::optional<int64_t> chunk = {});
// The images of the unit vectors of the shape of `like`, along axis 0: one result an output of a linear
// function of one tensor, with `chunk` as above.
Tensors images_of_basis(const Function& linear, const Tensor& like, std::optional<int64_t> chunk = {});
// Element i of the image of unit vector i, in the shape of `like`, of a linear function to its own space.
Tensor diagonal_of_images(const Function& linear, const Tensor& like);
inline constexpr int64_t kMemoryForLanes = int64_t{1} << 29;  // bytes

}  // namespace tidu
