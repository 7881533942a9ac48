"""Neural networks: modules, functions, initialisers."""

from .._arguments import explain as _explain
from . import functional, init
from .layers import (
    ELU,
    GELU,
    Bilinear,
    Dropout,
    Embedding,
    Flatten,
    LayerNorm,
    LeakyReLU,
    Linear,
    ModuleDict,
    ModuleList,
    ParameterList,
    ReLU,
    RMSNorm,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from .module import Module, Parameter, functional_call
from .random import manual_seed, next_key

__all__ = [
    "ELU",
    "GELU",
    "Bilinear",
    "Dropout",
    "Embedding",
    "Flatten",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterList",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "functional",
    "functional_call",
    "init",
    "manual_seed",
    "next_key",
]

_explain(globals(), __all__)
