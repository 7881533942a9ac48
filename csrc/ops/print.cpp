// Tensors as text.
#include "ops/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ostream>

#include "ops/creation.h"

namespace tidu {
namespace {

constexpr int64_t kMany = 1000, kEdge = 3;

template <class T> std::string text_of(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "true" : "false";
  } else if constexpr (std::is_same_v<T, float16> || std::is_same_v<T, bfloat16>) {
    if (std::isnan(static_cast<float>(value))) return "nan";
    char text[32];  // five digits tell them apart
    const auto end =
        std::to_chars(text, text + sizeof text, static_cast<float>(value), std::chars_format::general, 5);
    return {text, end.ptr};
  } else {
    if constexpr (std::is_floating_point_v<T>) {
      if (std::isnan(value)) return "nan";
    }
    char text[32];
    return {text, std::to_chars(text, text + sizeof text, value).ptr};
  }
}

class Printer {
 public:
  Printer(std::ostream& out, const Tensor& tensor)
      : out_(out), tensor_(tensor), summarised_(tensor.numel() > kMany) {
    bytes_.resize(tensor.nbytes());
    copy_to_host(tensor, bytes_.data());
    visit(0, 0, [&](int64_t element) { width_ = std::max(width_, text(element).size()); });
  }

  void print() {
    out_ << "tensor(";
    print(0, 0);
    if (tensor_.numel() == 0) out_ << ", shape " << tensor_.shape();
    out_ << ", " << tensor_.dtype() << ' ' << tensor_.device() << ')';
  }

 private:
  std::string text(int64_t element) const {
    const DType dtype = tensor_.dtype();
    if (!is_complex(dtype)) return number(dtype, element);
    const std::string imaginary = number(part_of(dtype), 2 * element + 1);
    return number(part_of(dtype), 2 * element) + (imaginary[0] == '-' ? "" : "+") + imaginary + "j";
  }
  std::string number(DType dtype, int64_t element) const {
    return visit_dtype(dtype, [&]<class T>() {
      T value;
      std::memcpy(&value, bytes_.data() + element * sizeof(T), sizeof(T));
      return text_of(value);
    });
  }

  // Calls f(i) for the indices along an axis that are shown, -1 standing for those that are not.
  template <class F> void shown(int axis, const F& f) const {
    const int64_t extent = tensor_.size(axis);
    if (!summarised_ || extent <= 2 * kEdge) {
      for (int64_t i = 0; i < extent; ++i) f(i);
      return;
    }
    for (int64_t i = 0; i < kEdge; ++i) f(i);
    f(-1);
    for (int64_t i = extent - kEdge; i < extent; ++i) f(i);
  }

  template <class F> void visit(int axis, int64_t first, const F& f) const {
    if (axis == tensor_.ndim()) return f(first);
    shown(axis, [&](int64_t i) {
      if (i >= 0) visit(axis + 1, first * tensor_.size(axis) + i, f);
    });
  }

  void print(int axis, int64_t first) {
    if (axis == tensor_.ndim()) {
      const std::string value = text(first);
      out_ << std::string(tensor_.ndim() ? width_ - value.size() : 0, ' ') << value;
      return;
    }
    const bool innermost = axis + 1 == tensor_.ndim();
    const std::string between =
        innermost ? ", "
                  : "," + std::string(static_cast<size_t>(tensor_.ndim() - 1 - axis), '\n') +
                        std::string(sizeof "tensor(" + static_cast<size_t>(axis), ' ');
    bool is_first = true;
    out_ << '[';
    shown(axis, [&](int64_t i) {
      if (!std::exchange(is_first, false)) out_ << between;
      if (i < 0) {
        out_ << "...";
      } else {
        print(axis + 1, first * tensor_.size(axis) + i);
      }
    });
    out_ << ']';
  }

  std::ostream& out_;
  const Tensor& tensor_;
  const bool summarised_;
  std::vector<char> bytes_;
  size_t width_ = 0;
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  if (!tensor.defined() || tensor.is_abstract()) return out << "tensor(" << describe(tensor) << ')';
  Printer(out, tensor).print();
  return out;
}

}  // namespace tidu
