// Tensors in files of the safetensors format (github.com/huggingface/safetensors): 8 bytes of header length,
// a JSON header, the elements.
#pragma once

#include <map>
#include <string>

#include "io/files.h"
#include "tensor/tensor.h"

namespace tidu::io {

using NamedTensors = std::map<std::string, Tensor>;
using Metadata = std::map<std::string, std::string>;

struct Saved {
  NamedTensors tensors;
  Metadata metadata;
};

// Writes atomically: a crash leaves the old file whole. ValueError for a name or metadata that is not UTF-8,
// FileError where the file cannot be written.
void save(const Path& path, const NamedTensors& tensors, const Metadata& metadata = {});

// Reads what `save` or another program wrote. A file that breaks the format in any way is a FileError that
// names it and the fault, found before memory is taken for it; MissingFileError where there is none.
Saved load(const Path& path, Device device = {});

}  // namespace tidu::io
