"""First values of parameters, from explicit keys."""

from .. import full, ones, random, zeros
from .._core import _training as training
from .._spellings import add_other_names as _add_other_names

__all__ = [
    "full",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]

kaiming_normal = training.kaiming_normal
kaiming_uniform = training.kaiming_uniform
normal = random.normal
uniform = random.uniform
xavier_normal = training.xavier_normal
xavier_uniform = training.xavier_uniform

_add_other_names(globals())
