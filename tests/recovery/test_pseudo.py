"""Pseudo-anomalies: what is spoilt, how, and that it can be repeated."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.recovery.extras import EXTRAS
from twostream_vad.recovery.pseudo import KINDS, TURNED, Kind, PseudoVideo, pick_videos, pseudo_videos, turn
from twostream_vad.settings import PseudoSettings
from twostream_vad.video.frames import ImageFolder
from twostream_vad.video.snippets import Snippet

Film = Callable[..., ImageFolder]
SETTINGS = PseudoSettings(angle=(3, 3))


def images(video: PseudoVideo) -> list[NDArray[np.uint8]]:
    return [frame.image for frame in video]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 29, 30, 181])
@pytest.mark.parametrize(("kind", "share"), [("ghosts", 0.5), ("jumps", 0.4), ("rushes", 0.5), ("strays", 0.5)])
def test_labels_are_1_in_the_centred_share(count: int, kind: Kind, share: float, film: Film) -> None:
    video = PseudoVideo(film(frames=count, height=8, width=9), kind, SETTINGS, 0)
    labels = video.labels()
    assert labels.dtype == np.uint8
    assert labels.shape == (count,)
    spoilt = int(count * share)
    before = (count - spoilt) // 2
    # Even the last ghost has the frame after next to be mixed with.
    expected = [1 if before <= t < before + spoilt and t + 2 < count else 0 for t in range(count)]
    assert labels.tolist() == expected


def test_a_ghost_is_the_mean_of_its_frame_and_the_one_after_next_then_turned(film: Film) -> None:
    source = film(frames=12, height=32, width=40)
    video = PseudoVideo(source, "ghosts", SETTINGS, 0)
    found = images(video)
    for t in range(12):
        if t in video.spoilt:
            halves = source.read(t).astype(float), source.read(t + 2).astype(float)
            mixed = np.floor((halves[0] + halves[1]) / 2 + 0.5).astype(np.uint8)
            assert np.array_equal(found[t], turn(mixed, 3))
            assert not np.array_equal(found[t], turn(source.read(t), 3))
        else:
            assert np.array_equal(found[t], turn(source.read(t), 3))


def test_a_jump_takes_a_frame_within_reach(film: Film) -> None:
    source = film(frames=40, height=32, width=40)
    video = PseudoVideo(source, "jumps", SETTINGS.model_copy(update={"reach": 6}), 0)
    turned = {turn(source.read(t), 3).tobytes(): t for t in range(40)}
    taken = [turned[image.tobytes()] for image in images(video)]
    away = [taken[t] - t for t in range(40)]
    assert [t for t in range(40) if away[t] and t not in video.spoilt] == []
    assert max(abs(a) for a in away) == 6
    assert len({away[t] for t in video.spoilt}) > 5


def test_a_jump_ends_at_the_videos_ends(film: Film) -> None:
    source = film(frames=10, height=32, width=40)
    video = PseudoVideo(source, "jumps", SETTINGS.model_copy(update={"reach": 1000}), 0)
    turned = {turn(source.read(t), 3).tobytes(): t for t in range(10)}
    assert {turned[images(video)[t].tobytes()] for t in video.spoilt} <= {0, 9}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_frames_each_time(kind: Kind, film: Film) -> None:
    source, settings = film(frames=16, height=32, width=40), PseudoSettings()
    video = PseudoVideo(source, kind, settings, 4)
    first, again = images(video), images(video)
    anew = images(PseudoVideo(source, kind, settings, 4))
    assert all(np.array_equal(a, b) and np.array_equal(a, c) for a, b, c in zip(first, again, anew, strict=True))


def test_seeds_draw_every_angle_of_the_range(film: Film) -> None:
    source, settings = film(frames=1, height=32, width=40), PseudoSettings()
    turned = {turn(source.read(0), degrees).tobytes(): degrees for degrees in range(-9, 10)}
    drawn = {turned[images(PseudoVideo(source, "ghosts", settings, seed))[0].tobytes()] for seed in range(40)}
    assert drawn == {2, 3, 4, 5}


def test_one_angle_serves_a_whole_video(film: Film) -> None:
    source, settings = film(frames=20, height=32, width=40), PseudoSettings()
    video = PseudoVideo(source, "ghosts", settings, 1)
    normal = [t for t in range(20) if t not in video.spoilt]
    angles = [
        [a for a in range(2, 6) if np.array_equal(turn(source.read(frame.index), a), frame.image)]
        for frame in video
        if frame.index in normal
    ]
    assert angles == [angles[0]] * len(normal)


def to_and_fro(last: int, speed: int, steps: int) -> list[int]:
    """Frames that a part shows which plays ``speed`` times too fast and turns back at both ends, step by step."""
    place, onwards, places = 0, 1, [0]
    for _ in range(steps - 1):
        for _ in range(speed):
            if not 0 <= place + onwards <= last:
                onwards = -onwards
            place += onwards
        places.append(place)
    return places


def differing(video: PseudoVideo) -> NDArray[np.bool_]:
    """Pixels that are not the source's, (frames, H, W)."""
    source = np.array([video.source.read(t) for t in range(len(video))])
    differs: NDArray[np.bool_] = np.not_equal(np.array(images(video)), source).any(axis=3)
    return differs


@pytest.mark.parametrize("kind", ["rushes", "strays"])
def test_a_pasted_part_changes_one_square_of_the_spoilt_frames_alone(kind: Kind, film: Film) -> None:
    video = PseudoVideo(film(frames=24, height=40, width=60), kind, SETTINGS, 4)
    differs = differing(video)
    changed = np.flatnonzero(differs.any(axis=(1, 2))).tolist()
    assert set(changed) <= set(video.spoilt)
    assert len(changed) >= len(video.spoilt) - 1  # at one frame the fast part may pass the video's own time
    rows, columns = np.nonzero(differs.any(axis=0))
    # A quarter to a half of the short side; one that ends at no edge of the picture.
    assert 8 <= np.ptp(rows) + 1 <= 20
    assert 8 <= np.ptp(columns) + 1 <= 20


@pytest.mark.parametrize("speed", [2, 3, 7])
def test_in_the_middle_of_a_rush_the_video_plays_from_its_start_too_fast_to_and_fro(speed: int, film: Film) -> None:
    source = film(frames=24, height=40, width=60)
    video = PseudoVideo(source, "rushes", SETTINGS.model_copy(update={"speed": speed, "rushing": 0.9}), 3)
    found, places = images(video), to_and_fro(23, speed, len(video.spoilt))
    shown = np.array([(found[t] == source.read(p)).all(axis=2) for t, p in zip(video.spoilt, places, strict=True)])
    inside = shown.all(axis=0) & differing(video).any(axis=0)
    assert inside.sum() > 50


def test_where_a_rush_fades_both_times_are_mixed(film: Film) -> None:
    source = film(frames=24, height=40, width=60)
    video = PseudoVideo(source, "rushes", SETTINGS, 3)
    for t, place in zip(video.spoilt, to_and_fro(23, 2, len(video.spoilt)), strict=True):
        own, part, found = (image.astype(int) for image in (source.read(t), source.read(place), images(video)[t]))
        assert (found >= np.minimum(own, part)).all()
        assert (found <= np.maximum(own, part)).all()


@pytest.fixture
def corner(tmp_path: Path) -> ImageFolder:
    """A black video in whose upper right corner, in 8 rows and 12 columns, light flickers."""
    rng, scene = np.random.default_rng(0), np.zeros((40, 60, 3), np.uint8)
    for t in range(20):
        scene[4:12, 40:52] = rng.integers(100, 256, (8, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{t:02d}.png"), scene)
    return ImageFolder(tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_a_rush_lies_where_something_moves(seed: int, corner: ImageFolder) -> None:
    differs = differing(PseudoVideo(corner, "rushes", SETTINGS, seed))
    assert differs[:, 4:12, 40:52].any()


@pytest.mark.parametrize("seed", range(6))
def test_a_stray_shows_what_moves_where_nothing_does(seed: int, corner: ImageFolder) -> None:
    video = PseudoVideo(corner, "strays", SETTINGS, seed)
    differs = differing(video)
    assert not differs[:, 4:12, 40:52].any()
    rows, columns = np.nonzero(differs.any(axis=0))
    lit = np.array(images(video)).astype(int)[:, rows, columns]
    assert lit[: video.spoilt.start].max() == 0
    assert lit[video.spoilt].max() > 100
    assert np.abs(np.diff(lit[video.spoilt], axis=0)).max() > 50  # it flickers there as well


@pytest.mark.parametrize("kind", ["rushes", "strays"])
def test_seeds_draw_other_parts(kind: Kind, film: Film) -> None:
    source = film(frames=16, height=32, width=40)
    drawn = {np.array(images(PseudoVideo(source, kind, SETTINGS, seed))).tobytes() for seed in range(4)}
    assert len(drawn) == 4


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_video_too_short_to_be_spoilt_is_turned_at_most(kind: Kind, count: int, film: Film) -> None:
    source = film(frames=count, height=8, width=9)
    found = images(PseudoVideo(source, kind, SETTINGS, 0))
    for t in range(count):
        assert np.array_equal(found[t], turn(source.read(t), 3) if kind in TURNED else source.read(t))


def test_frames_keep_their_index_and_time(film: Film) -> None:
    source = film(frames=5, height=32, width=40)
    video = PseudoVideo(source, "ghosts", SETTINGS, 0)
    assert [(frame.index, frame.time) for frame in video] == [(t, t / source.rate) for t in range(5)]
    assert (len(video), video.rate, video.path) == (5, source.rate, source.path)
    assert video.name != PseudoVideo(source, "jumps", SETTINGS, 0).name


LANE = range(70, 94)  # rows in which something walks
FIGURE = (12, 24)  # its width and height


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    """120 frames of 120 × 160 pixels: two dark figures walk to the right on one lane, 2 pixels a frame, in turn."""
    folder = tmp_path_factory.mktemp("street")
    rows, columns = np.mgrid[:120, :160]
    scene = np.repeat((150 + (rows // 6 + columns // 9) % 4)[:, :, None], 3, axis=2).astype(np.uint8)
    for t in range(120):
        image = scene.copy()
        for start, colour in ((-10, (60, 40, 20)), (-150, (20, 80, 30))):
            left = max(start + 2 * t, 0)
            image[LANE.start : LANE.stop, left : max(start + 2 * t + FIGURE[0], 0)] = colour
        cv2.imwrite(str(folder / f"{t:03d}.png"), image)
    return ImageFolder(folder)


def extra(source: ImageFolder, kind: Kind, seed: int = 0) -> PseudoVideo:
    return PseudoVideo(source, kind, SETTINGS, seed)


@pytest.mark.parametrize("kind", EXTRAS)
def test_an_extra_is_in_its_box_in_the_frames_that_are_labelled_and_in_no_other(
    kind: Kind, street: ImageFolder
) -> None:
    video = extra(street, kind)
    assert video.acts
    differs, labels = differing(video), video.labels()
    assert set(np.flatnonzero(labels)) <= set(video.spoilt)
    assert labels.sum() >= 12
    for index, changed in enumerate(differs):
        box = video.box(index)
        assert (box is not None) == labels[index] == changed.any()
        if box is not None:
            x0, y0, x1, y1 = box
            assert 0 <= x0 < x1 <= 160
            assert 0 <= y0 < y1 <= 120
            assert changed[y0:y1, x0:x1].sum() >= 0.7 * changed.sum() > 0.7 * 0.3 * (x1 - x0) * (y1 - y0)


@pytest.mark.parametrize("kind", EXTRAS)
def test_extras_are_the_same_each_time_and_others_by_other_seeds(kind: Kind, street: ImageFolder) -> None:
    first, again, other = (np.array(images(extra(street, kind, seed))) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def boxes(video: PseudoVideo) -> list[NDArray[np.int64]]:
    """Of each act its boxes by frame, (frames, 4)."""
    return [np.array([act.box(index) for index in act.seen]) for act in video.acts]


def test_a_hurry_goes_two_to_three_times_too_fast(street: ImageFolder) -> None:
    for way in boxes(extra(street, "hurries")):
        assert 2 * 2 <= np.diff(way[:, 0]).mean() <= 3 * 2


def test_a_giant_is_too_large_and_keeps_its_pace(street: ImageFolder) -> None:
    for way in boxes(extra(street, "giants")):
        sizes = (way[:, 3] - way[:, 1]) / FIGURE[1]
        assert sizes.min() > 1.4
        assert sizes.max() < 2.2 * 28 / 24  # an outline is found a pixel or two farther out
        assert 1.5 * 2 * 0.9 <= np.diff(way[:, 0]).mean() <= 2.2 * 2 * 1.1


def test_a_tumble_lies_on_its_side(street: ImageFolder) -> None:
    for way in boxes(extra(street, "tumbles")):
        assert ((way[:, 2] - way[:, 0]) > 1.5 * (way[:, 3] - way[:, 1])).all()


@pytest.mark.parametrize("seed", range(4))
def test_a_wanderer_walks_at_its_pace_and_size_where_nothing_does(seed: int, street: ImageFolder) -> None:
    for way in boxes(extra(street, "wanderers", seed)):
        assert (way[:, 1] >= LANE.stop).all() or (way[:, 3] <= LANE.start).all()
        assert np.diff(way[:, 0]).mean() == pytest.approx(2)
        assert np.ptp(way[:, 3] - way[:, 1]) <= 2


def test_a_loiterer_stays_where_things_go_all_the_time(street: ImageFolder) -> None:
    video = extra(street, "loiterers")
    (way,) = boxes(video)
    assert video.labels()[video.spoilt].all()
    assert (way == way[0]).all()
    assert way[0, 3] in range(LANE.start, LANE.stop + 4)


def test_what_walks_by_nearer_hides_an_extra(street: ImageFolder) -> None:
    video = extra(street, "wanderers")
    found = images(video)
    for act in video.acts:
        for index in act.seen:
            if act.box(index)[3] <= LANE.start:
                assert np.array_equal(found[index][LANE.start + 8 :], street.read(index)[LANE.start + 8 :])


@pytest.mark.parametrize("kind", EXTRAS)
def test_where_nothing_can_be_followed_a_square_is_pasted_instead(kind: Kind, corner: ImageFolder) -> None:
    video = extra(corner, kind, 4)
    assert video.acts == []
    assert video.labels().tolist() == extra(corner, "strays").labels().tolist()
    rows, columns = np.nonzero(differing(video).any(axis=0))
    box = video.box(10)
    assert box is not None
    assert box[0] <= columns.min() <= columns.max() < box[2]
    assert box[1] <= rows.min() <= rows.max() < box[3]
    assert video.box(video.spoilt.stop) is None
    assert differing(video)[:, 4:12, 40:52].any() == (kind == "hurries")  # a rush is where something moves


def test_what_spoils_the_whole_picture_has_it_as_its_box(film: Film) -> None:
    video = PseudoVideo(film(frames=16, height=32, width=40), "ghosts", SETTINGS, 0)
    assert [video.box(t) for t in range(16)] == [(0, 0, 40, 32) if t in video.spoilt else None for t in range(16)]


def test_no_turn_is_a_flip() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    assert np.array_equal(turn(image, 0), image[:, ::-1])


@pytest.mark.parametrize(("height", "width"), [(9, 9), (12, 8), (11, 8)])
def test_a_half_turn_is_a_flip_and_a_rotation_about_the_centre(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    assert np.array_equal(turn(image, 180), image[::-1])


def test_a_turn_moves_a_spot_as_far_as_it_should() -> None:
    image = np.zeros((101, 101, 3), np.uint8)
    cv2.circle(image, (90, 50), 4, (255, 255, 255), -1)
    turned = turn(image, 5)[..., 0].astype(float)
    ys, xs = np.mgrid[:101, :101]
    centre = (turned * xs).sum() / turned.sum(), (turned * ys).sum() / turned.sum()
    # Flipped to 40 left of the centre, then 5 degrees counter-clockwise: downwards.
    expected = 50 - 40 * np.cos(np.radians(5)), 50 + 40 * np.sin(np.radians(5))
    np.testing.assert_allclose(centre, expected, atol=0.1)


def test_a_turn_leaves_no_dark_corner() -> None:
    assert turn(np.full((40, 60, 3), 200, np.uint8), 5).min() == 200


@pytest.mark.parametrize("kinds", [("ghosts", "jumps"), ("rushes",), KINDS])
def test_every_kind_wanted_is_made_of_the_picked_videos_each_with_a_seed_of_its_own(
    kinds: tuple[Kind, ...], film: Film
) -> None:
    lengths = {"01_a": 8, "01_b": 7, "01_c": 9, "01_d": 8, "02_a": 8}
    videos = {name: film(name, frames, height=8, width=9) for name, frames in lengths.items()}
    settings = SETTINGS.model_copy(update={"videos": 2, "kinds": kinds})
    found = pseudo_videos(videos, settings, Snippet(7, 1, offset=6), seed=7)
    expected = [(name, kind, seed) for kind in kinds for seed, name in ((7, "01_a"), (8, "01_c"), (9, "02_a"))]
    assert [(video.source.name, video.kind, video.seed) for video in found] == expected


def test_videos_without_two_snippets_are_refused(film: Film) -> None:
    with pytest.raises(ValueError, match="no training video is longer than a snippet's 7 frames"):
        pseudo_videos({"a": film("a", 7, height=8, width=9)}, SETTINGS, Snippet(7, 1, offset=6), seed=0)


def test_each_scene_gives_its_share_evenly_spaced() -> None:
    names = [f"{scene}_{number:02d}" for scene in ("01", "02") for number in range(9)] + ["03_00"]
    assert pick_videos(names, 3) == ["01_00", "01_03", "01_06", "02_00", "02_03", "02_06", "03_00"]


def test_names_without_a_scene_are_one_scene() -> None:
    assert pick_videos([f"{number:02d}" for number in range(16)], 5) == ["00", "03", "06", "09", "12"]


def test_no_more_videos_are_picked_than_there_are() -> None:
    assert pick_videos(["a_1", "a_2"], 5) == ["a_1", "a_2"]
