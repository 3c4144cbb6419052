"""A frame explained by a detector that knows places: joint heat, the nearest event of the place that spoke."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad import Detector
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.detector.explain import Explanation
from twostream_vad.detector.heat import Looking, joint_heat
from twostream_vad.detector.parts import Parts
from twostream_vad.retrieval.placed import PlacedStream
from twostream_vad.scores.stream import clip_batches
from twostream_vad.video.frames import ImageFolder

FRAMES = range(4, 30, 5)
WINDOW = 16
STEPS = {"recovery": 8, "retrieval": 16}


@pytest.fixture(scope="module")
def video(plaza: Path) -> ImageFolder:
    """A test video, which the detector has not seen."""
    return ImageFolder(plaza / "testing/frames/02", rate=12.5)


@pytest.fixture(scope="module")
def detector(placed: Path) -> Detector:
    return Detector.load(placed, TORCH)


@pytest.fixture(scope="module")
def seen(detector: Detector, video: ImageFolder) -> dict[int, Explanation]:
    return {found.frame: found for found in detector.explain(video, FRAMES)}


def local_of(detector: Parts, name: str, video: ImageFolder, last: int) -> NDArray[np.float32]:
    """A stream's values by place, of its snippet that ends with a frame."""
    stream = detector.streams[name]
    assert isinstance(stream, Looking)
    frames = [stream.views.scored(video.read(index)) for index in range(last - stream.snippet.span, last + 1)]
    (clip,) = clip_batches(frames, stream.snippet, 1)
    local: NDArray[np.float32] = stream.look(clip)[1][0]
    return local


def test_the_nearest_event_is_a_normal_one_of_the_place_that_spoke(
    detector: Detector, video: ImageFolder, seen: dict[int, Explanation]
) -> None:
    stream = detector.streams["retrieval"]
    assert isinstance(stream, PlacedStream)
    normal = stream.centres.normal
    assert (normal != 1).all()
    for frame in FRAMES[1:]:
        match = seen[frame].nearest
        assert match is not None
        assert match.place is not None
        assert match.place.index == (local_of(detector, "retrieval", video, frame).ravel() / normal).argmax()
        assert match.exemplar is not None
        assert match.exemplar.crop == match.place.index
        assert len(match.exemplar.strip) == 4
        assert all(picture.startswith(b"\xff\xd8") for picture in match.exemplar.strip)


def test_heat_is_that_of_both_streams_each_in_its_units(
    detector: Detector, video: ImageFolder, seen: dict[int, Explanation]
) -> None:
    assert set(detector.heat) == set(STEPS)
    sights = {name: ((WINDOW, step), detector.weights[name], detector.heat[name].high) for name, step in STEPS.items()}
    height, width = seen[29].image.shape[:2]
    local = {name: local_of(detector, name, video, 29) for name in STEPS}
    expected = joint_heat(local, sights, detector.streams["recovery"].views, height, width)
    np.testing.assert_array_equal(seen[29].heat, expected)


def test_before_a_stream_has_a_snippet_the_other_speaks_alone(detector: Detector, video: ImageFolder) -> None:
    early = {found.frame: found for found in detector.explain(video, (6, 7, 8))}
    assert [(early[frame].heat is None, early[frame].nearest is None) for frame in (6, 7, 8)] == [
        (True, True),
        (False, False),
        (False, False),
    ]
    sights = {"retrieval": ((WINDOW, 16), detector.weights["retrieval"], detector.heat["retrieval"].high)}
    height, width = early[7].image.shape[:2]
    local = {"retrieval": local_of(detector, "retrieval", video, 7)}
    expected = joint_heat(local, sights, detector.streams["retrieval"].views, height, width)
    np.testing.assert_array_equal(early[7].heat, expected)


def test_a_place_stream_scores_a_file_as_its_stage_has_scored_it(
    detector: Detector, video: ImageFolder, placed: Path
) -> None:
    assert isinstance(detector.streams["retrieval"], PlacedStream)
    with np.load(placed / "retrieval/scores.npz") as stage:
        np.testing.assert_array_equal(detector.score(video).raw.streams["retrieval"], stage["02"])
    maps = np.load(placed / "retrieval/maps/02.npy")
    np.testing.assert_allclose(maps[3], local_of(detector, "retrieval", video, 10), rtol=1e-3)
