// SHA-256, by OpenSSL.
#include "io/sha256.h"

#include <openssl/evp.h>

#include <new>

#include "ops/creation.h"

namespace tidu::io {
namespace {

void check(int done) {
  if (done != 1) throw std::bad_alloc();  // nothing else can fail
}

}  // namespace

struct Sha256::State {
  State() : context(EVP_MD_CTX_new()) {
    if (!context) throw std::bad_alloc();
  }
  ~State() { EVP_MD_CTX_free(context); }
  State(const State&) = delete;

  EVP_MD_CTX* const context;
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  check(EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr));
}
Sha256::~Sha256() = default;

Sha256& Sha256::update(std::string_view bytes) {
  check(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()));
  return *this;
}

std::string Sha256::hex() const {
  const State copy;  // to which more may be added here
  check(EVP_MD_CTX_copy_ex(copy.context, state_->context));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  check(EVP_DigestFinal_ex(copy.context, digest, &size));
  std::string digits;
  for (unsigned int i = 0; i < size; ++i) {
    digits += "0123456789abcdef"[digest[i] >> 4];
    digits += "0123456789abcdef"[digest[i] & 15];
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
