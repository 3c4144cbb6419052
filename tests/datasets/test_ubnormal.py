"""UBnormal: its lists of videos, its track files, and masks that number normal people too."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.labels import find_labels, read_labels
from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.datasets.masks import find_masks, open_masks

NORMAL, ABNORMAL, LEARNED = "normal_scene_2_scenario_3", "abnormal_scene_2_scenario_1", "normal_scene_1_scenario1_10"
FRAMES = 5
SIZE = (6, 8)
ONE, TWO, THREE = (slice(0, 2), slice(0, 2)), (slice(2, 4), slice(2, 4)), (slice(4, 6), slice(4, 6))
"""Where three people stand; the first is normal throughout."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in (NORMAL, ABNORMAL, LEARNED, "abnormal_scene_1_scenario_4", "normal_scene_1_scenario_7"):
        scene = tmp_path / f"Scene{name.split('_')[2]}"
        scene.mkdir(exist_ok=True)
        (scene / f"{name}.mp4").touch()
        (scene / f"{name}_annotations").mkdir()
        for frame in range(FRAMES):
            mask = np.zeros(SIZE, np.uint8)
            mask[ONE], mask[TWO], mask[THREE] = 1, 2, 7
            cv2.imwrite(str(scene / f"{name}_annotations/{name}_{frame:04d}_gt.png"), mask)
    tracks(tmp_path).write_text("2,1,2\n7.0,2.0,3.0\n")
    for file, names in (
        ("normal_training", [LEARNED, "normal_scene_9_scenario_1"]),
        ("abnormal_training", ["abnormal_scene_1_scenario_4"]),
        ("normal_validation", ["normal_scene_1_scenario_7"]),
        ("normal_test", [NORMAL]),
        ("abnormal_test", [ABNORMAL]),
    ):
        (tmp_path / f"{file}_video_names.txt").write_text("\n".join(names))
    return tmp_path


def tracks(root: Path) -> Path:
    return root / f"Scene2/{ABNORMAL}_annotations/{ABNORMAL}_tracks.txt"


def counts() -> dict[str, int]:
    return {NORMAL: FRAMES, ABNORMAL: FRAMES}


@pytest.mark.parametrize("layout", ["auto", "ubnormal"])
def test_it_learns_from_listed_normal_videos_and_is_tested_on_both_lists(root: Path, layout: str) -> None:
    found = find_dataset(root, layout)
    assert found.layout == "ubnormal"
    assert [video.name for video in found.training] == [LEARNED]
    assert [video.name for video in found.testing] == [ABNORMAL, NORMAL]


def test_the_folder_above_may_be_given_and_lists_lie_in_scripts(
    root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    above = tmp_path_factory.mktemp("above")
    (root / "scripts").mkdir()
    for file in root.glob("*_video_names.txt"):
        file.rename(root / "scripts" / file.name)
    (above / "UBnormal").symlink_to(root)
    found = find_dataset(above)
    assert [video.name for video in found.testing] == [ABNORMAL, NORMAL]
    labels = find_labels(found, counts=counts)
    assert labels is not None
    assert labels[ABNORMAL].tolist() == [0, 1, 1, 1, 0]


def test_without_the_lists_it_says_where_they_are(root: Path) -> None:
    (root / "abnormal_test_video_names.txt").unlink()
    with pytest.raises(DatasetError, match=r"has no abnormal_test_video_names\.txt; put it there"):
        find_dataset(root)


def test_a_frame_is_anomalous_while_a_track_goes_on_counted_from_0(root: Path) -> None:
    labels = find_labels(find_dataset(root), counts=counts)
    assert labels is not None
    assert {name: values.tolist() for name, values in labels.items()} == {
        ABNORMAL: [0, 1, 1, 1, 0],
        NORMAL: [0] * FRAMES,
    }


def test_masks_leave_normal_people_out(root: Path) -> None:
    masks = find_masks(find_dataset(root))
    assert masks is not None
    expected = np.zeros((FRAMES, *SIZE), dtype=bool)
    expected[1:3][:, TWO[0], TWO[1]] = True
    expected[2:4][:, THREE[0], THREE[1]] = True
    np.testing.assert_array_equal(np.stack(list(masks.frames(ABNORMAL, SIZE))), expected)
    assert not np.stack(list(masks.frames(NORMAL, SIZE))).any()


def test_masks_and_labels_agree(root: Path) -> None:
    masks, labels = find_masks(find_dataset(root)), find_labels(find_dataset(root), counts=counts)
    assert masks is not None
    assert labels is not None
    assert masks.frame_labels(ABNORMAL).tolist() == labels[ABNORMAL].tolist()


@pytest.mark.parametrize("given", ["Scene2", f"Scene2/{ABNORMAL}_annotations"])
def test_its_masks_given_as_labels_are_refused_by_name(root: Path, given: str) -> None:
    for read in (read_labels, open_masks):
        with pytest.raises(DatasetError, match=r"_\d{4}_gt\.png is one of UBnormal's masks, .* normal people too; "):
            read(root / given)


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        (None, "is not there"),
        ("2,1\n", "is no rows"),
        ("2,x,3\n", "is no rows"),
        ("2,inf,3\n", "is no rows"),
        ("2,1e30,1e30\n", "is no rows"),
        ("2,3,5\n", "interval 3-5 does not lie within the frames 0-4"),
    ],
)
def test_a_damaged_track_file_is_named(root: Path, rows: str | None, what: str) -> None:
    tracks(root).unlink() if rows is None else tracks(root).write_text(rows)
    with pytest.raises(DatasetError, match=rf"{ABNORMAL}_tracks\.txt.*{what}.*; "):
        find_labels(find_dataset(root), counts=counts)


def test_a_missing_mask_is_told(root: Path) -> None:
    (root / f"Scene2/{ABNORMAL}_annotations/{ABNORMAL}_0002_gt.png").unlink()
    masks = find_masks(find_dataset(root))
    assert masks is not None
    with pytest.raises(DatasetError, match="not numbered from 0000 on without gaps"):
        masks.frame_labels(ABNORMAL)


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (np.zeros(SIZE, np.uint16), "no mask of object numbers"),
        (np.dstack([np.zeros(SIZE), np.ones(SIZE), np.zeros(SIZE)]), "no mask of object numbers"),
        (None, "damaged or cut off"),
    ],
)
def test_a_mask_of_another_kind_is_refused(root: Path, image: np.ndarray | None, what: str) -> None:
    path = root / f"Scene2/{ABNORMAL}_annotations/{ABNORMAL}_0002_gt.png"
    if image is None:
        path.write_bytes(path.read_bytes()[:-20])
    else:
        cv2.imwrite(str(path), image)
    masks = find_masks(find_dataset(root))
    assert masks is not None
    with pytest.raises(DatasetError, match=what):
        masks.frame_labels(ABNORMAL)
