"""Random numbers of many distributions, by transforming uniform and normal ones or by rejection."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Protocol, TypeAlias, TypeGuard

from tidu import _core as td
from tidu._arguments import explain as _explain
from tidu._control import while_loop
from tidu._core import Tensor
from tidu._core.random import normal, permutation, randint, split, uniform
from tidu._custom import custom_jvp
from tidu._incomplete_gamma import log_quantile_slope
from tidu.typing import DTypeLike, Shape, TensorLike

_Carry: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]
_At: TypeAlias = Callable[[Tensor], Tensor]
_Propose: TypeAlias = Callable[[Tensor, tuple[int, ...], _At], tuple[Tensor, Tensor]]


class _Standard(Protocol):
    """A distribution without parameters."""

    def __call__(self, key: Tensor, shape: Shape = (), dtype: DTypeLike = ...) -> Tensor: ...


__all__ = [
    "bernoulli",
    "beta",
    "binomial",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "dirichlet",
    "exponential",
    "gamma",
    "geometric",
    "gumbel",
    "laplace",
    "loggamma",
    "logistic",
    "multivariate_normal",
    "pareto",
    "poisson",
    "rademacher",
    "t",
    "truncated_normal",
    "weibull",
]


# --- Parameters


def _is_tensor(x: object) -> TypeGuard[Tensor]:
    return isinstance(x, td.Tensor)


def _dtype_of(op: str, dtype: DTypeLike | None, *parameters: Any) -> tuple[td.dtype, td.dtype]:
    """The dtype of the result, by default that of the parameters, and that in which it is drawn."""
    if dtype is None:
        tensors = [x for x in parameters if _is_tensor(x) and x.dtype.is_floating_point]
        dtype = td.result_type(*tensors) if tensors else td.float32
    dtype = td.dtype(dtype)
    if not dtype.is_floating_point:
        raise td.DTypeError(f"[{op}] yields floating-point numbers, not {dtype}")
    return dtype, td.float64 if dtype == td.float64 else td.float32


def _shape_of(op: str, shape: Shape | None, *shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape of the result, to which the shapes of the parameters broadcast."""
    if shape is not None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        shapes = (shape, *shapes)
    try:
        together = td.broadcast_arrays(*(td.empty(s, dtype=td.bool, device="cpu") for s in shapes))[0].shape
    except td.ShapeError:
        together = None
    if together is None or (shape is not None and tuple(together) != shape):
        of = ", ".join(str(tuple(s)) for s in shapes[shape is not None :])
        target = "one shape" if shape is None else f"the shape {shape}"
        raise td.ShapeError(f"[{op}] parameters of shapes {of} do not broadcast to {target}")
    return tuple(together)


def _parameters(
    op: str, k: Tensor, shape: Shape | None, dtype: DTypeLike, *values: Any
) -> tuple[tuple[int, ...], list[Tensor]]:
    """(shape, values as tensors of the shape)."""
    shape = _shape_of(op, shape, *(x.shape if _is_tensor(x) else () for x in values))
    return shape, [td.broadcast_to(_in_dtype(x, k, dtype), shape) for x in values]


def _in_dtype(x: TensorLike, k: Tensor, dtype: DTypeLike) -> Tensor:
    return x.astype(dtype) if _is_tensor(x) else td.asarray(x, dtype=dtype, device=k.device)


def _check(op: str, name: str, value: Any, fits: Callable[[Any], bool], range_: str) -> None:
    if _is_tensor(value):
        return
    if not isinstance(value, Real):
        raise TypeError(
            f"[{op}] {name} is a number or a tensor, not {value!r} (in tidu.random the key comes first)"
        )
    if not fits(value):
        raise ValueError(f"[{op}] {name} is {value}, but must be {range_}")


def _positive(op: str, **values: Any) -> None:
    for name, value in values.items():
        _check(op, name, value, lambda x: x > 0, "positive")


def _probability(op: str, name: str, value: Any) -> None:
    _check(op, name, value, lambda x: 0 <= x <= 1, "in [0, 1]")


# --- By transforming uniform and normal numbers


def _open_uniform(k: Tensor, shape: Shape, dtype: DTypeLike) -> Tensor:
    """In (0, 1)."""
    return td.maximum(uniform(k, shape, dtype=dtype), 2.0**-54 if dtype == td.float64 else 2.0**-25)


def _standard(op: str, draw: Callable[[Tensor], Tensor], doc: str) -> _Standard:
    def function(key: Tensor, shape: Shape = (), dtype: DTypeLike = td.float32) -> Tensor:
        dtype, drawn = _dtype_of(op, dtype)
        return draw(_open_uniform(key, shape, drawn)).astype(dtype)

    function.__name__ = function.__qualname__ = op
    function.__doc__ = f"""{doc}

    Examples
    --------
    >>> td.random.{op}(td.random.key(0), (4,)).shape
    (4,)
    """
    return function


def _laplace_of(u: Tensor) -> Tensor:
    return td.where(u < 0.5, td.log(2 * u), -td.log(2 * (1 - u)))


exponential = _standard("exponential", lambda u: -td.log(u), "Exponentially distributed numbers, mean 1.")
gumbel = _standard(
    "gumbel", lambda u: -td.log(-td.log(u)), "Numbers of the standard Gumbel distribution, of maxima."
)
laplace = _standard("laplace", _laplace_of, "Numbers of the standard Laplace distribution, exp(-|x|) / 2.")
logistic = _standard("logistic", td.logit, "Numbers of the standard logistic distribution.")
cauchy = _standard(
    "cauchy", lambda u: td.tan(math.pi * (u - 0.5)), "Numbers of the standard Cauchy distribution."
)


def bernoulli(key: Tensor, p: TensorLike = 0.5, shape: Shape | None = None) -> Tensor:
    """True with probability p, a number or a tensor.

    Examples
    --------
    >>> td.random.bernoulli(td.random.key(0), 1.0, (3,))
    tensor([ True,  True,  True], dtype=bool)
    """
    _probability("bernoulli", "p", p)
    dtype = td.float64 if _is_tensor(p) and p.dtype == td.float64 else td.float32
    shape, (p,) = _parameters("bernoulli", key, shape, dtype, p)
    return uniform(key, shape, dtype=dtype) < p


def rademacher(key: Tensor, shape: Shape = (), dtype: DTypeLike = td.int64) -> Tensor:
    """-1 or 1, each with probability 1/2.

    Examples
    --------
    >>> td.random.rademacher(td.random.key(0), (4,)) ** 2
    tensor([1, 1, 1, 1], dtype=int64)
    """
    return 2 * bernoulli(key, 0.5, shape).astype(dtype) - 1


def truncated_normal(
    key: Tensor,
    low: float | Tensor,
    high: float | Tensor,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Standard normal numbers given that they lie in [low, high].

    Examples
    --------
    >>> bool(td.all(td.random.truncated_normal(td.random.key(0), 1.0, 2.0, (100,)) >= 1))
    True
    """
    dtype, drawn = _dtype_of("truncated_normal", dtype, low, high)
    if not (_is_tensor(low) or _is_tensor(high)) and not low < high:
        raise ValueError(f"[truncated_normal] the interval [{low}, {high}] is empty")
    shape, (low, high) = _parameters("truncated_normal", key, shape, drawn, low, high)
    # From the tail on the left, where numbers are close.
    is_right = low > 0
    left, right = td.where(is_right, -high, low), td.where(is_right, -low, high)
    below, above = td.ndtr(left), td.ndtr(right)
    x = td.ndtri(below + (above - below) * _open_uniform(key, shape, drawn))
    x = td.clip(x, left, right)
    x = td.where(left < right, td.where(is_right, -x, x), math.nan)
    return x.astype(dtype)


def weibull(
    key: Tensor,
    concentration: TensorLike,
    scale: TensorLike = 1.0,
    shape: Shape | None = None,
    dtype: DTypeLike | None = None,
) -> Tensor:
    """Numbers of the Weibull distribution, scale e^(1 / concentration) of exponential e.

    Examples
    --------
    >>> td.random.weibull(td.random.key(0), 2.0, shape=(4,)).shape
    (4,)
    """
    _positive("weibull", concentration=concentration, scale=scale)
    dtype, drawn = _dtype_of("weibull", dtype, concentration, scale)
    shape, (concentration, scale) = _parameters("weibull", key, shape, drawn, concentration, scale)
    x = scale * exponential(key, shape, drawn) ** (1 / concentration)
    return _where_positive(x, concentration, scale).astype(dtype)


def pareto(key: Tensor, b: TensorLike, shape: Shape | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Numbers of the Pareto distribution, with density b x^(-b-1) for x >= 1.

    Examples
    --------
    >>> td.random.pareto(td.random.key(0), 3.0, (4,)).shape
    (4,)
    """
    _positive("pareto", b=b)
    dtype, drawn = _dtype_of("pareto", dtype, b)
    shape, (b,) = _parameters("pareto", key, shape, drawn, b)
    return _where_positive(td.exp(exponential(key, shape, drawn) / b), b).astype(dtype)


def _where_positive(x: Tensor, *parameters: Tensor) -> Tensor:
    for parameter in parameters:
        x = td.where(parameter > 0, x, math.nan)
    return x


def geometric(key: Tensor, p: TensorLike, shape: Shape | None = None, dtype: DTypeLike = td.int64) -> Tensor:
    """How many trials there are to the first success, 1, 2 .., each of probability p.

    Examples
    --------
    >>> td.random.geometric(td.random.key(0), 1.0)
    tensor(1, dtype=int64)
    """
    _check("geometric", "p", p, lambda x: 0 < x <= 1, "in (0, 1]")
    shape, (p,) = _parameters("geometric", key, shape, td.float64, p)
    trials = td.floor(td.log(_open_uniform(key, shape, td.float64)) / td.log1p(-p)) + 1
    fits = td.logical_and(p > 0, p <= 1)
    return td.where(fits, td.minimum(trials, 2.0**62), -1.0).astype(dtype)


def multivariate_normal(
    key: Tensor, mean: TensorLike, cov: TensorLike, shape: Shape | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Normal vectors with means (.., n) and covariance matrices (.., n, n), of which the lower triangle is
    read; the shape is that of the result without its last axis. By the Cholesky factor: a matrix that is not
    positive definite is an error.

    Examples
    --------
    >>> td.random.multivariate_normal(td.random.key(0), td.zeros(2), td.eye(2), (4,)).shape
    (4, 2)
    """
    dtype, drawn = _dtype_of("multivariate_normal", dtype, mean, cov)
    mean, cov = _in_dtype(mean, key, drawn), _in_dtype(cov, key, drawn)
    if mean.ndim < 1 or cov.ndim < 2 or cov.shape[-2:] != (mean.shape[-1],) * 2:
        raise td.ShapeError(
            f"[multivariate_normal] means {tuple(mean.shape)} need covariances of shape (.., n, n), not "
            f"{tuple(cov.shape)}"
        )
    shape = _shape_of("multivariate_normal", shape, mean.shape[:-1], cov.shape[:-2])
    factor = td.linalg.cholesky(cov)
    z = normal(key, (*shape, mean.shape[-1]), dtype=drawn)
    return (mean + (factor @ z[..., None])[..., 0]).astype(dtype)


# --- Categories


def categorical(key: Tensor, logits: Tensor, axis: int = -1, shape: Shape | None = None) -> Tensor:
    """Indices along an axis of logits, each with probability softmax(logits), in int64: of the shape of the
    logits without that axis, or of `shape`, to which that broadcasts.

    Examples
    --------
    >>> td.random.categorical(td.random.key(0), td.tensor([-td.inf, 0.0]))
    tensor(1, dtype=int64)
    """
    logits = td.moveaxis(logits, axis, -1)
    count = logits.shape[-1]
    if count == 0:
        raise td.ShapeError(f"[categorical] logits of shape {tuple(logits.shape)} have no categories")
    shape = _shape_of("categorical", shape, logits.shape[:-1])
    _, drawn = _dtype_of("categorical", None, logits)
    return td.argmax(logits.astype(drawn) + gumbel(key, (*shape, count), drawn), axis=-1)


def choice(
    key: Tensor,
    x: int | Tensor,
    shape: Shape = (),
    replace: bool = True,
    p: TensorLike | None = None,
    axis: int = 0,
) -> Tensor:
    """Slices of a tensor along an axis, or of range(x) for an integer x, each equally likely, or with
    probabilities in proportion to the vector p: `shape` takes the place of the axis.

    Without replacement no slice comes twice; there must be enough, of which p is not 0.

    Examples
    --------
    >>> sorted(td.random.choice(td.random.key(0), 3, (3,), replace=False).tolist())
    [0, 1, 2]
    """
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    count = x if isinstance(x, int) else x.shape[axis]
    drawn = math.prod(shape)
    if drawn and (count < 1 or (not replace and drawn > count)):
        how = "" if replace else " without replacement"
        raise ValueError(f"[choice] cannot draw {drawn} of {count}{how}")
    if p is not None:
        p = td.asarray(p, device=key.device)
        if p.shape != (count,):
            raise td.ShapeError(f"[choice] p is of shape {tuple(p.shape)}, but must be ({count},)")
    if not drawn:
        indices = td.zeros(shape, dtype=td.int64, device=key.device)
    elif p is None and replace:
        indices = randint(key, shape, 0, count)
    elif p is None:
        indices = _distinct_indices(key, count, drawn).reshape(shape)
    elif replace:
        indices = categorical(key, td.log(p), shape=shape)
    else:
        order = td.argsort(-(td.log(p) + gumbel(key, (count,), _dtype_of("choice", None, p)[1])))
        indices = order[:drawn].reshape(shape)
    if isinstance(x, int):
        return indices
    axis %= x.ndim
    taken = td.take(x, indices.reshape(-1), axis=axis)
    return taken.reshape((*x.shape[:axis], *shape, *x.shape[axis + 1 :]))


def _distinct_indices(k: Tensor, count: int, drawn: int) -> Tensor:
    """So many of range(count), each order of them equally likely."""
    if drawn > count // 16:
        return permutation(k, count)[:drawn]
    # The first that differ of more with replacement, which are not enough with a probability below 2^-100.
    some = randint(k, (drawn + drawn // 4 + 48,), 0, count)
    order = td.argsort(some)
    ordered = td.take(some, order)
    repeats = td.concat([ordered[:1] < 0, ordered[1:] == ordered[:-1]], axis=0)
    is_repeat = td.scatter_set(td.zeros_like(repeats), order, repeats)
    return td.take(some, td.argsort(is_repeat)[:drawn])


# --- By rejection: each element goes on until it accepts what it drew, while the others keep theirs


_MOST_ATTEMPTS = 1000  # more than any element needs


def _accepted(k: Tensor, value: Tensor, is_done: Tensor, propose: _Propose) -> Tensor:
    """`value` where it is done, elsewhere the first that propose(key, shape, at) = (proposals, fits) accepts:
    what it draws is of the shape, and of that and of parameters at(x) are the elements that are asked for."""
    given = (k, value, is_done)
    if value.device.type == "cpu" and not any(td._is_seen(x) or td._is_abstract(x) for x in given):
        return _accepted_of_the_rest(k, value, is_done, propose)

    def go_on(carry: _Carry) -> Tensor:
        _, count, _, is_done = carry
        return td.logical_and(count < _MOST_ATTEMPTS, td.logical_not(td.all(is_done)))

    def attempt(carry: _Carry) -> _Carry:
        k, count, value, is_done = carry
        keys = split(k)
        proposal, fits = propose(keys[1], value.shape, lambda x: x)
        fits = td.logical_and(fits, td.logical_not(is_done))
        return keys[0], count + 1, td.where(fits, proposal, value), td.logical_or(is_done, fits)

    count = td.zeros((), dtype=td.int64, device=value.device)
    return while_loop(go_on, attempt, (k, count, value, is_done))[2]


def _accepted_of_the_rest(k: Tensor, value: Tensor, is_done: Tensor, propose: _Propose) -> Tensor:
    """The same numbers, where nobody looks: computed of the elements alone that are still asked for."""
    result, rest = value.reshape(-1), td.flatnonzero(td.logical_not(is_done))
    for _ in range(_MOST_ATTEMPTS):
        if rest.size == 0:
            break
        keys = split(k)

        def at(x: Tensor, rest: Tensor = rest) -> Tensor:
            x = x.reshape(-1)
            return x if rest.size == x.size else td.take(x, rest)

        proposal, fits = propose(keys[1], value.shape, at)
        places = td.flatnonzero(fits)
        result = td.scatter_set(result, td.take(rest, places), td.take(proposal, places))
        k, rest = keys[0], td.take(rest, td.flatnonzero(td.logical_not(fits)))
    return result.reshape(value.shape)


@custom_jvp
def _loggamma(a: Tensor, k: Tensor) -> Tensor:
    keys = split(k)
    # Of a + 1 where a < 1, for y + log(u) / a has then the shape a. (G. Marsaglia and W. W. Tsang, 2000)
    is_small = a < 1
    d = td.where(is_small, a + 1, a) - 1 / 3
    c = td.rsqrt(9 * d)

    def propose(k: Tensor, shape: tuple[int, ...], at: _At) -> tuple[Tensor, Tensor]:
        keys = split(k)
        z, u = at(normal(keys[0], shape, dtype=a.dtype)), at(_open_uniform(keys[1], shape, a.dtype))
        t, of = td.maximum(at(c) * z, -1.0), at(d)
        log_v = 3 * td.log1p(t)
        rest = 0.5 * z * z - of * (t * (3 + t * (3 + t)) - log_v)  # log of v's density over its bound
        return td.log(of) + log_v, td.logical_and(t > -1, td.log(u) < rest)

    is_regular = td.logical_and(a > 0, a < math.inf)
    start = td.where(a == math.inf, td.full_like(a, math.inf), math.nan)
    y = _accepted(keys[0], start, td.logical_not(is_regular), propose)
    shift = td.log(_open_uniform(keys[1], a.shape, a.dtype)) / td.where(is_small, a, 1.0)
    return td.where(is_small, y + shift, y)


@_loggamma.defjvp
def _loggamma_jvp(primals: tuple[Tensor, Tensor], tangents: tuple[Tensor, Any]) -> tuple[Tensor, Tensor]:
    a, k = primals
    y = _loggamma(a, k)
    return y, log_quantile_slope(a, y) * tangents[0]


def loggamma(
    key: Tensor, a: TensorLike, shape: Shape | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Logarithms of gamma variates of shape a, also where these are too small for their dtype. The derivative
    by a is that of the quantile (implicit differentiation of the distribution function).

    Examples
    --------
    >>> td.random.loggamma(td.random.key(0), 2.0, (4,)).shape
    (4,)
    """
    _positive("loggamma", a=a)
    dtype, drawn = _dtype_of("loggamma", dtype, a)
    _, (a,) = _parameters("loggamma", key, shape, drawn, a)
    return _loggamma(a, key).astype(dtype)


def gamma(key: Tensor, a: TensorLike, shape: Shape | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Gamma variates of shape a and scale 1. The derivative by a is that of the quantile.

    Examples
    --------
    >>> td.random.gamma(td.random.key(0), 2.0, (4,)).shape
    (4,)
    """
    _positive("gamma", a=a)
    dtype, drawn = _dtype_of("gamma", dtype, a)
    _, (a,) = _parameters("gamma", key, shape, drawn, a)
    return td.exp(_loggamma(a, key)).astype(dtype)


def beta(
    key: Tensor, a: TensorLike, b: TensorLike, shape: Shape | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Beta variates, x / (x + y) of gamma variates of shapes a and b. They have derivatives by both.

    Examples
    --------
    >>> td.random.beta(td.random.key(0), 2.0, 3.0, (4,)).shape
    (4,)
    """
    _positive("beta", a=a, b=b)
    dtype, drawn = _dtype_of("beta", dtype, a, b)
    shape, (a, b) = _parameters("beta", key, shape, drawn, a, b)
    keys = split(key)
    return td.sigmoid(_loggamma(a, keys[0]) - _loggamma(b, keys[1])).astype(dtype)


def dirichlet(
    key: Tensor, alpha: TensorLike, shape: Shape | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Vectors along the last axis of Dirichlet distributions of concentrations alpha (.., n); the shape is
    that of the result without its last axis. They have derivatives by alpha.

    Examples
    --------
    >>> td.random.dirichlet(td.random.key(0), td.ones(3)).sum()
    tensor(1., dtype=float32)
    """
    dtype, drawn = _dtype_of("dirichlet", dtype, alpha)
    alpha = _in_dtype(alpha, key, drawn)
    if alpha.ndim < 1:
        raise td.ShapeError("[dirichlet] alpha must be a vector or a batch of such, not a number")
    shape = _shape_of("dirichlet", shape, alpha.shape[:-1])
    alpha = td.broadcast_to(alpha, (*shape, alpha.shape[-1]))
    return td.softmax(_loggamma(alpha, key), axis=-1).astype(dtype)


def chisquare(
    key: Tensor, df: float | Tensor, shape: Shape | None = None, dtype: DTypeLike | None = None
) -> Tensor:
    """Chi-squared variates of df degrees of freedom, with derivatives by them.

    Examples
    --------
    >>> td.random.chisquare(td.random.key(0), 3.0, (4,)).shape
    (4,)
    """
    _positive("chisquare", df=df)
    return 2 * gamma(key, df / 2, shape, dtype)


def t(key: Tensor, df: TensorLike, shape: Shape | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """Variates of Student's t distribution of df degrees of freedom, with derivatives by them.

    Examples
    --------
    >>> td.random.t(td.random.key(0), 3.0, (4,)).shape
    (4,)
    """
    _positive("t", df=df)
    dtype, drawn = _dtype_of("t", dtype, df)
    shape, (df,) = _parameters("t", key, shape, drawn, df)
    keys = split(key)
    log_spread = 0.5 * (td.log(df / 2) - _loggamma(df / 2, keys[1]))
    return (normal(keys[0], shape, dtype=drawn) * td.exp(log_spread)).astype(dtype)


def _by_counting(k: Tensor, first: Tensor, ratio: Callable[[Tensor], Tensor], is_asked: Tensor) -> Tensor:
    """The counts n where the distribution function exceeds a uniform number: the probabilities are `first` of
    0, and ratio(n) times the one before it of n. The last count is that from which on the function, as it is
    rounded, grows no more: it has all that is left."""
    u = _open_uniform(k, first.shape, first.dtype)

    def goes_on(following: Tensor, total: Tensor) -> Tensor:
        return td.logical_and(is_asked, td.logical_and(u >= total, total + following > total))

    def go_on(carry: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return td.any(goes_on(*carry[1:]))

    def count_on(carry: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        n, following, total = carry
        goes = goes_on(following, total)
        n, total = n + goes.astype(n.dtype), td.where(goes, total + following, total)
        return n, td.where(goes, following * ratio(n + 1), following), total

    return while_loop(go_on, count_on, (td.zeros_like(first), first * ratio(td.ones_like(first)), first))[0]


def _of_number(k: Tensor, shape: tuple[int, ...], first: float, ratio: Callable[[int], float]) -> Tensor:
    """The same where all have one distribution: its distribution function is a table."""
    totals = [first]
    following = first * ratio(1)
    while totals[-1] + following > totals[-1]:
        totals.append(totals[-1] + following)
        following *= ratio(len(totals))
    u = _open_uniform(k, shape, td.float64)
    table = td.tensor(totals[:-1], dtype=td.float64, device=k.device)
    return td.searchsorted(table, u, side="right").astype(td.float64)


def poisson(key: Tensor, lam: TensorLike, shape: Shape | None = None, dtype: DTypeLike = td.int64) -> Tensor:
    """How many events there are where lam are expected. Computed in float64.

    Examples
    --------
    >>> td.random.poisson(td.random.key(0), 0.0)
    tensor(0, dtype=int64)
    """
    _check("poisson", "lam", lam, lambda x: 0 <= x <= 2.0**62, "from 0 to 2^62")
    keys = split(key)
    rate = float(lam) if isinstance(lam, Real) else math.inf  # of a tensor nothing is known
    if rate < 10:
        shape = _shape_of("poisson", shape, ())
        return _of_number(keys[0], shape, math.exp(-rate), lambda n: rate / n).astype(dtype)
    _, (lam,) = _parameters(
        "poisson", key, shape, td.float64, td.stop_gradient(lam) if _is_tensor(lam) else lam
    )
    is_valid = td.logical_and(lam >= 0, lam <= 2.0**62)
    is_small = td.logical_and(is_valid, lam < 10)
    small = td.where(is_small, lam, 1.0)
    few = small if rate < math.inf else _by_counting(keys[0], td.exp(-small), lambda n: small / n, is_small)
    # Transformed rejection. (W. Hormann, Insurance: Mathematics and Economics 12, 1993)
    is_large = td.logical_and(is_valid, td.logical_not(is_small))
    large = td.where(is_large, lam, 10.0)
    b = 0.931 + 2.53 * td.sqrt(large)
    a = -0.059 + 0.02483 * b
    log_alpha = td.log(1.1239 + 1.1328 / (b - 3.4))

    def propose(k: Tensor, shape: tuple[int, ...], at: _At) -> tuple[Tensor, Tensor]:
        mean, width = at(large), at(b)
        u, v, n, rest = _hat(k, shape, at, at(a), width, mean + 0.43)
        log_probability = n * td.log(mean) - mean - td.lgamma(td.maximum(n, 0.0) + 1)
        squeeze = 0.9277 - 3.6224 / (width - 2)
        return n, _is_below(u, v, n, rest, squeeze, at(log_alpha), log_probability, math.inf)

    start = td.where(is_valid, few, -1.0)
    return _accepted(keys[1], start, td.logical_not(is_large), propose).astype(dtype)


def binomial(
    key: Tensor, n: TensorLike, p: TensorLike, shape: Shape | None = None, dtype: DTypeLike = td.int64
) -> Tensor:
    """How many of n trials succeed, each with probability p. Computed in float64.

    Examples
    --------
    >>> td.random.binomial(td.random.key(0), 10, 1.0)
    tensor(10, dtype=int64)
    """
    _check("binomial", "n", n, lambda x: 0 <= x <= 2**53 and x == int(x), "an integer from 0 to 2^53")
    _probability("binomial", "p", p)
    keys = split(key)
    is_number = isinstance(n, Real) and isinstance(p, Real)
    if isinstance(n, Real) and isinstance(p, Real):
        trials, chance = float(n), float(p)
        rarer = min(chance, 1 - chance)
        if trials * rarer < 10:
            shape = _shape_of("binomial", shape, ())
            none = math.exp(trials * math.log1p(-rarer))
            times = rarer / (1 - rarer)
            count = _of_number(keys[0], shape, none, lambda i: (trials - i + 1) / i * times)
            return (trials - count if chance > 0.5 else count).astype(dtype)
    n, p = (td.stop_gradient(x) if _is_tensor(x) else x for x in (n, p))
    _, (n, p) = _parameters("binomial", key, shape, td.float64, n, p)
    is_valid = td.logical_and(td.logical_and(n >= 0, n <= 2.0**53), td.logical_and(p >= 0, p <= 1))
    is_valid = td.logical_and(is_valid, n == td.floor(n))
    is_mirrored = p > 0.5
    q = td.where(is_valid, td.where(is_mirrored, 1 - p, p), 0.0)  # the less likely outcome
    is_small = td.logical_and(is_valid, n * q < 10)
    few_n, few_q = td.where(is_small, n, 1.0), td.where(is_small, q, 0.5)
    odds = few_q / (1 - few_q)
    first = td.exp(few_n * td.log1p(-few_q))
    few = first
    if not is_number:
        few = _by_counting(keys[0], first, lambda i: (few_n - i + 1) / i * odds, is_small)
    # Transformed rejection. (W. Hormann, Journal of Statistical Computation and Simulation 46, 1993)
    is_large = td.logical_and(is_valid, td.logical_not(is_small))
    many, q = td.where(is_large, n, 100.0), td.where(is_large, q, 0.5)
    spread = td.sqrt(many * q * (1 - q))
    b = 1.15 + 2.53 * spread
    a = -0.0873 + 0.0248 * b + 0.01 * q
    log_alpha = td.log((2.83 + 5.1 / b) * spread)
    mode = td.floor((many + 1) * q)
    log_odds = td.log(q) - td.log1p(-q)
    center = many * q + 0.5
    at_mode = td.lgamma(mode + 1) + td.lgamma(many - mode + 1)

    def propose(k: Tensor, shape: tuple[int, ...], at: _At) -> tuple[Tensor, Tensor]:
        most, width = at(many), at(b)
        u, v, i, rest = _hat(k, shape, at, at(a), width, at(center))
        held = td.clip(i, td.zeros_like(most), most)
        log_probability = (
            at(at_mode) - td.lgamma(held + 1) - td.lgamma(most - held + 1) + (held - at(mode)) * at(log_odds)
        )
        return i, _is_below(u, v, i, rest, 0.92 - 4.2 / width, at(log_alpha), log_probability, most)

    successes = _accepted(keys[1], few, td.logical_not(is_large), propose)
    return td.where(is_valid, td.where(is_mirrored, n - successes, successes), -1.0).astype(dtype)


def _hat(
    k: Tensor, shape: Shape, at: _At, a: Tensor, b: Tensor, center: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A draw from under Hormann's table mountain: (distance from the edge, uniform number, count, slope)."""
    keys = split(k)
    u = at(uniform(keys[0], shape, dtype=td.float64)) - 0.5
    v = at(_open_uniform(keys[1], shape, td.float64))
    edge = td.maximum(0.5 - td.abs(u), 2.0**-54)
    return edge, v, td.floor((2 * a / edge + b) * u + center), a / (edge * edge) + b


def _is_below(
    edge: Tensor,
    v: Tensor,
    count: Tensor,
    slope: Tensor,
    squeeze: Tensor,
    log_alpha: Tensor,
    log_probability: Tensor,
    most: float | Tensor,
) -> Tensor:
    is_inside = td.logical_and(count >= 0, count <= most)
    is_surely = td.logical_and(edge >= 0.07, v <= squeeze)
    fits = td.log(v) + log_alpha - td.log(slope) <= log_probability
    return td.logical_and(is_inside, td.logical_or(is_surely, fits))


_explain(globals(), __all__)
