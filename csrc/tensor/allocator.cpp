// What every allocator says when there is no more.
#include "tensor/allocator.h"

#include "base/error.h"

namespace tidu {

void fail_out_of_memory(Device device, size_t bytes, const MemoryStats& stats, int64_t limit) {
  fail<OutOfMemoryError>("out of memory on ", device, ": asked for ", bytes, " bytes with ", stats.live_bytes,
                         " live and ", stats.reserved_bytes, " reserved of at most ", limit,
                         " bytes (free tensors or use smaller batches)");
}

}  // namespace tidu
