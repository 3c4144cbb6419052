"""Timelines to one."""

import math

import numpy as np
import pytest

from twostream_vad.errors import TsvadError
from twostream_vad.scores.fusion import check_weights, fuse, fuse_now

ALIKE = {"recovery": 1.0, "retrieval": 1.0}


def test_the_sum_is_weighted_by_name() -> None:
    scores = {"retrieval": np.array([0.25, 0.0]), "recovery": np.array([0.5, 1.0])}
    np.testing.assert_allclose(fuse(scores, ALIKE), [0.75, 1.0])
    np.testing.assert_allclose(fuse(scores, {"recovery": 1.0, "retrieval": 3.0}), [1.25, 1.0])


def test_a_third_stream_is_one_more_entry() -> None:
    scores = {name: np.array([float(place)]) for place, name in enumerate(("recovery", "retrieval", "sound"))}
    assert fuse(scores, {"recovery": 1.0, "retrieval": 2.0, "sound": 0.5}).tolist() == [3.0]
    now = {"recovery": math.nan, "retrieval": 1.0, "sound": 3.0}
    assert fuse_now(now, {"recovery": 1.0, "retrieval": 2.0, "sound": 1.0}) == pytest.approx(5 / 3 * 4)


@pytest.mark.parametrize("weights", [{"a": 0.0, "b": 0.0}, {"a": -1.0, "b": 1.0}, {"a": np.nan, "b": 1.0}, {}])
def test_weights_that_mean_nothing_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(TsvadError, match="weights must be numbers, 0 or more and not all 0"):
        check_weights(weights)


def test_timelines_of_different_videos_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        fuse({"recovery": np.ones(2), "retrieval": np.ones(3)}, ALIKE)


def test_nan_is_refused_by_frame() -> None:
    with pytest.raises(ValueError, match="frame 1 scores"):
        fuse({"recovery": np.ones(2), "retrieval": np.array([0, np.nan])}, ALIKE)
