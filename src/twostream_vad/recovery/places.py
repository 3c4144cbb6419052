"""What error is normal at each place of a camera's view: near and far, where people walk and where nobody does."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import TsvadError
from ..progress import Progress, silent
from ..scores.stream import clip_batches
from ..storage import load_tensors, save_tensors
from ..video.frames import ImageFolder
from .windows import AllWindows

EVERY = 4
"""Of so many snippets one is looked at."""
DEVIATIONS = 3.0
FLOOR = 0.5
"""Share of the median place's error that is added at every place: where nothing ever moves, noise is no anomaly."""


@dataclass(frozen=True)
class Places:
    """Largest normal local error at each place, for each window.

    Attributes:
        normal: window → (crops, 3, P, P): of the squared error, of its channel-L2 form, of the absolute error.
    """

    normal: Mapping[int, Tensor]

    @classmethod
    def measure(
        cls,
        windows: AllWindows,
        videos: Mapping[str, ImageFolder],
        sums: Path,
        *,
        progress: Progress = silent,
    ) -> "Places":
        """Mean plus three deviations of the local error of normal video, place by place, and a floor.

        Args:
            windows: the trained stream, without a chosen score.
            videos: normal videos of one camera, all of one size, by name.
            sums: a file that keeps what was added up video by video: a killed measuring goes on behind the last.
            progress: told after every video.

        Raises:
            TsvadError: videos of several sizes, or none that is long enough.
        """
        found = _Sums.load(sums)
        for done, (name, video) in enumerate(videos.items()):
            progress(done, len(videos), name)
            if done < found.videos:
                continue
            frames = (windows.views.scored(frame.image) for frame in video)
            for clips in clip_batches(frames, windows.snippet, EVERY * windows.settings.score_batch):
                picked = clips[::EVERY]
                for window, errors in windows.local_errors(picked).items():
                    shaped = errors.reshape(*picked.shape[:2], *errors.shape[1:]).double()
                    if not found.fits(window, shaped):
                        raise TsvadError(
                            f"{video.path}: has another size than the videos before it: one camera, please"
                        )
                    found.add(window, shaped)
                found.count += len(picked)
            found.videos = done + 1
            found.save(sums)
        if found.count == 0:
            raise TsvadError(f"no normal video is longer than a snippet's {windows.snippet.span + 1} frames")
        progress(len(videos), len(videos))
        return cls(found.most())

    def save(self, path: Path) -> None:
        """As safetensors."""
        save_tensors(path, {f"window_{window}": normal for window, normal in self.normal.items()}, {"kind": "places"})

    @classmethod
    def load(cls, path: Path) -> "Places":
        """What `save` wrote.

        Raises:
            CheckpointError: no such file, or a broken one.
        """
        tensors = load_tensors(path)[0]
        return cls({int(name.removeprefix("window_")): tensor for name, tensor in tensors.items()})


@dataclass
class _Sums:
    """Sums of errors and of their squares, window → (crops, 3, P, P), over ``count`` snippets of ``videos`` videos."""

    sums: dict[int, Tensor]
    squares: dict[int, Tensor]
    count: int = 0
    videos: int = 0

    def fits(self, window: int, errors: Tensor) -> bool:
        """Whether errors (B, crops, 3, P, P) have the shape of those before."""
        return window not in self.sums or self.sums[window].shape == errors.shape[1:]

    def add(self, window: int, errors: Tensor) -> None:
        """Adds errors (B, crops, 3, P, P)."""
        self.sums[window] = self.sums.get(window, torch.zeros(())) + errors.sum(0)
        self.squares[window] = self.squares.get(window, torch.zeros(())) + errors.square().sum(0)

    def most(self) -> dict[int, Tensor]:
        """What normal reaches at each place."""
        return {w: _most(self.sums[w] / self.count, self.squares[w] / self.count) for w in self.sums}

    def save(self, path: Path) -> None:
        """As safetensors."""
        tensors = {f"sums_{window}": total for window, total in self.sums.items()}
        tensors |= {f"squares_{window}": total for window, total in self.squares.items()}
        save_tensors(path, tensors, {"count": str(self.count), "videos": str(self.videos)})

    @classmethod
    def load(cls, path: Path) -> "_Sums":
        """What `save` wrote; empty where there is no file."""
        if not path.exists():
            return cls({}, {})
        tensors, facts = load_tensors(path)
        sums, squares = (
            {int(name.rpartition("_")[2]): total for name, total in tensors.items() if name.startswith(kind)}
            for kind in ("sums_", "squares_")
        )
        return cls(sums, squares, int(facts["count"]), int(facts["videos"]))


def _most(mean: Tensor, square: Tensor) -> Tensor:
    """(crops, 3, P, P) of mean and mean square → what normal reaches, each kind of error with its own floor."""
    most = mean + DEVIATIONS * (square - mean.square()).clamp_min(0).sqrt()
    floor = FLOOR * most.transpose(0, 1).flatten(1).median(dim=1).values
    return (most + floor[:, None, None]).clamp_min(torch.finfo(torch.float32).tiny).float()
