// Sorting, and searching in what is sorted.
#include "kernels/order.h"

#include <hwy/contrib/sort/vqsort.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <type_traits>
#include <utility>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/launch.h"
#include "backend/cpu/threads.h"
#include "kernels/cpu/sort.h"
#include "ops/order.h"

namespace tidu::cpu {
namespace {

// An element as a word: its key, and behind that, in the lower half, its place in the row. No two are equal,
// so that sorting them is stable.
template <class Word> inline constexpr int kPlaceBits = 4 * sizeof(Word);
using Wide = unsigned __int128;

// --- A few words: runs of them are ranked, and merged in pairs.

constexpr int64_t kRun = 8;

// Each goes to where as many lie before it as are smaller.
template <class Word> void rank(const Word* from, Word* to, int64_t n) {
  int64_t smaller[kRun] = {};
  for (int64_t i = 1; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      const bool before = from[j] < from[i];
      smaller[i] += before, smaller[j] += !before;
    }
  }
  for (int64_t i = 0; i < n; ++i) to[smaller[i]] = from[i];
}

// The two halves of n words, from both ends at once: no step has to guess which comes next, none can leave
// its half, and the two ends do not wait for each other.
template <class Word> void merge(const Word* from, Word* to, int64_t n) {
  const int64_t half = n / 2;
  const Word *low_a = from, *low_b = from + half, *high_a = low_b - 1, *high_b = from + n - 1;
  for (int64_t i = 0; i < half; ++i) {
    const bool b_is_low = *low_b < *low_a, a_is_high = *high_b < *high_a;
    to[i] = *(b_is_low ? low_b : low_a);
    to[n - 1 - i] = *(a_is_high ? high_a : high_b);
    low_b += b_is_low, low_a += !b_is_low;
    high_a -= a_is_high, high_b -= !a_is_high;
  }
  if (n % 2 != 0) to[half] = low_a <= high_a ? *low_a : *low_b;
}

// Leaves the sorted words where they were, or in the other buffer.
template <class Word> void sort_few(Word* words, Word* other, int64_t n, bool stay) {
  if (n <= kRun) {
    rank(words, other, n);
    if (stay) std::copy_n(other, n, words);
    return;
  }
  const int64_t half = n / 2;
  sort_few(words, other, half, !stay);
  sort_few(words + half, other + half, n - half, !stay);
  stay ? merge(other, words, n) : merge(words, other, n);
}

// --- Many

// Sorts by a digit of the keys after the other, from the lowest, between two buffers; returns that which
// holds the result.
template <class Key, class Word> const Word* sort_words(Word* words, Word* other, int64_t n) {
  constexpr int64_t kFew = 48 * sizeof(Key);
  if (n <= kFew) {
    sort_few(words, other, n, true);
    return words;
  }
  // Where two buffers are more than a cache holds, by vectors.
  constexpr int64_t kMany = 1 << 15;
  if (sizeof(Word) == 16 && n >= kMany) {
    hwy::Sorter()(reinterpret_cast<hwy::uint128_t*>(words), static_cast<size_t>(n), hwy::SortAscending());
    return words;
  }
  constexpr int kValues = 256;
  std::array<std::array<int64_t, kValues>, sizeof(Key)> places{};
  const auto digit = [](Word word, size_t d) {
    return static_cast<size_t>(word >> (static_cast<size_t>(kPlaceBits<Word>) + 8 * d)) % kValues;
  };
  for (int64_t i = 0; i < n; ++i) {
    for (size_t d = 0; d < sizeof(Key); ++d) ++places[d][digit(words[i], d)];
  }
  for (size_t d = 0; d < sizeof(Key); ++d) {
    if (places[d][digit(words[0], d)] == n) continue;
    int64_t before = 0;
    for (int64_t& place : places[d]) before += std::exchange(place, before);
    for (int64_t i = 0; i < n; ++i) other[places[d][digit(words[i], d)]++] = words[i];
    std::swap(words, other);
  }
  return words;
}

// Gathers the `count` smallest of n words, among others and in their order, in `kept`, which has room for
// more: what is larger than as many is passed by, and these are looked for in another buffer whenever the
// room is full. Returns how many were kept. `find(begin, limit, places, room)` as FindPlacesFunction.
template <class Word, class WordAt, class Find>
int64_t select(const WordAt& word_at, const Find& find, int64_t n, int64_t count, Word* kept, Word* other,
               int64_t room) {
  constexpr int64_t kAtOnce = 64;
  Word limit = ~Word{0};
  int64_t size = 0, places[kAtOnce];
  for (int64_t begin = 0; begin < n;) {
    const auto [found, end] =
        find(begin, static_cast<uint64_t>(limit >> kPlaceBits<Word>), places, std::min(kAtOnce, room - size));
    begin = end;
    for (int64_t i = 0; i < found; ++i) {
      kept[size] = word_at(places[i]);
      size += kept[size] <= limit;
    }
    if (size < room) continue;
    std::copy_n(kept, room, other);
    std::nth_element(other, other + count - 1, other + room);
    limit = other[count - 1];
    size = std::remove_if(kept, kept + room, [limit](Word word) { return word > limit; }) - kept;
  }
  return size;
}

constexpr int64_t kTogether = 8;  // short rows

// Sorts short rows side by side; returns how many of them, from the first on.
template <class Word> int64_t sort_together(Word* words, int64_t rows, int64_t n) {
  if constexpr (sizeof(Word) == 1 || sizeof(Word) == 16) {
    return 0;
  } else {
    return sort_abreast(words, rows, n);
  }
}

// Calls write(row, words), whose lower halves are the places of the first `count` elements in order.
template <class T, class Word, class Write>
void order_rows(const Tensor& x, int64_t rows, int64_t n, int64_t count, bool descending,
                Workspace& workspace, const Write& write) {
  constexpr int64_t kRoom = 16;
  const bool is_short = sizeof(Word) == 8 && n <= kSortedAbreast;
  const int64_t most = is_short ? n : std::max(2 * count, kRoom), room = std::min(n, most),
                together = std::max<int64_t>(1, kGrain / n), tasks = (rows + together - 1) / together;
  Word* const memory = workspace.take<Word>(most_at_once(tasks) * 2 * room);
  if (workspace.counts()) return;
  const T* const from = static_cast<const T*>(x.raw_data());
  const FindPlacesFunction find_places = find_places_function(dtype_of<T>);
  parallel_with_rooms(tasks, rows * n, [&](int64_t task, int64_t own) {
    Word *const words = memory + own * 2 * room, *const other = words + room;
    const auto word_at = [&](int64_t row, int64_t i) {
      return Word{order_key(from[row * n + i], descending)} << kPlaceBits<Word> | static_cast<Word>(i);
    };
    const int64_t end = std::min(rows, (task + 1) * together);
    int64_t row = task * together;
    for (; is_short && row < end; row += kTogether) {
      Word all[kTogether * kSortedAbreast];
      const int64_t here = std::min(kTogether, end - row);
      for (int64_t r = 0; r < here; ++r) {
        for (int64_t i = 0; i < n; ++i) all[r * n + i] = word_at(row + r, i);
      }
      if (sort_together(all, here, n) < here) break;
      for (int64_t r = 0; r < here; ++r) write(row + r, all + r * n);
    }
    for (; row < end; ++row) {
      if (most >= n) {
        for (int64_t i = 0; i < n; ++i) words[i] = word_at(row, i);
      }
      const auto word = [&](int64_t i) { return word_at(row, i); };
      const auto find = [&](int64_t begin, uint64_t limit, int64_t* places, int64_t few) {
        return find_places(from + row * n, begin, n, descending, limit, places, few);
      };
      const int64_t size = most < n ? select(word, find, n, count, words, other, room) : n;
      write(row, sort_words<OrderKey<T>>(words, other, size));
    }
  });
}
template <class T, class Write>
void order_rows(const Tensor& x, int64_t rows, int64_t n, int64_t count, bool descending,
                Workspace& workspace, const Write& write) {
  const bool narrow = sizeof(T) <= 4 && n <= UINT32_MAX;
  (narrow ? order_rows<T, uint64_t, Write> : order_rows<T, Wide, Write>)(x, rows, n, count, descending,
                                                                         workspace, write);
}
template <class Word> int64_t place_of(Word word) {
  return static_cast<int64_t>(word & ((Word{1} << kPlaceBits<Word>)-1));
}

// Whether vectors of 4-byte elements are sorted slowly: AMD's AVX-512 takes long to compress them into
// memory.
bool compresses_slowly() {
#if HWY_ARCH_X86
  static const bool is_slow = __builtin_cpu_supports("avx512f") && __builtin_cpu_is("amd");
  return is_slow;
#else
  return false;
#endif
}
// Whether rows of so many keys are sorted by digits, for which there is another buffer.
template <class Key> bool takes_digits(int64_t n) {
  constexpr int64_t kFew = 256;
  return sizeof(Key) == 4 && n >= kFew && compresses_slowly();
}

// By a byte after the other, from the lowest, but those that all have in common.
template <class Key> void sort_by_digits(Key* keys, Key* other, int64_t n) {
  std::array<std::array<int64_t, 256>, sizeof(Key)> places{};
  const auto digit = [](Key key, size_t d) { return static_cast<size_t>(key >> (8 * d)) % 256; };
  for (int64_t i = 0; i < n; ++i) {
    for (size_t d = 0; d < sizeof(Key); ++d) ++places[d][digit(keys[i], d)];
  }
  Key *from = keys, *to = other;
  for (size_t d = 0; d < sizeof(Key); ++d) {
    if (places[d][digit(from[0], d)] == n) continue;
    int64_t before = 0;
    for (int64_t& place : places[d]) before += std::exchange(place, before);
    for (int64_t i = 0; i < n; ++i) to[places[d][digit(from[i], d)]++] = from[i];
    std::swap(from, to);
  }
  if (from != keys) std::copy_n(from, n, keys);
}

// Sorts keys that lie where the elements will.
template <class Key> void sort_keys(Key* keys, Key* other, int64_t n, std::optional<hwy::Sorter>& sorter) {
  constexpr int64_t kFew = 48;
  if (n <= kFew) {
    Key other[kFew];
    return sort_few(keys, other, n, true);
  }
  if constexpr (sizeof(Key) == 1) {
    std::array<int64_t, 256> counts{};
    for (int64_t i = 0; i < n; ++i) ++counts[keys[i]];
    for (size_t value = 0; value < counts.size(); ++value)
      keys = std::fill_n(keys, counts[value], static_cast<Key>(value));
  } else if (takes_digits<Key>(n)) {
    sort_by_digits(keys, other, n);
  } else {
    if (!sorter) sorter.emplace();
    (*sorter)(keys, static_cast<size_t>(n), hwy::SortAscending());
  }
}

template <class T>
bool sort_plain(const Tensor& x, const Tensor& y, int64_t rows, int64_t n, bool descending,
                Workspace& workspace) {
  std::atomic<bool> plain = true;
  const PlainKeyFunctions functions = plain_key_functions(dtype_of<T>);
  const int64_t together = std::max<int64_t>(1, kGrain / n), tasks = (rows + together - 1) / together,
                room = takes_digits<OrderKey<T>>(n) ? n : 0;
  auto* const rooms = workspace.take<OrderKey<T>>(most_at_once(tasks) * room);
  if (workspace.counts()) return false;
  const auto* const from = static_cast<const OrderKey<T>*>(x.raw_data());
  auto* const to = static_cast<OrderKey<T>*>(y.raw_data());
  parallel_with_rooms(tasks, rows * n, [&](int64_t task, int64_t own) {
    const int64_t begin = task * together, end = std::min(begin + together, rows);
    OrderKey<T>* const keys = to + begin * n;
    const int64_t count = (end - begin) * n;
    if (!plain || !functions.to_keys(from + begin * n, keys, count, descending)) {
      plain = false;
      return;
    }
    std::optional<hwy::Sorter> sorter;  // has memory of its own
    for (int64_t row = sort_together(keys, end - begin, n); row < end - begin; ++row)
      sort_keys(keys + row * n, rooms + own * room, n, sorter);
    functions.to_elements(keys, count, descending);
  });
  return plain;
}

void sort(const Call& call, Workspace& workspace) {
  const Tensor& y = call.outputs[0];
  if (y.numel() == 0) return;
  const Tensor x = row_major(call.inputs[0], workspace);
  const int64_t n = x.size(-1), rows = x.numel() / n;
  const bool descending = call.attrs.as<SortRowsAttrs>().descending;
  visit_dtype(x.dtype(), [&]<class T>() {
    const int64_t taken = workspace.taken();
    if (sort_plain<T>(x, y, rows, n, descending, workspace)) return;
    workspace.give_back(taken);
    order_rows<T>(x, rows, n, n, descending, workspace, [&](int64_t row, const auto* words) {
      const T* const from = static_cast<const T*>(x.raw_data()) + row * n;
      T* const to = static_cast<T*>(y.raw_data()) + row * n;
      for (int64_t i = 0; i < n; ++i) to[i] = from[place_of(words[i])];
    });
  });
}

void argsort(const Call& call, Workspace& workspace) {
  if (call.outputs[0].numel() == 0) return;
  const Tensor x = row_major(call.inputs[0], workspace);
  const int64_t n = x.size(-1), rows = x.numel() / n;
  const SortAttrs& attrs = call.attrs.as<SortAttrs>();
  const int64_t count = attrs.count;
  visit_dtype(x.dtype(), [&]<class T>() {
    order_rows<T>(x, rows, n, count, attrs.descending, workspace, [&](int64_t row, const auto* words) {
      int64_t* const order = static_cast<int64_t*>(call.outputs[0].raw_data()) + row * count;
      for (int64_t i = 0; i < count; ++i) order[i] = place_of(words[i]);
    });
  });
}

// The places of several numbers in one row, some at once: none waits for what another reads. Of numbers that
// are no NaN one comparison says which comes first.
template <bool right, class T>
void find_places(const T* row, int64_t n, const T* x, int64_t count, int64_t* places) {
  constexpr int64_t kAtOnce = 8;
  const auto is_plainly_before = [](T at, T value) {
    if constexpr (is_half<T>) {
      return is_before(at, value, right);
    } else {
      return right ? at <= value : at < value;
    }
  };
  int64_t i = 0;
  for (; i + kAtOnce <= count && n > 0; i += kAtOnce) {
    bool has_nan = false;
    for (int64_t k = 0; k < kAtOnce && !is_half<T>; ++k) has_nan |= x[i + k] != x[i + k];
    if (has_nan) {
      for (int64_t k = 0; k < kAtOnce; ++k) places[i + k] = place_in_order(row, n, x[i + k], right);
      continue;
    }
    const T* first[kAtOnce];
    std::fill_n(first, kAtOnce, row);
    for (int64_t left = n; left > 1;) {
      const int64_t half = left / 2;
      for (int64_t k = 0; k < kAtOnce; ++k)
        first[k] += half & -static_cast<int64_t>(is_plainly_before(first[k][half - 1], x[i + k]));
      left -= half;
    }
    for (int64_t k = 0; k < kAtOnce; ++k)
      places[i + k] = first[k] - row + is_plainly_before(*first[k], x[i + k]);
  }
  for (; i < count; ++i) places[i] = place_in_order(row, n, x[i], right);
}

void searchsorted(const Call& call, Workspace& workspace) {
  const Tensor sorted = row_major(call.inputs[0], workspace), values = row_major(call.inputs[1], workspace);
  if (values.numel() == 0 || workspace.counts()) return;
  const int64_t n = sorted.size(-1), each = values.size(-1);
  const bool right = call.attrs.as<SearchAttrs>().right;
  int64_t* const places = static_cast<int64_t*>(call.outputs[0].raw_data());
  visit_dtype(sorted.dtype(), [&]<class T>() {
    const T* const rows = static_cast<const T*>(sorted.raw_data());
    const T* const x = static_cast<const T*>(values.raw_data());
    parallel_elements(values.numel(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin, here = 0; i < end; i += here) {
        here = std::min(end, (i / each + 1) * each) - i;
        const auto find = right ? find_places<true, T> : find_places<false, T>;
        find(rows + i / each * n, n, x + i, here, places + i);
      }
    });
  });
}

}  // namespace

void register_order_kernels() {
  set_kernel_with_workspace<sort>(primitives::sort);
  set_kernel_with_workspace<argsort>(primitives::argsort);
  set_kernel_with_workspace<searchsorted>(primitives::searchsorted);
}

}  // namespace tidu::cpu
