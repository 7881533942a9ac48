// x[key] and x[key] = value, by NumPy's rules: integers, slices, Ellipsis, None, boolean masks, integer
// arrays.
#include "binding.h"
#include "core/bind.h"

namespace tidu::python {
namespace {

// A key in two steps. First a slice of x, of which axes that integers chose go and axes of extent 1 are added
// (the basic part); then, where the key holds arrays, points along some axes of that.
struct Key {
  SliceViewAttrs slice;
  bool whole = true;            // the slice is all of x, before axes go and come
  Tensors arrays;               // of integers
  std::vector<int> array_axes;  // the axis after the basic part that each array indexes
  bool adjacent = true;         // the arrays stand side by side in the key

  bool is_whole() const { return whole && slice.dropped.empty() && slice.added.empty(); }
  // How many axes there are after the basic part.
  int ndim() const { return slice.part.sizes.size() - slice.dropped.size() + slice.added.size(); }
};

bool is_array(PyObject* item) {
  if (PyLong_CheckExact(item) || PySlice_Check(item) || item == Py_None || item == Py_Ellipsis) return false;
  if (is_tensor(item)) {
    const Tensor& index = tensor_of(item);
    // An integer that is not known yet is an index like those of arrays.
    return index.ndim() > 0 || index.dtype() == DType::bool_ || index.is_abstract();
  }
  if (PyBool_Check(item) || PyList_Check(item) || is_numpy_array(item)) return true;
  return PySequence_Check(item) && !PyIndex_Check(item) && !PyUnicode_Check(item) && !PyBytes_Check(item);
}

int64_t to_index(PyObject* item) {
  if (PyLong_CheckExact(item)) {
    const Py_ssize_t value = PyLong_AsSsize_t(item);
    if (value != -1 || !PyErr_Occurred()) return value;
    PyErr_Clear();
  }
  const Py_ssize_t value = PyNumber_AsSsize_t(item, PyExc_OverflowError);
  if (value != -1 || !PyErr_Occurred()) return value;
  const py::error_already_set error;
  if (!error.matches(PyExc_OverflowError)) throw error;
  fail<IndexError>("[index] ", in_words(item), " is out of range for every axis");
}

[[noreturn]] void fail_type(PyObject* item) {
  fail<IndexError>(
      "[index] a tensor is indexed by integers, slices, None, ..., and boolean or integer arrays, not by ",
      py::str(py::type::of(item)).cast<std::string>());
}

Tensor to_array(PyObject* item, const Tensor& x) {
  py::object list;  // of another sequence
  if (PySequence_Check(item) && !PyList_Check(item) && !is_tensor(item) && !PyObject_CheckBuffer(item)) {
    list = py::reinterpret_steal<py::object>(PySequence_List(item));
    if (!list) throw py::error_already_set();
    item = list.ptr();
  }
  if (PyList_Check(item) && PyList_GET_SIZE(item) == 0) return zeros({0}, DType::int64, x.device());
  Tensor array = tensor_from_object(item, {}, x.device());
  if (!array.defined()) fail_type(item);
  if (is_inexact(array.dtype())) {
    fail<IndexError>("[index] index arrays must be integers or booleans, not ", describe(array));
  }
  if (array.device() != x.device()) {
    const Tensor both[] = {x, array};
    fail_on_devices("index", both);
  }
  return array;
}

// Reads a key, without heap memory where it holds no arrays.
class Parser {
 public:
  Parser(const Tensor& x, PyObject* key) : x_(x), single_(key) {
    items_ = PyTuple_Check(key) ? std::span(PySequence_Fast_ITEMS(key), PyTuple_GET_SIZE(key))
                                : std::span(&single_, 1);
    for (size_t i = 0; i < items_.size(); ++i) {
      if (!is_array(items_[i])) continue;
      arrays_.resize(items_.size());
      arrays_[i] = to_array(items_[i], x_);
    }
    expand_ellipsis();
    for (size_t i = 0; i < items_.size(); ++i) add(i);
    while (axis_ < x_.ndim()) keep_axis(0, x_.size(axis_), 1);
  }
  Parser(const Parser&) = delete;

  const Key& key() const { return key_; }

 private:
  bool is_array_at(size_t i) const { return !arrays_.empty() && arrays_[i].defined(); }

  // How many axes of x an item takes.
  int consumed(size_t i) const {
    if (items_[i] == Py_None || items_[i] == Py_Ellipsis) return 0;
    return is_array_at(i) && arrays_[i].dtype() == DType::bool_ ? arrays_[i].ndim() : 1;
  }

  void expand_ellipsis() {
    int taken = 0, ellipses = 0;
    for (size_t i = 0; i < items_.size(); ++i) {
      taken += consumed(i);
      ellipses += items_[i] == Py_Ellipsis;
    }
    if (ellipses > 1) fail<IndexError>("[index] at most one ... is allowed");
    if (taken > x_.ndim()) fail<IndexError>("[index] too many indices: ", taken, " for ", describe(x_));
    ellipsis_extent_ = x_.ndim() - taken;
  }

  void add(size_t position) {
    PyObject* item = items_[position];
    if (item == Py_None) {
      add_axis();
    } else if (item == Py_Ellipsis) {
      for (int i = 0; i < ellipsis_extent_; ++i) keep_axis(0, x_.size(axis_), 1);
    } else if (PySlice_Check(item)) {
      add_slice(item);
    } else if (is_array_at(position)) {
      add_array(arrays_[position], position);
    } else if (PyLong_CheckExact(item) || PyIndex_Check(item)) {
      const int64_t i = to_index(item), extent = x_.size(axis_);
      if (i < -extent || i >= extent) {
        fail<IndexError>("[index] ", i, " is out of range for axis ", axis_, " of ", describe(x_));
      }
      if (!arrays_.empty()) {  // NumPy counts it as an array then
        add_array(full({}, i, DType::int64, x_.device()), position);
      } else {
        key_.slice.dropped.push_back(axis_);
        keep_axis(i < 0 ? i + extent : i, 1, 1);
      }
    } else {
      fail_type(item);
    }
  }

  void add_slice(PyObject* object) {
    Py_ssize_t start, stop, step;
    if (PySlice_Unpack(object, &start, &stop, &step) < 0) throw py::error_already_set();
    const Py_ssize_t count = PySlice_AdjustIndices(x_.size(axis_), &start, &stop, step);
    keep_axis(count == 0 ? 0 : start, count, step);
  }

  void add_array(const Tensor& array, size_t position) {
    if (!key_.arrays.empty() && position != last_array_ + 1) key_.adjacent = false;
    last_array_ = position;
    if (array.dtype() != DType::bool_) {
      point(array);
    } else if (array.ndim() == 0) {  // x[True] is x[None], x[False] has extent 0 there
      add_axis();
      key_.array_axes.push_back(key_.ndim() - 1);
      key_.arrays.push_back(zeros({item<bool>(array) ? 1 : 0}, DType::int64, x_.device()));
    } else {
      for (int i = 0; i < array.ndim(); ++i) {
        // As the array API standard has it, a mask may have no elements along any axis: it takes none.
        if (array.size(i) == x_.size(axis_ + i) || array.size(i) == 0) continue;
        fail<IndexError>("[index] mask ", describe(array), " does not fit ", describe(x_), " at axis ",
                         axis_ + i);
      }
      for (const Tensor& coordinates : nonzero(array)) point(coordinates);
    }
  }

  void point(const Tensor& indices) {
    key_.array_axes.push_back(key_.ndim());
    key_.arrays.push_back(indices);
    keep_axis(0, x_.size(axis_), 1);
  }

  void add_axis() { key_.slice.added.push_back(key_.ndim()); }

  void keep_axis(int64_t start, int64_t count, int64_t step) {
    key_.whole &= start == 0 && step == 1 && count == x_.size(axis_);
    key_.slice.part.starts.push_back(start);
    key_.slice.part.sizes.push_back(count);
    key_.slice.part.steps.push_back(step);
    ++axis_;
  }

  const Tensor& x_;
  PyObject* single_;
  std::span<PyObject* const> items_;
  Tensors arrays_;  // empty, or for each item the array that it is, if it is one
  int ellipsis_extent_ = 0;
  int axis_ = 0;
  size_t last_array_ = 0;
  Key key_;
};

Tensor basic_part(const Tensor& x, const Key& key) {
  if (!key.is_whole()) return slice(x, key.slice);
  return key.arrays.empty() ? alias(x) : x;
}

IndexAttrs points_of(const Key& key) {
  const Axes axes(key.array_axes.begin(), key.array_axes.end());
  return {axes, {}, key.adjacent ? key.array_axes[0] : 0};
}

Tensor value_like(const Tensor& x, PyObject* value) {
  const Argument argument(value, &x);
  if (!argument) {
    throw py::type_error(str("[assign] elements of a tensor cannot be set to ",
                             py::str(py::type::of(value)).cast<std::string>()));
  }
  const Operand operand = argument.operand();
  if (operand.tensor()) return *operand.tensor();
  const Kind kind = operand.scalar_kind();
  if (kind == Kind::complex && !is_complex(x.dtype()))
    return full({}, operand.scalar(), kDefaultComplex, x.device());
  const bool fits = kind != Kind::floating || is_inexact(x.dtype());
  return full({}, operand.scalar(), fits ? x.dtype() : kDefaultFloat, x.device());
}

// `value`, broadcastable to the basic part, in the shape of the slice: without new axes, with those that
// integers chose.
Tensor in_shape_of_slice(const Tensor& value, const Key& key) {
  const auto& [part, dropped, added] = key.slice;
  Tensor trimmed = value;
  while (trimmed.ndim() > key.ndim() && trimmed.size(0) == 1) trimmed = squeeze(trimmed, {0});
  if (dropped.empty() && added.empty()) return trimmed;
  Shape seen;   // by the user, after the basic part
  Axes source;  // for each axis of that the one of x, or -1 where it is new
  for (int axis = 0; seen.size() < key.ndim();) {
    const bool is_new = added.contains(seen.size());
    while (!is_new && dropped.contains(axis)) ++axis;
    seen.push_back(is_new ? 1 : part.sizes[axis]);
    source.push_back(is_new ? -1 : axis++);
  }
  broadcast_to(trimmed, seen);  // an error here names the shape that the user sees
  Shape shape(part.sizes.size(), 1);
  const int missing = seen.size() - trimmed.ndim();
  for (int i = 0; i < trimmed.ndim(); ++i) {
    const auto axis = static_cast<int>(source[missing + i]);
    if (axis >= 0) shape[axis] = trimmed.size(i);
  }
  return reshape(trimmed, shape);
}

// Whether x[mask] gets one value, or one row of them, whatever the mask holds. Of few rows positions take
// less time, if they can be known.
bool needs_no_positions(const Tensor& x, const Tensor& mask, const Tensor& value) {
  const int rest = x.ndim() - mask.ndim();
  if (mask.dtype() != DType::bool_ || rest < 0 || (rest > 0 && !mask.is_abstract()) || value.ndim() > rest ||
      (is_inexact(value.dtype()) && !is_inexact(x.dtype())))
    return false;
  for (int i = 0; i < mask.ndim(); ++i) {
    if (mask.size(i) != x.size(i)) return false;
  }
  for (int i = 1; i <= value.ndim(); ++i) {
    if (value.size(-i) != 1 && value.size(-i) != x.size(-i)) return false;
  }
  return true;
}

}  // namespace

Tensor get_item(const Tensor& x, PyObject* key_object) {
  if (PyLong_CheckExact(key_object) && x.ndim() > 0) {  // the usual key needs no reading
    const int64_t i = to_index(key_object), extent = x.size(0);
    if (-extent <= i && i < extent) return select(x, 0, i);
  }
  const Parser parser(x, key_object);
  const Key& key = parser.key();
  const Tensor view = basic_part(x, key);
  return key.arrays.empty() ? view : gather(view, key.arrays, points_of(key));
}

void set_item(Tensor& x, PyObject* key_object, PyObject* value_object) {
  const Tensor value = value_like(x, value_object);
  if (is_tensor(key_object) && needs_no_positions(x, tensor_of(key_object), value)) {
    Tensor mask = tensor_of(key_object);
    while (mask.ndim() < x.ndim()) mask = expand_dims(mask, -1);
    assign(x, where(mask, astype(value, x.dtype()), x));
    return;
  }
  const Parser parser(x, key_object);
  const Key& key = parser.key();
  if (key.arrays.empty()) {
    assign_slice(x, in_shape_of_slice(value, key), key.slice.part.starts, key.slice.part.sizes,
                 key.slice.part.steps);
    return;
  }
  if (key.is_whole()) {
    assign_points(x, value, key.arrays, points_of(key));
    return;
  }
  Tensor view = basic_part(x, key);
  assign_points(view, value, key.arrays, points_of(key));
  assign_slice(x, in_shape_of_slice(view, key), key.slice.part.starts, key.slice.part.sizes,
               key.slice.part.steps);
}

}  // namespace tidu::python
