// Products over named axes, as products of batches of matrices.
#include "ops/contract.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

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

// What is at most k right of the diagonal, as a mask of matrices.
Tensor below_diagonal(const Tensor& x, int64_t k) {
  const Tensor row = expand_dims(arange(x.size(-2), DType::int64, x.device()), 1),
               column = arange(x.size(-1), DType::int64, x.device());
  return column - row <= k;
}

}  // namespace

Tensor tril(const Tensor& x, int64_t k) {
  require_matrices("tril", x);
  return where(below_diagonal(x, k), x, full({}, 0, x.dtype(), x.device()));
}

Tensor triu(const Tensor& x, int64_t k) {
  require_matrices("triu", x);
  return where(below_diagonal(x, k - 1), full({}, 0, x.dtype(), x.device()), x);
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
  Tensors parts;
  for (int64_t i = 0; i < 3; ++i)
    parts.push_back(part(a, i + 1) * part(b, i + 2) - part(a, i + 2) * part(b, i + 1));
  const DType dtype = promote(a.dtype(), b.dtype());
  return is_narrow(dtype) ? astype(stack(parts, at), dtype) : stack(parts, at);
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
  explicit ProductOrder(const Tensors& matrices) : count_(matrices.size()), cells_(count_ * count_) {
    std::vector<double> extents;
    for (const Tensor& x : matrices) extents.push_back(static_cast<double>(x.size(-2)));
    extents.push_back(static_cast<double>(matrices.back().size(-1)));
    for (size_t length = 2; length <= count_; ++length) {
      for (size_t i = 0; i + length <= count_; ++i) {
        const size_t j = i + length - 1;
        Cell& best = at(i, j);
        best.cost = std::numeric_limits<double>::infinity();
        for (size_t split = i; split < j; ++split) {
          const double cost =
              at(i, split).cost + at(split + 1, j).cost + extents[i] * extents[split + 1] * extents[j + 1];
          if (cost < best.cost) best = {cost, split};
        }
      }
    }
  }
  Tensor multiply(const Tensors& matrices, size_t i, size_t j) {
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
  std::vector<Cell> cells_;
};

}  // namespace

Tensor multi_dot(const Tensors& matrices) {
  if (matrices.size() < 2) fail<ValueError>("[multi_dot] takes two or more matrices, not ", matrices.size());
  Tensors operands = matrices;
  const bool row = operands.front().ndim() == 1, column = operands.back().ndim() == 1;
  if (row) operands.front() = expand_dims(operands.front(), 0);
  if (column) operands.back() = expand_dims(operands.back(), 1);
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
  std::vector<int> names;
  Tensor x;
};

class Einsum {
 public:
  Einsum(const std::string& subscripts, const Tensors& operands) : subscripts_(subscripts) {
    std::string text;
    for (const char c : subscripts) {
      if (c != ' ') text += c;
    }
    const size_t arrow = text.find("->");
    const std::string inputs = text.substr(0, arrow);
    std::vector<std::string> terms(1);
    for (const char c : inputs) {
      if (c == ',') {
        terms.emplace_back();
      } else {
        terms.back() += c;
      }
    }
    if (terms.size() != operands.size())
      refuse("names ", terms.size(), " operands and is given ", operands.size());
    DType dtype = operands[0].dtype();
    for (const Tensor& x : operands) dtype = promote(dtype, x.dtype());
    for (size_t i = 0; i < terms.size(); ++i) {
      Named operand{names_of(terms[i], operands[i].ndim()), astype(operands[i], dtype)};
      if (static_cast<int>(operand.names.size()) != operands[i].ndim())
        refuse("\"", terms[i], "\" does not name the axes of ", describe(operands[i]));
      for (const int name : operand.names) dots_ = std::min(dots_, name);
      operands_.push_back(std::move(operand));
    }
    if (arrow == std::string::npos) {
      name_result();
    } else {
      result_ = names_of(text.substr(arrow + 2), -1);
    }
    check_result();
    for (Named& operand : operands_) take_diagonals(operand);
    note_extents();
  }

  Tensor compute() {
    for (size_t i = 0; i < operands_.size(); ++i) sum_out(operands_[i], {i});
    while (operands_.size() > 1) {
      const auto [i, j] = cheapest_pair();
      Named product = multiply(operands_[i], operands_[j], needed_without({i, j}));
      operands_.erase(operands_.begin() + static_cast<int64_t>(j));
      operands_[i] = std::move(product);
    }
    return arranged(operands_[0], result_);
  }

 private:
  template <class... Why> [[noreturn]] void refuse(const Why&... why) const {
    fail<ShapeError>("[einsum] \"", subscripts_, "\" ", why...);
  }

  // Without a rank, "..." stands for as many axes as any operand has there.
  std::vector<int> names_of(const std::string& term, int rank) const {
    std::vector<int> names;
    bool dotted = false;
    for (size_t i = 0; i < term.size(); ++i) {
      if (std::isalpha(static_cast<unsigned char>(term[i]))) {
        names.push_back(term[i]);
      } else if (term.compare(i, 3, "...") == 0 && !dotted) {
        const int letters = static_cast<int>(term.size()) - 3;
        for (int k = rank < 0 ? -dots_ : rank - letters; k > 0; --k) names.push_back(-k);
        dotted = true;
        i += 2;
      } else {
        refuse("has \"", term, "\", where letters and one \"...\" may stand");
      }
    }
    return names;
  }

  void name_result() {
    std::map<int, int> counts;
    for (const Named& operand : operands_) {
      for (const int name : operand.names) ++counts[name];
    }
    for (const auto& [name, count] : counts) {
      if (name < 0 || count == 1) result_.push_back(name);
    }
  }

  void check_result() const {
    std::set<int> known, seen;
    for (const Named& operand : operands_) known.insert(operand.names.begin(), operand.names.end());
    for (const int name : result_) {
      if (!known.contains(name)) refuse("has '", static_cast<char>(name), "' in the result alone");
      if (!seen.insert(name).second) refuse("has '", static_cast<char>(name), "' twice in the result");
    }
  }

  void take_diagonals(Named& operand) const {
    for (size_t i = 0; i < operand.names.size(); ++i) {
      for (size_t j = operand.names.size() - 1; j > i; --j) {
        if (operand.names[j] != operand.names[i]) continue;
        const auto first = static_cast<int>(i), second = static_cast<int>(j);
        if (operand.x.size(first) != operand.x.size(second)) {
          refuse("takes a diagonal of axes ", first, " and ", second, ", which differ in ",
                 describe(operand.x));
        }
        const Tensor last = moveaxis(moveaxis(operand.x, second, -1), first, -2);
        operand.x = moveaxis(diagonal(last), -1, first);
        operand.names.erase(operand.names.begin() + second);
      }
    }
  }

  // An extent of 1 is broadcast: the axis is taken away, and comes back at the end if nobody else has it.
  void note_extents() {
    for (Named& operand : operands_) {
      for (size_t i = 0; i < operand.names.size(); ++i) {
        const int64_t extent = operand.x.size(static_cast<int>(i));
        int64_t& known = extents_.emplace(operand.names[i], 1).first->second;
        if (extent == 1) continue;
        if (known != 1 && known != extent) {
          if (operand.names[i] < 0) refuse("broadcasts axes of extents ", known, " and ", extent);
          refuse("has '", static_cast<char>(operand.names[i]), "' for extents ", known, " and ", extent);
        }
        known = extent;
      }
    }
    for (Named& operand : operands_) {
      for (size_t i = operand.names.size(); i-- > 0;) {
        if (operand.x.size(static_cast<int>(i)) == 1 && extents_[operand.names[i]] != 1)
          drop(operand, i, squeeze(operand.x, {static_cast<int64_t>(i)}));
      }
    }
  }

  static void drop(Named& operand, size_t axis, Tensor x) {
    operand.names.erase(operand.names.begin() + static_cast<int64_t>(axis));
    operand.x = std::move(x);
  }

  std::set<int> needed_without(std::initializer_list<size_t> left_out) const {
    std::set<int> needed(result_.begin(), result_.end());
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (std::find(left_out.begin(), left_out.end(), i) != left_out.end()) continue;
      needed.insert(operands_[i].names.begin(), operands_[i].names.end());
    }
    return needed;
  }

  // Sums over the axes that nobody else needs.
  void sum_out(Named& operand, std::initializer_list<size_t> itself) const {
    const std::set<int> needed = needed_without(itself);
    Axes axes;
    std::vector<int> kept;
    for (size_t i = 0; i < operand.names.size(); ++i) {
      if (needed.contains(operand.names[i])) {
        kept.push_back(operand.names[i]);
      } else {
        axes.push_back(static_cast<int64_t>(i));
      }
    }
    if (axes.empty()) return;
    operand.x = astype(sum(operand.x, axes), operand.x.dtype());
    operand.names = kept;
  }

  std::pair<size_t, size_t> cheapest_pair() const {
    std::pair<size_t, size_t> best{0, 1};
    double smallest = std::numeric_limits<double>::infinity();
    for (size_t i = 0; i < operands_.size(); ++i) {
      for (size_t j = i + 1; j < operands_.size(); ++j) {
        const std::set<int> needed = needed_without({i, j});
        std::set<int> names(operands_[i].names.begin(), operands_[i].names.end());
        names.insert(operands_[j].names.begin(), operands_[j].names.end());
        double size = 1;
        for (const int name : names)
          size *= needed.contains(name) ? static_cast<double>(extents_.at(name)) : 1;
        if (size < smallest) smallest = size, best = {i, j};
      }
    }
    return best;
  }

  // Names that both have and the result needs are axes of the batch; that both have and nobody needs, summed.
  Named multiply(const Named& a, const Named& b, const std::set<int>& needed) const {
    const auto has = [](const Named& x, int name) {
      return std::find(x.names.begin(), x.names.end(), name) != x.names.end();
    };
    std::vector<int> batch, summed, rows, columns;
    for (const int name : a.names)
      (!has(b, name) ? rows : needed.contains(name) ? batch : summed).push_back(name);
    for (const int name : b.names) {
      if (!has(a, name)) columns.push_back(name);
    }
    const auto extent_of = [&](const std::vector<int>& names) {
      int64_t extent = 1;
      for (const int name : names) extent *= extents_.at(name);
      return extent;
    };
    const auto as_matrices = [&](const Named& x, const std::vector<int>& second,
                                 const std::vector<int>& third) {
      std::vector<int> order = batch;
      order.insert(order.end(), second.begin(), second.end());
      order.insert(order.end(), third.begin(), third.end());
      return reshape(arranged(x, order), {extent_of(batch), extent_of(second), extent_of(third)});
    };
    Named product;
    Shape shape;
    for (const auto* names : {&batch, &rows, &columns}) {
      for (const int name : *names) {
        product.names.push_back(name);
        shape.push_back(extents_.at(name));
      }
    }
    const Tensor x = as_matrices(a, rows, summed), y = as_matrices(b, summed, columns);
    product.x = reshape(summed.empty() ? x * y : matmul(x, y), shape);
    return product;
  }

  // The axes in another order; one that is not there has extent 1.
  Tensor arranged(const Named& operand, const std::vector<int>& order) const {
    Axes axes;
    for (const int name : order) {
      const auto found = std::find(operand.names.begin(), operand.names.end(), name);
      axes.push_back(found - operand.names.begin());
    }
    return permute_dims(operand.x, axes);
  }

  const std::string& subscripts_;
  std::vector<Named> operands_;
  std::vector<int> result_;
  std::map<int, int64_t> extents_;
  int dots_ = 0;  // the name of the first axis of "..."
};

}  // namespace

Tensor einsum(const std::string& subscripts, const Tensors& operands) {
  if (operands.empty()) fail<ValueError>("[einsum] takes one or more operands");
  DType dtype = operands[0].dtype();
  for (const Tensor& x : operands) dtype = promote(dtype, x.dtype());
  if (operands.size() < 3 || !is_narrow(dtype)) return Einsum(subscripts, operands).compute();
  Tensors wide;  // what is between two products is not rounded
  for (const Tensor& x : operands) wide.push_back(widened(x));
  return astype(Einsum(subscripts, wide).compute(), dtype);
}

}  // namespace tidu::linalg
