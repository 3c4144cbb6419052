"""A run's training video: which is held out, and what its rate is."""

from dataclasses import replace
from pathlib import Path

import pytest

from twostream_vad.datasets.dataset import Video
from twostream_vad.retrieval.features import FeatureSet
from twostream_vad.runs.run import Run, RunError
from twostream_vad.runs.videos import learned_rate, normal_videos, split_training, training_videos


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


def test_the_rate_that_is_learned_is_that_of_most_frames(fitted: Path) -> None:
    run = Run.open(fitted)
    assert learned_rate(run) == 12.5
    first, *others = run.dataset.training
    run.dataset = replace(run.dataset, training=(replace(first, rate=50.0), *others))
    assert learned_rate(run) == 12.5
    run.dataset = replace(run.dataset, training=(first, *(replace(video, rate=50.0) for video in others)))
    assert learned_rate(run) == 50.0
