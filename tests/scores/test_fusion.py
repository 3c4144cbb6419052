"""Two timelines to one."""

import numpy as np
import pytest

from twostream_vad.scores.fusion import fuse


def test_streams_count_alike_unless_said_otherwise() -> None:
    np.testing.assert_allclose(fuse(np.array([0.5, 1.0]), np.array([0.25, 0.0])), [0.75, 1.0])


def test_weights_are_recoverys_then_retrievals() -> None:
    np.testing.assert_allclose(fuse(np.array([1.0, 0.0]), np.array([0.0, 1.0]), (1, 3)), [1, 3])


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 1.0), (np.nan, 1.0), (1.0,), (1.0, 1.0, 1.0)])
def test_weights_that_mean_nothing_are_refused(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="weights must be two numbers"):
        fuse(np.ones(2), np.ones(2), weights)


def test_timelines_of_different_videos_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*\(3,\)"):
        fuse(np.ones(2), np.ones(3))


def test_nan_is_refused_by_frame() -> None:
    with pytest.raises(ValueError, match="frame 1 scores"):
        fuse(np.ones(2), np.array([0, np.nan]))
