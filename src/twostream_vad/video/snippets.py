"""Snippets: which frames of a video go into the net together, and which frame their score is for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Snippet:
    """``length`` frames, ``interval`` apart; their score is for the frame ``offset`` after the first."""

    length: int
    interval: int
    offset: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length must be 1 frame or more, got {self.length}")
        if self.interval < 1:
            raise ValueError(f"interval must be 1 frame or more, got {self.interval}")
        if not 0 <= self.offset <= self.span:
            raise ValueError(f"offset must lie within the snippet, 0 to {self.span}, got {self.offset}")

    @classmethod
    def predicting(cls, length: int, interval: int) -> "Snippet":
        """Context recovery's: the score belongs to the predicted frame, the last."""
        return cls(length, interval, offset=interval * (length - 1))

    @classmethod
    def centred(cls, length: int, interval: int) -> "Snippet":
        """Knowledge retrieval's: the score belongs to the frame at length // 2 intervals."""
        return cls(length, interval, offset=length // 2 * interval)

    @property
    def span(self) -> int:
        """How many frames after its first the snippet's last frame comes."""
        return self.interval * (self.length - 1)

    def frames(self, start: int) -> range:
        """The video's frames in the snippet that begins at frame ``start``."""
        return range(start, start + self.span + 1, self.interval)

    def count(self, video_frames: int) -> int:
        """Snippets in a video, one starting at every frame that leaves room; 0 for a short video."""
        return max(video_frames - self.span, 0)


RECOVERY = Snippet.predicting(length=9, interval=2)
RETRIEVAL = Snippet.centred(length=8, interval=8)
