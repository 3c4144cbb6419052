import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.plaza.figures import WALK, draw_look, person, walking
from twostream_vad.plaza.plaza import PlazaError, PlazaSettings, render_frames, render_plaza
from twostream_vad.plaza.scene import KINDS, Mover, draw_crowd, draw_event, plan_events
from twostream_vad.plaza.scene import Path as Way
from twostream_vad.plaza.view import LAWN, Camera, fill, outlines

TINY = PlazaSettings(width=98, height=72, training_videos=2, testing_videos=3, frames=15, rate=5.0)


@pytest.fixture(scope="module")
def plaza(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered") / "plaza"
    render_plaza(out, TINY)
    return out


def images(settings: PlazaSettings, video: int = 0) -> NDArray[np.uint8]:
    return np.stack([frame.image for frame in render_frames(settings, "testing", video)])


def masks_of(plaza: Path, video: str) -> NDArray[np.bool_]:
    with np.load(plaza / "masks.npz", allow_pickle=False) as packed:
        return np.unpackbits(packed[video], axis=-1, count=TINY.width).astype(bool)


def tracks_of(plaza: Path, video: str) -> NDArray[np.int64]:
    lines = (plaza / "tracks" / f"{video}.txt").read_text().splitlines()
    return np.array([[int(value) for value in line.split(",")] for line in lines]).reshape(-1, 6)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_same_settings_give_the_same_pixels() -> None:
    assert np.array_equal(images(TINY), images(TINY))


def test_another_seed_gives_other_pixels() -> None:
    assert not np.array_equal(images(TINY), images(replace(TINY, seed=2)))


def test_videos_of_one_plaza_differ() -> None:
    assert not np.array_equal(images(TINY, 0), images(TINY, 1))


def test_frames_are_rgb_of_the_size_asked_for() -> None:
    frame = next(render_frames(TINY, "training", 0))
    assert frame.image.dtype == np.uint8
    assert frame.image.shape == (72, 98, 3)
    assert frame.mask.shape == (72, 98)


@pytest.mark.parametrize(("width", "height"), [(60, 96), (80, 80), (160, 60)])
def test_any_shape_of_frame_renders(width: int, height: int) -> None:
    frame = next(render_frames(replace(TINY, width=width, height=height), "testing", 0))
    assert frame.image.shape == (height, width, 3)


@pytest.mark.parametrize("video", [0, 1])
def test_training_has_no_anomaly(video: int) -> None:
    assert not any(frame.mask.any() or frame.boxes for frame in render_frames(TINY, "training", video))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_kind_of_anomaly_is_seen_across_the_test_videos(seed: int) -> None:
    settings = replace(TINY, width=64, height=48, frames=16, rate=1.0, seed=seed)
    frames = (frame for video in range(3) for frame in render_frames(settings, "testing", video))
    assert {box.kind for frame in frames for box in frame.boxes} == set(KINDS)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("videos", "two"), [(6, 1), (10, 2)])
def test_each_test_video_has_one_or_two_events_and_every_kind_occurs(seed: int, videos: int, two: int) -> None:
    plan = plan_events(seed, videos)
    assert sorted(len(kinds) for kinds in plan) == [1] * (videos - two) + [2] * two
    assert {kind for kinds in plan for kind in kinds} == set(KINDS)
    assert all(len(set(kinds)) == len(kinds) for kinds in plan)


def test_a_full_length_test_video_starts_and_ends_normal() -> None:
    settings = PlazaSettings(width=64, height=48, frames=17, rate=1.0)  # 16 seconds, as by default
    for video in range(settings.testing_videos):
        frames = list(render_frames(settings, "testing", video))
        assert not frames[0].boxes
        assert not frames[-1].boxes


def test_labels_are_the_frames_with_a_mask(plaza: Path) -> None:
    with np.load(plaza / "labels.npz", allow_pickle=False) as labels:
        assert sorted(labels) == ["01", "02", "03"]
        for video in labels:
            assert labels[video].dtype == np.uint8
            assert np.array_equal(labels[video], masks_of(plaza, video).any(axis=(1, 2)))


@pytest.mark.parametrize("video", ["01", "02", "03"])
def test_tracks_box_the_mask_exactly(plaza: Path, video: str) -> None:
    masks, boxed = masks_of(plaza, video), np.zeros((TINY.frames, TINY.height, TINY.width), bool)
    for _, frame, x_min, y_min, x_max, y_max in tracks_of(plaza, video):
        box = masks[frame, y_min : y_max + 1, x_min : x_max + 1]
        assert box.shape == (y_max - y_min + 1, x_max - x_min + 1)  # inside the frame
        assert all(edge.any() for edge in (box[0], box[-1], box[:, 0], box[:, -1]))
        boxed[frame, y_min : y_max + 1, x_min : x_max + 1] = True
    assert not (masks & ~boxed).any()


def test_events_say_where_each_track_begins_and_ends(plaza: Path) -> None:
    events = json.loads((plaza / "plaza.json").read_text())["events"]
    for event in events:
        frames = [row[1] for row in tracks_of(plaza, event["video"]) if row[0] == event["track"]]
        assert (event["first"], event["last"]) == (min(frames), max(frames))
    assert {event["kind"] for event in events} <= set(KINDS)


def test_every_frame_of_both_splits_is_written_in_order(plaza: Path) -> None:
    for split, videos in (("training", 2), ("testing", 3)):
        names = sorted(str(f.relative_to(plaza / split)) for f in (plaza / split).rglob("*.jpg"))
        assert names == [f"frames/{v + 1:02d}/{i:06d}.jpg" for v in range(videos) for i in range(TINY.frames)]


def test_pictures_on_disk_are_the_rendered_frames(plaza: Path) -> None:
    read = cv2.imread(str(plaza / "testing" / "frames" / "02" / "000000.jpg"))
    assert read is not None
    error = cv2.cvtColor(read, cv2.COLOR_BGR2RGB).astype(float) - images(TINY, 1)[0]
    assert np.abs(error).mean() < 5


def test_a_complete_plaza_is_left_alone(plaza: Path) -> None:
    before = {f: f.stat().st_mtime_ns for f in plaza.rglob("*")}
    render_plaza(plaza, TINY)
    assert {f: f.stat().st_mtime_ns for f in plaza.rglob("*")} == before


def test_what_an_interrupted_run_left_is_replaced(tmp_path: Path) -> None:
    few = replace(TINY, frames=4)

    def stop(done: int, total: int, note: str = "") -> None:  # noqa: ARG001
        if done == total - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_plaza(tmp_path / "stopped", few, progress=stop)
    assert not (tmp_path / "stopped").exists()
    render_plaza(tmp_path / "stopped", few)
    render_plaza(tmp_path / "left_alone", few)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["left_alone", "stopped"]
    assert tree(tmp_path / "stopped") == tree(tmp_path / "left_alone")


def test_progress_counts_every_frame(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []

    def tell(done: int, total: int, note: str = "") -> None:  # noqa: ARG001
        told.append((done, total))

    few = replace(TINY, frames=2, training_videos=1, testing_videos=1)
    render_plaza(tmp_path / "plaza", few, progress=tell)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_other_settings_in_the_same_folder_are_refused_by_name(plaza: Path) -> None:
    with pytest.raises(PlazaError, match=r"seed 1, not 7.*another folder"):
        render_plaza(plaza, replace(TINY, seed=7))


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PlazaError, match="not a rendered plaza"):
        render_plaza(tmp_path, TINY)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "plaza.json").write_text("{")
    with pytest.raises(PlazaError, match=r"plaza\.json cannot be read"):
        render_plaza(tmp_path, TINY)


@pytest.mark.parametrize(("name", "value"), [("width", 8), ("frames", 0), ("seed", -1), ("rate", 0.0)])
def test_settings_that_cannot_be_rendered_are_refused_by_value(name: str, value: float) -> None:
    with pytest.raises(PlazaError, match=f"{name} must be .*{value}"):
        PlazaSettings(**{name: value})  # type: ignore[arg-type]


def test_walkers_become_smaller_with_distance() -> None:
    camera, look = Camera(320, 240), draw_look(np.random.default_rng(0))
    heights = []
    for away in (6.0, 10.0, 14.0):
        canvas = np.zeros((240, 320), np.uint8)
        shapes = person(look, walking(look.height, WALK, 0.4), np.array([0.0, away]), np.array([1.0, 0.0]))
        for seen in outlines(camera, shapes):
            fill(canvas, seen.outline, (255,))
        heights.append(int(canvas.any(axis=1).sum()))
    assert heights[0] > heights[1] > heights[2] > 20


@pytest.mark.parametrize("phase", np.linspace(0, 6, 7))
def test_a_walkers_lowest_foot_is_on_the_ground(phase: float) -> None:
    feet = walking(1.8, WALK, phase)[2:4, :, 2]
    assert feet.min() == pytest.approx(0.035 * 1.8)  # its sole is that far under the ankle


def on_lawn(path: Way) -> bool:
    left, right, near, far = LAWN
    return any(left < x < right and near < y < far for x, y in map(path.at, np.arange(0, path.marks[-1], 0.1)))


def test_usual_ways_keep_off_the_lawn() -> None:
    crowd = draw_crowd(np.random.default_rng(5), Camera(320, 240), seconds=300.0)
    assert not any(on_lawn(walker.path) for walker in crowd if isinstance(walker, Mover))


def test_the_lawn_walkers_way_crosses_the_lawn() -> None:
    events = [draw_event(np.random.default_rng(i), Camera(320, 240), "lawn", 16.0, 8.0) for i in range(8)]
    assert all(on_lawn(walker.path) for (walker,) in events if isinstance(walker, Mover))
