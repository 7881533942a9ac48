// Matrix products in patches that the shape alone determines, so that the bits do not depend on the number of
// threads; each patch is a product of a library's.
#include "backend/cpu/matmul.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/backend.h"
#include "backend/cpu/elementwise.h"
#include "backend/cpu/gemm.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/threads.h"
#include "kernels/blas.h"
#include "kernels/cpu/cast.h"
#include "kernels/cpu/copy.h"
#include "kernels/cpu/outer.h"
#include "kernels/scalar.h"
#include "ops/matmul.h"

namespace tidu::cpu {
namespace {

Tensor transposed(const Tensor& x) {
  Shape shape = x.shape();
  Strides strides = x.strides();
  std::swap(shape[x.ndim() - 2], shape[x.ndim() - 1]);
  std::swap(strides[x.ndim() - 2], strides[x.ndim() - 1]);
  return x.view(shape, strides, x.impl().offset);
}

// Whether the last two axes are rows or columns of neighbours, so that no copy is needed.
bool is_blas_layout(const Tensor& x) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t by_row = x.strides()[x.ndim() - 2], by_column = x.strides()[x.ndim() - 1];
  return (by_column == 1 && (by_row >= columns || rows == 1)) ||
         (by_row == 1 && (by_column >= rows || columns == 1));
}

bool is_left_factor(const Tensor& x) { return is_blas_layout(x); }
bool is_right_factor(const Tensor& x) {
  return is_blas_layout(x) && (is_floating(x.dtype()) || x.strides()[x.ndim() - 1] == 1);
}

// A copy of floats whose neighbours are those of a row or of a column, as they are nearer to each other in x:
// a matrix and its transpose have transposed copies.
Tensor copied_as_it_lies(const Tensor& x, Workspace& workspace) {
  const Strides& strides = x.strides();
  const bool by_column =
      is_floating(x.dtype()) && std::abs(strides[x.ndim() - 2]) < std::abs(strides[x.ndim() - 1]);
  return by_column ? transposed(row_major(transposed(x), workspace)) : row_major(x, workspace);
}

// How far apart the matrices of a batch lie, where that is one distance.
std::optional<int64_t> batch_step(const Tensor& x) {
  int64_t step = 0, count = 1;
  for (int i = x.ndim() - 3; i >= 0; --i) {
    if (x.size(i) == 1) continue;
    if (count == 1) step = x.strides()[i];
    if (x.strides()[i] != step * count) return std::nullopt;
    count *= x.size(i);
  }
  return step;
}

}  // namespace

int64_t batch_offset(const Tensor& x, int64_t index) {
  int64_t offset = 0;
  for (int i = x.ndim() - 3; i >= 0; --i) {
    offset += index % x.size(i) * x.strides()[i];
    index /= x.size(i);
  }
  return offset;
}

namespace {

// Rows of b, scaled and added: of so few numbers that a call of a library costs more, and of truth values.
template <class T> void add_rows(const ProductSize& size, Factor<T> a, Factor<T> b, T* c, int64_t ldc) {
  const int64_t a_row = a.transposed ? 1 : a.leading, a_column = a.transposed ? a.leading : 1;
  const int64_t b_row = b.transposed ? 1 : b.leading, b_column = b.transposed ? b.leading : 1;
  for (int64_t i = 0; i < size.rows; ++i) {
    T* row = c + i * ldc;
    if (!size.adds) std::fill_n(row, size.columns, T(0));
    for (int64_t k = 0; k < size.depth; ++k) {
      const T factor = a.data[i * a_row + k * a_column];
      const T* from = b.data + k * b_row;
      for (int64_t j = 0; j < size.columns; ++j) {
        row[j] = scalar::add(row[j], scalar::multiply(factor, from[j * b_column]));
      }
    }
  }
}

// The same of so few columns that their sums stay in registers.
template <class T, int columns>
void add_short_rows(const ProductSize& size, Factor<T> a, Factor<T> b, T* c, int64_t ldc) {
  const int64_t a_row = a.transposed ? 1 : a.leading, a_column = a.transposed ? a.leading : 1;
  const int64_t b_row = b.transposed ? 1 : b.leading, b_column = b.transposed ? b.leading : 1;
  for (int64_t i = 0; i < size.rows; ++i) {
    T* const row = c + i * ldc;
    T sums[columns];
    for (int j = 0; j < columns; ++j) sums[j] = size.adds ? row[j] : T(0);
    for (int64_t k = 0; k < size.depth; ++k) {
      const T factor = a.data[i * a_row + k * a_column];
      const T* const from = b.data + k * b_row;
      for (int j = 0; j < columns; ++j) sums[j] += factor * from[j * b_column];
    }
    std::copy_n(sums, columns, row);
  }
}

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

constexpr int64_t kSmall = 1 << 19;  // multiplications that do not pay a second thread

// Equal patches: eight (four of bfloat16, whose take half the time), fewer of less than 2^20 multiplications
// each, where none gets smaller than 64 x 128, or 64 x 256 of `wide` numbers, where GEMM begins to lose
// speed, none of more elements than 512 x 512, and two of 64 rows or columns; or bands of whole rows, which
// lie together. Products of a vector are as fast as their matrix comes from memory, so that fewer
// multiplications pay a second thread; sums of one product are written as fast.
//
// `cut_rows`: whether what a vector's patches read are pieces of a matrix's rows, which are to be long.
ProductSize choose_block(int64_t m, int64_t n, int64_t k, DType dtype, bool cut_rows) {
  const bool wide = dtype == DType::float64;
  const int64_t least = std::min<int64_t>(dtype == DType::bfloat16 ? 4 : 8, m * n * k / (2 * kSmall));
  constexpr int64_t kNear = kGrain / 4;            // elements that stay in the first-level cache
  const int64_t shortest = cut_rows ? 1024 : 256;  // piece of a matrix that is read as fast
  const int64_t two_blocks = wide ? 512 : 256;     // columns of them
  if (k == 1) return {std::clamp<int64_t>(kNear / n, 1, m), n, k};
  if (m == 1 || n == 1) {
    const int64_t length = std::max(m, n), most = std::clamp<int64_t>(length / shortest, 2, 8);
    const int64_t pieces = std::clamp<int64_t>(m * n * k / (2 * kGrain), 1, most);
    const int64_t piece = std::min(length, round_up((length + pieces - 1) / pieces, 16));
    return m == 1 ? ProductSize{1, piece, k} : ProductSize{piece, 1, k};
  }
  if (m * n * k <= kSmall) return {m, n, k};
  constexpr int64_t kBands = 8, kWidest = 1024;
  if (m >= kBands * (wide ? 64 : 32) && m <= kBands * 512 && n > 512 && n <= kWidest)
    return {round_up((m + kBands - 1) / kBands, 16), n, k};
  int64_t down = 1, across = 1;
  while (true) {
    const int64_t rows = m / down, columns = n / across;
    const bool too_large = rows * columns > 512 * 512;
    if (down * across >= least && !too_large) break;
    if (rows >= 128 && (rows > columns || columns < two_blocks)) {
      down *= 2;
    } else if (columns >= two_blocks) {
      across *= 2;
    } else {
      break;
    }
  }
  if (down * across == 1 && m * n * k > 2 * kSmall && std::max(m, n) >= 64) (m >= n ? down : across) = 2;
  return {round_up((m + down - 1) / down, 16), round_up((n + across - 1) / across, 16), k};
}

// For kernels of ours, which may copy the right factor for each patch: as large ones as give each thread one,
// of whole lines of the cache.
ProductSize choose_own_block(int64_t m, int64_t n, int64_t k, int64_t batches) {
  constexpr int64_t kLeast = 64, kMost = 1024;
  const int64_t parts = (num_threads() + batches - 1) / batches;
  int64_t down = std::clamp<int64_t>(m / kLeast, 1, parts);
  int64_t across = std::clamp<int64_t>(n / kLeast, 1, (parts + down - 1) / down);
  while (m > down * kMost) down += parts;
  while (n * std::min(m, kMost) > across * kMost * kMost) ++across;
  return {round_up((m + down - 1) / down, 8), round_up((n + across - 1) / across, 16), k};
}

// Of a matrix by its own transpose: where libraries are asked, extents and multiplications from which on a
// half takes less time than the whole; where our own kernel is, rows and depth.
constexpr int64_t kLeastSymmetric = 32, kLeastSymmetricWork = 1 << 18;
constexpr int64_t kLeastOwnSymmetric = 192, kLeastOwnSymmetricDepth = 128;

// The way of all patches of a product that our own kernel computes, else 0. Of what `may_meet` its own
// transpose the result is to be symmetric, as sums of libraries are not.
Way own_way_of(DType dtype, const ProductSize& size, bool a_transposed, bool b_transposed, bool may_meet) {
  if (size.depth == 1 || (dtype != DType::float32 && dtype != DType::float64)) return 0;
  constexpr int64_t kSymmetric = 16;  // rows up to which sums of libraries were found to be
  if (may_meet && prefers_own() && size.rows > kSymmetric) return 'K';
  const auto fastest = dtype == DType::float32 ? fastest_way<float> : fastest_way<double>;
  const Way way = fastest(size, a_transposed, b_transposed);
  return is_own(way) ? way : 0;
}

// Squares of its result.
ProductSize choose_square(int64_t n, int64_t k) {
  int64_t parts = n * n * k <= 2 * kSmall ? 1 : n < 384 ? 2 : 4;
  while (n > parts * 512) parts *= 2;
  const int64_t side = round_up((n + parts - 1) / parts, 16);
  return {side, side, k};
}

}  // namespace

Product::Matrices::Matrices(const Tensor& x) : tensor(x), step(batch_step(x)) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t by_row = x.strides()[x.ndim() - 2], by_column = x.strides()[x.ndim() - 1];
  transposed = !(by_column == 1 && (by_row >= columns || rows == 1));
  leading = transposed ? (columns == 1 ? std::max<int64_t>(rows, 1) : by_column)
                       : (rows == 1 ? std::max<int64_t>(columns, 1) : by_row);
}

Product::Grid::Grid(int64_t m, int64_t n, const ProductSize& patch)
    : rows(patch.rows),
      columns(patch.columns),
      down((m + rows - 1) / rows),
      across((n + columns - 1) / columns) {}

template <> void Product::compute_of<bfloat16>(const Product&, int64_t, const void*, void*, int64_t);

Product::Product(const Tensor& a, const Tensor& b, const Tensor& bias, Workspace& workspace)
    : a_(is_left_factor(a) ? a : copied_as_it_lies(a, workspace)),
      b_(is_right_factor(b) ? b : copied_as_it_lies(b, workspace)),
      bias_(bias.defined() ? row_major(bias, workspace) : bias),
      batches_(a.numel() / (a.size(-2) * a.size(-1))),
      m_(a.size(-2)),
      n_(b.size(-1)),
      depth_(a.size(-1)),
      may_meet_(m_ == n_ && a_.transposed != b_.transposed && !bias.defined() &&
                (a.dtype() == DType::float32 || a.dtype() == DType::float64)),
      way_(own_way_of(a.dtype(), {m_, n_, depth_}, a_.transposed, b_.transposed, may_meet_)),
      plain_(m_, n_,
             way_ ? choose_own_block(m_, n_, depth_, batches_)
                  : choose_block(m_, n_, depth_, a.dtype(), m_ == 1 ? !b_.transposed : a_.transposed)),
      square_(m_, n_, choose_square(n_, depth_)),
      most_(plain_.down * plain_.across) {
  const bool pays = way_ ? m_ >= kLeastOwnSymmetric && depth_ >= kLeastOwnSymmetricDepth
                         : m_ >= kLeastSymmetric && m_ * n_ * depth_ >= kLeastSymmetricWork;
  if (may_meet_ && pays) {
    bool* const found = batches_ == 1 ? &only_ : workspace.take<bool>(batches_);
    bool any = false;
    for (int64_t i = 0; !workspace.counts() && i < batches_; ++i) any |= found[i] = is_own_transpose(i);
    if (any) {
      most_ = std::max(most_, square_.down * square_.across);
      symmetric_ = found;
    }
  }
  visit_dtype(a.dtype(), [&]<class T>() {
    if constexpr (!std::is_same_v<T, float16>) compute_ = compute_of<T>;
  });
}

bool Product::supports(DType dtype, int64_t rows, int64_t columns, int64_t depth) {
  constexpr int64_t kFew = 1 << 12;  // multiplications that take less time than a call of oneDNN
  return !is_narrow(dtype) ||
         (dtype == DType::bfloat16 && rows * columns * depth > kFew && multiplies_bfloat16());
}

bool Product::is_own_transpose(int64_t batch) const {
  const size_t size = size_of(a_.tensor.dtype());
  const auto lies_at = [&](const Matrices& x, int64_t row) {
    return static_cast<const char*>(x.tensor.raw_data()) +
           static_cast<size_t>(x.offset(batch) + row * x.leading) * size;
  };
  if (lies_at(a_, 0) == lies_at(b_, 0) && a_.leading == b_.leading) return true;
  const int64_t rows = a_.transposed ? depth_ : m_, columns = a_.transposed ? m_ : depth_;  // as stored
  for (int64_t row = 0; row < rows; ++row) {
    if (std::memcmp(lies_at(a_, row), lies_at(b_, row), static_cast<size_t>(columns) * size) != 0)
      return false;
  }
  return true;
}

Product::Patch Product::patch(int64_t i) const {
  if (most_ == 1) return {i * m_ * n_, m_, n_, i, 0, 0};
  const int64_t batch = i / most_, here = i % most_;
  const Grid& grid = is_symmetric(batch) ? square_ : plain_;
  if (here >= grid.down * grid.across) return {batch * m_ * n_, 0, 0, batch, 0, 0};
  const int64_t row = here / grid.across * grid.rows, column = here % grid.across * grid.columns;
  return {(batch * m_ + row) * n_ + column,
          std::min(grid.rows, m_ - row),
          std::min(grid.columns, n_ - column),
          batch,
          row,
          column};
}

int64_t Product::work() const {
  const int64_t rows = plain_.rows, columns = plain_.columns;
  // Multiplications are cheaper than the elements of other kernels: eight to one.
  const int64_t touched =
      m_ == 1 || n_ == 1 || depth_ == 1 ? std::max(rows * columns, std::max(rows, columns) * depth_) : 1;
  return std::max(rows * columns * depth_ / 8, touched);
}

// Sums in float, rounded once.
template <>
void Product::compute_of<bfloat16>(const Product& p, int64_t i, const void*, void* to, int64_t leading) {
  const auto [first, rows, columns, batch, row, column] = p.patch(i);
  auto* const sums =
      reinterpret_cast<float*>(own_memory<Use::product>(rows * columns * int64_t{sizeof(float)}));
  const bool adds = p.bias_.defined();
  const void* const addends = adds ? p.bias_.data<bfloat16>() + column : nullptr;
  for (int64_t r = 0; adds && r < rows; ++r)
    cast_function(DType::bfloat16, DType::float32)(&addends, sums + r * columns, columns);
  multiply({rows, columns, p.depth_, adds}, p.a_.from<bfloat16>(batch, row, 0),
           p.b_.from<bfloat16>(batch, 0, column), sums, columns);
  for (int64_t r = 0; r < rows; ++r) {
    const void* const row_sums = sums + r * columns;
    cast_function(DType::float32, DType::bfloat16)(&row_sums, static_cast<bfloat16*>(to) + r * leading,
                                                   columns);
  }
}

template <class T>
void Product::compute_of(const Product& p, int64_t i, const void* onto, void* to, int64_t leading) {
  const auto [first, rows, columns, batch, row, column] = p.patch(i);
  if (rows == 0) return;
  const auto a = p.a_.from<T>(batch, row, 0), b = p.b_.from<T>(batch, 0, column);
  T* const out = static_cast<T*>(to);
  const bool adds = p.bias_.defined();
  if constexpr (std::is_floating_point_v<T>) {
    if (p.depth_ == 1 && !adds && (!b.transposed || p.n_ == 1))
      return outer_function(dtype_of<T>)(a.data, a.transposed ? 1 : a.leading, b.data, onto, out, leading,
                                         rows, columns);
    if (onto) {
      auto* const patch = reinterpret_cast<T*>(own_memory<Use::product>(rows * columns * int64_t{sizeof(T)}));
      p.compute(i, patch, columns);
      static const TileFunction sum = tile_function("add", dtype_of<T>);
      for (int64_t r = 0; r < rows; ++r) {
        const void* const addends[] = {static_cast<const T*>(onto) + r * leading, patch + r * columns};
        sum(addends, out + r * leading, columns);
      }
      return;
    }
    if (p.is_symmetric(batch) && row == column) return multiply_by_transpose(rows, p.depth_, a, out, leading);
    if (p.is_symmetric(batch) && row < column) {
      auto* const twin = reinterpret_cast<T*>(own_memory<Use::twin>(rows * columns * int64_t{sizeof(T)}));
      multiply({columns, rows, p.depth_}, p.a_.from<T>(batch, column, 0), p.b_.from<T>(batch, 0, row), twin,
               rows);
      return copy_block_function(sizeof(T))(twin, {1, rows}, out, {leading, 1}, rows, columns);
    }
  }
  for (int64_t r = 0; adds && r < rows; ++r)
    std::copy_n(p.bias_.data<T>() + column, columns, out + r * leading);
  const ProductSize size{rows, columns, p.depth_, adds};
  constexpr int64_t kTiny = 64;  // multiplications
  if constexpr (std::is_floating_point_v<T>) {
    if (p.way_) return multiply<T>(p.way_, size, a, b, out, leading);
    if (rows * columns * p.depth_ > kTiny) return multiply(size, a, b, out, leading);
    switch (columns) {
      case 1: return add_short_rows<T, 1>(size, a, b, out, leading);
      case 2: return add_short_rows<T, 2>(size, a, b, out, leading);
      case 3: return add_short_rows<T, 3>(size, a, b, out, leading);
      case 4: return add_short_rows<T, 4>(size, a, b, out, leading);
      default: break;
    }
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return gemm_function(dtype_of<T>)({rows, columns, p.depth_, adds}, strided(a), strided(b), out, leading,
                                      nullptr);
  }
  add_rows(size, a, b, out, leading);
}

void Product::write(int64_t i, void* result) const {
  const Patch here = patch(i);
  const bool symmetric = is_symmetric(here.batch);
  if (symmetric && here.row < here.column) return;
  const size_t size = size_of(a_.tensor.dtype());
  const auto place = [&](int64_t element) {
    return static_cast<char*>(result) + static_cast<size_t>(element) * size;
  };
  compute(i, place(here.first), n_);
  if (symmetric && here.row > here.column) {
    const int64_t twin = here.first - (here.row - here.column) * (n_ - 1);
    copy_block_function(size)(place(here.first), {1, n_}, place(twin), {n_, 1}, here.columns, here.rows);
  }
}

namespace {

void matmul(const Call& call, Workspace& workspace) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return;
  const bool has_bias = call.inputs.size() > 2;
  if (call.inputs[0].size(-1) == 0) {
    if (workspace.counts()) return;
    if (!has_bias) return static_cast<void>(std::memset(output.raw_data(), 0, output.nbytes()));
    const Tensor& bias = call.inputs[2];
    Strides repeated(output.ndim(), 0);
    repeated.back() = bias.strides()[0];
    return copy_elements(bias.view(output.shape(), repeated, bias.impl().offset), output);
  }
  const int64_t depth = call.inputs[0].size(-1);
  const bool widens = !Product::supports(output.dtype(), output.size(-2), output.size(-1), depth);
  // What most calls need is counted without making the product.
  const auto lies_right = [](const Call& of) {
    return is_left_factor(of.inputs[0]) && is_right_factor(of.inputs[1]) &&
           (of.inputs.size() < 3 || of.inputs[2].is_contiguous());
  };
  const bool is_batch = output.ndim() > 2 && output.size(-1) == output.size(-2);
  if (workspace.counts() && !is_batch && (widens || lies_right(call))) {
    for (size_t i = 0; widens && i < call.inputs.size(); ++i) workspace.take<float>(call.inputs[i].numel());
    if (widens) workspace.take<float>(output.numel());
    return;
  }
  // In the order in which it lies.
  const auto operand = [&](const Tensor& x) {
    if (!widens) return x;
    const bool by_column = x.ndim() > 1 && x.strides()[x.ndim() - 2] == 1 && x.strides()[x.ndim() - 1] != 1;
    return by_column ? transposed(converted(transposed(x), DType::float32, workspace))
                     : converted(x, DType::float32, workspace);
  };
  const Tensor c = widens ? workspace.tensor(output.shape(), DType::float32) : output;
  const Product product(operand(call.inputs[0]), operand(call.inputs[1]),
                        has_bias ? operand(call.inputs[2]) : Tensor(), workspace);
  if (workspace.counts()) return;
  const int64_t tasks = product.patches(), work = product.work();
  parallel_ranges(tasks, std::max<int64_t>(1, kGrain / work), tasks * work, [&](int64_t begin, int64_t end) {
    std::optional<SignalsHeldBack> held;  // once for all calls of oneDNN
    if (is_narrow(c.dtype())) held.emplace();
    for (int64_t i = begin; i < end; ++i) product.write(i, c.raw_data());
  });
  deliver(c, output);
}

}  // namespace

void add_product(const Call& call, const Factors& factors, Workspace& workspace) {
  const Tensor onto = row_major(call.inputs[0], workspace);
  const Product product(factors.a, factors.b, Tensor(), workspace);
  if (workspace.counts()) return;
  const auto size = static_cast<int64_t>(size_of(onto.dtype()));
  const auto* const from = static_cast<const char*>(onto.raw_data());
  auto* const to = static_cast<char*>(call.outputs[0].raw_data());
  const int64_t tasks = product.patches(), work = product.work();
  parallel_ranges(tasks, std::max<int64_t>(1, kGrain / work), tasks * work, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = product.patch(i).first * size;
      product.add(i, from + first, to + first, product.columns());
    }
  });
}

void register_matmul_kernels() {
  // Its own threads would oversubscribe ours and split products by their number.
  TIDU_BLAS(openblas_set_num_threads)(1);
  set_kernel_with_workspace<matmul>(primitives::matmul);
}

}  // namespace tidu::cpu
