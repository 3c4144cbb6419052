"""Reading one image: what comes back, and that no broken file passes for a picture."""

import struct
import zlib
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.video.images import MOST_PIXELS, read_image, significant_bits, stored_bits
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


@pytest.mark.parametrize("depth", [8, 10, 12, 16])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_of_the_bits_that_are_used_the_upper_eight_are_kept(tmp_path: Path, suffix: str, depth: int) -> None:
    deep = np.random.default_rng(1).integers(0, 1 << depth, (20, 30, 3), dtype=np.uint16)
    file = tmp_path / f"0{suffix}"
    file.write_bytes(encoded(suffix, deep))
    np.testing.assert_array_equal(read_image(file, depth), deep >> (depth - 8))


def test_values_beyond_the_bits_that_are_used_are_never_clipped(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    file.write_bytes(encoded(".png", np.array([[0, 4096]], np.uint16)))
    with pytest.raises(VideoError, match=r"0\.png has values up to 4096, the images beside it up to 4095; "):
        read_image(file, 12)


def test_the_bits_that_are_used_change_nothing_in_a_file_of_eight(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    file.write_bytes(encoded(".png", picture()))
    np.testing.assert_array_equal(read_image(file, 12), picture())


@pytest.mark.parametrize(
    ("largest", "bits"), [(0, 8), (255, 8), (256, 9), (1023, 10), (4095, 12), (4096, 13), (65535, 16)]
)
def test_the_largest_value_tells_the_bits_that_are_used(tmp_path: Path, largest: int, bits: int) -> None:
    file = tmp_path / "0.tif"
    file.write_bytes(encoded(".tif", np.array([[0, largest]], np.uint16)))
    assert (significant_bits(file), stored_bits(file)) == (bits, 16)


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_values_that_a_tiff_packs_bit_by_bit_keep_their_upper_eight(tmp_path: Path, bits: int) -> None:
    values = np.random.default_rng(2).integers(0, 1 << bits, 64)
    text = "".join(f"{value:0{bits}b}" for value in values)
    file = tmp_path / "0.tif"
    file.write_bytes(tiff(8, 8, bits, bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))))
    np.testing.assert_array_equal(read_image(file)[..., 0].ravel(), values >> (bits - 8))


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.int32])
def test_values_that_are_no_levels_are_refused(tmp_path: Path, dtype: type[np.generic]) -> None:
    file = tmp_path / "0.tif"
    done, data = cv2.imencode(".tif", np.ones((8, 8), dtype))
    assert done
    file.write_bytes(data.tobytes())
    with pytest.raises(VideoError, match=r"0\.tif holds values of (16|32) bits that are no plain levels; save it"):
        read_image(file)


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


def test_what_is_another_kind_inside_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "0.jpg"
    file.write_bytes(encoded(".webp", picture()))
    with pytest.raises(VideoError, match=r"0\.jpg is .* not an image that is JPEG, PNG, TIFF or BMP inside"):
        read_image(file)


HUGE = 100_000
BOMBS = {
    "png": lambda: png(HUGE, HUGE),
    "jpg": lambda: resized_jpeg(65_000, 65_000),
    "bmp": lambda: encoded(".bmp", picture())[:18] + struct.pack("<ii", HUGE, -HUGE) + encoded(".bmp", picture())[26:],
    "tif": lambda: tiff(HUGE, HUGE, 8, b""),
    "big.tif": lambda: tiff(HUGE, HUGE, 8, b"", big=True),
    "rows.tif": lambda: tiff(8, 8, 8, bytes(64), rows=1 << 24),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_more_pixels_than_a_frame_has_are_refused_before_room_is_made(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2, "imdecode")
    file = tmp_path / f"0.{kind}"
    file.write_bytes(BOMBS[kind]())
    with pytest.raises(VideoError, match=r"claims \d+ x \d+ pixels, more than 67 million; resize it"):
        read_image(file)


def test_the_limit_is_of_pixels_not_of_sides(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    file.write_bytes(png(MOST_PIXELS // 4, 4))
    assert stored_bits(file) == 8
    file.write_bytes(png(MOST_PIXELS // 4, 5))
    with pytest.raises(VideoError, match="more than 67 million"):
        stored_bits(file)


def test_a_file_larger_than_any_frame_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "0.png"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(VideoError, match=r"0\.png has 1099511627776 bytes, more than any frame"):
        read_image(file)


def test_a_chunk_that_claims_more_than_the_file_holds_is_refused_before_room_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(cv2, "imdecode")
    data = encoded(".png", picture())
    file = tmp_path / "0.png"
    file.write_bytes(data[:33] + b"\x7f\xff\xff\xff" + data[37:])
    with pytest.raises(VideoError, match="cut off"):
        read_image(file)


def test_of_an_animated_png_the_still_picture_is_read_and_nothing_else_reaches_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still, file = encoded(".png", picture()), tmp_path / "0.png"
    control = struct.pack(">IIIIIHHBB", 0, 60, 40, 0, 0, 1, 1, 0, 0)
    before = chunk(b"acTL", struct.pack(">II", 2, 0)) + chunk(b"fcTL", control)
    file.write_bytes(still[:33] + before + still[33:-12] + chunk(b"fdAT", bytes(50)) + still[-12:])
    decode = Mock(side_effect=cv2.imdecode)
    monkeypatch.setattr(cv2, "imdecode", decode)
    np.testing.assert_array_equal(read_image(file), picture())
    assert decode.call_args.args[0].tobytes() == still


def test_a_jpeg_with_more_scans_than_any_encoder_makes_is_refused(tmp_path: Path) -> None:
    done, array = cv2.imencode(".jpg", picture(), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])
    assert done
    data, file = array.tobytes(), tmp_path / "0.jpg"
    file.write_bytes(data)
    assert read_image(file).shape == (40, 60, 3)
    file.write_bytes(data[:-2] + data[data.rfind(b"\xff\xda") : -2] * 100 + data[-2:])
    with pytest.raises(VideoError, match="damaged"):
        read_image(file)


def test_a_jpeg_of_nothing_but_segments_is_given_up(tmp_path: Path) -> None:
    data, file = encoded(".jpg", picture()), tmp_path / "0.jpg"
    file.write_bytes(data[:2] + b"\xff\xfe\x00\x02" * 1000 + data[2:])
    assert read_image(file).shape == (40, 60, 3)
    file.write_bytes(data[:2] + b"\xff\xfe\x00\x02" * 10_000 + data[2:])
    with pytest.raises(VideoError, match="damaged"):
        read_image(file)


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_damage_anywhere_gives_a_picture_or_one_line(tmp_path: Path, suffix: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(encoded(suffix, picture()))
    for at in (*rng.integers(0, len(data), 3), *rng.integers(0, 120, 2), -rng.integers(1, 200)):
        data[at] = rng.integers(256)
    file = tmp_path / f"0{suffix}"
    file.write_bytes(data)
    try:
        said = str(read_image(file).shape[2])
    except VideoError as error:
        said = str(error)
    assert said == "3" or (said.startswith(f"{file} ") and "\n" not in said)


def png(width: int, height: int) -> bytes:
    """A gray PNG that says this size; of pixels it has none."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    """One of a PNG's."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def resized_jpeg(width: int, height: int) -> bytes:
    data = encoded(".jpg", picture())
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def tiff(width: int, height: int, bits: int, pixels: bytes, *, rows: int = 0, big: bool = False) -> bytes:
    """A gray TIFF of one strip, or a BigTIFF."""
    start = 16 if big else 8
    tags = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: start, 277: 1, 278: rows or height}
    tags[279] = len(pixels)
    entry, head, count = ("<HHQQ", "<4sHHQ", "<Q") if big else ("<HHII", "<4sI", "<H")
    first = struct.pack(head, b"II+\0", 8, 0, start + len(pixels)) if big else b""
    first = first or struct.pack(head, b"II*\0", start + len(pixels))
    entries = b"".join(struct.pack(entry, tag, 4, 1, value) for tag, value in tags.items())
    return first + pixels + struct.pack(count, len(tags)) + entries + bytes(8)


def exif_segment(orientation: int) -> bytes:
    """An APP1 segment that holds nothing but the orientation."""
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    body = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"
    return b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
