"""The extension module, which a process has once: where the package is imported anew, its parts are told
again."""

import sys

from tidu import _core

for part in vars(_core).values():
    if isinstance(part, type(sys)):
        sys.modules.setdefault(part.__name__, part)
