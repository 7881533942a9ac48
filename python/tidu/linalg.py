"""Linear algebra, under the array API standard's names."""

from tidu._core import matmul, matrix_transpose, outer, vecdot

__all__ = ["matmul", "matrix_transpose", "outer", "vecdot"]
