// Reading a file that may be gzipped.
#include "data/packed_file.h"

#include <zlib.h>

#include <algorithm>

#include "base/error.h"

namespace tidu::data {

class PackedFile::Gzip {
 public:
  Gzip(const Path& path, const std::string& bytes) : path_(path) {
    if (inflateInit2(&stream_, 16 + MAX_WBITS) != Z_OK) fail<FileError>(path.string(), ": zlib cannot start");
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    left_ = bytes.size();
  }
  ~Gzip() { inflateEnd(&stream_); }
  Gzip(const Gzip&) = delete;

  size_t read_some(char* to, size_t bytes) {
    stream_.next_out = reinterpret_cast<Bytef*>(to);
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(bytes, kMostAtOnce));
    const uInt wanted = stream_.avail_out;
    while (!ended_ && stream_.avail_out == wanted) {
      const uInt given = static_cast<uInt>(std::min<size_t>(left_, kMostAtOnce));
      stream_.avail_in = given;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      left_ -= given - stream_.avail_in;
      ended_ = status == Z_STREAM_END;
      if (status == Z_BUF_ERROR) fail<FileError>(path_.string(), ": its gzip stream is cut off");
      if (status != Z_OK && !ended_)
        fail<FileError>(path_.string(), ": its gzip stream is damaged: ", stream_.msg ? stream_.msg : "");
    }
    return wanted - stream_.avail_out;
  }
  size_t packed_left() const { return left_; }

 private:
  static constexpr size_t kMostAtOnce = size_t{1} << 30;  // zlib counts in 32 bits

  const Path& path_;
  z_stream stream_{};
  size_t left_ = 0;
  bool ended_ = false;
};

PackedFile::PackedFile(const Path& path) : path_(path), bytes_(io::read_file(path)) {
  if (bytes_.starts_with("\x1f\x8b")) gzip_ = std::make_unique<Gzip>(path_, bytes_);
}

PackedFile::~PackedFile() = default;

size_t PackedFile::read_some(char* to, size_t bytes) {
  if (gzip_) return gzip_->read_some(to, bytes);
  const size_t taken = bytes_.copy(to, bytes, position_);
  position_ += taken;
  return taken;
}

void PackedFile::read(char* to, size_t bytes) {
  while (bytes > 0) {
    const size_t got = read_some(to, bytes);
    if (got == 0) fail<FileError>(path_.string(), ": ends too early, ", bytes, " bytes are missing");
    to += got;
    bytes -= got;
  }
}

std::string PackedFile::read_rest() {
  constexpr size_t kStep = 1 << 20;
  std::string rest;
  for (;;) {
    const size_t have = rest.size();
    rest.resize(have + kStep);
    const size_t got = read_some(rest.data() + have, kStep);
    rest.resize(have + got);
    if (got == 0) return rest;
  }
}

void PackedFile::expect_end() {
  char byte;
  if (read_some(&byte, 1) != 0 || (gzip_ && gzip_->packed_left() != 0))
    fail<FileError>(path_.string(), ": more bytes follow than belong to it");
}

uint64_t PackedFile::most_left() const {
  return gzip_ ? 1032 * (static_cast<uint64_t>(gzip_->packed_left()) + 1) + 32768 : bytes_.size() - position_;
}

}  // namespace tidu::data
