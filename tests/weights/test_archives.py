"""File forms: what torch, numpy and safetensors write is read back equal; what is cut or lies is refused."""

import gzip
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import IO

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from twostream_vad.weights import archives
from twostream_vad.weights.archives import open_archive
from twostream_vad.weights.stored import Sealed, UnsafePickleError, WeightsError

DTYPES = (
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
)


def read(path: Path) -> dict[str, Tensor]:
    """All tensors of a file whose object is a dict of them."""
    with open_archive(path) as archive:
        assert isinstance(archive.root, dict)
        return {name: value.value for name, value in archive.root.items() if isinstance(value, Sealed)}


def samples() -> dict[str, Tensor]:
    """Every type and every way in which a tensor may lie in its storage."""
    base = torch.arange(24.0).reshape(4, 6)
    views = {"slice": base[1:3, ::2], "transposed": base.t(), "expanded": torch.ones(1).expand(5, 2)}
    views |= {"empty": torch.empty(0, 3), "scalar": torch.tensor(3.5), "parameter": torch.nn.Parameter(base)}
    return views | {str(dtype): torch.tensor([[0, 1], [1, 1]]).to(dtype) for dtype in DTYPES}


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_of_torch_files_come_back_equal(legacy: bool, tmp_path: Path) -> None:
    torch.save(samples(), tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    found = read(tmp_path / "a.pth")
    assert found.keys() == samples().keys()
    for name, tensor in samples().items():
        assert found[name].dtype == tensor.dtype, name
        assert torch.equal(found[name], tensor), name


def test_the_file_is_not_changed_and_the_tensors_outlive_it(tmp_path: Path) -> None:
    torch.save(samples(), tmp_path / "a.pth")
    before = (tmp_path / "a.pth").read_bytes()
    tensor = read(tmp_path / "a.pth")["slice"].zero_()
    assert (tmp_path / "a.pth").read_bytes() == before
    assert not tensor.any()


def test_safetensors_come_back_equal_with_their_metadata(tmp_path: Path) -> None:
    written = {name: tensor.detach().clone().contiguous() for name, tensor in samples().items()}
    save_file(written, tmp_path / "a.safetensors", {"kind": "i3d"})
    found = read(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in written.items())
    with open_archive(tmp_path / "a.safetensors") as archive:
        assert (archive.form, archive.metadata) == ("safetensors", {"kind": "i3d"})


@pytest.mark.parametrize("form", ["torch zip", "torch legacy", "safetensors", "pickle"])
def test_a_gzipped_file_is_read_like_the_plain_one(form: str, tmp_path: Path) -> None:
    plain, zipped = tmp_path / "a", tmp_path / "a.gz"
    if form == "safetensors":
        save_file({"w": torch.ones(3)}, plain)
    elif form == "pickle":
        plain.write_bytes(pickle.dumps({"w": 1}, protocol=2))
    else:
        torch.save({"w": torch.ones(3)}, plain, _use_new_zipfile_serialization=form == "torch zip")
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    with open_archive(plain) as archive:
        assert archive.form == form
    with open_archive(zipped) as archive:
        assert archive.form == f"{form}, gzipped"
    assert read(plain).keys() == read(zipped).keys()


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_UNZIPPED", 1 << 20)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(3 << 20)))
    with pytest.raises(UnsafePickleError, match="unzips to more"), open_archive(tmp_path / "a.gz"):
        pass


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("size", "stride", "offset"),
    [
        ((100,), (1,), 0),
        ((2, 2), (8, 1), 0),
        ((2,), (1,), 7),
        ((-1,), (1,), 0),
        ((2,), (-1,), 4),
        ((2,), (1,), -1),
        ((2,), (1, 1), 0),
        ((1 << 40,), (0,), 0),
        ((1,) * 9, (1,) * 9, 0),
        ((2.0,), (1,), 0),
        ("22", (1, 1), 0),
        ((True,), (1,), 0),
    ],
)
def test_a_tensor_beyond_its_storage_is_refused(
    size: object, stride: object, offset: int, legacy: bool, tmp_path: Path
) -> None:
    class Forged:
        def __reduce__(self) -> tuple[object, ...]:
            return torch._utils._rebuild_tensor_v2, (storage, offset, size, stride, False, {})

    storage = torch.zeros(8)._typed_storage()  # type: ignore[no-untyped-call]
    torch.save({"w": Forged()}, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="tensor"), open_archive(tmp_path / "a.pth"):
        pass


def test_a_storage_shorter_than_its_pickle_says_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(64)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as source, zipfile.ZipFile(tmp_path / "b.pth", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name)[:32] if name.endswith("data/0") else source.read(name))
    with pytest.raises(WeightsError, match="32 bytes"), open_archive(tmp_path / "b.pth"):
        pass


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors", "gzip"])
def test_a_file_cut_anywhere_is_an_error_that_names_it(form: str, tmp_path: Path) -> None:
    if form == "safetensors":
        save_file({"w": torch.ones(64)}, tmp_path / "whole")
    else:
        torch.save({"w": torch.ones(64)}, tmp_path / "whole", _use_new_zipfile_serialization=form != "legacy")
    whole = (tmp_path / "whole").read_bytes()
    whole = gzip.compress(whole) if form == "gzip" else whole
    for end in range(0, len(whole), max(1, len(whole) // 60)):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(WeightsError, match="cut"), open_archive(tmp_path / "cut"):
            pass


def test_a_legacy_storage_of_another_length_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(64)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pth").read_bytes()
    assert whole.count((64).to_bytes(8, "little")) == 1
    (tmp_path / "a.pth").write_bytes(whole.replace((64).to_bytes(8, "little"), (63).to_bytes(8, "little")))
    with pytest.raises(WeightsError, match="wrong byte size"), open_archive(tmp_path / "a.pth"):
        pass


def test_a_legacy_storage_that_is_not_in_the_file_is_refused(tmp_path: Path) -> None:
    """torch.load would give it whatever the memory held."""
    torch.save({"w": torch.ones(64)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pth").read_bytes()
    start = whole.rindex(b"\x80\x02]")
    (tmp_path / "a.pth").write_bytes(whole[:start] + pickle.dumps([], protocol=2))
    with pytest.raises(WeightsError, match="not those that its pickle names"), open_archive(tmp_path / "a.pth"):
        pass


def test_a_legacy_storage_larger_than_the_file_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(64)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pth").read_bytes()
    claimed = whole.replace(b"cpuq\x06K@", b"cpuq\x06J\xff\xff\xff\x7f")
    assert claimed != whole
    (tmp_path / "a.pth").write_bytes(claimed)
    with pytest.raises(WeightsError, match="ends in the middle of a storage"), open_archive(tmp_path / "a.pth"):
        pass


class ViewPickler(pickle.Pickler):
    """Writes the text "storage 0" as the id of a storage, with a view at its end."""

    def __init__(self, file: IO[bytes], view: object) -> None:
        super().__init__(file, protocol=2)
        self.view = view

    def persistent_id(self, value: object) -> object:
        return ("storage", torch.FloatStorage, "0", "cpu", 8, self.view) if value == "storage 0" else None


class ViewTensor:
    def __reduce__(self) -> tuple[object, ...]:
        return torch._utils._rebuild_tensor_v2, ("storage 0", 0, (2,), (1,), False, {})


def with_view(view: object, path: Path) -> Path:
    """A legacy file of the numbers 0 to 7 and a tensor of two, seen through a view."""
    with path.open("wb") as file:
        for value in (torch.serialization.MAGIC_NUMBER, 1001, {"little_endian": True}):
            pickle.dump(value, file, protocol=2)
        ViewPickler(file, view).dump({"w": ViewTensor()})
        pickle.dump(["0"], file, protocol=2)
        file.write((8).to_bytes(8, "little") + torch.arange(8.0).numpy().tobytes())
    return path


def test_a_legacy_storage_without_a_view_is_read(tmp_path: Path) -> None:
    assert read(with_view(None, tmp_path / "b.pth"))["w"].tolist() == [0, 1]


@pytest.mark.parametrize("view", [("v", 3, 2), ("v", 3, 100), ("v", -3, 2), ("v", 1 << 80, 2), 5])
def test_a_view_of_a_legacy_storage_is_refused(view: object, tmp_path: Path) -> None:
    """Torch wrote none since 0.4."""
    with pytest.raises(WeightsError, match="a view of storage '0'"), open_archive(with_view(view, tmp_path / "a.pth")):
        pass


def test_a_legacy_file_of_another_byte_order_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(64)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pth").read_bytes()
    changed = whole.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89")
    assert changed != whole
    (tmp_path / "a.pth").write_bytes(changed)
    with pytest.raises(WeightsError, match="byte order"), open_archive(tmp_path / "a.pth"):
        pass


def test_a_legacy_file_is_never_unpacked_as_a_tar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.load tries that first with a file that has a descriptor; a tar's first name can start as a torch file."""

    def unpack(*_args: object, **_kwargs: object) -> None:
        raise AssertionError("opened as a tar")

    torch.save({"w": torch.ones(64)}, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    monkeypatch.setattr(tarfile, "open", unpack)
    assert torch.equal(read(tmp_path / "a.pth")["w"], torch.ones(64))


def test_a_torchscript_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.jit, "load", None)
    torch.save({"w": torch.ones(64)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth", "a") as archive:
        archive.writestr("a/constants.pkl", pickle.dumps((), protocol=2))
        archive.writestr("a/code/__torch__.py", "")
    assert torch.equal(read(tmp_path / "a.pth")["w"], torch.ones(64))


def test_a_compressed_torch_zip_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({}, protocol=2))
    with pytest.raises(WeightsError, match="compressed"), open_archive(tmp_path / "a.pth"):
        pass


def test_a_missing_file_and_another_form_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello, these are no weights")
    for name, fault in (("absent.pth", "No such file"), ("notes.txt", "neither a torch file")):
        with pytest.raises(WeightsError, match=f"{name}.*{fault}"), open_archive(tmp_path / name):
            pass


@pytest.mark.parametrize(
    "entry",
    [
        '{"dtype":"F32","shape":[2],"data_offsets":[0,16]}',
        '{"dtype":"F32","shape":[4],"data_offsets":[0,1600]}',
        '{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}',
        '{"dtype":"F31","shape":[4],"data_offsets":[0,16]}',
        '{"dtype":"F32","shape":[4],"data_offsets":[-4,12]}',
        "[]",
    ],
)
def test_a_lying_safetensors_header_is_refused(entry: str, tmp_path: Path) -> None:
    header = f'{{"w":{entry}}}'.encode()
    (tmp_path / "a").write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(WeightsError), open_archive(tmp_path / "a"):
        pass
