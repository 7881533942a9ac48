"""Saving and loading."""

import json
import math
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import tidu as td

rng = np.random.default_rng(3)
DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]


@pytest.fixture
def other_program():
    """The reference implementation of the format."""
    return pytest.importorskip("safetensors.numpy")


def arrays():
    values = {name: (rng.normal(size=(3, 2)) * 40).astype(name.replace("bool", "bool_")) for name in DTYPES}
    return {**values, "nothing": np.zeros((0, 4), np.float32), "scalar": np.full((), 2.5)}


def same(a, b):
    assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def test_tensors_go_round(tmp_path):
    values = arrays()
    td.save(
        tmp_path / "x.safetensors",
        {name: td.tensor(value) for name, value in values.items()},
        {"author": "é"},
    )
    loaded = td.load(tmp_path / "x.safetensors")
    assert loaded.keys() == values.keys()
    for name, value in values.items():
        same(loaded[name].cpu().numpy(), value)
    assert td.io.load_metadata(tmp_path / "x.safetensors") == {"author": "é"}


def test_other_programs_read_and_write_the_same_files(tmp_path, other_program):
    values = arrays()
    td.save(tmp_path / "ours", {name: td.tensor(value) for name, value in values.items()})
    theirs = other_program.load_file(tmp_path / "ours")
    other_program.save_file(values, tmp_path / "theirs", metadata={"a": "b"})
    ours = td.load(tmp_path / "theirs")
    for name, value in values.items():
        same(theirs[name], value)
        same(ours[name].cpu().numpy(), value)
    assert td.io.load_metadata(tmp_path / "theirs") == {"a": "b"}


def test_views_and_bfloat16(tmp_path):
    base = rng.normal(size=(4, 6)).astype(np.float32)
    view = td.tensor(base)[::-2, 1:4]
    half = td.tensor(base).astype(td.bfloat16)
    td.save(tmp_path / "x", {"view": view.mT, "half": half})
    loaded = td.load(tmp_path / "x")
    same(loaded["view"].cpu().numpy(), np.ascontiguousarray(base[::-2, 1:4].T))
    assert loaded["half"].dtype == td.bfloat16
    same(loaded["half"].astype(td.float32).cpu().numpy(), half.astype(td.float32).cpu().numpy())


def test_nested_states_go_round(tmp_path):
    state = {
        "model": {"0.weight": td.ones((2, 2)), "0.bias": td.zeros((2,))},
        "history": [0.1, 1e300, -0.0, float("inf")],
        "epochs": 3,
        "name": "näme",
        "flag": True,
        "nothing": None,
        "parts": [{"a": td.arange(3)}, ()],
    }
    td.save(tmp_path / "x", state)
    loaded = td.load(tmp_path / "x")
    assert loaded.keys() == state.keys()
    assert {k: v for k, v in loaded.items() if k not in ("model", "parts")} == {
        k: v for k, v in state.items() if k not in ("model", "parts")
    }
    assert loaded["model"].keys() == state["model"].keys()
    assert loaded["parts"][0]["a"].tolist() == [0, 1, 2] and loaded["parts"][1] == []


def test_nested_states_have_dotted_names_in_the_file(tmp_path, other_program):
    td.save(tmp_path / "x", {"model": {"0.weight": td.ones((2, 2))}, "parts": [{"a": td.zeros((1,))}]})
    assert other_program.load_file(tmp_path / "x").keys() == {"model.0.weight", "parts.0.a"}


@pytest.mark.parametrize(
    ("obj", "error", "message"),
    [
        ({"a": {"b.c": td.zeros(())}, "a.b": {"c": td.zeros(())}}, ValueError, r"a\.b\.c"),
        ({"f": print}, TypeError, "f is a builtin_function_or_method"),
        ({1: td.zeros(())}, ValueError, "must be strings"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path, obj, error, message):
    with pytest.raises(error, match=message):
        td.save(tmp_path / "x", obj)
    assert not os.listdir(tmp_path)


def good_file():
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 8


def with_header(text, data=b"\0" * 8):
    text = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype="F32", shape="[2]", offsets="[0,8]"):
    return f'{{"a":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}'


@pytest.mark.parametrize(
    "content",
    [
        b"",
        good_file()[:5],
        good_file()[:20],
        good_file()[:-1],
        good_file() + b"\0",
        b"\xff" * 8 + good_file()[8:],
        with_header("{"),
        with_header("[]"),
        with_header('{"a":1}'),
        with_header(entry()[:-1] + "," + entry()[1:]),
        with_header(entry(dtype="F33")),
        with_header(entry(shape="[3]")),
        with_header(entry(shape="[-2]")),
        with_header(entry(shape="[4294967296,4294967296,4294967296]")),
        with_header(entry(shape="[2.5]")),
        with_header(entry(offsets="[8,0]")),
        with_header(entry(offsets="[4,12]"), b"\0" * 12),
        with_header(entry(offsets="[0,18446744073709551615]")),
        with_header('{"a":{"dtype":"F32","shape":[2]}}'),
        with_header('{"__metadata__":{"x":1}}', b""),
        with_header(b'{"\xff":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'),
        with_header("[" * 100000, b""),
        with_header(
            '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}',
            b"\0" * 12,
        ),
    ],
)
def test_a_damaged_or_hostile_file_is_named(tmp_path, content):
    path = tmp_path / "some.safetensors"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"some\.safetensors"):
        td.load(path)


NAMES = [
    "plain",
    'quotes " \\ / \b \f \n \r \t \x01',
    "n\u00e4me \u0416 \u20ac \U0001f600",
    "digits of 16 after them: \u00e9a1 \u20acF0 \U0001f6000",
    # At the ends of what one, two, three and four bytes encode, and beside the surrogates.
    "\x7f\x80\u07ff\u0800\u0fff\u1000\ucfff\ud000\ud7ff\ue000\uffff\U00010000\U0003ffff\U00040000\U0010ffff",
]


@pytest.mark.parametrize("escaped", [True, False])
def test_any_json_is_read(tmp_path, escaped):
    """However a header is spelt, with blanks wherever there may be some."""
    entries = {
        name: {"dtype": "U8", "shape": [1], "data_offsets": [i, i + 1]} for i, name in enumerate(NAMES)
    }
    header = {"__metadata__": {name: name for name in NAMES}, **entries}
    text = json.dumps(header, ensure_ascii=escaped, indent="\t", separators=(" \r\n,", " : "))
    text = text.replace("[", "[ ").replace("{", "{ \n") + " \n"
    path = tmp_path / "some.safetensors"
    path.write_bytes(with_header(text, bytes(range(len(NAMES)))))
    assert {name: x.tolist() for name, x in td.load(path).items()} == {n: [i] for i, n in enumerate(NAMES)}
    assert td.io.load_metadata(path) == {name: name for name in NAMES}
    td.save(path, td.load(path))
    assert set(td.load(path)) == set(NAMES)


@pytest.mark.parametrize(
    "name",
    [
        *(rb"\ud800", rb"\udfff", rb"\ud800\u0041", rb"\udc00\ud800", rb"\u12", rb"\u12g4", rb"\q", b"a\nb"),
        # Bytes that are not UTF-8: alone, cut off, longer than need be, surrogates, beyond the last.
        *(b"\x80", b"\xc3", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf"),
        *(b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xe2\x82", b"\xe2\x28\xa1"),
    ],
)
def test_a_name_that_is_no_text_is_refused(tmp_path, name):
    path = tmp_path / "some.safetensors"
    path.write_bytes(with_header(b'{"' + name + b'":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'))
    with pytest.raises(OSError, match=r"some\.safetensors"):
        td.load(path)


def test_metadata_are_strings(tmp_path):
    for metadata in ({"a": 1}, {1: "a"}, {"a": None}):
        with pytest.raises(TypeError, match="metadata are strings"):
            td.save(tmp_path / "x", {"w": td.ones(1)}, metadata)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("structure", ["{", '{"a":{"$tensor":"b"}}', '{"a":{"$tensor":["a"]}}', "[" * 100000])
def test_a_structure_that_does_not_fit_is_named(tmp_path, structure):
    path = tmp_path / "some.safetensors"
    header = {**json.loads(entry()), "__metadata__": {"tidu.structure": structure}}
    path.write_bytes(with_header(json.dumps(header)))
    with pytest.raises(OSError, match=r"some\.safetensors"):
        td.load(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        td.load(tmp_path / "nowhere")
    with pytest.raises(OSError, match="nowhere"):
        td.save(tmp_path / "nowhere" / "x", {"a": td.zeros((2,))})


def test_a_crash_while_writing_leaves_the_old_file_whole(tmp_path):
    """The child may write no more than 64 KiB to a file, and is killed by the system when it tries."""
    path = tmp_path / "x"
    td.save(path, {"a": td.ones((3,))})
    before = path.read_bytes()
    code = (
        "import resource, tidu as td; resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16));"
        f"td.save({str(path)!r}, {{'a': td.zeros((1 << 20,))}})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode != 0
    assert path.read_bytes() == before
    td.save(path, {"a": td.zeros((2,))})
    assert td.load(path)["a"].tolist() == [0, 0]


# ---- Where files are written


def test_a_file_keeps_its_mode_and_links_lead_on(tmp_path):
    target, link = tmp_path / "inside" / "file", tmp_path / "link"
    target.parent.mkdir()
    link.symlink_to("inside/file")
    td.save(link, {"x": td.ones(2)})  # which led to nothing yet
    target.chmod(0o600)
    td.save(link, {"x": td.ones(3)})
    assert link.is_symlink() and target.stat().st_mode & 0o777 == 0o600
    assert td.load(target)["x"].shape == (3,)
    link.unlink()
    link.symlink_to("link")
    with pytest.raises(OSError, match="link: cannot write: Too many levels"):
        td.save(link, {"x": td.ones(2)})


def test_only_regular_files_are_replaced_and_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ""):
        with pytest.raises(OSError, match=r"is not a regular file|is a folder"):
            td.save(tmp_path / name, {"x": td.ones(2)})
        with pytest.raises(OSError, match=r"is not a regular file|is a folder"):
            td.load(tmp_path / name)
    with pytest.raises(OSError, match="is not a regular file"):
        td.save("/dev/null", {})


def test_names_may_be_as_long_as_the_system_takes(tmp_path):
    path = tmp_path / ("x" * 255)
    td.save(path, {"x": td.ones(2)})
    assert os.listdir(tmp_path) == [path.name]
    with pytest.raises(OSError, match=f"{'x' * 256}: cannot"):
        td.save(tmp_path / ("x" * 256), {"x": td.ones(2)})
    assert os.listdir(tmp_path) == [path.name]


def test_what_killed_programs_left_behind_goes(tmp_path):
    import fcntl

    (tmp_path / ".tidu-left.tmp").write_text("half")
    with open(tmp_path / ".tidu-used.tmp", "w") as used:
        fcntl.flock(used, fcntl.LOCK_EX)  # as a program that is writing does
        td.save(tmp_path / "x", {"x": td.ones(2)})
        assert sorted(os.listdir(tmp_path)) == [".tidu-used.tmp", "x"]


def test_files_are_closed(tmp_path):
    """Whether they were read, written, refused, in use or left behind."""
    import fcntl

    path = tmp_path / "x"
    td.save(path, {"x": td.ones(2)})
    program = td.program(lambda x: x * 2, td.ones(2))
    (tmp_path / "damaged").write_bytes(path.read_bytes()[:-1])

    def work():
        with open(tmp_path / ".tidu-used.tmp", "w") as used:
            fcntl.flock(used, fcntl.LOCK_EX)
            (tmp_path / ".tidu-left.tmp").write_text("half")
            td.save(path, td.load(path))
        program.save(tmp_path / "p")
        td.load_program(tmp_path / "p")
        for refused in (tmp_path / "damaged", tmp_path, tmp_path / "none"):
            with pytest.raises(OSError):
                td.load(refused)
        for refused in (tmp_path, tmp_path / "none" / "y"):
            with pytest.raises(OSError):
                td.save(refused, {"x": td.ones(2)})

    work()
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        work()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_numbers_that_json_has_not_go_round(tmp_path):
    state = {"a": [float("nan"), float("inf")], "b": -float("inf"), "x": td.ones(1)}
    td.save(tmp_path / "x", state)
    back = td.load(tmp_path / "x")
    assert math.isnan(back["a"][0]) and back["a"][1] == float("inf") and back["b"] == -float("inf")

    def refuse(constant):
        raise AssertionError(constant)

    json.loads(td.io.load_metadata(tmp_path / "x")["tidu.structure"], parse_constant=refuse)
    with pytest.raises(ValueError, match="keys"):
        td.save(tmp_path / "x", {"a": {"$float": "nan"}})
