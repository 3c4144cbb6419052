"""A group of watchers: the scores that each would have alone, whoever pushes when; one camera's trouble is its own."""

import random
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad import Detector, FrameScore, TsvadError
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.detector.group import Group
from twostream_vad.video.frames import ImageFolder

Images = list[NDArray[np.uint8]]


@pytest.fixture(scope="module", params=["placed", "edged"])
def detector(request: pytest.FixtureRequest) -> Detector:
    return Detector.load(Path(request.getfixturevalue(request.param)), TORCH)


@pytest.fixture(scope="module")
def images(plaza: Path) -> list[Images]:
    return [[frame.image for frame in ImageFolder(plaza / f"testing/frames/{name}")] for name in ("01", "02")]


def alone(detector: Detector, images: Images) -> list[FrameScore]:
    watcher = detector.watch(12.5)
    return [watcher.push(image, index / 12.5) for index, image in enumerate(images)]


def test_cameras_pushed_by_threads_of_their_own_score_as_alone(detector: Detector, images: list[Images]) -> None:
    films = [images[0], images[1], images[0][4:], images[1][9:]]
    found: list[list[FrameScore]] = [[] for _ in films]

    def camera(place: int) -> None:
        member, rng = group.watch(12.5), random.Random(place)
        for index, image in enumerate(films[place]):
            found[place].append(member.push(image, index / 12.5).result(60))
            time.sleep(rng.random() / 50)

    with Group(detector) as group:
        threads = [threading.Thread(target=camera, args=(place,)) for place in range(len(films))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    for film, scores in zip(films, found, strict=True):
        wanted = alone(detector, film)
        np.testing.assert_allclose(
            [score.fused for score in scores], [score.fused for score in wanted], rtol=1e-5, atol=1e-5
        )
        assert [score.index for score in scores] == list(range(len(film)))


def test_frames_that_wait_are_scored_in_order_when_the_group_closes(detector: Detector, images: list[Images]) -> None:
    with Group(detector, most=1) as group:
        member = group.watch(12.5)
        futures = [member.push(image, index / 12.5) for index, image in enumerate(images[0])]
    assert all(future.done() for future in futures)
    found = [future.result().fused for future in futures]
    assert np.array_equal(found, [score.fused for score in alone(detector, images[0])], equal_nan=True)
    with pytest.raises(RuntimeError, match="closed"):
        member.push(images[0][0])


def test_a_frame_of_another_size_is_its_own_cameras_trouble(detector: Detector, images: list[Images]) -> None:
    with Group(detector) as group:
        good, bad = group.watch(12.5), group.watch(12.5)
        bad.push(images[1][0], 0.0)
        scores, troubles = [], []
        for index, image in enumerate(images[0]):
            scores.append(good.push(image, index / 12.5))
            troubles.append(bad.push(np.zeros((90, 90, 3), np.uint8), 1 + index / 12.5))
        for trouble in troubles:
            with pytest.raises(TsvadError, match="another size"):
                trouble.result(60)
        found = [score.result(60).fused for score in scores]
    np.testing.assert_allclose(found, [score.fused for score in alone(detector, images[0])], rtol=1e-5, atol=1e-5)


def test_a_camera_of_another_shape_than_was_learned_fails_alone(detector: Detector, images: list[Images]) -> None:
    square: Images = [np.ascontiguousarray(image[:, :128]) for image in images[1]]
    with Group(detector) as group:
        good, odd = group.watch(12.5), group.watch(12.5)
        pairs = [
            (good.push(image, index / 12.5), odd.push(square[index], index / 12.5))
            for index, image in enumerate(images[0])
        ]
        found = [score.result(60).fused for score, _ in pairs]
        with pytest.raises(TsvadError, match="camera"):
            pairs[-1][1].result(60)
    np.testing.assert_allclose(found, [score.fused for score in alone(detector, images[0])], rtol=1e-5, atol=1e-5)


def test_one_camera_cannot_push_the_others_out(detector: Detector, images: list[Images]) -> None:
    with Group(detector, most=1) as group:
        greedy, modest = group.watch(12.5), group.watch(12.5)
        many = [greedy.push(image, index / 12.5) for index, image in enumerate(images[0])]
        modest.push(images[1][0], 0.0).result(60)
        assert not many[-1].done()


def test_who_leaves_is_scored_no_more(detector: Detector, images: list[Images]) -> None:
    with Group(detector) as group:
        staying, leaving = group.watch(12.5), group.watch(12.5)
        futures = [leaving.push(image, index / 12.5) for index, image in enumerate(images[0])]
        group.leave(leaving)
        with pytest.raises(CancelledError):
            futures[-1].result(60)
        assert staying.push(images[1][0], 0.0).result(60).index == 0
