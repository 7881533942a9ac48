// The graph of calls behind a tensor that requires grad, as a program.
#pragma once

#include "program/program.h"

namespace tidu {

struct TensorGraph {
  Program program;    // from the leaves, and what else the tape kept, to the tensor
  Tensors arguments;  // the leaves; those whose values the tape did not keep are abstract
};

// What Tensor::backward would go through. Values that no derivative reads are not kept: they are abstract
// constants of the program, which gives abstract values for what depends on them. A GradientError where
// nothing was recorded, where an earlier backward freed the graph, or where a rule of the user's own is in
// it.
TensorGraph graph_of(const Tensor& tensor);

}  // namespace tidu
