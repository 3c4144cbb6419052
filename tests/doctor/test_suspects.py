"""Anomalous-looking training segments: which stretches are named, by made-up scores; and by a fitted run."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets.dataset import Video
from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.detector.detector import Detector, VideoScores
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.detector.rawscores import RawScores
from twostream_vad.doctor.findings import Finding
from twostream_vad.doctor.suspects import suspicious_segments
from twostream_vad.errors import TsvadError
from twostream_vad.video.frames import FrameSource, VideoError

RATE = 10.0
NAN = float("nan")


class Given:
    """A scorer that gives each video the causal scores written down for it; the threshold is 1."""

    def __init__(self, scores: dict[str, NDArray[np.float64] | Exception]) -> None:
        self.scores = scores

    def score(
        self, source: FrameSource, progress: Callable[[int], None] = lambda _: None, keep: None = None
    ) -> VideoScores:
        causal = self.scores[source.name]
        if isinstance(causal, Exception):
            raise causal
        progress(len(causal))
        assert keep is None
        raw = RawScores(
            100 + np.arange(len(causal)) / source.rate, np.arange(len(causal)), {}, np.zeros(len(causal), bool)
        )
        return VideoScores(raw, {"recovery": causal}, causal, 1.0)


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., list[Finding]]:
    """A function that looks at videos at 10 frames a second with these causal scores."""

    def look(**scores: NDArray[np.float64] | Exception) -> list[Finding]:
        for name in scores:
            (tmp_path / name).mkdir()
            (tmp_path / name / "0.png").touch()
        videos = [Video(name, tmp_path / name, rate=RATE) for name in scores]
        return suspicious_segments(Given(scores), videos)

    return look


def loud(*stretches: tuple[int, int, float], frames: int = 400) -> NDArray[np.float64]:
    """Scores of 0 with stretches (first, last, score); no score in the first five frames."""
    scores = np.zeros(frames)
    scores[:5] = NAN
    for first, last, score in stretches:
        scores[first : last + 1] = score
    return scores


Judged = Callable[..., list[Finding]]


def test_a_segment_is_named_with_frames_seconds_peak_and_remedy(judged: Judged) -> None:
    scores = loud((20, 39, 1.5))
    scores[30] = 2.25
    (finding,) = judged(a=scores)
    assert (finding.kind, finding.severity, finding.video) == ("anomalous-looking", "warning", "training/a")
    assert finding.frames == ((20, 39),)
    assert finding.what == "frames 20-39 (102.0 to 103.9 s): score up to 2.25, alarm at 1.00"
    assert "take it out of training and fit again" in finding.remedy


def test_an_alarm_is_at_the_threshold_or_above(judged: Judged) -> None:
    assert len(judged(a=loud((20, 39, 1.0)))) == 1


def test_nothing_is_said_below_the_threshold(judged: Judged) -> None:
    assert judged(a=loud((20, 39, np.nextafter(1.0, 0.0)))) == []


@pytest.mark.parametrize(("last", "count"), [(23, 0), (24, 1)])
def test_a_segment_lasts_half_a_second_at_least(judged: Judged, last: int, count: int) -> None:
    assert len(judged(a=loud((20, last, 2.0)))) == count


@pytest.mark.parametrize(("second", "expected"), [(49, [(20, 60)]), (50, [(20, 29), (50, 60)])])
def test_segments_less_than_two_seconds_apart_are_one(
    judged: Judged, second: int, expected: list[tuple[int, int]]
) -> None:
    found = judged(a=loud((20, 29, 2.0), (second, 60, 2.0)))
    assert [finding.frames[0] for finding in found] == expected


def test_the_worst_five_of_a_video_are_named_and_the_rest_counted(judged: Judged) -> None:
    peaks = [1.1, 1.7, 1.2, 1.6, 1.3, 1.5, 1.4]
    found = judged(a=loud(*((50 * (n + 1), 50 * (n + 1) + 9, peak) for n, peak in enumerate(peaks))))
    assert [finding.what.split("up to ")[1][:4] for finding in found] == ["1.70", "1.60", "1.50", "1.40", "1.30"]
    assert ["not named" in finding.what for finding in found] == [False] * 4 + [True]
    assert found[-1].what.endswith("; 2 segments more of this video, with lower scores, not named")


def test_five_segments_are_all(judged: Judged) -> None:
    found = judged(a=loud(*((50 * n, 50 * n + 9, 2.0) for n in range(1, 6))))
    assert [finding.frames[0][0] for finding in found] == [50, 100, 150, 200, 250]
    assert not any("not named" in finding.what for finding in found)


def test_findings_follow_the_videos(judged: Judged) -> None:
    found = judged(b=loud((20, 39, 2.0)), quiet=loud(), a=loud((20, 39, 3.0)))
    assert [finding.video for finding in found] == ["training/b", "training/a"]


def test_a_video_without_a_score_is_a_note(judged: Judged) -> None:
    (note,) = judged(a=np.full(5, NAN))
    assert (note.kind, note.severity, note.what) == ("not-judged", "note", "5 frames, no snippet of the run fits")


@pytest.mark.parametrize("error", [VideoError("frame 3: broken; copy it again"), PermissionError("no access")])
def test_a_video_that_breaks_is_a_note_and_the_others_are_judged(judged: Judged, error: Exception) -> None:
    note, finding = judged(a=error, b=loud((20, 39, 2.0)))
    assert (note.kind, note.severity, note.video) == ("not-judged", "note", "training/a")
    assert str(error).partition(";")[0] in note.what
    assert finding.video == "training/b"


def test_a_run_that_does_not_fit_the_video_names_it(judged: Judged) -> None:
    with pytest.raises(TsvadError, match=r"^training/a: Region reaches outside"):
        judged(a=TsvadError("Region reaches outside"))


def test_progress_tells_frames_within_a_video_and_videos_done(tmp_path: Path) -> None:
    (tmp_path / "0.png").touch()
    told: list[tuple[int, int, str]] = []
    video = Video("a", tmp_path, rate=RATE)
    scorer = Given({tmp_path.name: loud(frames=30)})
    suspicious_segments(scorer, [video], lambda done, total, note="": told.append((done, total, note)))
    assert told == [(0, 1, "training/a, 30 frames"), (1, 1, "training/a")]


def test_a_run_names_none_of_the_videos_that_set_its_threshold(fitted: Path, plaza: Path) -> None:
    detector = Detector.load(fitted, TORCH)
    assert detector.bundle is not None
    held_out = detector.bundle.description.calibration.videos
    videos = [video for video in find_dataset(plaza).at_rate(12.5).training if video.name in held_out]
    assert len(videos) == 1
    assert suspicious_segments(detector, videos) == []


def test_a_run_with_a_low_threshold_names_all_that_it_scores(fitted: Path, plaza: Path) -> None:
    detector = Detector.load(fitted, TORCH)
    detector.threshold = -1e9
    found = suspicious_segments(detector, find_dataset(plaza).at_rate(12.5).training[:1])
    assert [finding.video for finding in found] == ["training/01"]
    assert found[0].frames == ((7, 29),)  # retrieval has its first snippet at frame 7
