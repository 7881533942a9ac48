# Installs tidu into a fresh prefix, moves the prefix, builds the outside project against it and runs it; then checks that
# the public headers need no include directory but their own and bring in no third-party header.
cmake_minimum_required(VERSION 3.22)
set(work ${BUILD_DIR}/consumer)
file(REMOVE_RECURSE ${work})
set(ENV{CCACHE_SLOPPINESS} pch_defines,time_macros)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message("${output}")
    message(FATAL_ERROR "failed: ${command}")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${work}/first)
file(RENAME ${work}/first ${work}/prefix)

set(include ${work}/prefix/include)
file(WRITE ${work}/umbrella.cpp "#include <tidu/tidu.h>\n")
run(${COMPILER} -std=c++20 -Wall -Wextra -Werror -fsyntax-only -I${include} ${work}/umbrella.cpp)
run(${COMPILER} -std=c++20 -E -I${include} ${work}/umbrella.cpp)
string(REGEX MATCHALL "\n# [0-9]+ \"[^\"]*/(hwy/|dnnl|oneapi/|cblas|openblas|lapack|pybind11/|zlib|omp\\.h|Python\\.h)[^\"]*\""
       foreign "${output}")
if(foreign)
  list(GET foreign 0 first)
  message(FATAL_ERROR "tidu/tidu.h brings in a third-party header:${first}")
endif()

run(${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${work}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Release
    -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${work}/prefix)
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/consumer)
message("${output}")
