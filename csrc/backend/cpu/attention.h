// The kernels of attention.
#pragma once

namespace tidu::cpu {

void register_attention_kernels();

}  // namespace tidu::cpu
