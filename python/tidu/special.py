"""Special functions, under the names of scipy.special and torch.special."""

from tidu._arguments import explain as _explain
from tidu._core import (
    bessel_i,
    bessel_ie,
    digamma,
    entr,
    erf,
    erfc,
    erfcx,
    erfinv,
    exp2,
    expm1,
    i0,
    i0e,
    i1,
    i1e,
    lgamma,
    log1p,
    log_ndtr,
    log_sigmoid,
    log_softmax,
    logit,
    logsumexp,
    ndtr,
    ndtri,
    polygamma,
    sigmoid,
    sinc,
    softmax,
    xlog1py,
    xlogy,
)
from tidu._incomplete_beta import betainc, betaincc, betaincinv
from tidu._incomplete_gamma import gammainc, gammaincc

expit = sigmoid
log_expit = log_sigmoid
gammaln = lgamma
psi = digamma

__all__ = [
    "bessel_i",
    "bessel_ie",
    "betainc",
    "betaincc",
    "betaincinv",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "lgamma",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_sigmoid",
    "log_softmax",
    "logit",
    "logsumexp",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "sigmoid",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
]

_explain(globals(), ("betainc", "betaincc", "betaincinv", "gammainc", "gammaincc"))
