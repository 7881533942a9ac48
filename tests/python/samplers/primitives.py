"""What the library has."""

from tidu import _core

PRIMITIVES = {primitive["name"]: primitive for primitive in _core.primitives()}
# The rows of the table of elementwise operations, which are called by their names.
ROWS = {name: primitive for name, primitive in PRIMITIVES.items() if "types" in primitive}
REDUCTIONS = {name: primitive for name, primitive in PRIMITIVES.items() if "reduction" in primitive}
SCANS = {name: primitive for name, primitive in PRIMITIVES.items() if "scan" in primitive}
