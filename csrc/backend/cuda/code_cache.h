// Compiled code on disk: in TIDU_CACHE_DIR, else XDG_CACHE_HOME/tidu, else ~/.cache/tidu, a file an entry.
// What cannot be read or is damaged is as good as not there, and what cannot be written is left out.
#pragma once

#include <optional>
#include <string>

namespace tidu::cuda {

// The code kept for a key, which is all that it depends on.
std::optional<std::string> find_code(const std::string& key);
void keep_code(const std::string& key, const std::string& code);

}  // namespace tidu::cuda
