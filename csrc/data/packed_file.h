// Reading a file that may be gzipped, piece by piece.
#pragma once

#include <memory>

#include "io/files.h"

namespace tidu::data {

using io::Path;

// The unpacked bytes of a file. Any fault is a FileError that names the file.
class PackedFile {
 public:
  explicit PackedFile(const Path& path);
  ~PackedFile();

  // Fills `to` with the next bytes; FileError where the file ends before.
  void read(char* to, size_t bytes);
  // All bytes that are left.
  std::string read_rest();
  // FileError where bytes are left, packed or not.
  void expect_end();
  // No more bytes than these can be left (gzip packs 1032 to 1 at best), so that a size the file claims can
  // be judged before memory is taken for it.
  uint64_t most_left() const;
  const Path& path() const { return path_; }

 private:
  class Gzip;
  size_t read_some(char* to, size_t bytes);

  Path path_;
  std::string bytes_;
  size_t position_ = 0;
  std::unique_ptr<Gzip> gzip_;  // null where the file is plain
};

}  // namespace tidu::data
