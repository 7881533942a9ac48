// The IDX format.
#include "data/idx.h"

#include <algorithm>

#include "data/packed_file.h"
#include "io/sha256.h"
#include "ops/creation.h"

namespace tidu::data {
namespace {

DType dtype_of_code(uint8_t code, const Path& path) {
  switch (code) {
    case 0x08: return DType::uint8;
    case 0x09: return DType::int8;
    case 0x0b: return DType::int16;
    case 0x0c: return DType::int32;
    case 0x0d: return DType::float32;
    case 0x0e: return DType::float64;
  }
  fail<FileError>(path.string(), ": not an IDX file: unknown element type ", static_cast<int>(code));
}

}  // namespace

Tensor read_idx(const Path& path, std::string_view sha256) {
  PackedFile file(path);
  io::Sha256 digest;
  const auto read = [&](char* to, size_t bytes) {
    file.read(to, bytes);
    if (!sha256.empty()) digest.update({to, bytes});
  };

  char magic[4];
  read(magic, sizeof magic);
  if (magic[0] != 0 || magic[1] != 0)
    fail<FileError>(path.string(), ": not an IDX file: it does not begin with two zeros");
  const DType dtype = dtype_of_code(static_cast<uint8_t>(magic[2]), path);
  const int rank = static_cast<uint8_t>(magic[3]);
  if (rank > kMaxRank) fail<FileError>(path.string(), ": has ", rank, " dimensions, more than ", kMaxRank);
  Shape shape;
  uint64_t size = size_of(dtype);
  for (int axis = 0; axis < rank; ++axis) {
    char bytes[4];
    read(bytes, sizeof bytes);
    uint32_t extent = 0;
    for (const char byte : bytes) extent = extent << 8 | static_cast<uint8_t>(byte);
    shape.push_back(extent);
    if (__builtin_mul_overflow(size, extent, &size)) size = UINT64_MAX;
  }
  if (size > file.most_left()) {
    fail<FileError>(path.string(), ": its header says ", dtype, shape, ", but it is too short for that");
  }

  std::string elements(size, '\0');
  read(elements.data(), size);
  file.expect_end();
  if (!sha256.empty() && digest.hex() != sha256) {
    fail<FileError>(path.string(), ": its checksum is wrong: SHA-256 of the unpacked file is ", digest.hex(),
                    ", not ", sha256);
  }
  const size_t width = size_of(dtype);
  for (size_t i = 0; width > 1 && i < size; i += width)
    std::reverse(elements.data() + i, elements.data() + i + width);
  return copy_from_host(elements.data(), shape, dtype);
}

}  // namespace tidu::data
