"""What a fitted run's files say: which videos are held out, causal scores, their scale, nearest normal events."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets.layouts import Video
from twostream_vad.detector.detector import Detector
from twostream_vad.retrieval.features import FeatureSet
from twostream_vad.runs.fitted import (
    NearestNormal,
    calibration,
    causal_curves,
    chosen_window,
    fusion_weights,
    normal_videos,
    recovery_settings,
    recovery_snippet,
    retrieval_snippet,
    retrieval_stream,
    split_training,
    training_videos,
)
from twostream_vad.runs.run import Run, RunError
from twostream_vad.runs.stages import FITTING
from twostream_vad.scores.calibration import Scale
from twostream_vad.scores.files import read_scores
from twostream_vad.video.frames import open_source
from twostream_vad.video.snippets import Snippet


@pytest.fixture(scope="module")
def run(fitted: Path) -> Run:
    return Run.open(fitted)


def videos(count: int) -> tuple[Video, ...]:
    return tuple(Video(f"{number:02d}", Path(f"{number:02d}")) for number in range(count))


def names(chosen: tuple[Video, ...]) -> list[str]:
    return [video.name for video in chosen]


@pytest.mark.parametrize(
    ("count", "share", "held"),
    [
        (10, 0.2, ["02", "07"]),
        (3, 0.2, ["01"]),
        (3, 0.01, ["01"]),
        (9, 1 / 3, ["01", "04", "07"]),
        (2, 0.5, []),
        (1, 0.5, []),
        (0, 0.5, []),
        (10, 0.0, []),
    ],
)
def test_held_out_videos_are_evenly_spaced(count: int, share: float, held: list[str]) -> None:
    learned, out = split_training(videos(count), share)
    assert names(out) == held
    assert names(learned) == [video.name for video in videos(count) if video.name not in held]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [3, 4, 7, 16])
def test_every_video_is_learned_from_or_held_out_and_there_are_some_of_each(count: int, share: float) -> None:
    learned, out = split_training(videos(count), share)
    assert learned
    assert len(out) == min(max(1, round(share * count)), count - 1)
    assert sorted(names(learned) + names(out)) == names(videos(count))


def test_no_held_out_video_is_learned_from(run: Run) -> None:
    assert list(training_videos(run)) == ["01", "03"]
    assert list(normal_videos(run)) == ["02"]


def test_features_of_held_out_videos_are_not_normal_events(run: Run) -> None:
    assert [video.name for video in FeatureSet.load(run.path("retrieval/features/training")).videos] == ["01", "03"]


def test_where_none_is_held_out_all_training_video_is_normal(fitted: Path) -> None:
    run = Run.open(fitted, ["calibration.held_out=0"])
    assert list(normal_videos(run)) == list(training_videos(run)) == ["01", "02", "03"]


def test_two_videos_are_both_learned_from_and_both_normal(fitted: Path) -> None:
    run = Run.open(fitted)
    run.dataset = replace(run.dataset, training=run.dataset.training[:2])
    assert list(normal_videos(run)) == list(training_videos(run)) == ["01", "02"]


def test_a_dataset_without_training_videos_is_refused_with_the_place_for_them(fitted: Path) -> None:
    run = Run.open(fitted)
    run.dataset = replace(run.dataset, training=())
    for ask in (training_videos, normal_videos):
        with pytest.raises(RunError, match=f"no training videos: put normal video into {run.data}/training"):
            ask(run)


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


def test_causal_scores_are_those_of_a_loop_over_frames(run: Run) -> None:
    curves, scale = causal_curves(run), calibration(run)
    window = chosen_window(recovery_settings(run))
    column = run.recipe.recovery.windows.index(window)
    assert list(curves) == [f"MLE {window}", "retrieval", "fused"]
    errors, distances = (read_scores(run.path(f"{stream}/scores.npz")) for stream in ("recovery", "retrieval"))
    for name in ("01", "02"):
        local = slow_causal(errors[name][:, column], recovery_snippet(run.recipe.recovery), 30, scale.recovery)
        np.testing.assert_allclose(curves[f"MLE {window}"][name], local, rtol=1e-9, atol=1e-9)
        known = slow_causal(distances[name], retrieval_snippet(run), 30, scale.retrieval)
        np.testing.assert_allclose(curves["retrieval"][name], known, rtol=1e-9, atol=1e-9)


def test_fused_causal_scores_are_the_weighted_sum_once_both_streams_have_one(run: Run) -> None:
    curves = causal_curves(run)
    local, known, fused = (curves[row]["01"] for row in curves)
    recovery, retrieval = fusion_weights(run)
    np.testing.assert_allclose(fused[8:], recovery * local[8:] + retrieval * known[8:])
    assert fused[7] == pytest.approx((recovery + retrieval) * known[7])  # retrieval's snippet is the shorter one
    assert np.isnan(fused[:7]).all()


def test_a_detector_gives_the_causal_scores_of_the_stages(run: Run, plaza: Path) -> None:
    found = Detector.load(run).score(open_source(plaza / "testing/frames/02"))
    np.testing.assert_allclose(found.causal, causal_curves(run)["fused"]["02"], rtol=1e-4, atol=1e-4)
    assert found.threshold == calibration(run).threshold


def test_the_scale_is_of_held_out_normal_video_alone(run: Run) -> None:
    scale = calibration(run)
    assert scale.snippets == ("02",)
    detector = Detector.load(run, calibrated=False)
    raw = detector.raw(normal_videos(run)["02"])
    for own, scores in ((scale.recovery, raw.recovery), (scale.retrieval, raw.retrieval)):
        assert own.middle == pytest.approx(np.median(scores), rel=1e-5)
        assert own.high == pytest.approx(np.quantile(scores, 0.99), rel=1e-5)


def test_the_scores_that_the_scale_was_made_of_are_kept(run: Run) -> None:
    for stream, snippets, own in (
        ("recovery", 22, calibration(run).recovery),
        ("retrieval", 23, calibration(run).retrieval),
    ):
        scores = read_scores(run.path(f"calibration/{stream}.npz"))
        assert {name: len(line) for name, line in scores.items()} == {"02": snippets}
        assert own == Scale.of(scores["02"])


def normal_scores(run: Run) -> NDArray[np.float64]:
    """Causal scores of held-out frames that have one."""
    causal = Detector.load(run).score(normal_videos(run)["02"]).causal
    return causal[~np.isnan(causal)]


def test_no_held_out_frame_raises_an_alarm_and_any_worse_one_does(run: Run) -> None:
    reached = normal_scores(run).max()
    assert reached < calibration(run).threshold < reached + 1e-9


def test_a_lower_quantile_lets_some_normal_frames_raise_an_alarm(copied: Path) -> None:
    run = Run.open(copied, ["calibration.quantile=0.5"])
    FITTING["calibrate"](run, redo=True)
    scores = normal_scores(run)
    assert np.mean(scores >= calibration(run).threshold) == pytest.approx(0.5, abs=1 / len(scores))


def test_a_run_that_is_not_calibrated_names_the_command(copied: Path) -> None:
    (copied / "calibration/scale.json").unlink()
    with pytest.raises(ValueError, match="nothing is calibrated yet; run `tsvad calibrate` first"):
        calibration(Run.open(copied))


def test_the_nearest_normal_event_is_that_of_the_crop_farthest_from_normal(run: Run) -> None:
    nearest, stream = NearestNormal(run), retrieval_stream(run)
    features = FeatureSet.load(run.path("retrieval/features/testing"))
    second = features.videos[1]
    for frame in (7, 16, 29):
        first = second.first + (frame - 7) * second.crops
        rows = features.array()[first : first + second.crops]
        farthest = max(float(stream.score_features(row[None, None])[0]) for row in rows)
        found = nearest.of("02", frame)
        assert found is not None
        assert f"(distance {farthest:.2f}, table" in found.sentence or found.origin is None


def test_the_nearest_normal_event_was_seen_in_training(run: Run) -> None:
    nearest = NearestNormal(run)
    found = [event for frame in range(30) if (event := nearest.of("01", frame)) is not None]
    assert len(found) == 23
    origins = [event.origin for event in found if event.origin is not None]
    assert {place.video for place in origins} <= {"01", "03"}
    assert {place.frame for place in origins} <= set(range(23))
    assert {event.frames for event in found} == {range(8)}


@pytest.mark.parametrize("frame", [-1, 0, 6, 30])
def test_a_frame_at_which_no_snippet_ends_has_no_nearest_event(frame: int, run: Run) -> None:
    assert NearestNormal(run).of("01", frame) is None
