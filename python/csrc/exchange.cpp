// Memory shared with other libraries: the buffer protocol (NumPy) and DLPack, both ways.
#include "binding.h"
#include "core/bind.h"
#include "cuda/driver.h"
#include "cuda/stream.h"
#include "dlpack.h"
#include "ops/assign_all.h"

namespace tidu::python {
namespace {

// --- Buffers

const char* format_of(DType dtype) {
  constexpr const char* kFormats[kDTypeCount] = {"?", "b", "h",     "i", "q", "B",  "H", "I",
                                                 "Q", "e", nullptr, "f", "d", "Zf", "Zd"};
  return kFormats[static_cast<int>(dtype)];
}

std::optional<DType> dtype_of_format(const char* format, Py_ssize_t itemsize) {
  std::string_view code = format ? format : "B";
  if (!code.empty() && (code[0] == '@' || code[0] == '=' || code[0] == '<')) code.remove_prefix(1);
  if (code == "Zf") return DType::complex64;
  if (code == "Zd") return DType::complex128;
  if (code.size() != 1) return {};
  // 'l' and 'q' are both of 8 bytes here, so the size decides.
  const auto sized = [&](DType one, DType two, DType four, DType eight) {
    return itemsize == 1 ? one : itemsize == 2 ? two : itemsize == 4 ? four : eight;
  };
  switch (code[0]) {
    case '?': return DType::bool_;
    case 'b':
    case 'h':
    case 'i':
    case 'l':
    case 'q':
    case 'n': return sized(DType::int8, DType::int16, DType::int32, DType::int64);
    case 'B':
    case 'H':
    case 'I':
    case 'L':
    case 'Q':
    case 'N': return sized(DType::uint8, DType::uint16, DType::uint32, DType::uint64);
    case 'e': return DType::float16;
    case 'f': return DType::float32;
    case 'd': return DType::float64;
    default: return {};
  }
}

// Another owner of its memory, which nobody may take then.
Tensor held(const Tensor& x) { return x.view(x.shape(), x.strides(), x.impl().offset); }

// What a buffer view of a tensor keeps alive.
struct BufferState {
  Tensor tensor;
  Py_ssize_t shape[kMaxRank], strides[kMaxRank];
};

bool has_shared_elements(const Tensor& x) {
  for (int i = 0; i < x.ndim(); ++i) {
    if (x.size(i) > 1 && x.strides()[i] == 0 && x.numel() > 0) return true;
  }
  return false;
}

// Others may write through a view only where no derivative relies on the value.
bool may_be_written(const Tensor& x) {
  return x.impl().storage->writable() && !x.impl().links && !has_shared_elements(x);
}

void check_on_host(const Tensor& x, const char* op) {
  if (x.device().type != DeviceType::cpu) {
    fail<DeviceError>("[", op, "] ", describe(x), " is not in the host's memory (use cpu() first)");
  }
}

// --- DLPack

dlpack::Device to_dlpack(Device device) {
  return {device.type == DeviceType::cpu ? dlpack::kCpu : dlpack::kCuda, device.index};
}

dlpack::DataType to_dlpack(DType dtype) {
  const auto bits = static_cast<uint8_t>(8 * size_of(dtype));
  if (dtype == DType::bool_) return {dlpack::kBool, 8, 1};
  if (dtype == DType::bfloat16) return {dlpack::kBfloat, 16, 1};
  if (is_floating(dtype)) return {dlpack::kFloat, bits, 1};
  if (is_complex(dtype)) return {dlpack::kComplex, bits, 1};
  return {kind_of(dtype) == Kind::signed_integer ? dlpack::kInt : dlpack::kUInt, bits, 1};
}

DType from_dlpack_type(dlpack::DataType type) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto [code, bits, lanes] = to_dlpack(static_cast<DType>(i));
    if (code == type.code && bits == type.bits && lanes == type.lanes) return static_cast<DType>(i);
  }
  fail<DTypeError>("[from_dlpack] no dtype has DLPack's code ", static_cast<int>(type.code), " with ",
                   static_cast<int>(type.bits), " bits and ", type.lanes, " lanes");
}

struct ExportState {
  Tensor tensor;
  int64_t shape[kMaxRank], strides[kMaxRank];
};

dlpack::Array describe_array(ExportState& state) {
  const Tensor& x = state.tensor;
  std::copy(x.shape().begin(), x.shape().end(), state.shape);
  std::copy(x.strides().begin(), x.strides().end(), state.strides);
  return {x.raw_data(), to_dlpack(x.device()), x.ndim(), to_dlpack(x.dtype()), state.shape, state.strides, 0};
}

// What others may still be doing with memory on a device is not ours to know.
void finish(Device device) noexcept {
  if (device.type == DeviceType::cuda && device.index < cuda::device_count()) {
    cuda::driver(device.index).finish(device.index);
  }
}

template <class M> void delete_managed(M* managed) {
  auto* state = static_cast<ExportState*>(managed->context);
  finish(state->tensor.device());
  delete state;
  delete managed;
}

// A capsule that nobody has taken over still owns its content.
template <class M> py::object make_capsule(M* managed, const char* name) {
  PyObject* capsule = PyCapsule_New(managed, name, [](PyObject* self) {
    const char* held = PyCapsule_GetName(self);
    if (held && !std::string_view(held).starts_with("used_")) {
      auto* content = static_cast<M*>(PyCapsule_GetPointer(self, held));
      if (content->deleter) content->deleter(content);
    }
  });
  if (!capsule) {
    managed->deleter(managed);
    throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(capsule);
}

py::object export_dlpack(const Tensor& x, const py::object& stream,
                         const std::optional<std::pair<int, int>>& max_version,
                         const std::optional<std::pair<int, int>>& device, std::optional<bool> copy_wanted) {
  check_escape(x, "__dlpack__");
  const dlpack::Device own = to_dlpack(x.device());
  if (device && *device != std::pair<int, int>(own.type, own.index)) {
    if (*device != std::pair<int, int>(dlpack::kCpu, 0) || copy_wanted == false) {
      throw py::buffer_error(str("[__dlpack__] ", describe(x), " can be exported to its own device",
                                 own.type == dlpack::kCpu ? "" : " or, as a copy, to the cpu", " only"));
    }
    return export_dlpack(stop_gradient(to(x, Device{})), py::none(), max_version, {}, {});
  }
  if (own.type == dlpack::kCpu) {
    if (!stream.is_none()) fail<ValueError>("[__dlpack__] a tensor on cpu has no stream: pass None");
  } else if (cuda::is_emulated()) {
    throw py::buffer_error(str("[__dlpack__] ", describe(x),
                               " is not in a GPU's memory but in an emulation's (use cpu() first)"));
  } else if (stream.is_none() || stream.cast<int64_t>() != -1) {  // -1: the reader will wait by other means
    cuda::driver(own.index).synchronize_queue(own.index, x.impl().storage->queue());
  }
  const bool versioned = max_version && max_version->first >= 1;
  const bool writable = may_be_written(x);
  if (!versioned && !writable && copy_wanted == false) {
    throw py::buffer_error(
        str("[__dlpack__] ", describe(x),
            " is read-only, which only DLPack 1.0 can say (pass max_version=(1, 0) or copy=True)"));
  }
  const bool copied = copy_wanted.value_or(!versioned && !writable);
  auto state = std::make_unique<ExportState>(ExportState{copied ? stop_gradient(copy(x)) : held(x), {}, {}});
  const dlpack::Array array = describe_array(*state);
  if (!versioned) {
    auto* managed = new dlpack::Managed{array, state.release(), delete_managed<dlpack::Managed>};
    return make_capsule(managed, dlpack::kName);
  }
  const uint64_t flags = (copied ? dlpack::kCopied : 0) | (copied || writable ? 0 : dlpack::kReadOnly);
  auto* managed = new dlpack::ManagedVersioned{
      {1, 0}, state.release(), delete_managed<dlpack::ManagedVersioned>, flags, array};
  return make_capsule(managed, dlpack::kVersionedName);
}

// Where the memory of a capsule is.
Device from_dlpack(dlpack::Device device) {
  if (device.type == dlpack::kCpu || device.type == dlpack::kCudaHost) return {};
  if (device.type == dlpack::kCuda && device.index < cuda::device_count() && !cuda::is_emulated()) {
    return {DeviceType::cuda, static_cast<int8_t>(device.index)};
  }
  fail<DeviceError>("[from_dlpack] the capsule's memory is on DLPack device type ", device.type, " number ",
                    device.index, ", which is not available here (copy it to the cpu first)");
}

template <class M> Tensor take_over(M* managed, bool writable) {
  const std::shared_ptr<void> owner(managed, [](void* held) {
    auto* content = static_cast<M*>(held);
    const dlpack::Device device = content->array.device;
    if (device.type == dlpack::kCuda) finish({DeviceType::cuda, static_cast<int8_t>(device.index)});
    if (content->deleter) from_destructor([&] { content->deleter(content); });
  });
  const dlpack::Array& array = managed->array;
  const Device device = from_dlpack(array.device);
  const DType dtype = from_dlpack_type(array.dtype);
  if (array.ndim < 0 || (array.ndim > 0 && !array.shape))
    fail<ValueError>("[from_dlpack] the capsule has no shape");
  const Shape shape(array.shape, array.shape + array.ndim);
  for (int64_t extent : shape) {
    if (extent < 0) fail<ValueError>("[from_dlpack] the capsule's shape ", shape, " is negative");
  }
  num_elements(shape);
  Strides strides = contiguous_strides(shape);
  if (array.strides) strides = Strides(array.strides, array.strides + array.ndim);
  char* data = static_cast<char*>(array.data) + array.byte_offset;
  if (!array.data && num_elements(shape) > 0) fail<ValueError>("[from_dlpack] the capsule has no memory");
  const Tensor tensor = Tensor::from_memory(data, shape, strides, dtype, owner, device, writable);
  if (device.type == DeviceType::cuda) {
    tensor.impl().storage->set_queue(cuda::driver(device.index).current_queue(device.index));
  }
  const bool aligned = reinterpret_cast<uintptr_t>(data) % size_of(dtype) == 0;
  if (!aligned) fail<ValueError>("[from_dlpack] the capsule's memory is not aligned to its dtype ", dtype);
  return tensor;
}

Tensor import_capsule(PyObject* capsule) {
  const char* name = PyCapsule_GetName(capsule);
  const std::string_view found = name ? name : "";
  const auto rename = [&](const char* used) {
    if (PyCapsule_SetName(capsule, used) != 0) throw py::error_already_set();
  };
  if (found == dlpack::kVersionedName) {
    auto* managed = static_cast<dlpack::ManagedVersioned*>(PyCapsule_GetPointer(capsule, name));
    if (managed->version.major != 1) {
      throw py::buffer_error(str("[from_dlpack] the capsule is of DLPack version ", managed->version.major,
                                 ".", managed->version.minor, "; versions 1.x are understood"));
    }
    rename(dlpack::kUsedVersionedName);
    return take_over(managed, !(managed->flags & dlpack::kReadOnly));
  }
  if (found == dlpack::kName) {
    auto* managed = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, name));
    rename(dlpack::kUsedName);
    return take_over(managed, true);
  }
  if (found == dlpack::kUsedName || found == dlpack::kUsedVersionedName) {
    fail<ValueError>("[from_dlpack] the capsule was used already: each can be taken over once");
  }
  fail<ValueError>("[from_dlpack] not a DLPack capsule: its name is '", found, "'");
}

Tensor import_dlpack(const py::object& object, const std::optional<Device>& device,
                     std::optional<bool> copy_wanted) {
  Tensor result;
  if (PyCapsule_CheckExact(object.ptr())) {
    result = import_capsule(object.ptr());
  } else if (!py::hasattr(object, "__dlpack__")) {
    throw py::type_error(str("[from_dlpack] needs an object with __dlpack__ or a capsule, not ",
                             py::str(py::type::of(object)).cast<std::string>()));
  } else {
    py::object capsule;
    try {
      py::dict arguments;
      arguments["max_version"] = py::make_tuple(1, 0);
      if (copy_wanted) arguments["copy"] = *copy_wanted;
      if (py::hasattr(object, "__dlpack_device__")) {
        const auto [type, index] = object.attr("__dlpack_device__")().cast<std::pair<int, int>>();
        if (type == dlpack::kCuda) {  // the stream that will use the memory
          from_dlpack({type, index});
          arguments["stream"] = reinterpret_cast<intptr_t>(cuda::Stream::current(index).native());
        }
      }
      capsule = object.attr("__dlpack__")(**arguments);
    } catch (py::error_already_set& error) {
      if (!error.matches(PyExc_TypeError)) throw;
      capsule = object.attr("__dlpack__")();  // an exporter from before DLPack 1.0
    }
    if (!PyCapsule_CheckExact(capsule.ptr())) {
      throw py::type_error("[from_dlpack] the object's __dlpack__ did not return a capsule");
    }
    result = import_capsule(capsule.ptr());
  }
  if (device) result = to(result, *device);
  return copy_wanted == true ? copy(result) : result;
}

}  // namespace

int get_buffer(PyObject* self, Py_buffer* view, int flags) {
  view->obj = nullptr;
  const auto check = [&] {
    check_escape(tensor_of(self), "buffer");
    return 0;
  };
  if (guarded(-1, check) != 0) return -1;
  try {
    const Tensor& x = tensor_of(self);
    check_on_host(x, "buffer");
    const char* format = format_of(x.dtype());
    if (!format) fail<DTypeError>("[buffer] NumPy has no ", x.dtype(), " (use astype first)");
    const bool read_only = !may_be_written(x);
    if (read_only && (flags & PyBUF_WRITABLE)) fail<ValueError>("[buffer] ", describe(x), " is read-only");
    if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES && !x.is_contiguous()) {
      fail<ValueError>("[buffer] ", describe(x), " is not contiguous");
    }
    if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS && !x.is_contiguous()) {
      fail<ValueError>("[buffer] ", describe(x), " is not contiguous");
    }
    auto state = std::make_unique<BufferState>(BufferState{held(x), {}, {}});
    const auto itemsize = static_cast<Py_ssize_t>(size_of(x.dtype()));
    for (int i = 0; i < x.ndim(); ++i) {
      state->shape[i] = x.shape()[i];
      state->strides[i] = x.strides()[i] * itemsize;
    }
    static char nothing[8];  // an empty tensor may have no memory, but a buffer needs an address
    view->buf = x.numel() > 0 ? x.raw_data() : nothing;
    view->len = static_cast<Py_ssize_t>(x.nbytes());
    view->itemsize = itemsize;
    view->readonly = read_only;
    view->ndim = x.ndim();
    view->format = flags & PyBUF_FORMAT ? const_cast<char*>(format) : nullptr;
    view->shape = flags & PyBUF_ND ? state->shape : nullptr;
    view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? state->strides : nullptr;
    view->suboffsets = nullptr;
    view->internal = state.release();
    view->obj = self;
    Py_INCREF(self);
    return 0;
  } catch (const std::bad_alloc&) { set_python_error(); } catch (const std::exception& error) {
    PyErr_SetString(PyExc_BufferError, error.what());
  }
  return -1;
}

void release_buffer(PyObject*, Py_buffer* view) { delete static_cast<BufferState*>(view->internal); }

Tensor tensor_from_buffer(PyObject* object, bool copy) {
  const py::handle handle(object);
  if (is_numpy_array(object) && handle.attr("dtype").attr("name").cast<std::string>() == "bfloat16") {
    const Tensor bits = tensor_from_buffer(handle.attr("view")("uint16").ptr(), copy);
    return Tensor::from_memory(bits.raw_data(), bits.shape(), bits.strides(), DType::bfloat16,
                               std::make_shared<Tensor>(bits), {}, bits.impl().storage->writable());
  }
  auto* view = new Py_buffer;
  if (PyObject_GetBuffer(object, view, PyBUF_FULL_RO) != 0) {
    delete view;
    throw py::error_already_set();
  }
  const std::shared_ptr<void> owner(view, [](void* held) {
    from_destructor([&] { PyBuffer_Release(static_cast<Py_buffer*>(held)); });
    delete static_cast<Py_buffer*>(held);
  });
  const auto dtype = dtype_of_format(view->format, view->itemsize);
  if (!dtype) {
    if (is_numpy_array(object) && handle.attr("dtype").attr("isnative").cast<bool>() == false) {
      const py::object native = handle.attr("astype")(handle.attr("dtype").attr("newbyteorder")("="));
      return tensor_from_buffer(native.ptr(), copy);
    }
    fail<DTypeError>("[tensor] no dtype for elements of format '", view->format ? view->format : "", "'",
                     is_numpy_array(object)
                         ? str(" (numpy dtype ", py::str(handle.attr("dtype")).cast<std::string>(), ")")
                         : "");
  }
  Shape shape;
  Strides strides;
  bool usable = reinterpret_cast<uintptr_t>(view->buf) % view->itemsize == 0 && !view->suboffsets;
  for (int i = 0; i < view->ndim; ++i) {
    shape.push_back(view->shape[i]);
    strides.push_back(view->strides[i] / view->itemsize);
    usable &= view->strides[i] % view->itemsize == 0 || view->shape[i] < 2;
  }
  if (!copy) {
    if (!usable)
      fail<ValueError>("[from_numpy] memory that is not aligned to ", *dtype, " cannot be shared (copy it)");
    return Tensor::from_memory(view->buf, shape, strides, *dtype, owner, {}, !view->readonly);
  }
  Tensor result = Tensor::empty(shape, *dtype);
  if (result.numel() > 0 && PyBuffer_ToContiguous(result.raw_data(), view, view->len, 'C') != 0) {
    throw py::error_already_set();
  }
  return result;
}

// Nested lists of the elements of one axis after another; `next` walks the row-major elements.
py::object nested_list(const Tensor& x, int axis, const char*& next) {
  if (axis == x.ndim()) {
    const char* value = next;
    next += size_of(x.dtype());
    return element_to_python(value, x.dtype());
  }
  py::list result(x.size(axis));
  for (int64_t i = 0; i < x.size(axis); ++i) {
    PyList_SET_ITEM(result.ptr(), i, nested_list(x, axis + 1, next).release().ptr());
  }
  return result;
}

py::bytes to_bytes(const Tensor& x) {
  py::bytes result(nullptr, x.nbytes());
  copy_to_host(x, PyBytes_AS_STRING(result.ptr()));
  return result;
}

py::object to_list(const Tensor& x) {
  const py::bytes bytes = to_bytes(x);
  const char* next = PyBytes_AS_STRING(bytes.ptr());
  return nested_list(x, 0, next);
}

py::object to_number(const Tensor& x) {
  if (x.numel() != 1) fail<ShapeError>("[item] needs one element, not ", describe(x));
  alignas(16) char value[16];
  copy_to_host(x, value);
  return element_to_python(value, x.dtype());
}

Tensor from_bytes(const py::buffer& bytes, const Shape& shape, DType dtype, Device device) {
  const py::buffer_info held = bytes.request();
  const auto size = static_cast<size_t>(held.size * held.itemsize);
  if (size != static_cast<size_t>(num_elements(shape)) * size_of(dtype)) {
    fail<ValueError>("[from_bytes] ", size, " bytes are not ", dtype, shape);
  }
  return copy_from_host(static_cast<const char*>(held.ptr), shape, dtype, device);
}

void write_bytes(const Tensor& x, const py::buffer& bytes) {
  const py::buffer_info held = bytes.request(true);
  if (held.size * held.itemsize < static_cast<py::ssize_t>(x.nbytes())) {
    fail<ValueError>("[write_bytes] ", describe(x), " does not fit ", held.size * held.itemsize, " bytes");
  }
  copy_to_host(x, static_cast<char*>(held.ptr));
}

void bind_exchange(py::module_& m) {
  m.def(
      "from_numpy",
      [](const py::object& array) {
        if (!PyObject_CheckBuffer(array.ptr()))
          throw py::type_error("[from_numpy] takes an array or another buffer, not " + name_of_type(array));
        return tensor_from_buffer(array.ptr(), false);
      },
      py::arg("array"),
      "A tensor in the memory of a NumPy array (or anything with the buffer protocol), which both then see.");
  example("from_numpy",
          "import numpy as np\n"
          "td.from_numpy(np.array([1.0, 2.0]))",
          "tensor([1., 2.], dtype=float64)");
  m.def("from_dlpack", &import_dlpack, py::arg("x"), py::kw_only(), py::arg("device") = py::none(),
        py::arg("copy") = py::none(),
        "A tensor in the memory of another library's array, through its __dlpack__ or a capsule.");
  example("from_dlpack",
          "import numpy as np\n"
          "td.from_dlpack(np.array([1.0, 2.0]))",
          "tensor([1., 2.], dtype=float64)");
  m.def("_to_bytes", &to_bytes, py::arg("x"), "The elements in row-major order.");
  m.def("_write_bytes", &write_bytes, py::arg("x"), py::arg("bytes"),
        "Puts the elements in row-major order into a buffer.");
  m.def("_from_bytes", &from_bytes, py::arg("data"), py::arg("shape"), py::arg("dtype"),
        py::arg("device") = Device{}, "A tensor of row-major elements.");
  m.def(
      "_storage",
      [](const Tensor& x) {
        const Storage& storage = *x.impl().storage;
        const auto count = static_cast<int64_t>(storage.bytes() / size_of(x.dtype()));
        int64_t low = x.impl().offset, high = low;
        for (int i = 0; i < x.ndim(); ++i) {
          const int64_t reach = x.strides()[i] * std::max<int64_t>(x.size(i) - 1, 0);
          (reach < 0 ? low : high) += reach;
        }
        const bool inside = low >= 0 && high < count && !storage.is_number();
        return inside ? py::make_tuple(reinterpret_cast<uintptr_t>(&storage), x.view({count}, {1}, 0),
                                       x.impl().offset)
                      : py::none().cast<py::object>();
      },
      py::arg("x"),
      "What tells the memory of x from others', all of it as a vector, and where x begins; or None.");
  m.def(
      "_view",
      [](const Tensor& x, const Shape& shape, const Strides& strides, int64_t offset) {
        return x.view(shape, strides, offset);
      },
      py::arg("x"), py::arg("shape"), py::arg("strides"), py::arg("offset"),
      "A view of a vector, unchecked.");
  m.def("_assign_all", &assign_all, py::arg("places"), py::arg("values"),
        "Writes values into tensors as if all were read before anything is written.");
  m.def(
      "_is_abstract", [](const Tensor& x) { return x.is_abstract(); }, "Whether x has a shape but no value.");
  m.def("_is_seen", &is_seen, "Whether a trace or a watch might look at a call of x.");
  const py::handle type(reinterpret_cast<PyObject*>(tensor_type));
  type.attr("item") = py::cpp_function(&to_number, py::name("item"), py::is_method(type),
                                       "The one element as a Python number.");
  type.attr("tolist") = py::cpp_function(&to_list, py::name("tolist"), py::is_method(type),
                                         "The elements as Python numbers in nested lists.");
  type.attr("__dlpack__") = py::cpp_function(
      &export_dlpack, py::name("__dlpack__"), py::is_method(type), py::kw_only(),
      py::arg("stream") = py::none(), py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
      py::arg("copy") = py::none(),
      "A DLPack capsule of this tensor's memory: versioned where max_version allows, else the old one.");
  type.attr("__dlpack_device__") = py::cpp_function(
      [](const Tensor& x) {
        const dlpack::Device device = to_dlpack(x.device());
        return py::make_tuple(device.type, device.index);
      },
      py::name("__dlpack_device__"), py::is_method(type));
}

}  // namespace tidu::python
