"""What all sources of frames share."""

import dataclasses

import numpy as np
import pytest

from twostream_vad.video.source import Frame, VideoError, check_rate, check_skip, scene_of


def test_a_video_error_is_a_value_error() -> None:
    assert issubclass(VideoError, ValueError)


def test_a_frame_cannot_be_changed() -> None:
    frame = Frame(index=0, time=0.0, image=np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.index = 1  # type: ignore[misc]


@pytest.mark.parametrize("rate", [0.0, -25.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused_by_value(rate: float) -> None:
    with pytest.raises(VideoError, match=str(rate)):
        check_rate(rate)


def test_a_negative_skip_is_refused_by_value() -> None:
    with pytest.raises(VideoError, match="-1"):
        check_skip(-1)


@pytest.mark.parametrize(("name", "scene"), [("01_0014", "01"), ("gate", ""), ("a_b_c", "a")])
def test_the_scene_is_what_stands_before_the_underscore(name: str, scene: str) -> None:
    assert scene_of(name) == scene
