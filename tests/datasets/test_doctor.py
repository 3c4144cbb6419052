"""Two training videos and two test videos of moving squares before one background; each test plants a fault."""

import tracemalloc
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets import readings
from twostream_vad.datasets.doctor import Report, examine
from twostream_vad.datasets.findings import in_words, ranges
from twostream_vad.datasets.fingerprints import LAG, RUN, Fingerprints, ends, find_copies, jump
from twostream_vad.datasets.layouts import DatasetError, find_dataset

FRAMES = 60
Film = list[NDArray[np.uint8]]


def film(seed: int, frames: int = FRAMES, height: int = 48) -> Film:
    """Squares on their ways and the sensor's noise; the background is the same whatever the seed."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :72]
    background = 90 + 30 * np.sin(x / 7) + 20 * np.cos(y / 5)
    start, speed, level = rng.uniform(0, 40, (4, 2)), rng.uniform(-1.5, 1.5, (4, 2)), rng.uniform(-60, 90, 4)
    images = []
    for t in range(frames):
        image = background + rng.normal(0, 2, background.shape)
        for (top, left), (down, right), step in zip(start, speed, level, strict=True):
            i, j = int(top + down * t) % (height - 10), int(left + right * t) % 62
            image[i : i + 10, j : j + 10] += step
        images.append(np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
    return images


def write(folder: Path, images: Film, suffix: str = ".png", quality: int = 80) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        write_image(folder / f"{index:03d}{suffix}", image, quality)


def write_image(file: Path, image: NDArray[np.uint8], quality: int = 80) -> None:
    file.write_bytes(cv2.imencode(file.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def write_video(file: Path, images: Film, rate: int = 25) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def labels(frames: int = FRAMES) -> NDArray[np.float64]:
    return (np.arange(frames) >= 20).astype(float)


def save(file: Path, **arrays: NDArray[np.generic]) -> None:
    np.savez(file, **arrays)  # type: ignore[arg-type]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for seed, place in enumerate(
        ("training/frames/1", "training/frames/2", "testing/frames/3", "testing/frames/4")
    ):
        write(tmp_path / place, film(seed))
    save(tmp_path / "labels.npz", **{"3": labels(), "4": labels()})
    return tmp_path


def kinds(report: Report) -> list[tuple[str, str]]:
    return [(finding.video, finding.kind) for finding in report.findings]


def look(root: Path) -> Report:
    return examine(find_dataset(root))


def test_a_clean_dataset_gives_no_findings_and_no_notes(root: Path) -> None:
    report = look(root)
    assert (report.findings, report.notes) == ((), ())
    assert (report.videos, report.frames, report.affected) == (4, 4 * FRAMES, 0)


def drop_and_renumber(root: Path) -> None:
    files = sorted((root / "testing/frames/3").iterdir())
    for file, following in pairwise(files[30:]):
        following.replace(file)


def repeat(root: Path) -> None:
    write_again(root / "training/frames/1", [*range(10), 9, *range(10, FRAMES)])


def freeze(root: Path) -> None:
    write_again(root / "training/frames/2", [*range(20), *[20] * 15, *range(35, FRAMES)])


def write_again(folder: Path, order: list[int]) -> None:
    images = [cv2.imread(str(folder / f"{index:03d}.png")) for index in order]
    for index, image in enumerate(images):
        write_image(folder / f"{index:03d}.png", np.asarray(image, dtype=np.uint8))


def copy_to_training(root: Path) -> None:
    write(root / "training/frames/9", film(2), ".jpg")


def cut_image(root: Path) -> None:
    file = root / "training/frames/1/010.png"
    file.write_bytes(file.read_bytes()[:300])


def empty_image(root: Path) -> None:
    (root / "training/frames/1/010.png").write_bytes(b"")


def black(root: Path) -> None:
    write_image(root / "training/frames/2/000.png", np.zeros((48, 72, 3), np.uint8))


def other_size(root: Path) -> None:
    write_image(root / "training/frames/1/000.png", film(0, 1, height=40)[0])


def gap(root: Path) -> None:
    (root / "testing/frames/4/033.png").unlink()


def bad_label(root: Path) -> None:
    values = labels()
    values[[5, 6]] = np.nan, 2
    save(root / "labels.npz", **{"3": values, "4": labels()})


def no_label(root: Path) -> None:
    save(root / "labels.npz", **{"3": labels()})


def foreign_label(root: Path) -> None:
    save(root / "labels.npz", **{"3": labels(), "4": labels(), "5": labels()})


def label_too_few(root: Path) -> None:
    save(root / "labels.npz", **{"3": labels(), "4": labels(FRAMES - 1)})


def pickled_label(root: Path) -> None:
    save(root / "labels.npz", **{"3": labels(), "4": np.array([{}], dtype=object)})


def stray(root: Path) -> None:
    (root / "training/frames/1/Thumbs.db").touch()


def twice(root: Path) -> None:
    write_image(root / "training/frames/1/7.jpg", film(0)[7])


def unnumbered(root: Path) -> None:
    write_image(root / "training/frames/1/cover.jpg", film(0)[7])


def padding(root: Path) -> None:
    (root / "training/frames/1/007.png").rename(root / "training/frames/1/07.png")


def empty_folder(root: Path) -> None:
    (root / "training/frames/7").mkdir()


def smaller(root: Path) -> None:
    write(root / "training/frames/7", film(7, height=40))


def masks_differ(root: Path) -> None:
    masks = np.zeros((FRAMES, 48, 72), dtype=bool)
    masks[22:, 5, 5] = True
    save(root / "masks.npz", **{"3": np.packbits(masks, axis=-1)})


def masks_too_few(root: Path) -> None:
    save(root / "masks.npz", **{"3": np.zeros((FRAMES - 2, 48, 9), dtype=np.uint8)})


def masks_of_another_size(root: Path) -> None:
    save(root / "masks.npz", **{"3": np.zeros((FRAMES, 24, 9), dtype=np.uint8)})


FAULTS: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "label-count": (drop_and_renumber, "testing/3", "1 label too many", ""),
    "label-count, too few": (label_too_few, "testing/4", "1 label too few", ""),
    "repeated-frame": (repeat, "training/1", "frame 10: repeats", "10"),
    "frozen": (freeze, "training/2", "up to 15 in a row", "20-34"),
    "test-in-training": (copy_to_training, "training/9", "frames 0-59 of testing/3", "0-59"),
    "unreadable-frame": (cut_image, "training/1", "frame 10: .*cut off", "10"),
    "empty-frame": (empty_image, "training/1", "010.png is empty", "10"),
    "black-start": (black, "training/2", "frame 0 at the start: black", "0"),
    "frame-size": (other_size, "training/1", "72 x 40 pixels, the others 72 x 48", "0"),
    "frame-gap": (gap, "testing/4", "1 between 032.png and 034.png", "32-33"),
    "label-value": (bad_label, "testing/3", "frames 5-6: label nan", "5-6"),
    "label-missing": (no_label, "testing/4", "no labels", ""),
    "label-unknown": (foreign_label, "testing/5", "no such test video", ""),
    "label-unreadable": (pickled_label, "testing/4", "pickle", ""),
    "stray-file": (stray, "training/1", "Thumbs.db is no image", ""),
    "frame-number": (twice, "training/1", "007.png and 7.jpg are both frame 7", ""),
    "frame-number, none": (unnumbered, "training/1", "cover.jpg has no number", ""),
    "mixed-padding": (padding, "training/1", "07.png|000.png", ""),
    "unreadable-video": (empty_folder, "training/7", "holds no images", ""),
    "mixed-size": (smaller, "training/7", "72 x 40 pixels, most videos' 72 x 48", ""),
    "mask-labels": (masks_differ, "testing/3", "frames 20-21: labels and masks disagree", "20-21"),
    "mask-count": (masks_too_few, "testing/3", "58 masks", ""),
    "mask-unreadable": (masks_of_another_size, "testing/3", "height and width", ""),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_its_frames_and_a_remedy_and_nothing_else_is(
    root: Path, fault: str
) -> None:
    plant, video, says, frames = FAULTS[fault]
    plant(root)
    findings = [f for f in look(root).findings if f.kind != "mixed-padding" or fault == "mixed-padding"]
    assert [(f.video, f.kind) for f in findings] == [(video, fault.partition(",")[0])]
    assert "".join(in_words(findings[0].frames).split()[1:2] if findings[0].frames else []) == frames
    assert findings[0].remedy
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(findings[0].what)


def test_faults_of_one_dataset_do_not_hide_each_other(root: Path) -> None:
    for plant in (drop_and_renumber, bad_label, repeat, black, empty_folder):
        plant(root)
    assert kinds(look(root)) == [
        ("training/1", "repeated-frame"),
        ("training/2", "black-start"),
        ("training/7", "unreadable-video"),
        ("testing/3", "label-value"),
        ("testing/3", "label-count"),
    ]


def test_labels_that_count_missing_frames_are_not_held_against_a_gap(root: Path) -> None:
    gap(root)
    assert kinds(look(root)) == [("testing/4", "frame-gap")]
    save(root / "labels.npz", **{"3": labels(), "4": labels(FRAMES - 1)})
    assert kinds(look(root)) == [("testing/4", "frame-gap")]
    save(root / "labels.npz", **{"3": labels(), "4": labels(FRAMES - 2)})
    assert kinds(look(root)) == [("testing/4", "frame-gap"), ("testing/4", "label-count")]


def test_a_dropped_frame_is_said_to_be_where_the_picture_jumps() -> None:
    prints = Fingerprints()
    for t in range(60):  # a bar that moves 2 pixels a frame; frame 31 is not there
        image = np.full((48, 72, 3), 100, np.uint8)
        at = 2 * (t + (t > 30)) % 60
        image[:, at : at + 12] = 200
        prints.add(image)
    assert jump(prints.pictures) == 30 - 1 or jump(prints.pictures) == 30


def test_videos_of_one_class_and_too_short_ones_are_notes(root: Path) -> None:
    write(root / "testing/frames/5", film(11, frames=16))
    values = {"3": np.zeros(FRAMES), "4": labels(), "5": np.ones(16)}
    save(root / "labels.npz", **values)
    report = look(root)
    assert report.findings == ()
    assert [(note.video, note.kind) for note in report.notes] == [
        ("testing/3", "all-normal"),
        ("testing/5", "short-video"),
        ("testing/5", "short-video"),
        ("testing/5", "all-anomalous"),
    ]


def test_a_dataset_without_labels_gets_a_note(root: Path) -> None:
    (root / "labels.npz").unlink()
    report = look(root)
    assert (report.findings, [note.kind for note in report.notes]) == ((), ["no-labels"])


def test_masks_alone_serve_as_labels(root: Path) -> None:
    (root / "labels.npz").unlink()
    masks = np.zeros((FRAMES, 48, 72), dtype=bool)
    masks[22:, 5, 5] = True
    save(root / "masks.npz", **{"3": masks, "4": masks[:-1]})
    assert kinds(look(root)) == [("testing/4", "label-count")]


def test_a_label_file_that_is_not_there_is_the_callers_mistake(root: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.npz does not exist"):
        examine(find_dataset(root), root / "nowhere.npz")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for seed, name in enumerate(("training/1.mp4", "training/2.mp4", "testing/3.mp4")):
        write_video(tmp_path / name, film(seed))
    save(tmp_path / "labels.npz", **{"3": labels()})
    return tmp_path


def test_clean_video_files_give_no_findings(files: Path) -> None:
    assert look(files).findings == ()


def test_a_repeat_is_known_though_encoding_changed_it(files: Path) -> None:
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


def test_a_file_of_another_rate_is_named(files: Path) -> None:
    write_video(files / "training/2.mp4", film(1), rate=30)
    found = look(files).findings
    assert [(f.video, f.kind) for f in found] == [("training/2", "mixed-rate")]
    assert found[0].what == "30 frames a second, most videos 25"


def test_a_header_that_counts_other_frames_is_named(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_declared", lambda path: FRAMES + (path.name == "2.mp4"))
    found = look(files).findings
    assert [(f.video, f.kind) for f in found] == [("training/2", "header-count")]
    assert found[0].what == "the header says 61 frames, 60 are decoded"


def test_where_labels_do_not_fit_a_file_the_second_decoder_is_asked(files: Path) -> None:
    save(files / "labels.npz", **{"3": labels(FRAMES + 1)})
    found = look(files).findings
    assert [(f.video, f.kind) for f in found] == [("testing/3", "label-count")]
    assert found[0].what.endswith("OpenCV decodes as many frames")


def test_labels_that_fit_the_second_decoder_say_at_which_end_to_cut(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = pictures(film(2))
    theirs = np.concatenate([ours, ours[:1] + 9])
    monkeypatch.setattr("twostream_vad.datasets.label_checks.opencv_pictures", lambda _: theirs)
    save(files / "labels.npz", **{"3": labels(FRAMES + 1)})
    found = look(files).findings[0]
    assert found.what.endswith("OpenCV decodes 61: 1 more at the end, which the labels fit")
    assert found.remedy == "remove 1 label at the end"


def test_labels_that_count_the_frame_a_layout_skips_are_too_many_at_the_start(tmp_path: Path) -> None:
    for split, name in (("Train", "000001"), ("Test", "000209")):
        write_video(tmp_path / f"{split}/{name}/{name}.avi", film(int(name), 30))
    np.save(tmp_path / "Test/000209/000209.npy", labels(30))
    found = look(tmp_path).findings
    assert [f.kind for f in found] == ["label-count"]
    assert (found[0].what.partition("; ")[2][:12], found[0].remedy) == (
        "at the start",
        "remove the first 1 label",
    )


def pictures(images: Film) -> NDArray[np.uint8]:
    prints = Fingerprints()
    for image in images:
        prints.add(image)
    return prints.pictures


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ((0, 60), (0, 61), (0, 1)),
        ((1, 60), (0, 60), (1, 0)),
        ((0, 60), (2, 59), (-2, -1)),
        ((1, 59), (0, 60), (1, 1)),
    ],
)
def test_a_second_decoders_surplus_is_told_by_end(
    ours: tuple[int, int], theirs: tuple[int, int], expected: tuple[int, int]
) -> None:
    whole = pictures(film(5, frames=61))
    assert ends(whole[slice(*ours)], whole[slice(*theirs)]) == expected


def altered(images: Film) -> Iterator[NDArray[np.uint8]]:
    """Brighter, with more contrast, larger, and saved as a poor JPEG."""
    for image in images:
        large = cv2.resize(image, None, fx=1.5, fy=1.5)
        bright = np.clip(large * 1.1 + 6, 0, 255).astype(np.uint8)
        jpeg = cv2.imencode(".jpg", bright, [cv2.IMWRITE_JPEG_QUALITY, 60])[1]
        yield np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), dtype=np.uint8)


def test_a_stretch_copied_into_the_middle_is_found_though_altered() -> None:
    test = film(1, 100)
    mixed = pictures([*film(2, 40), *(cv2.resize(i, (72, 48)) for i in altered(test[30:70])), *film(3, 30)])  # type: ignore[list-item]
    copies = find_copies([pictures(film(4)), mixed], [pictures(film(5)), pictures(test)])
    assert [(c.training, c.test) for c in copies] == [(1, 1)]
    copy = copies[0]
    assert copy.training_start - copy.test_start == 40 - 30
    assert abs(copy.training_start - 40) <= 2
    assert abs(copy.frames - 40) <= 4


def test_one_background_shared_by_all_videos_is_no_copy() -> None:
    assert (
        find_copies([pictures(film(s)) for s in range(3)], [pictures(film(s)) for s in range(10, 13)]) == []
    )


def test_an_empty_scene_is_no_copy_of_itself() -> None:
    still = pictures([np.full((48, 72, 3), 100, np.uint8)] * FRAMES)
    assert find_copies([still], [still]) == []


@pytest.mark.parametrize(("frames", "found"), [(RUN + LAG, 1), (RUN + LAG - 1, 0), (LAG, 0), (0, 0)])
def test_a_copy_must_be_long_enough_to_be_one(frames: int, found: int) -> None:
    short = pictures(film(6, 30))[:frames]
    assert len(find_copies([short], [short])) == found


def test_a_long_video_is_compared_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pictures(film(8, 120))
    expected = find_copies([whole[10:]], [whole])
    monkeypatch.setattr("twostream_vad.datasets.fingerprints._CHUNK", 13)
    assert [(c.training_start, c.test_start, c.frames) for c in expected] == [(0, 10, 110)]
    assert find_copies([whole[10:]], [whole]) == expected


def test_under_a_kilobyte_is_kept_of_a_frame() -> None:
    prints, images = Fingerprints(), film(0, 20)
    prints.add(images[0])
    tracemalloc.start()
    for _ in range(100):
        for image in images:
            prints.add(image)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / 2000 < 1024 * 1.2  # growing arrays reserve an eighth more


def test_stretches_are_joined_and_put_in_words() -> None:
    assert ranges([3, 4, 5, 9]) == ((3, 5), (9, 9))
    assert in_words(ranges([3, 4, 5, 9])) == "frames 3-5, 9"
    assert in_words(ranges([7])) == "frame 7"
    assert in_words(ranges(range(0, 20, 2))) == "frames 0, 2, 4, 6, 8 and 5 more stretches"
