"""Knowledge retrieval by place: against a loop over places and centres."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from twostream_vad.detector.heat import Looking
from twostream_vad.errors import TsvadError
from twostream_vad.retrieval.centres import Centres
from twostream_vad.retrieval.exemplars import Exemplar, Exemplars, Place
from twostream_vad.retrieval.placed import PlacedStream, around
from twostream_vad.retrieval.stream import Encoding
from twostream_vad.video.snippets import RETRIEVAL
from twostream_vad.video.views import Views

Floats = NDArray[np.float32]
CROPS, SIDE, VALUES, EVENTS = 2, 3, 6, 5
PLACES = CROPS * SIDE**2


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
    return PlacedStream(Encoding(Means(), RETRIEVAL, Views(12), "float32"), centres)


def slow_around(local: Floats) -> Floats:
    """Of one crop, (side, side)."""
    found, padded = np.empty_like(local), np.pad(local, 1).astype(np.float64)
    for row, column in np.ndindex(local.shape):
        found[row, column] = padded[row : row + 3, column : column + 3].sum() / 9
    return found


def test_the_mean_around_a_place_has_nothing_beyond_the_edge() -> None:
    local = np.random.default_rng(0).random((2, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(around(local), np.stack([slow_around(crop) for crop in local]), rtol=1e-5)


def test_a_clip_scores_by_the_farthest_place_with_those_beside_it() -> None:
    known, asked = draw(EVENTS, 0), draw(4, 1)
    scores, local = stream_of(known).look_at(asked)
    assert local.shape == (4, CROPS, SIDE, SIDE)
    for clip, features in enumerate(asked):
        nearest = [min(np.linalg.norm(event[at] - features[at]) for event in known) for at in range(PLACES)]
        distances = np.array(nearest, np.float32)
        expected = np.stack([slow_around(crop) for crop in distances.reshape(CROPS, SIDE, SIDE)])
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
    assert (scores.dtype.name, local.dtype.name) == ("float64", "float32")


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


def test_the_nearest_event_shown_is_of_the_place_that_spoke() -> None:
    known = draw(EVENTS, 0)
    stream = stream_of(known)
    rows = stream.centres.rows
    where = np.stack([np.zeros_like(rows), *np.divmod(rows, PLACES)], axis=1)
    exemplars = Exemplars.of_centres(rows, where, ("a",))
    spoke = set()
    for clip in draw(10, 1):
        match = stream.nearest(clip, exemplars)
        place = int(stream.look_at(clip[None])[1].argmax())
        apart = np.linalg.norm(known[:, place] - clip[place], axis=1)
        assert (match.place, match.exemplar) == (
            Place(place, SIDE, Views(12)),
            Exemplar("a", int(apart.argmin()), place),
        )
        assert match.distance == pytest.approx(apart.min(), rel=1e-5)
        spoke.add(place)
    assert len(spoke) > 1  # of three by three places the middle one has most beside it
