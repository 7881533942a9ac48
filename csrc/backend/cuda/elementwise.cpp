// The rows of the table of elementwise operations.
#include "ops/elementwise.h"

#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/elementwise.h"

namespace tidu::cuda {
namespace {

// Rows in the order of the table.
template <size_t row> cudaError_t compute(const Call& call, Context& context) {
  const DType dtype = call.inputs.back().dtype();
  const LoopFunction function = elementwise_function(row, dtype);
  if (!function) fail<DTypeError>("[", call.primitive.name, "] is not computed in ", dtype);
  return compute_elements(function, call, context, parameters_of(call));
}

template <size_t... row> void register_rows(Primitive* const* primitives, std::index_sequence<row...>) {
  (set_operation<compute<row>, true>(*primitives[row]), ...);
}

}  // namespace

void register_elementwise_kernels() {
  Primitive* const table[] = {
#define UNARY(name, ...) &primitives::name,
#define BINARY(name, ...) &primitives::name,
#define TERNARY(name, ...) &primitives::name,
#include "ops/elementwise.def"
  };
  register_rows(table, std::make_index_sequence<std::size(table)>());
}

}  // namespace tidu::cuda
