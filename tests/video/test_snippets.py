"""Snippets: index arithmetic against slow obvious versions."""

import pytest
from hypothesis import strategies as st

from twostream_vad.video.snippets import RECOVERY, RETRIEVAL, Snippet

snippets = st.builds(Snippet, length=st.integers(1, 9), interval=st.integers(1, 8), offset=st.just(0))


def test_recovery_predicts_the_frame_16_after_its_first() -> None:
    assert list(RECOVERY.frames(3)) == [3, 5, 7, 9, 11, 13, 15, 17, 19]
    assert RECOVERY.frames(3)[-1] == 3 + RECOVERY.offset


def test_retrieval_spans_57_frames_and_its_score_is_for_the_fifth_of_eight() -> None:
    assert list(RETRIEVAL.frames(0)) == [0, 8, 16, 24, 32, 40, 48, 56]
    assert RETRIEVAL.frames(0)[4] == RETRIEVAL.offset


@pytest.mark.parametrize("video_frames", [0, 1, 16, 17, 56, 57, 180, 1000])
def test_a_video_has_16_or_56_snippets_less_than_frames(video_frames: int) -> None:
    assert RECOVERY.count(video_frames) == max(0, video_frames - 16)
    assert RETRIEVAL.count(video_frames) == max(0, video_frames - 56)


@pytest.mark.parametrize(
    ("length", "interval", "offset", "message"),
    [
        (0, 2, 0, "length must be 1 frame or more, got 0"),
        (9, 0, 0, "interval must be 1 frame or more, got 0"),
        (9, 2, 17, "0 to 16, got 17"),
        (9, 2, -1, "got -1"),
    ],
)
def test_an_impossible_snippet_is_refused_by_value(length: int, interval: int, offset: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Snippet(length, interval, offset)
