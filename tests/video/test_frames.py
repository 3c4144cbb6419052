"""One door to folders and files."""

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from twostream_vad.video.frames import FrameSource, ImageFolder, VideoError, VideoFile, count_frames, open_source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "frames"
    folder.mkdir()
    for n in range(4):
        image = cv2.imencode(".png", np.full((16, 16), n, np.uint8))[1]
        (folder / f"{n}.png").write_bytes(image.tobytes())
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "clip.avi"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 16, 16, "yuv420p"
        for n in range(4):
            frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 60 * n, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file


def test_a_folder_opens_as_images(folder: Path) -> None:
    source = open_source(folder)
    assert isinstance(source, ImageFolder)
    assert source.rate == 25


def test_a_file_opens_as_video(file: Path) -> None:
    source = open_source(file)
    assert isinstance(source, VideoFile)
    assert source.rate == 10


def test_rate_and_skip_hold_for_both(folder: Path, file: Path) -> None:
    for path in (folder, file):
        source = open_source(path, rate=50, skip=1)
        assert source.rate == 50
        assert [(frame.index, frame.time) for frame in source] == [(0, 0.02), (1, 0.04), (2, 0.06)]


def test_frames_are_counted_by_decoding(folder: Path, file: Path) -> None:
    sources: list[FrameSource] = [open_source(folder), open_source(file, skip=1)]
    assert [count_frames(source) for source in sources] == [4, 3]


def test_one_image_is_not_a_video(folder: Path) -> None:
    with pytest.raises(VideoError, match="is one image"):
        open_source(folder / "0.png")


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"gone\.avi does not exist"):
        open_source(tmp_path / "gone.avi")
