// Handles to streams and events.
#include "cuda/stream.h"

namespace tidu::cuda {

Stream::Stream(int device, int priority) : device_(device) {
  Driver& driver = cuda::driver(device);
  queue_ = std::shared_ptr<const Queue>(new Queue(driver.new_queue(device, priority)),
                                        [&driver, device](const Queue* queue) {
                                          driver.release_queue(device, *queue);
                                          delete queue;
                                        });
}
Stream Stream::of(int device, Queue queue) { return Stream(device, std::make_shared<const Queue>(queue)); }
Stream Stream::current(int device) { return of(device, driver(device).current_queue(device)); }
Stream Stream::main(int device) {
  driver(device);
  return of(device, 1);
}
void* Stream::native() const { return driver(device_).native_queue(device_, queue()); }
void Stream::synchronize() const { driver(device_).synchronize_queue(device_, queue()); }
bool Stream::is_idle() const { return driver(device_).is_idle(device_, queue()); }
void Stream::wait(const Stream& other) const {
  Event event(false, other.device());
  event.record(other);
  event.wait(*this);
}

Event::Event(bool timing, int device) : device_(device) {
  Driver& driver = cuda::driver(device);
  event_ = std::shared_ptr<void>(driver.new_event(device, timing),
                                 [&driver](void* event) { driver.release_event(event); });
}
void Event::record(const Stream& stream) {
  if (stream.device() != device_) {
    fail<DeviceError>("[Event] an event of device cuda:", device_,
                      " cannot be recorded on a stream of cuda:", stream.device());
  }
  driver(device_).record_event(event_.get(), device_, stream.queue());
}
void Event::wait(const Stream& stream) const {
  driver(device_).wait_event(event_.get(), stream.device(), stream.queue());
}
void Event::synchronize() const { driver(device_).synchronize_event(event_.get(), device_); }
bool Event::is_reached() const { return driver(device_).is_reached(event_.get()); }
double Event::elapsed(const Event& later) const {
  return driver(device_).milliseconds_between(event_.get(), later.event_.get());
}

StreamGuard::StreamGuard(const Stream& stream)
    : stream_(stream), previous_(Stream::current(stream.device())) {
  driver(stream.device()).set_current_queue(stream.device(), stream.queue());
}
StreamGuard::~StreamGuard() {
  driver(stream_.device()).set_current_queue(stream_.device(), previous_.queue());
}

}  // namespace tidu::cuda
