# Writes OUTPUT, a C++ source with the texts of HEADERS, which lie below ROOT:
# cmake -DROOT=.. -DHEADERS="a.h b.h" -DOUTPUT=.. -P embed_headers.cmake
separate_arguments(HEADERS)
set(entries "")
foreach(name IN LISTS HEADERS)
  file(READ ${ROOT}/${name} text)
  string(APPEND entries "    {\"${name}\", R\"tidu_header(${text})tidu_header\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Written by cmake/embed_headers.cmake.
#include \"backend/cuda/embedded_headers.h\"

namespace tidu::cuda {

std::span<const EmbeddedHeader> embedded_headers() {
  static constexpr EmbeddedHeader all[] = {
${entries}  };
  return all;
}

}  // namespace tidu::cuda
")
