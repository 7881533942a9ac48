// Included before all else in the instrumented build of a kernel: copies that the compiler leaves to the
// library come to the checker (checked.cpp), as loads and stores do.
#pragma once

#include <stddef.h>

extern "C" {
void* memcpy(void* to, const void* from, size_t n) noexcept __asm__("tidu_simt_memcpy");
void* memmove(void* to, const void* from, size_t n) noexcept __asm__("tidu_simt_memmove");
void* memset(void* to, int value, size_t n) noexcept __asm__("tidu_simt_memset");
}
