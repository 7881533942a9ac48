// Products of matrices in tiles that stay in registers: an element of a times vectors of b, added up.
//
// Rows of b are copied side by side where they serve many tiles, or lie in columns. a is read element by
// element, and where it is, unless those of a row lie apart and serve many tiles. Strides are constants where
// they can be and rows are taken by fours: what else counts them is a tenth of a tile's instructions, which a
// core that two threads share has no room for.
#include "kernels/cpu/gemm.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gemm.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "kernels/cpu/tail-inl.h"
#include "kernels/cpu/transpose-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidu::cpu::HWY_NAMESPACE {
namespace {

template <class Bits>
void integer_gemm(const GemmSize& size, const GemmFactor& left, const GemmFactor& right, void* result,
                  int64_t leading, void*) {
  constexpr int64_t kWidth = 256 / sizeof(Bits);
  const auto *const a = static_cast<const Bits*>(left.data), *const b = static_cast<const Bits*>(right.data);
  for (int64_t column = 0; column < size.columns; column += kWidth) {
    const int64_t width = std::min(kWidth, size.columns - column);
    for (int64_t row = 0; row < size.rows; ++row) {
      HWY_ALIGN Bits sums[kWidth] = {};
      const auto add = [&](int64_t n) {
        for (int64_t k = 0; k < size.depth; ++k) {
          const auto factor = 1u * a[row * left.row_stride + k * left.column_stride];
          const Bits* const from = b + k * right.row_stride + column;
          for (int64_t j = 0; j < n; ++j) sums[j] = static_cast<Bits>(sums[j] + factor * from[j]);
        }
      };
      width == kWidth ? add(kWidth) : add(width);
      auto* const c = static_cast<Bits*>(result) + row * leading + column;
      for (int64_t j = 0; j < width; ++j) c[j] = static_cast<Bits>(size.adds ? c[j] + sums[j] : sums[j]);
    }
  }
}

// Bytes in pairs, each in 16 bits of its own: what stands above a byte never reaches down into it, and
// vectors have no products of bytes.
void byte_gemm(const GemmSize& size, const GemmFactor& left, const GemmFactor& right, void* result,
               int64_t leading, void*) {
  using Pair [[gnu::aligned(1), gnu::may_alias]] = uint16_t;
  static_assert(std::endian::native == std::endian::little);
  constexpr int64_t kPairs = 128, kFewPairs = 32;
  const auto* const a = static_cast<const uint8_t*>(left.data);
  const auto* const b = static_cast<const uint8_t*>(right.data);
  int64_t width;
  for (int64_t column = 0; column < size.columns; column += width) {
    const int64_t rest = size.columns - column;
    width = rest >= 2 * kPairs ? 2 * kPairs : rest >= 2 * kFewPairs ? 2 * kFewPairs : rest;
    const int64_t pairs = width / 2;
    for (int64_t row = 0; row < size.rows; ++row) {
      HWY_ALIGN uint16_t even[kPairs + 1] = {}, odd[kPairs] = {};
      const auto add = [&](int64_t n) {
        for (int64_t k = 0; k < size.depth; ++k) {
          const uint16_t factor = a[row * left.row_stride + k * left.column_stride];
          const uint8_t* const from = b + k * right.row_stride + column;
          const Pair* const both = reinterpret_cast<const Pair*>(from);  // `auto` would align them
          for (int64_t j = 0; j < n; ++j) {
            even[j] = static_cast<uint16_t>(even[j] + 1u * factor * both[j]);
            odd[j] = static_cast<uint16_t>(odd[j] + 1u * factor * (both[j] >> 8));
          }
          if (width % 2 != 0) even[n] = static_cast<uint16_t>(even[n] + 1u * factor * from[width - 1]);
        }
      };
      pairs == kPairs ? add(kPairs) : pairs == kFewPairs ? add(kFewPairs) : add(pairs);
      auto* const c = static_cast<uint8_t*>(result) + row * leading + column;
      const auto sum = [&](uint8_t& to, uint16_t of) { to = static_cast<uint8_t>(size.adds ? to + of : of); };
      for (int64_t j = 0; j < pairs; ++j) sum(c[2 * j], even[j]), sum(c[2 * j + 1], odd[j]);
      if (width % 2 != 0) sum(c[width - 1], even[pairs]);
    }
  }
}

GemmFunction find_integer_gemm(DType dtype) {
  switch (dtype) {
    case DType::int8:
    case DType::uint8: return byte_gemm;
    case DType::int16:
    case DType::uint16: return integer_gemm<uint16_t>;
    case DType::int32:
    case DType::uint32: return integer_gemm<uint32_t>;
    default: return integer_gemm<uint64_t>;
  }
}

#if !HWY_HAVE_SCALABLE

namespace hn = hwy::HWY_NAMESPACE;
using tidu::HWY_NAMESPACE::load_tail;
using tidu::HWY_NAMESPACE::transpose;

template <class T> using Tag = hn::ScalableTag<T>;
template <class T> constexpr int64_t kLanes = hn::MaxLanes(Tag<T>());

constexpr int kMostRows = 8, kMostVectors = 3;  // of a tile
constexpr int64_t kAhead = 8;                   // rows of b from that which is read to that which is fetched
// A tile's sums, a row of b and an element of a take all registers.
constexpr int most_rows(int vectors) {
  constexpr int kRegisters = HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3 ? 16 : 32;
  return std::min(kMostRows, (kRegisters - 1 - vectors) / vectors);
}
// A last vector of few columns is half a one: the longest vectors take some processors twice the time.
constexpr bool kHalves = HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX3;

template <class T> struct Tile {
  int64_t depth;
  const T* a;
  int64_t a_row, a_step;            // one of them is 1
  const int64_t *a_rows, *a_steps;  // or where these say
  const T* b;
  int64_t b_step;
  bool b_copied;  // that of all vectors, the last of which is there as a whole
  // Elements from a row of b, which is there as a whole, to that to be fetched meanwhile, or 0.
  int64_t ahead;
  const T* begun;  // sums of rows above, `begun_row` apart, or none
  int64_t begun_row;
  T* c;
  int64_t leading;
  int64_t last;  // elements of the last vector
  bool adds;
};

// Neighbours are elements of a row of a, or of a column, or none.
enum class Left { along, across, scattered };
// Rows of b lie side by side; or where they are: the last vector in part, or others to be fetched.
enum class Right { copied, cut, ahead };

template <class T, int rows, int vectors, Left of_a, Right of_b, bool halves>
HWY_NOINLINE void sum_tile(const Tile<T>& tile) {
  using LastTag = std::conditional_t<halves, hn::Half<Tag<T>>, Tag<T>>;
  const Tag<T> d;
  const LastTag last_d;
  constexpr int64_t n = kLanes<T>, kLine = std::max<int64_t>(1, 64 / (n * sizeof(T)));  // vectors in one
  constexpr int kLast = vectors - 1;
  const auto mask = hn::FirstN(last_d, static_cast<size_t>(tile.last));
  T* const c = tile.c;
  const int64_t leading = tile.leading, depth = tile.depth, ahead = tile.ahead;
  hn::Vec<Tag<T>> sums[rows][vectors];  // but of the last vectors
  hn::Vec<LastTag> last_sums[rows];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
    const T* const begun = tile.begun + r * tile.begun_row;
#pragma GCC unroll 8
    for (int v = 0; v < kLast; ++v) sums[r][v] = tile.begun ? hn::LoadU(d, begun + v * n) : hn::Zero(d);
    last_sums[r] = tile.begun ? hn::LoadU(last_d, begun + kLast * n) : hn::Zero(last_d);
  }
  // What is there may lie far away.
  for (int r = 0; r < rows && tile.adds; ++r) {
    for (int64_t v = 0; v < vectors; v += kLine) hwy::Prefetch(c + r * leading + v * n);
  }
  const T *a = tile.a, *b = tile.b;
  const int64_t a_row = of_a == Left::across ? 1 : tile.a_row, a_step = of_a == Left::along ? 1 : tile.a_step,
                b_step = of_b == Right::copied ? vectors * n : tile.b_step;
  const T* scattered[rows];
  for (int r = 0; of_a == Left::scattered && r < rows; ++r) scattered[r] = a + tile.a_rows[r];
#pragma GCC unroll 4
  for (int64_t k = 0; k < depth; ++k, a += a_step, b += b_step) {
    for (int64_t v = 0; of_b == Right::ahead && v < vectors; v += kLine) hwy::Prefetch(b + ahead + v * n);
    hn::Vec<Tag<T>> right[vectors];
#pragma GCC unroll 8
    for (int v = 0; v < kLast; ++v) right[v] = hn::LoadU(d, b + v * n);
    const T* const at = b + kLast * n;
    const auto last_right = of_b == Right::cut ? hn::MaskedLoad(mask, last_d, at) : hn::LoadU(last_d, at);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const T left = of_a == Left::scattered ? scattered[r][tile.a_steps[k]] : a[r * a_row];
#pragma GCC unroll 8
      for (int v = 0; v < kLast; ++v) sums[r][v] = hn::MulAdd(hn::Set(d, left), right[v], sums[r][v]);
      last_sums[r] = hn::MulAdd(hn::Set(last_d, left), last_right, last_sums[r]);
    }
  }
  const bool cut = tile.last < static_cast<int64_t>(hn::Lanes(last_d));
  const auto each = [&](const auto& whole, const auto& part) HWY_ATTR {
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      T* const row = c + r * leading;
#pragma GCC unroll 8
      for (int v = 0; v < kLast; ++v) whole(sums[r][v], d, row + v * n);
      cut ? part(last_sums[r], row + kLast * n) : whole(last_sums[r], last_d, row + kLast * n);
    }
  };
  if (tile.adds) {
    each([&](auto& sum, auto of, const T* at) HWY_ATTR { sum = hn::Add(hn::LoadU(of, at), sum); },
         [&](auto& sum, const T* at) HWY_ATTR { sum = hn::Add(hn::MaskedLoad(mask, last_d, at), sum); });
  }
  each([&](auto sum, auto of, T* at) HWY_ATTR { hn::StoreU(sum, of, at); },
       [&](auto sum, T* at) HWY_ATTR { hn::BlendedStore(sum, mask, last_d, at); });
}

template <class T, int rows, int vectors, Left of_a, Right of_b> void write_tile(const Tile<T>& tile) {
  constexpr bool kMayHalve = kHalves && of_b != Right::ahead;
  if (kMayHalve && 2 * tile.last <= kLanes<T>) return sum_tile<T, rows, vectors, of_a, of_b, kMayHalve>(tile);
  sum_tile<T, rows, vectors, of_a, of_b, false>(tile);
}

template <class T, int rows, int vectors, Left of_a> void write_tile(const Tile<T>& tile) {
  if (tile.b_copied) return write_tile<T, rows, vectors, of_a, Right::copied>(tile);
  tile.ahead ? write_tile<T, rows, vectors, of_a, Right::ahead>(tile)
             : write_tile<T, rows, vectors, of_a, Right::cut>(tile);
}

template <class T, int rows, int vectors> void write_tile(const Tile<T>& tile) {
  if (tile.a_rows) return write_tile<T, rows, vectors, Left::scattered, Right::copied>(tile);
  tile.a_step == 1 ? write_tile<T, rows, vectors, Left::along>(tile)
                   : write_tile<T, rows, vectors, Left::across>(tile);
}

// For each number of rows.
template <class T> using TileFunctions = std::array<void (*)(const Tile<T>&), kMostRows>;
template <class T, int vectors, int... row>
constexpr TileFunctions<T> tile_functions(std::integer_sequence<int, row...>) {
  return {write_tile<T, std::min(row + 1, most_rows(vectors)), vectors>...};
}
template <class T, int... vector>
constexpr std::array<TileFunctions<T>, kMostVectors> all_tile_functions(
    std::integer_sequence<int, vector...>) {
  return {tile_functions<T, vector + 1>(std::make_integer_sequence<int, kMostRows>())...};
}
template <class T>
constexpr auto kTileFunctions = all_tile_functions<T>(std::make_integer_sequence<int, kMostVectors>());

// n items in equal pieces of at most `most`.
struct Pieces {
  Pieces(int64_t n, int64_t most) : n(n), count((n + most - 1) / most) {}
  int64_t begin(int64_t i) const { return n * i / count; }
  int64_t size(int64_t i) const { return begin(i + 1) - begin(i); }
  int64_t n, count;
};

// Columns of b in panels of vectors, the last of which may be cut.
struct Panel {
  int64_t column, vectors, columns;
};
struct Panels {
  Panel operator[](int64_t i) const {
    const int64_t column = first + parts.begin(i) * lanes, vectors = parts.size(i);
    return {column, vectors, std::min(vectors * lanes, end - column)};
  }
  Pieces parts;
  int64_t first, end, lanes;
};

// Rows of b side by side in each panel, zeros behind the last column. Several panels at once, so that long
// pieces of rows are read, and no more than a set of the cache has ways: they may lie a power of two apart.
template <class T> void copy_rows(const T* b, int64_t stride, int64_t depth, const Panels& panels, T* to) {
  constexpr int64_t n = kLanes<T>, kAtOnce = 8;  // panels
  const Tag<T> d;
  for (int64_t begin = 0; begin < panels.parts.count; begin += kAtOnce) {
    const int64_t end = std::min(begin + kAtOnce, panels.parts.count);
    for (int64_t i = 0; i < depth; ++i) {
      T* row = to;
      for (int64_t p = begin; p < end; ++p) {
        const auto [column, vectors, columns] = panels[p];
        const T* const from = b + i * stride + column;
        for (int64_t v = 0; v < vectors; ++v) {
          const int64_t here = columns - v * n;
          if (i + kAhead < depth) hwy::Prefetch(from + kAhead * stride + v * n);
          hn::StoreU(here < n ? load_tail(d, from + v * n, here, T(0)) : hn::LoadU(d, from + v * n), d,
                     row + i * vectors * n + v * n);
        }
        row += depth * vectors * n;
      }
    }
    for (int64_t p = begin; p < end; ++p) to += depth * panels[p].vectors * n;
  }
}

// A panel of columns that lie `stride` elements apart, zeros behind the last of them.
template <class T>
void copy_columns(const T* b, int64_t stride, int64_t depth, int64_t vectors, int64_t columns, T* to) {
  constexpr int n = kLanes<T>;
  const Tag<T> d;
  for (int64_t v = 0; v < vectors; ++v) {
    const T* const from = b + v * n * stride;
    const int64_t here = columns - v * n;
    for (int64_t k = 0; k < depth; k += n) {
      const int64_t rows = std::min<int64_t>(n, depth - k);
      hn::Vec<Tag<T>> square[n];
#pragma GCC unroll 16
      for (int j = 0; j < n; ++j) {
        square[j] = j >= here   ? hn::Zero(d)
                    : rows == n ? hn::LoadU(d, from + j * stride + k)
                                : load_tail(d, from + j * stride + k, rows, T(0));
      }
      transpose(d, square);
      T* const at = to + (k * vectors + v) * n;
#pragma GCC unroll 16
      for (int i = 0; i < n; ++i) {
        if (i < rows) hn::StoreU(square[i], d, at + i * vectors * n);
      }
    }
  }
}

constexpr int64_t kMostDepth = 384;
constexpr int64_t kMostPanels = kGemmPanels / (kMostDepth * kMostVectors * 64);
// Tiles whose elements of a are copied at once: lines of the cache are used whole, and pages turned to once.
constexpr int64_t kTiles = 8;
static_assert(kGemmTiles == kTiles * kMostRows * kMostDepth * 8);

// The elements of each column of tiles `begin` to `end`, columns of one kMostRows apart.
template <class T>
void copy_tiles(const T* a, const GemmFactor& left, int64_t depth, const Pieces& rows, int64_t begin,
                int64_t end, T* to) {
  constexpr int kRows = most_rows(kMostVectors);
  constexpr int64_t kLine = 64 / sizeof(T);
  const hn::CappedTag<T, kRows> d;
  const int64_t stride = left.column_stride;
  // Up to this, so many elements are neighbours and there as a whole.
  int64_t whole = end;
  while (whole > begin &&
         (left.row_stride != 1 || rows.size(whole - 1) > kRows || rows.begin(whole - 1) + kRows > rows.n))
    --whole;
  for (int64_t k = 0; whole > begin && k < depth; ++k) {
    const T* const column = a + k * stride;
    for (int64_t i = rows.begin(begin); k + 2 * kAhead < depth && i < rows.begin(whole); i += kLine)
      hwy::Prefetch(column + 2 * kAhead * stride + i);
    for (int64_t tile = begin; tile < whole; ++tile) {
      T* const at = to + ((tile - begin) * depth + k) * kMostRows;
      for (int64_t i = 0; i < kRows; i += static_cast<int64_t>(hn::Lanes(d)))
        hn::StoreU(hn::LoadU(d, column + rows.begin(tile) + i), d, at + i);
    }
  }
  for (int64_t tile = whole; tile < end; ++tile) {
    const T* const from = a + rows.begin(tile) * left.row_stride;
    T* const at = to + (tile - begin) * depth * kMostRows;
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t i = 0; i < rows.size(tile); ++i)
        at[k * kMostRows + i] = from[k * stride + i * left.row_stride];
    }
  }
}

// Of more bytes b comes from memory, best in slices of so many whole rows, a panel of which stays in the
// first-level cache for all tiles below each other while the next but one is fetched; so are rows read that
// lie pages apart, in the same sets of a cache.
constexpr int64_t kFar = 1 << 23, kSlice = 96;
// Up to so many rows b is read where it is, as is one of few elements; up to fewer where it is near and its
// rows lie so many bytes, or pages, apart.
constexpr int64_t kFewRows = 256, kFewerRows = 48, kLong = 1 << 14, kPage = 4096, kSmall = 20000;
// It is fetched ahead where it has more elements than that, which caches near by do not hold, and is deeper.
constexpr int64_t kNear = 1 << 16, kDeep = 24;
// So few panels read a's columns where they are; so few where these lie so many bytes apart, but one where
// all of them span so many.
constexpr int64_t kFewPanels = 8, kFewFarPanels = 3, kApart = 3072, kFarthest = 1 << 21;

template <class T>
void gemm(const GemmSize& size, const GemmFactor& left, const GemmFactor& right, void* result,
          int64_t leading, void* workspace) {
  constexpr int64_t n = kLanes<T>, kBytes = sizeof(T);
  const T *const a = static_cast<const T*>(left.data), *const b = static_cast<const T*>(right.data);
  const bool scattered = left.rows, along = right.column_stride == 1;
  const bool is_far = size.columns * size.depth * kBytes > kFar;
  const int64_t b_apart = right.row_stride * kBytes;
  const bool by_pages = b_apart % kPage == 0;
  const int64_t few = !is_far && (b_apart > kLong || by_pages) ? kFewerRows : kFewRows;
  const bool copies = scattered || !along || (size.rows > few && size.columns * size.depth > kSmall);
  const bool fetches = size.columns * size.depth > kNear && size.depth > kDeep;
  const bool slices = !copies && (is_far || (by_pages && fetches));
  // Copied panels, or the sums that slices have made so far.
  T *const copy = static_cast<T*>(workspace), *const tiles = copy + kGemmPanels / kBytes;
  const Pieces depths(size.depth, kMostDepth),
      widths((size.columns + n - 1) / n,
             slices ? kGemmPanels / (n * kBytes * size.rows) : kMostPanels * kMostVectors);
  for (int64_t w = 0; w < widths.count; ++w) {
    const Pieces parts(widths.size(w), kMostVectors);
    const Panels panels{parts, widths.begin(w) * n, size.columns, n};
    const Pieces rows(size.rows, most_rows(static_cast<int>(parts.size(parts.count - 1))));
    for (int64_t s = 0; s < depths.count; ++s) {
      const int64_t k = depths.begin(s), depth = depths.size(s);
      const T* const rows_of_b = b + k * right.row_stride;
      if (copies && along) copy_rows(rows_of_b, right.row_stride, depth, panels, copy);
      for (int64_t p = 0; copies && !along && p < parts.count; ++p) {
        const auto [column, vectors, columns] = panels[p];
        copy_columns(rows_of_b + column * right.column_stride, right.column_stride, depth, vectors, columns,
                     copy + parts.begin(p) * n * depth);
      }
      const int64_t a_apart = left.column_stride * kBytes;
      const int64_t few_panels = a_apart < kApart               ? kFewPanels
                                 : a_apart * depth <= kFarthest ? kFewFarPanels
                                                                : 1;
      const bool gathers =
          !scattered && left.column_stride != 1 && (left.row_stride != 1 || parts.count > few_panels);
      const Pieces pieces(depth, slices ? kSlice : depth);
      for (int64_t piece = 0; piece < pieces.count; ++piece) {
        const int64_t begin = pieces.begin(piece), deep = pieces.size(piece);
        const T* const columns_of_a = a + (k + begin) * left.column_stride;
        const bool ends = piece + 1 == pieces.count;
        int64_t first = 0;  // of the tiles whose elements of a are copied
        const auto add = [&](int64_t r, int64_t p) {
          const auto [column, vectors, columns] = panels[p];
          const int64_t row = rows.begin(r), b_step = copies ? vectors * n : right.row_stride,
                        sums_step = widths.size(w) * n, ahead = slices ? 2 * vectors * n : kAhead * b_step;
          T* const sums = copy + row * sums_step + parts.begin(p) * n;
          const Tile<T> tile{
              .depth = deep,
              .a = gathers ? tiles + (r - first) * deep * kMostRows : columns_of_a + row * left.row_stride,
              .a_row = gathers ? 1 : left.row_stride,
              .a_step = gathers ? kMostRows : left.column_stride,
              .a_rows = scattered ? left.rows + row : nullptr,
              .a_steps = scattered ? left.columns + k : nullptr,
              .b = copies ? copy + parts.begin(p) * n * depth : rows_of_b + begin * right.row_stride + column,
              .b_step = b_step,
              .b_copied = copies,
              .ahead = fetches && columns == vectors * n ? ahead : 0,
              .begun = piece > 0 ? sums : nullptr,
              .begun_row = sums_step,
              .c = ends ? static_cast<T*>(result) + row * leading + column : sums,
              .leading = ends ? leading : sums_step,
              .last = columns - (vectors - 1) * n,
              .adds = ends && (size.adds || s > 0)};
          kTileFunctions<T>[static_cast<size_t>(vectors - 1)][static_cast<size_t>(rows.size(r) - 1)](tile);
        };
        const int64_t at_once = slices ? kTiles * kMostDepth / kSlice : kTiles;
        for (; first < rows.count; first += at_once) {
          const int64_t end = std::min(first + at_once, rows.count);
          if (gathers) copy_tiles(columns_of_a, left, deep, rows, first, end, tiles);
          if (slices) {
            for (int64_t p = 0; p < parts.count; ++p) {
              for (int64_t r = first; r < end; ++r) add(r, p);
            }
          } else {
            for (int64_t r = first; r < end; ++r) {
              for (int64_t p = 0; p < parts.count; ++p) add(r, p);
            }
          }
        }
      }
    }
  }
}

#endif

GemmFunction find_gemm(DType dtype) {
  if (dtype != DType::float32 && dtype != DType::float64) return find_integer_gemm(dtype);
#if HWY_HAVE_SCALABLE
  return nullptr;
#else
  return dtype == DType::float64 ? gemm<double> : gemm<float>;
#endif
}

}  // namespace
}  // namespace tidu::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidu::cpu {
namespace {
HWY_EXPORT(find_gemm);
}

GemmFunction gemm_function(DType dtype) { return HWY_DYNAMIC_DISPATCH(find_gemm)(dtype); }

}  // namespace tidu::cpu
#endif
