"""Video files: frames, times, and what is said of a file that breaks. All files are made here."""

import gc
import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.video.files import VideoFile
from twostream_vad.video.source import VideoError

FRAMES = 40


def write_clip(
    file: Path,
    codec: str = "mpeg4",
    frames: int = FRAMES,
    size: tuple[int, int] = (64, 48),
    rate: int = 20,
    rotation: int = 0,
    **options: str,
) -> Path:
    """A clip of size (width, height): noise on a gray ground that brightens by 4 a frame."""
    rng = np.random.default_rng(0)
    with av.open(str(file), "w", options={key: value for key, value in options.items() if value}) as container:
        stream: Any = container.add_stream(codec, rate=rate)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if rotation:
            stream.set_display_rotation(rotation)
        stream.gop_size = 12
        stream.bit_rate = 4_000_000  # enough to keep the ground's gray to the value
        for n in range(frames):
            image = np.full((size[1], size[0], 3), 40 + 4 * n, np.uint8)
            image[:, :8] = rng.integers(0, 256, (size[1], 8, 3))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        if not frames:
            container.start_encoding()
        container.mux(stream.encode())
    return file


def cut(file: Path, kept: float) -> Path:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * kept)])
    return file


def place_of_frame(file: Path, index: int) -> tuple[int, int]:
    """First byte of a frame in its file, and the one past its last."""
    with av.open(str(file)) as container:
        entry = container.streams.video[0].index_entries[index]
        return entry.pos, entry.pos + entry.size


def ground(image: NDArray[np.uint8]) -> float:
    return float(image[20:, 40:].mean())


# No MPEG-1 program stream: there FFmpeg has to guess some of the times.
TIMED = ("clip.mp4", "clip.avi", "old.avi", "clip.mkv", "clip.ts", "clip.h264")

KINDS = {
    "clip.mp4": "libx264",
    "clip.avi": "mpeg4",
    "old.avi": "mjpeg",
    "clip.mkv": "libx264",
    "clip.ts": "libx264",
    "clip.mpg": "mpeg2video",
    "clip.h264": "libx264",
}


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_comes_once_and_in_order(tmp_path: Path, name: str) -> None:
    source = VideoFile(write_clip(tmp_path / name, KINDS[name], rate=25))
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [ground(frame.image) for frame in frames] == pytest.approx(40 + 4 * np.arange(FRAMES), abs=1.9)


@pytest.mark.parametrize("name", TIMED)
def test_time_starts_at_zero_and_advances_by_the_rate(tmp_path: Path, name: str) -> None:
    source = VideoFile(write_clip(tmp_path / name, KINDS[name], rate=25))
    assert source.rate == 25
    assert [frame.time for frame in source] == pytest.approx(np.arange(FRAMES) / 25, abs=1e-3)


def test_frames_are_rgb(tmp_path: Path) -> None:
    file = tmp_path / "red.avi"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        red = np.zeros((32, 32, 3), np.uint8)
        red[..., 0] = 200
        container.mux(stream.encode(av.VideoFrame.from_ndarray(red, format="rgb24")))
        container.mux(stream.encode())
    (frame,) = VideoFile(file)
    assert frame.image.dtype == np.uint8
    assert frame.image.reshape(-1, 3).mean(axis=0) == pytest.approx([200, 0, 0], abs=4)


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (48, 48), (50, 34)])
def test_landscape_portrait_and_square_keep_their_shape(tmp_path: Path, size: tuple[int, int]) -> None:
    source = VideoFile(write_clip(tmp_path / "v.mp4", "libx264", frames=2, size=size))
    assert {frame.image.shape for frame in source} == {(size[1], size[0], 3)}


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_a_video_filmed_on_its_side_is_turned_upright(tmp_path: Path, rotation: int) -> None:
    plain = next(iter(VideoFile(write_clip(tmp_path / "a.mp4", "libx264", frames=2))))
    turned = next(iter(VideoFile(write_clip(tmp_path / "b.mp4", "libx264", frames=2, rotation=rotation))))
    np.testing.assert_array_equal(turned.image, np.rot90(plain.image, rotation // 90))


def test_it_can_be_iterated_again(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "v.avi", frames=5))
    assert len(list(source)) == len(list(source)) == 5


def test_two_iterations_do_not_disturb_each_other(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "v.avi", frames=5))
    assert all(a.index == b.index for a, b in zip(source, source, strict=True))


def test_skipped_frames_count_for_time_but_not_for_index(tmp_path: Path) -> None:
    frame = next(iter(VideoFile(write_clip(tmp_path / "v.avi", rate=20), skip=3)))
    assert frame.index == 0
    assert frame.time == pytest.approx(0.15)
    assert ground(frame.image) == pytest.approx(52, abs=1.9)


def test_a_given_rate_replaces_the_files(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "v.avi", frames=3, rate=20), rate=10)
    assert source.rate == 10
    assert [frame.time for frame in source] == [0.0, 0.1, 0.2]


def test_a_name_outside_ascii_or_with_a_colon_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "v.avi", frames=2).rename(tmp_path / "T12:30 监控.avi")
    assert len(list(VideoFile(Path("T12:30 监控.avi")))) == 2


def open_files(file: Path) -> int:
    links = (Path("/proc/self/fd") / fd for fd in os.listdir("/proc/self/fd"))  # noqa: PTH208
    return sum(link.exists() and link.resolve() == file for link in links)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's list of open files")
def test_an_abandoned_iteration_closes_the_file(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "v.mp4", "libx264")
    for _ in VideoFile(file):
        assert open_files(file) == 1
        break
    gc.collect()
    assert open_files(file) == 0


@pytest.mark.parametrize("kept", [0.3, 0.77, 0.95])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "old.avi", "clip.mkv"])
def test_a_truncated_video_gives_what_is_there_and_then_names_the_frame_it_breaks_at(
    tmp_path: Path, name: str, kept: float
) -> None:
    fast = "faststart" if name.endswith("mp4") else ""
    seen: list[float] = []
    with pytest.raises(VideoError) as caught:
        seen.extend(
            ground(frame.image)
            for frame in VideoFile(cut(write_clip(tmp_path / name, KINDS[name], movflags=fast), kept))
        )
    assert f"{name} breaks at frame {len(seen)}" in str(caught.value)
    assert kept * FRAMES - 8 < len(seen) < FRAMES
    whole = seen[:-3]  # those before a frame that is missing, see VideoFile
    assert whole == pytest.approx(40 + 4 * np.arange(len(whole)), abs=1.9)


def test_a_video_cut_between_two_frames_breaks_too(tmp_path: Path) -> None:
    file = write_clip(tmp_path / "v.mp4", "libx264", movflags="faststart")
    start, _ = place_of_frame(file, FRAMES // 2)
    file.write_bytes(file.read_bytes()[:start])
    with pytest.raises(VideoError, match=rf"breaks at frame \d+ of {FRAMES}"):
        list(VideoFile(file))


def test_a_change_of_size_is_named_with_its_frame(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "a.h264", "libx264", frames=6).read_bytes()
    large = write_clip(tmp_path / "b.h264", "libx264", frames=6, size=(80, 48)).read_bytes()
    (tmp_path / "v.h264").write_bytes(small + large)
    with pytest.raises(VideoError, match=r"changes size at frame 6 .* to 80 x 48"):
        list(VideoFile(tmp_path / "v.h264"))


def test_a_video_of_no_frames_is_named(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "v.avi", frames=0))
    with pytest.raises(VideoError, match=r"v\.avi has no frames"):
        list(source)


def test_skipping_every_frame_is_refused(tmp_path: Path) -> None:
    source = VideoFile(write_clip(tmp_path / "v.avi", frames=2), skip=2)
    with pytest.raises(VideoError, match="has 2 frames, none after the first 2"):
        list(source)


def test_sound_alone_is_no_video(tmp_path: Path) -> None:
    file = tmp_path / "v.wav"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError, match="no video stream"):
        VideoFile(file)


def test_text_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_text("no video\n" * 100)
    with pytest.raises(VideoError, match=r"v\.mp4 breaks before frame 0: not a video"):
        VideoFile(tmp_path / "v.mp4")


def test_an_empty_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").touch()
    with pytest.raises(VideoError, match=r"v\.mp4 is empty"):
        VideoFile(tmp_path / "v.mp4")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"v\.mp4 does not exist"):
        VideoFile(tmp_path / "v.mp4")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="is not a file"):
        VideoFile(tmp_path)
