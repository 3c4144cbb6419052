"""What whoever uses a video file must know of it: the same words for preparing, scoring and the doctor."""

from collections.abc import Iterator
from typing import NamedTuple

from .files import VideoFile
from .ranges import in_words


class Remark(NamedTuple):
    """A stable word to look for, what is so, and what would do."""

    kind: str
    what: str
    remedy: str


def remarks(source: VideoFile) -> Iterator[Remark]:
    """Of a file that has just been read to its end."""
    told, name = source.told, source.path.name
    if source.lost:
        is_are = "is" if source.lost[0][0] == source.lost[-1][1] else "are"
        what = f"{in_words(source.lost)} {is_are} missing or damaged"
        yield Remark("time-gap", what, "copy it again; else training leaves them out, and they have no score")
    if source.corrected:
        stamps = "1 time stamp was" if source.corrected == 1 else f"{source.corrected} time stamps were"
        what = f"{stamps} missing, went back or leapt: time goes on by the usual step"
        yield Remark("clock-set", what, "record it again with a camera whose clock is right, if times matter")
    if told.variable:
        what = f"its rate is variable, mostly {told.rate:.4g} frames a second"
        yield Remark("variable-rate", what, "none needed: frames are taken by their time stamps; labels count frames")
    if told.others:
        what = f"it has {told.others + 1} video streams; the largest picture is taken"
        yield Remark("several-streams", what, f"choose one: ffmpeg -i {name} -map 0:v:NUMBER -c copy OUT")
    if source.interlaced:
        yield Remark("interlaced", "it is interlaced; its pictures are made whole while they are read", "none needed")
    if told.unfinished or source.grew:
        what = "still being written or never finished: its header was not completed"
        yield Remark("unfinished", what, f"wait for the recorder, or complete it: ffmpeg -i {name} -c copy OUT")
