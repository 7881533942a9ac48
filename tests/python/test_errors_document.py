"""docs/errors.md has a section for each class of error, whose snippet raises it."""

import builtins
import re
from pathlib import Path

import pytest
import tidu as td

TEXT = (Path(__file__).resolve().parents[2] / "docs/errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
OWN = {
    name
    for name in dir(td)
    if isinstance(getattr(td, name), type) and issubclass(getattr(td, name), Exception)
}


def test_every_class_has_a_section():
    assert {"ShapeError", "NonFiniteError"} <= OWN and set(SECTIONS) >= OWN


@pytest.mark.parametrize("name", SECTIONS)
def test_the_snippet_raises_it(name, tmp_path):
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", SECTIONS[name], re.MULTILINE | re.DOTALL)
    error = getattr(td, name, None) or getattr(builtins, name)
    with pytest.raises(error) as caught:
        exec(snippet, {"td": td, "folder": tmp_path})
    assert caught.type is error and str(caught.value)
    for base in error.__bases__:
        assert name not in OWN or f"`{base.__name__}`" in SECTIONS[name]  # of the built-in, too
