"""A detector on a video: the scores of the stages and of a watcher to the bit, at any length, shape and rate."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from twostream_vad import Detector, TsvadError, VideoScores
from twostream_vad.detector import rawscores as module
from twostream_vad.detector.detector import Alarm
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.detector.rawscores import RawScores, ahead, raw_scores
from twostream_vad.recovery.stream import RecoveryStream
from twostream_vad.scores.causal import cold_start
from twostream_vad.scores.files import read_scores
from twostream_vad.video.frames import ImageFolder, open_source
from twostream_vad.video.snippets import Snippet
from twostream_vad.video.views import Views

Film = Callable[..., ImageFolder]


@pytest.fixture(scope="module")
def detector(fitted: Path) -> Detector:
    return Detector.load(fitted, TORCH)


@pytest.fixture(scope="module")
def source(plaza: Path) -> ImageFolder:
    opened = open_source(plaza / "testing/frames/02", rate=12.5)
    assert isinstance(opened, ImageFolder)
    return opened


@pytest.fixture(scope="module")
def scores(detector: Detector, source: ImageFolder) -> VideoScores:
    return detector.score(source)


def test_features_are_rounded_as_is_shipped(detector: Detector) -> None:
    assert detector.bundle is not None
    assert detector.bundle.description.retrieval.dtype == "float16"


def test_both_streams_score_as_in_their_stages_to_the_bit(scores: VideoScores, fitted: Path) -> None:
    columns = [128, 32, 16]
    window = Detector.load(fitted, TORCH).bundle.description.recovery.how.window  # type: ignore[union-attr]
    staged = read_scores(fitted / "recovery/scores.npz")["02"][:, columns.index(window)]
    assert scores.raw.streams["recovery"].tolist() == staged.tolist()
    assert scores.raw.streams["retrieval"].tolist() == read_scores(fitted / "retrieval/scores.npz")["02"].tolist()


def test_causal_scores_are_those_of_the_stages_to_the_bit(scores: VideoScores, fitted: Path) -> None:
    assert cold_start(scores.fused).tolist() == read_scores(fitted / "results/causal.npz")["02"].tolist()


def test_a_path_is_scored_as_its_source(detector: Detector, scores: VideoScores, source: ImageFolder) -> None:
    np.testing.assert_array_equal(detector.score(source.path).fused, scores.fused)
    np.testing.assert_array_equal(detector.score(str(source.path)).fused, scores.fused)


def test_images_alone_count_as_being_of_the_detectors_rate(
    detector: Detector, scores: VideoScores, source: ImageFolder
) -> None:
    found = detector.score([source.read(index) for index in range(30)])
    np.testing.assert_array_equal(found.fused, scores.fused)
    np.testing.assert_allclose(found.times, np.arange(30) / 12.5)


def test_times_are_the_sources(scores: VideoScores) -> None:
    np.testing.assert_allclose(scores.times, np.arange(30) / 12.5)
    assert not scores.raw.resampled


def test_a_video_too_short_for_recovery_is_scored_by_retrieval_alone(detector: Detector, film: Film) -> None:
    found = detector.score(film(frames=8, height=128, width=128).path)
    assert {name: len(line) for name, line in found.raw.streams.items()} == {"recovery": 0, "retrieval": 1}
    assert np.isnan(found.fused[:7]).all()
    assert np.isfinite(found.fused[7])


def test_a_video_too_short_for_either_has_no_score(detector: Detector, film: Film) -> None:
    found = detector.score(film(frames=5, height=128, width=128).path)
    assert np.isnan(found.fused).all()
    assert (len(found.fused), found.alarms()) == (5, [])


def test_every_frame_is_told(detector: Detector, film: Film) -> None:
    told: list[int] = []
    detector.score(film(frames=5, height=128, width=128).path, told.append)
    assert told == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("frame", [5, 12, 21, 29])
def test_a_stopped_scoring_goes_on_to_the_same_scores(
    frame: int,
    scores: VideoScores,
    detector: Detector,
    source: ImageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stop(done: int) -> None:
        if done == frame:
            raise KeyboardInterrupt

    monkeypatch.setattr(module, "KEEP_SECONDS", -1.0)
    keep = tmp_path / "so-far.npz"
    with pytest.raises(KeyboardInterrupt):
        raw_scores(detector.streams, detector.rate, source, stop, keep)
    left = read_scores(keep)
    for name, stream in detector.streams.items():
        assert len(left[name]) == max(0, frame - stream.snippet.span)
    looked: list[int] = []
    score = RecoveryStream.score

    def look(self: RecoveryStream, clips: Tensor) -> NDArray[np.float64]:
        looked.append(len(clips))
        return score(self, clips)

    monkeypatch.setattr(RecoveryStream, "score", look)
    found = detector.score(source, keep=keep)
    np.testing.assert_array_equal(found.fused, scores.fused)
    assert sum(looked) == len(scores.raw.streams["recovery"]) - len(left["recovery"])


@pytest.mark.parametrize("content", [b"PK", b""])
def test_what_was_kept_broken_is_scored_anew(
    content: bytes, scores: VideoScores, detector: Detector, source: ImageFolder, tmp_path: Path
) -> None:
    keep = tmp_path / "so-far.npz"
    keep.write_bytes(content)
    np.testing.assert_array_equal(detector.score(source, keep=keep).fused, scores.fused)


class Faster:
    """The same pictures at three times the rate, each shown three times."""

    def __init__(self, source: ImageFolder, times: int) -> None:
        self.source, self.times = source, times
        self.path, self.name, self.rate = source.path, source.name, source.rate * times

    def __iter__(self) -> Iterator[Any]:
        for frame in self.source:
            for shown in range(self.times):
                time = frame.time + shown / self.rate
                yield type(frame)(frame.index * self.times + shown, time, frame.image)


@pytest.mark.parametrize("times", [2, 3])
def test_a_faster_video_scores_as_the_frames_at_its_ticks(
    times: int, detector: Detector, source: ImageFolder, scores: VideoScores
) -> None:
    found = detector.score(Faster(source, times))
    assert found.raw.resampled
    assert len(found.fused) == 30 * times
    np.testing.assert_array_equal(found.fused, np.repeat(scores.fused, times)[: len(found.fused)])


def test_alarms_are_joined_and_name_peak_and_stream() -> None:
    fused = np.full(100, 0.0)
    fused[[20, 25]], fused[24], fused[80] = 3.0, np.nan, 2.0
    streams = {"recovery": np.where(fused > 2.5, 1.0, 2.0), "retrieval": np.full(100, 1.5)}
    raw = RawScores(np.arange(100) / 10, np.arange(100), {}, np.zeros(100, bool))
    found = VideoScores(raw, streams, fused, threshold=2.0).alarms()
    assert found == [Alarm(20, 25, 20, 3.0, "retrieval"), Alarm(80, 80, 80, 2.0, "recovery")]


def test_a_frame_is_explained_by_picture_heat_and_nearest_normal_event(detector: Detector, source: ImageFolder) -> None:
    seen = list(detector.explain(source.path, [20, 3, 12, 12]))
    assert [found.frame for found in seen] == [3, 12, 20]
    assert all(np.array_equal(found.image, source.read(found.frame)) for found in seen)
    assert (seen[0].heat, seen[0].nearest) == (None, None)
    assert seen[2].heat is not None
    assert seen[2].heat.shape == source.read(0).shape[:2]
    assert seen[2].nearest is not None
    if seen[2].nearest.exemplar is not None:
        assert seen[2].nearest.exemplar.video in ("01", "03")
        assert all(picture.startswith(b"\xff\xd8") for picture in seen[2].nearest.exemplar.strip)


def test_loading_changes_nothing_in_the_process(fitted: Path) -> None:
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads(), torch.get_rng_state().tolist()
    Detector.load(fitted / "detector", TORCH)
    assert before == (torch.get_num_threads(), cv2.getNumThreads(), torch.get_rng_state().tolist())


def test_frames_that_are_no_images_are_refused(detector: Detector) -> None:
    with pytest.raises(TsvadError, match=r"uint8 array \(H, W, 3\), RGB, got float64 of shape \(4, 4, 3\)"):
        detector.score([np.zeros((4, 4, 3))])  # type: ignore[list-item]


def test_no_snippet_spans_lost_frames_and_what_is_behind_them_scores_as_if_it_began_there(
    detector: Detector, source: ImageFolder
) -> None:
    damaged = ImageFolder(source.path, rate=12.5)
    damaged.place(None, ((9, 10),))
    found, tail = detector.score(damaged), detector.score([source.read(index) for index in range(11, 30)])
    assert np.flatnonzero(found.raw.lost).tolist() == [9, 10]
    for name, stream in detector.streams.items():
        line, span = found.streams[name], stream.snippet.span
        np.testing.assert_array_equal(line[11:], tail.streams[name])
        assert np.isnan(line[9 : 11 + span]).all()
        assert np.isfinite(line[11 + span :]).all()


def test_a_watcher_is_told_of_lost_frames_and_says_what_the_file_says(detector: Detector, source: ImageFolder) -> None:
    damaged = ImageFolder(source.path, rate=12.5)
    damaged.place(None, ((12, 12),))
    watcher = detector.watch()
    live = [watcher.push(frame.image, frame.time, lost=frame.lost).fused for frame in damaged]
    np.testing.assert_array_equal(live, detector.score(damaged).fused)
    assert np.isnan(live[12])


def test_a_net_that_gives_no_number_is_refused_and_no_gap(detector: Detector, source: ImageFolder) -> None:
    class Broken:
        snippet, views = detector.streams["recovery"].snippet, detector.streams["recovery"].views

        def score(self, clips: Tensor) -> NDArray[np.float64]:
            return np.full(len(clips), np.nan)

    with pytest.raises(TsvadError, match="recovery scores nan; its net holds no numbers"):
        raw_scores({"recovery": Broken()}, 12.5, source)


def test_what_is_read_ahead_comes_in_order_and_stops_when_nobody_wants_more() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    assert list(ahead(range(50), 3)) == list(range(50))
    with closing(ahead(numbers(), 3)) as few:
        assert [next(few) for _ in range(4)] == [0, 1, 2, 3]
    count = len(made)
    assert count <= 4 + 3 + 2  # taken, waiting, and one in each thread's hands
    assert not [thread for thread in threading.enumerate() if thread.name == "reader"]
    assert len(made) == count


def test_what_breaks_while_reading_ahead_breaks_in_its_place() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise KeyError("frame 2")

    found = ahead(numbers(), 3)
    assert next(found) == 1
    with pytest.raises(KeyError, match="frame 2"):
        next(found)


def test_streams_that_take_turns_badly_still_score_in_order() -> None:
    """Each has a thread: the slow one's scores are not the fast one's."""

    class Slow:
        snippet, views = Snippet.predicting(9, 1), Views(8)

        def __init__(self, factor: float, seconds: float) -> None:
            self.factor, self.seconds = factor, seconds

        def score(self, clips: Tensor) -> NDArray[np.float64]:
            time.sleep(self.seconds)
            return self.factor * clips[:, 0, 0, -1, 0, 0].numpy().astype(np.float64)

    images = [np.full((8, 8, 3), level, np.uint8) for level in range(40)]
    raw = raw_scores({"slow": Slow(1, 0.01), "fast": Slow(2, 0)}, 10, images)
    levels = (np.arange(8, 40) / 255 - 0.45) / 0.225
    np.testing.assert_allclose(raw.streams["slow"], levels, rtol=1e-5)
    np.testing.assert_allclose(raw.streams["fast"], 2 * levels, rtol=1e-5)
