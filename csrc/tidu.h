// All of tidu's C++ API.
#pragma once

#include "autodiff/custom.h"
#include "autodiff/transforms.h"
#include "compile/recorder.h"
#include "compile/recorder.h"
#include "core/trace.h"
#include "ops/creation.h"
#include "ops/elementwise.h"
#include "ops/indexing.h"
#include "ops/matmul.h"
#include "ops/random.h"
#include "ops/reduce.h"
#include "ops/shape.h"
#include "ops/softmax.h"
