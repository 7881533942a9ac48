// Arrays of Philox numbers.
#pragma once

#include <cstdint>

namespace tidu::cpu {

// Writes elements first .. first + n of the stream of `key` to out; `first` is a multiple of 4. So parts of
// an array may be written in any order, by any thread.
template <class T> using RandomFunction = void (*)(uint64_t key, int64_t first, int64_t n, T* out);

struct RandomFunctions {
  RandomFunction<uint32_t> bits32;
  RandomFunction<uint64_t> bits64;
  RandomFunction<float> uniform32;  // [0, 1)
  RandomFunction<double> uniform64;
  RandomFunction<float> normal32;  // mean 0, variance 1
  RandomFunction<double> normal64;
};

RandomFunctions random_functions();

}  // namespace tidu::cpu
