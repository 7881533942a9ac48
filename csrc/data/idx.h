// The IDX format of the MNIST family: a magic number with element type and rank, the extents, the elements;
// all big-endian.
#pragma once

#include "io/files.h"
#include "tensor/tensor.h"

namespace tidu::data {

using io::Path;

// The tensor in an IDX file, plain or gzipped: uint8, int8, int16, int32, float32 or float64. A damaged file
// (wrong magic, fewer or more bytes than its extents say, a bad gzip stream) is a FileError that names the
// file and the fault. Where `sha256` is given, the unpacked bytes must have that digest.
Tensor read_idx(const Path& path, std::string_view sha256 = {});

}  // namespace tidu::data
