"""What distance is normal at each place, against a slow version that compares snippet with snippet."""

import numpy as np
import pytest

from twostream_vad.retrieval import ordinary
from twostream_vad.retrieval.features import VideoRows
from twostream_vad.retrieval.ordinary import normal_distances
from twostream_vad.retrieval.placed import around

SIDE, EACH, VALUES = 3, 18, 5  # two crops


def videos(*snippets: int) -> tuple[VideoRows, ...]:
    firsts = np.cumsum([0, *snippets]) * EACH
    return tuple(VideoRows(f"{n}", int(firsts[n]), count, EACH, count * EACH) for n, count in enumerate(snippets))


def slow(features: np.ndarray, group: np.ndarray) -> np.ndarray:
    clips = features.reshape(len(group), EACH, VALUES).astype(float)
    local = []
    for clip, own in zip(clips, group, strict=True):
        others = clips[group != own]
        distances = np.sqrt(((others - clip) ** 2).sum(axis=2)).min(axis=0)
        local.append(around(distances.reshape(-1, SIDE, SIDE).astype(np.float32)))
    most: np.ndarray = np.mean(local, axis=0) + 3 * np.std(local, axis=0)
    normal: np.ndarray = (most + 0.5 * np.median(most)).ravel()
    return normal


@pytest.mark.parametrize("block", [2, 64])
def test_it_is_how_far_the_events_of_a_video_are_from_those_of_the_others(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordinary, "BLOCK", block)
    features = np.random.default_rng(0).normal(size=(23 * EACH, VALUES)).astype(np.float16)
    group = np.repeat(np.arange(5), [4, 6, 3, 5, 5])
    found = normal_distances(features, videos(4, 6, 3, 5, 5), SIDE)
    np.testing.assert_allclose(found, slow(features, group), rtol=1e-4)


def test_of_a_single_video_the_parts_are_compared() -> None:
    features = np.random.default_rng(0).normal(size=(12 * EACH, VALUES)).astype(np.float32)
    found = normal_distances(features, videos(12), SIDE)
    np.testing.assert_allclose(found, slow(features, np.repeat(np.arange(4), 3)), rtol=1e-4)


def test_a_busy_place_is_given_more_and_none_nothing() -> None:
    features = np.random.default_rng(0).normal(size=(40, EACH, VALUES)).astype(np.float32)
    features[:, :9] *= 0.001  # the first crop shows nothing that moves
    found = normal_distances(features.reshape(-1, VALUES), videos(10, 10, 10, 10), SIDE)
    assert found[:9].max() < found[9:].min() / 2
    assert found.min() > 0


def test_a_single_snippet_leaves_all_as_it_is() -> None:
    features = np.ones((EACH, VALUES), np.float32)
    assert normal_distances(features, videos(1), SIDE).tolist() == [1.0] * EACH
