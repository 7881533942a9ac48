"""tidu: tensors that differentiate what you compute.

    import tidu as td
    x = td.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    x.grad                                    # tensor([2., 4.], dtype=float32)
    td.grad(lambda x: td.sin(x).sum())(x)     # tensor([0.5403, -0.4161], dtype=float32)

Names are the Python array API standard's wherever it has one. nn, optim, data, viz ... are imported at
their first use.
"""

import sys as _sys
import typing as _typing

if _sys.version_info < (3, 12):  # later versions refuse the extension module, which these would wait for
    import _xxsubinterpreters as _interpreters  # type: ignore[import-not-found]  # without stubs

    if _interpreters.get_current() != _interpreters.get_main():
        raise ImportError(
            "[tidu] works in the main interpreter of a process alone (use threads or processes)"
        )

if _typing.TYPE_CHECKING:  # of names that the extension module has too, the first one counts for types
    from tidu._order import cummax as cummax
    from tidu._order import cummin as cummin
    from tidu._order import where as where

from tidu import (
    _extension,  # noqa: F401  (for what is imported below)
    _tensor,  # noqa: F401  (adds methods to Tensor)
)
from tidu import cpu as cpu
from tidu import cuda as cuda
from tidu import debug as debug
from tidu import fft as fft
from tidu import implicit as implicit
from tidu import io as io
from tidu import linalg as linalg
from tidu import random as random
from tidu import sparse as sparse
from tidu import special as special
from tidu import tree as tree
from tidu import typing as typing
from tidu._arguments import explain as _explain
from tidu._autocast import autocast as autocast
from tidu._callback import pure_callback as pure_callback
from tidu._check_grads import check_grads as check_grads
from tidu._compile import compile as compile
from tidu._control import checkpoint as checkpoint
from tidu._control import cond as cond
from tidu._control import fori_loop as fori_loop
from tidu._control import scan as scan
from tidu._control import while_loop as while_loop
from tidu._core import *  # type: ignore[no-redef]  # noqa: F403  (some of it is replaced below)
from tidu._core import __version__ as __version__
from tidu._core import get_default_device as get_default_device
from tidu._core import get_num_threads as get_num_threads
from tidu._core import is_grad_enabled as is_grad_enabled
from tidu._core import set_default_device as set_default_device
from tidu._core import set_num_threads as set_num_threads
from tidu._cost import Cost as Cost
from tidu._cost import cost as cost
from tidu._custom import custom_jvp as custom_jvp
from tidu._custom import custom_vjp as custom_vjp
from tidu._detect_nan import detect_nan as detect_nan
from tidu._directional import directional_derivative as directional_derivative
from tidu._directional import hvp as hvp
from tidu._directional import linearize as linearize
from tidu._directional import steepest_direction as steepest_direction
from tidu._directional import total_derivative as total_derivative
from tidu._directional import vhp as vhp
from tidu._documents import complete_extension as _complete_extension
from tidu._grad_mode import enable_grad as enable_grad
from tidu._grad_mode import no_grad as no_grad
from tidu._grids import cumulative_trapezoid as cumulative_trapezoid
from tidu._grids import geomspace as geomspace
from tidu._grids import gradient as gradient
from tidu._grids import logspace as logspace
from tidu._grids import std_mean as std_mean
from tidu._grids import var_mean as var_mean
from tidu._implicit import custom_linear_solve as custom_linear_solve
from tidu._implicit import custom_root as custom_root
from tidu._inspection import __array_namespace_info__ as __array_namespace_info__
from tidu._inspection import can_cast as can_cast
from tidu._inspection import finfo as finfo
from tidu._inspection import iinfo as iinfo
from tidu._inspection import isdtype as isdtype
from tidu._laplacian import biharmonic as biharmonic
from tidu._laplacian import laplacian as laplacian
from tidu._lazy import at_first_use as _at_first_use
from tidu._odeint import odeint as odeint
from tidu._order import aminmax as aminmax
from tidu._order import cummax as cummax
from tidu._order import cummin as cummin
from tidu._order import histogram as histogram
from tidu._order import histogram_bin_edges as histogram_bin_edges
from tidu._order import isin as isin
from tidu._order import kthvalue as kthvalue
from tidu._order import nanquantile as nanquantile
from tidu._order import quantile as quantile
from tidu._order import topk as topk
from tidu._order import unique as unique
from tidu._order import unique_all as unique_all
from tidu._order import unique_consecutive as unique_consecutive
from tidu._order import unique_counts as unique_counts
from tidu._order import unique_inverse as unique_inverse
from tidu._order import unique_values as unique_values
from tidu._order import where as where
from tidu._points import classify_stationary_point as classify_stationary_point
from tidu._points import is_differentiable_at as is_differentiable_at
from tidu._printing import set_printoptions as set_printoptions
from tidu._profile import profile as profile
from tidu._program import Program as Program
from tidu._program import eval_shape as eval_shape
from tidu._program import load_program as load_program
from tidu._program import program as program
from tidu._put import diagonal_scatter as diagonal_scatter
from tidu._put import index_copy as index_copy
from tidu._put import index_fill as index_fill
from tidu._put import index_put as index_put
from tidu._put import masked_scatter as masked_scatter
from tidu._put import mode as mode
from tidu._put import select_scatter as select_scatter
from tidu._put import slice_scatter as slice_scatter
from tidu._pytree import tree_leaves as tree_leaves
from tidu._pytree import tree_map as tree_map
from tidu._shapes import ShapeDtypeStruct as ShapeDtypeStruct
from tidu._spellings import add_other_names as _add_other_names
from tidu._stacks import broadcast_shapes as broadcast_shapes
from tidu._stacks import column_stack as column_stack
from tidu._stacks import dsplit as dsplit
from tidu._stacks import dstack as dstack
from tidu._stacks import fliplr as fliplr
from tidu._stacks import flipud as flipud
from tidu._stacks import hsplit as hsplit
from tidu._stacks import hstack as hstack
from tidu._stacks import tensor_split as tensor_split
from tidu._stacks import unflatten as unflatten
from tidu._stacks import vsplit as vsplit
from tidu._stacks import vstack as vstack
from tidu._taylor import Taylor as Taylor
from tidu._taylor import jet as jet
from tidu._taylor import taylor as taylor
from tidu._transforms import grad as grad
from tidu._transforms import hessian as hessian
from tidu._transforms import hessian_diagonal as hessian_diagonal
from tidu._transforms import jacfwd as jacfwd
from tidu._transforms import jacobian as jacobian
from tidu._transforms import jacrev as jacrev
from tidu._transforms import jvp as jvp
from tidu._transforms import stop_gradient as stop_gradient
from tidu._transforms import value_and_grad as value_and_grad
from tidu._transforms import vjp as vjp
from tidu._vmap import vmap as vmap
from tidu.io import load as load
from tidu.io import save as save
from tidu.sparse import hessian_sparsity as hessian_sparsity
from tidu.sparse import sparsity as sparsity

e, pi, inf, nan = 2.718281828459045, 3.141592653589793, float("inf"), float("nan")
newaxis = None
__array_api_version__ = "2024.12"

_complete_extension()
_explain(globals(), [name for name in dir() if not name.startswith("_")])

if _typing.TYPE_CHECKING:
    from tidu import data as data
    from tidu import distributions as distributions
    from tidu import doctor as doctor
    from tidu import nn as nn
    from tidu import optim as optim
    from tidu import viz as viz
else:
    # No __getattr__: with one the interpreter has no short way to what the module has, which is a tenth of a
    # call's time.
    for _name in ("data", "distributions", "doctor", "nn", "optim", "viz"):
        globals()[_name] = _at_first_use(f"tidu.{_name}")
    _add_other_names(globals())
