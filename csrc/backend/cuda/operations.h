// The operations of device cuda, registered group by group.
#pragma once

namespace tidu::cuda {

void register_all_operations();

}  // namespace tidu::cuda
