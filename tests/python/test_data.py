"""Readers, data sets and the loader."""

import copy
import dataclasses
import gzip
import os
import pickle
import shutil
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import tidu as td
from tidu.data import DataLoader, FashionMNIST, TensorDataset

rng = np.random.default_rng(5)
ROOT = FashionMNIST.ROOT
IN_BUNDLE = (Path(__file__).parents[2] / "BUNDLE").exists()  # of scripts/gpu_bundle.py


def idx_bytes(array, code):
    big = array.astype(array.dtype.newbyteorder(">"))
    return struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape) + big.tobytes()


# ---- Readers


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, "i2"), (12, "i4"), (13, "f4"), (14, "f8")]
)
@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_idx_goes_round(tmp_path, code, dtype, pack):
    array = (rng.normal(size=(3, 4, 2)) * 50).astype(dtype)
    (tmp_path / "x").write_bytes(pack(idx_bytes(array, code)))
    values = td.data.read_idx(tmp_path / "x").cpu().numpy()
    assert values.dtype == array.dtype
    np.testing.assert_array_equal(values, array)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-1],
        lambda b: b + b"\0",
        lambda b: b"\1" + b[1:],
        lambda b: b[:2] + b"\x07" + b[3:],
        lambda b: b[:3],
        lambda b: b"",
        lambda b: b[:4] + b"\xff" * 12 + b[16:],
        lambda b: gzip.compress(b)[:-9],
        lambda b: gzip.compress(b)[:20] + b"\0\0\0\0" + gzip.compress(b)[24:],
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path, damage):
    path = tmp_path / "some.idx"
    path.write_bytes(damage(idx_bytes(np.arange(60, dtype="u1").reshape(3, 4, 5), 8)))
    with pytest.raises(OSError, match=r"some\.idx"):
        td.data.read_idx(path)


def test_missing_files():
    with pytest.raises(FileNotFoundError, match="nowhere"):
        td.data.read_idx("nowhere")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        td.data.read_csv("nowhere")
    with pytest.raises(FileNotFoundError, match="dataset-fashion-mnist"):
        FashionMNIST("nowhere")


def test_csv(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text('length,"width, cm",kind\n1.5,2,cat\n-3e2,"4",dog\n\n0,.5,cat\n')
    table = td.data.read_csv(path, label_column="kind", dtype=td.float64)
    assert table.columns == ["length", "width, cm"] and table.classes == ["cat", "dog"]
    np.testing.assert_array_equal(table.values.cpu().numpy(), [[1.5, 2], [-300, 4], [0, 0.5]])
    np.testing.assert_array_equal(table.labels.cpu().numpy(), [0, 1, 0])
    path.write_text("1;2\n3;4\n")
    plain = td.data.read_csv(path, delimiter=";", header=False)
    assert plain.labels is None and plain.columns == [] and plain.values.dtype == td.float32
    np.testing.assert_array_equal(plain.values.cpu().numpy(), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(
        td.data.read_csv(path, delimiter=";", header=False, label_column=-1).labels.cpu().numpy(), [2, 4]
    )


@pytest.mark.parametrize("text", ["a,b\n1,2\n3\n", "a,b\n1,x\n", 'a,b\n1,"2\n', "a,b\n1,\n"])
def test_a_damaged_csv_file_is_named(tmp_path, text):
    path = tmp_path / "some.csv"
    path.write_text(text)
    with pytest.raises(OSError, match=r"some\.csv"):
        td.data.read_csv(path)


def read(tmp_path, column, dtype):
    (tmp_path / "some.csv").write_bytes(b"a,b\n0," + column + b"\n")
    return td.data.read_csv(tmp_path / "some.csv", dtype=dtype).values[0, 1].item()


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("9007199254740993", td.int64, 2**53 + 1),
        ("-9223372036854775808", td.int64, -(2**63)),
        ("18446744073709551615", td.uint64, 2**64 - 1),
        ("255", td.uint8, 255),
        ("-0", td.uint8, 0),
        ("+7.0", td.int8, 7),
        ("1e2", td.int16, 100),
        ("1", td.bool, True),
        ("1e-400", td.float64, 0.0),
        ("-4.9e-324", td.float64, -5e-324),
        ("1e-60", td.float32, 0.0),
        ("inf", td.float32, np.inf),
        ("65504", td.float16, 65504.0),
    ],
)
def test_numbers_of_csv_files_are_exact(tmp_path, text, dtype, value):
    assert read(tmp_path, text.encode(), dtype) == value


@pytest.mark.parametrize(
    ("text", "dtype", "message"),
    [
        (b"300", td.uint8, "'300' does not fit uint8"),
        (b"-1", td.uint8, "'-1' does not fit uint8"),
        (b"nan", td.uint8, "'nan' is not a number of uint8"),
        (b"1.5", td.int32, "'1.5' is not a number of int32"),
        (b"9223372036854775808", td.int64, "does not fit int64"),
        (b"18446744073709551616", td.uint64, "does not fit uint64"),
        (b"1e30", td.int64, "does not fit int64"),
        (b"2", td.bool, "'2' does not fit bool"),
        (b"1e400", td.float64, "does not fit float64"),
        (b"1e39", td.float32, "does not fit float32"),
        (b"70000", td.float16, "does not fit float16"),
        (b"caf\xe9", td.float32, r"'caf\\xe9' is not a number of float32"),
    ],
)
def test_numbers_that_do_not_fit_are_named(tmp_path, text, dtype, message):
    with pytest.raises(OSError, match=rf"some\.csv: line 2: column 'b': .*{message}"):
        read(tmp_path, text, dtype)


def test_text_that_is_not_utf8_is_named(tmp_path):
    path = tmp_path / "some.csv"
    path.write_bytes(b"a,gr\xf6\xdfe\n1,2\n")
    with pytest.raises(OSError, match=r"some\.csv: line 1: 'gr\\xf6\\xdfe' is not UTF-8"):
        td.data.read_csv(path)
    path.write_bytes(b"a,b\n1,caf\xe9\n")
    with pytest.raises(OSError, match=r"some\.csv: line 2: 'caf\\xe9' is not UTF-8"):
        td.data.read_csv(path, label_column="b")
    for function in (td.load, td.data.read_csv, td.data.read_idx):
        with pytest.raises(FileNotFoundError, match=r"\\xff"):
            function(b"\xff")


# ---- Fashion-MNIST


@pytest.mark.skipif(IN_BUNDLE, reason="the bundle for a GPU has no data")
def test_fashion_mnist():
    train, test = FashionMNIST(), FashionMNIST(train=False)
    assert len(train) == 60000 and len(test) == 10000
    assert train.images.shape == (60000, 28, 28) and train.images.dtype == td.uint8
    np.testing.assert_array_equal(np.bincount(train.labels.cpu().numpy()), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(test.labels.cpu().numpy()), [1000] * 10)
    with gzip.open(os.path.join(ROOT, "t10k-images-idx3-ubyte.gz")) as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    np.testing.assert_array_equal(test.images.cpu().numpy(), pixels)
    image, label = test[3]
    np.testing.assert_array_equal(image.cpu().numpy(), pixels[3])
    assert FashionMNIST.CLASSES[label.item()] == "Trouser"


@pytest.mark.skipif(IN_BUNDLE, reason="the bundle for a GPU has no data")
def test_a_changed_file_of_fashion_mnist_is_named(tmp_path):
    for name in os.listdir(ROOT):
        shutil.copy(os.path.join(ROOT, name), tmp_path)
    path = tmp_path / "t10k-labels-idx1-ubyte.gz"
    labels = bytearray(gzip.decompress(path.read_bytes()))
    labels[100] = (labels[100] + 1) % 10
    path.write_bytes(gzip.compress(bytes(labels)))
    FashionMNIST(tmp_path, train=True)
    with pytest.raises(OSError, match="t10k-labels"):
        FashionMNIST(tmp_path, train=False)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="t10k-labels"):
        FashionMNIST(tmp_path, train=False)


# ---- Data sets and loaders


def numbers(n=10):
    return TensorDataset(td.arange(n), td.tensor(np.arange(2 * n).reshape(n, 2)))


class Squares:
    """A data set written in Python."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return {"x": i, "y": np.full(3, i * i, dtype=np.float32)}


def firsts(loader):
    return [batch[0].tolist() for batch in loader]


def test_tensor_dataset():
    data = numbers()
    assert len(data) == 10 and data[3][0].item() == 3 and data[3][1].tolist() == [6, 7]
    with pytest.raises(td.ShapeError):
        TensorDataset(td.zeros((3,)), td.zeros((4,)))


@pytest.mark.parametrize("prefetch", [0, 1, 2, 50])
def test_batches_in_order(prefetch):
    loader = DataLoader(numbers(), 4, prefetch=prefetch)
    assert len(loader) == 3
    for _ in range(2):
        assert firsts(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert firsts(DataLoader(numbers(), 4, drop_last=True, prefetch=prefetch)) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_shuffling_depends_on_key_and_epoch_alone():
    def epochs(key, prefetch=2):
        loader = DataLoader(numbers(50), 8, shuffle=True, key=td.random.key(key), prefetch=prefetch)
        return [[i for batch in firsts(loader) for i in batch] for _ in range(3)]

    one = epochs(1)
    assert all(sorted(epoch) == list(range(50)) for epoch in one)
    assert one[0] != one[1] != one[2]
    assert one == epochs(1, prefetch=0) and one != epochs(2)
    x, y = next(iter(DataLoader(numbers(50), 8, shuffle=True)))
    np.testing.assert_array_equal(
        y.cpu().numpy(), np.stack([2 * x.cpu().numpy(), 2 * x.cpu().numpy() + 1], 1)
    )


@pytest.mark.parametrize("data", [numbers(50), Squares(50)])
@pytest.mark.parametrize("done", [0, 3, 7, 9, 14, 16])
def test_a_loader_goes_on_from_its_state(data, done):
    def make():
        return DataLoader(data, 8, shuffle=True, key=td.random.key(4))

    def stream(loader, count):
        result = []
        while True:
            for batch in loader:
                result.append((batch["x"] if isinstance(batch, dict) else batch[0]).tolist())
                if len(result) == count:
                    return result

    whole, loader = stream(make(), 25), make()
    head = stream(loader, done) if done else []
    resumed = DataLoader(data, 8, shuffle=True, key=td.random.key(99))
    resumed.load_state_dict(loader.state_dict())
    assert head + stream(resumed, 25 - done) == whole


def test_state_survives_a_file(tmp_path):
    loader = DataLoader(numbers(50), 8, shuffle=True, key=td.random.key(4))
    next(iter(loader))
    td.save(tmp_path / "x", {"loader": loader.state_dict()})
    loader2 = DataLoader(numbers(50), 8, shuffle=True)
    loader2.load_state_dict(td.load(tmp_path / "x")["loader"])
    assert (loader2.epoch, loader2.batch) == (0, 1)
    with pytest.raises(ValueError):
        loader2.load_state_dict({"key": loader.key, "epoch": 0, "batch": 8})


def test_leaving_early_begins_a_new_epoch():
    loader = DataLoader(numbers(), 4)
    for batch in loader:
        assert batch[0].tolist() == [0, 1, 2, 3]
        break
    assert firsts(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_any_sequence_is_a_data_set(prefetch):
    batches = list(DataLoader(Squares(5), 2, prefetch=prefetch))
    assert [b["x"].tolist() for b in batches] == [[0, 1], [2, 3], [4]]
    np.testing.assert_array_equal(batches[1]["y"].cpu().numpy(), np.float32([[4] * 3, [9] * 3]))
    joined = DataLoader([1.0, 2.0, 3.0], 2, collate_fn=lambda items: sum(td.asarray(i) for i in items))
    assert [b.item() for b in joined] == [3.0, 3.0]


def test_a_subclass_may_change_the_items():
    class Negative(TensorDataset):
        def __getitem__(self, i):
            return tuple(-tensor for tensor in super().__getitem__(i))

    assert firsts(DataLoader(Negative(td.arange(4)), 3)) == [[0, -1, -2], [-3]]


def test_a_loader_may_go_while_its_thread_works():
    class Slow(Squares):
        def __getitem__(self, i):
            time.sleep(0.001)
            return super().__getitem__(i)

    for _ in range(20):
        next(iter(DataLoader(Slow(8), 2)))


def test_collate_keeps_the_structure():
    class Pair(NamedTuple):
        a: int
        b: float

    @dataclasses.dataclass
    class Item:
        pair: Pair
        names: list

    batch = td.data.collate([Item(Pair(1, 2.0), [np.int8(3)]), Item(Pair(4, 5.0), [np.int8(6)])])
    assert isinstance(batch, Item) and isinstance(batch.pair, Pair)
    assert batch.pair.a.tolist() == [1, 4] and batch.pair.b.dtype == td.float32
    assert batch.names[0].tolist() == [3, 6] and batch.names[0].dtype == td.int8
    with pytest.raises(ValueError):
        td.data.collate([np.zeros(2), np.zeros(3)])


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_in_the_thread_reaches_the_consumer_and_the_position_stays(prefetch):
    class Broken(Squares):
        faulty = True

        def __getitem__(self, i):
            if i == 5 and self.faulty:
                raise KeyError("sample 5 is broken")
            return super().__getitem__(i)

    data = Broken(8)
    loader = DataLoader(data, 2, prefetch=prefetch)
    seen = []
    with pytest.raises(KeyError, match="sample 5"):
        for batch in loader:
            seen.append(batch["x"].tolist())
    assert seen == [[0, 1], [2, 3]] and loader.batch == 2
    data.faulty = False
    resumed = DataLoader(data, 2)
    resumed.load_state_dict(loader.state_dict())
    assert [b["x"].tolist() for b in resumed] == [[4, 5], [6, 7]]


def test_loaders_leave_no_threads():
    def native_threads():
        return len(os.listdir("/proc/self/task"))

    next(iter(DataLoader(numbers(), 2)))
    before, known = native_threads(), threading.active_count()
    for data in (numbers(), Squares(10)):
        loader = DataLoader(data, 2)
        next(iter(loader))
        del loader
    for _ in range(1000):  # a thread ends by itself
        if native_threads() <= before:
            break
        time.sleep(0.001)
    assert native_threads() <= before and threading.active_count() == known


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"prefetch": -1}])
def test_unfit_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DataLoader(numbers(), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 2.5},
        {"batch_size": "3"},
        {"batch_size": None},
        {"prefetch": 1.5},
        {"num_workers": 0.5},
        {"key": 3},
    ],
)
def test_options_of_other_types(options):
    with pytest.raises(TypeError, match=rf"\[DataLoader\] {next(iter(options))} must be"):
        DataLoader(numbers(), **options)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epoch": 0.5}, TypeError, "epoch must be"),
        ({"batch": "1"}, TypeError, "batch must be"),
        ({"key": 3}, TypeError, "key must be"),
        ({"key": None}, TypeError, "key must be"),
        ({"epoch": -1}, ValueError, "no batch"),
    ],
)
def test_an_unfit_state_changes_nothing(change, error, message):
    loader = DataLoader(numbers(9), 2, shuffle=True)
    expected = firsts(DataLoader(numbers(9), 2, shuffle=True))
    with pytest.raises(error, match=message):
        loader.load_state_dict({**loader.state_dict(), **change})
    with pytest.raises(ValueError, match="lacks key, epoch, batch"):
        loader.load_state_dict({})
    assert firsts(loader) == expected


class Stops:
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return next(iter([])) if i == 4 else float(i)


def stops(*_):
    raise StopIteration


FORKED = pytest.param({"num_workers": 1}, marks=pytest.mark.cpu_only("a forked child cannot use cuda"))


@pytest.mark.parametrize("options", [{"prefetch": 0}, {"prefetch": 2}, FORKED])
@pytest.mark.parametrize(
    ("data", "more"), [(Stops(), {}), ([1, 2], {"collate_fn": stops}), ([1, 2], {"transform": stops})]
)
def test_stop_iteration_of_an_item_does_not_end_the_epoch(data, more, options):
    with pytest.raises(RuntimeError, match="StopIteration"):
        list(DataLoader(data, 2, **more, **options))


@pytest.mark.parametrize("data", [numbers(11), Squares(11)])
@pytest.mark.parametrize("prefetch", [0, 2])
def test_iterations_do_not_disturb_each_other(data, prefetch):
    def values(batch):
        return (batch["x"] if isinstance(batch, dict) else batch[0]).tolist()

    loader = DataLoader(data, 3, shuffle=True, prefetch=prefetch)
    epochs = [[values(batch) for batch in DataLoader(data, 3, shuffle=True)]]
    for first, second, third in zip(loader, loader, loader, strict=True):
        assert values(first) == values(second) == values(third) == epochs[0].pop(0)
    assert loader.epoch == 1
    outer = 0
    for _ in loader:
        outer += 1
        assert sorted(i for batch in loader for i in values(batch)) == list(range(11))
    assert outer == 4 and loader.epoch == 6
    early = iter(loader)
    next(early)
    assert len(list(loader)) == 4 and len(list(early)) == 3 and list(early) == []


def test_the_state_is_that_of_the_iteration_begun_last():
    loader = DataLoader(numbers(40), 4, shuffle=True)
    first = iter(loader)
    next(first)
    second = iter(loader)
    next(second), next(second), next(first)
    state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (1, 2)
    resumed = DataLoader(numbers(40), 4, shuffle=True)
    resumed.load_state_dict(state)
    rest = firsts(second)
    assert [a[0].tolist() for a, _ in zip(resumed, resumed, strict=True)] == rest
    assert firsts(resumed) == firsts(loader)


def test_deep_copies_go_their_own_way():
    loader = DataLoader(numbers(20), 4, shuffle=True)
    passing = iter(loader)
    next(passing)
    twin = copy.deepcopy(loader)
    assert twin.state_dict()["batch"] == 1 and twin.dataset is not loader.dataset
    rest = firsts(passing)
    assert twin.batch == 1 and firsts(twin) == firsts(loader) and rest != []
    assert firsts(pickle.loads(pickle.dumps(loader))) == firsts(copy.copy(loader))
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="copy the loader"):
            copied(iter(loader))


def test_batches_may_differ_in_structure():
    loader = DataLoader(list(range(6)), 2, collate_fn=lambda items: {f"from {items[0]}": td.tensor(items)})
    assert [list(batch) for batch in loader] == [["from 0"], ["from 2"], ["from 4"]]
    assert next(iter(DataLoader(["a", "b"], 2))) == ["a", "b"]
    with pytest.raises(TypeError, match="asarray"):
        next(iter(DataLoader(["a"], collate_fn=lambda items: object())))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_iteration_goes_on_after_an_error(prefetch):
    failing = [True]

    def collate(items):
        if items == [2, 3] and failing.pop():
            failing.append(False)
            raise MemoryError
        return td.tensor(items)

    passing = iter(DataLoader(list(range(6)), 2, collate_fn=collate, prefetch=prefetch))
    assert next(passing).tolist() == [0, 1]
    with pytest.raises(MemoryError):
        next(passing)
    assert [batch.tolist() for batch in passing] == [[2, 3], [4, 5]]


def test_subsets():
    data = td.data.Subset(numbers(), [7, -1, 2])
    assert len(data) == 3 and [data[i][0].item() for i in range(3)] == [7, 9, 2]
    inner = td.data.Subset(data, [2, 1])
    for subset, expected in ((data, [7, 9, 2]), (inner, [2, 9])):
        x, y = next(iter(DataLoader(subset, 5)))
        assert x.tolist() == expected and y.tolist() == [[2 * i, 2 * i + 1] for i in expected]
    assert next(iter(DataLoader(td.data.Subset(Squares(5), [4, 0]), 2)))["x"].tolist() == [4, 0]


def test_random_split():
    parts = td.data.random_split(range(10), [0.5, 0.25, 0.25], td.random.key(3))
    assert [len(part) for part in parts] == [6, 2, 2]
    assert sorted(i for part in parts for i in part.indices) == list(range(10))
    again = td.data.random_split(range(10), [6, 2, 2], td.random.key(3))
    assert [part.indices for part in again] == [part.indices for part in parts]
    assert td.data.random_split(range(10), [6, 4])[0].indices != list(range(6))
    for lengths in ([5, 4], [0.5, 0.4], [11, -1]):
        with pytest.raises(ValueError, match="random_split"):
            td.data.random_split(range(10), lengths)


def outcome(code, timeout=30):
    """What a program printed that is interrupted when it says so."""
    program = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        output, _ = program.communicate(timeout=timeout)
    finally:
        program.kill()
    assert program.returncode == 0, output
    return output


SLOW = """
import os, signal, sys, threading, time
import tidu as td

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it

class Slow:
    seconds = 60

    def __len__(self):
        return 8

    def __getitem__(self, i):
        if i >= 2:
            time.sleep(self.seconds)
        return i
"""


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_interrupt_is_answered_whatever_a_batch_costs(prefetch):
    code = f"""
    loader = td.data.DataLoader(Slow(), 2, prefetch={prefetch})
    def interrupt():
        global sent
        time.sleep(0.3)
        sent = time.perf_counter()
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    try:
        for batch in loader:
            print(batch.tolist(), flush=True)
    except KeyboardInterrupt:
        print(time.perf_counter() - sent < 0.2, loader.batch)
    """
    assert outcome(SLOW + textwrap.dedent(code)) == "[0, 1]\nTrue 1\n"


def test_dropping_an_iteration_does_not_wait_for_a_batch():
    code = """
    begin = time.perf_counter()
    for _ in range(3):
        next(iter(td.data.DataLoader(Slow(), 2)))
    print(time.perf_counter() - begin < 1)
    """
    assert outcome(SLOW + textwrap.dedent(code)) == "True\n"


@pytest.mark.cpu_only("a forked child cannot use a device that its parent used")
@pytest.mark.parametrize("act", ["del passing", "sys.exit(7)", "print(len(list(passing)))"])
@pytest.mark.parametrize("data", ["td.data.TensorDataset(td.arange(2000))", "list(range(2000))", "Slow()"])
def test_a_forked_child_does_without_the_thread(act, data):
    code = f"""
    Slow.seconds = 0.01
    passing = iter(td.data.DataLoader({data}, 2))
    next(passing)
    for _ in range(5):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            {act}
            sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    print(sum(1 for _ in passing) in (3, 999))
    """
    assert outcome(SLOW + textwrap.dedent(code)).endswith("True\n")
