"""Damage in the middle of a recording: it is read on, and every frame keeps its number and its time."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from twostream_vad.video import decoding
from twostream_vad.video.files import VideoFile
from twostream_vad.video.frames import Frame

Record = Callable[..., Path]
FRAMES, RATE = 100, 25


def zeroed(path: Path, at: float, count: int = 3000) -> Path:
    """Writes zeros over ``count`` bytes from the share ``at`` of the file on."""
    data = bytearray(path.read_bytes())
    first = int(at * len(data))
    data[first : first + count] = bytes(count)
    path.write_bytes(data)
    return path


def read(path: Path) -> tuple[VideoFile, list[Frame]]:
    source = VideoFile(path)
    return source, list(source)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("at", [0.3, 0.5, 0.7, 0.85])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "ts"])
def test_behind_damage_every_frame_has_its_own_number_time_and_picture(
    tmp_path: Path, record: Record, kind: str, at: float, codec: str
) -> None:
    whole = list(VideoFile(record(tmp_path / f"whole.{kind}", codec)))
    damaged = tmp_path / f"v.{kind}"
    damaged.write_bytes((tmp_path / f"whole.{kind}").read_bytes())
    source, frames = read(zeroed(damaged, at))
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(FRAMES) / RATE, abs=2e-3)
    assert source.lost == tuple(_stretches([frame.index for frame in frames if frame.lost]))
    assert 0 < sum(frame.lost for frame in frames) <= 55
    for frame, true in zip(frames, whole, strict=True):
        if not frame.lost:  # nothing that was predicted from damage is given out as whole
            np.testing.assert_array_equal(frame.image, true.image)


def _stretches(lost: list[int]) -> list[tuple[int, int]]:
    starts = [frame for frame in lost if frame - 1 not in lost]
    ends = [frame for frame in lost if frame + 1 not in lost]
    return list(zip(starts, ends, strict=True))


def test_a_hole_at_the_start_is_lost_too_and_shows_the_first_whole_picture(tmp_path: Path, record: Record) -> None:
    path = record(tmp_path / "v.mkv")
    with av.open(str(path)) as container:
        first = next(packet for packet in container.demux(video=0))
        place, size = first.pos or 0, first.size
    data = bytearray(path.read_bytes())
    data[place + 200 : place + size] = bytes(size - 200)
    path.write_bytes(data)
    source, frames = read(path)
    assert source.lost == ((0, 24),)
    np.testing.assert_array_equal(frames[0].image, frames[25].image)
    assert frames[25].time == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize(("kept", "whole"), [(0, "11110000111"), (2, "11000000111")])
def test_frames_from_a_corrupt_one_on_are_not_whole_until_a_key_frame_behind_it(kept: int, whole: str) -> None:
    damage, found = decoding._Damage(), list[decoding.Decoded]()
    for packet in range(11):
        frame: Any = SimpleNamespace(pts=10 * packet, is_corrupt=packet in (4, 5), key_frame=packet in (0, 5, 8))
        damage.feed(packet, 10 * packet)
        found += damage.push(frame, kept)
    found += damage.let_go(0)
    assert [one.packet for one in found] == list(range(11))
    assert [one.whole for one in found] == [letter == "1" for letter in whole]


def test_packets_that_a_transport_stream_loses_without_a_word_are_counted_by_time(
    tmp_path: Path, record: Record
) -> None:
    data = record(tmp_path / "v.ts", "mpeg2video", options={"bf": "0"}).read_bytes()
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    starts = [n for n, packet in enumerate(packets) if packet[1] & 0x40 and _pid(packet) == 256]
    gone = packets[: starts[40]] + packets[starts[42] :]  # frames 40 and 41, and nothing of the others
    counters = iter(n % 16 for n in range(len(gone)))  # so that the gap cannot be told by the counters of the stream
    told = [_counted(packet, next(counters)) if _pid(packet) == 256 else packet for packet in gone]
    (tmp_path / "v.ts").write_bytes(b"".join(told))
    source, frames = read(tmp_path / "v.ts")
    assert len(frames) == FRAMES
    assert source.lost == ((40, 49),)  # up to the next key frame: what is predicted from lost frames is not whole


def _pid(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def _counted(packet: bytes, counter: int) -> bytes:
    return packet[:3] + bytes([packet[3] & 0xF0 | counter]) + packet[4:]


def test_the_rest_of_a_file_that_no_longer_decodes_is_lost(tmp_path: Path, record: Record) -> None:
    path = record(tmp_path / "v.mkv")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : -300] = bytes(len(data) - len(data) // 2 - 300)
    path.write_bytes(data)
    source, frames = read(path)
    assert len(frames) == FRAMES
    assert source.lost[-1][1] == FRAMES - 1


def test_a_camera_that_often_leaves_a_frame_out_loses_nothing(tmp_path: Path, record: Record) -> None:
    stamps = [40 * n for n in range(130) if n % 10][:100]
    source, frames = read(record(tmp_path / "v.ts", stamps=stamps))
    assert (len(frames), source.lost) == (100, ())


def test_nothing_that_decodes_is_an_error(tmp_path: Path, record: Record) -> None:
    path = record(tmp_path / "v.avi", "mjpeg", frames=5)
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in places:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"v\.avi has no frames that can be decoded; record or copy it again"):
        list(VideoFile(path))
