// Whole files: reading, and writing so that a crash leaves either the old file or the new one.
#pragma once

#include <filesystem>
#include <span>
#include <string>

namespace tidu::io {

using Path = std::filesystem::path;

// The bytes of a regular file; MissingFileError where there is none, FileError where it cannot be read.
std::string read_file(const Path& path);

// Writes the parts one after another into a new file beside `path`, forces it to disk and puts it in the
// place of `path`, or of what that links to, whose permissions it takes over. FileError where that fails or
// something other than a regular file is there; the old file is untouched then.
void write_file(const Path& path, std::span<const std::string_view> parts);
void write_file(const Path& path, std::string_view text);

}  // namespace tidu::io
