"""What the doctor says: one finding a fault, with the video, the frames and the remedy."""

from dataclasses import dataclass
from typing import Literal

from ..video.ranges import Ranges

Severity = Literal["error", "warning", "note"]
"""error: a result would be wrong or cannot be had; warning: it may be; note: worth knowing, no fault."""


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


def counted(count: int, noun: str) -> str:
    """``1 frame``, ``2 frames``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
