// Groups of pointwise calls as kernels that are made for them: launching.
#include "backend/cuda/group.h"

#include <cstring>
#include <map>
#include <set>

#include "backend/cuda/blocking.h"
#include "backend/cuda/generate.h"
#include "backend/cuda/gpu.h"
#include "backend/cuda/matmul.h"
#include "backend/cuda/module.h"
#include "kernels/cuda/part.h"
#include "ops/matmul.h"

namespace tidu::cuda {
namespace {

// The same text for as long as the process lives: the log of calls keeps addresses of names.
const char* kept(const std::string& text) {
  static std::mutex mutex;
  static auto& texts = *new std::set<std::string>;
  const std::lock_guard lock(mutex);
  return texts.insert(text).first->c_str();
}

int device_of(const void* data) {
  if (device_count() == 1) return 0;
  cudaPointerAttributes found;
  check(cudaPointerGetAttributes(&found, data), "[group]");
  return found.device;
}

// The argument of a kernel, with addresses.
struct Argument {
  alignas(16) std::byte bytes[kMaxArgument];

  Argument(const Generated& made, const void* const* inputs, void* const* outputs) {
    std::memcpy(bytes, made.argument.data(), made.argument.size());
    for (const auto& address : made.inputs) put(address, inputs[address.index]);
    for (const auto& address : made.outputs) put(address, outputs[address.index]);
  }
  void put(const Generated::Address& address, const void* data) {
    std::memcpy(bytes + address.offset, &data, sizeof data);
  }
  uintptr_t get(const Generated::Address& address) const {
    uintptr_t data;
    std::memcpy(&data, bytes + address.offset, sizeof data);
    return data;
  }
  // Whether made.vector neighbours move at once.
  bool lies_together(const Generated& made) const {
    bool together = made.vector > 1 && made.count >= made.vector;
    for (const auto& [address, alignment] : made.together) together &= get(address) % alignment == 0;
    return together;
  }
};

class CudaGroup final : public GroupKernel {
 public:
  CudaGroup(const Group& group, Generated made)
      : made_(std::move(made)),
        what_(describe(group)),
        name_(kept(made_.name)),
        output_{group.shape, group.outputs[0].dtype, {}},
        first_(kernels_of(0)) {}

  void run(const void* const* inputs, void* const* outputs, void*) const override {
    if (made_.count == 0) return;
    Argument argument(made_, inputs, outputs);
    launch(device_of(outputs[0]), argument);
  }

 private:
  struct Kernels {
    cudaKernel_t vectors = nullptr, elements = nullptr;
  };
  Kernels kernels_of(int device) const {
    const Module& module = Module::of(made_.text, device, what_);
    Kernels found;
    if (made_.vector > 1) found.vectors = module.kernel(made_.name + "_vectors");
    found.elements = module.kernel(made_.name + "_elements");
    return found;
  }

  void launch(int device, Argument& argument) const {
    Gpu& gpu = cuda::gpu(device);
    const std::lock_guard lock(gpu.mutex());
    const DeviceGuard guard(device);
    const Queue queue = gpu.current_queue();
    const Kernels kernels = device == 0 ? first_ : kernels_of(device);
    const bool together = argument.lies_together(made_);
    const int64_t items = together ? made_.count / made_.vector : made_.count;
    const int64_t block = kGroupThreads * static_cast<int64_t>(together ? 1 : made_.apart);
    const auto blocks = static_cast<unsigned>((items + block - 1) / block);
    if (std::vector<Part>* const noted = noted_parts()) {
      noted->push_back(
          {.header = "kernels/cuda/group.cuh",
           .definition = made_.definition,
           .call = (together ? function_of("vectors", made_.vector) : function_of("elements", made_.apart)) +
                   "(block, pass)",
           .pass_type = "Group::Arguments",
           .pass = {argument.bytes, argument.bytes + made_.argument.size()},
           .blocks = blocks,
           .threads = kGroupThreads});
    }
    void* arguments[] = {argument.bytes};
    gpu.note(name_, output_, queue);
    check(cudaLaunchKernel(static_cast<const void*>(together ? kernels.vectors : kernels.elements),
                           dim3(blocks), dim3(kGroupThreads), arguments, 0, gpu.stream(queue)),
          [&] { return what_; });
    if (is_blocking()) gpu.synchronize(queue);
  }

  const Generated made_;
  const std::string what_;
  const char* const name_;
  const Spec output_;
  const Kernels first_;  // of device 0
};

// Tensors over memory that is a group's operand.
Tensor over(const void* data, const Shape& shape, const Strides& strides, DType dtype, int device) {
  const Device name{DeviceType::cuda, static_cast<int8_t>(device)};
  int64_t reach = 1;
  for (int i = 0; i < shape.size(); ++i) reach += (shape[i] - 1) * std::abs(strides[i]);
  Tensor base = Tensor::abstract(shape, dtype, name);
  base.impl().storage = make_ref<Storage>(name, const_cast<void*>(data),
                                          static_cast<size_t>(reach) * size_of(dtype), nullptr, true);
  return base.view(shape, strides, 0);
}

// The operands of a group's product.
struct Operands {
  Tensor a, b, bias, out;

  Operands(const Group& group, const void* const* factors, void* out_data, int device) {
    const auto& [input, k, described] = *group.product;
    Shape of_a = group.shape, of_b = group.shape;
    of_a[of_a.size() - 1] = of_b[of_b.size() - 2] = k;
    const auto factor = [&](size_t i, const Shape& shape) {
      return over(factors[i], shape, described[i].strides, described[i].dtype, device);
    };
    a = factor(0, of_a);
    b = factor(1, of_b);
    if (described.size() > 2) bias = factor(2, {group.shape[group.shape.size() - 1]});
    out = over(out_data, group.shape, contiguous_strides(group.shape), group.inputs[input].dtype, device);
  }
  // Of a group that has nowhere to read or write yet.
  explicit Operands(const Group& group)
      : Operands(group, std::vector<const void*>(group.product->factors.size()).data(), nullptr, 0) {}
  std::optional<MatmulProblem> problem() const { return own_problem(a, b, out, bias); }
};

// A group whose product is computed with it, tile by tile; or before it, where cuBLAS was chosen since, in
// the same workspace.
class CudaProduct final : public GroupKernel {
 public:
  CudaProduct(const Group& group, const MatmulProblem& problem, Generated made,
              std::unique_ptr<GroupKernel> rest)
      : group_(group),
        made_(std::move(made)),
        rest_(std::move(rest)),
        tiled_bytes_(matmul_workspace(problem, plan_matmul(problem))),
        what_(describe(group)),
        name_(kept(made_.name)) {}

  // Other blocks may still read factors.
  bool may_be(size_t, size_t input) const override { return input < group_.inputs.size(); }

  size_t workspace_bytes() const override {
    const Operands operands(group_);
    if (operands.problem()) return tiled_bytes_;
    size_t bytes = bytes_of_product(operands);
    with_call(operands, nullptr, [&](const Call& call) { bytes += call.primitive.workspaces[kSlot](call); });
    return bytes;
  }
  void run(const void* const* inputs, void* const* outputs, void* workspace) const override {
    const int device = device_of(outputs[0]);
    Gpu& gpu = cuda::gpu(device);
    const std::lock_guard lock(gpu.mutex());
    const DeviceGuard guard(device);
    const Queue queue = gpu.current_queue();
    const Operands operands(group_, inputs + group_.inputs.size(), nullptr, device);
    const std::optional<MatmulProblem> problem = operands.problem();
    if (!problem) return run_apart(inputs, outputs, workspace, device);
    const MatmulPlan plan = plan_matmul(*problem);
    const TiledProduct tiled =
        tiled_product(*problem, plan, workspace, tiled_bytes_ > 0 ? gpu.arrivals(queue) : nullptr);
    Argument argument(made_, inputs, outputs);
    std::memcpy(argument.bytes, tiled.product.data(), tiled.product.size());
    // Sums come so many at a time.
    const int neighbours = problem->dtype == DType::float64 ? 2 : 4;
    if (made_.vector % neighbours != 0 || !argument.lies_together(made_))
      argument.bytes[tiled.vector_out] = std::byte{0};
    if (std::vector<Part>* const noted = noted_parts()) {
      noted->push_back({.header = "kernels/cuda/product.cuh",
                        .definition = made_.definition,
                        .call = tiled.function + "(block, pass.product, Through<Group>{pass})",
                        .pass_type = "Group::Arguments",
                        .pass = {argument.bytes, argument.bytes + made_.argument.size()},
                        .blocks = tiled.blocks,
                        .threads = tiled.threads,
                        .shared_bytes = tiled.shared_bytes});
    }
    void* arguments[] = {argument.bytes};
    gpu.note(name_, operands.out.spec(), queue);
    check(cudaLaunchKernel(static_cast<const void*>(kernel_of(tiled, device)), dim3(tiled.blocks),
                           dim3(tiled.threads), arguments, tiled.shared_bytes, gpu.stream(queue)),
          [&] { return what_; });
    if (is_blocking()) gpu.synchronize(queue);
  }

 private:
  // One for each way in which operands may lie.
  cudaKernel_t kernel_of(const TiledProduct& tiled, int device) const {
    const std::lock_guard lock(mutex_);
    cudaKernel_t& kernel = kernels_[{device, tiled.function}];
    if (!kernel) {
      const std::string text = product_text(made_, tiled.function, tiled.threads);
      kernel = Module::of(text, device, what_).kernel(made_.name);
    }
    return kernel;
  }

  static constexpr int kSlot = static_cast<int>(DeviceType::cuda);

  // Aligned for what lies behind it.
  static size_t bytes_of_product(const Operands& operands) {
    return (operands.out.nbytes() + 255) / 256 * 256;
  }

  template <class F> static void with_call(const Operands& operands, void* workspace, const F& f) {
    const Tensor factors[] = {operands.a, operands.b, operands.bias};
    const Attrs none;
    Tensor out = operands.out;
    f(Call{primitives::matmul,
           std::span(factors).first(operands.bias.defined() ? 3 : 2),
           none,
           {&out, 1},
           workspace});
  }

  // The product lies at the beginning of the workspace, and behind it what its own call needs.
  void run_apart(const void* const* inputs, void* const* outputs, void* workspace, int device) const {
    const Operands operands(group_, inputs + group_.inputs.size(), workspace, device);
    with_call(operands, static_cast<std::byte*>(workspace) + bytes_of_product(operands),
              [](const Call& call) { call.primitive.kernels[kSlot](call); });
    std::vector<const void*> all(inputs, inputs + group_.inputs.size());
    all[static_cast<size_t>(group_.product->input)] = workspace;
    rest_->run(all.data(), outputs, nullptr);
  }

  const Group group_;
  const Generated made_;
  const std::unique_ptr<GroupKernel> rest_;  // of the product's elements
  const size_t tiled_bytes_;
  const std::string what_;
  const char* const name_;
  mutable std::mutex mutex_;
  mutable std::map<std::pair<int, std::string>, cudaKernel_t> kernels_;
};

}  // namespace

std::unique_ptr<GroupKernel> prepare_group(const Group& group) {
  for (int device = 0; device < device_count(); ++device) {
    if (!Module::can_be_made(device)) return nullptr;
  }
  std::optional<Generated> made = generate(group);
  if (!made) return nullptr;
  if (group.product) {
    Group rest = group;
    rest.product.reset();
    const std::optional<MatmulProblem> problem = Operands(group).problem();
    std::unique_ptr<GroupKernel> kernel = problem ? prepare_group(rest) : nullptr;
    if (!kernel) return nullptr;
    return std::make_unique<CudaProduct>(group, *problem, *std::move(made), std::move(kernel));
  }
  return std::make_unique<CudaGroup>(group, *std::move(made));
}

bool multiplies_for_group(const Group& group) {
  const std::optional<MatmulProblem> problem = Operands(group).problem();
  return problem && plan_matmul(*problem).kernel != MatmulKernel::vector;
}

}  // namespace tidu::cuda
