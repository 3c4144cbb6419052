"""Reading one image: what comes back, and that no broken file passes for a picture."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.video.images import read_image
from twostream_vad.video.source import VideoError


def picture(height: int = 40, width: int = 60) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encoded(suffix: str, image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """The bytes of an image file; ``image`` is RGB or gray."""
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(suffix, bgr)
    assert done
    return data.tobytes()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp"])
def test_lossless_colour_comes_back_as_rgb(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"0{suffix}"
    file.write_bytes(encoded(suffix, picture()))
    np.testing.assert_array_equal(read_image(file), picture())


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpeg_comes_back_as_rgb(tmp_path: Path, suffix: str) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    file = tmp_path / f"0{suffix}"
    file.write_bytes(encoded(suffix, red))
    assert np.abs(read_image(file).astype(int) - red).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_gray_is_repeated_in_three_channels(tmp_path: Path, suffix: str) -> None:
    gray = picture()[..., 0]
    file = tmp_path / f"0{suffix}"
    file.write_bytes(encoded(suffix, gray))
    np.testing.assert_array_equal(read_image(file), np.stack([gray] * 3, axis=-1))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_keep_their_upper_eight(tmp_path: Path, suffix: str) -> None:
    deep = np.random.default_rng(1).integers(0, 65536, (20, 30), dtype=np.uint16)
    file = tmp_path / f"0{suffix}"
    file.write_bytes(encoded(suffix, deep))
    np.testing.assert_array_equal(read_image(file)[..., 0], deep >> 8)


def test_a_path_outside_ascii_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "行人 überwacht"
    folder.mkdir()
    file = folder / "フレーム_0.png"
    file.write_bytes(encoded(".png", picture()))
    np.testing.assert_array_equal(read_image(file), picture())


def test_the_orientation_tag_turns_nothing(tmp_path: Path) -> None:
    file = tmp_path / "0.jpg"
    plain = encoded(".jpg", picture(40, 60))
    file.write_bytes(plain[:2] + exif_segment(orientation=6) + plain[2:])
    assert read_image(file).shape == (40, 60, 3)


@pytest.mark.parametrize("kept", [0.05, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str, kept: float) -> None:
    data = encoded(suffix, picture())
    file = tmp_path / f"0{suffix}"
    file.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(VideoError, match=rf"0\{suffix} is (cut off|damaged)"):
        read_image(file)


def test_a_thumbnail_does_not_hide_that_the_jpeg_around_it_is_cut_off(tmp_path: Path) -> None:
    plain, small = encoded(".jpg", picture()), encoded(".jpg", picture(8, 8))
    segment = b"\xff\xe2" + (len(small) + 2).to_bytes(2, "big") + small
    file = tmp_path / "0.jpg"
    file.write_bytes((plain[:2] + segment + plain[2:])[: len(segment) + len(plain) // 2])
    with pytest.raises(VideoError, match="cut off"):
        read_image(file)


def test_bytes_after_the_jpegs_end_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "0.jpg"
    file.write_bytes(encoded(".jpg", picture()) + bytes(100))
    assert read_image(file).shape == (40, 60, 3)


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "0.jpg"
    file.touch()
    with pytest.raises(VideoError, match=r"0\.jpg is empty"):
        read_image(file)


def test_text_is_no_image(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    file.write_text("not an image")
    with pytest.raises(VideoError, match=r"0\.png is damaged or not an image"):
        read_image(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"7\.jpg cannot be opened"):
        read_image(tmp_path / "7.jpg")


def exif_segment(orientation: int) -> bytes:
    """An APP1 segment that holds nothing but the orientation."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    body = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
