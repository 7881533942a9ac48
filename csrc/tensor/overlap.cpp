// Whether tensors have elements in common: a bounded linear equation in whole numbers.
#include "tensor/overlap.h"

#include <algorithm>
#include <numeric>

namespace tidu {
namespace {

// Whether coefficient * x + .. = sum has a solution with 0 <= x <= most for each term.
class Equation {
 public:
  void add(int64_t coefficient, int64_t most) {
    if (coefficient > 0 && most > 0) terms_.push_back({coefficient, most});
  }

  bool has_solution(int64_t sum) {
    int64_t total = 0;
    for (const auto& [coefficient, most] : terms_) total += coefficient * most;
    if (sum < 0 || sum > total) return false;  // one lies before the other
    std::ranges::sort(terms_);                 // the smallest first, so that rests are known
    for (const auto& [coefficient, most] : terms_) {
      const int64_t divisor = rests_.empty() ? 0 : rests_.back().divisor;
      const int64_t total = rests_.empty() ? 0 : rests_.back().total;
      rests_.push_back({coefficient, most, std::gcd(divisor, coefficient), total + coefficient * most});
    }
    return search(rests_.size(), sum);
  }

 private:
  struct Rest {  // of a term and all with smaller coefficients
    int64_t coefficient, most, divisor, total;
  };
  static constexpr int kPatience = 10'000;

  bool search(size_t count, int64_t sum) {
    if (sum == 0) return true;
    if (count == 0 || sum < 0) return false;
    const auto& [coefficient, most, divisor, total] = rests_[count - 1];
    if (sum > total || sum % divisor != 0) return false;
    const int64_t of_rest = total - coefficient * most;
    const int64_t least = std::max<int64_t>((sum - of_rest + coefficient - 1) / coefficient, 0);
    for (int64_t x = std::min(most, sum / coefficient); x >= least; --x) {
      if (++steps_ > kPatience || search(count - 1, sum - x * coefficient)) return true;
    }
    return false;
  }

  std::vector<std::pair<int64_t, int64_t>> terms_;
  std::vector<Rest> rests_;
  int steps_ = 0;
};

}  // namespace

bool share_elements(const Tensor& a, const Tensor& b) {
  if (a.numel() == 0 || b.numel() == 0) return false;
  const bool is_same_memory = a.impl().storage == b.impl().storage;
  if ((a.is_abstract() || b.is_abstract()) && !is_same_memory) return false;
  Equation equation;
  int64_t distance = 0;  // from the first byte of a to the last of b, as if all strides were positive
  const auto add = [&](const Tensor& tensor, int sign) {
    const auto size = static_cast<int64_t>(size_of(tensor.dtype()));
    const auto begin = is_same_memory ? 0 : reinterpret_cast<intptr_t>(tensor.impl().storage->data());
    distance += (begin + tensor.impl().offset * size) * sign;
    equation.add(1, size - 1);
    if (sign > 0) distance += size - 1;
    for (int i = 0; i < tensor.ndim(); ++i) {
      const int64_t stride = tensor.strides()[i] * size, most = tensor.size(i) - 1;
      equation.add(std::abs(stride), most);
      if ((stride < 0) == (sign < 0)) distance += std::abs(stride) * most;
    }
  };
  add(a, -1);
  add(b, 1);
  return equation.has_solution(distance);
}

}  // namespace tidu
