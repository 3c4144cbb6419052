"""Two training and two test videos of squares that move before one background; the tests plant faults."""

import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.datasets.errors import DatasetError
from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.doctor.examine import Report, examine
from twostream_vad.video.ranges import Ranges, in_words, ranges

FRAMES = 60
Film = list[NDArray[np.uint8]]
Films = Callable[..., Film]


def write(folder: Path, images: Film, suffix: str = ".png", quality: int = 80) -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        write_image(folder / f"{index:03d}{suffix}", image, quality)


def write_image(file: Path, image: NDArray[np.uint8], quality: int = 80) -> None:
    file.write_bytes(cv2.imencode(file.suffix, image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())


def labels(frames: int = FRAMES) -> NDArray[np.float64]:
    return (np.arange(frames) >= 20).astype(float)


def save(file: Path, **arrays: NDArray[np.generic]) -> None:
    np.savez(file, **arrays)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clean(film: Films, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("clean")
    for seed, place in enumerate(("training/frames/1", "training/frames/2", "testing/frames/3", "testing/frames/4")):
        write(root / place, film(seed))
    save(root / "labels.npz", **{"3": labels(), "4": labels()})
    return root


@pytest.fixture
def root(clean: Path, tmp_path: Path) -> Path:
    return shutil.copytree(clean, tmp_path, dirs_exist_ok=True, copy_function=shutil.copyfile)


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
    found = images(folder)
    for index, frame in enumerate(order):
        write_image(folder / f"{index:03d}.png", found[frame])


def images(folder: Path) -> Film:
    return [np.asarray(cv2.imread(str(file)), dtype=np.uint8) for file in sorted(folder.iterdir())]


def copy_to_training(root: Path) -> None:
    write(root / "training/frames/9", images(root / "testing/frames/3"), ".jpg")


def cut_image(root: Path) -> None:
    file = root / "training/frames/1/010.png"
    file.write_bytes(file.read_bytes()[:300])


def empty_image(root: Path) -> None:
    (root / "training/frames/1/010.png").write_bytes(b"")


def black(root: Path) -> None:
    write_image(root / "training/frames/2/000.png", np.zeros((48, 72, 3), np.uint8))


def other_size(root: Path) -> None:
    write_image(root / "training/frames/1/000.png", images(root / "training/frames/1")[0][:40])


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
    shutil.copyfile(root / "training/frames/1/050.png", root / "training/frames/1/a007.png")


def unnumbered(root: Path) -> None:
    shutil.copyfile(root / "training/frames/1/007.png", root / "training/frames/1/cover.png")


def padding(root: Path) -> None:
    (root / "training/frames/1/007.png").rename(root / "training/frames/1/07.png")


def empty_folder(root: Path) -> None:
    (root / "training/frames/7").mkdir()


def smaller(root: Path) -> None:
    write(root / "training/frames/7", [image[:40] for image in images(root / "training/frames/1")])


def masks_differ(root: Path) -> None:
    masks = np.zeros((FRAMES, 48, 72), dtype=bool)
    masks[22:, 5, 5] = True
    save(root / "masks.npz", **{"3": np.packbits(masks, axis=-1)})


def masks_too_few(root: Path) -> None:
    save(root / "masks.npz", **{"3": np.zeros((FRAMES - 2, 48, 9), dtype=np.uint8)})


def masks_of_another_size(root: Path) -> None:
    save(root / "masks.npz", **{"3": np.zeros((FRAMES, 24, 9), dtype=np.uint8)})


def copied(root: Path) -> None:
    shutil.copyfile(root / "training/frames/1/050.png", root / "training/frames/1/050 (1).png")


def two_numbers(root: Path) -> None:
    for file in (root / "training/frames/1").iterdir():
        n = int(file.stem)
        file.rename(file.with_stem(f"part{n // 25}_{n % 25:03d}"))


def gap_among_two_numbers(root: Path) -> None:
    gap(root)
    for file in (root / "testing/frames/4").iterdir():
        file.rename(file.with_stem(f"{file.stem}_cam2"))


def rescaled(folder: Path, change: Callable[[Film], Film]) -> None:
    for file, image in zip(sorted(folder.iterdir()), change(images(folder)), strict=True):
        write_image(file, image)


def darkened(root: Path) -> None:
    rescaled(root / "training/frames/1", lambda film: [image // 11 for image in film])


FAULTS: dict[str, tuple[Callable[[Path], None], str, str, Ranges]] = {
    "label-count": (drop_and_renumber, "testing/3", "1 label too many", ()),
    "label-count, too few": (label_too_few, "testing/4", "1 label too few", ()),
    "repeated-frame": (repeat, "training/1", "frame 10: repeats", ((10, 10),)),
    "frozen": (freeze, "training/2", "up to 15 in a row", ((20, 34),)),
    "test-in-training": (copy_to_training, "training/9", "frames 0-59 of testing/3", ((0, 59),)),
    "unreadable-frame": (cut_image, "training/1", "frame 10: .*cut off", ((10, 10),)),
    "empty-frame": (empty_image, "training/1", "010.png is empty", ((10, 10),)),
    "black-start": (black, "training/2", "frame 0 at the start: black", ((0, 0),)),
    "frame-size": (other_size, "training/1", "72 x 40 pixels, the others 72 x 48", ((0, 0),)),
    "frame-number, copy": (copied, "training/1", r"050 \(1\)\.png is a copy, .* of 050\.png", ()),
    "numbering-name": (two_numbers, "training/1", "several numbers .* part0_000.png to part2_009.png", ()),
    "frame-gap, number": (gap_among_two_numbers, "testing/4", r"missing \(number 1 of 2 in each name\)", ((32, 33),)),
    "dark": (darkened, "training/1", r"95% of them are nowhere above level (1\d|2[0-4]) of 255", ()),
    "frame-gap": (gap, "testing/4", "1 between 032.png and 034.png", ((32, 33),)),
    "label-value": (bad_label, "testing/3", "frames 5-6: label nan", ((5, 6),)),
    "label-missing": (no_label, "testing/4", "no labels", ()),
    "label-unknown": (foreign_label, "testing/5", "no such test video", ()),
    "label-unreadable": (pickled_label, "testing/4", "pickle", ()),
    "stray-file": (stray, "training/1", "Thumbs.db is no image", ()),
    "frame-number": (twice, "training/1", "007.png and a007.png are both frame 7", ()),
    "frame-number, none": (unnumbered, "training/1", "cover.png has no number", ()),
    "mixed-padding": (padding, "training/1", "07.png, but 000.png", ()),
    "unreadable-video": (empty_folder, "training/7", "holds no images", ()),
    "mixed-size": (smaller, "training/7", "72 x 40 pixels, most videos' 72 x 48", ()),
    "mask-labels": (masks_differ, "testing/3", "frames 20-21: labels and masks disagree", ((20, 21),)),
    "mask-count": (masks_too_few, "testing/3", "58 masks", ()),
    "mask-unreadable": (masks_of_another_size, "testing/3", "height and width", ()),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_its_frames_and_a_remedy_and_nothing_else_is(root: Path, fault: str) -> None:
    plant, video, says, frames = FAULTS[fault]
    plant(root)
    findings = look(root).findings
    assert [(f.video, f.kind) for f in findings] == [(video, fault.partition(",")[0])]
    assert findings[0].frames == frames
    assert findings[0].remedy
    assert re.search(says, findings[0].what)


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


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        (lambda n: f"{5 * n:06d}", "numbering-step", "rise by 5, 000000.png to 000295.png"),
        (
            lambda n: f"20261125_08{n // 25:02d}{n % 25:02d}",
            "numbering-name",
            "names are times .* 20261125_080000.png to",
        ),
    ],
)
def test_what_gives_the_order_is_a_note(root: Path, name: Callable[[int], str], kind: str, says: str) -> None:
    for number, file in enumerate(sorted((root / "training/frames/1").iterdir())):
        file.rename(file.with_stem(name(number)))
    report = look(root)
    assert (report.findings, [(note.video, note.kind) for note in report.notes]) == ((), [("training/1", kind)])
    assert re.search(says, report.notes[0].what)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_images_are_scaled_and_a_note(root: Path, bits: int) -> None:
    for file in (root / "training/frames/1").iterdir():
        image = np.asarray(cv2.imread(str(file)), dtype=np.uint16) << (bits - 8)
        file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    report = look(root)
    assert (report.findings, [note.what for note in report.notes]) == (
        (),
        [f"values of {bits} bits in 16-bit files: scaled to 8"],
    )


def test_a_few_bright_frames_do_not_hide_that_a_video_is_dark(root: Path) -> None:
    rescaled(root / "training/frames/1", lambda film: [film[0], *(image // 11 for image in film[1:])])
    assert kinds(look(root)) == [("training/1", "dark")]


def test_a_dark_picture_with_one_light_in_it_is_not_dark(root: Path) -> None:
    def at_night(film: Film) -> Film:
        dark = [image // 11 for image in film]
        for image in dark:
            image[10:14, 20:24] = 200
        return dark

    rescaled(root / "training/frames/1", at_night)
    assert kinds(look(root)) == []


def test_a_video_that_is_black_all_through_is_not_dark_too(root: Path) -> None:
    rescaled(root / "training/frames/1", lambda film: [image // 60 for image in film])
    assert [kind for kind in kinds(look(root)) if kind[1] in ("dark", "black-start")] == [("training/1", "black-start")]


def test_videos_of_one_class_and_too_short_ones_are_notes(root: Path, film: Films) -> None:
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


def test_stretches_are_joined_and_put_in_words() -> None:
    assert ranges([3, 4, 5, 9]) == ((3, 5), (9, 9))
    assert in_words(ranges([3, 4, 5, 9])) == "frames 3-5, 9"
    assert in_words(ranges([7])) == "frame 7"
    assert in_words(ranges(range(0, 20, 2))) == "frames 0, 2, 4, 6, 8 and 5 more stretches"
