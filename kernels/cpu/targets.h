// The instruction sets that CPU kernels are compiled for: the compiler's baseline, AVX2 and AVX-512 (or NEON,
// SVE). To be included before any Highway header.
#pragma once

// Bits of hwy/detect_targets.h, by value because its later versions know more of them than Debian's: those
// above AVX3 (4 to 7) and SSE4, SSSE3 (11, 12) would add build time and little speed.
#define HWY_DISABLED_TARGETS (0xF0LL | (1LL << 11) | (1LL << 12))

#include <hwy/base.h>
