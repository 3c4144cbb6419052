import errno
import json
import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets.dataset import Dataset, Video
from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.datasets.manifest import Prepared, read_manifest
from twostream_vad.datasets.prepare import PrepareError, prepare
from twostream_vad.video.frames import VideoFile, read_image


def pictures(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(count, 32, 48, 3): smooth, so that a codec keeps them."""
    small = np.random.default_rng(seed).integers(0, 256, (count, 2, 3, 3), dtype=np.uint8)
    return np.stack([cv2.resize(image, (48, 32)) for image in small]).astype(np.uint8)


def write_video(path: Path, images: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = images.shape[2], images.shape[1], "bgr0"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture
def videos(tmp_path: Path) -> Dataset:
    root = tmp_path / "set"
    write_video(root / "training" / "a.avi", pictures(5, 1))
    write_video(root / "training" / "b.avi", pictures(4, 2))
    write_video(root / "testing" / "c.avi", pictures(3, 3))
    return find_dataset(root)


def prepared(dataset: Dataset, out: Path, workers: int = 1) -> tuple[list[Prepared], Dataset]:
    """Prepares; every video with its count and size, and the dataset over the frames."""
    prepare(dataset, out, workers=workers)
    return [entry.prepared for entry in read_manifest(out).entries.values()], find_dataset(out)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_frames_lie_where_the_frames_layout_has_them(videos: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert prepared(videos, out)[0] == [
        Prepared("a", "training", 5, 32, 48),
        Prepared("b", "training", 4, 32, 48),
        Prepared("c", "testing", 3, 32, 48),
    ]
    assert files(out / "training" / "frames") == ["a", "b"]
    assert files(out / "testing" / "frames" / "c") == ["000000.jpg", "000001.jpg", "000002.jpg"]


def test_jpg_is_close(videos: Dataset, tmp_path: Path) -> None:
    _, dataset = prepared(videos, tmp_path / "out")
    image = read_image(dataset.training[0].path / "000004.jpg")
    assert np.abs(image.astype(int) - pictures(5, 1)[4]).mean() < 3


def test_two_processes_give_the_same_as_one(videos: Dataset, tmp_path: Path) -> None:
    one, _ = prepared(videos, tmp_path / "one")
    two, dataset = prepared(videos, tmp_path / "two", workers=2)
    assert one == two
    for split, video in [("training", dataset.training[0]), ("testing", dataset.testing[0])]:
        for file in video.path.iterdir():
            assert file.read_bytes() == (tmp_path / "one" / split / "frames" / video.name / file.name).read_bytes()


def test_skipped_frames_are_left_out_once(videos: Dataset, tmp_path: Path) -> None:
    black = Dataset(videos.root, "corridor", (Video("a", videos.training[0].path, skip=1),), ())
    known, dataset = prepared(black, tmp_path / "out")
    assert (known[0].frames, dataset.training[0].skip) == (4, 0)
    first = next(iter(dataset.training[0].open()))
    assert np.abs(first.image.astype(int) - pictures(5, 1)[1]).mean() < 3


def test_the_prepared_folder_is_a_dataset_of_its_own(videos: Dataset, tmp_path: Path) -> None:
    _, dataset = prepared(videos, tmp_path / "out")
    assert (dataset.layout, len(dataset.training), len(dataset.testing)) == ("folder", 2, 1)
    assert dataset.root == videos.root  # labels lie there
    assert dataset.training[0].open().rate == pytest.approx(10)


def test_videos_that_are_images_are_counted_where_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "training" / "frames" / "01"
    folder.mkdir(parents=True)
    for index, image in enumerate(pictures(3)):
        cv2.imwrite(str(folder / f"{index:03d}.png"), image)
    source = find_dataset(tmp_path / "set", "corridor")
    known, dataset = prepared(source, tmp_path / "out")
    assert known == [Prepared("01", "training", 2, 32, 48)]
    assert (dataset.training[0].path, dataset.training[0].skip) == (folder, 1)
    assert files(tmp_path / "out") == ["prepared.json"]


def test_the_depth_of_images_is_found_when_they_are_counted_and_then_known(tmp_path: Path) -> None:
    folder = tmp_path / "set" / "training" / "01"
    folder.mkdir(parents=True)
    for index, largest in enumerate((70, 1000, 400)):
        cv2.imwrite(str(folder / f"{index:03d}.png"), np.full((32, 48), largest, np.uint16))
    _, dataset = prepared(find_dataset(tmp_path / "set"), tmp_path / "out")
    assert dataset.training[0].depth == 10
    assert [int(frame.image.max()) for frame in dataset.training[0].open()] == [70 >> 2, 1000 >> 2, 400 >> 2]


def test_what_is_done_is_not_done_again(videos: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(videos, out, workers=1)
    before = (out / "training/frames/a/000000.jpg").stat().st_mtime_ns
    done: list[str] = []
    prepare(videos, out, workers=1, progress=lambda _, __, note="": done.append(note))
    assert (done, (out / "training/frames/a/000000.jpg").stat().st_mtime_ns) == ([], before)


def test_a_changed_source_is_extracted_again(videos: Dataset, tmp_path: Path) -> None:
    prepare(videos, tmp_path / "out", workers=1)
    write_video(videos.training[1].path, pictures(2))
    done: list[tuple[int, int, str]] = []
    prepare(videos, tmp_path / "out", workers=1, progress=lambda at, of, note="": done.append((at, of, note)))
    assert done == [(3, 3, "b")]
    known, dataset = prepared(videos, tmp_path / "out")
    assert known[1].frames == len(files(dataset.training[1].path)) == 2


def test_a_video_that_is_gone_from_the_dataset_leaves_the_manifest(videos: Dataset, tmp_path: Path) -> None:
    prepare(videos, tmp_path / "out", workers=1)
    fewer = Dataset(videos.root, videos.layout, videos.training[:1], ())
    prepare(fewer, tmp_path / "out", workers=1)
    assert [video.name for video in find_dataset(tmp_path / "out").training] == ["a"]


def test_lost_frames_are_extracted_again(videos: Dataset, tmp_path: Path) -> None:
    _, dataset = prepared(videos, tmp_path / "out")
    (dataset.training[0].path / "000002.jpg").unlink()
    prepare(videos, tmp_path / "out", workers=1)
    assert len(files(dataset.training[0].path)) == 5


@pytest.mark.parametrize("killed_at", ["extracting", "placing"])
def test_a_run_that_was_killed_goes_on(videos: Dataset, tmp_path: Path, killed_at: str) -> None:
    out = tmp_path / "out"
    prepare(videos, out, workers=1)
    target = out / "training" / "frames" / "b"
    target.rename(target.with_name(".b.0123abcd.partial"))
    manifest = json.loads((out / "prepared.json").read_text())
    manifest["complete"] = False
    if killed_at == "extracting":
        (target.with_name(".b.0123abcd.partial") / "000003.jpg").unlink()
        manifest["videos"] = [line for line in manifest["videos"] if line["prepared"]["name"] != "b"]
    (out / "prepared.json").write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="run prepare again"):
        find_dataset(out)
    prepare(videos, out, workers=1)
    assert (len(files(target)), files(out / "training" / "frames")) == (4, ["a", "b"])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_broken_video_is_named_when_the_others_are_done(videos: Dataset, tmp_path: Path, workers: int) -> None:
    videos.training[0].path.write_bytes(b"no video")
    out = tmp_path / "out"
    with pytest.raises(PrepareError, match=r"1 of 3 videos.*\ntraining video a: [^\n]*$"):
        prepare(videos, out, workers=workers)
    assert files(out / "training" / "frames") == ["b"]
    assert files(out / "testing" / "frames") == ["c"]


def test_a_full_disk_is_said_in_words(videos: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:  # noqa: ARG001
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(PrepareError, match=r"disk of .* is full"):
        prepare(videos, tmp_path / "out", workers=1)
    assert os.listdir(tmp_path / "out" / "training" / "frames") == []  # noqa: PTH208  # hidden ones too


def test_frames_of_others_are_never_replaced(videos: Dataset, tmp_path: Path) -> None:
    foreign = tmp_path / "out" / "training" / "frames" / "a"
    foreign.mkdir(parents=True)
    (foreign / "000.jpg").touch()
    with pytest.raises(DatasetError, match="not made by prepare"):
        prepare(videos, tmp_path / "out", workers=1)
    assert files(foreign) == ["000.jpg"]


def test_the_datasets_own_folder_is_refused(videos: Dataset) -> None:
    with pytest.raises(DatasetError, match="own folder"):
        prepare(videos, videos.root)


def test_what_is_prepared_cannot_be_prepared_onto_itself(videos: Dataset, tmp_path: Path) -> None:
    _, dataset = prepared(videos, tmp_path / "out")
    with pytest.raises(DatasetError, match="nothing to prepare"):
        prepare(dataset, tmp_path / "out")


def test_prepared_frames_serve_without_the_source(videos: Dataset, tmp_path: Path) -> None:
    prepare(videos, tmp_path / "out", workers=1)
    shutil.rmtree(videos.root)
    (tmp_path / "out").rename(tmp_path / "moved")
    dataset = find_dataset(tmp_path / "moved")
    assert (dataset.root, len(list(dataset.training[0].open()))) == (tmp_path / "moved", 5)


@pytest.mark.parametrize("text", ["", "[]", '{"videos": [{}]}', "\0"])
def test_a_damaged_manifest_is_named(videos: Dataset, tmp_path: Path, text: str) -> None:
    (tmp_path / "prepared.json").write_text(text)
    with pytest.raises(DatasetError, match=r"prepared\.json is damaged"):
        prepare(videos, tmp_path)
    with pytest.raises(DatasetError, match=r"prepared\.json is damaged"):
        find_dataset(tmp_path)


def test_no_worker_is_refused_by_value(videos: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="workers must be 1 or more, got 0"):
        prepare(videos, tmp_path / "out", workers=0)


def record(path: Path, stamps: list[int], hole: float | None = None) -> None:
    """MPEG-4, the same bytes each time, a key frame every ten, stamps in ms; 400 bytes are zero from ``hole`` on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=1000, options={"qscale": "2", "flags": "+qscale", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 48, 32, "yuv420p", Fraction(1, 1000)
        stream.gop_size = 10
        for stamp, image in zip(stamps, pictures(len(stamps)), strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    if hole is not None:
        data = bytearray(path.read_bytes())
        at = int(hole * len(data))
        data[at : at + 400] = bytes(400)
        path.write_bytes(data)


def lost_of(path: Path) -> tuple[int, int]:
    """The one stretch of frames that is lost."""
    source = VideoFile(path)
    list(source)
    ((first, last),) = source.lost
    return first, last


def test_damaged_training_video_is_two_videos_and_the_gap_is_named(tmp_path: Path) -> None:
    root, out = tmp_path / "set", tmp_path / "out"
    record(root / "training" / "a.mp4", list(range(0, 4000, 100)), hole=0.5)
    record(root / "training" / "b.mkv", list(range(0, 1000, 100)))
    first, last = lost_of(root / "training" / "a.mp4")
    known, dataset = prepared(find_dataset(root), out)
    assert [(video.name, video.frames) for video in known] == [
        ("a-part1", first), ("a-part2", 39 - last), ("b", 10),
    ]  # fmt: skip
    assert [video.name for video in dataset.training] == ["a-part1", "a-part2", "b"]
    source = VideoFile(root / "training" / "a.mp4")
    behind = [frame.image for frame in source if frame.index == last + 1]
    taken = read_image(dataset.training[1].path / "000000.jpg")
    assert np.abs(taken.astype(int) - behind[0]).mean() < 3
    notes = [note for entry in read_manifest(out).entries.values() for note in entry.notes]
    assert notes[0] == f"training video a: frames {first}-{last} are missing or damaged"
    assert "taken as 2 videos, a-part1" in notes[1]
    before = (out / "prepared.json").stat().st_mtime_ns, files(out / "training/frames")
    prepare(find_dataset(root), out, workers=1)  # nothing to do
    assert files(out / "training/frames") == before[1] == ["a-part1", "a-part2", "b"]


def test_damaged_test_video_keeps_its_numbers_and_says_which_frames_are_lost(tmp_path: Path) -> None:
    root = tmp_path / "set"
    record(root / "testing" / "c.mp4", list(range(0, 4000, 100)), hole=0.5)
    record(root / "training" / "b.mkv", list(range(0, 1000, 100)))
    first, last = lost_of(root / "testing" / "c.mp4")
    known, dataset = prepared(find_dataset(root), tmp_path / "out")
    assert known[1] == Prepared("c", "testing", 40, 32, 48)
    frames = list(dataset.testing[0].open())
    assert [frame.index for frame in frames if frame.lost] == list(range(first, last + 1))


def test_training_video_of_another_or_a_variable_rate_is_resampled(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for name in ("a", "b"):
        record(root / "training" / f"{name}.mkv", list(range(0, 1000, 100)))
    record(root / "training" / "fast.mkv", list(range(0, 1000, 50)))
    record(root / "training" / "wild.mkv", [0, 50, 200, 300, 330, 360, 400, 500, 600, 750, 800, 900])
    known, dataset = prepared(find_dataset(root), tmp_path / "out")
    assert {video.name: video.frames for video in known} == {"a": 10, "b": 10, "fast": 10, "wild": 10}
    assert {video.open().rate for video in dataset.training} == {10}
    third = read_image(dataset.training[2].path / "000003.jpg")
    assert np.abs(third.astype(int) - pictures(20)[6]).mean() < 4


def test_a_test_videos_times_are_kept_where_they_do_not_follow_from_its_rate(tmp_path: Path) -> None:
    root, stamps = tmp_path / "set", [0, 50, 200, 300, 330, 360, 400, 500, 600, 750, 800, 900]
    record(root / "training" / "a.mkv", list(range(0, 1000, 100)))
    record(root / "testing" / "even.mkv", list(range(0, 1000, 100)))
    record(root / "testing" / "wild.mkv", stamps)
    _, dataset = prepared(find_dataset(root), tmp_path / "out")
    even, wild = dataset.testing
    assert even.times is None
    assert [frame.time for frame in wild.open()] == pytest.approx(np.array(stamps) / 1000)


def test_a_video_that_is_still_being_written_is_refused_and_the_others_are_done(
    videos: Dataset, tmp_path: Path
) -> None:
    with videos.training[1].path.open("ab"), pytest.raises(PrepareError, match=r"b\.avi is still being written; wait"):
        prepare(videos, tmp_path / "out", workers=1)
    assert files(tmp_path / "out/training/frames") == ["a"]
    assert not read_manifest(tmp_path / "out").complete


def test_what_a_stream_without_a_rate_needs_is_said(tmp_path: Path) -> None:
    path = tmp_path / "set/training/a.mjpeg"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(cv2.imencode(".jpg", image)[1].tobytes() for image in pictures(6)))
    with pytest.raises(PrepareError, match="does not say how many frames it has a second; give the rate"):
        prepare(find_dataset(tmp_path / "set"), tmp_path / "out", workers=1)
    prepare(find_dataset(tmp_path / "set").at_rate(10), tmp_path / "out", workers=1)
    assert find_dataset(tmp_path / "out").training[0].open().rate == 10


def test_what_lies_among_the_videos_and_is_none_is_named(videos: Dataset) -> None:
    for name in ("a.xyz", "cover.jpg", "notes.txt", ".hidden.xyz"):
        (videos.root / "training" / name).write_bytes(b"x")
    assert [Path(line.partition(" is left out: ")[0]).name for line in find_dataset(videos.root).left_out] == [
        "a.xyz",
        "cover.jpg",
    ]
