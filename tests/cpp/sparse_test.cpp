// Sparse derivatives from C++: patterns, colourings against their definition, matrices against dense ones.
#include "transforms/sparse.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tidu.h"
#include "transforms/index_sets.h"

namespace tidu {
namespace {

using Pairs = std::set<std::pair<int64_t, int64_t>>;

Pairs pairs_of(const Sparsity& pattern) {
  Pairs result;
  for (int64_t i = 0; i < pattern.num_rows; ++i) {
    for (const int64_t j : pattern.row(i)) result.emplace(i, j);
  }
  return result;
}

Sparsity pattern_of(int64_t rows, int64_t columns, const Pairs& pairs) {
  std::vector<int64_t> of_rows, of_columns;
  for (const auto& [i, j] : pairs) of_rows.push_back(i), of_columns.push_back(j);
  return sparsity_of(rows, columns, of_rows, of_columns);
}

// Of each element, that it is the only one of its row (column) in its product.
void expect_reads_alone(const Coloring& coloring) {
  const Sparsity& pattern = coloring.pattern;
  const bool by_rows = coloring.groups == Coloring::Groups::rows;
  const int64_t length = by_rows ? pattern.num_columns : pattern.num_rows;
  const Pairs pairs = pairs_of(pattern);
  // What each product has in each place: the elements whose group is summed up there.
  std::vector<std::vector<std::pair<int64_t, int64_t>>> summed(static_cast<size_t>(coloring.count * length));
  for (const auto& [i, j] : pairs) {
    const int64_t color = coloring.colors[static_cast<size_t>(by_rows ? i : j)];
    ASSERT_GE(color, 0);
    ASSERT_LT(color, coloring.count);
    summed[static_cast<size_t>(color * length + (by_rows ? j : i))].emplace_back(i, j);
  }
  ASSERT_EQ(std::ssize(coloring.places), pattern.count());
  size_t k = 0;
  for (const auto& [i, j] : pairs) {
    const auto& there = summed[static_cast<size_t>(coloring.places[k++])];
    ASSERT_EQ(there.size(), 1u);
    const bool is_it = there[0] == std::pair(i, j);
    const bool is_its_twin = coloring.groups == Coloring::Groups::symmetric && there[0] == std::pair(j, i);
    ASSERT_TRUE(is_it || is_its_twin) << i << ' ' << j;
  }
}

// The elements of a symmetric matrix of integers from its products, one from the other.
void expect_finds_by_substitution(const Coloring& coloring, std::mt19937& random) {
  const Coloring::Substitution& found = coloring.substitution;
  if (found.places.empty()) return expect_reads_alone(coloring);
  const int64_t n = coloring.pattern.num_rows;
  const auto at = [](int64_t i) { return static_cast<size_t>(i); };
  std::vector<int64_t> matrix(at(n * n)), products(at(coloring.count * n)), elements, subtracted;
  for (const auto& [i, j] : pairs_of(coloring.pattern)) {
    if (i <= j) matrix[at(i * n + j)] = matrix[at(j * n + i)] = static_cast<int64_t>(random() % 1000);
    products[at(coloring.colors[at(j)] * n + i)] += matrix[at(i * n + j)];
  }
  for (const int64_t place : found.places) elements.push_back(products[at(place)]);
  subtracted.resize(elements.size());
  for (size_t level = 0; level + 1 < found.levels.size(); ++level) {
    for (int64_t k = found.levels[level]; k < found.levels[level + 1]; ++k) {
      const int64_t parent = found.parents[at(k)];
      ASSERT_GE(parent, found.levels[level + 1]);  // which is found later
      elements[at(parent)] -= elements[at(k)];
      subtracted[at(parent)] += subtracted[at(k)] + 1;
    }
  }
  EXPECT_EQ(found.most_subtracted, std::ranges::max(subtracted));
  size_t k = 0;
  for (const auto& [i, j] : pairs_of(coloring.pattern))
    ASSERT_EQ(elements[at(coloring.places[k++])], matrix[at(i * n + j)]) << i << ' ' << j;
}

TEST(IndexSets, AreUnionsWithOneNameEach) {
  std::mt19937 random(2);
  IndexSets sets;
  std::vector<std::pair<IndexSets::Name, std::set<int64_t>>> known{{IndexSets::kEmpty, {}}};
  const auto numbers_of = [&](IndexSets::Name name) {
    std::set<int64_t> numbers;
    int64_t last = -1;
    for (const auto [begin, end] : sets.runs(name)) {
      EXPECT_LT(last, begin);  // runs that meet are one
      for (int64_t i = begin; i < end; ++i) numbers.insert(i);
      last = end;
    }
    return numbers;
  };
  for (int trial = 0; trial < 300; ++trial) {
    const auto begin = static_cast<int64_t>(random() % 20), end = begin + static_cast<int64_t>(random() % 4);
    const auto &a = known[random() % known.size()], &b = known[random() % known.size()];
    std::set<int64_t> expected = a.second;
    expected.insert(b.second.begin(), b.second.end());
    const IndexSets::Name two = sets.unite(a.first, b.first);
    EXPECT_EQ(numbers_of(two), expected);
    for (int64_t i = begin; i < end; ++i) expected.insert(i);
    const IndexSets::Name three = sets.unite({b.first, sets.of_run(begin, end), a.first, b.first});
    EXPECT_EQ(numbers_of(three), expected);
    known.emplace_back(three, expected);
  }
  for (const auto& [name, numbers] : known) {
    for (const auto& [other, others] : known) EXPECT_EQ(name == other, numbers == others);
  }
}

TEST(Coloring, ReadsEachElementAloneOnRandomPatterns) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 200; ++trial) {
    const int64_t rows = static_cast<int64_t>(random() % 12), columns = static_cast<int64_t>(random() % 12);
    Pairs pairs, symmetric;
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j) {
        if (random() % 4 == 0) pairs.emplace(i, j);
      }
    }
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        if (random() % 4 == 0) symmetric.emplace(i, j), symmetric.emplace(j, i);
      }
    }
    const Sparsity pattern = pattern_of(rows, columns, pairs);
    expect_reads_alone(color_columns(pattern));
    expect_reads_alone(color_rows(pattern));
    const Coloring both = color_jacobian(pattern);
    EXPECT_EQ(both.count, std::min(color_columns(pattern).count, color_rows(pattern).count));
    const Coloring star = color_hessian(pattern_of(rows, rows, symmetric), Recovery::direct);
    expect_reads_alone(star);
    EXPECT_LE(star.count, color_columns(star.pattern).count);
    const Coloring acyclic = color_hessian(star.pattern, Recovery::substitution);
    expect_finds_by_substitution(acyclic, random);
    EXPECT_LE(acyclic.count, star.count);
    const Coloring best = color_hessian(star.pattern);
    EXPECT_EQ(best.count,
              acyclic.substitution.most_subtracted <= kMostSubtracted ? acyclic.count : star.count);
  }
}

TEST(Coloring, TakesAsFewProductsAsThereAreKnownToBe) {
  const auto pattern = [](int64_t n, const auto& has) {
    Pairs pairs;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        if (has(i, j)) pairs.emplace(i, j);
      }
    }
    return pattern_of(n, n, pairs);
  };
  for (const int64_t width : {1, 2, 3, 5}) {
    EXPECT_EQ(
        color_jacobian(pattern(40, [&](int64_t i, int64_t j) { return i >= j && i < j + width; })).count,
        width);
  }
  for (const bool last : {false, true}) {
    const Sparsity arrow = pattern(50, [&](int64_t i, int64_t j) {
      const int64_t hub = last ? 49 : 0;
      return i == j || i == hub || j == hub;
    });
    EXPECT_EQ(color_hessian(arrow).count, 2);
  }
  EXPECT_EQ(color_hessian(pattern(30, [](int64_t i, int64_t j) { return i == j; })).count, 1);
  EXPECT_EQ(color_hessian(pattern(30, [](int64_t i, int64_t j) { return std::abs(i - j) <= 1; })).count, 3);
  for (const int64_t half : {1, 2, 3, 4}) {  // of a band
    const Sparsity band = pattern(60, [&](int64_t i, int64_t j) { return std::abs(i - j) <= half; });
    EXPECT_EQ(color_hessian(band, Recovery::substitution).count, half + 1);
    EXPECT_EQ(color_hessian(band, Recovery::direct).count, half == 1 ? 3 : 2 * half + 1);
    EXPECT_TRUE(color_hessian(band).substitution.places.empty());  // of long chains
  }
  const Sparsity grid = pattern(
      64, [](int64_t i, int64_t j) { return std::abs(i / 8 - j / 8) + std::abs(i % 8 - j % 8) <= 1; });
  EXPECT_EQ(color_hessian(grid, Recovery::substitution).count, 4);
  EXPECT_GE(color_hessian(grid, Recovery::direct).count, 5);
  const Sparsity chain = pattern(18, [](int64_t i, int64_t j) { return std::abs(i - j) <= 1; });
  EXPECT_EQ(color_hessian(chain).count, 2);
  EXPECT_EQ(color_hessian(chain).substitution.most_subtracted, kMostSubtracted);
  const Coloring one_row = color_jacobian(pattern(30, [](int64_t i, int64_t j) { return i == 0 || i == j; }));
  EXPECT_EQ(one_row.count, 2);
  EXPECT_EQ(one_row.groups, Coloring::Groups::rows);
  EXPECT_EQ(color_jacobian(Sparsity{3, 2, {0, 0, 0, 0}, {}}).count, 0);
  EXPECT_THROW(color_hessian(pattern(3, [](int64_t i, int64_t j) { return i <= j; })), ValueError);
  EXPECT_THROW(pattern_of(2, 2, {{0, 2}}), ValueError);
}

Tensor differences(const Tensor& x) {
  return slice_axis(x, 0, 1, {}) * slice_axis(x, 0, 0, -1) + sin(slice_axis(x, 0, 1, {}));
}

TEST(Sparse, JacobianOfABand) {
  for (const DType dtype : {DType::float32, DType::float64}) {
    const Tensor x = astype(linspace(0.1, 2, 30), dtype);
    const Function f = [](const Tensors& in) { return Tensors{differences(in[0])}; };
    const Coloring coloring = color_jacobian(jacobian_sparsity(f, {x.spec()}));
    EXPECT_EQ(coloring.count, 2);
    const Csr sparse = sparse_jacobian(f, {x}, coloring);
    EXPECT_EQ(sparse.values.dtype(), dtype);
    EXPECT_EQ(sparse.values.numel(), 58);
    EXPECT_TRUE(item<bool>(all(to_dense(sparse) == jacrev(f, {x})[0][0])));
    EXPECT_TRUE(item<bool>(all(to_dense(transposed(sparse)) == matrix_transpose(to_dense(sparse)))));
    const Tensor v = cos(x), both = stack({v, x}, 1);
    EXPECT_LT(item<double>(max(abs(sparse_matmul(sparse, v) - matmul(to_dense(sparse), v)))), 1e-6);
    EXPECT_LT(item<double>(max(abs(sparse_matmul(sparse, both) - matmul(to_dense(sparse), both)))), 1e-6);
    EXPECT_THROW(sparse_matmul(sparse, slice_axis(v, 0, 1, {})), ShapeError);
    EXPECT_THROW(sparse_jacobian(f, {slice_axis(x, 0, 1, {})}, coloring), ShapeError);
  }
}

TEST(Sparse, HessianOfSeveralArguments) {
  const Tensor x = linspace(0.1, 2, 6, DType::float64), weights = linspace(1, 2, 4, DType::float64);
  const ScalarFunction f = [](const Tensors& in) {
    return sum(square(differences(in[0]))) + item<double>(ones({})) * sum(in[1] * slice_axis(in[0], 0, 0, 4));
  };
  const Csr sparse = sparse_hessian(f, {x, weights});
  EXPECT_EQ(sparse.shape, (Shape{10, 10}));
  EXPECT_TRUE(item<bool>(all(to_dense(sparse) == matrix_transpose(to_dense(sparse)))));
  EXPECT_LT(item<double>(max(abs(to_dense(sparse) - hessian_matrix(f, {x, weights})))), 1e-12);
  // Of the weights alone there is none.
  EXPECT_EQ(hessian_sparsity(f, {x.spec(), weights.spec()}).row(7).size(), 1u);
}

TEST(Sparse, HessianBySubstitution) {
  const ScalarFunction f = [](const Tensors& x) {
    const Tensor a = slice_axis(x[0], 0, 0, 39), b = slice_axis(x[0], 0, 1, 40);
    return sum(sin(a * b) + exp(a - b));
  };
  const Tensor x = linspace(-1, 1, 40, DType::float64);
  const Tensor dense = hessian(f, {x})[0][0];
  const Coloring coloring = color_hessian(hessian_sparsity(f, {x.spec()}), Recovery::substitution);
  EXPECT_EQ(coloring.count, 2);
  for (const Chunk chunk : {Chunk(), Chunk(1)}) {
    const Tensor got = to_dense(sparse_hessian(f, {x}, coloring, chunk));
    EXPECT_LT(item<double>(max(abs(got - dense))), 1e-13);
    EXPECT_EQ(item<double>(max(abs(got - matrix_transpose(got)))), 0);  // equal elements have equal bits
  }
  const auto of_scale = [&](const Tensor& s) {
    return sum(
        square(sparse_hessian([&](const Tensors& at) { return f({s * at[0]}); }, {x}, coloring).values));
  };
  const auto dense_of_scale = [&](const Tensor& s) {
    return sum(square(hessian([&](const Tensors& at) { return f({s * at[0]}); }, {x})[0][0]));
  };
  const Tensor s = full({}, 1.3, DType::float64);
  EXPECT_NEAR(item<double>(grad(of_scale)(s)), item<double>(grad(dense_of_scale)(s)), 1e-9);
}

TEST(Sparse, SaysWhatIsWrong) {
  const Tensor x = ones({3});
  const Function looks = [](const Tensors& in) {
    return Tensors{item<double>(sum(in[0])) > 0 ? in[0] * 2 : in[0]};
  };
  EXPECT_THROW(jacobian_sparsity(looks, {x.spec()}), TraceError);
  const Coloring diagonal = color_jacobian(pattern_of(3, 3, {{0, 0}, {1, 1}, {2, 2}}));
  EXPECT_TRUE(item<bool>(all(sparse_jacobian(looks, {x}, diagonal).values == 2)));
  EXPECT_THROW(sparse_jacobian([](const Tensors& in) { return in; }, {arange(3)}, diagonal), DTypeError);
}

}  // namespace
}  // namespace tidu
