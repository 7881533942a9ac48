// Products over named axes, as products of batches of matrices.
#include "ops/contract.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>

#include "base/few.h"
#include "ops/arrange.h"
#include "ops/convert.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/linalg_rules.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/shape.h"

namespace tidu::linalg {

Tensor diagonal(const Tensor& x, int64_t offset) {
  require_matrices("diagonal", x);
  const int64_t rows = x.size(-2), columns = x.size(-1);
  const int64_t down = std::max<int64_t>(-offset, 0), across = std::max<int64_t>(offset, 0);
  const int64_t count = std::max<int64_t>(0, std::min(rows - down, columns - across));
  Shape flat(x.shape().begin(), x.shape().end() - 2);
  flat.push_back(rows * columns);
  const bool has_steps = count > 1 && x.strides()[x.ndim() - 2] == columns * x.strides()[x.ndim() - 1];
  if (count > 1 && !has_steps) {  // all elements would be copied
    const Tensor i = arange(count, DType::int64, x.device());
    return gather(x, {i + down, i + across}, IndexAttrs{{x.ndim() - 2, x.ndim() - 1}, {}, x.ndim() - 2});
  }
  const int64_t first = count == 0 ? 0 : down * columns + across;
  return slice_axis(reshape(x, flat), -1, first, first + count * (columns + 1), columns + 1);
}

Tensor diagonal(const Tensor& x, int64_t offset, int64_t axis1, int64_t axis2) {
  require_matrices("diagonal", x);
  const int rows = normalize_axis(axis1, x.ndim(), "diagonal"),
            columns = normalize_axis(axis2, x.ndim(), "diagonal");
  if (rows == columns) fail<ValueError>("[diagonal] axes ", axis1, " and ", axis2, " are one");
  Axes order;
  for (int i = 0; i < x.ndim(); ++i) {
    if (i != rows && i != columns) order.push_back(i);
  }
  order.push_back(rows);
  order.push_back(columns);
  return diagonal(permute_dims(x, order), offset);
}

Tensor trace(const Tensor& x, int64_t offset) {
  require_matrices("trace", x);
  return sum(diagonal(x, offset), -1);
}

namespace {

// No diagonal lies further away.
int64_t within(const Tensor& x, int64_t k) { return std::clamp(k, -x.size(-2), x.size(-1)); }

// What is at most k right of the diagonal, as a mask of matrices.
Tensor below_diagonal(const Tensor& x, int64_t k) {
  const Tensor row = expand_dims(arange(x.size(-2), DType::int64, x.device()), 1),
               column = arange(x.size(-1), DType::int64, x.device());
  return column <= row + k;  // k is added to the few
}

}  // namespace

Tensor tril(const Tensor& x, int64_t k) {
  require_matrices("tril", x);
  return where(below_diagonal(x, within(x, k)), x, full({}, 0, x.dtype(), x.device()));
}

Tensor triu(const Tensor& x, int64_t k) {
  require_matrices("triu", x);
  return where(below_diagonal(x, within(x, k) - 1), full({}, 0, x.dtype(), x.device()), x);
}

Tensor kron(const Tensor& a, const Tensor& b) {
  const int rank = std::max(a.ndim(), b.ndim());
  Shape spread_a, spread_b, result;
  for (int i = 0; i < rank; ++i) {
    const int in_a = i - rank + a.ndim(), in_b = i - rank + b.ndim();
    const int64_t m = in_a < 0 ? 1 : a.size(in_a), n = in_b < 0 ? 1 : b.size(in_b);
    for (const int64_t extent : {m, int64_t{1}}) spread_a.push_back(extent);
    for (const int64_t extent : {int64_t{1}, n}) spread_b.push_back(extent);
    result.push_back(product_of_extents(m, n, "kron"));
  }
  return reshape(reshape(a, spread_a) * reshape(b, spread_b), result);
}

Tensor cross(const Tensor& a, const Tensor& b, int64_t axis) {
  const int rank = std::max(a.ndim(), b.ndim());
  const int at = normalize_axis(axis, rank, "cross") - rank;  // from the end, where both have it
  const auto has_three = [&](const Tensor& x) { return x.ndim() >= -at && x.size(at) == 3; };
  if (!has_three(a) || !has_three(b)) {
    fail<ShapeError>("[cross] axis ", axis, " must have extent 3 in both: ", describe(a), " and ",
                     describe(b));
  }
  const auto part = [&](const Tensor& x, int64_t i) { return select(widened(x), at, i % 3); };
  const auto element = [&](int64_t i) {
    return part(a, i + 1) * part(b, i + 2) - part(a, i + 2) * part(b, i + 1);
  };
  const Tensor product = stack({element(0), element(1), element(2)}, at);
  const DType dtype = promote(a.dtype(), b.dtype());
  return is_narrow(dtype) ? astype(product, dtype) : product;
}

Tensor tensordot(const Tensor& a, const Tensor& b, const Axes& a_axes, const Axes& b_axes) {
  const auto refuse = [&](const auto&... why) {
    fail<ShapeError>("[tensordot] ", why..., ": axes ", a_axes, " of ", describe(a), " with ", b_axes, " of ",
                     describe(b));
  };
  if (a_axes.size() != b_axes.size()) refuse("as many axes of each are summed over");
  normalize_axes(a_axes, a.ndim(), "tensordot");
  normalize_axes(b_axes, b.ndim(), "tensordot");
  // Axes that stay and those summed over, in the order in which they are paired.
  struct Sides {
    Axes kept, summed;
    Shape shape;
    int64_t extent = 1;
  };
  const auto sides_of = [](const Tensor& x, const Axes& axes) {
    Sides sides;
    for (const int64_t axis : axes) {
      sides.summed.push_back(normalize_axis(axis, x.ndim(), "tensordot"));
      sides.extent *= x.size(static_cast<int>(sides.summed.back()));
    }
    for (int i = 0; i < x.ndim(); ++i) {
      if (sides.summed.contains(i)) continue;
      sides.kept.push_back(i);
      sides.shape.push_back(x.size(i));
    }
    return sides;
  };
  const Sides left = sides_of(a, a_axes), right = sides_of(b, b_axes);
  for (int i = 0; i < left.summed.size(); ++i) {
    if (a.shape()[static_cast<int>(left.summed[i])] != b.shape()[static_cast<int>(right.summed[i])])
      refuse("extents of paired axes differ");
  }
  Axes order = left.kept, other_order = right.summed;
  for (const int64_t axis : left.summed) order.push_back(axis);
  for (const int64_t axis : right.kept) other_order.push_back(axis);
  const Tensor x = reshape(permute_dims(a, order), {num_elements(left.shape), left.extent});
  const Tensor y = reshape(permute_dims(b, other_order), {right.extent, num_elements(right.shape)});
  Shape shape = left.shape;
  for (const int64_t extent : right.shape) shape.push_back(extent);
  return reshape(matmul(x, y), shape);
}

Tensor tensordot(const Tensor& a, const Tensor& b, int64_t axes) {
  if (axes < 0 || axes > std::min(a.ndim(), b.ndim())) {
    fail<ShapeError>("[tensordot] ", axes, " axes cannot be summed over: ", describe(a), " and ",
                     describe(b));
  }
  Axes last, first;
  for (int64_t i = 0; i < axes; ++i) {
    last.push_back(a.ndim() - axes + i);
    first.push_back(i);
  }
  return tensordot(a, b, last, first);
}

Tensor inner(const Tensor& a, const Tensor& b) {
  if (a.ndim() == 0 || b.ndim() == 0) return a * b;
  return tensordot(a, b, {-1}, {-1});
}

namespace {

// Where the product of the matrices i .. j is split: the dynamic program over the extents between them.
class ProductOrder {
 public:
  explicit ProductOrder(std::span<const Tensor> matrices) : count_(matrices.size()), cells_(count_ * count_) {
    const auto extent = [&](size_t i) {
      return static_cast<double>(i < count_ ? matrices[i].size(-2) : matrices.back().size(-1));
    };
    for (size_t length = 2; length <= count_; ++length) {
      for (size_t i = 0; i + length <= count_; ++i) {
        const size_t j = i + length - 1;
        Cell& best = at(i, j);
        best.cost = std::numeric_limits<double>::infinity();
        for (size_t split = i; split < j; ++split) {
          const double cost =
              at(i, split).cost + at(split + 1, j).cost + extent(i) * extent(split + 1) * extent(j + 1);
          if (cost < best.cost) best = {cost, split};
        }
      }
    }
  }
  Tensor multiply(std::span<const Tensor> matrices, size_t i, size_t j) {
    if (i == j) return matrices[i];
    const size_t split = at(i, j).split;
    return matmul(multiply(matrices, i, split), multiply(matrices, split + 1, j));
  }

 private:
  struct Cell {
    double cost = 0;
    size_t split = 0;
  };
  Cell& at(size_t i, size_t j) { return cells_[i * count_ + j]; }

  size_t count_;
  Few<Cell, 16> cells_;
};

}  // namespace

Tensor multi_dot(const Tensors& matrices) {
  if (matrices.size() < 2) fail<ValueError>("[multi_dot] takes two or more matrices, not ", matrices.size());
  Few<Tensor, 4> operands(matrices.size());
  std::ranges::copy(matrices, operands.begin());
  Tensor &first = operands[0], &last = operands[operands.size() - 1];
  const bool row = first.ndim() == 1, column = last.ndim() == 1;
  if (row) first = expand_dims(first, 0);
  if (column) last = expand_dims(last, 1);
  for (size_t i = 0; i < operands.size(); ++i) {
    if (operands[i].ndim() != 2)
      fail<ShapeError>("[multi_dot] operand ", i, " is no matrix: ", describe(matrices[i]));
    if (i > 0 && operands[i - 1].size(1) != operands[i].size(0)) {
      fail<ShapeError>("[multi_dot] operands ", i - 1, " and ", i, " do not fit: ", describe(matrices[i - 1]),
                       " @ ", describe(matrices[i]));
    }
  }
  Tensor product = ProductOrder(operands).multiply(operands, 0, operands.size() - 1);
  if (column) product = squeeze(product, {-1});
  return row ? squeeze(product, {0}) : product;
}

Tensor matrix_power(const Tensor& x, int64_t n) {
  require_square("matrix_power", x);
  if (n < 0 && !is_inexact(x.dtype()))
    fail<DTypeError>("[matrix_power] ", describe(x), " has no inverse in its dtype (use astype)");
  if (n == 0) {
    const Tensor one = eye(x.size(-1), x.size(-1), 0, x.dtype(), x.device());
    return copy(broadcast_to(one, x.shape()));
  }
  Tensor square = n < 0 ? inv_for({"matrix_power"}, x) : x, result;
  for (auto left = n < 0 ? -static_cast<uint64_t>(n) : static_cast<uint64_t>(n);; left >>= 1) {
    if (left & 1) result = result.defined() ? matmul(result, square) : square;
    if (left <= 1) return result;
    square = matmul(square, square);
  }
}

// --- Einstein's sum

namespace {

// An operand whose axes have names: letters, and for the axes of "..." numbers below 0, -1 being the last.
struct Named {
  Dims names;
  Tensor x;
};

// A value for each name.
template <class T> class ByName {
 public:
  explicit ByName(T value) { of_.fill(value); }
  T& operator[](int64_t name) { return of_[static_cast<size_t>(name + kMaxRank)]; }
  const T& operator[](int64_t name) const { return of_[static_cast<size_t>(name + kMaxRank)]; }

 private:
  std::array<T, kMaxRank + 128> of_;
};

class Names {
 public:
  Names() = default;
  explicit Names(const Dims& names) { add(names); }
  void add(const Dims& names) {
    for (const int64_t name : names) has_[name] = true;
  }
  bool contains(int64_t name) const { return has_[name]; }

 private:
  ByName<bool> has_{false};
};

class Einsum {
 public:
  Einsum(const std::string& subscripts, std::span<const Tensor> operands)
      : subscripts_(subscripts), left_(operands.size()), operands_(operands.size()) {
    Few<char, 64> letters(subscripts.size());
    char* const end = std::remove_copy(subscripts.begin(), subscripts.end(), letters.begin(), ' ');
    const std::string_view text(letters.begin(), end);
    const size_t arrow = text.find("->");
    std::string_view inputs = text.substr(0, arrow);
    const auto terms = static_cast<size_t>(std::ranges::count(inputs, ',')) + 1;
    if (terms != left_) refuse("names ", terms, " operands and is given ", left_);
    DType dtype = operands[0].dtype();
    for (const Tensor& x : operands) dtype = promote(dtype, x.dtype());
    for (size_t i = 0; i < left_; ++i) {
      const std::string_view term = inputs.substr(0, inputs.find(','));
      inputs.remove_prefix(std::min(inputs.size(), term.size() + 1));
      operands_[i] = {names_of(term, operands[i].ndim()), astype(operands[i], dtype)};
      if (operands_[i].names.size() != operands[i].ndim())
        refuse("\"", term, "\" does not name the axes of ", describe(operands[i]));
      for (const int64_t name : operands_[i].names) dots_ = std::min(dots_, name);
    }
    if (arrow == std::string_view::npos) {
      name_result();
    } else {
      result_ = names_of(text.substr(arrow + 2), -1);
    }
    check_result();
    for (Named& operand : operands_) take_diagonals(operand);
    note_extents();
  }

  Tensor compute() {
    for (size_t i = 0; i < left_; ++i) sum_out(operands_[i], needed_without(i, i));
    while (left_ > 1) {
      const auto [i, j] = cheapest_pair();
      operands_[i] = multiply(operands_[i], operands_[j], needed_without(i, j));
      std::move(operands_.begin() + j + 1, operands_.begin() + left_, operands_.begin() + j);
      --left_;
    }
    return arranged(operands_[0], result_);
  }

 private:
  template <class... Why> [[noreturn]] void refuse(const Why&... why) const {
    fail<ShapeError>("[einsum] \"", subscripts_, "\" ", why...);
  }

  // Without a rank, "..." stands for as many axes as any operand has there.
  Dims names_of(std::string_view term, int rank) const {
    Dims names;
    const auto add = [&](int64_t name) {
      if (names.size() == kMaxRank)
        refuse("has \"", term, "\", but tensors have at most ", kMaxRank, " axes");
      names.push_back(name);
    };
    bool dotted = false;
    for (size_t i = 0; i < term.size(); ++i) {
      const char c = term[i];
      if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        add(c);
      } else if (term.substr(i, 3) == "..." && !dotted) {
        const int64_t letters = static_cast<int64_t>(term.size()) - 3;
        for (int64_t k = rank < 0 ? -dots_ : rank - letters; k > 0; --k) add(-k);
        dotted = true;
        i += 2;
      } else {
        refuse("has \"", term, "\", where letters and one \"...\" may stand");
      }
    }
    return names;
  }

  void name_result() {
    ByName<int> counts(0);
    for (const Named& operand : operands_) {
      for (const int64_t name : operand.names) ++counts[name];
    }
    for (int64_t name = -kMaxRank; name <= 'z'; ++name) {
      if (counts[name] == 1 || (name < 0 && counts[name] > 0)) result_.push_back(name);
    }
  }

  void check_result() const {
    Names known, seen;
    for (const Named& operand : operands_) known.add(operand.names);
    for (const int64_t name : result_) {
      if (!known.contains(name)) refuse("has '", static_cast<char>(name), "' in the result alone");
      if (seen.contains(name)) refuse("has '", static_cast<char>(name), "' twice in the result");
      seen.add({name});
    }
  }

  void take_diagonals(Named& operand) const {
    for (int i = 0; i < operand.names.size(); ++i) {
      for (int j = operand.names.size() - 1; j > i; --j) {
        if (operand.names[j] != operand.names[i]) continue;
        if (operand.x.size(i) != operand.x.size(j))
          refuse("takes a diagonal of axes ", i, " and ", j, ", which differ in ", describe(operand.x));
        const Tensor last = moveaxis(moveaxis(operand.x, j, -1), i, -2);
        operand.x = moveaxis(diagonal(last), -1, i);
        operand.names.erase(j);
      }
    }
  }

  // An extent of 1 is broadcast: the axis is taken away where another operand has more.
  void note_extents() {
    for (const Named& operand : operands_) {
      for (int i = 0; i < operand.names.size(); ++i) {
        const int64_t name = operand.names[i], extent = operand.x.size(i);
        int64_t& known = extents_[name];
        if (extent == 1) continue;
        if (known != 1 && known != extent) {
          if (name < 0) refuse("broadcasts axes of extents ", known, " and ", extent);
          refuse("has '", static_cast<char>(name), "' for extents ", known, " and ", extent);
        }
        known = extent;
      }
    }
    for (Named& operand : operands_) {
      for (int i = operand.names.size(); i-- > 0;) {
        if (operand.x.size(i) != 1 || extents_[operand.names[i]] == 1) continue;
        operand.names.erase(i);
        operand.x = squeeze(operand.x, {i});
      }
    }
  }

  // What the result and other operands than these have.
  Names needed_without(size_t i, size_t j) const {
    Names needed(result_);
    for (size_t k = 0; k < left_; ++k) {
      if (k != i && k != j) needed.add(operands_[k].names);
    }
    return needed;
  }

  // Sums over the axes that nobody else needs.
  static void sum_out(Named& operand, const Names& needed) {
    Axes axes;
    Dims kept;
    for (int i = 0; i < operand.names.size(); ++i) {
      if (needed.contains(operand.names[i])) {
        kept.push_back(operand.names[i]);
      } else {
        axes.push_back(i);
      }
    }
    if (axes.empty()) return;
    operand.x = astype(sum(operand.x, axes), operand.x.dtype());
    operand.names = kept;
  }

  std::pair<size_t, size_t> cheapest_pair() const {
    std::pair<size_t, size_t> best{0, 1};
    double smallest = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < left_; ++i) {
      for (size_t j = i + 1; j < left_; ++j) {
        const Names needed = needed_without(i, j);
        const Dims &a = operands_[i].names, &b = operands_[j].names;
        double size = 1;
        for (const int64_t name : a) size *= needed.contains(name) ? static_cast<double>(extents_[name]) : 1;
        for (const int64_t name : b) {
          if (needed.contains(name) && !a.contains(name)) size *= static_cast<double>(extents_[name]);
        }
        if (size < smallest) smallest = size, best = {i, j};
      }
    }
    return best;
  }

  // Names that both have and the result needs are axes of the batch; that both have and nobody needs, summed.
  Named multiply(const Named& a, const Named& b, const Names& needed) const {
    Dims batch, summed, rows, columns;
    for (const int64_t name : a.names)
      (!b.names.contains(name) ? rows : needed.contains(name) ? batch : summed).push_back(name);
    for (const int64_t name : b.names) {
      if (!a.names.contains(name)) columns.push_back(name);
    }
    const auto extent_of = [&](const Dims& names) {
      int64_t extent = 1;
      for (const int64_t name : names) extent *= extents_[name];
      return extent;
    };
    const auto as_matrices = [&](const Named& x, const Dims& second, const Dims& third) {
      Dims order = batch;
      for (const Dims* names : {&second, &third}) {
        for (const int64_t name : *names) order.push_back(name);
      }
      return reshape(arranged(x, order), {extent_of(batch), extent_of(second), extent_of(third)});
    };
    Named product;
    Shape shape;
    for (const Dims* names : {&batch, &rows, &columns}) {
      for (const int64_t name : *names) {
        product.names.push_back(name);
        shape.push_back(extents_[name]);
      }
    }
    const Tensor x = as_matrices(a, rows, summed), y = as_matrices(b, summed, columns);
    product.x = reshape(summed.empty() ? x * y : matmul(x, y), shape);
    return product;
  }

  // The axes in another order.
  static Tensor arranged(const Named& operand, const Dims& order) {
    Axes axes;
    for (const int64_t name : order)
      axes.push_back(std::ranges::find(operand.names, name) - operand.names.begin());
    return permute_dims(operand.x, axes);
  }

  const std::string& subscripts_;
  size_t left_;  // operands that are not yet in a product
  Few<Named, 3> operands_;
  Dims result_;
  ByName<int64_t> extents_{1};
  int64_t dots_ = 0;  // the name of the first axis of "..."
};

}  // namespace

Tensor einsum(const std::string& subscripts, const Tensors& operands) {
  if (operands.empty()) fail<ValueError>("[einsum] takes one or more operands");
  DType dtype = operands[0].dtype();
  for (const Tensor& x : operands) dtype = promote(dtype, x.dtype());
  if (operands.size() < 3 || !is_narrow(dtype)) return Einsum(subscripts, operands).compute();
  Few<Tensor, 3> wide(operands.size());  // what is between two products is not rounded
  std::ranges::transform(operands, wide.begin(), widened);
  return astype(Einsum(subscripts, wide).compute(), dtype);
}

}  // namespace tidu::linalg
