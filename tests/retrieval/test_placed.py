"""Knowledge retrieval by place: against a loop over places and centres."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.detector.heat import Looking
from twostream_vad.errors import TsvadError
from twostream_vad.retrieval.centres import Centres
from twostream_vad.retrieval.exemplars import Exemplar, Exemplars
from twostream_vad.retrieval.placed import PlacedStream, around, load_normal, save_normal, what_is_normal
from twostream_vad.retrieval.stream import Encoding
from twostream_vad.video.snippets import RETRIEVAL
from twostream_vad.video.views import Views

Floats = NDArray[np.float32]
CROPS, SIDE, VALUES, EVENTS = 2, 3, 6, 5
PLACES = CROPS * SIDE**2
NORMAL = np.linspace(0.5, 2, PLACES, dtype=np.float32)


class Means:
    """A clip's mean in each of 3 × 3 cells, and its square: (N, 3, 8, 12, 12) → (N · 9, 6)."""

    values, side, source = VALUES, SIDE, "means"

    def __call__(self, clips: Floats) -> Floats:
        means = clips.mean(2).reshape(len(clips), 3, SIDE, 4, SIDE, 4).mean((3, 5))
        found: Floats = np.concatenate([means, means**2], axis=1).reshape(len(clips), VALUES, -1)
        return found.swapaxes(1, 2).reshape(-1, VALUES)


def draw(clips: int, seed: int) -> Floats:
    """Features (clips, places, values), each place about a mean of its own."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(clips, PLACES, VALUES)) + 3 * np.arange(PLACES)[:, None]).astype(np.float32)


def stream_of(known: Floats) -> PlacedStream:
    centres = Centres.build(known.reshape(-1, VALUES), np.arange(known.shape[0] * PLACES) % PLACES)
    return PlacedStream(Encoding(Means(), RETRIEVAL, Views(12), "float32"), centres, NORMAL)


def slow_around(local: Floats) -> Floats:
    """Of one crop, (side, side)."""
    found = np.empty_like(local)
    for row, column in np.ndindex(local.shape):
        beside = local[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
        found[row, column] = np.mean(beside, dtype=np.float64)
    return found


def test_the_mean_around_a_place_is_of_those_that_are_there() -> None:
    local = np.random.default_rng(0).random((2, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(around(local), np.stack([slow_around(crop) for crop in local]), rtol=1e-6)


def test_a_clip_scores_by_its_farthest_place_relative_to_what_is_normal_there() -> None:
    known, asked = draw(EVENTS, 0), draw(4, 1)
    scores, local = stream_of(known).look_at(asked)
    assert local.shape == (4, CROPS, SIDE, SIDE)
    for clip, features in enumerate(asked):
        relative = np.array(
            [
                min(np.linalg.norm(event[place] - features[place]) for event in known) / NORMAL[place]
                for place in range(PLACES)
            ],
            np.float32,
        )
        expected = np.stack([slow_around(crop) for crop in relative.reshape(CROPS, SIDE, SIDE)])
        np.testing.assert_allclose(local[clip], expected, rtol=1e-5)
        assert scores[clip] == pytest.approx(expected.max())


def test_clips_are_looked_at_by_their_features() -> None:
    clips = torch.randn(3, CROPS, 3, 8, 12, 12, generator=torch.Generator().manual_seed(0))
    stream = stream_of(draw(EVENTS, 0))
    scores, local = stream.look(clips)
    for one, other in zip(stream.look_at(stream.encoding.encode(clips)), (scores, local), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(stream.score(clips), scores)
    assert isinstance(stream, Looking)
    assert (scores.dtype, local.dtype) == (np.float64, np.float32)


def test_a_clip_scores_the_same_alone_and_among_others_to_the_bit() -> None:
    stream, asked = stream_of(draw(EVENTS, 0)), draw(6, 1)
    together = stream.look_at(asked)[0]
    assert [float(stream.look_at(asked[clip : clip + 1])[0][0]) for clip in range(6)] == together.tolist()


def test_no_clips_have_no_scores() -> None:
    scores, local = stream_of(draw(EVENTS, 0)).look_at(draw(0, 1))
    assert (scores.shape, len(local)) == ((0,), 0)


def test_what_was_seen_is_at_no_distance_from_normal() -> None:
    known = draw(EVENTS, 0)
    assert stream_of(known).look_at(known)[0].tolist() == [0] * EVENTS


def test_video_of_another_shape_is_refused_with_the_remedy() -> None:
    with pytest.raises(TsvadError, match=r"gives 9 places a frame, the detector's camera 18: .*by_place=false"):
        stream_of(draw(EVENTS, 0)).look_at(draw(1, 1)[:, :9])


@pytest.mark.parametrize("place", [0, 4, 13, 17])
def test_the_nearest_event_shown_is_of_the_place_that_spoke(place: int) -> None:
    known = draw(EVENTS, 0)
    stream, clip = stream_of(known), known[2].copy()
    clip[place] = known[3, place] + 0.5  # of another event, and farther than any other place
    exemplars = Exemplars.of_centres(
        stream.centres.rows,
        np.stack([np.zeros(EVENTS * PLACES, np.int64), *np.divmod(stream.centres.rows, PLACES)], axis=1),
        ("a",),
    )
    match = stream.nearest(clip, exemplars)
    assert (match.place, match.exemplar) == (place, Exemplar("a", 3, place))
    assert match.distance == pytest.approx(0.5 * np.sqrt(VALUES) / NORMAL[place], rel=1e-5)


def test_normal_is_the_same_in_whatever_portions_it_comes() -> None:
    distances = np.random.default_rng(0).random((40, PLACES)).astype(np.float32) * NORMAL
    found = what_is_normal([distances[:7], distances[7:30], distances[30:]])
    most = distances.mean(0, dtype=np.float64) + 3 * distances.std(0, dtype=np.float64)
    np.testing.assert_allclose(found, most + np.median(most) / 2, rtol=1e-5)


def test_where_nothing_ever_moves_normal_is_no_0() -> None:
    assert (what_is_normal([np.zeros((5, PLACES), np.float32)]) > 0).all()


def test_normal_distances_come_back_from_their_file(tmp_path: Path) -> None:
    save_normal(tmp_path / "normal.safetensors", NORMAL)
    np.testing.assert_array_equal(load_normal(tmp_path / "normal.safetensors"), NORMAL)
