"""What differs from camera to camera, and that nothing else does."""

import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.plaza.plaza import PlazaSettings, render_frames
from twostream_vad.plaza.scene import EVENTS, Mover, draw_crowd
from twostream_vad.plaza.variety import PLAIN, Pose, Variety
from twostream_vad.plaza.view import Camera

TINY = PlazaSettings(width=64, height=48, training_videos=1, testing_videos=1, frames=6, rate=5.0)
POSE = Pose(up=7.0, back=4.0, right=6.0, turn=-0.5, pitch=0.4, zoom=0.5)
STILL = Variety(ways=(((90.0, 3.0), (99.0, 3.0)),), props=False)
"""Nobody comes into the picture."""


def images(variety: Variety) -> NDArray[np.float64]:
    return np.stack([frame.image.astype(float) for frame in render_frames(TINY, "training", 0, variety)])


def walkers(variety: Variety) -> list[Mover]:
    crowd = draw_crowd(np.random.default_rng(3), Camera(320, 240), 60.0, variety)
    return [walker for walker in crowd if isinstance(walker, Mover)]


@pytest.mark.parametrize("pose", [PLAIN.pose, POSE])
def test_projection_agrees_with_the_rays_of_any_pose(pose: Pose) -> None:
    camera = Camera(64, 48, pose)
    lens = np.array([pose.right, -pose.back, pose.up])
    pixels, _ = camera.project(lens + 7.0 * camera.rays()[[[30], [4]], [[10, 50]]])
    assert pixels == pytest.approx(np.array([[(10.5, 30.5), (50.5, 30.5)], [(10.5, 4.5), (50.5, 4.5)]]))


def test_a_camera_turned_to_the_right_has_in_its_middle_what_lies_there() -> None:
    camera = Camera(64, 48, Pose(up=10.0, back=5.0, right=1.0, turn=0.3, pitch=0.5))
    along = 10.0 / np.tan(0.5)
    pixels, depth = camera.project(np.array([1.0 + along * np.sin(0.3), -5.0 + along * np.cos(0.3), 0.0]))
    assert pixels == pytest.approx((32.0, 24.0))
    assert depth == pytest.approx(10.0 / np.sin(0.5))


def test_what_is_behind_a_camera_is_not_seen() -> None:
    camera = Camera(64, 48, Pose(up=4.0, back=2.0, pitch=0.5))
    assert camera.sees(np.array([[0.0, 6.0], [0.0, -8.0]]), margin=2.2).tolist() == [True, False]


@pytest.mark.parametrize("kind", ["bicycle", "cart", "running"])
def test_traffic_of_a_kind_is_as_fast_as_the_anomaly_and_none(kind: str) -> None:
    crowd = walkers(Variety(traffic=((kind, 1.0),)))
    _, slow, fast = EVENTS[kind]
    assert {walker.kind for walker in crowd} == {kind}
    assert all(slow <= walker.speed <= fast for walker in crowd)
    assert not any(walker.abnormal(walker.moment) for walker in crowd)
    frames = list(render_frames(TINY, "training", 0, Variety(traffic=((kind, 1.0),))))
    assert not any(frame.mask.any() or frame.boxes for frame in frames)


def test_a_share_of_the_crowd_rides() -> None:
    crowd = walkers(Variety(people=200.0, traffic=(("bicycle", 0.3),)))
    single = [walker.kind for walker in crowd]
    assert np.mean([kind == "bicycle" for kind in single]) == pytest.approx(0.3 / (0.3 + 0.7 * 1.2), abs=0.05)


def test_more_people_are_more_walkers() -> None:
    few, many = (len(walkers(Variety(people=people))) for people in (5.0, 30.0))
    assert many / few == pytest.approx(6, rel=0.25)


def test_people_walk_the_ways_that_are_given() -> None:
    crowd = walkers(Variety(ways=(((-9.0, 3.0), (0.0, 3.0), (9.0, 3.0)),)))
    assert all(abs(walker.path.points[:, 1] - 3.0).max() < 1.2 for walker in crowd)


@pytest.mark.parametrize("deviation", [0.0, 3.0])
def test_noise_has_the_deviation_asked_for(deviation: float) -> None:
    grey = images(Variety(gain=0.0, haze=128.0, noise=deviation))
    assert grey.mean() == pytest.approx(128, abs=0.1)
    assert grey.std() == pytest.approx(deviation, abs=0.15)


def test_gain_and_haze_lead_from_one_grey_level_to_the_other() -> None:
    plain, hazy = (images(variety) for variety in (STILL, STILL._replace(gain=0.5, haze=40.0)))
    assert hazy == pytest.approx(0.5 * plain + 40, abs=5)


@pytest.mark.parametrize(
    "other", [{"tile": 3.0}, {"lawn": False}, {"patches": 4}, {"ground": (0.5, 1.0, 1.0)}, {"wall": (0.5, 1.0, 1.0)}]
)
def test_the_background_follows_the_variety(other: dict[str, object]) -> None:
    assert abs(images(STILL._replace(**other)) - images(STILL)).max() > 20  # type: ignore[arg-type]
