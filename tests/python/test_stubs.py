"""The type stubs name what the extension module has, with the same parameters."""

import ast
import sys
from pathlib import Path

import pytest
from tidu import _core

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import make_stubs  # noqa: E402


def signatures(text):
    """Each definition's place and parameter names."""
    result = set()
    for node in ast.walk(ast.parse(text)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef):
                names = tuple(part.arg for part in ast.walk(child.args) if isinstance(part, ast.arg))
                result.add((getattr(node, "name", ""), child.name, names))
    return result


@pytest.mark.parametrize("name", ["_core.pyi", "random.pyi"])
def test_stubs_are_up_to_date(name):
    written = (ROOT / "python" / "tidu" / name).read_text()
    assert signatures(written) == signatures(make_stubs.stubs(_core)[name]), "run scripts/make_stubs.py"
