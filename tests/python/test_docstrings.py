"""The examples in docstrings print what stands below them."""

import doctest
import importlib
from pathlib import Path

import pytest
import tidu as td

PACKAGE = Path(td.__file__).parent
MODULES = [
    ".".join(("tidu", *path.relative_to(PACKAGE).with_suffix("").parts))
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>>" in path.read_text(encoding="utf-8")
]


@pytest.mark.cpu_only("shows tensors as they are on device cpu")
@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    complaints = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(importlib.import_module(name), globs={"td": td}):
        runner.run(test, out=complaints.append)
    assert runner.tries and not complaints, "".join(complaints)
