"""Heat maps and regions of a run: errors put in known places must be found there, and judged so."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.detector.bundle import Bundle
from twostream_vad.runs.curves import TestScores
from twostream_vad.runs.localise import HeatMaps, localise, track_folder
from twostream_vad.runs.run import Run
from twostream_vad.scores.files import read_scores

HEIGHT, WIDTH, FRAMES, FIRST = 128, 160, 30, 8
WINDOW, STRIDE = 16, 8
PLACES = (128 - WINDOW) // STRIDE + 1
LEFT, TOP, SIDE = 60, 40, 24
"""Where the anomaly is, in every frame from 12 to 23."""
ANOMALOUS = range(12, 24)


@pytest.fixture
def scores(copied: Path, plaza: Path, tmp_path: Path) -> TestScores:
    """Scores by small error windows on a dataset of its own, without tracks, whose anomaly is a square."""
    run = Run.open(copied)
    run.data = Path(shutil.copytree(plaza, tmp_path / "data", ignore=shutil.ignore_patterns("tracks*")))
    bundle = Bundle(copied / "detector")
    recovery = bundle.description.recovery
    small = recovery.model_copy(update={"how": recovery.how.model_copy(update={"window": WINDOW})})
    bundle.description = bundle.description.model_copy(update={"recovery": small})
    found = TestScores.load(run, bundle)
    write_masks(found, square())
    hot_at(found, LEFT, TOP)
    return found


def square(frames: int = FRAMES) -> NDArray[np.bool_]:
    mask = np.zeros((frames, HEIGHT, WIDTH), np.bool_)
    mask[ANOMALOUS.start : ANOMALOUS.stop, TOP : TOP + SIDE, LEFT : LEFT + SIDE] = True
    return mask


def write_masks(scores: TestScores, mask: NDArray[np.bool_]) -> None:
    packed = np.packbits(mask, axis=-1)
    np.savez(scores.source.root / "masks.npz", **{"01": packed, "02": packed})  # type: ignore[arg-type]


def hot_at(scores: TestScores, left: int, top: int, heat: float = 100.0) -> None:
    """Errors that are ``heat`` in windows whose centre lies in the square at ``left`` and ``top``, in its frames."""
    maps = np.full((FRAMES - FIRST, 3, PLACES, PLACES), 0.01, np.float16)
    centres = np.arange(PLACES) * STRIDE + WINDOW / 2
    down = (centres >= top) & (centres <= top + SIDE)
    for crop, (x0, *_) in enumerate(scores.bundle.views.boxes(HEIGHT, WIDTH)):
        across = (centres + x0 >= left) & (centres + x0 <= left + SIDE)
        hot = np.outer(down, across)
        maps[ANOMALOUS.start - FIRST : ANOMALOUS.stop - FIRST, crop, hot] = heat
    for name in ("01", "02"):
        np.save(scores.folder / f"recovery/maps/{name}.npy", maps)


def test_the_first_frames_have_no_heat_map(scores: TestScores) -> None:
    heat = HeatMaps(scores)
    assert [heat.at("01", frame) is None for frame in (-1, 0, 7, 8, 29, 30)] == [True, True, True, False, False, True]


def test_heat_lies_where_the_errors_are(scores: TestScores) -> None:
    heat = HeatMaps(scores)
    warm = heat.at("02", 15)
    assert warm is not None
    assert warm.shape == (HEIGHT, WIDTH)
    unit = scores.bundle.description.calibration.heat["recovery"].high
    assert heat.top == pytest.approx(100 / unit)
    assert warm.max() == pytest.approx(heat.top)
    rows, columns = np.nonzero(warm > 50 / unit)
    assert abs(rows.mean() - (TOP + SIDE / 2)) < 4
    assert abs(columns.mean() - (LEFT + SIDE / 2)) < 4
    normal = heat.at("02", 11)
    assert normal is not None
    assert normal.max() < 0.02 / unit


def test_heat_of_errors_in_their_place_is_judged_as_right(scores: TestScores) -> None:
    facts = localise(scores)
    assert facts is not None
    assert list(facts) == ["pixel_auc", "localised_frame_auc", "pixels_from", "tracks_from", "rbdc", "tbdc"]
    assert facts["pixels_from"] == facts["tracks_from"] == "masks.npz"
    assert facts["pixel_auc"] > 0.95
    assert (facts["localised_frame_auc"], facts["rbdc"], facts["tbdc"]) == pytest.approx((1, 1, 1))


def test_heat_in_another_place_is_judged_as_wrong(scores: TestScores) -> None:
    hot_at(scores, 120, 90)
    facts = localise(scores)
    assert facts is not None
    assert facts["pixel_auc"] < 0.7
    # Below the anomalous frames' 0.01 lie the 8 first frames, level with it the 10 other normal ones.
    assert facts["localised_frame_auc"] == pytest.approx((8 + 10 / 2) / 18)
    assert (facts["rbdc"], facts["tbdc"]) == (0, 0)


def test_regions_are_written_with_their_frames_boxes_and_scores(scores: TestScores) -> None:
    localise(scores)
    rows = read_scores(scores.folder / "results/regions.npz")
    assert list(rows) == ["01", "02"]
    hot = rows["01"][rows["01"][:, 5] > 50 / scores.bundle.description.calibration.heat["recovery"].high]
    assert hot[:, 0].tolist() == list(ANOMALOUS)
    np.testing.assert_allclose(hot[:, 1:5], [[LEFT, TOP, LEFT + SIDE, TOP + SIDE]] * len(hot), atol=8)
    lines = (scores.folder / "results/regions.csv").read_text("utf-8").splitlines()
    assert len(lines) == 1 + sum(map(len, rows.values()))
    assert lines[0].startswith("video,frame,")


def test_no_region_is_colder_than_the_hottest_place_of_ordinary_normal_video(scores: TestScores) -> None:
    floor = scores.bundle.description.calibration.heat["recovery"].middle
    hot_at(scores, LEFT, TOP, heat=floor * 0.9)
    localise(scores)
    assert [len(rows) for rows in read_scores(scores.folder / "results/regions.npz").values()] == [0, 0]
    hot_at(scores, LEFT, TOP, heat=floor * 1.1)
    localise(scores)
    assert [len(rows) for rows in read_scores(scores.folder / "results/regions.npz").values()] == [12, 12]


def write_tracks(scores: TestScores, left: int) -> None:
    (scores.source.root / "tracks").mkdir()
    for name in ("01", "02"):
        rows = [f"0,{frame},{left},{TOP},{left + SIDE},{TOP + SIDE}" for frame in ANOMALOUS]
        (scores.source.root / "tracks" / f"{name}.txt").write_text("\n".join(rows), "utf-8")


def test_tracks_that_come_with_the_dataset_are_the_truth(scores: TestScores) -> None:
    assert track_folder(scores.source.root) is None
    write_tracks(scores, left=0)
    assert track_folder(scores.source.root) == scores.source.root / "tracks"
    facts = localise(scores)
    assert facts is not None
    assert (facts["pixels_from"], facts["tracks_from"]) == ("masks.npz", "tracks")
    assert (facts["rbdc"], facts["tbdc"]) == (0, 0)
    assert facts["pixel_auc"] > 0.95  # of the masks still


def test_tracks_alone_are_judged_by_regions_alone(scores: TestScores) -> None:
    (scores.source.root / "masks.npz").unlink()
    write_tracks(scores, LEFT)
    facts = localise(scores)
    assert facts is not None
    assert list(facts) == ["tracks_from", "rbdc", "tbdc"]
    assert (facts["rbdc"], facts["tbdc"]) == pytest.approx((1, 1))


def test_an_empty_folder_of_tracks_is_none(scores: TestScores) -> None:
    (scores.source.root / "tracks").mkdir()
    assert track_folder(scores.source.root) is None


def test_without_any_truth_regions_are_written_and_not_judged(scores: TestScores) -> None:
    (scores.source.root / "masks.npz").unlink()
    assert localise(scores) is None
    assert [len(rows) for rows in read_scores(scores.folder / "results/regions.npz").values()] == [12, 12]


def test_masks_without_an_anomaly_leave_nothing_to_judge_but_say_what_they_are(scores: TestScores) -> None:
    write_masks(scores, np.zeros_like(square()))
    facts = localise(scores)
    assert facts is not None
    assert list(facts) == ["pixels_from", "tracks_from"]


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 1])
def test_masks_of_another_number_of_frames_are_refused_with_the_way_out(frames: int, scores: TestScores) -> None:
    write_masks(scores, square(frames))
    with pytest.raises(ValueError, match=rf"{frames} masks of video 01, which has 30 frames; take the masks that"):
        localise(scores)


def test_masks_of_some_videos_only_are_no_truth(scores: TestScores) -> None:
    np.savez(scores.source.root / "masks.npz", **{"01": np.packbits(square(), axis=-1)})  # type: ignore[arg-type]
    assert localise(scores) is None


def test_every_video_is_told(scores: TestScores) -> None:
    told: list[tuple[int, int, str]] = []
    localise(scores, lambda done, total, note="": told.append((done, total, note)))
    assert told == [(0, 2, "01"), (1, 2, "02"), (2, 2, "")]


def test_maps_of_the_fitted_run_are_its_errors_by_place(fitted: Path) -> None:
    run = Run.open(fitted)
    scores = TestScores.load(run, Bundle(run.path("detector")))
    heat = HeatMaps(scores)
    largest = max(float(np.load(scores.folder / f"recovery/maps/{name}.npy").max()) for name in ("01", "02"))
    assert heat.top == pytest.approx(largest / scores.bundle.description.calibration.heat["recovery"].high)
    assert largest > 0
    warm = heat.at("01", FIRST)
    assert warm is not None
    assert 0 < warm.max() <= heat.top
