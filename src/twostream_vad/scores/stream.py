"""What a stream is, and how frames become its clips: the same code for files and for cameras."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..video.snippets import Snippet
from ..video.views import Views


class Stream(Protocol):
    """One of a detector's streams: its geometry, what it sees of a frame, and a function from clips to scores."""

    @property
    def snippet(self) -> Snippet: ...

    @property
    def views(self) -> Views: ...

    def score(self, clips: Tensor) -> NDArray[np.float64]:
        """(B, crops, 3, T, S, S) → (B,): one score for each clip."""


class Later:
    """A clip that another thread still makes."""

    def __init__(self, make: Callable[[], Tensor]) -> None:
        self.result = make
        """Waits for it; raises what making it has raised."""


Clip = Tensor | Later


def made(clip: Clip) -> Tensor:
    """The clip, when it is made."""
    return clip.result() if isinstance(clip, Later) else clip


class ClipBuffer:
    """Gathers the views of consecutive frames into batches of ``batch`` clips, holding span + batch frames at most."""

    def __init__(self, snippet: Snippet, batch: int) -> None:
        self.snippet, self.batch = snippet, batch
        self._views: deque[Tensor] = deque(maxlen=snippet.span + batch)
        self._ready = 0

    def push(self, view: Tensor) -> Tensor | None:
        """Takes a frame's crops (crops, 3, S, S); gives (batch, crops, 3, T, S, S) when a batch is full."""
        self._views.append(view)
        if len(self._views) > self.snippet.span:
            self._ready += 1
        return self._take() if self._ready == self.batch else None

    def flush(self) -> Tensor | None:
        """The clips of a last, smaller batch."""
        return self._take() if self._ready else None

    def _take(self) -> Tensor:
        first = len(self._views) - self.snippet.span - self._ready
        clips = [self.snippet.frames(first + clip) for clip in range(self._ready)]
        self._ready = 0
        return torch.stack([torch.stack([self._views[index] for index in frames], dim=2) for frames in clips])


def clip_batches(views: Iterable[Tensor], snippet: Snippet, batch: int) -> Iterator[Tensor]:
    """A video's clips, (batch, crops, 3, T, S, S), from its frames' crops; the last batch may be smaller."""
    buffer = ClipBuffer(snippet, batch)
    for view in views:
        if (clips := buffer.push(view)) is not None:
            yield clips
    if (clips := buffer.flush()) is not None:
        yield clips


class ScoreLog:
    """Scores in the order in which they come, in one array that doubles when it is full.

    A small array kept for each batch would lie between the large ones that come and go, and memory would grow with
    holes that nothing fits into.
    """

    def __init__(self) -> None:
        self._rows: NDArray[np.float64] | None = None
        self._count = 0

    def add(self, scores: NDArray[np.float64]) -> None:
        """Takes a batch, (B, …)."""
        needed = self._count + len(scores)
        if self._rows is None:
            self._rows = np.zeros((max(64, needed), *scores.shape[1:]))
        elif needed > len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros((needed, *scores.shape[1:]))])
        self._rows[self._count : needed] = scores
        self._count = needed

    def array(self) -> NDArray[np.float64]:
        """All scores so far, (scores, …); (0,) where there are none."""
        return np.zeros(0) if self._rows is None else self._rows[: self._count].copy()
