// Runs tile functions and copies over tensors of any layout.
#include "backend/cpu/launch.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "backend/cpu/threads.h"
#include "kernels/cpu/cast.h"
#include "kernels/cpu/copy.h"

namespace tidu::cpu {
namespace {

constexpr int kMaxOperands = 4;
constexpr int64_t kTile = 1024;  // elements; the tiles of four operands of 8 bytes fill most of an L1 cache
constexpr int64_t kRow = 32;     // elements of a row that are worth a call

// Of a block that meets a transposed operand, of which its rows are lines.
struct SquareSize {
  int64_t elements, rows;
};
constexpr SquareSize kCopies{1 << 14, 128};
constexpr int64_t kPackBytes = 1 << 14,
                  kMostPacked = 1 << 12;  // that make one operand a tile's, and elements

SquareSize tile_square(int64_t element_size) {
  return {std::min(kMostPacked, kPackBytes / element_size), element_size <= 4 ? 64 : 32};
}

// The shape that all operands share, with its dimensions merged where every operand's layout allows and
// ordered so that few operands are read or written across memory: along the output's, unless several inputs
// lie one way and it another.
class Loop {
 public:
  // Strides of each operand, those of the output last.
  Loop(const Shape& shape, std::span<const Strides* const> strides, SquareSize square)
      : operands_(static_cast<int>(strides.size())), square_(square) {
    int order[kMaxRank];
    std::iota(order, order + shape.size(), 0);
    // By insertion: stable, and without the memory that std::stable_sort takes.
    const Strides& leader = leads_first(shape, strides) ? *strides.front() : *strides.back();
    const auto stride = [&](int k) { return std::abs(leader[order[k]]); };
    for (int i = 1; i < shape.size(); ++i) {
      for (int k = i; k > 0 && stride(k - 1) < stride(k); --k) std::swap(order[k - 1], order[k]);
    }
    for (int i = 0; i < shape.size(); ++i) {
      const int axis = order[i];
      if (shape[axis] == 1) continue;
      if (rank_ > 0 && merges(*this, strides, axis, shape[axis])) {
        extent_[rank_ - 1] *= shape[axis];
      } else {
        extent_[rank_++] = shape[axis];
      }
      for (int k = 0; k < operands_; ++k) stride_[k][rank_ - 1] = (*strides[k])[axis];
    }
    while (rank_ < 2) prepend();
    choose_rows();
    choose_blocks();
  }

  int64_t blocks() const { return blocks_; }
  int64_t block_elements() const { return block_rows_ * block_columns_; }
  BlockStrides strides(int operand) const {
    return {stride_[operand][rank_ - 2], stride_[operand][rank_ - 1]};
  }

  // Calls body(offsets, rows, columns) for blocks `begin` to `end`: where each begins in each operand, and
  // how large it is. Those behind each other in the same rows are found without divisions.
  template <class Body> void visit(int64_t begin, int64_t end, const Body& body) const {
    int64_t offsets[kMaxOperands], rows = 0, left = 0;
    for (int64_t index = begin; index < end; ++index) {
      if (left == 0) {
        left = column_blocks_ - index % column_blocks_;
        rows = locate(index, offsets);
      } else {
        for (int k = 0; k < operands_; ++k) offsets[k] += block_columns_ * stride_[k][rank_ - 1];
      }
      const bool is_last = --left == 0;
      body(offsets, rows,
           is_last ? extent_[rank_ - 1] - (column_blocks_ - 1) * block_columns_ : block_columns_);
    }
  }

 private:
  // Where block `index` begins in each operand; returns how many rows it has.
  int64_t locate(int64_t index, int64_t offsets[kMaxOperands]) const {
    const int last = rank_ - 1;
    const int64_t column = index % column_blocks_ * block_columns_;
    index /= column_blocks_;
    int64_t plane = 0;
    if (swapped_) {  // next, since it shares cache lines
      plane = index % extent_[last - 2];
      index /= extent_[last - 2];
    }
    const int64_t row = index % row_blocks_ * block_rows_;
    index /= row_blocks_;
    for (int k = 0; k < operands_; ++k) offsets[k] = row * stride_[k][last - 1] + column * stride_[k][last];
    for (int k = 0; swapped_ && k < operands_; ++k) offsets[k] += plane * stride_[k][last - 2];
    for (int axis = last - 2 - swapped_; axis >= 0; --axis) {
      const int64_t at = index % extent_[axis];
      index /= extent_[axis];
      for (int k = 0; k < operands_; ++k) offsets[k] += at * stride_[k][axis];
    }
    return std::min(block_rows_, extent_[last - 1] - row);
  }

  // The axis along which an operand's elements are nearest to each other; -1 where all are one.
  static int nearest_axis(const Shape& shape, const Strides& strides) {
    int nearest = -1;
    for (int axis = 0; axis < shape.size(); ++axis) {
      if (shape[axis] == 1 || strides[axis] == 0) continue;
      if (nearest < 0 || std::abs(strides[axis]) <= std::abs(strides[nearest])) nearest = axis;
    }
    return nearest;
  }
  // Whether all inputs but single elements, at least two, lie as the first does, and the output does not.
  static bool leads_first(const Shape& shape, std::span<const Strides* const> strides) {
    const int axis = nearest_axis(shape, *strides.front());
    if (strides.size() < 3 || axis < 0 || axis == nearest_axis(shape, *strides.back())) return false;
    int same = 0;
    for (const Strides* const operand : strides.first(strides.size() - 1)) {
      const int here = nearest_axis(shape, *operand);
      if (here >= 0 && here != axis) return false;
      same += here == axis;
    }
    return same > 1;
  }

  static bool merges(const Loop& loop, std::span<const Strides* const> strides, int axis, int64_t extent) {
    for (int k = 0; k < loop.operands_; ++k) {
      if (loop.stride_[k][loop.rank_ - 1] != (*strides[k])[axis] * extent) return false;
    }
    return true;
  }

  void prepend() {
    std::copy_backward(extent_, extent_ + rank_, extent_ + rank_ + 1);
    extent_[0] = 1;
    for (int k = 0; k < operands_; ++k) {
      std::copy_backward(stride_[k], stride_[k] + rank_, stride_[k] + rank_ + 1);
      stride_[k][0] = 0;
    }
    ++rank_;
    // Of an empty loop: one element, one after another.
    if (rank_ == 1) {
      for (int k = 0; k < operands_; ++k) stride_[k][0] = 1;
    }
  }

  // A block has its rows along the axis that is the nearest of an operand to which the columns are not.
  // Where few elements lie in the last two axes, they are along the longest of the others: what is asked for
  // each block takes longer than so few elements.
  void choose_rows() {
    if (rank_ < 3) return;
    int64_t few = kTile / 8;
    for (int k = operands_; k-- > 0;) {
      const int64_t* const of_axes = stride_[k];
      const auto is_nearer = [&](int a, int b) {
        return of_axes[a] != 0 && (of_axes[b] == 0 || std::abs(of_axes[a]) < std::abs(of_axes[b]));
      };
      int nearest = rank_ - 1;
      for (int axis = rank_ - 1; axis-- > 0;) {
        if (is_nearer(axis, nearest)) nearest = axis;
      }
      if (nearest < rank_ - 2 && extent_[nearest] >= 8) return move_to_rows(nearest);
      if (nearest == rank_ - 2) few = kTile / 16;  // which take longer, too
    }
    if (extent_[rank_ - 2] * extent_[rank_ - 1] >= few) return;
    const auto longest = static_cast<int>(std::max_element(extent_, extent_ + rank_ - 2) - extent_);
    if (extent_[longest] > extent_[rank_ - 2]) move_to_rows(longest);
  }
  void move_to_rows(int axis) {
    const auto move = [&](int64_t* of_axes) {
      std::rotate(of_axes + axis, of_axes + axis + 1, of_axes + rank_ - 1);
    };
    move(extent_);
    for (int k = 0; k < operands_; ++k) move(stride_[k]);
    swapped_ = true;
  }

  void choose_blocks() {
    const int64_t rows = extent_[rank_ - 2], columns = extent_[rank_ - 1];
    bool transposed = false;
    for (int k = 0; k < operands_; ++k) {
      const auto [by_row, by_column] = strides(k);
      transposed |= std::abs(by_row) < std::abs(by_column) && std::abs(by_column) > 1;
    }
    if (transposed && rows > 1) {
      block_rows_ = std::min(rows, std::max(square_.rows, square_.elements / columns));
      block_columns_ = std::min(columns, square_.elements / block_rows_);
    } else {
      block_columns_ = std::min(columns, kTile);
      block_rows_ = std::min(rows, kTile / block_columns_);
    }
    row_blocks_ = (rows + block_rows_ - 1) / block_rows_;
    column_blocks_ = (columns + block_columns_ - 1) / block_columns_;
    blocks_ =
        std::accumulate(extent_, extent_ + rank_ - 2, row_blocks_ * column_blocks_, std::multiplies<>());
  }

  int operands_;
  SquareSize square_;
  int rank_ = 0;
  bool swapped_ = false;
  int64_t extent_[kMaxRank + 2];
  int64_t stride_[kMaxOperands][kMaxRank + 2];
  int64_t block_rows_, block_columns_, row_blocks_, column_blocks_, blocks_;
};

// Calls body(begin, end) for ranges of blocks.
template <class Body> void for_blocks(const Loop& loop, const Body& body) {
  const int64_t size = loop.block_elements(), work = loop.blocks() * size;
  const int64_t piece = work < 2 * kGrain ? loop.blocks() : std::max<int64_t>(1, kGrain / size);
  parallel_ranges(loop.blocks(), piece, work, body);
}

// One operand as seen by the tile function: a block of it, made contiguous and widened where needed.
class OperandBlock {
 public:
  OperandBlock(const Tensor& tensor, BlockStrides strides, bool widen)
      : data_(static_cast<char*>(tensor.raw_data())),
        size_(static_cast<int64_t>(size_of(tensor.dtype()))),
        strides_(strides),
        dtype_(tensor.dtype()),
        widened_(widen && is_narrow(dtype_)) {}

  const void* read(int64_t offset, int64_t rows, int64_t columns) {
    const char* source = data_ + offset * size_;
    // A broadcast operand brings the same block again and again.
    if (source == last_ && rows == last_rows_ && columns == last_columns_) return ready_;
    last_ = source;
    last_rows_ = rows;
    last_columns_ = columns;
    ready_ = source;
    if (!is_dense(rows, columns)) {
      copy_block_function(static_cast<size_t>(size_))(source, strides_, packed_, {columns, 1}, rows, columns);
      ready_ = packed_;
    }
    if (widened_) {
      cast_function(dtype_, DType::float32)(&ready_, computed_, rows * columns);
      ready_ = computed_;
    }
    return ready_;
  }

  // Whether the rows of a block can be used where they lie, and a row of that.
  bool has_rows() const { return strides_.column == 1 && !widened_; }
  char* row(int64_t offset, int64_t i) const { return data_ + (offset + i * strides_.row) * size_; }
  int64_t size() const { return widened_ ? int64_t{sizeof(float)} : size_; }

  // Where the tile function is to write a block; finish() brings it to its place.
  void* place(int64_t offset, int64_t rows, int64_t columns) {
    if (widened_) return computed_;
    return is_dense(rows, columns) ? data_ + offset * size_ : packed_;
  }

  void finish(int64_t offset, int64_t rows, int64_t columns) {
    char* destination = data_ + offset * size_;
    const bool dense = is_dense(rows, columns);
    if (widened_) {
      const void* source = computed_;
      cast_function(DType::float32, dtype_)(&source, dense ? destination : packed_, rows * columns);
    }
    if (!dense) {
      copy_block_function(static_cast<size_t>(size_))(packed_, {columns, 1}, destination, strides_, rows,
                                                      columns);
    }
  }

  bool is_dense(int64_t rows, int64_t columns) const {
    return (strides_.column == 1 || columns == 1) && (rows == 1 || strides_.row == columns);
  }

 private:
  char* data_;
  int64_t size_;
  BlockStrides strides_;
  DType dtype_;
  bool widened_;
  const char* last_ = nullptr;
  int64_t last_rows_ = 0, last_columns_ = 0;
  const void* ready_ = nullptr;
  alignas(64) char packed_[kPackBytes];
  alignas(64) float computed_[kMostPacked];
};

}  // namespace

void launch_tiles(TileFunction tile, std::span<const Tensor> inputs, const Tensor& output, bool widen,
                  const double* parameters) {
  if (output.numel() == 0) return;
  const size_t operands = inputs.size() + 1;
  const Strides* strides[kMaxOperands];
  int64_t largest = 4;  // what 16 bits are widened to
  for (size_t k = 0; k < operands; ++k) {
    const Tensor& operand = k + 1 < operands ? inputs[k] : output;
    strides[k] = &operand.strides();
    largest = std::max(largest, static_cast<int64_t>(size_of(operand.dtype())));
  }
  const Loop loop(output.shape(), {strides, operands}, tile_square(largest));
  const int count = static_cast<int>(inputs.size());
  for_blocks(loop, [&](int64_t begin, int64_t end) {
    OperandBlock out(output, loop.strides(count), widen);
    OperandBlock in[kMaxOperands - 1] = {{inputs[0], loop.strides(0), widen},
                                         {inputs[count > 1 ? 1 : 0], loop.strides(count > 1 ? 1 : 0), widen},
                                         {inputs[count > 2 ? 2 : 0], loop.strides(count > 2 ? 2 : 0), widen}};
    loop.visit(begin, end, [&](const int64_t* offsets, int64_t rows, int64_t columns) {
      const void* pointers[kMaxOperands];
      pointers[count] = parameters;
      // Where a row is worth a call, none but operands that lie across are copied.
      if (columns >= kRow && !out.is_dense(rows, columns)) {
        const void* packed[kMaxOperands];
        for (int k = 0; k < count; ++k)
          packed[k] = in[k].has_rows() ? nullptr : in[k].read(offsets[k], rows, columns);
        char* const whole =
            out.has_rows() ? nullptr : static_cast<char*>(out.place(offsets[count], rows, columns));
        for (int64_t row = 0; row < rows; ++row) {
          for (int k = 0; k < count; ++k) {
            pointers[k] = packed[k] ? static_cast<const char*>(packed[k]) + row * columns * in[k].size()
                                    : in[k].row(offsets[k], row);
          }
          tile(pointers, whole ? whole + row * columns * out.size() : out.row(offsets[count], row), columns);
        }
        if (whole) out.finish(offsets[count], rows, columns);
        return;
      }
      for (int k = 0; k < count; ++k) pointers[k] = in[k].read(offsets[k], rows, columns);
      tile(pointers, out.place(offsets[count], rows, columns), rows * columns);
      out.finish(offsets[count], rows, columns);
    });
  });
}

void copy_elements(const Tensor& source, const Tensor& destination) {
  if (destination.numel() == 0) return;
  if (source.is_contiguous() && destination.is_contiguous() && destination.numel() < kGrain) {
    copy_bytes(source.raw_data(), destination.raw_data(), destination.nbytes());
    return;
  }
  copy_elements(source, destination.raw_data(), destination.strides());
}

void copy_elements(const Tensor& source, void* destination, const Strides& strides) {
  if (source.numel() == 0) return;
  const Strides* const of_both[] = {&source.strides(), &strides};
  const Loop loop(source.shape(), of_both, kCopies);
  const int64_t size = static_cast<int64_t>(size_of(source.dtype()));
  const CopyBlockFunction copy = copy_block_function(static_cast<size_t>(size));
  const char* from = static_cast<const char*>(source.raw_data());
  char* to = static_cast<char*>(destination);
  for_blocks(loop, [&](int64_t begin, int64_t end) {
    loop.visit(begin, end, [&](const int64_t* offsets, int64_t rows, int64_t columns) {
      copy(from + offsets[0] * size, loop.strides(0), to + offsets[1] * size, loop.strides(1), rows, columns);
    });
  });
}

Tensor row_major(const Tensor& x, Workspace& workspace) {
  if (x.is_contiguous()) return x;
  const Tensor result = workspace.tensor(x.shape(), x.dtype());
  if (!workspace.counts()) copy_elements(x, result);
  return result;
}

Tensor converted(const Tensor& x, DType dtype, Workspace& workspace) {
  if (x.dtype() == dtype) return row_major(x, workspace);
  const Tensor result = workspace.tensor(x.shape(), dtype);
  if (!workspace.counts()) launch_tiles(cast_function(x.dtype(), dtype), {&x, 1}, result, false);
  return result;
}

Tensor room_for(const Tensor& output, DType dtype, Workspace& workspace) {
  return output.dtype() == dtype ? output : workspace.tensor(output.shape(), dtype);
}

void deliver(const Tensor& result, const Tensor& output) {
  if (result.is_same(output)) return;
  if (result.dtype() == output.dtype()) return copy_elements(result, output);
  launch_tiles(cast_function(result.dtype(), output.dtype()), {&result, 1}, output, false);
}

}  // namespace tidu::cpu
