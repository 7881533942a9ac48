// Linear algebra on the device: cuSOLVER factorises, cuBLAS solves triangular systems. Nothing waits: what a
// matrix lacks is found later, as an index out of range is.
#include "ops/linalg.h"
#include "ops/checked.h"
#include "ops/spectral.h"

#include "backend/cuda/cublas.h"
#include "backend/cuda/cusolver.h"
#include "backend/cuda/elements.h"
#include "backend/cuda/kernels.h"
#include "kernels/cuda/linalg.h"
#include "kernels/splitting.h"

namespace tidu::cuda {
namespace {

Matrices matrices_of(const Tensor& x) {
  const int64_t size = x.size(-1) * x.size(-2);
  return {x.dtype(), x.raw_data(), x.size(-2), x.size(-1), size == 0 ? 0 : x.numel() / size};
}

cudaError_t copy_into(Context& context, const Tensor& from, const Tensor& to) {
  return copy_view(context.stream(), to.shape(), from, to);
}

// An int for each matrix.
int* ints(Context& context, const Matrices& a) {
  return context.workspace<int>(static_cast<size_t>(a.count));
}

cudaError_t cholesky(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  const Matrices a = matrices_of(y);
  int *const lost = ints(context, a), *const info = ints(context, a);
  const SolverRoom room = room_for_cholesky(call, context, a);
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(copy_into(context, call.inputs[0], y));
  TIDU_TRY(keep_lower(stream, a));
  TIDU_TRY(set_aside(stream, a, lost));
  factorize_cholesky(call, context, a, info, room);
  TIDU_TRY(judge(stream, info, lost, a.count, MatrixFault::minor, context.fault_record()));
  TIDU_TRY(lose(stream, a, lost));
  return keep_lower(stream, a);
}

cudaError_t lu_factor(const Call& call, Context& context) {
  const Tensor &lu = call.outputs[0], &pivots = call.outputs[1];
  if (lu.numel() == 0) return cudaSuccess;
  const Tensor from = transposed_view(call.inputs[0]), columns = context.tensor(from.shape(), lu.dtype());
  const Matrices a = matrices_of(columns);
  int *const info = ints(context, a), *const exchanged =
                                          context.workspace<int>(static_cast<size_t>(pivots.numel()));
  const SolverRoom room = room_for_lu(call, context, a);
  if (context.only_counts()) return cudaSuccess;
  TIDU_TRY(copy_into(context, from, columns));
  factorize_lu(call, context, a, exchanged, info, room);
  TIDU_TRY(number_pivots(context.stream(), exchanged, pivots.data<int64_t>(), pivots.numel()));
  if (call.attrs.as<LuAttrs>().regular)
    TIDU_TRY(judge(context.stream(), info, nullptr, a.count, MatrixFault::pivot, context.fault_record()));
  return copy_into(context, transposed_view(columns), lu);
}

cudaError_t exchange(const Call& call, Context& context) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return cudaSuccess;
  Tensor pivots = call.inputs[1];
  TIDU_TRY(make_row_major(&pivots, context));
  if (context.only_counts()) return cudaSuccess;
  TIDU_TRY(copy_into(context, call.inputs[0], y));
  return exchange_rows(context.stream(), matrices_of(y), pivots.data<int64_t>(),
                       call.attrs.as<ExchangeAttrs>().inverse, context.fault_record());
}

cudaError_t solve_triangular(const Call& call, Context& context) {
  const auto& [upper, unit, caller] = call.attrs.as<TriangularAttrs>();
  const Tensor& x = call.outputs[0];
  if (x.numel() == 0) return cudaSuccess;
  // Row-major, or the transposes are.
  const bool by_columns = call.inputs[0].strides()[x.ndim() - 2] == 1;
  Tensor a = by_columns ? transposed_view(call.inputs[0]) : call.inputs[0];
  TIDU_TRY(make_row_major(&a, context));
  const Room room = room_to_solve(call, context);
  if (context.only_counts()) return cudaSuccess;
  TIDU_TRY(copy_into(context, call.inputs[1], x));
  if (!unit) TIDU_TRY(judge_diagonal(context.stream(), matrices_of(a), context.fault_record()));
  solve_by_cublas({.a = matrices_of(a),
                   .upper = upper != by_columns,
                   .transposed = by_columns,
                   .unit_diagonal = unit,
                   .b = matrices_of(x)},
                  call, context, room);
  return cudaSuccess;
}

cudaError_t svd(const Call& call, Context& context) {
  const Tensor &u = call.outputs[0], &s = call.outputs[1], &vh = call.outputs[2];
  if (call.inputs[0].numel() == 0) return cudaSuccess;
  const bool complete = call.attrs.as<CompleteAttrs>().complete;
  const Tensor copy = context.tensor(call.inputs[0].shape(), u.dtype());
  // Seen column-major it is the transpose, whose left vectors are this one's right ones.
  const Tensor uh = context.tensor(transposed_view(u).shape(), u.dtype());
  const Matrices a = matrices_of(copy);
  int *const lost = ints(context, a), *const info = ints(context, a);
  const SolverRoom room = room_for_singular(call, context, complete, a);
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(copy_into(context, call.inputs[0], copy));
  TIDU_TRY(set_aside(stream, a, lost));
  decompose_singular(call, context, complete, a, s.raw_data(), vh.raw_data(), uh.raw_data(), info, room);
  TIDU_TRY(judge(stream, info, lost, a.count, MatrixFault::iteration, context.fault_record()));
  TIDU_TRY(copy_into(context, transposed_view(uh), u));
  TIDU_TRY(conjugate(stream, matrices_of(u)));
  const Matrices values{s.dtype(), s.raw_data(), s.size(-1), 1, a.count};
  TIDU_TRY(turn_columns(stream, matrices_of(u), values));
  TIDU_TRY(turn_rows(stream, matrices_of(vh), values));
  for (const Matrices& result : {matrices_of(u), values, matrices_of(vh)})
    TIDU_TRY(lose(stream, result, lost));
  return cudaSuccess;
}

cudaError_t eigh(const Call& call, Context& context) {
  const Tensor &w = call.outputs[0], &v = call.outputs[1];
  if (v.numel() == 0) return cudaSuccess;
  const Tensor columns = context.tensor(v.shape(), v.dtype());
  const Matrices a = matrices_of(columns);
  int *const lost = ints(context, a), *const info = ints(context, a);
  const SolverRoom room = room_for_symmetric(call, context, a);
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(copy_into(context, transposed_view(call.inputs[0]), columns));
  TIDU_TRY(keep_upper(stream, a));  // the lower triangle of the columns
  TIDU_TRY(set_aside(stream, a, lost));
  decompose_symmetric(call, context, a, w.raw_data(), info, room);
  TIDU_TRY(judge(stream, info, lost, a.count, MatrixFault::iteration, context.fault_record()));
  TIDU_TRY(copy_into(context, transposed_view(columns), v));
  const Matrices values{w.dtype(), w.raw_data(), w.size(-1), 1, a.count};
  TIDU_TRY(turn_columns(stream, matrices_of(v), values));
  TIDU_TRY(lose(stream, values, lost));
  return lose(stream, matrices_of(v), lost);
}

cudaError_t qr(const Call& call, Context& context) {
  const Tensor &q = call.outputs[0], &r = call.outputs[1];
  if (q.numel() == 0) return cudaSuccess;
  const int64_t n = r.size(-1);
  // Columns enough for q; those of a come first.
  Shape shape = transposed_view(q).shape();
  const Tensor columns = context.tensor(shape, q.dtype());
  const Matrices a = matrices_of(columns);
  const SolverRoom room = room_for_orthogonal(call, context, a, n);
  if (context.only_counts()) return cudaSuccess;
  const cudaStream_t stream = context.stream();
  TIDU_TRY(cudaMemsetAsync(columns.raw_data(), 0, columns.nbytes(), stream));
  shape[shape.size() - 2] = n;
  const Tensor first = columns.view(shape, columns.strides(), 0);
  TIDU_TRY(copy_view(stream, shape, transposed_view(call.inputs[0]), first));
  orthogonalise(call, context, a, n, room, [&] {
    // r lies above the diagonal, transposed: below it, of the columns' memory.
    shape[shape.size() - 1] = r.size(-2);
    TIDU_TRY(copy_view(stream, r.shape(), transposed_view(columns.view(shape, columns.strides(), 0)), r));
    return keep_upper(stream, matrices_of(r));
  });
  return copy_into(context, transposed_view(columns), q);
}

cudaError_t split_vectors(const Call& call, Context& context) {
  const Tensor &left = call.outputs[0], &right = call.outputs[1];
  Tensor values = call.inputs[0], t = call.inputs[3];
  TIDU_TRY(make_row_major(&values, context));
  TIDU_TRY(make_row_major(&t, context));
  const int64_t n = values.size(-1), count = n == 0 ? 0 : values.numel() / n;
  void* const room =
      context.workspace<std::byte>(static_cast<size_t>(count * room_to_split(n)) * size_of(t.dtype()));
  if (context.only_counts()) return cudaSuccess;
  TIDU_TRY(copy_into(context, call.inputs[1], left));
  TIDU_TRY(copy_into(context, call.inputs[2], right));
  if (left.numel() == 0 || right.numel() == 0) return cudaSuccess;
  return split_equal_values(context.stream(), {values.dtype(), values.raw_data(), n, 1, count},
                            matrices_of(left), matrices_of(right), matrices_of(t),
                            call.attrs.as<SplitAttrs>().singular, room);
}

cudaError_t determined(const Call& call, Context& context) {
  Tensor wrong = call.inputs[0];
  TIDU_TRY(make_row_major(&wrong, context));
  if (context.only_counts()) return cudaSuccess;
  TIDU_TRY(judge_mask(context.stream(), matrices_of(wrong), context.fault_record()));
  return copy_into(context, call.inputs[1], call.outputs[0]);
}

}  // namespace

void register_linalg_kernels() {
  set_counted_operation<cholesky>(primitives::cholesky);
  set_counted_operation<lu_factor>(primitives::lu_factor);
  set_counted_operation<exchange>(primitives::exchange_rows);
  set_counted_operation<solve_triangular>(primitives::solve_triangular);
  set_counted_operation<svd>(primitives::svd);
  set_counted_operation<eigh>(primitives::eigh);
  set_counted_operation<qr>(primitives::qr);
  set_counted_operation<split_vectors>(primitives::split_vectors);
  set_counted_operation<determined>(primitives::determined);
  set_counted_operation<determined>(primitives::checked);
}

}  // namespace tidu::cuda
