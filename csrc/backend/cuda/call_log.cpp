// The last calls issued to a device.
#include "backend/cuda/call_log.h"

#include "backend/cuda/gpu.h"

namespace tidu::cuda {

CallLog::Entry& CallLog::next(Queue queue, uint64_t& number) {
  const bool is_captured = queue == kCaptureQueue;
  number = is_captured ? kCaptured | ++captured_count_ : ++last_;
  Entry& entry = is_captured ? captured_[number] : entries_[number % kKept];
  entry.queue = queue;
  return entry;
}

const CallLog::Entry* CallLog::find(uint64_t number) const {
  if (number & kCaptured) {
    const auto found = captured_.find(number);
    return found == captured_.end() ? nullptr : &found->second;
  }
  const bool is_kept = number > 0 && number <= last_ && last_ - number < kKept;
  return is_kept ? &entries_[number % kKept] : nullptr;
}

void CallLog::forget_captured(uint64_t begin, uint64_t end) {
  captured_.erase(captured_.lower_bound(begin), captured_.lower_bound(end));
}

uint64_t CallLog::add(const Call& call, Queue queue) {
  uint64_t number = 0;
  Entry& entry = next(queue, number);
  entry.name = caller_of(call);
  entry.demand.reset();
  if (&call.primitive == &primitives::checked) entry.demand = call.attrs.as<CheckedAttrs>();
  entry.inputs = call.inputs.size();
  for (size_t i = 0; i < std::min<size_t>(entry.inputs, kInputs); ++i) entry.specs[i] = call.inputs[i].spec();
  if (!call.outputs.empty()) entry.output = call.outputs[0].spec();
  return number;
}

uint64_t CallLog::add(const char* name, const Spec& output, Queue queue) {
  uint64_t number = 0;
  Entry& entry = next(queue, number);
  entry.name = name;
  entry.demand.reset();
  entry.inputs = 0;
  entry.output = output;
  return number;
}

std::string CallLog::describe(uint64_t number) const {
  const Entry* const found = find(number);
  if (!found) return "[an earlier operation]";
  const Entry& entry = *found;
  std::string text = str("[", entry.name, "]");
  for (size_t i = 0; i < std::min<size_t>(entry.inputs, kInputs); ++i) {
    text += str(" ", entry.specs[i].dtype, entry.specs[i].shape);
  }
  if (entry.inputs > kInputs) text += str(" and ", entry.inputs - kInputs, " more");
  if (entry.inputs == 0) text += str(" -> ", entry.output.dtype, entry.output.shape);
  return text;
}

std::optional<CheckedAttrs> CallLog::demand(uint64_t number) const {
  const Entry* const found = find(number);
  return found ? found->demand : std::nullopt;
}

Shape CallLog::shape(uint64_t number) const {
  const Entry* const found = find(number);
  return found ? found->specs[0].shape : Shape{INT64_MAX, 0, 0};
}

}  // namespace tidu::cuda
