"""The type stubs that the build made name all that the extension module has, with the same parameters."""

import __future__

import inspect
import typing
from pathlib import Path

import pytest
from tidu import _core

MODULES = {"_core": _core, "random": _core.random, "linalg": _core.linalg}


def run_stub(name, scope, names):
    """Runs a stub as a module whose annotations wait until they are asked for."""
    text = (Path(_core.__file__).parent / f"{name}.pyi").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("from tidu.")]
    flags = __future__.annotations.compiler_flag
    exec(compile("\n".join(lines), f"{name}.pyi", "exec", flags=flags), scope, names)
    return names


@pytest.fixture
def core_stub():
    names = {"__name__": "stub"}
    return run_stub("_core", names, names)


@pytest.fixture
def random_stub(core_stub):
    return run_stub("random", core_stub, {})


@pytest.fixture
def linalg_stub(core_stub):
    return run_stub("linalg", core_stub, {})


@pytest.fixture(params=MODULES)
def stub(request, core_stub, random_stub, linalg_stub):
    """What a stub defines, beside what it stands for: two modules, or two classes."""
    return {"_core": core_stub, "random": random_stub, "linalg": linalg_stub}[request.param], MODULES[
        request.param
    ]


def public(names):
    return {name for name in names if not name.startswith("_")}


def functions_of(names):
    return {
        name: value
        for name, value in names.items()
        if inspect.isfunction(value) and value.__module__ == "stub"
    }


def parameters_of(function):
    """Those that a call names: `self` comes by place in the module, by any name in a stub."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind, p.default is p.empty) for p in parameters if p.name != "self"]


def test_every_public_name_has_a_stub(stub):
    names, module = stub
    declared = set(names) | set(names.get("__annotations__", ()))
    assert not public(vars(module)) - declared - {"random", "linalg"}


def test_every_attribute_of_tensors_has_a_stub(core_stub):
    assert not public(dir(_core.zeros(()))) - set(vars(core_stub["Tensor"]))


def test_annotations_name_types(stub):
    for name, function in functions_of(stub[0]).items():
        hints = typing.get_type_hints(function)
        assert set(hints) == {*inspect.signature(function).parameters, "return"}, name


def test_annotations_of_methods_name_types(core_stub):
    for name, function in functions_of(vars(core_stub["Tensor"])).items():
        hints = typing.get_type_hints(function)
        assert set(hints) == {*inspect.signature(function).parameters, "return"} - {"self"}, name


def test_parameters_are_those_of_the_functions(core_stub):
    pairs = [(vars(_core), core_stub), (vars(_core.Tensor), vars(core_stub["Tensor"]))]
    compared = 0
    for actual, names in pairs:
        for name, function in functions_of(names).items():
            if name.startswith("__") or not getattr(actual[name], "__text_signature__", None):
                continue
            assert parameters_of(function) == parameters_of(actual[name]), name
            compared += 1
    assert compared > 100
