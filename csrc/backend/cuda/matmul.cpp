// matmul on the device: which implementation takes a product, and in what form.
#include <algorithm>

#include "backend/cuda/cublas.h"
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "backend/cuda/matmul.h"
#include "backend/cuda/try.h"
#include "cuda/matmul.h"
#include "ops/matmul.h"

namespace tidu::cuda {
namespace {

// The axes before the last two, with neighbours merged where both operands' strides allow it, so that one
// pointer step serves: outermost first.
struct Batch {
  std::vector<int64_t> sizes, by_a, by_b;
};

Batch batch_of(const Tensor& a, const Tensor& b) {
  Batch batch;
  for (int i = 0; i < a.ndim() - 2; ++i) {
    const int64_t size = a.size(i), by_a = a.strides()[i], by_b = b.strides()[i];
    if (size == 1) continue;
    if (!batch.sizes.empty() && batch.by_a.back() == by_a * size && batch.by_b.back() == by_b * size) {
      batch.sizes.back() *= size;
      batch.by_a.back() = by_a, batch.by_b.back() = by_b;
    } else {
      batch.sizes.push_back(size), batch.by_a.push_back(by_a), batch.by_b.push_back(by_b);
    }
  }
  return batch;
}

// Makes the matrices row-major; those that a broadcast repeats are copied once.
cudaError_t make_matrices_row_major(Tensor* x, Context& context) {
  Shape shape = x->shape();
  for (int i = 0; i < x->ndim() - 2; ++i) {
    if (x->strides()[i] == 0) shape[i] = 1;
  }
  Tensor copied = x->view(shape, x->strides(), x->impl().offset);
  TIDU_TRY(make_row_major(&copied, context));
  Strides strides = copied.strides();
  for (int i = 0; i < x->ndim() - 2; ++i) {
    if (x->strides()[i] == 0) strides[i] = 0;
  }
  *x = copied.view(x->shape(), strides, copied.impl().offset);
  return cudaSuccess;
}

// Whether one axis of the matrices has neighbours and the other rows that do not overlap.
bool is_blas_layout(const Tensor& x) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t by_row = x.strides()[x.ndim() - 2], by_column = x.strides()[x.ndim() - 1];
  return (by_column == 1 && (by_row >= columns || rows == 1)) ||
         (by_row == 1 && (by_column >= rows || columns == 1));
}

Gemm::Matrix blas_matrix(const Tensor& x, const void* data, int64_t by_batch) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t by_row = x.strides()[x.ndim() - 2], by_column = x.strides()[x.ndim() - 1];
  const bool plain = by_column == 1 && (by_row >= columns || rows == 1);
  const int64_t leading = plain ? (rows == 1 ? columns : by_row) : (columns == 1 ? rows : by_column);
  return {data, !plain, std::max<int64_t>(leading, 1), by_batch};
}

// The rule: the library multiplies floats unless the product is so small that launches and what goes through
// memory between them cost more than multiplying (2^25 multiply-adds are a microsecond at the peak rate of an
// H100), or has at most four rows or columns, where reading the matrix once is all. Integers it does not
// know.
bool prefers_cublas(const Tensor& a, const Tensor& out) {
  if (!is_floating(out.dtype()) || a.size(-1) == 0) return false;
  switch (matmul_library()) {
    case MatmulLibrary::cublas: return true;
    case MatmulLibrary::tidu: return false;
    case MatmulLibrary::automatic: break;
  }
  constexpr int64_t kSmall = 1 << 25, kVector = 4;  // multiplications; columns
  return std::min(out.size(-2), out.size(-1)) > kVector && out.numel() * a.size(-1) > kSmall;
}

// With axes of one element in front where there are fewer than two.
Batch two_axes(Batch batch) {
  while (batch.sizes.size() < 2) {
    for (std::vector<int64_t>* axes : {&batch.sizes, &batch.by_a, &batch.by_b})
      axes->insert(axes->begin(), axes == &batch.sizes ? 1 : 0);
  }
  return batch;
}

MatmulProblem problem_of(const Tensor& a, const Tensor& b, const Tensor& out, const Batch& batch,
                         const void* bias) {
  const auto [sizes, by_a, by_b] = two_axes(batch);
  const auto view = [](const Tensor& x, const std::vector<int64_t>& by_batch) {
    return MatrixView{
        x.raw_data(), x.strides()[x.ndim() - 2], x.strides()[x.ndim() - 1], {by_batch[0], by_batch[1]}};
  };
  return {.dtype = out.dtype(),
          .m = out.size(-2),
          .n = out.size(-1),
          .k = a.size(-1),
          .batch = {sizes[0], sizes[1]},
          .a = view(a, by_a),
          .b = view(b, by_b),
          .out = out.raw_data(),
          .bias = bias};
}

cudaError_t multiply(const Call& call, Context& context) {
  const Tensor& out = call.outputs[0];
  if (out.numel() == 0) return cudaSuccess;
  Tensor a = call.inputs[0], b = call.inputs[1];
  Tensor bias = call.inputs.size() > 2 ? call.inputs[2] : Tensor();
  const bool by_cublas = prefers_cublas(a, out);
  if (by_cublas) {
    if (!is_blas_layout(a)) TIDU_TRY(make_matrices_row_major(&a, context));
    if (!is_blas_layout(b)) TIDU_TRY(make_matrices_row_major(&b, context));
  }
  Batch batch = batch_of(a, b);
  // cuBLASLt reads outside of batches that run backwards (seen on an H100, which ends with an illegal
  // access).
  const auto runs_back = [](const std::vector<int64_t>& steps) {
    return std::ranges::any_of(steps, [](int64_t step) { return step < 0; });
  };
  if (batch.sizes.size() > 2 || (by_cublas && (runs_back(batch.by_a) || runs_back(batch.by_b)))) {
    TIDU_TRY(make_row_major(&a, context));
    TIDU_TRY(make_row_major(&b, context));
    batch = batch_of(a, b);
  }
  const auto [sizes, by_a, by_b] = two_axes(batch);
  const int64_t m = out.size(-2), n = out.size(-1), k = a.size(-1);

  if (bias.defined()) TIDU_TRY(make_row_major(&bias, context));
  void* const added = bias.defined() ? bias.raw_data() : nullptr;

  const auto at = [&](const Tensor& x, int64_t offset) {
    return static_cast<char*>(x.raw_data()) + offset * static_cast<int64_t>(size_of(out.dtype()));
  };
  const auto gemm = [&](int64_t i) {
    return Gemm{.dtype = out.dtype(),
                .m = m,
                .n = n,
                .k = k,
                .a = blas_matrix(a, at(a, i * by_a[0]), by_a[1]),
                .b = blas_matrix(b, at(b, i * by_b[0]), by_b[1]),
                .bias = added,
                .c = at(out, i * sizes[1] * m * n),
                .batches = sizes[1]};
  };
  const MatmulProblem problem = problem_of(a, b, out, batch, added);
  const MatmulPlan plan = plan_matmul(problem);
  const size_t bytes = by_cublas && !may_refuse(gemm(0)) ? 0 : matmul_workspace(problem, plan);
  void* const sums = bytes > 0 ? context.workspace<char>(bytes) : nullptr;
  const Room room = by_cublas ? room_to_multiply(gemm(0), call, context) : Room();
  if (context.only_counts()) return cudaSuccess;

  if (by_cublas) {
    cudaError_t error = cudaSuccess;
    for (int64_t i = 0; i < sizes[0] && error == cudaSuccess; ++i)
      error = multiply_by_cublas(gemm(i), call, context, room);
    if (error != cudaErrorNotSupported) return error;
  }
  return matmul(context.stream(), problem, plan, sums, sums ? context.arrivals() : nullptr);
}

}  // namespace

std::optional<MatmulProblem> own_problem(const Tensor& a, const Tensor& b, const Tensor& out,
                                         const Tensor& bias) {
  if (out.numel() == 0 || prefers_cublas(a, out)) return {};
  const Batch batch = batch_of(a, b);
  if (batch.sizes.size() > 2 || (bias.defined() && !bias.is_contiguous())) return {};
  return problem_of(a, b, out, batch, bias.defined() ? bias.raw_data() : nullptr);
}

void register_matmul_kernels() { set_counted_operation<multiply>(primitives::matmul); }

}  // namespace tidu::cuda
