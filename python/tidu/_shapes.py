"""Tensors that there are not yet: ShapeDtypeStruct."""

import math

from tidu import _core


class ShapeDtypeStruct:
    """The shape and dtype of a tensor that there is not yet, and its device (None: the default one).

    td.program, td.eval_shape and td.pure_callback take one where they need no values.
    """

    __slots__ = ("device", "dtype", "shape")

    def __init__(self, shape, dtype, device=None):
        self.shape = (shape,) if isinstance(shape, int) else tuple(shape)
        self.dtype = _core.dtype(dtype)
        self.device = None if device is None else _core.device(device)

    ndim = property(lambda self: len(self.shape), doc="How many axes there are.")
    size = property(lambda self: math.prod(self.shape), doc="How many elements there are.")

    def _key(self):
        return self.shape, self.dtype, self.device

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, ShapeDtypeStruct) else NotImplemented

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        device = "" if self.device is None else f", device={str(self.device)!r}"
        return f"ShapeDtypeStruct({self.shape}, {self.dtype!r}{device})"


def spec_of(tensor):
    """(shape, dtype, device) of a tensor or a ShapeDtypeStruct."""
    return tuple(tensor.shape), tensor.dtype, tensor.device or _core.get_default_device()
