"""The doctor on video files: encoding, headers, rates and the second decoder."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets.dataset import Video
from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.doctor.examine import Report, examine
from twostream_vad.doctor.fingerprints import Fingerprints
from twostream_vad.video.frames import ImageFolder, VideoFile

FRAMES = 60
Film = list[NDArray[np.uint8]]
Films = Callable[..., Film]


def write_video(file: Path, images: Film, rate: int = 25) -> None:
    """Lossy, and the same bytes each time: x264, which is not, depends on how its buffers happen to be aligned."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate, options={"qscale": "3", "flags": "+qscale", "threads": "1"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def labels(frames: int = FRAMES) -> NDArray[np.float64]:
    return (np.arange(frames) >= 20).astype(float)


def save(file: Path, **arrays: NDArray[np.generic]) -> None:
    np.savez(file, **arrays)  # type: ignore[arg-type]


def kinds(report: Report) -> list[tuple[str, str]]:
    return [(finding.video, finding.kind) for finding in report.findings]


def look(root: Path) -> Report:
    return examine(find_dataset(root))


def pictures(images: Film) -> NDArray[np.uint8]:
    prints = Fingerprints()
    for image in images:
        prints.add(image)
    return prints.pictures


@pytest.fixture
def files(film: Films, tmp_path: Path) -> Path:
    for seed, name in enumerate(("training/1.mp4", "training/2.mp4", "testing/3.mp4")):
        write_video(tmp_path / name, film(seed))
    save(tmp_path / "labels.npz", **{"3": labels()})
    return tmp_path


def test_clean_video_files_give_no_findings(files: Path) -> None:
    assert look(files).findings == ()


def test_a_repeat_is_known_though_encoding_changed_it(film: Films, files: Path) -> None:
    images = film(0)
    write_video(files / "training/1.mp4", [*images[:30], images[29], *images[30:]])
    found = look(files).findings
    assert [(f.kind, f.frames) for f in found] == [("repeated-frame", ((30, 30),))]


def test_a_file_that_breaks_off_is_named_and_the_others_are_read(files: Path) -> None:
    file = files / "training/1.mp4"
    file.write_bytes(file.read_bytes()[:1000])
    report = look(files)
    assert kinds(report) == [("training/1", "unreadable-video")]
    assert report.frames >= 2 * FRAMES


def test_a_file_of_another_rate_is_named(film: Films, files: Path) -> None:
    write_video(files / "training/2.mp4", film(1), rate=30)
    found = look(files).findings
    assert [(f.video, f.kind) for f in found] == [("training/2", "mixed-rate")]
    assert found[0].what == "30 frames a second, most videos 25"


@pytest.mark.parametrize(("video", "severity"), [("training/2", "note"), ("testing/3", "warning")])
def test_a_header_that_counts_other_frames_is_named_for_its_labels(
    files: Path, monkeypatch: pytest.MonkeyPatch, video: str, severity: str
) -> None:
    opened = Video.open

    def one_more(opening: Video) -> ImageFolder | VideoFile:
        source = opened(opening)
        assert isinstance(source, VideoFile)
        source.told = replace(source.told, declared=source.told.declared + (opening.name == video[-1]))
        return source

    monkeypatch.setattr(Video, "open", one_more)
    report = look(files)
    found = [*report.findings, *report.notes]
    assert [(f.video, f.kind, f.severity) for f in found] == [(video, "header-count", severity)]
    assert found[0].what == "the header says 61 frames, 60 are decoded"


def test_where_labels_do_not_fit_a_file_the_second_decoder_is_asked(files: Path) -> None:
    save(files / "labels.npz", **{"3": labels(FRAMES + 1)})
    found = look(files).findings
    assert [(f.video, f.kind) for f in found] == [("testing/3", "label-count")]
    assert found[0].what.endswith("OpenCV decodes as many frames")


def test_labels_that_fit_the_second_decoder_say_at_which_end_to_cut(
    film: Films, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = pictures(film(2))
    theirs = np.concatenate([ours, ours[:1] + 9])
    monkeypatch.setattr("twostream_vad.doctor.label_checks.opencv_pictures", lambda *_: theirs)
    save(files / "labels.npz", **{"3": labels(FRAMES + 1)})
    found = look(files).findings[0]
    assert found.what.endswith("OpenCV decodes 61: 1 more at the end, which the labels fit")
    assert found.remedy == "remove 1 label at the end"


def test_labels_that_count_the_frame_a_layout_skips_are_too_many_at_the_start(film: Films, tmp_path: Path) -> None:
    for split, name in (("Train", "000001"), ("Test", "000209")):
        write_video(tmp_path / f"{split}/{name}/{name}.avi", film(int(name), 30))
    np.save(tmp_path / "Test/000209/000209.npy", labels(30))
    found = [finding for finding in look(tmp_path).findings if finding.kind != "frame-total"]  # Corridor has more
    assert [f.kind for f in found] == ["label-count"]
    assert (found[0].what.partition("; ")[2][:12], found[0].remedy) == (
        "at the start",
        "remove the first 1 label",
    )


def test_damage_in_a_file_is_named_with_its_frames(files: Path) -> None:
    path = files / "training/1.mp4"
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in places[30:33]:
        data[place : place + size] = bytes(size)
    path.write_bytes(data)
    (found,) = look(files).findings
    assert (found.video, found.kind, found.severity) == ("training/1", "time-gap", "error")
    assert found.frames[0][0] in (29, 30)
    assert found.what.endswith("are missing or damaged")


def test_a_stream_that_does_not_tell_its_rate_is_named_and_read(film: Films, files: Path) -> None:
    jpegs = [cv2.imencode(".jpg", image)[1].tobytes() for image in film(5)]
    (files / "training/4.mjpeg").write_bytes(b"".join(jpegs))
    report = look(files)
    assert kinds(report) == [("training/4", "no-rate")]
    assert report.frames == 4 * FRAMES


def test_a_file_left_out_is_named_with_the_reason(files: Path) -> None:
    (files / "training/5.xyz").write_bytes(b"video?")
    (found,) = look(files).findings
    assert (found.kind, found.video) == ("left-out", "")
    assert found.what.endswith("5.xyz is left out: no video by its ending '.xyz'")
    assert found.remedy == "if it is one, rename it or convert it with ffmpeg"


@pytest.mark.parametrize("kind", ["mixed-hdr", "mixed-pixels"])
def test_a_file_of_other_brightness_or_pixels_than_most_is_named(film: Films, files: Path, kind: str) -> None:
    with av.open(str(files / "training/2.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *film(1)[0].shape[:2], "yuv420p"
        if kind == "mixed-hdr":
            stream.codec_context.color_trc = 16
        else:
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        for image in film(1):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    assert kinds(look(files)) == [("training/2", kind)]
