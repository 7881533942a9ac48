"""Recurrent networks: layers that are scanned over time, and their cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tidu as td
from tidu._core import Tensor
from tidu.typing import DeviceLike, DTypeLike

from .._core import _training
from . import init
from .layers import Dropout, _key_on
from .module import Module, Parameter


def _nonlinearity(op: str, name: str) -> str:
    if name not in ("tanh", "relu"):
        raise ValueError(f"[{op}] nonlinearity must be 'tanh' or 'relu', not {name!r}")
    return name


def _draw(
    module: Any,
    shapes: dict[str, tuple[int, ...]],
    key: Tensor | None,
    dtype: DTypeLike,
    device: DeviceLike | None,
) -> Tensor:
    """Parameters uniform in +-1 / sqrt(hidden_size), under their names."""
    bound = max(module.hidden_size, 1) ** -0.5
    keys = td.random.split(_key_on(device, key), len(shapes) + 1)
    for i, (name, shape) in enumerate(shapes.items()):
        setattr(module, name, Parameter(init.uniform(keys[i], shape, -bound, bound, dtype=dtype)))
    return keys[len(shapes)]


def _check_input(op: str, x: Tensor, size: int, ranks: tuple[int, ...]) -> None:
    if x.ndim not in ranks or x.shape[-1] != size:
        axes = " or ".join(str(rank) for rank in ranks)
        raise td.ShapeError(
            f"[{op}] the input must have {axes} axes, the last of input_size {size}, not shape {x.shape}"
        )


def _checked_state(
    op: str, names: Sequence[str], state: Tensor | Sequence[Tensor], shapes: Sequence[tuple[int, ...]]
) -> tuple[Tensor, ...]:
    """The state as a tuple, with an error where a shape is not the one it must be."""
    state = (state,) if isinstance(state, td.Tensor) else tuple(state)
    found = [x.shape for x in state]
    if found != list(shapes):
        expected = ", ".join(f"{name} {shape}" for name, shape in zip(names, shapes, strict=True))
        raise td.ShapeError(f"[{op}] the state must have the shapes {expected}, not {found}")
    return state


class _Cell(Module):
    _gates = 1
    _states: tuple[str, ...] = ("hx",)
    _kind: str
    weight_ih: Tensor
    weight_hh: Tensor
    bias_ih: Tensor
    bias_hh: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        rows = self._gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, hidden_size),
        }
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
        _draw(self, shapes, key, dtype, device)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        op = type(self).__name__
        _check_input(op, input, self.input_size, (1, 2))
        biases = (self.bias_ih, self.bias_hh) if self.bias else (None, None)
        shape = (*input.shape[:-1], self.hidden_size)
        state = () if hx is None else _checked_state(op, self._states, hx, [shape] * len(self._states))
        new = _training.recurrent_step(self._kind, input, state, self.weight_ih, self.weight_hh, *biases)
        return tuple(new) if len(new) > 1 else new[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """tanh or relu of (weight_ih x + bias_ih + weight_hh h + bias_hh): x (N, input_size) or (input_size), and
    h (N, hidden_size), zero if left out, give the next h. Parameters begin uniform in
    +-1 / sqrt(hidden_size).

    Examples
    --------
    >>> td.nn.RNNCell(3, 5)(td.ones((2, 3))).shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self._kind = _nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, key=key, dtype=dtype, device=device)


class LSTMCell(_Cell):
    """A step of long short-term memory (Hochreiter, Schmidhuber 1997): x (N, input_size) and (h, c), zero if
    left out, give the next (h, c) of (N, hidden_size). Rows of the weights are the gates i, f, g, o.

    Examples
    --------
    >>> h, c = td.nn.LSTMCell(3, 5)(td.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    _gates = 4
    _states = ("h", "c")
    _kind = "lstm"


class GRUCell(_Cell):
    """A step of gated recurrent units (Cho et al. 2014): x (N, input_size) and h (N, hidden_size), zero if
    left out, give the next h. Rows of the weights are the gates r, z, n.

    Examples
    --------
    >>> td.nn.GRUCell(3, 5)(td.ones((2, 3))).shape
    (2, 5)
    """

    _gates = 3
    _kind = "gru"


class _Recurrent(Module):
    _gates, proj_size = 1, 0
    _states: tuple[str, ...] = ("h_0",)
    _kind: str
    weight_ih_l0: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        op = type(self).__name__
        if num_layers < 1 or hidden_size < 1:
            raise ValueError(
                f"[{op}] num_layers is {num_layers}, hidden_size {hidden_size} (both must be positive)"
            )
        td.empty((num_layers, 1024), dtype=td.uint8, device="cpu")  # fails where there is no room for as many
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        rows, output = self._gates * hidden_size, self.proj_size or hidden_size
        self._suffixes = ("", "_reverse") if bidirectional else ("",)
        shapes: dict[str, tuple[int, ...]] = {}
        for layer in range(num_layers):
            size = output * len(self._suffixes) if layer else input_size
            for suffix in self._suffixes:
                end = f"_l{layer}{suffix}"
                shapes |= {f"weight_ih{end}": (rows, size), f"weight_hh{end}": (rows, output)}
                shapes |= {f"bias_ih{end}": (rows,), f"bias_hh{end}": (rows,)} if bias else {}
                shapes |= {f"weight_hr{end}": (output, hidden_size)} if self.proj_size else {}
        key = _draw(self, shapes, key, dtype, device)
        self.dropout = Dropout(dropout, key=key) if dropout else None

    def _direction(
        self, x: Tensor, state: tuple[Tensor, ...], end: str, reverse: bool
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """One layer in one direction: x (L, N, size) and the first state give (h of every step, the last
        state). The products with x are one for all steps."""
        w_ih, w_hh, b_ih, b_hh, w_hr = (
            getattr(self, name + end, None)
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        )
        assert w_ih is not None and w_hh is not None
        h, last = _training.recurrent(self._kind, x, state, w_ih, w_hh, b_ih, b_hh, w_hr, reverse)
        return h, tuple(last)

    def forward(self, input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        op = type(self).__name__
        _check_input(op, input, self.input_size, (2, 3))
        alone, x = input.ndim == 2, input
        if alone:
            x = td.expand_dims(x, 1)
        elif self.batch_first:
            x = td.swapaxes(x, 0, 1)
        directions, lanes = len(self._suffixes), x.shape[1]
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)
        shapes = [
            (self.num_layers * directions, *(() if alone else (lanes,)), size)
            for size, _ in zip(sizes, self._states, strict=False)
        ]
        if hx is None:
            dtype = td.result_type(x, self.weight_ih_l0)
            first = tuple(td.zeros(s, dtype=dtype, device=x.device) for s in shapes)
        else:
            first = _checked_state(op, self._states, hx, shapes)
        if alone:
            first = tuple(td.expand_dims(part, 1) for part in first)
        states: list[tuple[Tensor, ...]] = []
        for layer in range(self.num_layers):
            if layer and self.dropout is not None:
                x = self.dropout(x)
            outputs = []
            for direction, suffix in enumerate(self._suffixes):
                state = tuple(part[layer * directions + direction] for part in first)
                h, state = self._direction(x, state, f"_l{layer}{suffix}", reverse=direction == 1)
                outputs.append(h)
                states.append(state)
            x = td.concat(outputs, axis=-1) if directions > 1 else outputs[0]
        last = tuple(td.stack(parts) for parts in zip(*states, strict=True))
        if alone:
            x, last = x[:, 0], tuple(part[:, 0] for part in last)
        elif self.batch_first:
            x = td.swapaxes(x, 0, 1)
        return x, last if len(last) > 1 else last[0]

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}, num_layers={self.num_layers}"


class RNN(_Recurrent):
    """num_layers of RNNCell over time: forward(x, h_0) of x (L, N, input_size), or with batch_first
    (N, L, input_size), or without N, and h_0 (layers directions, N, hidden_size), zero if left out, gives (h
    of the last layer at every step (L, N, directions hidden_size), the last h of every layer and direction).
    dropout acts between layers. Parameters have PyTorch's names, weight_ih_l0 .., and begin uniform in
    +-1 / sqrt(hidden_size).

    Examples
    --------
    >>> h, last = td.nn.RNN(3, 5)(td.ones((7, 2, 3)))
    >>> h.shape, last.shape
    ((7, 2, 5), (1, 2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        self._kind = _nonlinearity("RNN", nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            key=key,
            dtype=dtype,
            device=device,
        )


class LSTM(_Recurrent):
    """num_layers of LSTMCell over time, as RNN; the state is (h, c). With proj_size, h is weight_hr h, of
    that size.

    Examples
    --------
    >>> h, (last, cell) = td.nn.LSTM(3, 5)(td.ones((7, 2, 3)))
    >>> h.shape, cell.shape
    ((7, 2, 5), (1, 2, 5))
    """

    _gates = 4
    _states = ("h_0", "c_0")
    _kind = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        key: Tensor | None = None,
        dtype: DTypeLike = td.float32,
        device: DeviceLike | None = None,
    ) -> None:
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"[LSTM] proj_size {proj_size} is not below hidden_size {hidden_size}")
        self.proj_size = proj_size
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            key=key,
            dtype=dtype,
            device=device,
        )


class GRU(_Recurrent):
    """num_layers of GRUCell over time, as RNN.

    Examples
    --------
    >>> h, last = td.nn.GRU(3, 5)(td.ones((7, 2, 3)))
    >>> h.shape, last.shape
    ((7, 2, 5), (1, 2, 5))
    """

    _gates = 3
    _kind = "gru"
