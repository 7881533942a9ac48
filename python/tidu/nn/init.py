"""First values of parameters, from explicit keys."""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from .. import full, ones, random, zeros
from .._core import _training as training
from .._spellings import missing_from as _missing_from

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

if not _TYPE_CHECKING:
    __getattr__ = _missing_from(__name__)
