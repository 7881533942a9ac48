// The families of operations that have kernels, a line each. Every device has a function for each, which
// fills the slots of its primitives; one that is missing does not link.
#pragma once

#define TIDU_FAMILIES(DO) \
  DO(elementwise)         \
  DO(shape)               \
  DO(creation)            \
  DO(reduce)              \
  DO(scan)                \
  DO(softmax)             \
  DO(norm)                \
  DO(attention)           \
  DO(matmul)              \
  DO(convolution)         \
  DO(pooling)             \
  DO(linalg)              \
  DO(fourier)             \
  DO(indexing)            \
  DO(order)               \
  DO(random)              \
  DO(update)

#define TIDU_DECLARE(family) void register_##family##_kernels();
#define TIDU_REGISTER(family) register_##family##_kernels();
