"""Programs: functions recorded as a list of primitive calls."""

from tidu import _core
from tidu._core import Tensor
from tidu._pytree import flatten, unflatten
from tidu._transforms import OfTensors, align_tree


class Program:
    """A function of tensors as it was recorded for arguments of certain shapes, dtypes and devices.

    It is called like the function. All transforms apply to it. str() shows one line a primitive call;
    `writes` has the numbers of the tensors among the arguments' leaves that it overwrites.
    """

    def __init__(self, recorded, structure, leaves, output_structure):
        self._recorded = recorded
        self._structure = structure
        self._leaves = leaves  # None where a tensor goes
        self._output_structure = output_structure

    @property
    def writes(self):
        return self._recorded.writes

    def __call__(self, *args):
        tensors = []
        for i, (leaf, fixed) in enumerate(
            zip(align_tree(args, self._structure, "program", "arguments"), self._leaves, strict=True)
        ):
            if fixed is None:
                tensors.append(leaf if isinstance(leaf, Tensor) else _core.asarray(leaf))
            elif type(leaf) is not type(fixed) or leaf != fixed:
                raise ValueError(
                    f"[program] leaf {i} of the arguments is {leaf!r} but was {fixed!r} when the program was "
                    "recorded (only tensors may change)"
                )
        return unflatten(self._output_structure, self._recorded(tensors))

    def __str__(self):
        return str(self._recorded)

    __repr__ = __str__


def program(function, *args):
    """Records `function` for arguments like `args` as a Program.

    The tensors among the leaves of the arguments are what the program is a function of: their values are not
    looked at, and reading one inside is an error (TraceError). Other leaves are fixed. Tensors from outside
    that the function makes use of are constants; they must not be overwritten. Random numbers drawn from a
    key from outside are the same at every call.
    """
    leaves, structure = flatten((args, {}))
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    flat = OfTensors(function, leaves, structure, places, "program")
    recorded = _core.record(flat, [leaves[i] for i in places])
    fixed = [None if i in set(places) else leaf for i, leaf in enumerate(leaves)]
    return Program(recorded, structure.children[0], fixed, flat.output_structure)
