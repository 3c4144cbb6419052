"""What the doctor says: one finding a fault, with the video, the frames and the remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]
"""error: a result would be wrong or cannot be had; warning: it may be; note: worth knowing, no fault."""

Ranges = tuple[tuple[int, int], ...]  # first and last frame of each stretch, counted from 0, both included

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault."""

    kind: str  # a stable word to look for, such as ``label-count``
    severity: Severity
    video: str  # ``training/01``; empty where the fault is the whole dataset's
    what: str
    remedy: str
    frames: Ranges = ()  # where in the video, as it is decoded (skipped first frames do not count)

    @classmethod
    def of(cls, kind: str, severity: Severity, video: str, message: str) -> "Finding":
        """From an error of ours: what is wrong, a semicolon, what would do."""
        what, _, remedy = message.partition("; ")
        return cls(kind, severity, video, what, remedy)


def ranges(frames: Iterable[int]) -> Ranges:
    """Ascending frames as stretches: 3, 4, 5, 9 is 3-5, 9-9."""
    stretches: list[tuple[int, int]] = []
    for frame in frames:
        if stretches and frame == stretches[-1][1] + 1:
            stretches[-1] = (stretches[-1][0], frame)
        else:
            stretches.append((frame, frame))
    return tuple(stretches)


def in_words(stretches: Ranges) -> str:
    """``frame 3``, ``frames 3-5, 9``, with no more than the first few stretches."""
    shown = [str(first) if first == last else f"{first}-{last}" for first, last in stretches[:_SHOWN]]
    more = f" and {len(stretches) - _SHOWN} more stretches" if len(stretches) > _SHOWN else ""
    single = len(stretches) == 1 and stretches[0][0] == stretches[0][1]
    return f"frame{'' if single else 's'} {', '.join(shown)}{more}"


def counted(count: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
