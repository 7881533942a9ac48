// Making tensors and views.
#include "tensor/tensor.h"

namespace tidu {
namespace {

bool is_row_major(const Shape& shape, const Strides& strides) {
  int64_t expected = 1;
  bool row_major = true;
  for (int i = shape.size() - 1; i >= 0; --i) {
    row_major &= shape[i] == 1 || strides[i] == expected;
    expected *= shape[i];
  }
  return row_major || expected == 0;  // no elements lie in any order
}

}  // namespace

void Tensor::fail_undefined() {
  fail<ValueError>(
      "an undefined tensor was given where one with elements is needed (a Tensor() that was never assigned, "
      "or the "
      "grad() of a leaf that has none yet)");
}

void Tensor::fail_axis(int axis) const {
  fail<IndexError>("axis ", axis, " is out of range for ", describe(*this));
}

Tensor Tensor::abstract(const Shape& shape, DType dtype, Device device) {
  auto impl = make_ref<TensorImpl>();
  impl->numel = lay_out(shape, impl->strides);
  impl->shape = shape;
  impl->dtype = dtype;
  impl->device = device;
  return Tensor(std::move(impl));
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor tensor = abstract(shape, dtype, device);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(tensor.numel(), static_cast<int64_t>(size_of(dtype)), &bytes)) {
    fail<ShapeError>("shape ", shape, " of ", dtype, " has more than 2^63 bytes");
  }
  tensor.impl_->storage = make_ref<Storage>(device, allocator_of(device), static_cast<size_t>(bytes));
  return tensor;
}

Tensor Tensor::unknown(const Shape& shape, DType dtype, Device device) {
  Tensor tensor = abstract(shape, dtype, device);
  tensor.impl_->storage = make_ref<Storage>(device);
  return tensor;
}

Tensor Tensor::from_memory(void* data, const Shape& shape, const Strides& strides, DType dtype,
                           std::shared_ptr<void> owner, Device device, bool writable) {
  Tensor tensor = abstract(shape, dtype, device);
  tensor.impl_->strides = strides;
  tensor.impl_->contiguous = is_row_major(shape, strides);
  tensor.impl_->storage = make_ref<Storage>(device, data, tensor.nbytes(), std::move(owner), writable);
  return tensor;
}

Tensor Tensor::number(const void* value, DType dtype, Device device) {
  Tensor tensor = abstract({}, dtype, device);
  tensor.impl_->storage = make_ref<Storage>(device, value, size_of(dtype));
  return tensor;
}

Tensor Tensor::view(const Shape& shape, const Strides& strides, int64_t offset, DType dtype) const {
  auto impl = make_ref<TensorImpl>();
  impl->storage = this->impl().storage;
  impl->offset = offset;
  impl->numel = num_elements(shape);
  impl->shape = shape;
  impl->strides = strides;
  impl->dtype = dtype;
  impl->device = impl_->device;
  impl->contiguous = is_row_major(shape, strides);
  if (impl->storage) {
    impl->version = impl->storage->version();
    // A view of all the elements, such as reshape's, is as good as what it is taken of.
    impl->wrote = impl_->wrote && impl_->version == impl->version &&
                  impl_->numel * static_cast<int64_t>(size_of(impl_->dtype)) ==
                      impl->numel * static_cast<int64_t>(size_of(dtype));
  }
  return Tensor(std::move(impl));
}

Tensor Tensor::parts() const {
  Shape shape = this->shape();
  Strides strides;
  for (int64_t stride : this->strides()) strides.push_back(2 * stride);
  shape.push_back(2);
  strides.push_back(1);
  return view(shape, strides, 2 * impl().offset, part_of(dtype()));
}

std::ostream& operator<<(std::ostream& out, const Spec& spec) {
  return out << spec.dtype << spec.shape << ' ' << spec.device;
}

std::string describe(const Tensor& tensor) { return tensor.defined() ? str(tensor.spec()) : "none"; }

}  // namespace tidu
