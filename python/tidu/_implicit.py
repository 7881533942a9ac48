"""Solutions of equations as functions of what these close over: custom_linear_solve, custom_root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import flatten, in_order, unflatten
from tidu._transforms import inputs_of, match_tree, name_of

T = TypeVar("T")


class Unknowns:
    """Tensors in a tree, for which functions and solvers of such trees are made ones of lists of tensors."""

    def __init__(self, op: str, tree: Any, what: str) -> None:
        self.op = op
        self.tensors, self.structure = inputs_of(tree, op, what)

    def tree(self, tensors: list[Tensor]) -> Any:
        return unflatten(self.structure, tensors)

    def flat(self, result: Any, what: str) -> list[Tensor]:
        """The leaves of a result, of which numbers become tensors like the unknowns."""
        leaves, structure = flatten(result)
        if structure != self.structure:
            raise ValueError(
                f"[{self.op}] {what} has structure {structure!r} but must have {self.structure!r}"
            )
        return [
            leaf if isinstance(leaf, Tensor) else _core.asarray(leaf, dtype=like.dtype, device=like.device)
            for leaf, like in zip(in_order(leaves, structure, self.structure), self.tensors, strict=True)
        ]

    def like(self, tree: Any, what: str) -> list[Tensor]:
        """The leaves of a tree with the structure, shapes and dtypes of the unknowns."""
        leaves = match_tree(tree, self.structure, self.tensors, self.op, what)
        given = [leaf for leaf in leaves if leaf is not None]
        if len(given) < len(leaves):
            raise ValueError(f"[{self.op}] the {what} has None for a tensor")
        return given

    def function(self, function: Callable[..., Any]) -> Callable[[list[Tensor]], list[Tensor]]:
        return lambda tensors: self.flat(function(self.tree(tensors)), f"the result of {name_of(function)}")

    def solver(self, solve: Callable[..., Any] | None) -> Any:
        """solve(function, tree): what it is given takes and gives trees, of numbers too."""
        if solve is None:
            return None

        def flat(function: Callable[[list[Tensor]], list[Tensor]], tensors: list[Tensor]) -> list[Tensor]:
            def of_trees(x: Any) -> Any:
                return self.tree(function(self.like(x, "argument of the function that is solved")))

            return self.flat(solve(of_trees, self.tree(tensors)), f"the solution of {name_of(solve)}")

        return flat


def custom_linear_solve(
    matvec: Callable[[T], T],
    b: T,
    solve: Callable[[Callable[[T], T], T], T],
    transpose_solve: Callable[[Callable[[T], T], T], T] | None = None,
    symmetric: bool = False,
) -> T:
    """solve(matvec, b): the x with matvec(x) = b, differentiated as that and not by how it is found.

    matvec is a linear function from trees like b to such trees; it may close over what is differentiated. One
    that is seen not to be linear, since it maps 0 or -2 b wrongly, is a ValueError (NaN in programs).
    solve(matvec, b) returns x, like b. Linear in b, and forward and reverse to any order; reverse mode calls
    transpose_solve(vecmat, b) with the transposed function or, with symmetric=True, solve; without either it
    is a GradientError. Eagerly solve may look at values; under vmap and in programs it is recorded, and
    looking at one is a TraceError (use while_loop, or td.linalg.cg and gmres).

        A = td.tensor([[2.0, 1.0], [1.0, 3.0]])
        solve = lambda matvec, b: td.linalg.solve(A, b)
        td.custom_linear_solve(lambda x: A @ x, b, solve, solve, symmetric=True)

    Examples
    --------
    >>> A = td.tensor([[2.0, 0.0], [0.0, 4.0]])
    >>> solve = lambda matvec, b: td.linalg.solve(A, b)
    >>> td.custom_linear_solve(lambda x: A @ x, td.tensor([2.0, 2.0]), solve, symmetric=True)
    tensor([1. , 0.5], dtype=float32)
    """
    unknowns = Unknowns("custom_linear_solve", b, "b")
    solution = _core.custom_linear_solve(
        unknowns.function(matvec),
        unknowns.tensors,
        unknowns.solver(solve),
        unknowns.solver(transpose_solve),
        symmetric,
    )
    found: T = unknowns.tree(solution)
    return found


def custom_root(
    f: Callable[[T], T],
    initial_guess: T,
    solve: Callable[[Callable[[T], T], T], T],
    tangent_solve: Callable[[Callable[[T], T], T], T] | None = None,
) -> T:
    """solve(f, initial_guess): an x with f(x) = 0, as a function of what f closes over.

    x, f(x) and the guess are trees of one structure and its shapes and dtypes. By the implicit function
    theorem x' = -(df/dx)^-1 f', forward and reverse, to any order; the guess has the derivative zero. f is
    recorded, and may not look at values; solve may, but not under vmap and in programs (use while_loop
    there). tangent_solve(g, y) returns the solution of g(x) = y for a linear g, df/dx or its transpose; by
    default from the matrix of g up to 512 unknowns, by GMRES above (NaN where that does not converge).

        def newton(f, x):
            for _ in range(20):
                x = x - f(x) / td.grad(f)(x)
            return x
        td.grad(lambda a: td.custom_root(lambda x: x * x - a, 1.0, newton))(td.tensor(2.0))  # 1 / (2 sqrt 2)

    Examples
    --------
    >>> bisect = lambda f, x: td.tensor(2.0)
    >>> td.grad(lambda a: td.custom_root(lambda x: x * x - a, 1.0, bisect))(td.tensor(4.0))
    tensor(0.25, dtype=float32)
    """
    unknowns = Unknowns("custom_root", initial_guess, "the guess")
    root = _core.custom_root(
        unknowns.function(f), unknowns.tensors, unknowns.solver(solve), unknowns.solver(tangent_solve)
    )
    found: T = unknowns.tree(root)
    return found
