"""A file is there whole or not at all."""

from pathlib import Path

import pytest
import torch

from twostream_vad.storage import load_tensors, save_tensors, whole_file, write_text


def test_the_file_appears_under_its_name_only_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "scores.npz"
    with whole_file(path) as temporary:
        temporary.write_bytes(b"whole")
        assert not path.exists()
        assert (temporary.parent, temporary.suffix) == (path.parent, ".npz")
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def write_half(path: Path) -> None:
    with whole_file(path) as temporary:
        temporary.write_bytes(b"ha")
        raise KeyboardInterrupt


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("a much longer old text", "utf-8")
    write_text(path, "σ = 9\n")
    assert path.read_bytes() == "σ = 9\n".encode()


def test_the_same_tensors_are_the_same_bytes(tmp_path: Path) -> None:
    told = {name: f'{name}\'s "σ"' for name in ("kind", "steps", "note", "version", "another")}
    files = [tmp_path / f"{number}.safetensors" for number in range(5)]
    for path in files:
        save_tensors(path, {"b": torch.ones(3), "a": torch.zeros(2, 2)}, told)
    assert len({path.read_bytes() for path in files}) == 1
    tensors, metadata = load_tensors(files[0])
    assert metadata == told
    assert torch.equal(tensors["b"], torch.ones(3))
