// Arithmetic of shapes.
#include "base/shape.h"

namespace tidu {

Axes all_axes(int rank) {
  Axes axes;
  for (int i = 0; i < rank; ++i) axes.push_back(i);
  return axes;
}

int64_t num_elements(const Shape& shape) {
  int64_t count = 1;
  bool empty = false, negative = false, too_many = false;
  for (int64_t extent : shape) {
    empty |= extent == 0;
    negative |= extent < 0;
    too_many |= __builtin_mul_overflow(count, extent, &count);
  }
  if (empty) return 0;  // and the other dimensions may be of any size
  if (negative) fail<ShapeError>("negative dimension in shape ", shape);
  if (too_many) fail<ShapeError>("shape ", shape, " has more than 2^63 elements");
  return count;
}

Strides contiguous_strides(const Shape& shape) {
  Strides strides(shape.size(), 1);
  for (int i = shape.size() - 2; i >= 0; --i)
    strides[i] = strides[i + 1] * std::max<int64_t>(shape[i + 1], 1);
  return strides;
}

int64_t lay_out(const Shape& shape, Strides& strides) {
  strides = shape;
  int64_t count = 1;
  bool empty = false, wrong = false;
  for (int i = shape.size() - 1; i >= 0; --i) {
    const int64_t extent = shape[i];
    strides[i] = count;
    empty |= extent == 0;
    wrong |= extent < 0 || __builtin_mul_overflow(count, std::max<int64_t>(extent, 1), &count);
  }
  return wrong ? num_elements(shape) : empty ? 0 : count;
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const char* op) {
  if (a == b) return a;
  Shape result(std::max(a.size(), b.size()), 1);
  for (int i = 1; i <= result.size(); ++i) {
    const int64_t x = i <= a.size() ? a[a.size() - i] : 1, y = i <= b.size() ? b[b.size() - i] : 1;
    if (x != y && x != 1 && y != 1) {
      fail<ShapeError>("[", op, "] shapes ", a, " and ", b, " cannot be broadcast together: ", x, " != ", y,
                       " in dimension -", i,
                       " (each pair of dimensions, from the last, must be equal or contain a 1)");
    }
    result[result.size() - i] = x == 1 ? y : x;
  }
  return result;
}

int normalize_axis(int64_t axis, int rank, const char* op) {
  if (axis < -rank || axis >= rank)
    fail<IndexError>("[", op, "] axis ", axis, " is out of range for a tensor with ", rank, " dimensions");
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Axes normalize_axes(const Axes& axes, int rank, const char* op) {
  Axes result;
  for (int64_t axis : axes) result.push_back(normalize_axis(axis, rank, op));
  std::sort(result.begin(), result.end());
  if (std::adjacent_find(result.begin(), result.end()) != result.end())
    fail<ValueError>("[", op, "] axes ", axes, " name one axis twice");
  return result;
}

std::ostream& operator<<(std::ostream& out, const Dims& dims) {
  out << '(';
  for (int i = 0; i < dims.size(); ++i) out << (i ? ", " : "") << dims[i];
  return out << (dims.size() == 1 ? ",)" : ")");
}

}  // namespace tidu
