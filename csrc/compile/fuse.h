// What of a program is run at once.
#pragma once

#include "backend/backend.h"
#include "compile/held.h"
#include "program/program.h"

namespace tidu {

// Elementwise calls of one shape, each of which uses what another one makes. Each group has a time, and what
// it makes is read from memory at later times alone: so no group waits for itself.
class Groups {
 public:
  // What is made again (Fusing::again) is in none.
  Groups(const Program& program, const Tensors& values, const std::vector<bool>& again = {});

  // The group of a call, or -1.
  int of(int call) { return of_[call] < 0 ? -1 : root(of_[call]); }
  // The group that makes a value, or -1.
  int making(int variable) { return makers_[variable] < 0 ? -1 : of(makers_[variable]); }

 private:
  int root(int group);

  std::vector<int> of_, makers_;  // the group of each call, the call that makes each variable
  std::vector<int> parents_, times_;
};

// One call, or several as a group that a device has made ready; or one after whose number come those of
// products that it alone reads, and computes part by part.
struct Unit {
  // An input that is such a product; its factors come after the call's inputs.
  struct Product {
    size_t input;
    int call;
  };

  std::vector<int> calls;            // numbers of instructions, in order
  std::vector<int> inputs, outputs;  // variables, as the call or the group has them; -1: not in memory
  std::vector<Product> products{};
  std::optional<Group> group{};
  std::shared_ptr<const GroupKernel> kernel{};
  std::optional<PreparedCall> held{};  // of a call whose programs are prepared
};

struct Fusing {
  bool groups =
      true;  // elementwise calls, with the reductions that read them where the device has such loops
  bool products = true;  // with what reads them alone, where the device computes it part by part
  // Variables, or none: the calls that make these belong to the next call that is none of them, nor a view.
  std::vector<bool> again{};
};

// Takes the factors of a unit's products off the end of the tensors that are its inputs.
std::vector<Factors> take_factors(const Unit& unit, Tensors& inputs);

// All that a program computes, in an order in which it can be run.
std::vector<Unit> units_of(const Program& program, const Tensors& values, const Fusing& fusing);

}  // namespace tidu
