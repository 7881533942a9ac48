// OpenBLAS, whose names have a prefix where it is PyPI's (scipy-openblas32): the build defines that.
#pragma once

#include <cblas.h>

#define TIDU_JOIN_NAMES(a, b) a##b
#define TIDU_JOIN_EXPANDED(a, b) TIDU_JOIN_NAMES(a, b)
#define TIDU_BLAS(name) TIDU_JOIN_EXPANDED(TIDU_BLAS_PREFIX, name)
