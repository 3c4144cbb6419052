"""A fitted run on a video: the same scores as in the stages, and any length and shape of video."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from twostream_vad.detector import detector as module
from twostream_vad.detector.detector import Detector, VideoScores
from twostream_vad.recovery.stream import RecoveryStream
from twostream_vad.runs.run import Run, RunError
from twostream_vad.scores.files import read_scores
from twostream_vad.scores.stream import Stream
from twostream_vad.video.frames import ImageFolder, open_source


@pytest.fixture(scope="module")
def detector(fitted: Path) -> Detector:
    return Detector.load(Run.open(fitted))


@pytest.fixture(scope="module")
def scores(detector: Detector, plaza: Path) -> VideoScores:
    return detector.score(open_source(plaza / "testing/frames/02", rate=12.5))


def test_recovery_is_as_in_its_stage(scores: VideoScores, detector: Detector, fitted: Path) -> None:
    staged = read_scores(fitted / "recovery/scores.npz")["02"][:, detector.window]
    np.testing.assert_allclose(scores.raw.recovery, staged, rtol=1e-6)


def test_retrieval_is_as_in_its_stage(scores: VideoScores, fitted: Path) -> None:
    # Features of this run lie on the disk as float32. The stage encodes codes of a whole video at once, the
    # detector of a few clips, and matrix products of other sizes round differently.
    np.testing.assert_allclose(scores.raw.retrieval, read_scores(fitted / "retrieval/scores.npz")["02"], rtol=1e-5)


def test_fused_is_as_in_its_stage(scores: VideoScores, fitted: Path) -> None:
    np.testing.assert_allclose(scores.fused, read_scores(fitted / "results/fused.npz")["02"], atol=1e-4)


def test_times_are_the_sources(scores: VideoScores) -> None:
    np.testing.assert_allclose(scores.raw.times, np.arange(30) / 12.5)


def test_a_video_too_short_for_recovery_is_scored_by_retrieval_alone(
    detector: Detector, film: Callable[..., ImageFolder]
) -> None:
    found = detector.score(film(frames=8, height=128, width=128))
    assert (len(found.raw.recovery), len(found.raw.retrieval)) == (0, 1)
    assert {len(line) for line in (found.raw.times, found.recovery, found.retrieval, found.fused)} == {8}
    assert np.isfinite(found.fused).all()


def test_a_video_too_short_for_either_scores_as_the_authors_have_it(
    detector: Detector, film: Callable[..., ImageFolder]
) -> None:
    found = detector.score(film(frames=5, height=128, width=128))
    assert (len(found.raw.recovery), len(found.raw.retrieval)) == (0, 0)
    assert found.fused.argmax() == 4


def test_every_frame_is_told(detector: Detector, film: Callable[..., ImageFolder]) -> None:
    told: list[int] = []
    detector.score(film(frames=5, height=128, width=128), told.append)
    assert told == [1, 2, 3, 4, 5]


def stop_at(frame: int) -> Callable[[int], None]:
    def progress(done: int) -> None:
        if done == frame:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("frame", [5, 12, 21, 29])
def test_a_stopped_scoring_goes_on_to_the_same_scores(
    frame: int,
    scores: VideoScores,
    detector: Detector,
    plaza: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    source, keep = open_source(plaza / "testing/frames/02", rate=12.5), tmp_path / "so-far.npz"
    with pytest.raises(KeyboardInterrupt):
        detector.raw(source, stop_at(frame), keep)
    left = read_scores(keep)
    streams: list[Stream] = [detector.recovery, detector.retrieval]
    for name, stream, batch in zip(left, streams, detector.batches, strict=True):
        assert len(left[name]) == max(0, frame - stream.snippet.span) // batch * batch
    looked: list[int] = []
    score = RecoveryStream.score

    def look(self: RecoveryStream, clips: Tensor) -> NDArray[np.float64]:
        looked.append(len(clips))
        return score(self, clips)

    monkeypatch.setattr(RecoveryStream, "score", look)
    found = detector.raw(source, keep=keep)
    for name in ("times", "recovery", "retrieval"):
        np.testing.assert_array_equal(getattr(found, name), getattr(scores.raw, name))
    assert sum(looked) == len(scores.raw.recovery) - len(left["recovery"])


def test_what_was_kept_broken_is_scored_anew(
    scores: VideoScores, detector: Detector, plaza: Path, tmp_path: Path
) -> None:
    keep = tmp_path / "so-far.npz"
    keep.write_bytes(b"PK")
    found = detector.raw(open_source(plaza / "testing/frames/02", rate=12.5), keep=keep)
    np.testing.assert_array_equal(found.recovery, scores.raw.recovery)


def test_a_run_that_is_not_fitted_to_the_end_names_the_command(copied: Path, plaza: Path) -> None:
    Run.open(copied).begin("index", redo=True)
    with pytest.raises(RunError, match=rf"`tsvad fit {plaza} --out {copied}` goes on"):
        Detector.load(Run.open(copied))
