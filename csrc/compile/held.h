// Calls that hold programs, as executables run them: each program is prepared once.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "program/program.h"

namespace tidu {

struct Passes;  // compile/executable.h

struct PreparedCall {
  // Makes the call: fills outputs, which are row-major and share no memory with anything.
  using Run = std::function<void(std::span<const Tensor> inputs, std::span<const Tensor> outputs)>;

  int64_t bytes = 0;  // of memory that it needs beside inputs and outputs
  // What makes such calls one after another, in memory of so many bytes.
  std::function<Run(const Tensor& memory)> in;
  std::string text;  // what is run
};

// Of a call on abstract tensors, which lie as those of later calls will. Files that define primitives which
// hold programs say it of them.
using PrepareCall = PreparedCall (*)(const Call& call, const Passes& passes);
struct PreparesCall {
  PreparesCall(const Primitive& primitive, PrepareCall prepare);
};
// Null where executables make such calls through bind.
PrepareCall preparation_of(const Primitive& primitive);

// By a class that is made of these, and in which a Run makes the calls in one memory.
template <class Held> PreparedCall prepared(const Call& call, const Passes& passes) {
  const auto held = std::make_shared<const Held>(call, passes);
  return {held->bytes(),
          [held](const Tensor& memory) -> PreparedCall::Run {
            return [run = std::make_shared<typename Held::Run>(held, memory)](
                       std::span<const Tensor> inputs, std::span<const Tensor> outputs) {
              (*run)(inputs, outputs);
            };
          },
          held->explain()};
}

// The program with less to do in programs that its calls hold, and the bits that it had: what they compute
// again and again is computed once. Files that define such primitives say how.
using Hoist = Program (*)(Program program);
struct Hoists {
  Hoists(Hoist hoist);
};
Program hoisted(Program program);

// Tensors whose memory is then used where it lies: what other streams of the device do with it comes first.
void ready(std::span<const Tensor> tensors);
// The row-major tensor that lies in a block of bytes from there on.
Tensor part_of(const Tensor& block, const Spec& spec, int64_t begin);
// Copies elements to a row-major tensor that shares no memory with them. Unseen by traces.
void copy_into(const Tensor& target, const Tensor& value);

}  // namespace tidu
