"""Frame scores of test videos: both protocols, their scale on held-out normal video, any rate of video."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad import Detector
from twostream_vad.datasets.manifest import read_manifest
from twostream_vad.detector.bundle import Bundle, Calibration
from twostream_vad.detector.engines.engine import TORCH
from twostream_vad.detector.rawscores import raw_scores
from twostream_vad.runs.curves import TestScores
from twostream_vad.runs.fit import run_stage
from twostream_vad.runs.run import Run
from twostream_vad.runs.stages.fusion import MARGIN
from twostream_vad.runs.videos import normal_videos
from twostream_vad.scores.calibration import Scale
from twostream_vad.scores.files import read_scores
from twostream_vad.scores.fusion import fuse
from twostream_vad.scores.timeline import paper_timeline
from twostream_vad.video.snippets import Snippet


@pytest.fixture(scope="module")
def run(fitted: Path) -> Run:
    return Run.open(fitted)


@pytest.fixture(scope="module")
def scores(run: Run) -> TestScores:
    return TestScores.load(run, Bundle(run.path("detector")))


@pytest.fixture(scope="module")
def calibration(run: Run) -> Calibration:
    return Calibration.load(run.path("calibration/scale.json"))


def slow_causal(scores: NDArray[np.float64], snippet: Snippet, frames: int, scale: Scale) -> list[float]:
    """Frame by frame: the mean of this and all earlier scores, weighed by a Gaussian of a quarter of the snippet."""
    sigma = snippet.interval * snippet.length / 4
    line = []
    for frame in range(frames):
        known = range(max(0, frame - snippet.span - int(4 * sigma + 0.5)), frame - snippet.span + 1)
        weights = [np.exp(-0.5 * ((frame - snippet.span - start) / sigma) ** 2) for start in known]
        scaled = [(scores[start] - scale.middle) / scale.spread for start in known]
        line.append(float(np.dot(weights, scaled) / sum(weights)) if known else np.nan)
    return line


def test_every_window_fle_and_retrieval_have_a_curve(scores: TestScores) -> None:
    curves = scores.paper()
    assert list(curves) == ["MLE 128", "MLE 32", "MLE 16", "FLE", "retrieval"]
    assert {len(curve) for row in curves.values() for curve in row.values()} == {30}


def test_fused_is_the_weighted_sum_of_the_chosen_window_and_retrieval(run: Run, scores: TestScores) -> None:
    weights = scores.bundle.description.weights
    column = scores.windows.index(scores.bundle.description.recovery.how.window)
    for name, line in read_scores(run.path("results/fused.npz")).items():
        recovery = paper_timeline(scores.local[name][:, column], scores.bundle.snippets["recovery"], 30)
        retrieval = paper_timeline(scores.distances[name], scores.bundle.snippets["retrieval"], 30)
        np.testing.assert_allclose(line, fuse({"recovery": recovery, "retrieval": retrieval}, weights))


def test_causal_scores_are_those_of_a_loop_over_frames(scores: TestScores, calibration: Calibration) -> None:
    curves = scores.causal()
    assert list(curves) == [scores.chosen, "retrieval", "fused"]
    for name in ("01", "02"):
        for row, stream in ((scores.chosen, "recovery"), ("retrieval", "retrieval")):
            snippet, scale = scores.bundle.snippets[stream], calibration.scales[stream]
            expected = slow_causal(scores.raw[stream][name], snippet, 30, scale)
            np.testing.assert_allclose(curves[row][name], expected, rtol=1e-9, atol=1e-9)


def test_fused_causal_scores_are_the_weighted_sum_once_both_streams_have_one(scores: TestScores) -> None:
    curves, weights = scores.causal(), scores.bundle.description.weights
    local, known, fused = (curves[row]["01"] for row in curves)
    np.testing.assert_allclose(fused[8:], weights["recovery"] * local[8:] + weights["retrieval"] * known[8:])
    assert fused[7] == pytest.approx(sum(weights.values()) * known[7])  # retrieval's snippet is the shorter one
    assert np.isnan(fused[:7]).all()


def test_the_scale_is_of_held_out_normal_video_alone(run: Run, calibration: Calibration) -> None:
    detector = Detector.load(run.folder, TORCH)
    assert calibration.videos == ("02",)
    raw = raw_scores(detector.streams, detector.rate, normal_videos(run)["02"])
    for name, scale in calibration.scales.items():
        assert scale == Scale.of(raw.streams[name])
        kept = read_scores(run.path(f"calibration/{name}.npz"))
        assert {video: line.tolist() for video, line in kept.items()} == {"02": raw.streams[name].tolist()}


def normal_scores(run: Run) -> NDArray[np.float64]:
    """Causal scores of held-out frames that have one."""
    causal = Detector.load(run.folder, TORCH).score(normal_videos(run)["02"]).fused
    return causal[~np.isnan(causal)]


def test_no_held_out_frame_raises_an_alarm_and_any_worse_one_does(run: Run, calibration: Calibration) -> None:
    reached = normal_scores(run).max()
    assert calibration.threshold == reached + MARGIN


def test_a_lower_quantile_lets_some_normal_frames_raise_an_alarm(copied: Path) -> None:
    run = Run.open(copied, ["calibration.quantile=0.5"])
    for stage in ("calibrate", "pack"):
        run_stage(run, stage, redo=True)
    scores = normal_scores(run)
    threshold = Calibration.load(run.path("calibration/scale.json")).threshold
    assert np.mean(scores >= threshold) == pytest.approx(0.5, abs=1 / len(scores))


def test_a_test_video_of_another_rate_is_scored_at_its_ticks_and_has_a_score_a_frame(copied: Path) -> None:
    run = Run.open(copied)
    first, *others = run.dataset.testing
    run.dataset = replace(run.dataset, testing=(replace(first, rate=25.0), *others))
    for stage in ("features", "train-retrieval", "index", "select-weight", "calibrate", "pack"):
        run_stage(run, stage, redo=True)
    for stage in ("score-recovery", "score-retrieval", "fuse"):
        run_stage(run, stage, redo=True)
    found = TestScores.load(run, Bundle(run.path("detector")))
    assert (len(found.local["01"]), len(found.distances["01"])) == (15 - 8, 15 - 7)
    causal = read_scores(run.path("results/causal.npz"))["01"]
    assert len(causal) == len(read_scores(run.path("results/fused.npz"))["01"]) == 30
    np.testing.assert_array_equal(causal[0::2], causal[1::2])


def test_a_test_video_with_lost_frames_scores_as_the_detector_scores_it(copied: Path) -> None:
    manifest = read_manifest(copied / "frames")
    manifest.put(replace(manifest.entries["testing", "02"], lost=((9, 10),)))
    manifest.write(copied / "frames")
    run = Run.open(copied)
    source = next(video for video in run.dataset.testing if video.name == "02").open()
    expected = Detector.load(copied, TORCH).score(source)
    scores = TestScores.load(run, Bundle(copied / "detector"))
    np.testing.assert_array_equal(scores.causal()["fused"]["02"], expected.fused)
    assert np.isnan(expected.fused[9:12]).all()
    assert np.isfinite(scores.paper()["retrieval"]["02"]).all()  # it has no word for "no score"
