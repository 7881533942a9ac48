// Tensor: a handle to a strided view of a storage. Copies of a handle are the same tensor.
#pragma once

#include <memory>
#include <vector>

#include "base/dtype.h"
#include "base/pooled.h"
#include "base/shape.h"
#include "tensor/storage.h"

namespace tidu {

class Tensor;
using Tensors = std::vector<Tensor>;

// All that is known of a tensor before it has a value.
struct Spec {
  Shape shape;
  DType dtype = kDefaultFloat;
  Device device;

  bool operator==(const Spec&) const = default;
};

// Writes "float32(64, 784) cpu".
std::ostream& operator<<(std::ostream& out, const Spec& spec);

// What one live trace (identified by a number that grows with nesting) knows of a tensor: the tape its node
// and output number, forward mode its tangent, the recorder its variable.
struct Link : Pooled<Link> {
  uint64_t trace;
  Ref<RefCounted> value;
  int index;
  std::unique_ptr<Link> next;  // links of outer traces, so the newest comes first
  Ref<RefCounted> owned;       // what goes with the tensors that have the link: graphs keep none of it
};

struct TensorImpl : RefCounted, Pooled<TensorImpl>, Spec {
  Ref<Storage> storage;  // may be null where there is no value
  uint64_t version = 0;  // of the storage, when this tensor's value was defined
  std::unique_ptr<Link> links;
  int64_t numel = 0;
  int64_t offset = 0;  // in elements
  bool contiguous = true;
  bool wrote = false;  // whether a write through this tensor, which its links know of, made this version
  Strides strides;     // last, since calls look at the others more often

  Link* link(uint64_t trace) const {
    for (Link* link = links.get(); link; link = link->next.get()) {
      if (link->trace == trace) return link;
    }
    return nullptr;
  }
};

class Tensor {
 public:
  // No tensor at all: an absent gradient, an optional argument left out. It has no shape, and no operation
  // takes it.
  Tensor() = default;
  explicit Tensor(Ref<TensorImpl> impl) : impl_(std::move(impl)) {}

  // A new uninitialised row-major tensor on a device.
  static Tensor empty(const Shape& shape, DType dtype, Device device = {});
  // A tensor without storage: shape, dtype and device alone.
  static Tensor abstract(const Shape& shape, DType dtype, Device device = {});
  // An abstract tensor that has memory, as far as views and writes are concerned, but not yet a value: what a
  // program is recorded with.
  static Tensor unknown(const Shape& shape, DType dtype, Device device = {});
  // Memory of somebody else, kept alive by `owner`; strides in elements.
  static Tensor from_memory(void* data, const Shape& shape, const Strides& strides, DType dtype,
                            std::shared_ptr<void> owner, Device device = {}, bool writable = true);

  // A 0-d tensor whose value kernels are given by value, so that it costs no memory and no work on its
  // device. Nobody's result: only operations on it are.
  static Tensor number(const void* value, DType dtype, Device device);

  bool defined() const { return static_cast<bool>(impl_); }
  explicit operator bool() const { return defined(); }
  // Whether there is a shape but no value.
  bool is_abstract() const { return !impl().storage || impl().storage->is_unknown(); }
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }

  const Spec& spec() const { return impl(); }
  const Shape& shape() const { return impl().shape; }
  int64_t size(int axis) const {
    const int i = axis < 0 ? axis + ndim() : axis;
    if (i < 0 || i >= ndim()) [[unlikely]]
      fail_axis(axis);
    return impl().shape[i];
  }
  const Strides& strides() const { return impl().strides; }
  int ndim() const { return impl().shape.size(); }
  int64_t numel() const { return impl().numel; }
  DType dtype() const { return impl().dtype; }
  Device device() const { return impl().device; }
  size_t nbytes() const { return static_cast<size_t>(numel()) * size_of(dtype()); }
  bool is_contiguous() const { return impl().contiguous; }

  // The first element's address, on the tensor's device. The typed form checks the dtype.
  void* raw_data() const {
    return static_cast<char*>(impl().storage->data()) +
           impl().offset * static_cast<int64_t>(size_of(dtype()));
  }
  template <class T> T* data() const {
    if (dtype_of<T> != dtype()) fail<DTypeError>("data<", dtype_of<T>, ">() of a tensor of ", dtype());
    return static_cast<T*>(raw_data());
  }

  // A view of the same storage; offset in elements. The caller has checked that it lies inside.
  Tensor view(const Shape& shape, const Strides& strides, int64_t offset) const {
    return view(shape, strides, offset, dtype());
  }
  // The same with the memory seen as elements of another dtype, in whose elements strides and offset are.
  Tensor view(const Shape& shape, const Strides& strides, int64_t offset, DType dtype) const;
  // A complex tensor as the real one of its parts: a last axis more, of the real and the imaginary part.
  Tensor parts() const;

  // A view of element i along the first axis, which goes (ops/shape.cpp); const, since assigning to it would
  // not write to this tensor: assign(x[0], value) does.
  const Tensor operator[](int64_t i) const;

  // PyTorch's habit (grads/backward.cpp): a leaf that requires grad collects it in grad() when backward()
  // is called on a result.
  bool requires_grad() const;
  Tensor& set_requires_grad(bool value = true);
  bool is_leaf() const;
  Tensor grad() const;  // an undefined tensor where there is none
  void set_grad(const Tensor& grad) const;
  // Adds d(this)/d(leaf) to the grad of every leaf. `gradient` has this tensor's shape and may be left out
  // for one element.
  void backward(const Tensor& gradient = {}, bool retain_graph = false, bool create_graph = false) const;

  // A ValueError where there is no tensor.
  TensorImpl& impl() const {
    if (!impl_) [[unlikely]]
      fail_undefined();
    return *impl_;
  }
  const Ref<TensorImpl>& ref() const { return impl_; }

 private:
  [[noreturn]] static void fail_undefined();
  [[noreturn]] void fail_axis(int axis) const;

  Ref<TensorImpl> impl_;
};

// Writes "float32(64, 784) cpu", for messages.
std::string describe(const Tensor& tensor);

}  // namespace tidu
