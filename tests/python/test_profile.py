"""profile: what ran."""

import json
import threading

import pytest
import tidu as td


def test_calls_have_names_lines_and_counts(device):
    x = td.ones((8, 16), device=device)
    with td.profile() as p:
        td.tanh(x @ x.T).sum()
    assert [call["name"] for call in p.calls] == ["matmul", "tanh", "sum"]
    product, tanh, total = p.calls
    assert product["operands"] == "float32(8, 16), float32(16, 8)"
    assert product["operations"] == 2 * 8 * 8 * 16
    assert product["bytes"] == 4 * (2 * 8 * 16 + 8 * 8)
    assert tanh["operations"] == 64
    assert total["bytes"] == 4 * 65
    assert all(call["source"].startswith("test_profile.py:") for call in p.calls)
    assert all(call["duration"] > 0 and call["live_bytes"] > 0 for call in p.calls)
    assert tanh["begin"] >= product["begin"] + product["duration"]
    assert {call["device"] for call in p.calls} == {x.device}


def test_tables_and_traces(device, tmp_path):
    x = td.ones((8,), device=device)
    with td.profile() as p:
        for _ in range(3):
            td.exp(x)
        td.grad(lambda v: td.exp(v).sum())(x)
    assert sum(call["name"] == "exp" for call in p.calls) == 4
    for by in ("name", "operands", "source"):
        assert "exp" in p.table(by)
        assert f"{len(p.calls)} calls" in p.table(by)
    assert "more" in p.table("source", limit=1)
    with pytest.raises(ValueError, match="'name', 'operands', 'source'"):
        p.table("size")
    p.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sum(event["ph"] == "X" for event in events) == len(p.calls)
    assert {event["name"] for event in events if event["ph"] == "C"} == {"memory"}


def test_other_threads_and_errors(device):
    x = td.ones((8,), device=device)
    with pytest.raises(ZeroDivisionError), td.profile() as p:
        thread = threading.Thread(target=lambda: td.sin(x))
        thread.start()
        thread.join()
        td.cos(x)
        raise ZeroDivisionError
    assert [call["name"] for call in p.calls] == ["sin", "cos"]
    assert p.calls[0]["thread"] != p.calls[1]["thread"]
    td.sin(x)
    with td.profile() as q, pytest.raises(RuntimeError, match="another profile"):
        td.profile().__enter__()
    assert (len(p.calls), q.calls) == (2, [])


def test_compiled_functions_are_noted(device):
    x = td.ones((8, 8), device=device)
    f = td.compile(lambda v: td.tanh(v @ v).sum())
    f(x)
    with td.profile() as p:
        f(x)
    assert sum("matmul" in call["name"] for call in p.calls) == 1
    assert sum("tanh" in call["name"] for call in p.calls) == 1


@pytest.mark.cpu_only("device cuda runs a product and what reads it one after the other, unless in a graph")
def test_what_takes_a_product_part_by_part_is_named_with_it(device):
    weight = td.ones((8, 4), device=device, requires_grad=True)
    optimizer = td.optim.SGD([weight], lr=0.1)

    @td.compile
    def step(x):
        optimizer.zero_grad()
        ((x @ weight) ** 2).sum().backward()
        optimizer.step()

    x = td.ones((5, 8), device=device)
    step(x)
    with td.profile() as p:
        step(x)
    assert [c["operands"] for c in p.calls if c["name"] == "matmul+sgd_update"] == ["(8, 4)"]
