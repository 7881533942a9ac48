# The plug-in tidu_cuda: device cuda compiled by nvcc for GPUs.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  # What CUDA 13 supports in practice; the newest also as PTX, which later GPUs compile themselves.
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120)
endif()
if(TIDU_CCACHE AND NOT DEFINED CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${TIDU_CCACHE})
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.29 does not know C++20 for nvcc 13
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
endif()
find_package(CUDAToolkit 13 REQUIRED)

add_library(tidu_cuda_kernels OBJECT ${cuda_kernel_sources})
target_include_directories(tidu_cuda_kernels PRIVATE ${PROJECT_SOURCE_DIR}/csrc ${PROJECT_SOURCE_DIR})
target_compile_options(
  tidu_cuda_kernels
  PRIVATE --expt-relaxed-constexpr --threads=2
          # As for the cpu: where a fused multiply-add is wanted, the source says so, and both devices round alike.
          -fmad=false
          # Storage's and Pool's thread-local variables have an attribute for the host compiler.
          --diag-suppress=1835
          # A kernel that spills registers to memory is one to rewrite, not to ship.
          -Xptxas=-warn-spills,--warning-as-error
          -Xcompiler=-Wall,-Wextra,-fvisibility=hidden --Werror=all-warnings)
set_target_properties(tidu_cuda_kernels PROPERTIES CUDA_VISIBILITY_PRESET hidden)

# The runtime is linked statically and hidden, so that another library's copy in the same process does not meet it.
add_library(tidu_cuda MODULE)
target_link_libraries(tidu_cuda PRIVATE tidu_cuda_kernels tidu_cuda_backend tidu tidu_flags CUDA::cudart_static
                                        CUDA::cublas CUDA::cublasLt CUDA::cusolver CUDA::cufft Threads::Threads ${CMAKE_DL_LIBS})
target_link_options(tidu_cuda PRIVATE -Wl,-Bsymbolic -Wl,-z,defs -Wl,--exclude-libs,libcudart_static.a)
set_target_properties(tidu_cuda PROPERTIES LINKER_LANGUAGE CXX LIBRARY_OUTPUT_DIRECTORY $<TARGET_FILE_DIR:tidu>)
