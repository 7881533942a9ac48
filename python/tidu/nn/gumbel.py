"""Samples of categories that have derivatives."""

import tidu as td

from .._numbers import widened


def gumbel_softmax(
    logits: td.Tensor, key: td.Tensor, tau: float = 1.0, hard: bool = False, axis: int = -1
) -> td.Tensor:
    """Relaxed samples of the categories along an axis: softmax((logits + g) / tau) of Gumbel variates g.
    (E. Jang, S. Gu, B. Poole; C. J. Maddison, A. Mnih, Y. W. Teh, 2017)

    Parameters
    ----------
    logits : Tensor
        Floating-point, of any shape.
    key : Tensor
        Decides the samples.
    tau : float
        The temperature, positive: near 0 samples are nearly one-hot.
    hard : bool
        Whether the result is one-hot, with the derivative of the relaxed sample.
    axis : int
        Of the categories.

    Returns
    -------
    Tensor
        Of the shape of logits.

    Raises
    ------
    ValueError
        For a tau that is not positive.

    Examples
    --------
    >>> td.nn.functional.gumbel_softmax(td.zeros(3), td.random.key(0), hard=True).sum()
    tensor(1., dtype=float32)
    """
    if not tau > 0:
        raise ValueError(f"[gumbel_softmax] tau is {tau}, but must be positive")
    wide = widened(logits)
    noise = td.random.gumbel(key, wide.shape, dtype=wide.dtype)
    soft = td.softmax((wide + noise) / tau, axis=axis).astype(logits.dtype, copy=False)
    if not hard:
        return soft
    count = soft.shape[axis]
    chosen = td.moveaxis(td.nn.functional.one_hot(td.argmax(soft, axis=axis), count), -1, axis)
    return chosen.astype(soft.dtype) + (soft - td.stop_gradient(soft))  # which is exactly 0
