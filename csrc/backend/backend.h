// What a device must offer beside its kernels.
#pragma once

#include <functional>
#include <string>

#include "backend/group.h"
#include "tensor/allocator.h"

namespace tidu {

// Of an input of a call that is a product of matrices which nobody else reads.
struct Factors {
  size_t input;
  Tensor a, b;
};

// Work of a device that is taken up once and then issued again as a whole: pieces, one after another. For one
// thread at a time.
class WorkGraph {
 public:
  virtual ~WorkGraph() = default;
  // Takes up what `issue` gives the device, and does not run it. Throws where it cannot be taken up, as it
  // cannot where `issue` waits for the device or copies from or to the host: then the graph is as it was.
  virtual void add(const std::function<void()>& issue) = 0;
  // The same in the place of a piece, by number.
  virtual void replace(size_t piece, const std::function<void()>& issue) = 0;
  // The kernels of a piece, but for those that are a part of another one's since they were joined.
  virtual int launches(size_t piece) const = 0;
  // Makes one kernel of several: of small work that follows on each other, and of pieces side by side that
  // are apart: neither writes memory that the other reads or writes. Takes its time once.
  virtual void join(const std::function<bool(size_t, size_t)>& are_apart) = 0;
  // Whether the same calls would issue other work now: how products are computed was set anew.
  virtual bool is_stale() const = 0;
  // Issues it all on this thread's current queue, after what other queues do with `used`, the tensors whose
  // memory it uses. What it was taken up with it reads and writes.
  virtual void launch(std::span<const Tensor> used) = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual int device_count() const = 0;
  virtual Allocator& allocator(int index) = 0;
  // Copies of all bytes of a contiguous tensor; on return the host side may be used again.
  virtual void copy_from_host(const Tensor& target, const void* host) = 0;
  virtual void copy_to_host(void* host, const Tensor& source) = 0;
  // Between contiguous tensors on devices of this backend.
  virtual void copy(const Tensor& source, const Tensor& target) = 0;
  // Null where the device runs such groups call by call.
  virtual std::unique_ptr<GroupKernel> prepare(const Group&) { return nullptr; }
  // Whether a group may have such an output, a reduction, beside those that it has. (prepare refuses others.)
  virtual bool reduces(const Group&, const Group::Output&) { return false; }
  // Whether one kernel computes a group and the product that it has. (prepare may refuse it all the same.)
  virtual bool multiplies(const Group&) { return false; }
  // Whether `run` takes the factors of such an input in its place, and uses each part of the product as soon
  // as it is computed.
  virtual bool takes_factors(const SpecCall&, size_t) { return false; }
  // A call of a primitive that has kernels; the inputs whose factors are given are undefined. Its workspace
  // has as many bytes as the other one says, from specs and layouts.
  virtual void run(const Call&, std::span<const Factors>) {}
  virtual size_t workspace_bytes(const Call&, std::span<const Factors>) { return 0; }
  // Readies the memory of tensors for work that this thread issues next by other means than calls: what other
  // streams do with it comes first. To be called before a GroupKernel runs.
  virtual void use(std::span<const Tensor>) {}
  // Null where work of the device is issued call by call; `has_graphs` may change from call to call.
  virtual bool has_graphs() const { return false; }
  virtual std::unique_ptr<WorkGraph> new_graph(int) { return nullptr; }
  // Waits for all work issued to the device.
  virtual void synchronize(int index) = 0;
  // One line: the processor's name and what is used of it.
  virtual std::string description(int index) const = 0;
};

// The backend of a device, loaded at its first use; a DeviceError says why there is none and what to do.
Backend& backend(Device device);

// How the backend of a device other than the cpu is found; it is asked for at every use.
using BackendOpener = Backend& (*)(int index);
void set_backend(DeviceType type, BackendOpener open);

// Fills the kernel slots of the cpu. Implemented in backend/cpu.
Backend& load_cpu_backend();

inline void set_kernel(Primitive& primitive, DeviceType device, Kernel kernel,
                       WorkspaceBytes workspace = nullptr) {
  primitive.kernels[static_cast<int>(device)] = kernel;
  primitive.workspaces[static_cast<int>(device)] = workspace;
}

}  // namespace tidu
