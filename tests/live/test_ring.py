"""What a ring keeps, and clips written from packets: what is in them, by decoders of others where there are any."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from twostream_vad.live import ring as module
from twostream_vad.live.camera import shared_memory
from twostream_vad.live.decoder import Opening, Slots, frames, kept
from twostream_vad.live.ring import Clip, Clips, Encoded, Ring, Times, write

RATE = 25
PLAIN = {"libx264": {"g": "10", "bf": "0", "sc_threshold": "0"}, "mjpeg": {"q": "2"}}


def pictures(count: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    """A square that moves over a slope of gray."""
    found = []
    for index in range(count):
        image = np.repeat(np.linspace(40, 200, width).astype(np.uint8)[None, :, None], height, 0).repeat(3, 2)
        image[10:30, index % 40 : index % 40 + 16] = (220, 60, 90)
        found.append(image)
    return found


def film(
    path: Path, images: list[np.ndarray], codec: str, *, options: dict[str, str], rotation: int = 0
) -> list[Encoded]:
    """Writes a video and gives its packets, each 1/25 s after the one before."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=RATE, options=options)
        assert isinstance(stream, av.VideoStream)
        if rotation:
            stream.set_display_rotation(rotation)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(container.streams.video[0]) if packet.size]
        return [kept(packet, 100 + index / RATE) for index, packet in enumerate(packets)]


def written(source: Path, packets: list[Encoded], path: Path) -> Path:
    with av.open(str(source)) as container:
        write(path, container.streams.video[0], packets)
    return path


def decoded(path: Path, form: str = "rgb24") -> tuple[list[np.ndarray], list[float]]:
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format=form) for frame in frames], [float(frame.time or 0.0) for frame in frames]


def psnr(image: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.astype(float) - other) ** 2)))


def packets(count: int, every: int, *, size: int = 10, step: float = 1 / RATE) -> list[Encoded]:
    return [Encoded(bytes(size), index % every == 0, index * step) for index in range(count)]


def test_a_ring_keeps_fifteen_seconds_from_a_key_frame_on_for_hours() -> None:
    ring = Ring()
    for index, packet in enumerate(packets(3 * 3600 * RATE, 50)):
        ring.push(packet)
        assert ring.size <= 10 * (15 * RATE + 50)
        if index > 16 * RATE and index % 997 == 0:
            found = ring.since(0.0)
            assert found[0].key
            assert 15.0 <= found[-1].arrived - found[0].arrived < 15.0 + 50 / RATE


def test_a_ring_never_holds_more_bytes_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 1000)
    ring = Ring()
    for packet in packets(1000, 30):
        ring.push(packet)
        assert ring.size == sum(len(one.data) for one in ring.since(0.0)) <= 1000


def test_a_longer_gop_is_kept_whole_while_it_fits_and_else_the_next_key_frame_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ring, given = Ring(), packets(1200, 1000)
    for packet in given[:1000]:
        ring.push(packet)
    assert ring.since(30.0) == given[:1000]
    monkeypatch.setattr(module, "MOST", 5000)
    for packet in given[1000:]:
        ring.push(packet)
    assert ring.since(0.0) == given[1000:]


def test_nothing_is_kept_before_the_first_key_frame() -> None:
    ring, given = Ring(), packets(12, 10)
    for packet in given[1:]:
        ring.push(packet)
    assert ring.since(0.0) == given[10:]


@pytest.mark.parametrize(("start", "first"), [(-5.0, 0), (0.39, 0), (0.4, 10), (0.79, 10), (99.0, 20)])
def test_what_is_asked_for_begins_at_the_last_key_frame_before_it(start: float, first: int) -> None:
    ring, given = Ring(), packets(30, 10)
    for packet in given:
        ring.push(packet)
    assert ring.since(start) == given[first:]


def test_times_are_the_stamps_until_these_break_and_then_those_of_arrival() -> None:
    times = Times()
    stamps = [None, 7.0, 7.1, 7.2, 7.2, 7.0, 7.1, None]
    found = [times.read(Encoded(b"", True, 50 + 0.5 * place, stamp)) for place, stamp in enumerate(stamps)]
    assert found == pytest.approx([0.0, 0.5, 0.6, 0.7, 1.2, 1.7, 2.2, 2.7])


def test_times_go_on_even_where_packets_arrive_at_once() -> None:
    times = Times()
    found = [times.read(Encoded(b"", True, 50.0, 7.0)) for _ in range(5)]
    assert all(later > earlier for earlier, later in pairwise(found))


@pytest.mark.parametrize("kind", ["mkv", "mp4", "ts", "flv"])
def test_h264_is_copied_to_the_bit_with_frames_in_their_order(tmp_path: Path, kind: str) -> None:
    source = tmp_path / f"a.{kind}"
    given = film(source, pictures(30), "libx264", options={"g": "10", "bf": "2", "sc_threshold": "0"})
    first = [place for place, packet in enumerate(given) if packet.key][1]
    images, times = decoded(written(source, given[first:], tmp_path / "clip.mp4"), "yuv420p")
    wanted, stamps = decoded(source, "yuv420p")
    assert len(images) == len(wanted[first:])
    assert all(np.array_equal(image, other) for image, other in zip(images, wanted[first:], strict=True))
    assert times == pytest.approx([stamp - stamps[first] for stamp in stamps[first:]], abs=2e-3)


@pytest.mark.parametrize(
    ("codec", "kind", "options"),
    [
        ("mjpeg", "mkv", {"q": "2"}),
        ("mpeg4", "avi", {"qscale": "2", "flags": "+qscale"}),
        ("mpeg4", "mp4", {"qscale": "2", "flags": "+qscale", "bf": "2"}),
        ("libx265", "mp4", {"crf": "12", "x265-params": "log-level=none"}),
    ],
)
def test_other_codecs_become_h264_that_shows_the_same(
    tmp_path: Path, codec: str, kind: str, options: dict[str, str]
) -> None:
    source = tmp_path / f"a.{kind}"
    found, times = decoded(written(source, film(source, pictures(20), codec, options=options), tmp_path / "clip.mp4"))
    with av.open(str(source)) as container:
        wanted = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(found) == len(wanted)
    assert min(psnr(image, other) for image, other in zip(found, wanted, strict=True)) > 32
    assert times == pytest.approx([index / RATE for index in range(20)], abs=1e-3)


def test_a_webcams_pictures_become_h264_even_of_odd_size(tmp_path: Path) -> None:
    images = pictures(10, 65, 49)
    given = [
        Encoded(cv2.imencode(".jpg", image[:, :, ::-1])[1].tobytes(), True, 100 + index / 10)
        for index, image in enumerate(images)
    ]
    write(tmp_path / "clip.mp4", None, given)
    found, times = decoded(tmp_path / "clip.mp4")
    assert found[0].shape == (48, 64, 3)
    assert psnr(cv2.resize(found[5], (65, 49)), images[5]) > 25
    assert times == pytest.approx([index / 10 for index in range(10)], abs=1e-3)


def test_a_stream_that_was_opened_between_two_key_frames_is_copied_too(tmp_path: Path) -> None:
    whole, source = tmp_path / "a.ts", tmp_path / "b.ts"
    film(whole, pictures(60), "libx264", options={"g": "50", "bf": "0", "sc_threshold": "0"})
    with av.open(str(whole)) as container:
        fifth = [packet.pos for packet in container.demux(video=0)][5]
    data = whole.read_bytes()
    source.write_bytes(data[: 3 * 188] + data[fifth:])  # tables of the stream, and no key frame until the 50th
    given: list[Encoded] = []
    with av.open(str(source), options={"analyzeduration": "10000"}) as container:
        stream = container.streams.video[0]
        assert not stream.codec_context.extradata
        for packet in container.demux(stream):
            with suppress(av.FFmpegError):
                packet.decode()
            if packet.size and (given or packet.is_keyframe):
                given.append(kept(packet, 100 + len(given) / RATE))
        write(tmp_path / "clip.mp4", stream, given)
    images = decoded(tmp_path / "clip.mp4")[0]
    wanted = decoded(whole)[0][50:]
    assert len(images) == 10
    assert all(np.array_equal(image, other) for image, other in zip(images, wanted, strict=True))


class Webcam:
    """Twenty pictures as OpenCV gives them."""

    def __init__(self, _: int) -> None:
        self._images = iter(pictures(20))

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def get(self, _: int) -> float:
        return 25.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        image = next(self._images, None)
        return image is not None, None if image is None else image[:, :, ::-1]

    def release(self) -> None:
        pass


def test_a_webcam_has_clips_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Webcam)
    told: list[dict[str, str]] = []
    clips, memory, path = Clips(lambda **line: told.append(line)), shared_memory(), tmp_path / "clip.mp4"
    opening = Opening("webcam:0", "webcam", memory, 20, {}, 1.0, 1.0, paced=True)
    for place, _ in enumerate(frames(opening, Slots(memory, 20), clips)):
        if place == 10:
            clips.begin(str(path), 0.0)
    os.close(memory)
    assert told == [{"kind": "clip", "path": str(path), "why": ""}]
    assert len(decoded(path)[0]) == 20


def test_nothing_to_begin_with_is_no_clip(tmp_path: Path) -> None:
    told: list[str] = []
    clips = Clips(lambda **line: told.append(line["why"]))
    clips.begin(str(tmp_path / "clip.mp4"), 0.0)
    assert told == ["there is no key frame that it could begin with"]


def test_a_copied_clip_of_a_video_filmed_on_its_side_is_upright_too(tmp_path: Path) -> None:
    source = tmp_path / "a.mp4"
    given = film(source, pictures(5), "libx264", options={}, rotation=90)
    with av.open(str(written(source, given, tmp_path / "clip.mp4"))) as container:
        assert next(container.decode(video=0)).rotation == 90


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_constant_stamps_give_a_clip_that_plays_as_it_came(tmp_path: Path, codec: str) -> None:
    source = tmp_path / "a.mkv"
    given = film(source, pictures(20), codec, options=PLAIN[codec])
    given = [Encoded(one.data, one.key, one.arrived, 7.0) for one in given]
    images, times = decoded(written(source, given, tmp_path / "clip.mp4"))
    assert len(images) == 20
    assert times == pytest.approx([index / RATE for index in range(20)], abs=1e-3)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe")
@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_another_reader_sees_h264_of_the_right_length_with_its_index_in_front(tmp_path: Path, codec: str) -> None:
    source = tmp_path / "a.mkv"
    given = film(source, pictures(50), codec, options=PLAIN[codec])
    clip = written(source, given, tmp_path / "clip.mp4")
    words = ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-of", "json", str(clip)]
    (stream,) = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)["streams"]
    assert (stream["codec_name"], stream["pix_fmt"], stream["nb_read_frames"]) == ("h264", "yuv420p", "50")
    assert float(stream["start_time"]) == pytest.approx(0.0, abs=1e-3)
    assert float(stream["duration"]) == pytest.approx(2.0, abs=0.05)
    data = clip.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def clip_of(path: Path, source: Path, given: list[Encoded], then: Callable[[Clip], None]) -> str:
    """Why there is no clip, empty where there is."""
    told: list[str] = []
    with av.open(str(source)) as container:
        clip = Clip(path, given, container.streams.video[0], told.append)
        clip.start()
        then(clip)
        clip.join(20.0)
    (why,) = told
    return why


def test_a_clip_ends_with_the_first_packet_at_its_end(tmp_path: Path) -> None:
    source, path = tmp_path / "a.mkv", tmp_path / "clip.mp4"
    given = film(source, pictures(40), "libx264", options=PLAIN["libx264"])

    def more(clip: Clip) -> None:
        clip.end = 100 + 29.5 / RATE
        for packet in given[15:]:
            clip.put(packet)

    assert clip_of(path, source, given[:15], more) == ""
    assert len(decoded(path)[0]) == 31


def test_a_clip_ends_by_itself_after_its_longest_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.8)
    source, path = tmp_path / "a.mkv", tmp_path / "clip.mp4"
    given = film(source, pictures(40), "libx264", options=PLAIN["libx264"])
    assert clip_of(path, source, given, lambda _: None) == ""
    assert len(decoded(path)[0]) == 21


def test_a_clip_that_falls_too_far_behind_ends_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, path = tmp_path / "a.mkv", tmp_path / "clip.mp4"
    given = film(source, pictures(40), "libx264", options=PLAIN["libx264"])
    monkeypatch.setattr(module, "MOST", sum(len(packet.data) for packet in given[:25]) / 2)
    assert clip_of(path, source, given, lambda _: None) == ""  # all are there before the first is written
    assert len(decoded(path)[0]) == 26


def test_a_clip_that_cannot_be_written_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    source, path = tmp_path / "a.mkv", tmp_path / "none" / "clip.mp4"
    given = film(source, pictures(5), "libx264", options={})
    assert clip_of(path, source, given, Clip.finish) == "No such file or directory"
    assert list(tmp_path.iterdir()) == [source]


def test_packets_that_nothing_can_be_made_of_are_no_clip(tmp_path: Path) -> None:
    source, path = tmp_path / "a.mkv", tmp_path / "clip.mp4"
    film(source, pictures(5), "mjpeg", options={})
    assert clip_of(path, source, [Encoded(b"nothing", True, 0.0)], Clip.finish) == "none of its frames can be decoded"
    assert list(tmp_path.iterdir()) == [source]
