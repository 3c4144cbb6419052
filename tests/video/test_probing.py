"""What a file says of itself: its rate by its stamps, the right stream, whether it is finished."""

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.video.files import VIDEO_SUFFIXES, VideoFile
from twostream_vad.video.probing import still_written
from twostream_vad.video.remarks import remarks
from twostream_vad.video.source import VideoError

Record = Callable[..., Path]


def kinds(source: VideoFile) -> list[str]:
    """What is remarked of a file that is read to its end."""
    list(source)
    return [remark.kind for remark in remarks(source)]


def test_the_rate_is_that_of_the_stamps_where_the_header_says_another(tmp_path: Path, record: Record) -> None:
    stamps = [round(n * 1000 / 9.2) for n in range(60)]
    path = record(tmp_path / "v.webm", "libvpx", stamps=stamps, frames=60, live="1")
    with av.open(str(path)) as container:
        assert container.duration is None
        assert container.streams.video[0].average_rate == 1000
    assert VideoFile(path).rate == pytest.approx(9.2, rel=0.005)


@pytest.mark.parametrize("rate", [10, 12.5, 25, 30])
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.avi", "v.flv", "v.mov"])
def test_a_steady_rate_is_the_headers_to_the_digit(tmp_path: Path, record: Record, name: str, rate: float) -> None:
    source = VideoFile(record(tmp_path / name, frames=40, rate=rate))
    assert source.rate == pytest.approx(rate, rel=1e-3 if name == "v.flv" else 1e-6)
    assert kinds(source) == []


def test_a_stream_without_stamps_has_the_rate_that_its_coding_tells(tmp_path: Path, record: Record) -> None:
    source = VideoFile(record(tmp_path / "v.h264", rate=10, frames=30))
    assert source.rate == 10
    assert [frame.time for frame in source] == pytest.approx(np.arange(30) / 10)


def test_where_nothing_tells_the_rate_it_is_asked_for(tmp_path: Path, record: Record) -> None:
    path = record(tmp_path / "v.mjpeg", "mjpeg", form="mjpeg", rate=10, frames=5)
    source = VideoFile(path)
    with pytest.raises(VideoError, match=r"v\.mjpeg does not say how many frames it has a second; give the rate"):
        _ = source.rate
    assert len(list(source)) == 5  # to be looked at all the same
    assert VideoFile(path, rate=10).rate == 10


def test_a_variable_rate_is_said_and_times_are_the_stamps(tmp_path: Path, record: Record) -> None:
    steps = np.random.default_rng(1).choice([40, 80, 120], 60)
    stamps = np.cumsum(steps).tolist()
    source = VideoFile(record(tmp_path / "v.mkv", stamps=stamps, frames=60))
    assert kinds(source) == ["variable-rate"]
    assert [frame.time for frame in source] == pytest.approx((np.array(stamps) - stamps[0]) / 1000, abs=1e-3)


def test_a_clock_set_back_between_two_joined_streams_goes_on(tmp_path: Path, record: Record) -> None:
    first = record(tmp_path / "a.ts", frames=50, output_ts_offset="1000").read_bytes()
    second = record(tmp_path / "b.ts", frames=50, output_ts_offset="10").read_bytes()
    (tmp_path / "v.ts").write_bytes(first + second)
    source = VideoFile(tmp_path / "v.ts")
    assert [frame.time for frame in source] == pytest.approx(np.arange(100) / 25, abs=1e-6)
    assert source.corrected == 1
    assert kinds(source) == ["time-gap", "clock-set"]  # FFmpeg calls the last packet before the seam corrupt
    assert source.lost[0][1] == 49


def test_frames_without_stamps_go_on_by_the_usual_step(tmp_path: Path, record: Record) -> None:
    path = record(tmp_path / "v.mkv", options={"bf": "3"}, avoid_negative_ts="disabled", output_ts_offset="-2")
    with av.open(str(path)) as container:
        assert sum(frame.pts is None for frame in container.decode(video=0)) > 20
    assert [frame.time for frame in VideoFile(path)] == pytest.approx(np.arange(100) / 25, abs=1e-6)


def test_the_largest_stream_is_taken_and_it_is_said_that_there_are_two(
    tmp_path: Path, picture: Callable[..., NDArray[np.uint8]]
) -> None:
    path = tmp_path / "v.mp4"
    with av.open(str(path), "w") as container:
        streams: list[Any] = [container.add_stream("libx264", rate=25) for _ in range(2)]
        for stream, size in zip(streams, ((80, 60), (320, 240)), strict=True):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for n in range(20):
            for stream in streams:
                image = picture(n, (stream.width, stream.height))
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode())
    source = VideoFile(path)
    assert {frame.image.shape for frame in source} == {(240, 320, 3)}
    assert kinds(source) == ["several-streams"]


def test_an_interlaced_video_loses_its_comb_and_keeps_every_frame(tmp_path: Path, record: Record) -> None:
    def woven(index: int) -> NDArray[np.uint8]:
        """A bar that moves by two pixels between the even lines and the odd ones."""
        image = np.full((64, 96, 3), 60, np.uint8)
        for parity in (0, 1):
            left = 8 + 2 * (2 * index + parity) % 60
            image[parity::2, left : left + 24] = 220
        return image

    def comb(image: NDArray[np.uint8]) -> float:
        lines = image[:, :, 0].astype(float)
        return float(np.abs(lines[1:-1] - (lines[:-2] + lines[2:]) / 2).mean())

    path = record(
        tmp_path / "v.mp4", frames=20, images=woven, options={"x264-params": "interlaced=1:tff=1", "crf": "8"}
    )
    source = VideoFile(path)
    frames = list(source)
    assert [(frame.index, round(frame.time, 6)) for frame in frames] == [(n, n / 25) for n in range(20)]
    assert comb(woven(10)) > 3
    assert max(comb(frame.image) for frame in frames[1:-1]) < 0.3
    assert kinds(source) == ["interlaced"]
    assert not VideoFile(record(tmp_path / "p.mp4", frames=2)).interlaced


@pytest.mark.parametrize("suffix", ["dav", "264", "265", "h265", "mxf", "insv", "divx", "trp", "m2t", "f4v"])
def test_the_endings_of_recorders_are_videos(suffix: str) -> None:
    assert f".{suffix}" in VIDEO_SUFFIXES


@pytest.mark.parametrize(
    ("suffix", "form", "codec"),
    [("264", "h264", "libx264"), ("265", "hevc", "libx265"), ("mxf", "mxf", "mpeg2video"), ("insv", "mp4", "libx264"),
     ("divx", "avi", "mpeg4"), ("trp", "mpegts", "libx264")],
)  # fmt: skip
def test_what_ffmpeg_decodes_is_read_whatever_its_ending(
    tmp_path: Path, record: Record, suffix: str, form: str, codec: str
) -> None:
    assert len(list(VideoFile(record(tmp_path / f"v.{suffix}", codec, frames=12, form=form)))) == 12


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_an_mp4_whose_index_was_never_written_is_still_being_written_or_unfinished(
    tmp_path: Path, record: Record, kept: float
) -> None:
    path = record(tmp_path / "v.mp4")
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(VideoError, match=r"v\.mp4 has no index \(moov\): still being written, or never finished"):
        VideoFile(path)


def test_a_matroska_file_whose_header_was_never_completed_is_said(tmp_path: Path, record: Record) -> None:
    assert kinds(VideoFile(record(tmp_path / "v.mkv", live="1"))) == ["unfinished"]
    assert kinds(VideoFile(record(tmp_path / "w.mkv"))) == []


@pytest.mark.parametrize("name", ["v.ts", "v.mkv"])
def test_a_file_that_grows_while_it_is_read_is_said(tmp_path: Path, record: Record, name: str) -> None:
    path = record(tmp_path / name)
    source = VideoFile(path)
    for frame in source:
        if frame.index == 50:
            with path.open("ab") as file:
                file.write(bytes(188))
    assert source.grew
    assert "unfinished" in [remark.kind for remark in remarks(source)]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who writes a file")
def test_a_file_that_another_program_writes_is_told(tmp_path: Path, record: Record) -> None:
    path = record(tmp_path / "v.ts", frames=5)
    assert not still_written(path)
    with path.open("ab"):
        assert still_written(path)
    assert not still_written(path)


@pytest.mark.parametrize("word", ["logging.set_level", ".copy_opaque"])
def test_nothing_here_has_pyav_call_python_from_a_decoders_thread(word: str) -> None:
    source = Path(__file__).parents[2] / "src"
    told = [file for file in source.rglob("*.py") if word in file.read_text("utf-8")]
    assert told == []  # it waits for Python, which waits for it where the file is closed


def test_a_stream_that_changes_size_is_read_fifty_times_without_a_hang(tmp_path: Path, record: Record) -> None:
    small, large = record(tmp_path / "a.h264", frames=30), record(tmp_path / "b.h264", frames=30, size=(128, 96))
    (tmp_path / "v.h264").write_bytes(small.read_bytes() + large.read_bytes())
    script = """
        import sys
        from pathlib import Path
        from twostream_vad.video.files import VideoFile
        for _ in range(50):
            try:
                list(VideoFile(Path(sys.argv[1])))
            except ValueError as error:
                assert "changes size at frame 30" in str(error)
            else:
                raise AssertionError("its size changed")
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "v.h264")]
    done = subprocess.run(command, timeout=300, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
