"""Connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

import tidu as td
from tidu._core import Tensor

from .._core import _training


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int] | int,
    target_lengths: Tensor | Sequence[int] | int,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of all paths that spell a target, a path being a class for each step, of which
    repeated ones count once and blanks not at all (Graves et al. 2006).

    Parameters
    ----------
    log_probs : Tensor
        (T, N, C), or (T, C) of one sequence: what log_softmax gives.
    targets : Tensor
        (N, S) integers, or those of all sequences in one vector.
    input_lengths, target_lengths : Tensor or sequence of int
        (N): how many steps, and classes of a target, count.
    blank : int
        The class that stands for none.
    reduction : str
        "mean" divides each loss by the length of its target and takes the mean; "sum" or "none".
    zero_infinity : bool
        Whether the loss of a target that no path spells is 0 and not inf.

    Examples
    --------
    >>> log_probs = td.log_softmax(td.zeros((2, 1, 2)), axis=-1)
    >>> targets, lengths = td.tensor([[1]]), td.tensor([2])
    >>> td.nn.functional.ctc_loss(log_probs, targets, lengths, td.tensor([1]))  # 3 of 4 paths
    tensor(0.28768212, dtype=float32)
    """
    inputs, outputs = (
        given if isinstance(given, td.Tensor) else td.tensor(given, dtype=td.int64, device=log_probs.device)
        for given in (input_lengths, target_lengths)
    )
    return _training.ctc_loss(log_probs, targets, inputs, outputs, blank, reduction, zero_infinity)
