// Sorting, searching, counting and combining, from C++.
#include "ops/order.h"

#include <gtest/gtest.h>

#include "tidu.h"

namespace tidu {
namespace {

std::vector<int64_t> elements(const Tensor& x) { return to_vector<int64_t>(flatten(x)); }
using Numbers = std::vector<int64_t>;

TEST(Order, SortsAndSearches) {
  const Tensor x = tensor<int64_t>({3, 1, 2, 1});
  EXPECT_EQ(elements(sort(x)), (Numbers{1, 1, 2, 3}));
  EXPECT_EQ(elements(argsort(x, 0, true)), (Numbers{0, 2, 1, 3}));
  EXPECT_EQ(elements(lexsort({arange(4), x})), (Numbers{1, 3, 2, 0}));
  EXPECT_EQ(elements(topk(x, 2).values), (Numbers{3, 2}));
  EXPECT_EQ(elements(kthvalue(x, 3).indices), (Numbers{2}));
  EXPECT_EQ(elements(searchsorted(sort(x), x, true)), (Numbers{4, 2, 3, 2}));
  EXPECT_EQ(elements(searchsorted(x, x, false, argsort(x))), (Numbers{3, 0, 2, 0}));
  EXPECT_THROW(sort(tensor<int64_t>({1}, {})), IndexError);
}

TEST(Order, FindsQuantiles) {
  const Tensor x = tensor<double>({4, 1, 3, 2});
  EXPECT_EQ(item<double>(median(x)), 2.5);
  EXPECT_EQ(to_vector<double>(quantile(x, tensor<double>({0, 0.5, 1}), {}, false, Quantile::lower)),
            (std::vector<double>{1, 2, 4}));
  EXPECT_EQ(to_vector<double>(grad([](const Tensor& y) { return median(y); })(x)),
            (std::vector<double>{0, 0, 0.5, 0.5}));
  EXPECT_EQ(quantile_from_name("hazen"), Quantile::hazen);
  EXPECT_THROW(quantile_from_name("none"), ValueError);
}

TEST(Order, TellsApartAndCounts) {
  const Tensor x = tensor<int64_t>({3, 1, 3, 0}, {2, 2});
  const Unique found = unique(x);
  EXPECT_EQ(elements(found.values), (Numbers{0, 1, 3}));
  EXPECT_EQ(elements(found.indices), (Numbers{3, 1, 0}));
  EXPECT_EQ(elements(found.counts), (Numbers{1, 1, 2}));
  EXPECT_EQ(found.inverse.shape(), x.shape());
  EXPECT_EQ(elements(unique(x, 1).values), (Numbers{1, 3, 0, 3}));
  EXPECT_EQ(elements(bincount(flatten(x))), (Numbers{1, 1, 0, 2}));
  EXPECT_EQ(elements(histogram(x, histogram_edges(x, 3))), (Numbers{1, 1, 2}));
}

TEST(Order, CombinesWhereIndicesSay) {
  const Tensor x = tensor<int64_t>({5, 6, 7}), at = tensor<int64_t>({2, 0, 2});
  EXPECT_EQ(elements(gather(x, 0, at)), (Numbers{7, 5, 7}));
  EXPECT_EQ(elements(scatter(x, 0, at, arange(3))), (Numbers{1, 6, 2}));
  EXPECT_EQ(elements(scatter_reduce(x, 0, at, x, Combining::amax)), (Numbers{6, 6, 7}));
  EXPECT_EQ(elements(scatter_reduce(x, 0, at, x, Combining::sum, false)), (Numbers{6, 6, 12}));
  EXPECT_EQ(elements(segment(x, at, Combining::sum)), (Numbers{6, 0, 12}));
  EXPECT_EQ(elements(masked_select(x, x > 5)), (Numbers{6, 7}));
  EXPECT_EQ(elements(tril_indices(2, 2)[1]), (Numbers{0, 0, 1}));
}

TEST(Order, CutsImagesIntoWindows) {
  const Tensor x = reshape(arange(9), {1, 3, 3});
  const Tensor columns = nn::unfold(x, {.kernel = {2, 2}});
  EXPECT_EQ(columns.shape(), (Shape{4, 4}));
  EXPECT_EQ(elements(select(columns, 0, 3)), (Numbers{4, 5, 7, 8}));
  EXPECT_EQ(elements(nn::fold(columns, 3, 3, {.kernel = {2, 2}})), (Numbers{0, 2, 2, 6, 16, 10, 6, 14, 8}));
  EXPECT_EQ(item<int64_t>(linalg::inner(arange(3), arange(3))), 5);
}

}  // namespace
}  // namespace tidu
