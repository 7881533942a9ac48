// Memory, threads, devices and the list of primitives.
#include "backend/backend.h"
#include "backend/cpu/threads.h"
#include "binding.h"

namespace tidu::python {
namespace {

Allocator& allocator(Device device) { return backend(device).allocator(device.index); }

const char* form_of(const Primitive& primitive) {
  constexpr const char* kForms[] = {"zero", "opaque", "elementwise", "linear", "multilinear", "custom"};
  return kForms[primitive.derivative.index()];
}

const char* name_of_types(Types types) {
  constexpr const char* kNames[] = {"floating", "numeric", "any", "integral", "boolean", "choice", "complex"};
  return kNames[static_cast<int>(types)];
}

py::list primitives_list() {
  py::list result;
  for (const Primitive* primitive : all_primitives()) {
    py::dict entry;
    entry["name"] = primitive->name;
    entry["derivative"] = form_of(*primitive);
    entry["num_outputs"] = primitive->num_outputs;
    entry["view"] = primitive->view != nullptr;
    entry["evaluate"] = primitive->evaluate != nullptr;
    entry["dispatch"] = primitive->dispatch != nullptr;
    entry["flops"] = primitive->flops != nullptr;
    entry["pointwise"] = primitive->pointwise;
    entry["overwrites"] = primitive->overwrites;
    py::list kernels;
    for (int i = 0; i < kDeviceTypeCount; ++i) {
      if (primitive->kernels[i]) kernels.append(i == 0 ? "cpu" : "cuda");
    }
    entry["kernels"] = kernels;
    for (const ElementwiseRow& row : elementwise_table()) {
      if (row.primitive != primitive) continue;
      entry["arity"] = row.arity;
      entry["types"] = name_of_types(row.types);
      entry["boolean_result"] = row.boolean_result;
      entry["takes_complex"] = primitive->on_complex != OnComplex::refused;
      entry["low"] = row.low;
      entry["high"] = row.high;
      entry["doc"] = row.doc;
      py::dict parameters;
      for (const Parameter& parameter : row.parameters) parameters[parameter.name] = parameter.value;
      entry["parameters"] = parameters;
    }
    for (const ScanRow& row : scan_table()) {
      if (row.primitive != primitive) continue;
      entry["scan"] = row.total ? "total" : "plain";
      entry["doc"] = row.doc;
    }
    for (const ReduceRow& row : reduce_table()) {
      if (row.primitive != primitive) continue;
      constexpr const char* kSorts[] = {"plain", "total", "moment", "index"};
      entry["reduction"] = kSorts[row.kind];
      entry["of_nothing"] = row.of_nothing;
      entry["doc"] = row.doc;
    }
    result.append(entry);
  }
  return result;
}

}  // namespace

void bind_system(py::module_& m) {
  const auto device = py::arg_v("device", Device{}, "'cpu'");
  m.def(
      "memory_stats",
      [](Device device) {
        const MemoryStats stats = allocator(device).stats();
        py::dict result;
        result["live_bytes"] = stats.live_bytes;
        result["peak_bytes"] = stats.peak_bytes;
        result["reserved_bytes"] = stats.reserved_bytes;
        result["allocations"] = stats.allocations;
        return result;
      },
      device,
      "Bytes in use by tensors, the most there were since the last reset, bytes held from the system, and "
      "the number\n"
      "of allocations.");
  example("memory_stats", "td.cpu.memory_stats()[\"live_bytes\"] >= 0", "True");
  m.def(
      "reset_peak_memory", [](Device device) { allocator(device).reset_peak(); }, device,
      "Lets peak_bytes begin again at live_bytes.");
  example("reset_peak_memory", "td.cpu.reset_peak_memory()", "");
  m.def(
      "empty_cache", [](Device device) { allocator(device).empty_cache(); }, device,
      "Gives memory that no tensor uses back to the system.");
  example("empty_cache", "td.cpu.empty_cache()", "");
  m.def(
      "set_memory_limit", [](int64_t bytes, Device device) { allocator(device).set_limit(bytes); },
      py::arg("bytes"), device,
      "The most that may be held from the system; beyond it allocations raise MemoryError.");
  example("set_memory_limit", "td.cpu.set_memory_limit(2**62)", "");
  m.def("set_num_threads", &cpu::set_num_threads, py::arg("count"),
        "How many threads the cpu's kernels use. Results do not depend on it.");
  example("set_num_threads", "td.set_num_threads(td.get_num_threads())", "");
  m.def("get_num_threads", &cpu::num_threads, "How many threads the cpu's kernels use.");
  example("get_num_threads", "td.get_num_threads() >= 1", "True");
  m.def(
      "describe_device", [](Device device) { return backend(device).description(device.index); },
      py::arg("device"), "One line on a device: what it is and what of it is used.");
  m.def(
      "primitives",
      [] {
        backend(Device{});  // fills the kernel slots
        return primitives_list();
      },
      "Every primitive: name, form of derivative, devices that have a kernel; of the op table's rows also "
      "arity, types,\n"
      "domain and doc.");
}

}  // namespace tidu::python
