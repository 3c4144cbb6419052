"""How many videos and frames the published sets have: what is there may be a part, or another decoder's."""

from collections.abc import Mapping
from typing import NamedTuple


class Total(NamedTuple):
    """One split; frames as this program counts them, without the skipped first ones, None where that is not sure."""

    videos: int
    frames: int | None


class Published(NamedTuple):
    """One set as its authors published it."""

    name: str
    layout: str
    splits: Mapping[str, Total]

    def fits(self, split: str, videos: int, frames: int) -> bool:
        """Whether these are its numbers, as far as they are known."""
        expected = self.splits[split]
        return videos == expected.videos and expected.frames in (None, frames)


def _set(name: str, layout: str, training: tuple[int, int | None], testing: tuple[int, int | None]) -> Published:
    return Published(name, layout, {"training": Total(*training), "testing": Total(*testing)})


PUBLISHED = (
    _set("UCSD Ped2", "ped2", (16, 2550), (12, 2010)),  # Mahadevan et al., CVPR 2010; counted
    _set("UCSD Ped1", "ped2", (34, 6800), (36, 7200)),  # the same; it lies as Ped2 does
    _set("CUHK Avenue", "avenue", (16, 15328), (21, 15324)),  # Lu et al., ICCV 2013
    # Liu et al., CVPR 2018. 42,883 test frames are often quoted; the archive and its labels have 40,791.
    _set("ShanghaiTech", "shanghaitech", (330, 274515), (107, 40791)),
    # Rodrigues et al., WACV 2020: 301,999 and 181,567. The labels have 181,567 without the black frames; whether the
    # number of training frames is without them is not known.
    _set("IITB Corridor", "corridor", (208, None), (150, 181567)),
    _set("NWPU Campus", "nwpu", (305, 1082014), (242, 384059)),  # Cao et al., CVPR 2023: 1,466,073 in all
    # Acsintoae et al., CVPR 2022, and the authors' lists. They give 92,640 and 89,908 frames of test video, and none of
    # the normal training videos alone.
    _set("UBnormal", "ubnormal", (186, None), (211, None)),
)


def nearest(layout: str, split: str, videos: int, frames: int) -> Published | None:
    """The published set that lies so and has these numbers, or the most similar number of videos; None for others."""
    known = [each for each in PUBLISHED if each.layout == layout]
    return min(
        known,
        key=lambda each: (not each.fits(split, videos, frames), abs(each.splits[split].videos - videos)),
        default=None,
    )
