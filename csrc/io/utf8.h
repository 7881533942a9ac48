// UTF-8.
#pragma once

#include <string_view>

namespace tidu::io {

// Whether the bytes are well-formed (Unicode 15, table 3-7).
bool is_utf8(std::string_view text);

}  // namespace tidu::io
