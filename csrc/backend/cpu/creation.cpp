// Filling new tensors.
#include "ops/creation.h"

#include <algorithm>
#include <cstring>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/cast.h"
#include "kernels/cpu/ramp.h"

namespace tidu::cpu {
namespace {

// The number as one element of a dtype, rounded once.
void convert_scalar(const Scalar& value, DType dtype, void* element) {
  const bool real = value.kind == Kind::floating;
  const void* source = real ? static_cast<const void*>(&value.real) : &value.integer;
  cast_function(real ? DType::float64 : DType::int64, dtype)(&source, element, 1);
}

template <class Word> void fill_words(void* out, const void* element, int64_t n) {
  Word word;
  std::memcpy(&word, element, sizeof word);
  Word* y = static_cast<Word*>(out);
  // A block is copied on, by vectors of the instruction set that the C library finds.
  constexpr int64_t kBlock = 4096 / sizeof(Word);
  parallel_elements(n, [&](int64_t begin, int64_t end) {
    Word* const block = y + begin;
    const int64_t count = end - begin;
    std::fill_n(block, std::min(kBlock, count), word);
    for (int64_t done = kBlock; done < count; done += kBlock)
      std::memcpy(block + done, block, static_cast<size_t>(std::min(kBlock, count - done)) * sizeof(Word));
  });
}

void full(const Call& call) {
  const Tensor& y = call.outputs[0];
  uint64_t element = 0;
  convert_scalar(call.attrs.as<FullAttrs>().value, y.dtype(), &element);
  switch (size_of(y.dtype())) {
    case 1: return fill_words<uint8_t>(y.raw_data(), &element, y.numel());
    case 2: return fill_words<uint16_t>(y.raw_data(), &element, y.numel());
    case 4: return fill_words<uint32_t>(y.raw_data(), &element, y.numel());
    default: return fill_words<uint64_t>(y.raw_data(), &element, y.numel());
  }
}

// Element i is start + i step, computed in double or, if all numbers are integers, in wrapping 64-bit
// integers.
void arange(const Call& call) {
  const auto& attrs = call.attrs.as<ArangeAttrs>();
  const Tensor& y = call.outputs[0];
  const TileFunction cast = cast_function(attrs.real ? DType::float64 : DType::int64, y.dtype());
  char* out = static_cast<char*>(y.raw_data());
  const int64_t size = static_cast<int64_t>(size_of(y.dtype()));
  constexpr int64_t tile = 1024;
  parallel_elements(y.numel(), [&](int64_t begin, int64_t end) {
    union {
      int64_t integers[tile];
      double reals[tile];
    };
    const auto step = static_cast<uint64_t>(attrs.step);
    const auto count = [&](int64_t i, int64_t* to, int64_t n) {
      uint64_t number = static_cast<uint64_t>(attrs.start) + static_cast<uint64_t>(i) * step;
      for (int64_t j = 0; j < n; ++j, number += step) to[j] = static_cast<int64_t>(number);
    };
    if (!attrs.real && y.dtype() == DType::int64)
      return count(begin, reinterpret_cast<int64_t*>(out) + begin, end - begin);
    for (int64_t i = begin; i < end; i += tile) {
      const int64_t n = std::min(tile, end - i);
      if (attrs.real) {
        write_ramp(attrs.real_start, attrs.real_step, i, reals, n);
      } else {
        count(i, integers, n);
      }
      const void* source = integers;
      cast(&source, out + i * size, n);
    }
  });
}

}  // namespace

void register_creation_kernels() {
  set_kernel(primitives::full, DeviceType::cpu, full);
  set_kernel(primitives::arange, DeviceType::cpu, arange);
}

}  // namespace tidu::cpu
