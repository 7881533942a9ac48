// What layers over the last axes of images share: their arguments, read and checked.
#pragma once

#include "core/primitive.h"

namespace tidu::nn {

// What errors call an operation on so many axes: "conv2d". Put together when one is raised.
struct RankedName {
  const char* name;
  int rank;
  friend std::ostream& operator<<(std::ostream& out, const RankedName& op) {
    return out << op.name << op.rank << 'd';
  }
};

// One number for each of `rank` axes from one for all or one for each, none below `least`.
inline Dims each_axis(const auto& op, const char* what, const Dims& given, int rank, int64_t least) {
  if (given.size() != 1 && given.size() != rank)
    fail<ValueError>("[", op, "] ", what, " is a number or ", rank, " of them, not ", given);
  Dims each;
  for (int i = 0; i < rank; ++i) {
    each.push_back(given[given.size() == 1 ? 0 : i]);
    if (each[i] < least || each[i] >= int64_t{1} << 31)
      fail<ValueError>("[", op, "] ", what, " must be at least ", least, " and below 2^31, not ", given);
  }
  return each;
}

// x is (N, C, ..) or (C, ..) with `rank` axes more.
inline void check_images(const auto& op, const Tensor& x, int rank) {
  if (x.ndim() != rank + 1 && x.ndim() != rank + 2)
    fail<ShapeError>("[", op, "] takes x of ", rank + 2, " axes, (N, C, ..), or of ", rank + 1,
                     ", (C, ..), not ", describe(x));
}

}  // namespace tidu::nn
