// Device cuda: which implementation of it is used, its streams and events. tidu.cuda is written on it.
#include "cuda/driver.h"
#include "cuda/graphs.h"
#include "cuda/matmul.h"
#include "cuda/stream.h"

#include "binding.h"

namespace tidu::python {
namespace {

using cuda::Event;
using cuda::Stream;
using OptionalStream = std::optional<Stream>;

using OptionalDevice = std::optional<Device>;

int index_of(const OptionalDevice& device) {
  if (!device) return current_cuda_index();
  if (device->type != DeviceType::cuda) fail<ValueError>("[cuda] ", *device, " is not a cuda device");
  return device->index;
}

Stream or_current(const OptionalStream& stream, const Event& event) {
  return stream ? *stream : Stream::current(event.device());
}

using Unlocked = py::call_guard<WithoutLock>;

void bind_streams(py::module_& m) {
  const auto device = py::arg("device") = py::none();
  py::class_<Stream>(
      m, "Stream",
      "A queue of work that runs in order, beside that of other streams. Tensors may be used on "
      "any stream: a use waits\nfor the last one where that was on another stream.")
      .def(py::init([](const OptionalDevice& d, int priority) { return Stream(index_of(d), priority); }),
           device, py::arg("priority") = 0, "A new stream; one of lower priority number goes first.")
      .def_property_readonly("device",
                             [](const Stream& self) {
                               return Device{DeviceType::cuda, static_cast<int8_t>(self.device())};
                             })
      .def_property_readonly(
          "cuda_stream", [](const Stream& self) { return reinterpret_cast<uintptr_t>(self.native()); },
          "The address of the cudaStream_t, for other libraries.")
      .def("synchronize", &Stream::synchronize, Unlocked(), "Waits for what the stream was given so far.")
      .def("query", &Stream::is_idle, "Whether all that the stream was given is done.")
      .def("wait_stream", &Stream::wait, py::arg("stream"),
           "Work given to this stream later waits for what the other was given so far.")
      .def(
          "wait_event", [](const Stream& self, const Event& event) { event.wait(self); }, py::arg("event"),
          "Work given to this stream later waits for the event.")
      .def("__eq__",
           [](const Stream& self, const py::object& other) {
             return py::isinstance<Stream>(other) && other.cast<const Stream&>() == self;
           })
      .def("__hash__", [](const Stream& self) { return self.device() * 100003 + self.queue(); })
      .def("__repr__", [](const Stream& self) {
        return str("<tidu.cuda.Stream ", self.queue(), " of cuda:", self.device(), ">");
      });
  py::class_<Event>(m, "Event", "A point in a stream's work.")
      .def(py::init([](bool timing, const OptionalDevice& d) { return Event(timing, index_of(d)); }),
           py::arg("enable_timing") = false, device)
      .def(
          "record", [](Event& self, const OptionalStream& stream) { self.record(or_current(stream, self)); },
          py::arg("stream") = py::none(),
          "Marks what a stream, by default the current one, was given so far.")
      .def(
          "wait",
          [](const Event& self, const OptionalStream& stream) { self.wait(or_current(stream, self)); },
          py::arg("stream") = py::none(),
          "Work given to a stream, by default the current one, later waits for the event.")
      .def("synchronize", &Event::synchronize, Unlocked(), "Waits for the event.")
      .def("query", &Event::is_reached, "Whether the event is reached; also where it was never recorded.")
      .def("elapsed_time", &Event::elapsed, py::arg("later"),
           "Milliseconds to a later event; both were made with enable_timing, recorded and reached.");
  m.def("current_stream", [](const OptionalDevice& d) { return Stream::current(index_of(d)); });
  m.def("default_stream", [](const OptionalDevice& d) { return Stream::main(index_of(d)); });
  m.def("set_current_stream", [](const Stream& stream) {
    cuda::driver(stream.device()).set_current_queue(stream.device(), stream.queue());
  });
}

}  // namespace

void bind_cuda(py::module_& core) {
  py::module_ m = core.def_submodule("_cuda", "What tidu.cuda stands on.");
  m.def("why_not", &cuda::why_not);
  m.def("emulate", &cuda::emulate, py::arg("checked"));
  m.def("is_emulated", &cuda::is_emulated);
  m.def("device_count", &cuda::device_count);
  m.def("set_device", [](Device device) {
    cuda::driver(device.index);  // an error where there is no such device
    current_cuda_index() = device.index;
  });
  m.def("synchronize", [](const OptionalDevice& device) {
    const WithoutLock unlocked;
    cuda::synchronize(index_of(device));
  });
  m.def("set_blocking", [](bool blocking) { cuda::driver().set_blocking(blocking); });
  m.def("is_blocking", [] { return cuda::driver().is_blocking(); });
  m.def("set_graphs", &cuda::set_graphs);
  m.def("uses_graphs", &cuda::uses_graphs);
  m.def("set_allow_tf32", &cuda::set_allow_tf32);
  m.def("is_tf32_allowed", &cuda::allow_tf32);
  m.def("set_matmul",
        [](const std::string& name) { cuda::set_matmul(cuda::matmul_library_from_name(name)); });
  m.def("get_matmul", [] { return cuda::name_of(cuda::matmul_library()); });
  m.def("properties", [](const OptionalDevice& device) {
    const cuda::Properties found = cuda::properties(index_of(device));
    py::dict result;
    result["name"] = found.name;
    result["major"] = found.major;
    result["minor"] = found.minor;
    result["total_memory"] = found.memory_bytes;
    result["multi_processor_count"] = found.multiprocessors;
    result["driver_version"] = found.driver_version;
    result["runtime_version"] = found.runtime_version;
    return result;
  });
  bind_streams(m);
  example("_cuda.Stream",
          "stream = td.cuda.Stream()\n"
          "stream.synchronize()\n"
          "stream.query()",
          "True");
  example("_cuda.Event", "td.cuda.Event().query()", "True");
}

}  // namespace tidu::python
