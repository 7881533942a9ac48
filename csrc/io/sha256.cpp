// SHA-256.
#include "io/sha256.h"

#include <algorithm>
#include <bit>

#include "ops/creation.h"

namespace tidu::io {
namespace {

constexpr uint32_t kRounds[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

uint32_t big_endian(const char* bytes) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) word = word << 8 | static_cast<uint8_t>(bytes[i]);
  return word;
}

}  // namespace

void Sha256::compress(const char* block) {
  uint32_t w[64];
  for (int i = 0; i < 16; ++i) w[i] = big_endian(block + 4 * i);
  for (int i = 16; i < 64; ++i) {
    const uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
           (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
  }
  auto [a, b, c, d, e, f, g, h] = state_;
  for (int i = 0; i < 64; ++i) {
    const uint32_t first = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                           ((e & f) ^ (~e & g)) + kRounds[i] + w[i];
    const uint32_t second =
        (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + first;
    d = c, c = b, b = a, a = first + second;
  }
  const uint32_t result[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state_[i] += result[i];
}

Sha256& Sha256::update(std::string_view bytes) {
  const size_t held = length_ % 64;
  length_ += bytes.size();
  if (held) {
    const size_t taken = std::min(64 - held, bytes.size());
    std::copy_n(bytes.begin(), taken, buffer_.begin() + held);
    if (held + taken < 64) return *this;
    compress(buffer_.data());
    bytes.remove_prefix(taken);
  }
  for (; bytes.size() >= 64; bytes.remove_prefix(64)) compress(bytes.data());
  std::copy(bytes.begin(), bytes.end(), buffer_.begin());
  return *this;
}

std::string Sha256::hex() const {
  Sha256 padded = *this;
  std::string padding("\x80");
  padding.resize((length_ % 64 < 56 ? 56 : 120) - length_ % 64);
  for (int shift = 56; shift >= 0; shift -= 8) padding += static_cast<char>(length_ * 8 >> shift);
  padded.update(padding);
  std::string digits;
  for (const uint32_t word : padded.state_) {
    for (int shift = 28; shift >= 0; shift -= 4) digits += "0123456789abcdef"[word >> shift & 15];
  }
  return digits;
}

std::string sha256(std::string_view bytes) { return Sha256().update(bytes).hex(); }

std::string sha256(const Tensors& tensors) {
  Sha256 digest;
  std::string bytes;
  for (const Tensor& tensor : tensors) {
    bytes.resize(tensor.nbytes());
    copy_to_host(tensor, bytes.data());
    digest.update(bytes);
  }
  return digest.hex();
}

}  // namespace tidu::io
