// SHA-256 (FIPS 180-4): checksums of data files and fingerprints of parameters.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace tidu::io {

class Sha256 {
 public:
  Sha256& update(std::string_view bytes);
  // The digest of all bytes so far, as 64 hexadecimal digits.
  std::string hex() const;

 private:
  void compress(const char* block);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<char, 64> buffer_{};
  uint64_t length_ = 0;  // in bytes
};

std::string sha256(std::string_view bytes);
// The digest of the tensors' elements (row-major, little-endian), one tensor after another.
std::string sha256(const Tensors& tensors);

}  // namespace tidu::io
