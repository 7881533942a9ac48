// Arrays of Philox numbers.
#include "kernels/cpu/random.h"

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/random.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/philox.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

// Blocks made together: their words lie apart in four arrays, so that every loop below is a vector loop.
constexpr int kDraws = 64;

struct Words {
  HWY_ALIGN uint32_t word[4][kDraws];
};

HWY_INLINE void make_words(uint64_t key, uint64_t first_draw, Words& words) {
  for (int i = 0; i < kDraws; ++i) {
    const philox::Draw b = philox::draw(key, first_draw + static_cast<uint64_t>(i));
    for (int w = 0; w < 4; ++w) words.word[w][i] = b.word[w];
  }
}

// From the words of kDraws draws to their elements, in order.
struct Bits32 {
  using Element = uint32_t;
  static constexpr int per_draw = 4;
  HWY_INLINE static void apply(const Words& words, uint32_t* out) {
    for (int i = 0; i < kDraws; ++i) {
      for (int w = 0; w < 4; ++w) out[4 * i + w] = words.word[w][i];
    }
  }
};

struct Bits64 {
  using Element = uint64_t;
  static constexpr int per_draw = 2;
  HWY_INLINE static void apply(const Words& words, uint64_t* out) {
    for (int i = 0; i < kDraws; ++i) {
      out[2 * i] = philox::join(words.word[0][i], words.word[1][i]);
      out[2 * i + 1] = philox::join(words.word[2][i], words.word[3][i]);
    }
  }
};

struct Uniform32 {
  using Element = float;
  static constexpr int per_draw = 4;
  HWY_INLINE static void apply(const Words& words, float* out) {
    for (int i = 0; i < kDraws; ++i) {
      for (int w = 0; w < 4; ++w) out[4 * i + w] = philox::uniform(words.word[w][i]);
    }
  }
};

struct Uniform64 {
  using Element = double;
  static constexpr int per_draw = 2;
  HWY_INLINE static void apply(const Words& words, double* out) {
    for (int i = 0; i < kDraws; ++i) {
      out[2 * i] = philox::uniform(philox::join(words.word[0][i], words.word[1][i]));
      out[2 * i + 1] = philox::uniform(philox::join(words.word[2][i], words.word[3][i]));
    }
  }
};

struct Normal32 {
  using Element = float;
  static constexpr int per_draw = 4;
  HWY_INLINE static void apply(const Words& words, float* out) {
    HWY_ALIGN float normal[4][kDraws];
    for (int i = 0; i < kDraws; ++i) {
      philox::normal_pair(words.word[0][i], words.word[1][i], &normal[0][i], &normal[1][i]);
    }
    for (int i = 0; i < kDraws; ++i) {
      philox::normal_pair(words.word[2][i], words.word[3][i], &normal[2][i], &normal[3][i]);
    }
    for (int i = 0; i < kDraws; ++i) {
      for (int w = 0; w < 4; ++w) out[4 * i + w] = normal[w][i];
    }
  }
};

struct Normal64 {
  using Element = double;
  static constexpr int per_draw = 2;
  HWY_INLINE static void apply(const Words& words, double* out) {
    HWY_ALIGN double normal[2][kDraws];
    for (int i = 0; i < kDraws; ++i) {
      philox::normal_pair(philox::join(words.word[0][i], words.word[1][i]),
                          philox::join(words.word[2][i], words.word[3][i]), &normal[0][i], &normal[1][i]);
    }
    for (int i = 0; i < kDraws; ++i) {
      out[2 * i] = normal[0][i];
      out[2 * i + 1] = normal[1][i];
    }
  }
};

template <class Kind> void fill(uint64_t key, int64_t first, int64_t n, typename Kind::Element* out) {
  constexpr int64_t stretch = kDraws * Kind::per_draw;
  Words words;
  for (int64_t i = 0; i < n; i += stretch) {
    make_words(key, static_cast<uint64_t>((first + i) / Kind::per_draw), words);
    if (n - i >= stretch) {
      Kind::apply(words, out + i);
    } else {
      HWY_ALIGN typename Kind::Element rest[stretch];
      Kind::apply(words, rest);
      std::copy_n(rest, n - i, out + i);
    }
  }
}

RandomFunctions find_random() {
  return {fill<Bits32>, fill<Bits64>, fill<Uniform32>, fill<Uniform64>, fill<Normal32>, fill<Normal64>};
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_random);
}

RandomFunctions random_functions() { return HWY_DYNAMIC_DISPATCH(find_random)(); }

}  // namespace tidu::cpu
#endif
