// Matrix products in blocks that the shape alone determines, so that the bits do not depend on the number of
// threads; each block is a product of a library's.
#include "backend/cpu/matmul.h"

#include <cblas.h>

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
#include "kernels/cpu/outer.h"
#include "kernels/scalar.h"
#include "ops/matmul.h"

namespace tidu::cpu {
namespace {

// A batch of matrices as BLAS sees it: rows `leading` apart, or columns if transposed.
struct Matrices {
  const char* data;
  bool transposed;
  int64_t leading;
  int64_t size;  // bytes an element

  const char* at(int64_t offset, int64_t row, int64_t column) const {
    return data + (offset + (transposed ? column * leading + row : row * leading + column)) * size;
  }
};

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

Matrices matrices_of(const Tensor& x) {
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t by_row = x.strides()[x.ndim() - 2], by_column = x.strides()[x.ndim() - 1];
  const bool plain = by_column == 1 && (by_row >= columns || rows == 1);
  return {static_cast<const char*>(x.raw_data()), !plain,
          plain ? (rows == 1 ? std::max<int64_t>(columns, 1) : by_row)
                : (columns == 1 ? std::max<int64_t>(rows, 1) : by_column),
          static_cast<int64_t>(size_of(x.dtype()))};
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

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Equal blocks: at least eight where none gets smaller than 64 x 128, or 64 x 256 of `wide` numbers, where
// GEMM begins to lose speed, none larger than 512 x 512, and two at any rate; or bands of whole rows, which
// lie together. Products of a vector are as fast as their matrix comes from memory, so that fewer
// multiplications pay a second thread; sums of one product are written as fast.
ProductSize choose_block(int64_t m, int64_t n, int64_t k, bool wide) {
  constexpr int64_t kSmall = 1 << 19;    // multiplications that do not pay a second thread
  constexpr int64_t kNear = kGrain / 4;  // elements that stay in the first-level cache
  constexpr int64_t kShort = 256;        // elements of a matrix's rows below which they are read slower
  const int64_t two_blocks = wide ? 512 : 256;  // columns of them
  if (k == 1) return {std::clamp<int64_t>(kNear / n, 1, m), n, k};
  if (m == 1 || n == 1) {
    const int64_t length = std::max(m, n), most = std::clamp<int64_t>(length / kShort, 2, 8);
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
    const bool too_large = rows > 512 || columns > 512;
    if (down * across >= 8 && !too_large) break;
    if (rows >= 128 && (rows > columns || columns < two_blocks)) {
      down *= 2;
    } else if (columns >= two_blocks) {
      across *= 2;
    } else {
      break;
    }
  }
  if (down * across == 1 && m * n * k > 2 * kSmall) (m >= n ? down : across) = 2;
  return {round_up((m + down - 1) / down, 16), round_up((n + across - 1) / across, 16), k};
}

}  // namespace

Product::Product(const Tensor& a, const Tensor& b, const Tensor& bias)
    : a_(is_blas_layout(a) ? a : row_major(a)),
      b_(is_blas_layout(b) && (is_floating(b.dtype()) || b.strides()[b.ndim() - 1] == 1) ? b : row_major(b)),
      bias_(bias.defined() ? row_major(bias) : bias),
      m_(a.size(-2)),
      n_(b.size(-1)),
      depth_(a.size(-1)) {
  batches_ = a.numel() / (m_ * depth_);
  const ProductSize size = choose_block(m_, n_, depth_, a.dtype() == DType::float64);
  rows_ = size.rows, columns_ = size.columns;
  down_ = (m_ + rows_ - 1) / rows_, across_ = (n_ + columns_ - 1) / columns_;
  visit_dtype(a.dtype(), [&]<class T>() {
    if constexpr (!std::is_same_v<T, float16> && !std::is_same_v<T, bfloat16>) compute_ = compute_of<T>;
  });
}

Product::Block Product::block(int64_t i) const {
  const int64_t batch = i / (down_ * across_), row = i / across_ % down_ * rows_,
                column = i % across_ * columns_;
  return {(batch * m_ + row) * n_ + column, std::min(rows_, m_ - row), std::min(columns_, n_ - column)};
}

int64_t Product::work() const {
  // Multiplications are cheaper than the elements of other kernels: eight to one.
  const int64_t touched =
      m_ == 1 || n_ == 1 || depth_ == 1 ? std::max(rows_ * columns_, std::max(rows_, columns_) * depth_) : 1;
  return std::max(rows_ * columns_ * depth_ / 8, touched);
}

template <class T>
void Product::compute_of(const Product& p, int64_t i, const void* onto, void* to, int64_t leading) {
  const auto [first, rows, columns] = p.block(i);
  const int64_t batch = first / (p.m_ * p.n_), row = first / p.n_ % p.m_, column = first % p.n_;
  const Matrices left = matrices_of(p.a_), right = matrices_of(p.b_);
  const auto* const a = reinterpret_cast<const T*>(left.at(batch_offset(p.a_, batch), row, 0));
  const auto* const b = reinterpret_cast<const T*>(right.at(batch_offset(p.b_, batch), 0, column));
  T* const out = static_cast<T*>(to);
  const bool adds = p.bias_.defined();
  if constexpr (std::is_floating_point_v<T>) {
    if (p.depth_ == 1 && !adds && (!right.transposed || p.n_ == 1))
      return outer_function(p.a_.dtype())(a, left.transposed ? 1 : left.leading, b, onto, out, leading, rows,
                                          columns);
    if (onto) {
      auto* const block = reinterpret_cast<T*>(own_memory<Use::product>(rows * columns * left.size));
      p.compute(i, block, columns);
      static const TileFunction sum = tile_function("add", dtype_of<T>);
      for (int64_t r = 0; r < rows; ++r) {
        const void* const addends[] = {static_cast<const T*>(onto) + r * leading, block + r * columns};
        sum(addends, out + r * leading, columns);
      }
      return;
    }
  }
  for (int64_t r = 0; adds && r < rows; ++r)
    std::copy_n(p.bias_.data<T>() + column, columns, out + r * leading);
  const ProductSize size{rows, columns, p.depth_, adds};
  const Factor<T> factors[] = {{a, left.leading, left.transposed}, {b, right.leading, right.transposed}};
  constexpr int64_t kTiny = 64;  // multiplications
  if constexpr (std::is_floating_point_v<T>) {
    if (rows * columns * p.depth_ > kTiny) return multiply(size, factors[0], factors[1], out, leading);
  } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    return gemm_function(dtype_of<T>)({rows, columns, p.depth_, adds}, strided(factors[0]),
                                      strided(factors[1]), out, leading, nullptr);
  }
  add_rows(size, factors[0], factors[1], out, leading);
}

namespace {

void matmul(const Call& call) {
  const Tensor& output = call.outputs[0];
  if (output.numel() == 0) return;
  const bool has_bias = call.inputs.size() > 2;
  if (call.inputs[0].size(-1) == 0) {
    if (!has_bias) return static_cast<void>(std::memset(output.raw_data(), 0, output.nbytes()));
    const Tensor& bias = call.inputs[2];
    Strides repeated(output.ndim(), 0);
    repeated.back() = bias.strides()[0];
    return copy_elements(bias.view(output.shape(), repeated, bias.impl().offset), output);
  }
  const bool half = is_narrow(output.dtype());
  // In the order in which it lies.
  const auto operand = [&](const Tensor& x) {
    if (!half) return x;
    const bool by_column = x.ndim() > 1 && x.strides()[x.ndim() - 2] == 1 && x.strides()[x.ndim() - 1] != 1;
    return by_column ? transposed(converted(transposed(x), DType::float32)) : converted(x, DType::float32);
  };
  const Tensor c = half ? Tensor::empty(output.shape(), DType::float32, output.device()) : output;
  const Product product(operand(call.inputs[0]), operand(call.inputs[1]),
                        has_bias ? operand(call.inputs[2]) : Tensor());
  char* const out = static_cast<char*>(c.raw_data());
  const auto size = static_cast<int64_t>(size_of(c.dtype()));
  const int64_t tasks = product.blocks(), work = product.work();
  parallel_ranges(tasks, std::max<int64_t>(1, kGrain / work), tasks * work, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      product.compute(i, out + product.block(i).first * size, product.columns());
  });
  if (half) copy_elements(converted(c, output.dtype()), output);
}

}  // namespace

void add_product(const Call& call, const Factors& factors) {
  const Tensor onto = row_major(call.inputs[0]);
  const Product product(factors.a, factors.b);
  const auto size = static_cast<int64_t>(size_of(onto.dtype()));
  const auto* const from = static_cast<const char*>(onto.raw_data());
  auto* const to = static_cast<char*>(call.outputs[0].raw_data());
  const int64_t tasks = product.blocks(), work = product.work();
  parallel_ranges(tasks, std::max<int64_t>(1, kGrain / work), tasks * work, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = product.block(i).first * size;
      product.add(i, from + first, to + first, product.columns());
    }
  });
}

void register_matmul_kernels() {
  // Its own threads would oversubscribe ours and split products by their number.
  openblas_set_num_threads(1);
  set_kernel(primitives::matmul, DeviceType::cpu, matmul);
}

}  // namespace tidu::cpu
