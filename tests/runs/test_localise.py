"""Heat maps and regions of a run: errors put in known places must be found there, and judged so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.recovery.regions import read_regions
from twostream_vad.runs.fitted import calibration, views
from twostream_vad.runs.localise import HeatMaps, localise, track_folder
from twostream_vad.runs.run import Run

HEIGHT, WIDTH, FRAMES, FIRST = 128, 160, 30, 8
WINDOW, STRIDE = 16, 8
PLACES = (128 - WINDOW) // STRIDE + 1
LEFT, TOP, SIDE = 60, 40, 24
"""Where the anomaly is, in every frame from 12 to 23."""
ANOMALOUS = range(12, 24)


@pytest.fixture
def run(copied: Path, plaza: Path, tmp_path: Path) -> Run:
    """A run with small error windows on a dataset of its own, without tracks, whose anomaly is a square."""
    selection = copied / "recovery/selection.json"
    best = json.loads(selection.read_text("utf-8"))[0]
    selection.write_text(json.dumps([{**best, "window": WINDOW}]), "utf-8")
    run = Run.open(copied)
    run.data = Path(shutil.copytree(plaza, tmp_path / "data", ignore=shutil.ignore_patterns("tracks*")))
    write_masks(run, square())
    hot_at(run, LEFT, TOP)
    return run


def square(frames: int = FRAMES) -> NDArray[np.bool_]:
    mask = np.zeros((frames, HEIGHT, WIDTH), np.bool_)
    mask[ANOMALOUS.start : ANOMALOUS.stop, TOP : TOP + SIDE, LEFT : LEFT + SIDE] = True
    return mask


def write_masks(run: Run, mask: NDArray[np.bool_]) -> None:
    packed = np.packbits(mask, axis=-1)
    np.savez(run.data / "masks.npz", **{"01": packed, "02": packed})  # type: ignore[arg-type]


def hot_at(run: Run, left: int, top: int, heat: float = 100.0) -> None:
    """Errors that are ``heat`` in windows whose centre lies in the square at ``left`` and ``top``, in its frames."""
    maps = np.full((FRAMES - FIRST, 3, PLACES, PLACES), 0.01, np.float16)
    centres = np.arange(PLACES) * STRIDE + WINDOW / 2
    down = (centres >= top) & (centres <= top + SIDE)
    for crop, (x0, *_) in enumerate(views(run).boxes(HEIGHT, WIDTH)):
        across = (centres + x0 >= left) & (centres + x0 <= left + SIDE)
        hot = np.outer(down, across)
        maps[ANOMALOUS.start - FIRST : ANOMALOUS.stop - FIRST, crop, hot] = heat
    for name in ("01", "02"):
        np.save(run.path(f"recovery/maps/{name}.npy"), maps)


def test_the_first_frames_have_no_heat_map(run: Run) -> None:
    heat = HeatMaps(run)
    assert heat.offset == FIRST
    assert [heat.at("01", frame) is None for frame in (-1, 0, 7, 8, 29, 30)] == [True, True, True, False, False, True]


def test_heat_lies_where_the_errors_are(run: Run) -> None:
    heat = HeatMaps(run)
    warm = heat.at("02", 15)
    assert warm is not None
    assert warm.shape == (HEIGHT, WIDTH)
    assert heat.top == warm.max() == 100
    rows, columns = np.nonzero(warm > 50)
    assert abs(rows.mean() - (TOP + SIDE / 2)) < 4
    assert abs(columns.mean() - (LEFT + SIDE / 2)) < 4
    normal = heat.at("02", 11)
    assert normal is not None
    assert normal.max() < 0.02


def test_heat_of_errors_in_their_place_is_judged_as_right(run: Run) -> None:
    facts = localise(run)
    assert facts is not None
    assert list(facts) == ["pixel_auc", "localised_frame_auc", "pixels_from", "tracks_from", "rbdc", "tbdc"]
    assert facts["pixels_from"] == facts["tracks_from"] == "masks.npz"
    assert facts["pixel_auc"] > 0.95
    assert (facts["localised_frame_auc"], facts["rbdc"], facts["tbdc"]) == pytest.approx((1, 1, 1))


def test_heat_in_another_place_is_judged_as_wrong(run: Run) -> None:
    hot_at(run, 120, 90)
    facts = localise(run)
    assert facts is not None
    assert facts["pixel_auc"] < 0.7
    # Below the anomalous frames' 0.01 lie the 8 first frames, level with it the 10 other normal ones.
    assert facts["localised_frame_auc"] == pytest.approx((8 + 10 / 2) / 18)
    assert (facts["rbdc"], facts["tbdc"]) == (0, 0)


def test_regions_are_written_with_their_frames_boxes_and_scores(run: Run) -> None:
    localise(run)
    rows = read_regions(run.path("results/regions.npz"))
    assert list(rows) == ["01", "02"]
    hot = rows["01"][rows["01"][:, 5] > 50]
    assert hot[:, 0].tolist() == list(ANOMALOUS)
    np.testing.assert_allclose(hot[:, 1:5], [[LEFT, TOP, LEFT + SIDE, TOP + SIDE]] * len(hot), atol=8)
    lines = run.path("results/regions.csv").read_text("utf-8").splitlines()
    assert len(lines) == 1 + sum(map(len, rows.values()))
    assert lines[0].startswith("video,frame,")


def test_no_region_is_colder_than_an_ordinary_normal_frame(run: Run) -> None:
    floor = calibration(run).recovery.middle
    hot_at(run, LEFT, TOP, heat=floor * 0.9)
    localise(run)
    assert [len(rows) for rows in read_regions(run.path("results/regions.npz")).values()] == [0, 0]
    hot_at(run, LEFT, TOP, heat=floor * 1.1)
    localise(run)
    assert [len(rows) for rows in read_regions(run.path("results/regions.npz")).values()] == [12, 12]


def write_tracks(run: Run, left: int) -> None:
    (run.data / "tracks").mkdir()
    for name in ("01", "02"):
        rows = [f"0,{frame},{left},{TOP},{left + SIDE},{TOP + SIDE}" for frame in ANOMALOUS]
        (run.data / "tracks" / f"{name}.txt").write_text("\n".join(rows), "utf-8")


def test_tracks_that_come_with_the_dataset_are_the_truth(run: Run) -> None:
    assert track_folder(run) is None
    write_tracks(run, left=0)
    assert track_folder(run) == run.data / "tracks"
    facts = localise(run)
    assert facts is not None
    assert (facts["pixels_from"], facts["tracks_from"]) == ("masks.npz", "tracks")
    assert (facts["rbdc"], facts["tbdc"]) == (0, 0)
    assert facts["pixel_auc"] > 0.95  # of the masks still


def test_tracks_alone_are_judged_by_regions_alone(run: Run) -> None:
    (run.data / "masks.npz").unlink()
    write_tracks(run, LEFT)
    facts = localise(run)
    assert facts is not None
    assert list(facts) == ["tracks_from", "rbdc", "tbdc"]
    assert (facts["rbdc"], facts["tbdc"]) == pytest.approx((1, 1))


def test_an_empty_folder_of_tracks_is_none(run: Run) -> None:
    (run.data / "tracks").mkdir()
    assert track_folder(run) is None


def test_without_any_truth_regions_are_written_and_not_judged(run: Run) -> None:
    (run.data / "masks.npz").unlink()
    assert localise(run) is None
    assert [len(rows) for rows in read_regions(run.path("results/regions.npz")).values()] == [12, 12]


def test_masks_without_an_anomaly_leave_nothing_to_judge_but_say_what_they_are(run: Run) -> None:
    write_masks(run, np.zeros_like(square()))
    facts = localise(run)
    assert facts is not None
    assert list(facts) == ["pixels_from", "tracks_from"]


@pytest.mark.parametrize("frames", [FRAMES - 1, FRAMES + 1])
def test_masks_of_another_number_of_frames_are_refused_with_the_way_out(frames: int, run: Run) -> None:
    write_masks(run, square(frames))
    with pytest.raises(ValueError, match=rf"{frames} masks of video 01, which has 30 frames; take the masks that"):
        localise(run)


def test_masks_of_some_videos_only_are_no_truth(run: Run) -> None:
    np.savez(run.data / "masks.npz", **{"01": np.packbits(square(), axis=-1)})  # type: ignore[arg-type]
    assert localise(run) is None


def test_every_video_is_told(run: Run) -> None:
    told: list[tuple[int, int, str]] = []
    localise(run, lambda done, total, note="": told.append((done, total, note)))
    assert told == [(0, 2, "01"), (1, 2, "02"), (2, 2, "")]


def test_maps_of_the_fitted_run_are_its_errors_by_place(fitted: Path) -> None:
    run = Run.open(fitted)
    heat = HeatMaps(run)
    largest = max(float(np.load(run.path(f"recovery/maps/{name}.npy")).max()) for name in ("01", "02"))
    assert heat.top == largest > 0
    warm = heat.at("01", FIRST)
    assert warm is not None
    assert 0 < warm.max() <= heat.top
