import tracemalloc
from collections.abc import Callable, Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from twostream_vad.doctor.fingerprints import LAG, RUN, Fingerprints, ends, find_copies, jump

FRAMES = 60
Film = list[NDArray[np.uint8]]
Films = Callable[..., Film]


def pictures(images: Film) -> NDArray[np.uint8]:
    prints = Fingerprints()
    for image in images:
        prints.add(image)
    return prints.pictures


def test_a_dropped_frame_is_said_to_be_where_the_picture_jumps() -> None:
    prints = Fingerprints()
    for t in range(60):  # a bar that moves 2 pixels a frame; frame 31 is not there
        image = np.full((48, 144, 3), 100, np.uint8)
        at = 2 * (t + (t > 30))
        image[:, at : at + 20] = 200
        prints.add(image)
    assert jump(prints.pictures) == 30


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
    film: Films, ours: tuple[int, int], theirs: tuple[int, int], expected: tuple[int, int]
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


def test_a_stretch_copied_into_the_middle_is_found_though_altered(film: Films) -> None:
    test = film(1, 100)
    mixed = pictures([*film(2, 40), *(cv2.resize(i, (72, 48)) for i in altered(test[30:70])), *film(3, 30)])  # type: ignore[list-item]
    copies = find_copies([pictures(film(4)), mixed], [pictures(film(5)), pictures(test)])
    assert [(c.training, c.test) for c in copies] == [(1, 1)]
    copy = copies[0]
    assert copy.training_start - copy.test_start == 40 - 30
    assert abs(copy.training_start - 40) <= 2
    assert abs(copy.frames - 40) <= 4


def test_one_background_shared_by_all_videos_is_no_copy(film: Films) -> None:
    assert find_copies([pictures(film(s)) for s in range(3)], [pictures(film(s)) for s in range(10, 13)]) == []


def test_an_empty_scene_is_no_copy_of_itself() -> None:
    still = pictures([np.full((48, 72, 3), 100, np.uint8)] * FRAMES)
    assert find_copies([still], [still]) == []


@pytest.mark.parametrize(("frames", "found"), [(RUN + LAG, 1), (RUN + LAG - 1, 0), (LAG, 0), (0, 0)])
def test_a_copy_must_be_long_enough_to_be_one(film: Films, frames: int, found: int) -> None:
    short = pictures(film(6, 30))[:frames]
    assert len(find_copies([short], [short])) == found


def test_a_long_video_is_compared_in_chunks(film: Films, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pictures(film(8, 120))
    expected = find_copies([whole[10:]], [whole])
    monkeypatch.setattr("twostream_vad.doctor.fingerprints._CHUNK", 13)
    assert [(c.training_start, c.test_start, c.frames) for c in expected] == [(0, 10, 110)]
    assert find_copies([whole[10:]], [whole]) == expected


def test_under_a_kilobyte_is_kept_of_a_frame(film: Films) -> None:
    prints, images = Fingerprints(), film(0, 20)
    prints.add(images[0])
    tracemalloc.start()
    for _ in range(100):
        for image in images:
            prints.add(image)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept / 2000 < 1024 * 1.2  # growing arrays reserve an eighth more
