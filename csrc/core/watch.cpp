// Which watch a thread has.
#include "core/watch.h"

namespace tidu {

std::atomic<int> Watch::count_ = 0;
thread_local Watch* Watch::current_ = nullptr;

}  // namespace tidu
