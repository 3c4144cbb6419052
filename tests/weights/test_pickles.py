"""The pickle reader: what runs code is refused and does not run; all else becomes records and tensors."""

import argparse
import collections
import functools
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from twostream_vad.weights import pickles
from twostream_vad.weights.archives import open_archive
from twostream_vad.weights.pickles import load_pickle
from twostream_vad.weights.stored import Inert, Sealed, UnsafePickleError, WeightsError

RUNS = [("os", "system"), ("posix", "system"), ("nt", "system"), ("subprocess", "getoutput")]


class Attack:
    """Pickles as a call that would make a file."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.made), "w")


def attacked_network(made: Path) -> torch.nn.Module:
    """A network with the attack in its state."""
    network = torch.nn.Linear(2, 2)
    network.attack = Attack(made)  # type: ignore[assignment]
    return network


def load(source: bytes) -> object:
    """What a pickle holds."""
    return load_pickle(io.BytesIO(source))


def called(module: str, name: str, argument: bytes) -> bytes:
    """The protocol 0 pickle of module.name(argument)."""
    return f"c{module}\n{name}\n".encode() + b"(S'" + argument + b"'\ntR."


def text(value: str) -> bytes:
    """The opcode that pushes a short string."""
    return b"\x8c" + bytes([len(value)]) + value.encode()


@pytest.mark.parametrize(("module", "name"), RUNS)
def test_a_call_that_runs_a_command_is_refused_by_its_name(module: str, name: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with pytest.raises(UnsafePickleError, match=f"{module}.{name}"):
        load(called(module, name, f"touch {made}".encode()))
    assert not made.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("builtins", "open"),
        ("builtins", "__import__"),
        ("__builtin__", "apply"),
        ("sys", "exit"),
        ("shutil", "rmtree"),
        ("runpy", "run_path"),
        ("importlib", "import_module"),
        ("copyreg", "_reconstructor"),
        ("copy_reg", "__newobj__"),
        ("pickle", "loads"),
        ("operator", "attrgetter"),
        ("webbrowser", "open"),
        ("numpy", "load"),
        ("numpy.testing._private.utils", "runstring"),
        ("torchvision.models", "ResNet"),
        ("slowfastly", "Model"),
    ],
)
def test_a_name_outside_the_namespaces_of_networks_is_refused(module: str, name: str) -> None:
    with pytest.raises(UnsafePickleError, match=name):
        load(f"c{module}\n{name}\n.".encode())


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch.hub", "load"),
        ("torch", "load"),
        ("torch.serialization", "os.system"),
        ("torch.serialization", "pickle.Unpickler"),
        ("torch._utils", "_rebuild_qtensor"),
        ("slowfast.utils.misc", "launch_job"),
    ],
)
def test_a_function_of_a_known_package_may_be_named_but_not_called(module: str, name: str) -> None:
    record = load(f"c{module}\n{name}\n.".encode())
    assert isinstance(record, type)
    with pytest.raises(UnsafePickleError, match=name):
        load(called(module, name, b"x"))


@pytest.mark.parametrize(
    "attack",
    [
        b"\x80\x04" + text("os") + text("system") + b"\x93" + text("id") + b"\x85R.",  # STACK_GLOBAL
        b"(S'id'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'id'\no.",  # OBJ
        b"\x80\x02cos\nsystem\nS'id'\n\x85\x81.",  # NEWOBJ
        b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81}S'__setstate__'\ncos\nsystem\nsbS'id'\nb.",  # BUILD
        b"\x80\x02ccollections\ndefaultdict\ncos\nsystem\n\x85R.",  # a dict's factory
        b"\x80\x02cfunctools\npartial\ncos\nsystem\n\x85R.",
        b"\x80\x02\x82\x01.",  # an extension code
        b"\x80\x02c_codecs\nencode\n}b.",  # BUILD upon one of our own functions
        b"\x80\x02ctorch\nFloatStorage\n}b.",
    ],
)
def test_every_way_to_a_call_is_refused(attack: bytes) -> None:
    with pytest.raises(UnsafePickleError):
        load(attack)


def test_state_set_twice_calls_nothing() -> None:
    """A record keeps a state named __setstate__ as data: the second BUILD must not look it up."""
    source = b"\x80\x02ctorch.nn.modules.linear\nLinear\n)\x81}S'__setstate__'\nS'x'\nsbS'second'\nb."
    record = load(source)
    assert isinstance(record, Inert)
    assert record.state == "second"


def test_the_classes_of_the_reader_cannot_be_changed() -> None:
    source = b"\x80\x02ctorch.nn.modules.linear\nLinear\nN}S'args'\nS'x'\ns\x86b."
    with pytest.raises(WeightsError):
        load(source)
    assert not isinstance(vars(Inert)["args"], str)


@pytest.mark.parametrize("legacy", [False, True])
def test_an_attack_in_a_torch_file_is_refused(legacy: bool, tmp_path: Path) -> None:
    path, made = tmp_path / "model.pth", tmp_path / "made"
    for hidden in ({"model_state": {"a": torch.zeros(2), "b": Attack(made)}}, attacked_network(made)):
        torch.save(hidden, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UnsafePickleError, match=r"model\.pth.*open"), open_archive(path):
            pass
        assert not made.exists()


def test_a_zip_with_a_foreign_pickle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", called("posix", "system", b"id"))
    with pytest.raises(UnsafePickleError, match=r"posix\.system"), open_archive(path):
        pass


def test_objects_of_known_packages_keep_their_parts() -> None:
    source = io.BytesIO()
    state = {"lr": argparse.Namespace(a=1), "call": functools.partial(torch.nn.Linear, 3)}
    pickle.dump(state, source, protocol=2)
    source.write(b"what follows")
    source.seek(0)
    root = load_pickle(source)
    assert source.read() == b"what follows"
    assert isinstance(root, dict)
    assert root["lr"].fields() == {"a": 1}
    assert root["call"].args[0].origin == "torch.nn.modules.linear.Linear"


def test_a_dict_subclass_keeps_items_and_state() -> None:
    source = b"\x80\x02cfvcore.common.config\nCfgNode\n)\x81(S'k'\nK\x01u}S'frozen'\n\x88sb."
    record = load(source)
    assert isinstance(record, Inert)
    assert (record.items, record.fields()) == ({"k": 1}, {"frozen": True})


def test_containers_come_back_as_plain_ones() -> None:
    value = [
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        {1, 2},
        frozenset({3}),
        torch.Size([4]),
    ]
    root = load(pickle.dumps(value, protocol=2))
    assert root == [{"a": 1}, {"a": 2, "b": 1}, {1, 2}, frozenset({3}), (4,)]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8", "<i8", "|u1"])
def test_arrays_come_back_equal(dtype: str, protocol: int) -> None:
    for array in (
        np.arange(6).reshape(2, 3).astype(dtype),
        np.asfortranarray(np.ones((2, 3), dtype)),
        np.ones((), dtype),
    ):
        found = load(pickle.dumps(array, protocol=protocol))
        assert isinstance(found, Sealed)
        np.testing.assert_array_equal(found.value.numpy(), array)
        assert found.value.numpy().dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize("core", [b"core", b"_core"])
def test_an_array_of_python_2_is_read_as_latin_1(core: bytes) -> None:
    raw = np.array([-1.5, 2.25], np.float32).tobytes()
    source = (
        b"\x80\x02cnumpy." + core + b".multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x02\x85cnumpy\ndtype\nU\x02f4\x89\x88\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U" + bytes([len(raw)]) + raw + b"tb."
    )
    found = load(source)
    assert isinstance(found, Sealed)
    assert found.value.tolist() == [-1.5, 2.25]


@pytest.mark.parametrize("array", [np.array([{}], object), np.array(["text"]), np.zeros(2, [("a", "f4")])])
def test_arrays_of_anything_but_numbers_are_refused(array: np.ndarray) -> None:
    with pytest.raises(UnsafePickleError, match="numpy type"):
        load(pickle.dumps(array, protocol=2))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",  # bytes longer than any file
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b"x.",  # a bytearray likewise
    ],
)
def test_what_would_exhaust_memory_is_refused(bomb: bytes) -> None:
    with pytest.raises(WeightsError):
        load(bomb)


def test_a_claim_that_would_take_much_memory_takes_none() -> None:
    assert load(b"\x80\x02Nr" + struct.pack("<I", 1 << 31) + b".") is None  # a memo of two billion entries
    assert load(b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.") is None  # a frame longer than any file


@pytest.mark.parametrize("order", ["<", ">"])
def test_arrays_of_one_text_share_its_memory(order: str) -> None:
    """A small pickle may give one long text to a million arrays."""
    source = b"\x80\x02]cnumpy\ndtype\nS'i4'\n\x85R(K\x03S'" + order.encode() + b"'\ntbq\x010"
    array = b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x02\x85h\x01\x89X\x08\0\0\0\1\0\0\0\2\0\0\0tba"
    first, second = (array.value for array in load(source + array + array + b"."))  # type: ignore[attr-defined]
    assert first.tolist() == second.tolist() == ([1, 2] if order == "<" else [1 << 24, 2 << 24])
    assert first.data_ptr() == second.data_ptr()


def test_a_pickle_of_endless_opcodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickles, "MAX_OPCODES", 100)
    load(b"N0" * 49 + b"N.")
    with pytest.raises(UnsafePickleError, match="100 opcodes"):
        load(b"N0" * 50 + b"N.")


@pytest.mark.parametrize(
    "level",
    [
        b"\x85",
        b"N\x86",
        b"NN\x87",
        b"q\x010(h\x01t",
        b"\x85q\x010ctorch._utils\n_rebuild_parameter\nh\x01\x85R",
        b"q\x010](h\x01eq\x010c__builtin__\ntuple\nh\x01\x85R",
    ],
)
def test_tuples_that_lie_too_deep_to_hash_are_refused(level: bytes) -> None:
    """As a key, each of these would end the process."""
    load(b"\x80\x02N" + b"\x85" * 900 + b".")
    with pytest.raises(WeightsError):
        load(b"\x80\x02}N" + level * 90_000 + b"Ns.")


def test_a_long_list_cannot_be_copied_again_and_again() -> None:
    """A set of a list in the memo, twice: the first call empties the list."""
    source = b"\x80\x02c__builtin__\nset\nq\x00](K\x01K\x02eq\x01\x85Rh\x00h\x01\x85R\x86."
    assert load(source) == ({1, 2}, set())


@pytest.mark.parametrize("broken", [b"", b"\x80\x02", b"}", b"\x80\x02R.", b"garbage", b"\x80\x02X\xff\xff", b"t."])
def test_a_broken_pickle_is_an_error_of_ours(broken: bytes) -> None:
    with pytest.raises(WeightsError, match="broken"):
        load(broken)


def test_a_pickle_cut_anywhere_is_an_error_of_ours() -> None:
    whole = pickle.dumps({"a": np.ones(3, np.float32), "b": collections.OrderedDict(c=[1])}, protocol=2)
    for end in range(len(whole) - 1):
        with pytest.raises(WeightsError):
            load(whole[:end])
