"""Known sets with other numbers of videos and frames than were published."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from twostream_vad.datasets.dataset import Video
from twostream_vad.datasets.layouts import find_dataset
from twostream_vad.datasets.published import PUBLISHED, Total
from twostream_vad.doctor.checks import frame_total
from twostream_vad.doctor.examine import examine
from twostream_vad.doctor.readings import Reading


class Counted(Reading):
    """A reading of so many frames."""

    def __init__(self, frames: int) -> None:
        super().__init__("training/01", Video("01", Path("01")))
        self.number = frames

    @property
    def frames(self) -> int:
        return self.number


def readings(videos: int, frames: int) -> list[Reading]:
    """So many videos that have so many frames together."""
    return [Counted(frames - videos + 1), *(Counted(1) for _ in range(videos - 1))]


@pytest.mark.parametrize("split", ["training", "testing"])
@pytest.mark.parametrize("known", PUBLISHED, ids=lambda known: known.name)
def test_the_published_numbers_say_nothing(known: object, split: str) -> None:
    (published,) = [each for each in PUBLISHED if each is known]
    expected: Total = published.splits[split]
    frames = 100_000 if expected.frames is None else expected.frames
    assert not list(frame_total(published.layout, split, readings(expected.videos, frames)))


@pytest.mark.parametrize(
    ("videos", "frames", "what", "remedy"),
    [
        (11, 1830, "testing has 11 videos and 1830 frames, UCSD Ped2 as published 12 and 2010", "download or unpack"),
        (12, 2009, "testing has 12 videos and 2009 frames, UCSD Ped2 as published 12 and 2010", "another decoder"),
        (13, 2100, "testing has 13 videos and 2100 frames, UCSD Ped2 as published 12 and 2010", "take out the videos"),
    ],
)
def test_other_numbers_are_named_with_their_likely_cause(videos: int, frames: int, what: str, remedy: str) -> None:
    (finding,) = frame_total("ped2", "testing", readings(videos, frames))
    assert (finding.kind, finding.severity, finding.video, finding.what) == ("frame-total", "warning", "", what)
    assert remedy in finding.remedy


def test_where_only_videos_are_known_only_they_are_compared() -> None:
    assert not list(frame_total("corridor", "training", readings(208, 1234)))
    (finding,) = frame_total("corridor", "training", readings(200, 1234))
    assert "IITB Corridor as published 208" in finding.what


@pytest.mark.parametrize("layout", ["ped2", "folder"])
def test_the_doctor_compares_known_sets_only(tmp_path: Path, layout: str) -> None:
    for split in ("training", "testing"):
        (tmp_path / split / "frames/01").mkdir(parents=True)
        for index in range(60):
            picture = np.full((32, 32), 90, np.uint8)
            picture[index % 24 : index % 24 + 8, 8:16] = 200 if split == "training" else 20
            cv2.imwrite(str(tmp_path / split / f"frames/01/{index:03d}.png"), picture)
    found = examine(find_dataset(tmp_path, layout)).findings
    totals = [finding.what for finding in found if finding.kind == "frame-total"]
    assert [what.split()[0] for what in totals] == ([] if layout == "folder" else ["training", "testing"])
