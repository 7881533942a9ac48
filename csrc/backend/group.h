// Calls of pointwise primitives that are run as one loop: plain data that compile writes and a backend reads.
#pragma once

#include <optional>

#include "core/primitive.h"

namespace tidu {

struct Group {
  // What comes from outside, broadcast to the shape of the loop by strides of 0.
  struct Input {
    DType dtype;
    Strides strides;                              // in elements, an entry an axis of the loop
    std::optional<std::array<char, 8>> number{};  // its value, where it is known: it has no memory
  };
  // A call of a primitive that is pointwise and has a row in ops/elementwise.def, of a conversion or an
  // update. Values are numbered: first the inputs, then the results of the steps.
  struct Step {
    const Primitive* primitive;
    Attrs attrs;
    DType dtype;  // of its result
    std::vector<int> inputs;
    int output = 0;  // which one, of a call with several: an optimiser's update of a parameter, all of whose
                     // results are steps one after another
  };
  // A value that leaves, in row-major memory: all of it or, where there is one, its reduction, which must be
  // one that Backend::reduces takes.
  struct Output {
    int value;
    const Primitive* reduction = nullptr;
    Attrs attrs{};
    DType dtype;
  };

  // Makes one of the inputs, which then has no memory and lies as the loop does: a product of matrices, whose
  // factors, with what is added to each row or nothing, come to the kernel after all inputs.
  struct Product {
    int input;
    int64_t k;  // that is summed over
    std::vector<Input> factors;
  };

  Shape shape;
  std::vector<Input> inputs;
  std::vector<Step> steps;
  std::vector<Output> outputs;
  std::optional<Product> product{};
};

// A group made ready for one device. Results have the bits of the same calls one by one.
class GroupKernel {
 public:
  virtual ~GroupKernel() = default;
  // Whether an output that is no reduction may be the memory of an input of its dtype that is row-major too.
  virtual bool may_be([[maybe_unused]] size_t output, [[maybe_unused]] size_t input) const { return true; }
  // The bytes that a run needs beside inputs and outputs.
  virtual size_t workspace_bytes() const { return 0; }
  // The first elements of inputs (null for numbers and a product) and outputs, and so much memory for it
  // alone, on the device. May be called by several threads at once.
  virtual void run(const void* const* inputs, void* const* outputs, void* workspace) const = 0;
};

}  // namespace tidu
