"""What does not fit together is refused when it is made, by name."""

import numpy as np
import pytest

from twostream_vad.report.model import Cell, CurvePlot, Table, VideoPanel
from twostream_vad.report.thumbnails import Thumbnails


def test_a_row_of_other_length_is_refused_by_its_name() -> None:
    with pytest.raises(ValueError, match="'fused'"):
        Table("Results", ["", "micro", "macro"], [["CR", "1", "2"], [Cell("fused"), "0.9"]])


def test_a_row_of_one_cell_is_a_heading() -> None:
    Table("Results", ["", "micro", "macro"], [["paper protocol"], ["CR", "1", "2"]])


def test_a_curve_has_a_y_for_each_x() -> None:
    with pytest.raises(ValueError, match=r"'fused' of 'ROC'.*\(3,\).*\(2,\)"):
        CurvePlot("ROC", "FPR", "TPR", [("fused", np.zeros(3), np.zeros(2))])


def test_labels_of_other_length_are_refused_by_the_videos_name() -> None:
    with pytest.raises(ValueError, match=r"'07': labels of shape \(9,\) for 10 frames"):
        VideoPanel("07", 10, 25.0, np.zeros(9), {})


def test_scores_of_other_length_are_refused_by_protocol_and_name() -> None:
    with pytest.raises(ValueError, match=r"'07': causal fused of shape \(9,\)"):
        VideoPanel("07", 10, 25.0, None, {"causal": {"fused": np.zeros(9)}})


def test_a_protocol_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="protocol 'live' is none of paper, causal"):
        VideoPanel("07", 10, 25.0, None, {"live": {}})


def test_thumbnails_must_reach_to_the_end() -> None:
    with pytest.raises(ValueError, match="2 thumbnails, but every 4 of 10 frames makes 3"):
        VideoPanel("07", 10, 25.0, None, {}, Thumbnails(4, [b"", b""]))


@pytest.mark.parametrize(("frames", "rate"), [(0, 25.0), (10, 0.0), (10, float("nan"))])
def test_a_video_has_frames_and_a_rate(frames: int, rate: float) -> None:
    with pytest.raises(ValueError, match="'07'"):
        VideoPanel("07", frames, rate, None, {})
