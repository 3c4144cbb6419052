"""The encoder that comes along: where it lies, and what is said where it does not."""

import json
from pathlib import Path

import pytest

from twostream_vad.nets import shipped
from twostream_vad.storage import CheckpointError, sha256_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the encoder would lie; nothing is there."""
    path = tmp_path / "encoder.safetensors"
    monkeypatch.setattr(shipped, "_place", lambda: path)
    return path


def test_it_lies_beside_the_nets() -> None:
    assert shipped.weight_file("shipped") == Path(shipped.__file__).with_name("encoder.safetensors")


def test_a_copy_without_it_says_so_and_what_would_do(place: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^{place} is not there: .*; install .*--set retrieval\.encoder=pace"):
        shipped.shipped_encoder()


def test_its_width_is_on_its_card(place: Path) -> None:
    place.touch()
    place.with_suffix(".json").write_text(json.dumps({"width": 0.25}))
    assert shipped.shipped_width() == 0.25


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_card_that_tells_no_width_is_named(text: str | None, place: Path) -> None:
    place.touch()
    if text is not None:
        place.with_suffix(".json").write_text(text)
    with pytest.raises(CheckpointError, match=r"encoder\.json tells no width .*; install it again"):
        shipped.shipped_width()


def test_its_mark_is_its_hash_and_that_of_a_file_its_bytes(place: Path, tmp_path: Path) -> None:
    assert shipped.weight_mark("shipped") is None
    place.write_bytes(b"weights")
    (tmp_path / "own.safetensors").write_bytes(b"mine")
    assert shipped.weight_mark("shipped") == sha256_of(place)
    assert shipped.weight_mark(str(tmp_path / "own.safetensors")) == 4
    assert shipped.weight_mark(str(tmp_path / "none.safetensors")) is None
