"""Solutions of equations as functions of what these close over: custom_linear_solve, custom_root."""

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import flatten, in_order, unflatten
from tidu._transforms import inputs_of, match_tree, name_of


class Unknowns:
    """Tensors in a tree, for which functions and solvers of such trees are made ones of lists of tensors."""

    def __init__(self, op, tree, what):
        self.op = op
        self.tensors, self.structure = inputs_of(tree, op, what)

    def tree(self, tensors):
        return unflatten(self.structure, tensors)

    def flat(self, result, what):
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

    def like(self, tree, what):
        """The leaves of a tree with the structure, shapes and dtypes of the unknowns."""
        leaves = match_tree(tree, self.structure, self.tensors, self.op, what)
        if any(leaf is None for leaf in leaves):
            raise ValueError(f"[{self.op}] the {what} has None for a tensor")
        return leaves

    def function(self, function):
        return lambda tensors: self.flat(function(self.tree(tensors)), f"the result of {name_of(function)}")

    def solver(self, solve):
        """solve(function, tree): what it is given takes and gives trees, of numbers too."""
        if solve is None:
            return None

        def flat(function, tensors):
            def of_trees(x):
                return self.tree(function(self.like(x, "argument of the function that is solved")))

            return self.flat(solve(of_trees, self.tree(tensors)), f"the solution of {name_of(solve)}")

        return flat


def custom_linear_solve(matvec, b, solve, transpose_solve=None, symmetric=False):
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
    """
    unknowns = Unknowns("custom_linear_solve", b, "b")
    solution = _core.custom_linear_solve(
        unknowns.function(matvec),
        unknowns.tensors,
        unknowns.solver(solve),
        unknowns.solver(transpose_solve),
        symmetric,
    )
    return unknowns.tree(solution)


def custom_root(f, initial_guess, solve, tangent_solve=None):
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
    """
    unknowns = Unknowns("custom_root", initial_guess, "the guess")
    root = _core.custom_root(
        unknowns.function(f), unknowns.tensors, unknowns.solver(solve), unknowns.solver(tangent_solve)
    )
    return unknowns.tree(root)
