// A program made ready to be run many times.
#pragma once

#include <mutex>

#include "compile/memory.h"

namespace tidu {

// What is done to a program; each of these leaves the bits of its results as they are.
struct Passes {
  bool simplify = true;  // equal calls once, and what changes nothing not at all
  bool fuse = true;      // elementwise calls as one loop, where the device has such loops
  bool products =
      true;  // parts of products are used by the call that alone reads them as soon as they are made
  bool in_place = true;  // memory that nobody reads any more is written to where it is read last
  bool fold = true;      // what constants alone decide once, when it is made ready (with `simplify`)
  bool hoist = true;     // what the steps of loops compute again, once
  bool pairs = true;     // softmax and cross-entropy with what reads the same rows, once
  bool turn = true;      // what is given back permuted in that order
  bool join = true;      // small work of a device as one launch, from the third call on
  bool again = true;     // cheap values made again where that lowers the peak (with `fuse`)
  bool pieces = true;    // what others are put together of is made where it goes in them
};

// A program whose kernels know where all values lie: a call points at its arguments, allocates its results
// and runs what was prepared. It gives what Program::operator() gives, unseen by traces, in new row-major
// tensors that share no memory with anything, and writes to arguments as the program says. Closed-over
// tensors are read where they are.
class Executable {
 public:
  // For arguments that lie so; none given: for row-major ones. A ValueError where one that is written to has
  // elements that share memory.
  // Results may take the memory of donated arguments, which calls take away: those have no value afterwards.
  explicit Executable(const Program& program, Layouts layouts = {}, const Passes& passes = {},
                      std::vector<Donation> donations = {});
  ~Executable();
  Executable(const Executable&) = delete;

  // By several threads at once, if it must be. Arguments must have the specs and layouts that it was made
  // for, and those that are written to must be writable and share no memory with others: a ValueError else,
  // and nothing is changed.
  Tensors operator()(std::span<const Tensor> arguments) const;

  // Calls one after another, by one thread at a time, as of the body of a loop.
  class Body;

  // The bytes that a call needs beside arguments, constants and results; they are kept for the next one.
  int64_t arena_bytes() const;
  // With the results: what the first call allocates, but for calls that go through bind.
  int64_t peak_bytes() const;
  // In words: the program before and after, how it is run, and where memory is needed.
  std::string explain() const;
  std::string explain_run() const;  // without the program before
  // Whether a result is made in the memory of a donated argument.
  bool takes(int result, int argument) const;

 private:
  struct Frame;
  class Loan;

  void build(const Passes& passes);
  void check(std::span<const Tensor> arguments) const;
  void check_donated(std::span<const Tensor> arguments) const;
  std::unique_ptr<Frame> make_frame(Tensors arenas) const;
  std::string explain_graphs() const;

  const Program original_;
  Program program_;
  std::vector<bool> again_;  // its variables that are made again, or none
  int64_t kept_bytes_ = 0;   // of the arenas without these
  std::vector<Strides> layouts_;
  std::vector<bool> is_row_major_, is_written_;  // arguments
  Tensors values_;                               // abstract ones of its variables
  std::vector<Unit> units_;
  const std::vector<Donation> donations_;
  MemoryPlan plan_;
  bool is_long_ = false, joins_;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Frame>> idle_;
};

// In memory that is given, arena_bytes() of it on its device, with arguments and results where they are said
// to be: nothing is allocated, and nothing is checked. Arguments and results must lie as those of calls do,
// results apart from all else but those that take an argument's memory, which are there.
class Executable::Body {
 public:
  Body(const Executable& executable, const Tensor& memory);
  ~Body();
  void operator()(std::span<void* const> arguments, std::span<void* const> results);

 private:
  const Executable& executable_;
  const std::unique_ptr<Frame> frame_;
};

// A ValueError where an argument that the program writes to has elements in common with another one. Of those
// of `known` it is known that they have none among each other.
void check_apart(std::span<const Tensor> arguments, const Program& program,
                 const std::vector<bool>& known = {});

}  // namespace tidu
