"""Folders of images: which files are frames, in which order, and what is said of a faulty folder."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from twostream_vad.video.folders import ImageFolder
from twostream_vad.video.source import VideoError


def write(file: Path, value: int, height: int = 8, width: int = 12) -> None:
    file.write_bytes(cv2.imencode(file.suffix, np.full((height, width, 3), value, np.uint8))[1].tobytes())


def folder_of(folder: Path, *names: str) -> Path:
    """A folder whose n-th file (from 0) is a picture of value n."""
    folder.mkdir(exist_ok=True)
    for value, name in enumerate(names):
        write(folder / name, value)
    return folder


def values(source: ImageFolder) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in source]


@pytest.mark.parametrize(
    "names",
    [
        [f"{n:03d}.png" for n in range(12)],
        [f"{n:06d}.png" for n in range(1, 13)],
        [f"{n}.png" for n in range(12)],
        [f"cam2_frame{n}.tif" for n in range(1, 13)],
        [f"img ({n}).bmp" for n in range(12)],
        [f"{n:04d}.JPG" for n in range(12)],
        [f"{n:03d}.{'png' if n % 2 else 'tiff'}" for n in range(12)],
    ],
)
def test_frames_come_in_the_order_of_their_numbers(tmp_path: Path, names: list[str]) -> None:
    assert values(ImageFolder(folder_of(tmp_path / "v", *names))) == list(range(12))


def test_index_and_time_count_from_zero(tmp_path: Path) -> None:
    source = ImageFolder(folder_of(tmp_path / "v", "1.png", "2.png", "3.png"), rate=10)
    assert [(frame.index, frame.time) for frame in source] == [(0, 0.0), (1, 0.1), (2, 0.2)]


def test_name_is_the_folders(tmp_path: Path) -> None:
    assert ImageFolder(folder_of(tmp_path / "01_0014", "0.png")).name == "01_0014"


def test_the_rate_is_25_unless_given(tmp_path: Path) -> None:
    assert ImageFolder(folder_of(tmp_path / "v", "0.png")).rate == 25


def test_skipped_frames_count_for_time_but_not_for_index(tmp_path: Path) -> None:
    source = ImageFolder(folder_of(tmp_path / "v", "0.png", "1.png", "2.png"), rate=10, skip=1)
    assert len(source) == 2
    assert [(frame.index, frame.time) for frame in source] == [(0, 0.1), (1, 0.2)]
    assert values(source) == [1, 2]


def test_read_gives_what_iteration_gives(tmp_path: Path) -> None:
    source = ImageFolder(folder_of(tmp_path / "v", *(f"{n}.png" for n in range(5))), skip=2)
    for frame in source:
        np.testing.assert_array_equal(source.read(frame.index), frame.image)


def test_many_threads_may_read_one_folder(tmp_path: Path) -> None:
    source = ImageFolder(folder_of(tmp_path / "v", *(f"{n}.png" for n in range(20))))
    with ThreadPoolExecutor(4) as pool:
        read = [int(image[0, 0, 0]) for image in pool.map(source.read, list(range(20)) * 3)]
    assert read == list(range(20)) * 3


@pytest.mark.parametrize(("height", "width"), [(8, 12), (12, 8), (8, 8)])
def test_landscape_portrait_and_square_keep_their_shape(tmp_path: Path, height: int, width: int) -> None:
    write(tmp_path / "0.jpg", 9, height, width)
    assert ImageFolder(tmp_path).read(0).shape == (height, width, 3)


def test_what_is_no_frame_is_passed_over(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", "0.png", "1.png")
    for name in ("._0.png", ".DS_Store", "Thumbs.db", "notes_7.txt"):
        (folder / name).write_bytes(b"no frame")
    (folder / "9.png").mkdir()
    assert len(ImageFolder(folder)) == 2


def test_a_gap_is_named_in_the_folders_own_padding(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", "000.png", "001.png", "003.png")
    with pytest.raises(VideoError, match=r"v: frame 002 is missing between 001\.png and 003\.png"):
        ImageFolder(folder)


def test_a_wide_gap_says_how_much_is_missing(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", "8.png", "9.png", "15.png")
    with pytest.raises(VideoError, match="frame 10 and 4 more are missing"):
        ImageFolder(folder)


def test_two_files_of_one_number_are_both_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", "0.png", "1.png", "001.png")
    with pytest.raises(VideoError, match=r"001\.png and 1\.png are both frame 1"):
        ImageFolder(folder)


def test_a_name_without_a_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"background\.png has no number"):
        ImageFolder(folder_of(tmp_path / "v", "0.png", "background.png"))


def test_every_fifth_frame_is_no_gap(tmp_path: Path) -> None:
    source = ImageFolder(folder_of(tmp_path / "v", *(f"{n:06d}.png" for n in range(0, 60, 5))), rate=5)
    assert [(frame.index, frame.time) for frame in source][:3] == [(0, 0.0), (1, 0.2), (2, 0.4)]
    assert values(source) == list(range(12))


def test_a_gap_in_every_fifth_frame_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", *(f"{n:06d}.png" for n in range(0, 60, 5) if n != 20))
    with pytest.raises(VideoError, match=r"v: frame 000020 is missing between 000015\.png and 000025\.png"):
        ImageFolder(folder)


def test_times_in_names_give_the_order(tmp_path: Path) -> None:
    names = [f"20261125_08{at // 60:02d}{at % 60:02d}.png" for at in range(50, 140, 9)]
    assert values(ImageFolder(folder_of(tmp_path / "v", *names))) == list(range(10))


def test_of_several_numbers_it_is_said_which_was_taken(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", "img_0001_cam2.png", "img_0002_cam2.png", "img_0004_cam2.png")
    with pytest.raises(VideoError, match=r"frame 0003 \(number 1 of 2 in each name\) is missing between img_0002"):
        ImageFolder(folder)


def test_a_copy_is_named_as_one(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", "0000.png", "0001.png", "0001 (1).png", "0002.png")
    with pytest.raises(VideoError, match=r"v: 0001 \(1\)\.png is a copy, which .* left, of 0001\.png; remove it"):
        ImageFolder(folder)


def deep(folder: Path, *largest: int, suffix: str = ".png") -> Path:
    """A folder of 16-bit images; the n-th file has values from 0 to ``largest`` [n]."""
    folder.mkdir()
    for n, value in enumerate(largest):
        image = np.linspace(0, value, 96).round().astype(np.uint16).reshape(8, 12)
        (folder / f"{n:03d}{suffix}").write_bytes(cv2.imencode(suffix, image)[1].tobytes())
    return folder


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_folders_values_are_scaled_by_its_largest(tmp_path: Path, suffix: str, bits: int) -> None:
    source = ImageFolder(deep(tmp_path / "v", 300, (1 << bits) - 1, 3, suffix=suffix))
    assert source.depth == bits
    assert [int(frame.image.max()) for frame in source] == [300 >> (bits - 8), 255, 3 >> (bits - 8)]


def test_eight_bits_in_files_of_sixteen_stay_as_they_are(tmp_path: Path) -> None:
    source = ImageFolder(deep(tmp_path / "v", 5, 77))
    assert [int(frame.image.max()) for frame in source] == [5, 77]


def test_the_depth_is_the_same_for_every_reader_and_whatever_comes_first(tmp_path: Path) -> None:
    folder = deep(tmp_path / "v", *range(40, 1040, 50))
    whole = [frame.image for frame in ImageFolder(folder)]
    source = ImageFolder(folder)
    with ThreadPoolExecutor(4) as pool:
        backwards = list(pool.map(source.read, reversed(range(len(source)))))
    np.testing.assert_array_equal(backwards[::-1], whole)


def test_a_folder_of_eight_bits_is_not_decoded_to_find_its_depth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ImageFolder(folder_of(tmp_path / "v", "0.png", "1.png"))
    monkeypatch.delattr(cv2, "imdecode")
    assert source.depth == 8


def test_images_are_decoded_for_the_depth_once_and_only_until_it_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, shallow = ImageFolder(deep(tmp_path / "v", 9, 40_000, 9, 9)), ImageFolder(deep(tmp_path / "w", 9, 4000, 9))
    decode = Mock(side_effect=cv2.imdecode)
    monkeypatch.setattr(cv2, "imdecode", decode)
    assert (source.depth, source.depth, decode.call_count) == (16, 16, 2)
    assert (shallow.depth, shallow.depth, decode.call_count) == (12, 12, 5)


def test_a_depth_that_is_given_is_taken_and_never_clips(tmp_path: Path) -> None:
    source = ImageFolder(deep(tmp_path / "v", 900, 4095, 5000), depth=12)
    assert [int(source.read(index).max()) for index in (0, 1)] == [900 >> 4, 255]
    with pytest.raises(VideoError, match=r"frame 2: .*002\.png has values up to 5000, .* up to 4095; "):
        source.read(2)


def test_deep_images_behind_one_of_eight_bits_are_refused(tmp_path: Path) -> None:
    folder = deep(tmp_path / "v", 10, 4095)
    write(folder / "000.png", 9)
    with pytest.raises(VideoError, match=r"frame 1: .*001\.png has values up to 4095, .* up to 255; "):
        list(ImageFolder(folder))


def test_a_broken_image_does_not_hide_the_depth_of_the_others(tmp_path: Path) -> None:
    folder = deep(tmp_path / "v", 10, 20, 1000)
    (folder / "000.png").write_bytes(b"")
    assert ImageFolder(folder).depth == 10


@pytest.mark.parametrize("fault", ["empty", "truncated"])
def test_a_broken_image_is_named_with_its_frame(tmp_path: Path, fault: str) -> None:
    folder = folder_of(tmp_path / "v", "000.jpg", "001.jpg", "002.jpg")
    data = (folder / "002.jpg").read_bytes()
    (folder / "002.jpg").write_bytes(b"" if fault == "empty" else data[:-20])
    frames = iter(ImageFolder(folder, skip=1))
    assert next(frames).index == 0
    with pytest.raises(VideoError, match=r"frame 1: .*002\.jpg is"):
        next(frames)


def test_a_frame_of_another_size_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "v", "0.png", "1.png")
    write(folder / "2.png", 2, height=12, width=8)
    with pytest.raises(VideoError, match=r"frame 2: .*2\.png is 8 x 12 pixels, the frames before it 12 x 8"):
        list(ImageFolder(folder))


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no images"):
        ImageFolder(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="nowhere does not exist"):
        ImageFolder(tmp_path / "nowhere")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    write(tmp_path / "0.png", 0)
    with pytest.raises(VideoError, match="is not a folder"):
        ImageFolder(tmp_path / "0.png")


def test_skipping_every_frame_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="has 2 frames, none after the first 2"):
        ImageFolder(folder_of(tmp_path / "v", "0.png", "1.png"), skip=2)


@pytest.mark.parametrize("index", [-1, 2])
def test_a_frame_outside_the_folder_is_refused(tmp_path: Path, index: int) -> None:
    source = ImageFolder(folder_of(tmp_path / "v", "0.png", "1.png"))
    with pytest.raises(VideoError, match=f"frame {index} was asked for"):
        source.read(index)
