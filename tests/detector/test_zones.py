"""Zones: what is left out of a picture changes no score."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from twostream_vad import Detector
from twostream_vad.detector.zones import Zone, crops_of, watched
from twostream_vad.errors import TsvadError
from twostream_vad.video.frames import open_source
from twostream_vad.video.views import Views

LEFT = Zone("left", ((0, 0), (0.5, 0), (0.5, 1), (0, 1)))
RIGHT_ALONE = Zone("right", ((0.5, 0), (1, 0), (1, 1), (0.5, 1)), "alone")


@pytest.fixture(scope="module")
def frames(plaza: Path) -> list[NDArray[np.uint8]]:
    return [frame.image for frame in open_source(plaza / "testing/frames/01")]


def test_pixels_are_those_inside_of_the_polygon() -> None:
    zone = Zone("roof", ((0.1, 0.1), (0.9, 0.2), (0.4, 0.8)))
    seen = zone.covers(200, 300)
    a, b, c = (np.array(point) * (300, 200) for point in zone.points)
    rows, columns = np.mgrid[:200, :300]
    sides = [(q[0] - p[0]) * (rows - p[1]) - (q[1] - p[1]) * (columns - p[0]) for p, q in ((a, b), (b, c), (c, a))]
    clear = np.min(np.abs(sides), axis=0) > 300  # a pixel or so from the edge
    np.testing.assert_array_equal(seen[clear], (np.min(sides, axis=0) > 0)[clear])


@given(st.booleans(), st.booleans())
def test_what_is_watched_alone_is_watched_less_what_is_left_out(first: bool, second: bool) -> None:
    top = Zone("top", ((0, 0), (1, 0), (1, 0.5), (0, 0.5)))
    zones = [*([RIGHT_ALONE] if first else []), *([top] if second else [])]
    seen = watched(zones, 100, 100)
    assert seen[90, 90]
    assert seen[90, 10] == (not first)
    assert seen[10, 90] == (not second)


def test_zones_that_leave_nothing_are_refused() -> None:
    with pytest.raises(TsvadError, match="leave nothing"):
        watched([RIGHT_ALONE, Zone("all", ((0, 0), (1, 0), (1, 1), (0, 1)))], 100, 100)


@pytest.mark.parametrize("points", [((0, 0), (1, 1)), ((0, 0), (1, 0), (1, 1.5)), ((0, 0), (1, 0), (1, float("nan")))])
def test_what_is_no_polygon_in_the_picture_is_refused(points: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(TsvadError, match="zone roof"):
        Zone("roof", points)


def test_crops_show_the_same_pixels_as_the_picture() -> None:
    seen = watched([RIGHT_ALONE], 120, 240)
    shown = crops_of(seen, Views(32))
    assert shown.shape == (3, 32, 32)
    assert not shown[0].any()
    assert shown[2].all()
    np.testing.assert_array_equal(shown[1], np.tile(np.arange(32) >= 16, (32, 1)))


@pytest.mark.parametrize("run", ["placed", "edged", "joined"])
def test_without_a_zone_that_leaves_anything_out_scores_are_as_before(
    run: str, frames: list[NDArray[np.uint8]], request: pytest.FixtureRequest
) -> None:
    detector = Detector.load(request.getfixturevalue(run))
    everything = Zone("all", ((0, 0), (1, 0), (1, 1), (0, 1)), "alone")
    np.testing.assert_array_equal(
        detector.within([everything]).score(frames[:20]).fused, detector.score(frames[:20]).fused
    )


@pytest.mark.parametrize("run", ["placed", "edged", "joined"])
def test_what_happens_where_nothing_is_watched_is_no_peak_and_has_no_heat(
    run: str, frames: list[NDArray[np.uint8]], request: pytest.FixtureRequest
) -> None:
    detector = Detector.load(request.getfixturevalue(run))
    zoned = detector.within([LEFT])
    calm = frames[:20]
    rng, wild = np.random.default_rng(1), [image.copy() for image in frames[:20]]
    for image in wild[10:]:
        image[:, : image.shape[1] // 4] = rng.integers(0, 255, (image.shape[0], image.shape[1] // 4, 3))
    peak = np.nanmax(detector.score(wild).raw.streams["recovery"]) - np.nanmax(
        detector.score(calm).raw.streams["recovery"]
    )
    left = np.nanmax(zoned.score(wild).raw.streams["recovery"]) - np.nanmax(zoned.score(calm).raw.streams["recovery"])
    assert peak > 0
    assert abs(left) < 0.2 * peak  # a net sees some pixels beyond a zone's edge
    (explained,) = zoned.explain(wild, [19])
    assert explained.heat is not None
    width = explained.heat.shape[1]
    assert explained.heat[:, : width // 4].max() < explained.heat[:, width // 2 :].max()


def test_a_detector_of_whole_crops_refuses_zones(fitted: Path) -> None:
    with pytest.raises(TsvadError, match="knows places"):
        Detector.load(fitted).within([LEFT])
