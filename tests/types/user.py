"""Code as users write it: scripts/lint.py checks what mypy --strict says of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tidu as td
from tidu import nn
from tidu.nn import functional as F
from tidu.typing import DeviceLike, DTypeLike, Shape, TensorLike
from typing_extensions import assert_type

# --- Tensors


def tensors(like: TensorLike, dtype: DTypeLike, device: DeviceLike, shape: Shape) -> None:
    x = td.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=td.float64, requires_grad=True)
    assert_type(x, td.Tensor)
    assert_type(x.shape, tuple[int, ...])
    assert_type(x.dtype, td.dtype)
    assert_type(x.device, td.device)
    assert_type(x.grad, td.Tensor | None)
    assert_type(x.requires_grad, bool)
    assert_type(x.ndim, int)
    assert_type(2 * x + 1 - x / x, td.Tensor)
    assert_type(x @ x.mT, td.Tensor)
    assert_type(x > 0, td.Tensor)
    assert_type(x == x, td.Tensor)
    assert_type(-x, td.Tensor)
    assert_type(x[0, :, None], td.Tensor)
    assert_type(x.sum(axis=0), td.Tensor)
    assert_type(x.reshape((4,)), td.Tensor)
    assert_type(x.reshape(2, 2), td.Tensor)
    assert_type(x.to("cpu").cpu(), td.Tensor)
    assert_type(float(x[0, 0]), float)
    assert_type(td.sin(like), td.Tensor)
    assert_type(td.zeros(shape, dtype=dtype, device=device), td.Tensor)
    assert_type(td.where(x > 0, x, 0.0), td.Tensor)
    assert_type(td.where(x > 0), tuple[td.Tensor, ...])
    assert_type(td.cummax(x, 0), td.Tensor)
    assert_type(td.cummax(x, 0, return_indices=True).indices, td.Tensor)
    assert_type(td.unique_consecutive(x), td.Tensor)
    assert_type(td.concat([x, x]), td.Tensor)
    assert_type(td.split(x, 2), list[td.Tensor])
    assert_type(td.unstack(x), tuple[td.Tensor, ...])
    assert_type(td.linalg.inv(x), td.Tensor)
    assert_type(td.linalg.svd(x).S, td.Tensor)
    assert_type(td.random.normal(td.random.key(0), (2, 3)), td.Tensor)
    assert_type(td.random.gamma(td.random.key(0), 2.0), td.Tensor)
    assert_type(td.topk(x, 1).values, td.Tensor)
    assert_type(td.quantile(x, 0.5), td.Tensor)
    assert_type(td.finfo(td.float32).eps, float)
    assert_type(td.pi, float)
    x.backward(td.ones_like(x))
    x[0] = 5.0
    for row in x:
        assert_type(row, td.Tensor)
    td.sin("x")  # type: ignore[arg-type]  # a string is no tensor
    td.zeroes(3)  # type: ignore[attr-defined]  # there is no such function


# --- Derivatives: what a transform returns is called like the function


def energy(x: td.Tensor, weight: float = 1.0) -> td.Tensor:
    return weight * (x * x).sum()


def scaled(x: td.Tensor, weight: td.Tensor | float = 1.0) -> td.Tensor:
    return weight * x


def with_aux(x: td.Tensor) -> tuple[td.Tensor, str]:
    return (x * x).sum(), "aux"


def of_tree(params: dict[str, td.Tensor], x: td.Tensor) -> td.Tensor:
    return (params["w"] * x).sum()


def derivatives(x: td.Tensor, params: dict[str, td.Tensor]) -> None:
    assert_type(td.grad(energy)(x, weight=2.0), td.Tensor)
    assert_type(td.grad(of_tree)(params, x), dict[str, td.Tensor])
    assert_type(td.value_and_grad(energy)(x), tuple[td.Tensor, td.Tensor])
    assert_type(td.value_and_grad(of_tree)(params, x), tuple[td.Tensor, dict[str, td.Tensor]])
    assert_type(td.grad(with_aux, has_aux=True)(x), tuple[td.Tensor, str])
    assert_type(td.value_and_grad(with_aux, has_aux=True)(x), tuple[tuple[td.Tensor, str], td.Tensor])
    td.grad(lambda x: (x * x).sum())(x)
    td.grad(lambda p: of_tree(p, x))(params)
    td.grad(of_tree, argnums=(0, 1))(params, x)
    td.grad(energy)(x, height=2.0)  # type: ignore[call-arg]  # it has no such argument
    assert_type(td.grad(td.grad(energy))(x), td.Tensor)
    assert_type(td.hessian(energy)(x, weight=2.0), td.Tensor)
    assert_type(td.jacobian(scaled)(x, 2.0), td.Tensor)
    assert_type(td.jacrev(scaled)(x), td.Tensor)
    assert_type(td.jacfwd(scaled)(x), td.Tensor)
    assert_type(td.hessian(with_aux, has_aux=True)(x), tuple[td.Tensor, str])
    assert_type(td.hessian_diagonal(of_tree)(params, x), dict[str, td.Tensor])
    assert_type(td.jacobian(td.grad(energy))(x), td.Tensor)
    td.jacobian(lambda p: of_tree(p, x))(params)
    td.jacobian(of_tree)(params, x)["w"]
    td.jacobian(scaled, argnums=(0, 1))(x, x)
    td.hessian(energy, sparse=True)(x).toarray()
    td.jacobian(scaled)(x, height=2.0)  # type: ignore[call-arg]  # it has no such argument
    assert_type(td.jvp(energy, (x,), (x,)), tuple[td.Tensor, td.Tensor])
    value, pullback = td.vjp(energy, x)
    assert_type(value, td.Tensor)
    pullback(value)
    assert_type(td.hvp(energy, x, x), td.Tensor)
    assert_type(td.vmap(energy)(x), td.Tensor)
    assert_type(td.vmap(energy, in_axes=(0, None))(x, 2.0), td.Tensor)
    assert_type(td.checkpoint(energy)(x), td.Tensor)
    assert_type(td.laplacian(energy)(x), td.Tensor)
    assert_type(td.stop_gradient(x), td.Tensor)
    assert_type(td.stop_gradient(params), dict[str, td.Tensor])
    assert_type(td.scan(lambda c, y: (c + y, y), x, x), tuple[td.Tensor, td.Tensor])
    assert_type(td.while_loop(lambda c: c < 3, lambda c: c + 1, x), td.Tensor)
    assert_type(td.cond(x > 0, energy, energy, x), td.Tensor)


# --- Decorators


@td.compile
def compiled(x: td.Tensor, steps: int = 3) -> td.Tensor:
    return x * steps


@td.compile(check=1)
def checked(x: td.Tensor) -> tuple[td.Tensor, td.Tensor]:
    return x, x


@td.no_grad()
def without(x: td.Tensor) -> td.Tensor:
    return x


@td.no_grad
def without_call(x: td.Tensor) -> td.Tensor:
    return x


@td.autocast()
def mixed(x: td.Tensor) -> td.Tensor:
    return x @ x


@td.custom_vjp
def own(x: td.Tensor) -> td.Tensor:
    return x


own.defvjp(lambda x: (x, x), lambda residuals, cotangent: (cotangent,))


@td.custom_jvp
def own_forward(x: td.Tensor) -> td.Tensor:
    return x


@own_forward.defjvp
def _(primals: tuple[td.Tensor], tangents: tuple[td.Tensor]) -> tuple[td.Tensor, td.Tensor]:
    return primals[0], tangents[0]


def decorators(x: td.Tensor) -> None:
    assert_type(compiled(x, steps=2), td.Tensor)
    assert_type(compiled.explain(x), str)
    compiled(x, width=2)  # type: ignore[call-arg]  # it has no such argument
    assert_type(checked(x), tuple[td.Tensor, td.Tensor])
    assert_type(without(x), td.Tensor)
    assert_type(without_call(x), td.Tensor)
    assert_type(mixed(x), td.Tensor)
    assert_type(own(x), td.Tensor)
    assert_type(own_forward(x), td.Tensor)
    with td.no_grad(), td.autocast(td.bfloat16), td.device("cpu"):
        pass


# --- Training


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        self.first = nn.Linear(2, width)
        self.last = nn.Linear(width, 1, dtype=td.float32)
        self.scale = nn.Parameter(td.ones(1))

    def forward(self, x: td.Tensor) -> td.Tensor:
        return self.last(td.tanh(self.first(x))) * self.scale


def training(x: td.Tensor, y: td.Tensor) -> None:
    net = Net(8)
    assert_type(net(x), td.Tensor)
    assert_type(net.first(x), td.Tensor)
    assert_type(net.first.weight, td.Tensor)
    assert_type(net.parameters(), list[td.Tensor])
    assert_type(net.to("cpu").eval(), Net)
    assert_type(net.params(), dict[str, td.Tensor])
    assert_type(nn.Sequential(nn.Linear(2, 3), nn.ReLU())(x), td.Tensor)
    assert_type(nn.Conv2d(3, 8, 3, padding="same")(x), td.Tensor)
    assert_type(F.cross_entropy(x, y), td.Tensor)
    assert_type(F.max_pool2d(x, 2), td.Tensor)
    assert_type(F.max_pool2d(x, 2, return_indices=True), tuple[td.Tensor, td.Tensor])
    assert_type(nn.Identity()(x), td.Tensor)
    assert_type(nn.MSELoss()(x, y), td.Tensor)
    optimizer = td.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.99))
    schedule = td.optim.CosineLR(optimizer, 100)
    loader = td.data.DataLoader(td.data.TensorDataset(x, y), 8, shuffle=True, key=td.random.key(0))
    assert_type(len(loader), int)
    for inputs, targets in loader:
        loss = F.mse_loss(net(inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    td.save("net.safetensors", net.state_dict())
    net.load_state_dict(td.load("net.safetensors"))
    assert_type(td.optim.minimize(energy, x).converged, bool)
    assert_type(td.optim.LBFGS(net.parameters()).step(lambda: energy(x)), td.Tensor)
    nn.Linear(2, "3")  # type: ignore[arg-type]  # a number of outputs


def sampling(key: td.Tensor) -> None:
    normal = td.distributions.Normal(0.0, td.ones(3))
    assert_type(normal.log_prob(0.5), td.Tensor)
    assert_type(normal.sample(key, (2,)), td.Tensor)
    assert_type(normal.mean, td.Tensor)
    assert_type(normal.batch_shape, tuple[int, ...])
    assert_type(td.distributions.kl_divergence(normal, normal), td.Tensor)


def trees(params: dict[str, td.Tensor], function: Callable[[td.Tensor], td.Tensor]) -> Any:
    program = td.program(energy, params["w"])
    assert_type(program, td.Program)
    assert_type(td.optim.standard_errors(energy, params["w"]), td.Tensor)
    td.odeint(lambda y, t: -y, params["w"], td.linspace(0.0, 1.0, 3))
    return td.tree.map(function, params), program
