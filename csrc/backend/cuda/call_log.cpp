// The last calls issued to a device.
#include "backend/cuda/call_log.h"

#include "ops/linalg.h"

namespace tidu::cuda {

uint64_t CallLog::add(const Call& call, Queue queue) {
  Entry& entry = entries_[++last_ % kKept];
  entry.name = caller_of(call);
  entry.queue = queue;
  entry.inputs = call.inputs.size();
  for (size_t i = 0; i < std::min<size_t>(entry.inputs, kInputs); ++i) entry.specs[i] = call.inputs[i].spec();
  if (!call.outputs.empty()) entry.output = call.outputs[0].spec();
  return last_;
}

uint64_t CallLog::add(const char* name, const Spec& output, Queue queue) {
  Entry& entry = entries_[++last_ % kKept];
  entry.name = name;
  entry.queue = queue;
  entry.inputs = 0;
  entry.output = output;
  return last_;
}

std::string CallLog::describe(uint64_t number) const {
  if (!keeps(number)) return "[an earlier operation]";
  const Entry& entry = entries_[number % kKept];
  std::string text = str("[", entry.name, "]");
  for (size_t i = 0; i < std::min<size_t>(entry.inputs, kInputs); ++i) {
    text += str(" ", entry.specs[i].dtype, entry.specs[i].shape);
  }
  if (entry.inputs > kInputs) text += str(" and ", entry.inputs - kInputs, " more");
  if (entry.inputs == 0) text += str(" -> ", entry.output.dtype, entry.output.shape);
  return text;
}

Shape CallLog::shape(uint64_t number) const {
  return keeps(number) ? entries_[number % kKept].specs[0].shape : Shape{INT64_MAX, 0, 0};
}

}  // namespace tidu::cuda
