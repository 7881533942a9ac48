// Entry points of the CUDA runtime: libraries of kernels that were compiled while the process ran. Here they
// are shared objects of the host.
#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>

#include "simt/host/entry.h"
#include "simt/machine/loaded.h"

namespace tidu::simt {

namespace {

std::set<void*>& libraries() {
  static auto& all = *new std::set<void*>;
  return all;
}
std::set<const void*>& kernels() {
  static auto& all = *new std::set<const void*>;
  return all;
}

// The section headers come last.
size_t size_of_object(const void* object) {
  Elf64_Ehdr header;
  std::memcpy(&header, object, sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return 0;
  return header.e_shoff + size_t{header.e_shnum} * header.e_shentsize;
}

// What this library shows, loaded objects are to find.
void show_symbols() {
  Dl_info here;
  if (dladdr(reinterpret_cast<void*>(&size_of_object), &here) && here.dli_fname)
    dlopen(here.dli_fname, RTLD_NOW | RTLD_GLOBAL | RTLD_NOLOAD);
}

void* open_object(const void* object, size_t size) {
  std::string path = (std::filesystem::temp_directory_path() / "tidu_XXXXXX").string();
  const int file = mkstemp(path.data());
  if (file < 0) return nullptr;
  const bool written = write(file, object, size) == static_cast<ssize_t>(size);
  close(file);
  void* const opened = written ? dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (!opened)
    report(std::string("loading a kernel: ") + (written ? dlerror() : "it cannot be written to a file"));
  std::filesystem::remove(path);
  return opened;
}

}  // namespace

}  // namespace tidu::simt

using namespace tidu::simt;

cudaError_t cudaLibraryLoadData(cudaLibrary_t* library, const void* code, cudaJitOption*, void**, unsigned,
                                cudaLibraryOption*, void**, unsigned) {
  return entry([&] {
    const size_t size = size_of_object(code);
    if (size == 0)
      return wrong("cudaLibraryLoadData: this is no code of this device", cudaErrorInvalidKernelImage);
    show_symbols();
    void* const opened = open_object(code, size);
    if (!opened) return cudaErrorInvalidKernelImage;
    libraries().insert(opened);
    *library = static_cast<cudaLibrary_t>(opened);
    return cudaSuccess;
  });
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t* kernel, cudaLibrary_t library, const char* name) {
  return entry([&] {
    if (!libraries().contains(library)) return wrong("cudaLibraryGetKernel: no such library");
    void* const found = dlsym(library, (std::string(name) + "_loaded").c_str());
    if (!found) return wrong(std::string("the library has no kernel ") + name, cudaErrorSymbolNotFound);
    kernels().insert(found);
    *kernel = static_cast<cudaKernel_t>(found);
    return cudaSuccess;
  });
}

cudaError_t cudaLaunchKernel(const void* handle, dim3 grid, dim3 block, void** arguments, size_t shared_bytes,
                             cudaStream_t stream) {
  const LoadedKernel* const kernel = static_cast<const LoadedKernel*>(handle);
  const cudaError_t known = entry([&] {
    return kernels().contains(handle)
               ? cudaSuccess
               : wrong("cudaLaunchKernel: no such kernel", cudaErrorInvalidDeviceFunction);
  });
  if (known != cudaSuccess) return known;
  std::vector<std::max_align_t> parameters(kernel->parameter_bytes / sizeof(std::max_align_t) + 1);
  kernel->pack(parameters.data(), arguments);
  return queue_launch({kernel->name, grid, block, shared_bytes, stream, Where::current(), kernel->call,
                       parameters.data(), kernel->parameter_bytes});
}
