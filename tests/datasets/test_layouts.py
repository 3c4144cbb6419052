"""Each layout is made of empty files: finding videos opens none of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from twostream_vad.datasets.dataset import Video
from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.layouts import find_dataset, match_names, natural_key


def make(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def names(videos: tuple[Video, ...]) -> list[str]:
    return [video.name for video in videos]


UCSD = ("Train/Train001/001.tif", "Train/Train002/001.tif", "Test/Test001/001.tif", "Test/Test001_gt/001.bmp")
AVENUE = ("training_videos/01.avi", "training_videos/02.avi", "testing_videos/01.avi")
SHANGHAITECH = (
    "training/videos/01_001.avi",
    "training/videos/01_002.avi",
    "testing/frames/01_0014/000.jpg",
    "testing/test_frame_mask/01_0014.npy",
)
NWPU = ("videos/Train/D001_01.avi", "videos/Train/D012_110.avi", "videos/Test/D001_03.avi", "groundtruth/x.txt")
CORRIDOR = ("Train/000001/000001.avi", "Train/000002/000002.avi", "Test/000209/000209.avi")


@pytest.mark.parametrize(
    ("layout", "files", "training", "testing"),
    [
        ("ped2", UCSD, ["01", "02"], ["01"]),
        ("avenue", AVENUE, ["01", "02"], ["01"]),
        ("shanghaitech", SHANGHAITECH, ["01_001", "01_002"], ["01_0014"]),
        ("corridor", CORRIDOR, ["000001", "000002"], ["000209"]),
        ("nwpu", NWPU, ["D001_01", "D012_110"], ["D001_03"]),
        ("nwpu", ("Train/D001_01.avi", "test_videos/D001_03.avi"), ["D001_01"], ["D001_03"]),
        ("nwpu", ("training/frames/D001_01/0.jpg", "testing/frames/D001_03/0.jpg"), ["D001_01"], ["D001_03"]),
        ("folder", ("Train/a.mp4", "Train/b/0.png", "TEST/c.mkv"), ["a", "b"], ["c"]),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_each_layout_is_found_by_name_and_by_itself(
    tmp_path: Path, layout: str, files: tuple[str, ...], training: list[str], testing: list[str], named: bool
) -> None:
    dataset = find_dataset(make(tmp_path, *files), layout if named else "auto")
    assert (dataset.layout, names(dataset.training), names(dataset.testing)) == (layout, training, testing)


@pytest.mark.parametrize("layout", ["ped2", "avenue", "shanghaitech", "corridor", "nwpu", "ubnormal", "folder"])
def test_the_frames_layout_serves_every_dataset(tmp_path: Path, layout: str) -> None:
    make(tmp_path, "training/frames/01/000.jpg", "testing/frames/02/000.jpg")
    dataset = find_dataset(tmp_path, layout)
    assert (names(dataset.training), names(dataset.testing)) == (["01"], ["02"])


@pytest.mark.parametrize(
    ("wrapper", "files", "layout"),
    [
        ("UCSDped2", UCSD, "ped2"),
        ("Avenue Dataset", AVENUE, "avenue"),
        ("ShanghaiTech", SHANGHAITECH, "shanghaitech"),
        ("NWPUCampusDataset", NWPU, "nwpu"),
    ],
)
def test_the_folder_an_archive_unpacks_to_may_be_given_from_above(
    tmp_path: Path, wrapper: str, files: tuple[str, ...], layout: str
) -> None:
    make(tmp_path / "UCSDped1", "Train/Train001/001.tif")
    make(tmp_path / wrapper, *files)
    dataset = find_dataset(tmp_path)
    assert dataset.layout == layout
    assert names(dataset.training) == names(find_dataset(tmp_path / wrapper).training)


def test_corridors_own_archives_lie_one_deeper(tmp_path: Path) -> None:
    make(tmp_path, "Train_IITB-Corridor/Train/000001/000001.avi", "Test_IITB-Corridor/Test/000209/000209.avi")
    dataset = find_dataset(tmp_path)
    assert (dataset.layout, names(dataset.testing)) == ("corridor", ["000209"])


def test_only_corridor_skips_the_black_first_frame(tmp_path: Path) -> None:
    corridor = find_dataset(make(tmp_path / "c", *CORRIDOR))
    avenue = find_dataset(make(tmp_path / "a", *AVENUE))
    assert {video.skip for video in corridor.training + corridor.testing} == {1}
    assert {video.skip for video in avenue.training + avenue.testing} == {0}


def test_a_nested_video_of_another_set_is_not_taken_for_corridor(tmp_path: Path) -> None:
    dataset = find_dataset(make(tmp_path, "training/gate/gate.mp4"))
    assert (dataset.layout, dataset.training[0].skip) == ("folder", 0)


def test_frames_are_preferred_to_the_video_they_came_from(tmp_path: Path) -> None:
    make(tmp_path, "training/videos/a.avi", "training/videos/b.avi", "training/frames/a/000.jpg")
    dataset = find_dataset(tmp_path)
    assert [video.path.relative_to(tmp_path).as_posix() for video in dataset.training] == [
        "training/frames/a",
        "training/videos/b.avi",
    ]


def test_a_testing_split_may_be_absent(tmp_path: Path) -> None:
    assert find_dataset(make(tmp_path, "training/a.mp4")).testing == ()


def test_videos_without_a_split_are_all_for_training(tmp_path: Path) -> None:
    dataset = find_dataset(make(tmp_path, "b.MP4", "a.avi", "notes.txt", "c/1.jpg"))
    assert (dataset.layout, names(dataset.training), dataset.testing) == ("folder", ["a", "b", "c"], ())


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    make(tmp_path, "training/a.mp4", "training/._a.mp4", "training/.cache/1.jpg", ".training/b.mp4")
    assert names(find_dataset(tmp_path).training) == ["a"]


def test_an_empty_folder_of_frames_is_a_video_that_will_tell_its_fault(tmp_path: Path) -> None:
    make(tmp_path, "training/frames/01/000.jpg")
    (tmp_path / "training/frames/02").mkdir()
    dataset = find_dataset(tmp_path)
    assert names(dataset.training) == ["01", "02"]
    with pytest.raises(ValueError, match="02"):
        dataset.training[1].open()


@pytest.mark.parametrize(
    "files",
    [
        ("training/a.avi", "training/a.mp4"),
        ("Train/Train001/1.tif", "Train/TRAIN001/1.tif"),
        ("a.avi", "a.mkv"),
    ],
)
def test_two_videos_of_one_name_are_refused(tmp_path: Path, files: tuple[str, ...]) -> None:
    with pytest.raises(DatasetError, match="are both video"):
        find_dataset(make(tmp_path, *files))


def test_two_folders_for_one_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="train and training"):
        find_dataset(make(tmp_path, "train/a.mp4", "training/b.mp4"))


def test_an_empty_split_is_refused_with_what_was_looked_for(tmp_path: Path) -> None:
    make(tmp_path, "training/a.mp4", "testing/notes.txt")
    with pytest.raises(DatasetError, match=r"testing holds no videos.*looked for"):
        find_dataset(tmp_path)


@pytest.mark.parametrize("layout", ["auto", "avenue"])
def test_a_folder_without_videos_is_refused(tmp_path: Path, layout: str) -> None:
    with pytest.raises(DatasetError, match="holds no videos"):
        find_dataset(make(tmp_path, "notes.txt"), layout)


def test_a_folder_of_bare_images_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="a folder of their own"):
        find_dataset(make(tmp_path, "000.jpg", "001.jpg"))


def test_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is a file"):
        find_dataset(make(tmp_path, "a.mp4") / "a.mp4")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        find_dataset(tmp_path / "nowhere")


def test_an_unknown_layout_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="'ped3' is unknown"):
        find_dataset(tmp_path, "ped3")


def test_numbers_order_naturally() -> None:
    assert sorted(["v10", "v2", "a_1", "10", "9", "v02"], key=natural_key) == [
        "9",
        "10",
        "a_1",
        "v02",
        "v2",
        "v10",
    ]


def test_names_match_whatever_their_padding() -> None:
    assert match_names(["209", "Test001"], ["000209", "01"]) == {"209": "000209", "Test001": "01"}


def test_an_exact_name_comes_before_one_of_another_padding() -> None:
    assert match_names(["1", "01", "7"], ["01", "02"]) == {"1": "1", "01": "01", "7": "7"}


def test_a_name_that_fits_two_videos_is_left_alone() -> None:
    assert match_names(["001"], ["1", "01"]) == {"001": "001"}


def test_a_rate_is_for_folders_of_images_that_have_none(tmp_path: Path) -> None:
    make(tmp_path, "training/a/1.jpg", "training/b.mp4", "testing/c/1.jpg")
    dataset = find_dataset(tmp_path).at_rate(12.5)
    rates = [(video.name, video.rate) for video in dataset.training + dataset.testing]
    assert rates == [("a", 12.5), ("b", None), ("c", 12.5)]


def test_a_rate_that_is_known_stays(tmp_path: Path) -> None:
    dataset = find_dataset(make(tmp_path, "training/a/1.jpg"))
    known = replace(dataset, training=(replace(dataset.training[0], rate=10.0),))
    assert known.at_rate(25.0) == known


def test_a_rate_changes_nothing_else(tmp_path: Path) -> None:
    dataset = find_dataset(make(tmp_path, *CORRIDOR, "Test/000210/000.jpg"), "corridor")
    changed = dataset.at_rate(5.0)
    assert changed.testing[1].rate == 5.0
    assert replace(changed, testing=dataset.testing) == dataset
    assert replace(changed.testing[1], rate=None) == dataset.testing[1]


def test_no_rate_leaves_the_dataset_as_it_is(tmp_path: Path) -> None:
    dataset = find_dataset(make(tmp_path, "training/a/1.jpg"))
    assert dataset.at_rate(None) is dataset
