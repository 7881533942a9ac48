// Factorisations and solutions by LAPACK and BLAS: a call on one thread for each matrix of a batch, and for
// columns cut by the shape alone, so that the bits do not depend on the number of threads.
#include "ops/linalg.h"
#include "ops/checked.h"
#include "ops/spectral.h"

#include <climits>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/lapack.h"
#include "kernels/parts.h"
#include "kernels/splitting.h"
#include "kernels/turning.h"

namespace tidu::cpu {
namespace {

// Calls f<T>() for the type of x's elements.
template <class F> void visit(const Tensor& x, const F& f) {
  switch (x.dtype()) {
    case DType::float32: return f.template operator()<float>();
    case DType::complex64: return f.template operator()<complex<float>>();
    case DType::complex128: return f.template operator()<complex<double>>();
    default: return f.template operator()<double>();
  }
}

int to_int(const Call& call, int64_t extent) {
  if (extent > INT_MAX)
    fail<ShapeError>("[", call.primitive.name, "] an extent of ", extent, " is too large");
  return static_cast<int>(extent);
}

int64_t matrices_in(const Tensor& x) { return x.numel() / (x.size(-1) * x.size(-2)); }

// f(i) for each of `count` tasks, which take so many multiplications each; or f(i, room).
template <class F> void share_out(int64_t count, int64_t multiplications, const F& f) {
  const int64_t work = count * (multiplications / 8 + 1);
  if constexpr (std::is_invocable_v<F, int64_t, int64_t>) {
    parallel_with_rooms(count, work, f);
  } else {
    parallel_for(count, work, f);
  }
}

// What LAPACK overwrites. The transposes of row-major matrices are column-major ones.
Tensor copied(const Tensor& x, Workspace& workspace) {
  const Tensor copy = workspace.tensor(x.shape(), x.dtype());
  if (!workspace.counts()) copy_elements(x, copy);
  return copy;
}

// What LAPACK found of each matrix: 0 is good, other numbers say where it failed.
// Of a few matrices it needs no workspace.
class Verdicts {
 public:
  Verdicts(int64_t count, Workspace& workspace)
      : count_(count), many_(count > kFew ? workspace.take<int>(count) : nullptr) {
    if (!workspace.counts()) std::fill_n(begin(), count, 0);
  }
  int* begin() { return many_ ? many_ : few_; }
  int* end() { return begin() + count_; }
  int& operator[](int64_t i) { return begin()[i]; }

 private:
  static constexpr int64_t kFew = 8;
  int64_t count_;
  int few_[kFew];
  int* many_;
};

// What LAPACK needs beside matrices, once for as many of `count` calls as there are at once.
template <class T> class Rooms {
 public:
  Rooms(const lapack::Room<T>& room, int64_t count, Workspace& workspace)
      : room_(room),
        bytes_(rounded(static_cast<int64_t>(room.bytes()))),
        memory_(workspace.take(most_at_once(count) * bytes_)) {}
  const lapack::Room<T>& room() const { return room_; }
  void* operator[](int64_t i) const { return memory_ + i * bytes_; }

 private:
  lapack::Room<T> room_;
  int64_t bytes_;
  char* memory_;
};

[[noreturn]] void raise(const Call& call, MatrixFault fault, int64_t matrix, int64_t number) {
  const Tensor& a = call.inputs[0];
  fail_matrix(str("[", caller_of(call), "] ", describe(a)), fault, a.shape(), matrix, number);
}

void raise_first(const Call& call, MatrixFault fault, Verdicts& verdicts) {
  const auto found = std::find_if(verdicts.begin(), verdicts.end(), [](int verdict) { return verdict != 0; });
  if (found != verdicts.end()) raise(call, fault, found - verdicts.begin(), *found);
}

template <class T> bool all_finite(const T* data, int64_t count) {
  return std::all_of(parts(data), parts(data + count),
                     [](RealPart<T> value) { return std::isfinite(value); });
}

template <class T> void fill_with_nan(T* data, int64_t count) {
  std::fill(parts(data), parts(data + count), std::numeric_limits<RealPart<T>>::quiet_NaN());
}

void cholesky(const Call& call, Workspace& workspace) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return;
  const int n = to_int(call, y.size(-1));
  const int64_t size = int64_t{n} * n, count = matrices_in(y);
  Verdicts verdicts(count, workspace);
  if (workspace.counts()) return;
  copy_elements(call.inputs[0], y);
  visit(y, [&]<class T>() {
    share_out(count, size * n / 3, [&](int64_t i) {
      T* const a = y.data<T>() + i * size;
      bool finite = true;
      for (int64_t row = 0; row < n; ++row) {
        finite &= all_finite(a + row * n, row + 1);
        std::fill(a + row * n + row + 1, a + (row + 1) * n, T{});
      }
      if (!finite) {
        for (int64_t row = 0; row < n; ++row) fill_with_nan(a + row * n, row + 1);
        return;
      }
      // The lower triangle of a row-major matrix is the upper one of the same memory seen column-major, and L
      // of A = L L^H the U of A^T = U^H U.
      lapack::Functions<T>::potrf("U", &n, a, &n, &verdicts[i], 1);
    });
  });
  raise_first(call, MatrixFault::minor, verdicts);
}

void lu_factor(const Call& call, Workspace& workspace) {
  const Tensor &lu = call.outputs[0], &pivots = call.outputs[1];
  if (lu.numel() == 0) return;
  const int m = to_int(call, lu.size(-2)), n = to_int(call, lu.size(-1)), k = std::min(m, n);
  const int64_t size = int64_t{m} * n, count = matrices_in(lu);
  const Tensor columns = copied(transposed_view(call.inputs[0]), workspace);
  Verdicts verdicts(count, workspace);
  int* const exchanges = workspace.take<int>(count * k);
  if (workspace.counts()) return;
  visit(lu, [&]<class T>() {
    share_out(count, size * k / 3, [&](int64_t i) {
      int* const exchanged = exchanges + i * k;
      verdicts[i] = lapack::lu(m, n, columns.data<T>() + i * size, m, exchanged);
      std::transform(exchanged, exchanged + k, pivots.data<int64_t>() + i * k,
                     [](int row) { return int64_t{row} - 1; });
    });
  });
  if (call.attrs.as<LuAttrs>().regular) raise_first(call, MatrixFault::pivot, verdicts);
  copy_elements(transposed_view(columns), lu);
}

void exchange_rows(const Call& call, Workspace& workspace) {
  const Tensor& y = call.outputs[0];
  const bool inverse = call.attrs.as<ExchangeAttrs>().inverse;
  const int64_t n = y.size(-2), columns = y.size(-1);
  const Tensor pivots = row_major(call.inputs[1], workspace);
  if (y.numel() == 0 || workspace.counts()) return;
  copy_elements(call.inputs[0], y);
  for (int64_t i = 0; i < pivots.numel(); ++i) {
    const int64_t row = pivots.data<int64_t>()[i];
    if (row < 0 || row >= n)
      fail<IndexError>("[", call.primitive.name, "] pivot ", row, " is none of ", n, " rows");
  }
  const int64_t bytes = columns * static_cast<int64_t>(size_of(y.dtype()));  // of a row, whatever it holds
  share_out(matrices_in(y), 8 * n * columns, [&](int64_t i) {
    char* const rows = static_cast<char*>(y.raw_data()) + i * n * bytes;
    const int64_t* const row = pivots.data<int64_t>() + i * n;
    const auto exchange = [&](int64_t k) {
      if (row[k] != k) std::swap_ranges(rows + k * bytes, rows + (k + 1) * bytes, rows + row[k] * bytes);
    };
    for (int64_t k = 0; k < n; ++k) exchange(inverse ? n - 1 - k : k);
  });
}

void trsm(CBLAS_UPLO triangle, CBLAS_TRANSPOSE transpose, CBLAS_DIAG diagonal, int n, int columns,
          const float* a, int lda, float* b, int ldb) {
  TIDU_BLAS(cblas_strsm)
  (CblasRowMajor, CblasLeft, triangle, transpose, diagonal, n, columns, 1, a, lda, b, ldb);
}
void trsm(CBLAS_UPLO triangle, CBLAS_TRANSPOSE transpose, CBLAS_DIAG diagonal, int n, int columns,
          const double* a, int lda, double* b, int ldb) {
  TIDU_BLAS(cblas_dtrsm)
  (CblasRowMajor, CblasLeft, triangle, transpose, diagonal, n, columns, 1, a, lda, b, ldb);
}
void trsm(CBLAS_UPLO triangle, CBLAS_TRANSPOSE transpose, CBLAS_DIAG diagonal, int n, int columns,
          const complex<float>* a, int lda, complex<float>* b, int ldb) {
  const complex<float> one{1, 0};
  TIDU_BLAS(cblas_ctrsm)
  (CblasRowMajor, CblasLeft, triangle, transpose, diagonal, n, columns, &one, a, lda, b, ldb);
}
void trsm(CBLAS_UPLO triangle, CBLAS_TRANSPOSE transpose, CBLAS_DIAG diagonal, int n, int columns,
          const complex<double>* a, int lda, complex<double>* b, int ldb) {
  const complex<double> one{1, 0};
  TIDU_BLAS(cblas_ztrsm)
  (CblasRowMajor, CblasLeft, triangle, transpose, diagonal, n, columns, &one, a, lda, b, ldb);
}

void solve_triangular(const Call& call, Workspace& workspace) {
  const auto& [upper, unit, caller] = call.attrs.as<TriangularAttrs>();
  const Tensor& x = call.outputs[0];
  if (x.numel() == 0) return;
  const int n = to_int(call, x.size(-2)), columns = to_int(call, x.size(-1));
  const int64_t size = int64_t{n} * n, count = matrices_in(x);
  // Row-major, or the transposes are.
  const bool by_columns = call.inputs[0].strides()[x.ndim() - 2] == 1;
  const Tensor a = row_major(by_columns ? transposed_view(call.inputs[0]) : call.inputs[0], workspace);
  Verdicts verdicts(unit ? 0 : count, workspace);
  if (workspace.counts()) return;
  copy_elements(call.inputs[1], x);
  constexpr int kColumns = 128;
  const int pieces = size * columns > 1 << 19 ? (columns + kColumns - 1) / kColumns : 1;
  const int width = pieces == 1 ? columns : kColumns;
  visit(x, [&]<class T>() {
    for (int64_t i = 0; !unit && i < count; ++i) {
      for (int64_t k = n; k > 0; --k) {
        if (number::is_zero(a.data<T>()[i * size + (k - 1) * (n + 1)])) verdicts[i] = static_cast<int>(k);
      }
    }
    raise_first(call, MatrixFault::diagonal, verdicts);
    share_out(count * pieces, size * width / 2, [&](int64_t task) {
      const int64_t i = task / pieces, first = task % pieces * width;
      trsm(upper != by_columns ? CblasUpper : CblasLower, by_columns ? CblasTrans : CblasNoTrans,
           unit ? CblasUnit : CblasNonUnit, n, std::min(width, columns - static_cast<int>(first)),
           a.data<T>() + i * size, n, x.data<T>() + i * n * columns + first, columns);
    });
  });
}

// Turns the vectors of equal values: `rows` of them, so far from one another, whose elements are `stride`
// apart.
template <class T>
void turn(const RealPart<T>* values, int64_t n, T* vectors, int64_t rows, int64_t step, int64_t stride,
          bool null) {
  for (int64_t row = 0; row < rows; ++row) {
    for (int part = 0; part < kParts<T>; ++part)
      turn_row(values, n, parts(vectors + row * step) + part, stride * kParts<T>, null);
  }
}

void svd(const Call& call, Workspace& workspace) {
  const Tensor &u = call.outputs[0], &s = call.outputs[1], &vh = call.outputs[2];
  const bool complete = call.attrs.as<CompleteAttrs>().complete;
  if (call.inputs[0].numel() == 0) return;
  const Tensor a = copied(call.inputs[0], workspace);
  const int m = to_int(call, a.size(-2)), n = to_int(call, a.size(-1)), k = std::min(m, n);
  const int64_t size = int64_t{m} * n, count = matrices_in(a), left = int64_t{m} * u.size(-1),
                right = int64_t{n} * vh.size(-2);
  Verdicts verdicts(count, workspace);
  visit(a, [&]<class T>() {
    // Seen column-major it is the transpose, whose left vectors are this one's right ones.
    const Rooms<T> rooms(lapack::room_for_svd<T>(complete, n, m), count, workspace);
    if (workspace.counts()) return;
    share_out(count, 8 * size * k, [&](int64_t i, int64_t own) {
      T* const matrix = a.data<T>() + i * size;
      RealPart<T>* const values = s.data<RealPart<T>>() + i * k;
      T *const us = u.data<T>() + i * left, *const vs = vh.data<T>() + i * right;
      if (!all_finite(matrix, size)) {
        fill_with_nan(us, left);
        fill_with_nan(values, k);
        return fill_with_nan(vs, right);
      }
      verdicts[i] = lapack::svd(complete, n, m, matrix, values, vs, us, rooms.room(), rooms[own]);
      turn(values, k, us, m, u.size(-1), 1, true);
      turn(values, k, vs, n, 1, n, false);
    });
  });
  if (workspace.counts()) return;
  raise_first(call, MatrixFault::iteration, verdicts);
}

void eigh(const Call& call, Workspace& workspace) {
  const Tensor &w = call.outputs[0], &v = call.outputs[1];
  if (v.numel() == 0) return;
  const int n = to_int(call, v.size(-1));
  const int64_t size = int64_t{n} * n, count = matrices_in(v);
  const Tensor columns = copied(transposed_view(call.inputs[0]), workspace);
  Verdicts verdicts(count, workspace);
  visit(v, [&]<class T>() {
    const Rooms<T> rooms(lapack::room_for_eigh<T>(n), count, workspace);
    if (workspace.counts()) return;
    share_out(count, 4 * size * n, [&](int64_t i, int64_t own) {
      T* const a = columns.data<T>() + i * size;
      RealPart<T>* const values = w.data<RealPart<T>>() + i * n;
      bool finite = true;
      for (int64_t column = 0; column < n; ++column) finite &= all_finite(a + column * (n + 1), n - column);
      if (!finite) {
        fill_with_nan(values, n);
        return fill_with_nan(a, size);
      }
      verdicts[i] = lapack::eigh('L', n, a, values, rooms.room(), rooms[own]);
      turn(values, n, a, n, 1, n, true);
    });
  });
  if (workspace.counts()) return;
  raise_first(call, MatrixFault::iteration, verdicts);
  copy_elements(transposed_view(columns), v);
}

void qr(const Call& call, Workspace& workspace) {
  const Tensor &q = call.outputs[0], &r = call.outputs[1];
  if (q.numel() == 0) return;
  const int m = to_int(call, q.size(-2)), n = to_int(call, r.size(-1)), k = to_int(call, q.size(-1));
  const int64_t count = matrices_in(q), left = int64_t{m} * k;
  // Columns enough for q; those of a come first.
  Shape shape = transposed_view(q).shape();
  const Tensor columns = workspace.tensor(shape, q.dtype());
  if (!workspace.counts()) std::memset(columns.raw_data(), 0, columns.nbytes());
  shape[shape.size() - 2] = n;
  if (!workspace.counts()) {
    copy_elements(transposed_view(call.inputs[0]), columns.view(shape, columns.strides(), 0));
    if (r.numel() > 0) std::memset(r.raw_data(), 0, r.nbytes());
  }
  visit(q, [&]<class T>() {
    const Rooms<T> rooms(lapack::room_for_qr<T>(m, n, k), count, workspace);
    if (workspace.counts()) return;
    share_out(count, 2 * left * k, [&](int64_t i, int64_t own) {
      T *const a = columns.data<T>() + i * left, *const upper = r.data<T>() + i * k * n;
      lapack::qr(m, n, k, a, rooms.room(), rooms[own], [&] {
        for (int64_t row = 0; row < std::min(n, k); ++row) {
          for (int64_t column = row; column < n; ++column) upper[row * n + column] = a[column * m + row];
        }
      });
    });
  });
  if (!workspace.counts()) copy_elements(transposed_view(columns), q);
}

void split_vectors(const Call& call, Workspace& workspace) {
  const Tensor values = row_major(call.inputs[0], workspace), t = row_major(call.inputs[3], workspace);
  const Tensor &left = call.outputs[0], &right = call.outputs[1];
  const int64_t n = values.size(-1), m = left.size(-2), k = right.size(-2), room = room_to_split(n),
                count = values.numel() / std::max<int64_t>(n, 1);
  char* const memory = workspace.take(most_at_once(count) * room * static_cast<int64_t>(size_of(t.dtype())));
  if (workspace.counts()) return;
  copy_elements(call.inputs[1], left);
  copy_elements(call.inputs[2], right);
  if (values.numel() == 0) return;
  const bool singular = call.attrs.as<SplitAttrs>().singular;
  visit(t, [&]<class T>() {
    T* const rooms = reinterpret_cast<T*>(memory);
    share_out(count, 8 * n * n, [&](int64_t i, int64_t own) {
      const Vectors<T> of_left{left.data<T>() + i * m * n, m}, of_right{right.data<T>() + i * k * n, k};
      split_equal(values.data<RealPart<T>>() + i * n, n, of_left, of_right, t.data<T>() + i * m * k, singular,
                  rooms + own * room);
    });
  });
}

void determined(const Call& call, Workspace& workspace) {
  const Tensor wrong = row_major(call.inputs[0], workspace);
  if (workspace.counts()) return;
  const bool* const mask = wrong.data<bool>();
  const int64_t found = std::find(mask, mask + wrong.numel(), true) - mask;
  if (found < wrong.numel()) {
    if (&call.primitive == &primitives::checked) {
      const auto& attrs = call.attrs.as<CheckedAttrs>();
      attrs.fail_with(str("[", attrs.caller.name, "] ", attrs.why.name));
    }
    const int64_t size = wrong.size(-1) * wrong.size(-2);
    raise(call, MatrixFault::turning, found / size, found % size);
  }
  copy_elements(call.inputs[1], call.outputs[0]);
}

}  // namespace

void register_linalg_kernels() {
  set_kernel_with_workspace<cholesky>(primitives::cholesky);
  set_kernel_with_workspace<lu_factor>(primitives::lu_factor);
  set_kernel_with_workspace<exchange_rows>(primitives::exchange_rows);
  set_kernel_with_workspace<solve_triangular>(primitives::solve_triangular);
  set_kernel_with_workspace<svd>(primitives::svd);
  set_kernel_with_workspace<eigh>(primitives::eigh);
  set_kernel_with_workspace<qr>(primitives::qr);
  set_kernel_with_workspace<split_vectors>(primitives::split_vectors);
  set_kernel_with_workspace<determined>(primitives::determined);
  set_kernel_with_workspace<determined>(primitives::checked);
}

}  // namespace tidu::cpu
