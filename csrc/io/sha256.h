// SHA-256 (FIPS 180-4): checksums of data files and fingerprints of parameters.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace tidu::io {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256& update(std::string_view bytes);
  // The digest of all bytes so far, as 64 hexadecimal digits.
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256(std::string_view bytes);
// The digest of the tensors' elements (row-major, little-endian), one tensor after another.
std::string sha256(const Tensors& tensors);

}  // namespace tidu::io
