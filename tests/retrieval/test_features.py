"""Features on the disk: what was encoded, whole, after a kill too, and never somebody else's."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.detector.engines.nets import NetEncoder
from twostream_vad.nets.i3d import I3D
from twostream_vad.retrieval import features as module
from twostream_vad.retrieval.features import FeatureError, FeatureSet, extract_features
from twostream_vad.retrieval.stream import Encoding, FeatureType
from twostream_vad.video.frames import ChangedVideoError, FrameSource, ImageFolder
from twostream_vad.video.snippets import Snippet
from twostream_vad.video.views import Views

Film = Callable[..., ImageFolder]
Sources = Sequence[tuple[FrameSource, int, int]]
SNIPPET = Snippet(8, 1, offset=4)
VIEWS = Views(32)


class KilledError(Exception):
    """In place of a SIGKILL."""


class Mortal(NetEncoder):
    """An encoder that dies at a call, and counts the calls."""

    def __init__(self, dies_at: int = -1, source: str = "weights 1") -> None:
        torch.manual_seed(0)
        self.net = I3D(1 / 16, 32, 1).eval()
        super().__init__(self.net, source)
        self.dies_at, self.calls = dies_at, 0

    def __call__(self, clips: NDArray[np.float32]) -> NDArray[np.float32]:
        self.calls += 1
        if self.calls == self.dies_at:
            raise KilledError
        return super().__call__(clips)


@pytest.fixture(scope="module")
def sources(film: Film) -> Sources:
    """Snippets: 13, none, 5; crops: 3, 3, 1."""
    wide, short = film("wide", 20, height=32, width=48), film("short", 7, height=32, width=48)
    return [(wide, 20, 3), (short, 7, 3), (film("square", 12, height=32, width=32), 12, 1)]


def extract(
    sources: Sources, folder: Path, encoder: Mortal | None = None, dtype: FeatureType = "float16", **values: Any
) -> FeatureSet:
    encoding = Encoding(encoder or Mortal(), SNIPPET, VIEWS, dtype)
    return extract_features(sources, encoding, folder, rate=25, **{"batch": 4, **values})


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float16", 1e-2)])
def test_rows_are_the_snippets_features_crop_by_crop(
    dtype: FeatureType, tolerance: float, sources: Sources, tmp_path: Path
) -> None:
    encoder = Mortal()
    found = extract(sources, tmp_path, encoder, dtype=dtype)
    assert [(video.first, video.snippets, video.crops, video.places) for video in found.videos] == [
        (0, 13, 3, 1),
        (39, 0, 3, 1),
        (39, 5, 1, 1),
    ]
    array = found.array()
    assert array.shape == (44, 128)
    assert array.dtype.name == dtype
    assert all(video.done == video.snippets for video in found.videos)
    row = 0
    for source, frames, crops in sources:
        views = [VIEWS.scored(frame.image) for frame in source]
        for start in range(SNIPPET.count(frames)):
            for crop in range(crops):
                clip = torch.stack([views[start + t][crop] for t in range(8)], dim=1)[None]
                with torch.no_grad():
                    expected = encoder.net(clip).flatten().numpy()
                np.testing.assert_allclose(array[row], expected, rtol=tolerance, atol=tolerance * expected.max())
                row += 1


@pytest.fixture(scope="module")
def undisturbed(sources: Sources, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return extract(sources, tmp_path_factory.mktemp("whole")).path.read_bytes()


@pytest.mark.parametrize("flush", [1, 20, 512])
def test_an_extraction_killed_while_it_encodes_ends_with_the_same_bytes(
    flush: int, sources: Sources, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_ROWS", flush)
    for dies_at in (1, 3, 2, 4):
        with suppress(KilledError):
            extract(sources, tmp_path, Mortal(dies_at))
    assert extract(sources, tmp_path).path.read_bytes() == undisturbed


def test_an_extraction_killed_between_batches_ends_with_the_same_bytes(
    sources: Sources, undisturbed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_ROWS", 1)

    def die(done: int, total: int, note: str = "") -> None:
        assert (total, note in ("", "wide")) == (18, True)
        if done == 4:
            raise KilledError

    with pytest.raises(KilledError):
        extract(sources, tmp_path, progress=die)
    assert [video.done for video in FeatureSet.load(tmp_path).videos] == [4, 0, 0]
    assert not all(video.done == video.snippets for video in FeatureSet.load(tmp_path).videos)
    assert extract(sources, tmp_path).path.read_bytes() == undisturbed


def test_what_is_done_is_not_encoded_again(sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_ROWS", 1)
    with pytest.raises(KilledError):
        extract(sources, tmp_path, Mortal(dies_at=3))
    resumed = Mortal()
    extract(sources, tmp_path, resumed)
    assert resumed.calls == 2 + 2  # 13 snippets are 4 batches, 5 are 2
    again = Mortal()
    extract(sources, tmp_path, again)
    assert again.calls == 0


def test_progress_is_told_in_snippets(sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_ROWS", 1)
    told: list[tuple[int, int, str]] = []

    def progress(done: int, total: int, note: str = "") -> None:
        told.append((done, total, note))

    extract(sources, tmp_path, progress=progress)
    wide, square = [(done, 18, "wide") for done in (4, 8, 12, 13)], [(done, 18, "square") for done in (17, 18)]
    assert told == [(0, 18, ""), *wide, *square]


def test_features_of_other_weights_are_refused(sources: Sources, tmp_path: Path) -> None:
    extract(sources, tmp_path)
    with pytest.raises(FeatureError, match="holds features of other videos or another encoder; delete it"):
        extract(sources, tmp_path, Mortal(source="weights 2"))


@pytest.mark.parametrize("change", ["fewer videos", "other frames", "other crops", "other dtype"])
def test_features_of_something_else_are_refused(change: str, sources: Sources, tmp_path: Path) -> None:
    extract(sources[1:], tmp_path)
    source, frames, crops = sources[2]
    others: dict[str, Sources] = {
        "fewer videos": sources[2:],
        "other frames": [sources[1], (source, frames - 1, crops)],
        "other crops": [sources[1], (source, frames, 3)],
        "other dtype": sources[1:],
    }
    dtype: FeatureType = "float32" if change == "other dtype" else "float16"
    with pytest.raises(FeatureError, match="holds features of other videos or another encoder; delete it"):
        extract(others[change], tmp_path, dtype=dtype)


@pytest.mark.parametrize("kept", [0, 60, 1000])
def test_a_cut_array_is_refused_by_file(kept: int, sources: Sources, tmp_path: Path) -> None:
    found = extract(sources, tmp_path)
    found.path.write_bytes(found.path.read_bytes()[:kept])
    with pytest.raises(FeatureError, match=r"features\.npy: cannot be read .* extract again"):
        found.array()
    with pytest.raises(FeatureError, match=r"features\.npy: cannot be read .* extract again"):
        extract(sources, tmp_path)


@pytest.mark.parametrize("array", [np.zeros((44, 127), np.float16), np.zeros((44, 128), np.float32)])
def test_another_array_is_refused_by_file(array: NDArray[np.generic], sources: Sources, tmp_path: Path) -> None:
    found = extract(sources, tmp_path)
    np.save(found.path, array)
    with pytest.raises(FeatureError, match=r"features\.npy: not as its manifest says"):
        found.array()


def test_an_array_that_is_a_pickle_is_not_opened(sources: Sources, tmp_path: Path) -> None:
    found = extract(sources, tmp_path)
    np.save(found.path, np.array([Path("x")], dtype=object), allow_pickle=True)
    with pytest.raises(FeatureError, match=r"features\.npy: cannot be read"):
        found.array()


def test_a_lost_array_is_refused_by_file(sources: Sources, tmp_path: Path) -> None:
    found = extract(sources, tmp_path)
    found.path.unlink()
    with pytest.raises(FeatureError, match=r"features\.npy: cannot be read"):
        extract(sources, tmp_path)


def test_videos_all_too_short_make_an_empty_whole_set(sources: Sources, tmp_path: Path) -> None:
    found = extract(sources[1:2], tmp_path)
    assert all(video.done == video.snippets for video in found.videos)
    assert found.array().shape == (0, 128)
    assert extract(sources[1:2], tmp_path).rows == 0


@pytest.mark.parametrize(
    ("frames", "crops", "message"),
    [
        (25, 3, "ended after 13 of 18 snippets"),
        (18, 3, "does not give 11 snippets of 3 crops"),
        (19, 3, "does not give 12 snippets of 3 crops"),
        (20, 1, "does not give 13 snippets of 1 crops"),
    ],
)
def test_a_video_that_changed_since_it_was_counted_is_refused_by_path(
    frames: int, crops: int, message: str, sources: Sources, tmp_path: Path
) -> None:
    wide = sources[0][0]
    with pytest.raises(ChangedVideoError, match=rf"wide: {message}; .* run `tsvad prepare` again"):
        extract([(wide, frames, crops), sources[2]], tmp_path)
    assert not np.load(tmp_path / "features.npy")[-5:].any()  # the next video's rows are untouched


def test_every_rows_place_is_its_video_snippet_and_crop(sources: Sources, tmp_path: Path) -> None:
    places = extract(sources, tmp_path).places()
    wide = [[0, snippet, crop] for snippet in range(13) for crop in range(3)]
    assert places.tolist() == wide + [[2, snippet, 0] for snippet in range(5)]


def test_a_video_of_twice_the_rate_gives_the_features_of_every_second_frame(film: Film, tmp_path: Path) -> None:
    video = film("fast", 40, height=32, width=32)
    fast = ImageFolder(video.path, rate=50)
    found = extract([(fast, 20, 1)], tmp_path / "fast")
    slow = tmp_path / "slow"
    slow.mkdir()
    for number, file in enumerate(video.files[::2]):
        (slow / f"{number:03d}.png").write_bytes(file.read_bytes())
    assert np.array_equal(found.array(), extract([(ImageFolder(slow), 20, 1)], tmp_path / "other").array())


def test_a_saved_manifest_comes_back(sources: Sources, tmp_path: Path) -> None:
    found = extract(sources, tmp_path)
    assert FeatureSet.load(tmp_path) == found


def test_no_features_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match=r"features\.json: no features here; run `tsvad features` first"):
        FeatureSet.load(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "a list", "no values", "another video field"])
def test_a_broken_manifest_is_refused_by_file(damage: str, sources: Sources, tmp_path: Path) -> None:
    extract(sources, tmp_path)
    path = tmp_path / "features.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["videos"][0] |= {"more": 1} if damage == "another video field" else {}
    if damage == "no values":
        del manifest["values"]
    text = json.dumps([manifest] if damage == "a list" else manifest)
    path.write_text(text[:40] if damage == "cut" else text, "utf-8")
    with pytest.raises(FeatureError, match=r"features\.json: broken .* extract again"):
        FeatureSet.load(tmp_path)


def test_by_place_every_place_of_a_crop_has_a_row(sources: Sources, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = NetEncoder(I3D(1 / 16, 32, 1), "weights 1", by_place=True)
    encoding = Encoding(encoder, SNIPPET, VIEWS, "float32")
    found = extract_features(sources, encoding, tmp_path, rate=25, batch=1)
    assert [(video.first, video.snippets, video.crops, video.places) for video in found.videos] == [
        (0, 13, 3, 4),
        (156, 0, 3, 4),
        (156, 5, 1, 4),
    ]
    views = [VIEWS.scored(frame.image) for frame in sources[2][0]]
    for start in range(5):
        clip = torch.stack(views[start : start + 8], dim=2)[None]
        rows = found.array()[156 + 4 * start : 156 + 4 * start + 4]
        np.testing.assert_array_equal(rows, encoding.encode(clip)[0])
